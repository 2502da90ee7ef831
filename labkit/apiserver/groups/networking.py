"""The group networking.k8s.io: who may reach what, from outside and from inside.

Source: k8s.io/kubernetes pkg/registry/networking.
"""

from __future__ import annotations

from labkit.apiserver import defaults, validate_networking
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

_SPEC = ("spec",)

INGRESS = Strategy(
    validate=validate_networking.ingress,
    generation=(_SPEC,),
    initial_status={"loadBalancer": {}},
)
INGRESS_CLASS = Strategy(
    default=defaults.ingress_class,
    validate=validate_networking.ingress_class,
    validate_update=validate_networking.ingress_class_update,
    generation=(_SPEC,),
)
NETWORK_POLICY = Strategy(
    default=defaults.network_policy,
    validate=validate_networking.network_policy,
    generation=(_SPEC,),
)

ROWS = (
    row(resources.INGRESSES, INGRESS, short="ing", subresources="status"),
    row(resources.INGRESS_CLASSES, INGRESS_CLASS),
    row(resources.NETWORK_POLICIES, NETWORK_POLICY, short="netpol"),
)
