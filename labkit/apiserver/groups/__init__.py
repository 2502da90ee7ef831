"""The API groups: what each serves and how its kinds behave, one module for each group.

A module's `ROWS` are its part of the registry; the strategies above them say which defaults, which
preparation and which validation a kind has.

Source: k8s.io/kubernetes pkg/registry/*/strategy.go and pkg/registry/*/rest/storage_*.go.
"""
