"""The group apiregistration.k8s.io: who answers for which group and version.

Source: k8s.io/kube-aggregator pkg/registry/apiservice.
"""

from __future__ import annotations

from labkit.apiserver import defaults, names, validate_aggregation
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

API_SERVICE = Strategy(
    default=defaults.api_service,
    validate=validate_aggregation.api_service,
    validate_name=names.path_segment,
    needs_version=True,
)

ROWS = (
    row(
        resources.API_SERVICES,
        API_SERVICE,
        subresources="status",
        categories="api-extensions",
    ),
)
