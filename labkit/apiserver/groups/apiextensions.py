"""The group apiextensions.k8s.io: definitions of kinds that the server does not know by itself.

Source: k8s.io/apiextensions-apiserver pkg/registry/customresourcedefinition.
"""

from __future__ import annotations

from labkit.apiserver.custom import definition
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

CUSTOM_RESOURCE_DEFINITION = Strategy(
    default=definition.default,
    prepare=definition.prepare,
    validate=definition.validate,
    validate_update=definition.validate_update,
    validate_status=lambda obj, old: definition.validate_status(obj),
    warn=definition.warn,
    generation=(("spec",),),
    cleanup=definition.FINALIZER,
    any_finalizer=True,
    needs_version=True,
)

ROWS = (
    row(
        resources.CUSTOM_RESOURCE_DEFINITIONS,
        CUSTOM_RESOURCE_DEFINITION,
        short="crd crds",
        subresources="status",
        categories="api-extensions",
    ),
)
