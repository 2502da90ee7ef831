"""Evictions honour PodDisruptionBudgets."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import pytest

from tests.api.conftest import Wire, refused, until

LABELS = {"app": "web"}
VIOLATION = "Cannot evict pod as it would violate the pod's disruption budget."


def pod_spec(command: str = "sleep 3600", **container: object) -> dict:
    app = {"name": "app", "image": "busybox:1.36", "command": ["sh", "-c", command], **container}
    return {"terminationGracePeriodSeconds": 0, "containers": [app]}


def pod(name: str, **container: object) -> dict:
    metadata = {"name": name, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(**container)}


def eviction(name: str, **options: object) -> dict:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return {**body, "deleteOptions": options} if options else body


def evict(wire: Wire, ns: str, name: str, **options: object):
    return wire.post(f"{ns}/pods/{name}/eviction", eviction(name, **options))


@pytest.fixture
def budgets(in_group) -> str:
    return f"{in_group('policy/v1')}/poddisruptionbudgets"


@pytest.fixture
def protect(wire: Wire, budgets: str) -> Callable[..., None]:
    def create(name: str = "budget", **spec: object) -> None:
        body = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": LABELS}, **spec},
        }
        wire.ok("POST", budgets, body)

    return create


@pytest.fixture
def deployment(wire: Wire, ns: str, in_group) -> Callable[[int], list[str]]:
    """Creates a Deployment and waits until its Pods are ready; their names."""

    def create(replicas: int) -> list[str]:
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod_spec()},
        }
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
        wire.ok("POST", f"{in_group('apps/v1')}/deployments", {**body, "spec": spec})
        return until(lambda: ready(wire, ns, replicas), 60, "the Pods are ready")

    return create


def ready(wire: Wire, ns: str, count: int) -> list[str]:
    found = [one for one in wire.ok("GET", f"{ns}/pods")["items"] if condition(one, "Ready")]
    return [one["metadata"]["name"] for one in found] if len(found) == count else []


def condition(obj: dict, kind: str) -> dict | None:
    found = obj["status"].get("conditions") or ()
    return next((one for one in found if one["type"] == kind and one["status"] == "True"), None)


def status_of(wire: Wire, budgets: str, name: str = "budget") -> dict:
    return wire.ok("GET", f"{budgets}/{name}").get("status") or {}


def counted(wire: Wire, budgets: str, **expected: int) -> dict:
    """The budget's status once it has these counts."""

    def holds() -> dict | None:
        status = status_of(wire, budgets)
        return status if expected.items() <= status.items() else None

    return until(holds, 30, f"the budget has {expected}")


def test_without_a_budget_an_eviction_is_a_deletion(wire: Wire, ns: str):
    wire.ok("POST", f"{ns}/pods", pod("lone"))
    answer = evict(wire, ns, "lone")
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["status"]) == ("Status", "Success")
    until(lambda: wire.get(f"{ns}/pods/lone").status_code == 404, what="the Pod is gone")


def test_the_eviction_must_name_the_pod(wire: Wire, ns: str):
    wire.ok("POST", f"{ns}/pods", pod("lone"))
    answer = wire.post(f"{ns}/pods/lone/eviction", eviction("other"))
    refused(answer, 400, "BadRequest", "name in URL does not match name in Eviction object")
    refused(evict(wire, ns, "absent"), 404, "NotFound", 'pods "absent" not found')


def test_a_budget_counts_its_pods(wire: Wire, protect, budgets: str, deployment):
    deployment(3)
    protect(minAvailable=2)
    status = counted(wire, budgets, expectedPods=3, currentHealthy=3, desiredHealthy=2)
    assert status["disruptionsAllowed"] == 1
    allowed = condition({"status": status}, "DisruptionAllowed")
    assert (allowed["reason"], allowed["observedGeneration"]) == ("SufficientPods", 1)


@pytest.mark.parametrize(
    ("rule", "desired", "allowed"),
    [
        ({"minAvailable": "50%"}, 2, 1),
        ({"maxUnavailable": 1}, 2, 1),
        ({"maxUnavailable": "34%"}, 1, 2),
        ({"maxUnavailable": 0}, 3, 0),
        ({"minAvailable": 5}, 5, 0),
    ],
    ids=str,
)
def test_a_budget_may_be_a_share_of_what_there_should_be(
    wire: Wire, protect, budgets: str, deployment, rule, desired, allowed
):
    deployment(3)
    protect(**rule)
    status = counted(wire, budgets, expectedPods=3, currentHealthy=3)
    assert (status["desiredHealthy"], status["disruptionsAllowed"]) == (desired, allowed)


def test_a_spent_budget_refuses_and_says_what_it_needs(
    wire: Wire, ns: str, protect, budgets: str, deployment
):
    first, *_ = deployment(2)
    protect(minAvailable=2)
    counted(wire, budgets, currentHealthy=2)
    status = refused(evict(wire, ns, first), 429, "TooManyRequests")
    assert status["message"] == VIOLATION
    assert status["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget budget needs 2 healthy pods and has 2 currently",
        }
    ]
    assert "deletionTimestamp" not in wire.ok("GET", f"{ns}/pods/{first}")["metadata"]


def test_an_eviction_takes_a_disruption_until_the_pod_is_replaced(
    wire: Wire, ns: str, protect, budgets: str, deployment
):
    first, second, _ = deployment(3)
    protect(minAvailable=2)
    counted(wire, budgets, disruptionsAllowed=1)
    assert evict(wire, ns, first).status_code == 201
    refused(evict(wire, ns, second), 429, "TooManyRequests", VIOLATION)
    counted(wire, budgets, disruptionsAllowed=1)
    assert first not in [
        one["metadata"]["name"] for one in wire.ok("GET", f"{ns}/pods")["items"]
    ] or wire.ok("GET", f"{ns}/pods/{first}")["metadata"].get("deletionTimestamp")


def test_of_many_evictions_at_once_the_budget_admits_what_it_allows(
    wire: Wire, ns: str, protect, budgets: str, deployment
):
    names = deployment(4)
    protect(maxUnavailable=2)
    counted(wire, budgets, disruptionsAllowed=2)
    with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
        codes = list(threads.map(lambda name: evict(wire, ns, name).status_code, names))
    assert sorted(codes) == [201, 201, 429, 429]


def test_an_evicted_pod_says_so(wire: Wire, ns: str):
    body = pod("lone")
    body["metadata"]["finalizers"] = ["test/keep"]
    wire.ok("POST", f"{ns}/pods", body)
    until(lambda: condition(wire.ok("GET", f"{ns}/pods/lone"), "Ready"), 60, "it is ready")
    assert evict(wire, ns, "lone").status_code == 201
    target = condition(wire.ok("GET", f"{ns}/pods/lone"), "DisruptionTarget")
    assert (target["reason"], target["message"]) == (
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
    )
    wire.ok("PATCH", f"{ns}/pods/lone", {"metadata": {"finalizers": None}},
            type="application/merge-patch+json")  # fmt: skip


def test_a_dry_run_evicts_nothing_and_takes_nothing(
    wire: Wire, ns: str, protect, budgets: str, deployment
):
    first, *_ = deployment(2)
    protect(minAvailable=1)
    before = counted(wire, budgets, disruptionsAllowed=1)
    answer = wire.post(f"{ns}/pods/{first}/eviction", eviction(first), dryRun="All")
    assert answer.status_code == 201
    assert status_of(wire, budgets) == before
    assert evict(wire, ns, first, dryRun=["All"]).status_code == 201
    assert "deletionTimestamp" not in wire.ok("GET", f"{ns}/pods/{first}")["metadata"]


def test_several_budgets_for_one_pod_are_not_supported(
    wire: Wire, ns: str, protect, budgets: str, deployment
):
    first, *_ = deployment(1)
    protect("one", minAvailable=0)
    protect("two", minAvailable=0)
    status = evict(wire, ns, first).json()
    assert (status["status"], status["code"]) == ("Failure", 500)
    assert status["message"] == (
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
        "support."
    )


NEVER_READY = {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}


@pytest.mark.parametrize(
    ("policy", "goes"), [("AlwaysAllow", True), ("IfHealthyBudget", False)], ids=str
)
def test_what_becomes_of_an_unready_pod_is_the_budgets_policy(
    wire: Wire, ns: str, protect, budgets: str, policy, goes
):
    wire.ok("POST", f"{ns}/pods", pod("sick", **NEVER_READY))
    protect(minAvailable=1, unhealthyPodEvictionPolicy=policy)
    until(lambda: wire.ok("GET", f"{ns}/pods/sick")["status"]["phase"] == "Running", 60, "it runs")
    counted(wire, budgets, expectedPods=1, currentHealthy=0)
    if goes:
        assert evict(wire, ns, "sick").status_code == 201
    else:
        refused(evict(wire, ns, "sick"), 429, "TooManyRequests", VIOLATION)


def test_a_pod_that_does_not_run_yet_disturbs_nobody(wire: Wire, ns: str, protect, budgets: str):
    waiting = pod("waiting")
    waiting["spec"]["nodeSelector"] = {"test/nowhere": "yes"}
    wire.ok("POST", f"{ns}/pods", waiting)
    protect(minAvailable=1)
    counted(wire, budgets, expectedPods=1)
    assert evict(wire, ns, "waiting").status_code == 201


def test_preconditions_of_an_eviction_hold(wire: Wire, ns: str):
    made = wire.ok("POST", f"{ns}/pods", pod("lone"))
    answer = evict(wire, ns, "lone", preconditions={"uid": "another"})
    refused(answer, 409, "Conflict", "the UID in the precondition (another) does not match")
    right = {"uid": made["metadata"]["uid"]}
    assert evict(wire, ns, "lone", preconditions=right).status_code == 201
