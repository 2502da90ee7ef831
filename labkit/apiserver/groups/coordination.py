"""The group coordination.k8s.io: who leads, and which nodes are alive.

Source: k8s.io/kubernetes pkg/registry/coordination.
"""

from __future__ import annotations

from labkit.apiserver import validate_core
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

LEASE = Strategy(validate=validate_core.lease, create_on_update=True, needs_version=True)

ROWS = (row(resources.LEASES, LEASE),)
