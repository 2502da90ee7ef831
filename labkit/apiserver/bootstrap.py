"""What every cluster has from the start: namespaces, priorities, the Service `kubernetes`, roles.

Source: k8s.io/kubernetes pkg/controlplane (systemnamespaces, kubernetesservice), pkg/registry/rbac
(rest.PolicyData), pkg/registry/scheduling and kube-aggregator (autoregister).
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace

from labkit.apiserver import default_roles, deletion, registry
from labkit.apiserver.reconcile_roles import reconciled
from labkit.apiserver.request import User
from labkit.apiserver.target import Call, Target
from labkit.apiserver.validate_policy import SYSTEM_PRIORITIES
from labkit.apiserver.writes import Writes
from labkit.client.errors import ApiError
from labkit.kube import resources
from labkit.kube.resources import Resource

SYSTEM = User("system:apiserver", ("system:masters",))
_PRIORITY = (17800, 15)  # of a group and of its versions; the larger is shown first
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PRIORITY_CLASSES = {
    "system-node-critical": "Used for system critical pods that must not be moved from their "
    "current node.",
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but "
    "can be moved to another node if necessary.",
}


async def ensure(writes: Writes, service_ip: str, advertise: tuple[str, int]) -> None:
    """Make what is missing and correct what may have moved; safe to repeat."""
    for name in _NAMESPACES:
        await _create(writes, resources.NAMESPACES, {"metadata": {"name": name}})
        # Pods need it; in other namespaces a controller makes it.
        account = {"metadata": {"name": "default", "namespace": name}}
        await _create(writes, resources.SERVICE_ACCOUNTS, account)
    for name, description in _PRIORITY_CLASSES.items():
        value = SYSTEM_PRIORITIES[name]
        obj = {"metadata": {"name": name}, "value": value, "description": description}
        await _create(writes, resources.PRIORITY_CLASSES, obj)
    address, port = advertise
    await _create(writes, resources.SERVICES, _service(service_ip, port))
    await _put(writes, resources.ENDPOINT_SLICES, _slice(address, port))
    await _ensure_roles(writes)
    versions = {(row.resource.group, row.resource.version) for row in registry.REGISTRATIONS}
    for group, version in sorted(versions):
        await ensure_api_service(writes, group, version, local=True)


async def _ensure_roles(writes: Writes) -> None:
    """The default roles and bindings, all at once, so that they share the store's commits."""
    wanted = [(resources.CLUSTER_ROLES, obj) for obj in default_roles.CLUSTER_ROLES_BY_DEFAULT]
    bindings = default_roles.CLUSTER_ROLE_BINDINGS_BY_DEFAULT
    wanted += [(resources.CLUSTER_ROLE_BINDINGS, obj) for obj in bindings]
    await asyncio.gather(*(_reconcile(writes, *one) for one in wanted))


async def _reconcile(writes: Writes, resource: Resource, wanted: dict) -> None:
    present = writes.state.of(resource).items.get(wanted["metadata"]["name"])
    call = _call(resource, copy.deepcopy(wanted), wanted["metadata"]["name"])
    if present and present.obj.get("roleRef") != wanted.get("roleRef"):
        # A binding's role cannot be changed.
        await deletion.delete(writes, replace(call, body=None))
        present = None
    if present is None:
        await writes.create(call)
        return
    found = reconciled(present.obj, wanted)
    if found is not present.obj:
        await writes.update(replace(call, body=copy.deepcopy(found)))


async def sync_api_services(
    writes: Writes, group: str, versions: set[str], priority: tuple[int, int]
) -> None:
    """Exactly one local APIService for each of a group's versions."""
    for version in sorted(versions):
        await ensure_api_service(writes, group, version, local=True, priority=priority)
    for name, item in list(writes.state.of(resources.API_SERVICES).items.items()):
        spec = item.obj["spec"]
        if spec.get("group") == group and spec["version"] not in versions and "service" not in spec:
            call = _call(resources.API_SERVICES, {"metadata": {}}, name)
            await deletion.delete(writes, replace(call, body=None))


async def ensure_api_service(
    writes: Writes,
    group: str,
    version: str,
    *,
    local: bool,
    priority: tuple[int, int] = _PRIORITY,
) -> None:
    """The APIService that says who answers for a group's version."""
    now = writes.clock.timestamp()
    condition = {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "Local" if local else "Passed",
        "message": "Local APIServices are always available" if local else "all checks passed",
    }
    service = {"namespace": "kube-system", "name": group.split(".")[0] + "-server", "port": 443}
    minimum, own = priority
    spec: dict = {"version": version, "groupPriorityMinimum": minimum, "versionPriority": own}
    spec |= ({"group": group} if group else {}) | ({} if local else {"service": service})
    obj = {
        "metadata": {"name": f"{version}.{group}"},
        "spec": spec,
        "status": {"conditions": [condition]},
    }
    await _create(writes, resources.API_SERVICES, obj)


def _service(address: str, port: int) -> dict:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{"name": "https", "port": 6443, "targetPort": port, "protocol": "TCP"}],
        },
    }


def _slice(address: str, port: int) -> dict:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


def _call(resource: Resource, obj: dict, name: str = "") -> Call:
    row = registry.find(resource.group, resource.version, resource.plural)
    target = Target(row, obj["metadata"].get("namespace", ""), name)
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
    return Call(target, SYSTEM, {}, body, "application/json", False, "kube-apiserver")


async def _create(writes: Writes, resource: Resource, obj: dict) -> None:
    try:
        await writes.create(_call(resource, obj))
    except ApiError as error:
        if not error.already_exists:
            raise


async def _put(writes: Writes, resource: Resource, obj: dict) -> None:
    """Create, or replace if it is there already."""
    call = _call(resource, obj, obj["metadata"]["name"])
    present = writes.state.of(resource).items
    await (writes.update(call) if call.target.key in present else writes.create(call))
