"""What an admission plugin knows of a write (k8s.io/apiserver admission.Attributes)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.apiserver import statuses
from labkit.apiserver.registration import Registration
from labkit.apiserver.selection import Selection
from labkit.apiserver.state import State
from labkit.client.errors import ApiError
from labkit.kube.quotas import CREATE, UPDATE
from labkit.kube.resources import PODS, Resource

__all__ = ["CREATE", "UPDATE", "Attributes"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """`obj` is what shall be, in its stored form; `old` what is, None on create."""

    state: State
    row: Registration
    operation: str
    obj: dict
    old: Mapping | None = None
    dry_run: bool = False

    @property
    def namespace(self) -> str:
        """The object's namespace, empty for what has none."""
        return self.obj["metadata"].get("namespace") or ""

    @property
    def pod_spec(self) -> dict | None:
        """The `spec` of a Pod; None for all else, and where the Pod has none (it is refused)."""
        return self.obj.get("spec") if self.row.resource == PODS else None

    def others(self, resource: Resource) -> list[Mapping]:
        """The objects of `resource` in the same namespace."""
        collection = self.state.of(resource)
        if not collection.items:
            return []
        return [item.obj for _, item in collection.select(Selection(self.namespace))]

    def forbidden(self, why: str) -> ApiError:
        """403 with the plugin's reason."""
        return statuses.forbidden(self.row.resource, self.obj["metadata"].get("name", ""), why)
