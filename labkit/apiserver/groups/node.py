"""The group node.k8s.io: the ways to run containers.

Source: k8s.io/kubernetes pkg/registry/node.
"""

from __future__ import annotations

from labkit.apiserver import defaults, validate_policy
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

RUNTIME_CLASS = Strategy(
    create_on_update=True,
    default=defaults.runtime_class,
    validate=validate_policy.runtime_class,
    validate_update=validate_policy.runtime_class_update,
    needs_version=True,
)

ROWS = (row(resources.RUNTIME_CLASSES, RUNTIME_CLASS),)
