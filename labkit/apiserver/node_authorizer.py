"""What a kubelet may do: its own Node, and what the Pods on it refer to.

A kubelet shows that it is one by its name, `system:node:<node>`, and the group `system:nodes`.
Rules alone cannot say "the Secrets of the Pods that run on you", so that a kubelet that was broken
into would read the Secrets of all: hence an authorizer of its own, beside RBAC.

What a Pod refers to is read from the Pods of the node when it is asked for; upstream keeps a graph,
for thousands of nodes.  Which objects a kubelet may write, where their content decides it, upstream
leaves to the admission plugin NodeRestriction.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/node and pkg/auth/nodeidentifier.  Left out:
volume attachments, dynamic resource allocation, PersistentVolumes' Secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit.apiserver import rbac
from labkit.apiserver.attributes import Attributes
from labkit.apiserver.default_roles import NODE_RULES
from labkit.apiserver.request import User
from labkit.apiserver.state import State
from labkit.kube.pods import node_name
from labkit.kube.resources import PERSISTENT_VOLUMES, PODS

_USERS, _GROUP = "system:node:", "system:nodes"
_LEASES = "kube-node-lease"
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch")
_KEEP = ("get", *_WRITE, "delete")


def node_of(user: User) -> str:
    """The node that a user is, or the empty string."""
    if _GROUP in user.groups and user.name.startswith(_USERS):
        return user.name.removeprefix(_USERS)
    return ""


class NodeAuthorizer:
    """Answers for the nodes of one server."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rules = rbac.Grants((rule, "") for rule in NODE_RULES)

    def refusal(self, node: str, wanted: Attributes) -> str | None:
        """None if `node` may do what is `wanted`, else why not (perhaps the empty string)."""
        judge = _JUDGES.get((wanted.group, wanted.resource))
        if judge is not None:
            return judge(self, node, wanted)
        return None if self._rules.allows(wanted) is not None else ""

    # One function for each resource that is subdivided: why not, or None.

    def _source(self, node: str, wanted: Attributes) -> str | None:
        """A ConfigMap or Secret."""
        if wanted.verb not in _READ:
            return "can only read resources of this type"
        if wanted.subresource:
            return "cannot read subresource"
        if not wanted.namespace:
            return "can only read namespaced object of this type"
        return self._related(node, wanted)

    def _claim(self, node: str, wanted: Attributes) -> str | None:
        """A PersistentVolumeClaim."""
        if wanted.subresource == "status":
            if wanted.verb not in ("update", "patch"):
                return "can only get/update/patch this type"
        elif wanted.verb != "get":
            return "can only get individual resources of this type"
        return self._related(node, wanted)

    def _volume(self, node: str, wanted: Attributes) -> str | None:
        """A PersistentVolume, by way of its claim."""
        if wanted.verb != "get":
            return "can only get individual resources of this type"
        if wanted.subresource:
            return "cannot get subresource"
        if not wanted.name:
            return "No Object name found"
        item = self._state.of(PERSISTENT_VOLUMES).items.get(wanted.name)
        claim = (item.obj["spec"].get("claimRef") if item else None) or {}
        for pod in self._pods(node, claim.get("namespace", "")):
            if ("persistentvolumeclaims", claim.get("name")) in _references(pod):
                return None
        return f"no relationship found between node '{node}' and this object"

    def _token(self, node: str, wanted: Attributes) -> str | None:
        """A ServiceAccount's token."""
        if wanted.verb != "create" or not wanted.name:
            return "can only create tokens for individual service accounts"
        if wanted.subresource != "token":
            return "can only create token subresource of serviceaccount"
        return self._related(node, wanted)

    def _lease(self, node: str, wanted: Attributes) -> str | None:
        if wanted.verb not in _KEEP:
            return "can only get, create, update, patch, or delete a node lease"
        if wanted.namespace != _LEASES:
            return f'can only access leases in the "{_LEASES}" system namespace'
        if wanted.verb != "create" and wanted.name != node:
            return "can only access node lease with the same name as the requesting node"
        return None

    def _csi_node(self, node: str, wanted: Attributes) -> str | None:
        if wanted.verb not in _KEEP:
            return "can only get, create, update, patch, or delete a CSINode"
        if wanted.subresource:
            return "cannot authorize CSINode subresources"
        if wanted.verb != "create" and wanted.name != node:
            return "can only access CSINode with the same name as the requesting node"
        return None

    def _node(self, node: str, wanted: Attributes) -> str | None:
        if wanted.subresource == "status":
            return None if wanted.verb in ("update", "patch") else ""
        if wanted.subresource or wanted.verb not in (*_READ, *_WRITE):
            return ""
        if wanted.verb in _WRITE or wanted.name == node:
            return None
        what = f"'{wanted.name}'" if wanted.name else "all nodes"
        return f"node '{node}' cannot read {what}, only its own Node object"

    def _pod(self, node: str, wanted: Attributes) -> str | None:
        verb, subresource = wanted.verb, wanted.subresource
        if subresource:
            allowed = {"status": ("update", "patch"), "eviction": ("create",)}
            return None if verb in allowed.get(subresource, ()) else ""
        if verb in ("create", "delete"):
            return None
        if verb not in _READ:
            return ""
        if verb != "get" and f"spec.nodeName={node}" in wanted.selected:
            return None
        if wanted.name:
            return self._related(node, wanted)
        return "can only list/watch pods with spec.nodeName field selector"

    # The relation of a node to what its Pods refer to

    def _related(self, node: str, wanted: Attributes) -> str | None:
        if not wanted.name:
            return "No Object name found"
        for pod in self._pods(node, wanted.namespace):
            if (wanted.resource, wanted.name) in _references(pod):
                return None
        return f"no relationship found between node '{node}' and this object"

    def _pods(self, node: str, namespace: str) -> Iterator[Mapping]:
        for item in self._state.of(PODS).items.values():
            if node_name(item.obj) == node and item.obj["metadata"]["namespace"] == namespace:
                yield item.obj


_JUDGES = {
    ("", "secrets"): NodeAuthorizer._source,
    ("", "configmaps"): NodeAuthorizer._source,
    ("", "persistentvolumeclaims"): NodeAuthorizer._claim,
    ("", "persistentvolumes"): NodeAuthorizer._volume,
    ("", "serviceaccounts"): NodeAuthorizer._token,
    ("coordination.k8s.io", "leases"): NodeAuthorizer._lease,
    ("storage.k8s.io", "csinodes"): NodeAuthorizer._csi_node,
    ("", "nodes"): NodeAuthorizer._node,
    ("", "pods"): NodeAuthorizer._pod,
}


def _references(pod: Mapping) -> Iterator[tuple[str, str]]:
    """(resource, name) of the Pod itself and all that it refers to, in its namespace."""
    spec = pod["spec"]
    yield "pods", pod["metadata"]["name"]
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _of_container(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)


def _of_container(container: Mapping) -> Iterator[tuple[str, str]]:
    for entry in container.get("envFrom") or ():
        yield "configmaps", (entry.get("configMapRef") or {}).get("name", "")
        yield "secrets", (entry.get("secretRef") or {}).get("name", "")
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        yield "configmaps", (source.get("configMapKeyRef") or {}).get("name", "")
        yield "secrets", (source.get("secretKeyRef") or {}).get("name", "")


def _of_volume(volume: Mapping) -> Iterator[tuple[str, str]]:
    yield "configmaps", (volume.get("configMap") or {}).get("name", "")
    yield "secrets", (volume.get("secret") or {}).get("secretName", "")
    claim = volume.get("persistentVolumeClaim") or {}
    yield "persistentvolumeclaims", claim.get("claimName", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield "configmaps", (source.get("configMap") or {}).get("name", "")
        yield "secrets", (source.get("secret") or {}).get("name", "")
