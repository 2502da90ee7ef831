"""NodeRestriction: a kubelet writes its own Node, and of Pods those that run on it.

The node authorizer lets every kubelet write Nodes, Leases and the status of Pods, for it sees only
what a request asks to do; here is looked at what it would change.

Source: k8s.io/kubernetes plugin/pkg/admission/noderestriction, with its messages.  Left out: mirror
Pods (kubelets here have no static Pods, so that they may create none at all), which labels of
kubernetes.io a kubelet may give its Node, CSINodes and the status of claims.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import statuses
from labkit.apiserver.node_authorizer import node_of
from labkit.apiserver.target import Call
from labkit.kube import pods
from labkit.kube.resources import LEASES, NODES, PODS, SERVICE_ACCOUNTS, Resource

_MIRROR = "kubernetes.io/config.mirror"
_RESERVED = "node-restriction.kubernetes.io"


def check(call: Call, old: Mapping | None, new: Mapping | None) -> None:
    """Let a write pass: `old` becomes `new`; one of them is None where there is no such object.

    Raises ApiError 403 for what is not the business of the kubelet that asks.
    """
    node = node_of(call.user)
    if node:
        resource = call.target.row.resource
        why = refusal(node, resource, call.target.subresource, old, new)
        if why:
            raise statuses.forbidden(resource, _name(old, new), why)


def check_token(call: Call, reference: Mapping, bound: Mapping | None) -> None:
    """Let a request for a token pass that shall be bound to `bound`, named by `reference`.

    Raises ApiError 403.
    """
    node = node_of(call.user)
    if node and (why := token_refusal(node, reference, bound)):
        raise statuses.forbidden(SERVICE_ACCOUNTS, call.target.name, why)


def token_refusal(node: str, reference: Mapping, bound: Mapping | None) -> str | None:
    """Why `node` may not have a token that is bound so, or None."""
    if bound is None or reference.get("kind") != "Pod":
        return "node requested token not bound to a pod"
    if not reference.get("uid"):
        return "node requested token with a pod binding without a uid"
    if pods.node_name(bound) != node:
        return "node requested token bound to a pod scheduled on a different node"
    return None


def refusal(
    node: str, resource: Resource, subresource: str, old: Mapping | None, new: Mapping | None
) -> str | None:
    """Why `node` may not make `old` into `new`, or None."""
    if resource == NODES:
        return _of_node(node, old, new)
    if resource == PODS:
        return _of_pod(node, subresource, old, new)
    if resource == LEASES and _name(old, new) != node:
        return "can only access node lease with the same name as the requesting node"
    return None


def _name(old: Mapping | None, new: Mapping | None) -> str:
    return (new or old or {}).get("metadata", {}).get("name", "")


def _of_node(node: str, old: Mapping | None, new: Mapping | None) -> str | None:
    if (name := _name(old, new)) != node:
        return f'node "{node}" is not allowed to modify node "{name}"'
    labels = ", ".join(sorted(filter(_is_reserved, _changed_labels(old, new))))
    if old is None:
        said = f'node "{node}" is not allowed to set the following labels: {labels}'
        return said if labels else None
    if new is not None and _taints(old) != _taints(new):
        return f'node "{node}" is not allowed to modify taints'
    return f"is not allowed to modify labels: {labels}" if labels else None


def _of_pod(node: str, subresource: str, old: Mapping | None, new: Mapping | None) -> str | None:
    if old is None:
        return (
            f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
        )
    mine = pods.node_name(old) == node
    if new is None:
        what = "delete pods"
    elif subresource == "status":
        what = "update pod status for pods"
        if mine and _labels(old) != _labels(new):
            return f'node "{node}" cannot update labels through pod status'
    else:
        return (
            f'unexpected operation "UPDATE", node "{node}" can only create and delete mirror pods'
        )
    return None if mine else f'node "{node}" can only {what} with spec.nodeName set to itself'


def _labels(obj: Mapping | None) -> Mapping:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}


def _taints(node: Mapping) -> list:
    return (node.get("spec") or {}).get("taints") or []


def _changed_labels(old: Mapping | None, new: Mapping | None) -> set[str]:
    before, after = _labels(old), _labels(new)
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _is_reserved(label: str) -> bool:
    namespace = label.rpartition("/")[0]
    return namespace == _RESERVED or namespace.endswith(f".{_RESERVED}")
