"""ClusterRoles that are made of others: `admin`, `edit`, `view`, and whatever has a rule for it.

A ClusterRole with an `aggregationRule` has the rules of all ClusterRoles that its selectors find,
in the order of their names, each once.

Source: kube-controller-manager's clusterrole-aggregation-controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects, selectors
from labkit.kube.resources import CLUSTER_ROLES


def gathered(role: Mapping, roles: Iterable[Mapping]) -> list[Mapping]:
    """The rules that `role` shall have, from all ClusterRoles."""
    rules: list[Mapping] = []
    by_name = sorted(roles, key=lambda one: one["metadata"]["name"])
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        wanted = selectors.from_label_selector(selector)
        for other in by_name:
            if other["metadata"]["name"] == role["metadata"]["name"]:
                continue
            if selectors.matches(wanted, objects.labels(other)):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


class ClusterRoleAggregation(SharingController):
    """Keeps the rules of aggregated ClusterRoles."""

    name = "clusterrole-aggregation-controller"

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._roles = self.watch(CLUSTER_ROLES, self._aggregated)

    def _aggregated(self, _: Mapping) -> list[str]:
        """Any ClusterRole may belong to any aggregated one."""
        return [key for key, role in self._roles.store.items() if role.get("aggregationRule")]

    async def reconcile(self, key: str) -> None:
        """Write the rules of one aggregated ClusterRole if they are others."""
        role = self._roles.store.get(key)
        if role is None or not role.get("aggregationRule"):
            return
        rules = gathered(role, self._roles.store.values())
        if rules != (role.get("rules") or []):
            await self.client.update(CLUSTER_ROLES, {**role, "rules": rules})
