"""What every namespace has: the ServiceAccount `default` and the ConfigMap `kube-root-ca.crt`.

Pods run as `default` unless they say otherwise, and trust the API server by that certificate.

Source: kube-controller-manager's serviceaccount and root-ca-certificate-publisher controllers.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects
from labkit.kube.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS, Resource

DEFAULT = "default"
ROOT_CA = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)


class PerNamespace(SharingController):
    """Keeps one object in every active namespace."""

    workers = 1

    def __init__(
        self,
        client: Client,
        clock: Clock,
        resource: Resource,
        wanted: Mapping,
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self._resource, self._wanted = resource, wanted
        self._namespaces = self.watch(NAMESPACES)
        self._objects = self.watch(resource, self._namespace_of)

    def _namespace_of(self, obj: Mapping) -> tuple[str, ...]:
        same = obj["metadata"]["name"] == self._wanted["metadata"]["name"]
        return (obj["metadata"]["namespace"],) if same else ()

    async def reconcile(self, key: str) -> None:
        """Create the object in one namespace, or give it back its content."""
        namespace = self._namespaces.store.get(key)
        if namespace is None or objects.is_deleting(namespace):
            return
        meta = {**self._wanted["metadata"], "namespace": key}
        present = self._objects.get(meta["name"], key)
        if present is None:
            await self._create({**self._wanted, "metadata": meta})
        elif present.get("data") != self._wanted.get("data"):
            await self.client.update(self._resource, {**present, "data": self._wanted["data"]})

    async def _create(self, obj: Mapping) -> None:
        try:
            await self.client.create(self._resource, obj)
        except ApiError as error:
            if not error.already_exists and not error.not_found:
                raise


class ServiceAccountController(PerNamespace):
    """A ServiceAccount `default` in each namespace."""

    name = "serviceaccount-controller"

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        wanted = {"metadata": {"name": DEFAULT}}
        super().__init__(client, clock, SERVICE_ACCOUNTS, wanted, informers)

    async def reconcile(self, key: str) -> None:
        """As `PerNamespace`, but what people add to the ServiceAccount is theirs."""
        if self._objects.get(DEFAULT, key) is None:
            await super().reconcile(key)


class RootCACertificatePublisher(PerNamespace):
    """The certificate of the cluster's authority, as PEM text, in each namespace."""

    name = "root-ca-certificate-publisher-controller"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        root_ca: str,
        informers: InformerFactory | None = None,
    ) -> None:
        annotations = {"kubernetes.io/description": _DESCRIPTION}
        wanted = {
            "metadata": {"name": ROOT_CA, "annotations": annotations},
            "data": {"ca.crt": root_ca},
        }
        super().__init__(client, clock, CONFIG_MAPS, wanted, informers)
