"""The group rbac.authorization.k8s.io: who may do what.

Source: k8s.io/kubernetes pkg/registry/rbac.
"""

from __future__ import annotations

from labkit.apiserver import names, validate_rbac
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

ROLE = Strategy(
    validate=validate_rbac.role, validate_name=names.path_segment, create_on_update=True
)
CLUSTER_ROLE = Strategy(
    validate=validate_rbac.cluster_role, validate_name=names.path_segment, create_on_update=True
)
ROLE_BINDING = Strategy(
    create_on_update=True,
    default=validate_rbac.default_binding,
    validate=validate_rbac.role_binding,
    validate_update=validate_rbac.binding_update,
    validate_name=names.path_segment,
)
CLUSTER_ROLE_BINDING = Strategy(
    create_on_update=True,
    default=validate_rbac.default_binding,
    validate=validate_rbac.cluster_role_binding,
    validate_update=validate_rbac.binding_update,
    validate_name=names.path_segment,
)

ROWS = (
    row(resources.CLUSTER_ROLE_BINDINGS, CLUSTER_ROLE_BINDING),
    row(resources.CLUSTER_ROLES, CLUSTER_ROLE),
    row(resources.ROLE_BINDINGS, ROLE_BINDING),
    row(resources.ROLES, ROLE),
)
