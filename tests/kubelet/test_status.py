"""A Pod's status, as a table of situations."""

import pytest

from labkit.kubelet import decide, status
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.instances import EXITED
from labkit.kubelet.view import Blocked, Probed, View
from tests.kubelet.builders import NOW, before, exited, pod, running, sandbox, view

NODE_IP = "127.172.0.1"
INIT = {"name": "init", "image": "i"}
DELETED = {"deletionTimestamp": "2027-01-15T08:00:00Z"}
GATE = {"readinessGates": [{"conditionType": "example.com/lb"}]}
PROBED = {"name": "app", "image": "i", "readinessProbe": {}}


def computed(seen: View) -> dict:
    return status.pod_status(seen, decide.plan(seen), NODE_IP)


def conditions(result: dict) -> str:
    """`Ready=False(ContainersNotReady)` and so on, without PodScheduled."""
    return " ".join(
        f"{one['type']}={one['status']}" + (f"({one['reason']})" if one.get("reason") else "")
        for one in result["conditions"]
        if one["type"] in ("Initialized", "Ready")
    )


def state(entry: dict) -> str:
    """`waiting CrashLoopBackOff`, `terminated Error 1`, `running`."""
    (kind, details), *_ = entry.items()
    return " ".join(str(word) for word in (kind, details.get("reason", ""),
                                           details.get("exitCode", "")) if word != "")  # fmt: skip


SITUATIONS = {
    "new": (
        view(pod()),
        "Pending",
        "waiting ContainerCreating",
        "Initialized=True Ready=False(ContainersNotReady)",
    ),
    "pulling its image": (
        view(pod(), sandbox(), blocked={"app": Blocked("ErrImagePull", "no", NOW + 5)}),
        "Pending",
        "waiting ErrImagePull",
        "Initialized=True Ready=False(ContainersNotReady)",
    ),
    "running": (view(pod(), sandbox(), running()), "Running", "running",
                "Initialized=True Ready=True"),
    "running, not yet probed": (
        view(pod(PROBED), sandbox(), running()),
        "Running",
        "running",
        "Initialized=True Ready=False(ContainersNotReady)",
    ),
    "running and probed": (
        view(pod(PROBED), sandbox(), running(), probes={"app0": Probed(True, True)}),
        "Running",
        "running",
        "Initialized=True Ready=True",
    ),
    "running, not yet started": (
        view(pod(), sandbox(), running(), probes={"app0": Probed(False, True)}),
        "Running",
        "running",
        "Initialized=True Ready=False(ContainersNotReady)",
    ),
    "running behind a closed readiness gate": (
        view(pod(**GATE), sandbox(), running()),
        "Running",
        "running",
        "Initialized=True Ready=False(ReadinessGatesNotReady)",
    ),
    "running behind an open readiness gate": (
        view(
            pod(**GATE, status={"conditions": [{"type": "example.com/lb", "status": "True"}]}),
            sandbox(),
            running(),
        ),
        "Running",
        "running",
        "Initialized=True Ready=True",
    ),
    "in a crash loop": (
        view(pod(), sandbox(), exited(1), back_offs={"app": BackOff(10, NOW - 6)}),
        "Running",
        "waiting CrashLoopBackOff",
        "Initialized=True Ready=False(ContainersNotReady)",
    ),
    "crashed, about to be restarted": (
        view(pod(), sandbox(), exited(1)),
        "Running",
        "terminated Error 1",
        "Initialized=True Ready=False(ContainersNotReady)",
    ),
    "succeeded": (
        view(pod(restartPolicy="Never"), sandbox(), exited(0)),
        "Succeeded",
        "terminated Completed 0",
        "Initialized=True(PodCompleted) Ready=False(PodCompleted)",
    ),
    "failed": (
        view(pod(restartPolicy="Never"), sandbox(), exited(2)),
        "Failed",
        "terminated Error 2",
        "Initialized=True Ready=False(PodFailed)",
    ),
    "killed for its memory": (
        view(pod(restartPolicy="Never"), sandbox(), exited(137, reason="OOMKilled")),
        "Failed",
        "terminated OOMKilled 137",
        "Initialized=True Ready=False(PodFailed)",
    ),
    "initializing": (
        view(pod(initContainers=[INIT]), sandbox(), running("init")),
        "Pending",
        "waiting PodInitializing",
        "Initialized=False(ContainersNotInitialized) Ready=False(ContainersNotReady)",
    ),
    "initialized": (
        view(pod(initContainers=[INIT]), sandbox(), exited(0, "init"), running()),
        "Running",
        "running",
        "Initialized=True Ready=True",
    ),
    "not to be initialized": (
        view(pod(initContainers=[INIT], restartPolicy="Never"), sandbox(), exited(1, "init")),
        "Failed",
        "waiting PodInitializing",
        "Initialized=False(ContainersNotInitialized) Ready=False(PodFailed)",
    ),
    "deleted and ended well": (
        view(pod(meta=DELETED), sandbox(0, EXITED), exited(0)),
        "Succeeded",
        "terminated Completed 0",
        "Initialized=True(PodCompleted) Ready=False(PodCompleted)",
    ),
    "deleted and killed": (
        view(pod(meta=DELETED), sandbox(0, EXITED), exited(137)),
        "Failed",
        "terminated Error 137",
        "Initialized=True Ready=False(PodFailed)",
    ),
    "past its deadline": (
        view(
            pod(activeDeadlineSeconds=1, status={"startTime": before(2)}),
            sandbox(),
            running(),
        ),
        "Failed",
        "running",
        "Initialized=True Ready=False(PodFailed)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_status_follows_from_the_situation(situation: str):
    seen, phase, container, wanted = SITUATIONS[situation]
    result = computed(seen)
    entry = result["containerStatuses"][0]["state"]
    assert (result["phase"], state(entry), conditions(result)) == (phase, container, wanted)


def test_a_restarted_container_tells_how_its_last_run_ended():
    seen = view(pod(), sandbox(), exited(3, attempt=1), running(attempt=2))
    entry = computed(seen)["containerStatuses"][0]
    assert entry["restartCount"] == 2
    assert entry["containerID"] == "docker://app2"
    assert state(entry["lastState"]) == "terminated Error 3"


def test_a_lost_container_is_reported_as_unknown():
    old = {"containerStatuses": [{"name": "app", "restartCount": 0, "containerID": "docker://x",
                                  "state": {"running": {"startedAt": before(9)}}}]}  # fmt: skip
    entry = computed(view(pod(status=old)))["containerStatuses"][0]
    assert state(entry["state"]) == "terminated ContainerStatusUnknown 137"


def test_the_end_of_a_lost_container_is_remembered():
    end = {"terminated": {"exitCode": 5, "reason": "Error"}}
    old = {"containerStatuses": [{"name": "app", "restartCount": 1, "state": end}]}
    entry = computed(view(pod(status=old), sandbox(), running(attempt=2)))["containerStatuses"][0]
    assert entry["restartCount"] == 2
    assert state(entry["lastState"]) == "terminated Error 5"


def test_a_pod_keeps_its_address_after_its_end():
    old = {"podIP": "127.244.1.2", "podIPs": [{"ip": "127.244.1.2"}], "startTime": before(9)}
    seen = view(pod(restartPolicy="Never", status=old), sandbox(0, EXITED), exited(0))
    result = computed(seen)
    assert (result["podIP"], result["startTime"]) == ("127.244.1.2", before(9))


def test_a_transition_time_changes_with_the_status_only():
    old = {
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady",
             "message": "containers with unready status: [app]", "lastTransitionTime": before(60)},
            {"type": "ContainersReady", "status": "True", "lastTransitionTime": before(60)},
        ]
    }  # fmt: skip
    seen = view(pod(status=old), sandbox(), running())
    ready = {one["type"]: one for one in computed(seen)["conditions"]}
    assert ready["Ready"] == {"type": "Ready", "status": "True", "lastTransitionTime": before(0)}
    assert ready["ContainersReady"]["lastTransitionTime"] == before(60)


def test_conditions_of_others_are_kept():
    other = {"type": "DisruptionTarget", "status": "True"}
    seen = view(pod(status={"conditions": [other]}), sandbox(), running())
    assert other in computed(seen)["conditions"]


def test_nothing_is_written_where_nothing_changed():
    seen = view(pod(), sandbox(), running())
    first = computed(seen)
    again = View(pod(status=first), seen.instances, seen.facts, NOW + 60)
    assert status.status_patch(first, computed(again)) == {}


def test_a_patch_has_only_what_changed():
    old = {
        "phase": "Pending",
        "hostIP": NODE_IP,
        "podIPs": [{"ip": "1.1.1.1"}],
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
            {"type": "Other", "status": "True"},
        ],
    }
    new = {
        "phase": "Running",
        "hostIP": NODE_IP,
        "podIPs": [{"ip": "2.2.2.2"}],
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "Other", "status": "True"},
        ],
    }
    assert status.status_patch(old, new) == {
        "phase": "Running",
        "podIPs": [{"$patch": "replace"}, {"ip": "2.2.2.2"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": None}],
    }
