"""What a kubelet may do: its own Node, and what its Pods refer to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labkit.apiserver import attributes
from labkit.apiserver.node_authorizer import NodeAuthorizer, node_of
from labkit.apiserver.request import User
from labkit.kube.resources import PERSISTENT_VOLUMES, PODS


def pod(name: str, node: str, **spec) -> SimpleNamespace:
    meta = {"name": name, "namespace": "default"}
    return SimpleNamespace(obj={"metadata": meta, "spec": {"nodeName": node, **spec}})


MINE = pod(
    "mine",
    "here",
    serviceAccountName="web",
    imagePullSecrets=[{"name": "pull"}],
    containers=[
        {
            "name": "a",
            "envFrom": [{"configMapRef": {"name": "all"}}],
            "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}}],
        }
    ],
    volumes=[
        {"name": "v", "secret": {"secretName": "file"}},
        {"name": "w", "projected": {"sources": [{"configMap": {"name": "part"}}]}},
        {"name": "x", "persistentVolumeClaim": {"claimName": "disk"}},
    ],
)
OTHER = pod("other", "there", containers=[], volumes=[{"secret": {"secretName": "foreign"}}])
DISKS = {
    claim: SimpleNamespace(obj={"spec": {"claimRef": {"namespace": "default", "name": claim}}})
    for claim in ("disk", "other")
}
API, NAMESPACE, POD_LIST = "/api/v1", "/api/v1/namespaces/default", "/api/v1/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
UNRELATED = "no relationship found between node 'here' and this object"
POD_SELECTOR = "can only list/watch pods with spec.nodeName field selector"


@pytest.mark.parametrize(
    ("method", "path", "selector", "why_not"),
    [
        ("GET", f"{NAMESPACE}/secrets/pull", "", None),
        ("GET", f"{NAMESPACE}/secrets/one", "", None),
        ("GET", f"{NAMESPACE}/secrets/file", "", None),
        ("GET", f"{NAMESPACE}/secrets/foreign", "", UNRELATED),
        ("GET", f"{NAMESPACE}/secrets", "", "No Object name found"),
        ("GET", f"{NAMESPACE}/secrets", "metadata.name=one", None),
        ("GET", f"{API}/secrets", "", "can only read namespaced object of this type"),
        ("PUT", f"{NAMESPACE}/secrets/one", "", "can only read resources of this type"),
        ("GET", f"{NAMESPACE}/configmaps/all", "", None),
        ("GET", f"{NAMESPACE}/configmaps/part", "", None),
        ("GET", f"{NAMESPACE}/configmaps/one", "", UNRELATED),
        ("GET", f"{NAMESPACE}/persistentvolumeclaims/disk", "", None),
        ("GET", f"{API}/persistentvolumes/disk", "", None),
        ("GET", f"{API}/persistentvolumes/other", "", UNRELATED),
        (
            "GET",
            f"{API}/persistentvolumes",
            "",
            "can only get individual resources of this type",
        ),
        ("POST", f"{NAMESPACE}/serviceaccounts/web/token", "", None),
        ("POST", f"{NAMESPACE}/serviceaccounts/default/token", "", UNRELATED),
        ("GET", POD_LIST, "spec.nodeName=here", None),
        ("GET", POD_LIST, "spec.nodeName=there", POD_SELECTOR),
        ("GET", POD_LIST, "", POD_SELECTOR),
        ("GET", f"{NAMESPACE}/pods/mine", "", None),
        ("GET", f"{NAMESPACE}/pods/other", "", UNRELATED),
        ("PATCH", f"{NAMESPACE}/pods/mine/status", "", None),
        ("POST", f"{NAMESPACE}/pods/mine/exec", "", ""),
        ("GET", f"{API}/nodes/here", "", None),
        (
            "GET",
            f"{API}/nodes/there",
            "",
            "node 'here' cannot read 'there', only its own Node object",
        ),
        ("GET", f"{API}/nodes", "", "node 'here' cannot read all nodes, only its own Node object"),
        ("DELETE", f"{API}/nodes/here", "", ""),
        ("PATCH", f"{LEASES}/here", "", None),
        (
            "PATCH",
            f"{LEASES}/there",
            "",
            "can only access node lease with the same name as the requesting node",
        ),
        ("GET", f"{API}/services", "", None),
        ("POST", f"{NAMESPACE}/services", "", ""),
        ("POST", f"{NAMESPACE}/events", "", None),
    ],
)
def test_a_kubelet_may_do_what_its_node_needs(method, path, selector, why_not):
    items = {str(number): each for number, each in enumerate((MINE, OTHER))}
    stored = {PODS: SimpleNamespace(items=items), PERSISTENT_VOLUMES: SimpleNamespace(items=DISKS)}
    state = SimpleNamespace(of=stored.get)
    wanted = attributes.of(method, path, {"fieldSelector": selector})
    assert NodeAuthorizer(state).refusal("here", wanted) == why_not


@pytest.mark.parametrize(
    ("name", "groups", "node"),
    [
        ("system:node:here", ("system:nodes",), "here"),
        ("system:node:here", (), ""),
        ("here", ("system:nodes",), ""),
    ],
)
def test_a_node_shows_that_it_is_one_by_name_and_group(name, groups, node):
    assert node_of(User(name, groups)) == node
