"""The resources that CustomResourceDefinitions add to a cluster, for controllers of all kinds.

Source: kube-controller-manager's resyncs of discovery (garbagecollector.Sync, namespace
controller); here the definitions themselves are watched, so that nobody has to ask again.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.kube import conditions
from labkit.kube.resources import Resource


def resource_of(definition: Mapping) -> Resource | None:
    """The resource of an established definition in a served version, None where it has none."""
    spec = definition["spec"]
    served = [version for version in spec["versions"] if version.get("served")]
    if not served or not conditions.is_true(definition, "Established"):
        return None
    version = next((one for one in served if one.get("storage")), served[0])
    names = definition["status"]["acceptedNames"]
    namespaced = spec["scope"] == "Namespaced"
    return Resource(spec["group"], version["name"], names["plural"], names["kind"], namespaced)
