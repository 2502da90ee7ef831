"""What this server serves, told to clients: groups, versions, resources.

Two forms of the same: one APIResourceList per group and version, and all at once (aggregated
discovery, which kubectl since 1.27 asks for first).  Both are made from `Served` lists: the rows of
the registry, and what aggregated servers say of themselves.

Source: Kubernetes API concepts, "API discovery"; k8s.io/apiserver pkg/endpoints/discovery.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from labkit.apiserver import statuses
from labkit.apiserver.custom import versions
from labkit.apiserver.negotiation import not_acceptable, parse_media_type
from labkit.apiserver.registration import Registration
from labkit.client.transport import JSON
from labkit.kube.resources import Resource

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_READ_WRITE = ["get", "patch", "update"]
_CONNECT = ["create", "get"]
_PROXY = ["create", "delete", "get", "patch", "update"]
# Whoever may create a Namespace need not be able to delete all of them at once.
_AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_FEWER_VERBS = {"namespaces": [verb for verb in _VERBS if verb != "deletecollection"]}


class _Subresource(NamedTuple):
    """`kind` is (group, version, kind) where it is not the resource's own; `options` ends the name
    of the kind that the parameters of a connection make up."""

    verbs: list[str]
    kind: tuple[str, str, str] | None = None
    options: str = ""


_SUBRESOURCES = {
    "status": _Subresource(_READ_WRITE),
    "ephemeralcontainers": _Subresource(_READ_WRITE),
    "scale": _Subresource(_READ_WRITE, ("autoscaling", "v1", "Scale")),
    "log": _Subresource(["get"]),
    "binding": _Subresource(["create"], ("", "v1", "Binding")),
    "eviction": _Subresource(["create"], ("policy", "v1", "Eviction")),
    "exec": _Subresource(_CONNECT, options="ExecOptions"),
    "attach": _Subresource(_CONNECT, options="AttachOptions"),
    "portforward": _Subresource(_CONNECT, options="PortForwardOptions"),
    "proxy": _Subresource(_PROXY, options="ProxyOptions"),
    "finalize": _Subresource(["update"]),
    "token": _Subresource(["create"], ("authentication.k8s.io", "v1", "TokenRequest")),
}


class Served(NamedTuple):
    """One group and version with its metav1.APIResources, subresources among them."""

    group: str
    version: str
    resources: Sequence[Mapping]
    custom: bool = False

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """`/api/v1` or `/apis/group/version`."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


def served(rows: Iterable[Registration]) -> list[Served]:
    """The rows by group and version: Kubernetes' own in their order, then custom ones by name."""
    own: dict[tuple[str, str], list[dict]] = {}
    custom: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        found = custom if row.custom else own
        resources = found.setdefault((row.resource.group, row.resource.version), [])
        resources += _resources(row)
    in_order = sorted(custom, key=lambda key: versions.priority(key[1]), reverse=True)
    in_order.sort(key=lambda key: key[0])
    return [
        *(Served(*key, _sorted(resources)) for key, resources in own.items()),
        *(Served(*key, _sorted(custom[key]), custom=True) for key in in_order),
    ]


def _sorted(resources: list[dict]) -> list[dict]:
    return sorted(resources, key=lambda entry: entry["name"])


def _resources(row: Registration) -> Iterable[dict]:
    resource = row.resource
    main = {
        "name": resource.plural,
        "singularName": row.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(row),
    }
    if row.short_names:
        main["shortNames"] = list(row.short_names)
    if row.categories:
        main["categories"] = list(row.categories)
    if not row.ephemeral:
        main["storageVersionHash"] = _hash(row.storage)
    yield main
    for name in row.subresources:
        what = _SUBRESOURCES[name]
        entry = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": what.kind[2] if what.kind else resource.kind + what.options,
            "verbs": what.verbs,
        }
        if what.kind:
            entry["group"], entry["version"] = what.kind[:2]
        yield entry


def _verbs(row: Registration) -> list[str]:
    if row.ephemeral:
        return ["create"]
    if row.custom and row.custom.terminating:
        return ["delete", "deletecollection", "get", "list", "watch"]
    return _FEWER_VERBS.get(row.resource.plural, _VERBS)


def _hash(storage: Resource) -> str:
    """What changes when objects are stored as another version (discovery.StorageVersionHash)."""
    text = f"{storage.group}/{storage.version}/{storage.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def resource_list(one: Served) -> dict:
    """The APIResourceList of one group and version."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": one.api_version,
        "resources": list(one.resources),
    }


def core_versions(address: str) -> dict:
    """The APIVersions of the core group; `address` is where this server is."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(all_served: Iterable[Served]) -> dict:
    """The APIGroupList of all named groups."""
    groups = [group_of(found) for _, found in _by_group(all_served) if found[0].group]
    for group in groups:
        del group["kind"], group["apiVersion"]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_of(found: Sequence[Served]) -> dict:
    """The APIGroup with these versions; the first is the preferred one."""
    versions = [{"groupVersion": one.api_version, "version": one.version} for one in found]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": found[0].group,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def _by_group(all_served: Iterable[Served]) -> list[tuple[str, list[Served]]]:
    groups: dict[str, list[Served]] = {}
    for one in all_served:
        groups.setdefault(one.group, []).append(one)
    return list(groups.items())


def aggregated_form(accept: str) -> tuple[str, bool]:
    """What an Accept header wants of /api or /apis: (content type, whether it is aggregated
    discovery rather than the plain form).  Raises ApiError 406."""
    for clause in accept.split(",") if accept else [JSON]:
        media, given = parse_media_type(clause)
        if media in (JSON, "*/*", "application/*"):
            if given.get("as") != "APIGroupDiscoveryList":
                return JSON, False
            if given.get("g") == "apidiscovery.k8s.io" and given.get("v") == "v2":
                return _AGGREGATED, True
    raise not_acceptable((JSON,))


def aggregated(all_served: Iterable[Served]) -> dict:
    """The APIGroupDiscoveryList."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name, "creationTimestamp": None},
                "versions": [_version(one) for one in found],
            }
            for name, found in _by_group(all_served)
        ],
    }


def _version(one: Served) -> dict:
    resources: dict[str, dict] = {}
    for entry in one.resources:
        name, _, subresource = entry["name"].partition("/")
        if not subresource:
            resources[name] = _discovered(one, entry)
            continue
        parent = resources.setdefault(name, _parent(name, entry))
        parent.setdefault("subresources", []).append(
            {
                "subresource": subresource,
                "responseKind": _kind(one, entry),
                "verbs": entry["verbs"],
            }
        )
    return {"version": one.version, "resources": list(resources.values()), "freshness": "Current"}


def _parent(name: str, entry: Mapping) -> dict:
    """What stands for the resource of a subresource that has none, such as the custom metric
    `pods/http_requests_per_second`: clients want its kind to be there, and it may be empty."""
    return {
        "resource": name,
        "responseKind": {"group": "", "version": "", "kind": ""},
        "scope": _scope(entry),
        "singularResource": "",
        "verbs": None,
    }


def _scope(entry: Mapping) -> str:
    return "Namespaced" if entry["namespaced"] else "Cluster"


def _discovered(one: Served, entry: Mapping) -> dict:
    found = {
        "resource": entry["name"],
        "responseKind": _kind(one, entry),
        "scope": _scope(entry),
        "singularResource": entry["singularName"],
        "verbs": entry["verbs"],
    }
    for field in ("shortNames", "categories"):
        if entry.get(field):
            found[field] = entry[field]
    return found


def _kind(one: Served, entry: Mapping) -> dict:
    if entry.get("version"):
        return {
            "group": entry.get("group", ""),
            "version": entry["version"],
            "kind": entry["kind"],
        }
    # Empty, clients take the group and version that they read of.
    group, version = (one.group, one.version) if one.custom else ("", "")
    return {"group": group, "version": version, "kind": entry["kind"]}


def find_group(all_served: Iterable[Served], name: str) -> list[Served]:
    """The versions of one group.  Raises ApiError 404 where the group is not served."""
    found = [one for one in all_served if one.group == name]
    if not found:
        raise statuses.no_such_path()
    return found
