"""What is done through the API when a cluster starts, as kubeadm does it after the control plane.

Source: kubeadm's phases "addon" and "wait-control-plane".
"""

from __future__ import annotations

from labkit.client import ApiError, Client
from labkit.clusters.assembly import Site
from labkit.kube import conditions
from labkit.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ENDPOINT_SLICES,
    NODES,
    SERVICE_ACCOUNTS,
    SERVICES,
    STORAGE_CLASSES,
    Resource,
)

_POLL = 0.01
_RBAC = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
# What addons bring with them: name → rules (verbs, API group, resources).
_ADDON_ROLES = {
    "system:coredns": (
        "coredns",
        (("list", "watch"), "", ("endpoints", "services", "pods", "namespaces")),
        (("list", "watch"), "discovery.k8s.io", ("endpointslices",)),
    ),
    "system:ingress-controller": (
        "ingress-controller",
        (_READ, "", ("secrets",)),
        ((*_READ, "create", "patch"), "", ("services",)),
        ((*_READ, "create", "patch"), "discovery.k8s.io", ("endpointslices",)),
        (_READ, "networking.k8s.io", ("ingresses",)),
        ((*_READ, "create"), "networking.k8s.io", ("ingressclasses",)),
        (("update",), "networking.k8s.io", ("ingresses/status",)),
        (("create", "patch"), "", ("events",)),
    ),
    "system:metrics-server": (
        "metrics-server",
        (("get",), "", ("nodes/metrics",)),
        (_READ, "", ("pods", "nodes", "services")),
    ),
}


# As kind and minikube call it.
_STORAGE_CLASS = {
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "rancher.io/local-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}


async def storage_class(client: Client) -> None:
    """The default StorageClass, whose provisioner is among the controllers."""
    await _create(client, STORAGE_CLASSES, _STORAGE_CLASS)


async def addons(client: Client) -> None:
    """What the addons may read and write, where they are clients like all others."""
    for name, (account, *rules) in _ADDON_ROLES.items():
        role = [
            {"verbs": list(verbs), "apiGroups": [group], "resources": list(resources)}
            for verbs, group, resources in rules
        ]
        await _create(client, CLUSTER_ROLES, {"metadata": {"name": name}, "rules": role})
        subject = {"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        }
        await _create(client, CLUSTER_ROLE_BINDINGS, binding)


async def _create(client: Client, resource: Resource, obj: dict) -> bool:
    """Whether it was not there yet."""
    try:
        await client.create(resource, obj)
    except ApiError as error:
        if not error.already_exists:
            raise
        return False
    return True


async def publish_dns(client: Client, site: Site, port: int) -> None:
    """The Service `kube-dns` and its endpoint, with the port that DNS got this time."""
    from labkit.proxy import kube_dns_endpoint_slice, kube_dns_service

    service = kube_dns_service(site.addresses.dns, port)
    endpoints = kube_dns_endpoint_slice(site.addresses.dns, port)
    for resource, obj, changing in (
        (SERVICES, service, {"spec": {"ports": service["spec"]["ports"]}}),
        (ENDPOINT_SLICES, endpoints, {"ports": endpoints["ports"]}),
    ):
        if not await _create(client, resource, obj):
            await client.patch(resource, "kube-dns", changing, "kube-system")


async def remove_other_nodes(client: Client, site: Site) -> None:
    """A cluster that comes back smaller has lost these nodes for good."""
    for node in (await client.list(NODES))["items"]:
        if node["metadata"]["name"] not in site.nodes:
            await client.delete(NODES, node["metadata"]["name"])


async def until_ready(client: Client, site: Site) -> None:
    """Return when all nodes are Ready and the default ServiceAccount exists."""
    while not await _is_ready(client, site):
        await site.clock.sleep(_POLL)


async def _is_ready(client: Client, site: Site) -> bool:
    found = {node["metadata"]["name"]: node for node in (await client.list(NODES))["items"]}
    if not all(name in found and conditions.is_true(found[name], "Ready") for name in site.nodes):
        return False
    accounts = await client.list(SERVICE_ACCOUNTS, "default")
    return any(item["metadata"]["name"] == "default" for item in accounts["items"])
