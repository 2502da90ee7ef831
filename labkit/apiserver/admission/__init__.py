"""Admission: what the cluster itself adds to objects, and what it refuses for reasons of its own.

Plugins run in upstream's order, twice: first all that change the object, then, when it is complete
and valid, all that only look at it; the quota is last, for it is charged for what will be stored.
To add a plugin, write its function and name it in one of the two tables.

Source: k8s.io/kubernetes pkg/kubeapiserver/options (AllOrderedPlugins).  Left out: webhooks and
admission policies.
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.apiserver.admission import (
    claim_resize,
    custom_resources,
    default_class,
    limit_ranger,
    namespace_lifecycle,
    priority,
    runtime_class,
    service_account,
)
from labkit.apiserver.admission.attributes import CREATE, UPDATE, Attributes
from labkit.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from labkit.apiserver.admission.resource_quota import ResourceQuota
from labkit.apiserver.state import State
from labkit.clock import Clock

__all__ = ["CREATE", "UPDATE", "Admission", "Attributes", "DefaultTolerationSeconds"]

Plugin = Callable[[Attributes], None]


def mutating(tolerations: DefaultTolerationSeconds) -> dict[str, tuple[Plugin, ...]]:
    """The plugins that change objects."""
    return {
        CREATE: (
            custom_resources.admit,
            namespace_lifecycle.admit,
            limit_ranger.admit,
            service_account.admit,
            priority.admit,
            tolerations.admit,
            runtime_class.admit,
            default_class.admit,
        ),
        UPDATE: (tolerations.admit,),
    }


VALIDATING: dict[str, tuple[Plugin, ...]] = {
    CREATE: (limit_ranger.validate, priority.validate),
    UPDATE: (limit_ranger.validate, priority.validate, claim_resize.validate),
}


class Admission:
    """The plugins of one API server."""

    def __init__(
        self,
        state: State,
        clock: Clock,
        tolerations: DefaultTolerationSeconds | None = None,
    ) -> None:
        self._clock = clock
        self._mutating = mutating(tolerations or DefaultTolerationSeconds())
        self._quota = ResourceQuota(state)

    async def prepare(self, a: Attributes) -> None:
        """Wait for what a new object needs and what is about to be there."""
        await service_account.wait(a, self._clock)

    def mutate(self, a: Attributes) -> None:
        """Complete `a.obj`, which has its defaults already.  Raises ApiError 403, 404."""
        for plugin in self._mutating[a.operation]:
            plugin(a)

    async def validate(self, a: Attributes) -> bool:
        """Look at a valid object that is about to be stored; whether that took time.

        Raises ApiError 403.
        """
        for plugin in VALIDATING[a.operation]:
            plugin(a)
        if not self._quota.concerns(a):
            return False
        await self._quota.validate(a, self._clock.now())
        return True
