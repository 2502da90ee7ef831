"""LimitRanges: what they add to the Pods of their namespace, and what they refuse."""

from __future__ import annotations

import pytest

from tests.api.conftest import Wire, refused


def limits(wire: Wire, ns: str, **item: object) -> dict:
    body = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", **item}]},
    }
    return wire.ok("POST", f"{ns}/limitranges", body)


def pod(requests: dict | None = None, limits: dict | None = None, name: str = "web") -> dict:
    resources = {"requests": requests or {}, "limits": limits or {}}
    container = {"name": "app", "image": "busybox:1.36", "resources": resources}
    spec = {"nodeSelector": {"test/nowhere": "yes"}, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_a_container_gets_what_it_does_not_say(wire: Wire, ns: str):
    limits(wire, ns, default={"cpu": "500m"}, defaultRequest={"cpu": "100m", "memory": "32Mi"})
    made = wire.ok("POST", f"{ns}/pods", pod())
    assert made["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "500m"},
        "requests": {"cpu": "100m", "memory": "32Mi"},
    }
    annotation = made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    assert "cpu, memory request for container app" in annotation
    assert "cpu limit for container app" in annotation
    assert made["status"]["qosClass"] == "Burstable"


def test_a_limit_that_is_given_is_the_request_too(wire: Wire, ns: str):
    limits(wire, ns, defaultRequest={"cpu": "100m"})
    made = wire.ok("POST", f"{ns}/pods", pod(limits={"cpu": "300m"}))
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "300m"}


def test_defaults_do_not_hide_that_a_container_has_no_name(wire: Wire, ns: str):
    limits(wire, ns, default={"cpu": "500m"})
    nameless = pod()
    del nameless["spec"]["containers"][0]["name"]
    why = "spec.containers[0].name: Required value"
    refused(wire.post(f"{ns}/pods", nameless), 422, "Invalid", why)


def test_a_limit_range_completes_itself(wire: Wire, ns: str):
    made = limits(wire, ns, max={"cpu": "2"})
    assert made["spec"]["limits"] == [
        {
            "type": "Container",
            "max": {"cpu": "2"},
            "default": {"cpu": "2"},
            "defaultRequest": {"cpu": "2"},
        }
    ]


@pytest.mark.parametrize(
    ("rule", "requests", "given", "why"),
    [
        ({"min": {"memory": "64Mi"}}, {"memory": "32Mi"}, {"memory": "64Mi"},
         "minimum memory usage per Container is 64Mi, but request is 32Mi"),
        ({"max": {"cpu": "1"}}, {"cpu": "1"}, {"cpu": "2"},
         "maximum cpu usage per Container is 1, but limit is 2"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "100m"}, {"cpu": "400m"},
         "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"),
    ],
    ids=["min", "max", "ratio"],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused(wire: Wire, ns: str, rule, requests, given, why):
    limits(wire, ns, **rule)
    answer = wire.post(f"{ns}/pods", pod(requests, given))
    status = refused(answer, 403, "Forbidden", f'pods "web" is forbidden: {why}')
    assert status["details"] == {"name": "web", "kind": "pods"}


def test_all_broken_rules_are_told_together(wire: Wire, ns: str):
    limits(wire, ns, max={"cpu": "1", "memory": "1Gi"})
    answer = wire.post(f"{ns}/pods", pod(limits={"cpu": "2", "memory": "2Gi"}))
    refused(answer, 403, "Forbidden", 'is forbidden: [',
            "maximum cpu usage per Container is 1, but limit is 2",
            "maximum memory usage per Container is 1Gi, but limit is 2Gi")  # fmt: skip


def test_templates_are_not_looked_at_but_their_pods_are(wire: Wire, ns: str, in_group):
    limits(wire, ns, max={"cpu": "1"})
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod(limits={"cpu": "2"})["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}}
    wire.ok("POST", f"{in_group('apps/v1')}/replicasets", {**body, "spec": spec})
