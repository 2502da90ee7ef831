"""The admission plugins as functions: what LimitRanges say of a Pod, what a quota admits."""

from __future__ import annotations

import copy

import pytest

from labkit.apiserver.admission import limit_ranger
from labkit.apiserver.admission.resource_quota import Charge, Refused, charged
from labkit.kube.quotas import evaluator


def pod(*containers: dict) -> dict:
    return {"metadata": {"name": "web"}, "spec": {"containers": list(containers)}}


def container(requests: dict | None = None, limits: dict | None = None, name: str = "app") -> dict:
    return {"name": name, "resources": {"requests": requests or {}, "limits": limits or {}}}


def limit_range(**item: object) -> dict:
    return {"spec": {"limits": [{"type": "Container", **item}]}}


# -- LimitRanger -----------------------------------------------------------------------------------


def test_defaults_fill_what_is_missing_and_say_so():
    subject = pod(container({"cpu": "1"}), container(name="side"))
    limits = limit_range(default={"cpu": "2", "memory": "1Gi"}, defaultRequest={"cpu": "100m"})
    limit_ranger.add_defaults(limits, subject)
    app, side = (each["resources"] for each in subject["spec"]["containers"])
    assert app == {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    assert side == {"requests": {"cpu": "100m"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    assert subject["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory limit for container app; "
        "cpu request for container side; cpu, memory limit for container side"
    )


def test_without_anything_missing_there_is_no_annotation():
    subject = pod(container({"cpu": "1"}, {"cpu": "1"}))
    before = copy.deepcopy(subject)
    limit_ranger.add_defaults(limit_range(default={"cpu": "2"}), subject)
    assert subject == before


@pytest.mark.parametrize(
    ("item", "requests", "limits", "problem"),
    [
        ({"min": {"cpu": "100m"}}, {}, {},
         "minimum cpu usage per Container is 100m.  No request is specified"),
        ({"min": {"cpu": "100m"}}, {"cpu": "50m"}, {},
         "minimum cpu usage per Container is 100m, but request is 50m"),
        ({"min": {"cpu": "100m"}}, {"cpu": "100m"}, {"cpu": "60m"},
         "minimum cpu usage per Container is 100m, but limit is 60m"),
        ({"max": {"memory": "1Gi"}}, {}, {},
         "maximum memory usage per Container is 1Gi.  No limit is specified"),
        ({"max": {"memory": "1Gi"}}, {}, {"memory": "2Gi"},
         "maximum memory usage per Container is 1Gi, but limit is 2Gi"),
        ({"max": {"memory": "1Gi"}}, {"memory": "2Gi"}, {"memory": "1Gi"},
         "maximum memory usage per Container is 1Gi, but request is 2Gi"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {}, {"cpu": "1"},
         "cpu max limit to request ratio per Container is 2, "
         "but no request is specified or request is 0"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "1"}, {},
         "cpu max limit to request ratio per Container is 2, "
         "but no limit is specified or limit is 0"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "400m"}, {"cpu": "1"},
         "cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "500m"}, {"cpu": "1"}, None),
        ({"min": {"cpu": "100m"}, "max": {"cpu": "1"}}, {"cpu": "100m"}, {"cpu": "1"}, None),
    ],
)  # fmt: skip
def test_rules_of_containers(item, requests, limits, problem):
    found = list(limit_ranger.pod_problems(limit_range(**item), pod(container(requests, limits))))
    assert found == ([problem] if problem else [])


def test_rules_of_pods_are_about_the_sum():
    limits = {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}
    two = pod(container({}, {"cpu": "600m"}), container({}, {"cpu": "600m"}, "side"))
    assert list(limit_ranger.pod_problems(limits, two)) == [
        "maximum cpu usage per Pod is 1, but limit is 1200m"
    ]


def test_rules_of_claims_are_about_requests():
    bounds = {"min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
    limits = {"spec": {"limits": [{"type": "PersistentVolumeClaim", **bounds}]}}

    def claim(size):
        return {"spec": {"resources": {"requests": {"storage": size}}}}

    assert list(limit_ranger.claim_problems(limits, claim("1536Mi"))) == []
    assert list(limit_ranger.claim_problems(limits, claim("5Gi"))) == [
        "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"
    ]
    assert list(limit_ranger.claim_problems(limits, claim("1"))) == [
        "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1"
    ]


# -- ResourceQuota ---------------------------------------------------------------------------------


def quota(hard: dict, used: dict, name: str = "few", **spec: object) -> dict:
    return {
        "metadata": {"name": name},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used},
    }


def admit(quotas: list[dict], obj: dict, kind: str = "pods", old: dict | None = None) -> list[dict]:
    """What is used of each quota afterwards."""
    after = charged(quotas, Charge(evaluator(kind), obj, old, 0.0))
    return [each["status"]["used"] for each in after]


def test_what_fits_is_added_to_what_is_used():
    few = quota({"pods": "2", "requests.cpu": "1"}, {"pods": "1", "requests.cpu": "500m"})
    assert admit([few], pod(container({"cpu": "500m"}))) == [{"pods": "2", "requests.cpu": "1"}]


def test_what_does_not_fit_is_refused_with_the_amounts():
    few = quota({"pods": "2", "requests.cpu": "1"}, {"pods": "2", "requests.cpu": "500m"})
    with pytest.raises(Refused) as refused:
        admit([few], pod(container({"cpu": "600m"})))
    assert str(refused.value) == (
        "exceeded quota: few, requested: pods=1,requests.cpu=600m, used: pods=2,requests.cpu=500m, "
        "limited: pods=2,requests.cpu=1"
    )


def test_every_quota_must_admit():
    wide, narrow = quota({"pods": "9"}, {"pods": "0"}), quota({"pods": "0"}, {"pods": "0"}, "none")
    with pytest.raises(Refused, match="exceeded quota: none, requested: pods=1, used: pods=0"):
        admit([wide, narrow], pod(container()))


def test_a_quota_of_cpu_makes_containers_say_what_they_want():
    few = quota({"requests.cpu": "1"}, {"requests.cpu": "0"})
    with pytest.raises(Refused, match=r"^failed quota: few: must specify requests.cpu for: app$"):
        admit([few], pod(container()))


def test_a_quota_that_nobody_has_counted_admits_nothing():
    with pytest.raises(Refused, match=r"^status unknown for quota: few, resources: pods$"):
        admit([quota({"pods": "2"}, {})], pod(container()))


def test_a_quota_of_another_scope_is_not_concerned():
    few = quota({"pods": "0"}, {"pods": "0"}, scopes=["NotBestEffort"])
    assert admit([few], pod(container())) == [{"pods": "0"}]


def test_an_update_is_charged_for_what_it_adds():
    def service(type: str) -> dict:
        return {"metadata": {"name": "web"}, "spec": {"type": type, "ports": [{}]}}

    few = quota({"services": "1", "services.nodeports": "1"},
                {"services": "1", "services.nodeports": "0"})  # fmt: skip
    after = admit([few], service("NodePort"), "services", service("ClusterIP"))
    assert after == [{"services": "1", "services.nodeports": "1"}]
    assert admit([few], service("ClusterIP"), "services", service("ClusterIP")) == [
        few["status"]["used"]
    ]
