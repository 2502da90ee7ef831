"""Ephemeral containers join a Pod while it runs, once, and stay as they are."""

from __future__ import annotations

import pytest

from tests.api.conftest import STRATEGIC, Wire, refused, until

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "app"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {"name": "app", "image": "busybox:1.36", "command": ["sh", "-c", "sleep 3600"]}
        ],
    },
}


@pytest.fixture
def pod(wire: Wire, ns: str) -> str:
    """The path of a Pod."""
    wire.ok("POST", f"{ns}/pods", POD)
    return f"{ns}/pods/app"


def add(wire: Wire, pod: str, **container: object):
    debugger = {"name": "debugger", "image": "busybox:1.36", **container}
    patch = {"spec": {"ephemeralContainers": [debugger]}}
    return wire.patch(f"{pod}/ephemeralcontainers", patch, STRATEGIC)


def test_one_is_added_and_runs_to_its_end_once(wire: Wire, pod: str):
    answer = add(wire, pod, command=["sh", "-c", "echo looked around"])
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["kind"] == "Pod"
    assert made["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"] == "File"

    def ended() -> dict | None:
        found = wire.ok("GET", pod)["status"].get("ephemeralContainerStatuses") or ()
        return next((one for one in found if "terminated" in one["state"]), None)

    status = until(ended, 60, "the container has ended")
    assert (status["name"], status["restartCount"]) == ("debugger", 0)
    assert status["state"]["terminated"]["exitCode"] == 0
    log = wire.get(f"{pod}/log", container="debugger")
    assert log.text == "looked around\n"
    assert wire.ok("GET", pod)["status"]["phase"] == "Running"


def test_none_can_be_changed_or_removed(wire: Wire, pod: str):
    add(wire, pod, command=["sleep", "3600"])
    message = 'existing ephemeral containers "debugger" may not be changed'
    refused(add(wire, pod, command=["sleep", "1"]), 422, "Invalid", message)
    body = wire.ok("GET", pod)
    del body["spec"]["ephemeralContainers"]
    del body["metadata"]["resourceVersion"]
    message = 'existing ephemeral containers "debugger" may not be removed'
    refused(wire.put(f"{pod}/ephemeralcontainers", body), 422, "Invalid", message)


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"name": "app"}, 'spec.ephemeralContainers[0].name: Duplicate value: "app"'),
        (
            {"ports": [{"containerPort": 80}]},
            "spec.ephemeralContainers[0].ports: Forbidden: "
            "cannot be set for an Ephemeral Container",
        ),
        (
            {"targetContainerName": "absent"},
            'spec.ephemeralContainers[0].targetContainerName: Not found: "absent"',
        ),
    ],
    ids=["name", "ports", "target"],
)
def test_what_they_cannot_be(wire: Wire, pod: str, container, why):
    refused(add(wire, pod, **container), 422, "Invalid", why)


def test_they_come_by_no_other_way(wire: Wire, pod: str):
    patch = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "busybox:1.36"}]}}
    refused(wire.patch(pod, patch, STRATEGIC), 422, "Invalid", "pod updates may not change fields")
