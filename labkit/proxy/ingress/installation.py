"""The objects by which an Ingress controller is found, as its Helm chart would make them.

The IngressClass is called `nginx`, for that is what manifests of the field name; its `controller`
says who it really is.  It is the default for Ingresses that name none.  Node ports of the Service
are how a browser reaches the controller, also through Jupyter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.client import ApiError, Client
from labkit.kube.resources import ENDPOINT_SLICES, INGRESS_CLASSES, SERVICES
from labkit.proxy import rules

if TYPE_CHECKING:
    from labkit.proxy.ingress.server import Ports

CONTROLLER = "labkit/ingress-controller"
CLASS = "nginx"
NAME, NAMESPACE = "ingress-controller", "kube-system"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "controller"}


async def install(client: Client, address: str, ports: Ports) -> None:
    """Make what is missing, and bring the ports up to date.  Raises ApiError, OSError."""
    service, slice_ = ingress_service(address, ports), ingress_endpoint_slice(address, ports)
    for resource, obj, changing in (
        (INGRESS_CLASSES, ingress_class(), None),
        (SERVICES, service, {"spec": {"ports": service["spec"]["ports"]}}),
        (ENDPOINT_SLICES, slice_, {"ports": slice_["ports"]}),
    ):
        try:
            await client.create(resource, obj)
        except ApiError as error:
            if not error.already_exists:
                raise
            if changing:
                await client.patch(resource, NAME, changing, NAMESPACE)


def ingress_class() -> dict:
    """The IngressClass that this controller serves, the default one."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": CONTROLLER},
    }


def ingress_service(cluster_ip: str, ports: Ports) -> dict:
    """The Service of the controller: its node ports are how a browser reaches it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS},
        "spec": {
            "type": "NodePort",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ports": [
                {"name": name, "port": port, "protocol": "TCP", "targetPort": port}
                for name, port in zip(("http", "https"), (ports.http, ports.https), strict=True)
            ],
        },
    }


def ingress_endpoint_slice(address: str, ports: Ports) -> dict:
    """The endpoint of that Service: the controller itself, which listens at its cluster IP."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {**_LABELS, rules.SERVICE_NAME: NAME},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [
            {"name": "http", "port": ports.http, "protocol": "TCP"},
            {"name": "https", "port": ports.https, "protocol": "TCP"},
        ],
    }
