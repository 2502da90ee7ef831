"""What a kubelet may change of what it may write."""

from __future__ import annotations

import pytest

from labkit.apiserver.node_restriction import refusal, token_refusal
from labkit.kube.resources import LEASES, NODES, PODS, SERVICES


def obj(name: str, node: str = "", taints: tuple = (), **labels: str) -> dict:
    found = {"metadata": {"name": name, "labels": labels}, "spec": {"taints": list(taints)}}
    if node:
        found["spec"]["nodeName"] = node
    return found


RESERVED = {"example.node-restriction.kubernetes.io/tier": "gold"}
MIRROR = (
    'pod does not have "kubernetes.io/config.mirror" annotation, '
    'node "here" can only create mirror pods'
)
OTHER_STATUS = 'node "here" can only update pod status for pods with spec.nodeName set to itself'
OTHER_POD = 'node "here" can only delete pods with spec.nodeName set to itself'
ONLY_MIRRORS = 'unexpected operation "UPDATE", node "here" can only create and delete mirror pods'
OTHER_LEASE = "can only access node lease with the same name as the requesting node"
SET = (
    'node "here" is not allowed to set the following labels: '
    "example.node-restriction.kubernetes.io/tier"
)


@pytest.mark.parametrize(
    ("resource", "subresource", "old", "new", "why_not"),
    [
        (NODES, "", None, obj("here"), None),
        (NODES, "", None, obj("there"), 'node "here" is not allowed to modify node "there"'),
        (NODES, "", None, obj("here", **RESERVED), SET),
        (NODES, "", None, obj("here", taints=({"key": "a"},)), None),
        (NODES, "", obj("here"), obj("here", disk="ssd"), None),
        (
            NODES,
            "",
            obj("here", **RESERVED),
            obj("here"),
            "is not allowed to modify labels: example.node-restriction.kubernetes.io/tier",
        ),
        (
            NODES,
            "status",
            obj("here", taints=({"key": "a"},)),
            obj("here"),
            'node "here" is not allowed to modify taints',
        ),
        (LEASES, "", None, obj("here"), None),
        (LEASES, "", obj("there"), obj("there"), OTHER_LEASE),
        (PODS, "", None, obj("p", "here"), MIRROR),
        (PODS, "status", obj("p", "here"), obj("p", "here"), None),
        (PODS, "status", obj("p", "there"), obj("p", "there"), OTHER_STATUS),
        (
            PODS,
            "status",
            obj("p", "here"),
            obj("p", "here", app="other"),
            'node "here" cannot update labels through pod status',
        ),
        (PODS, "", obj("p", "here"), obj("p", "here"), ONLY_MIRRORS),
        (PODS, "", obj("p", "here"), None, None),
        (PODS, "", obj("p", "there"), None, OTHER_POD),
        (SERVICES, "", obj("a"), obj("a"), None),
    ],
)
def test_a_kubelet_changes_only_what_is_its_own(resource, subresource, old, new, why_not):
    assert refusal("here", resource, subresource, old, new) == why_not


POD = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "1"}


@pytest.mark.parametrize(
    ("reference", "bound", "why_not"),
    [
        (POD, obj("p", "here"), None),
        ({}, None, "node requested token not bound to a pod"),
        ({"kind": "Secret", "uid": "1"}, obj("s"), "node requested token not bound to a pod"),
        (
            {**POD, "uid": ""},
            obj("p", "here"),
            "node requested token with a pod binding without a uid",
        ),
        (
            POD,
            obj("p", "there"),
            "node requested token bound to a pod scheduled on a different node",
        ),
    ],
)
def test_a_kubelet_gets_tokens_for_its_pods_alone(reference, bound, why_not):
    assert token_refusal("here", reference, bound) == why_not
