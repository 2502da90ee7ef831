"""The group discovery.k8s.io: which endpoints a Service has.

Source: k8s.io/kubernetes pkg/registry/discovery.
"""

from __future__ import annotations

from labkit.apiserver import defaults, validate_core
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

ENDPOINT_SLICE = Strategy(
    default=defaults.endpoint_slice,
    validate=validate_core.endpoint_slice,
    validate_update=validate_core.endpoint_slice_update,
    generation=(("endpoints",), ("ports",)),
)

ROWS = (row(resources.ENDPOINT_SLICES, ENDPOINT_SLICE),)
