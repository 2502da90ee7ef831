"""The next step for a Pod, as a table of situations."""

import math

import pytest

from labkit.kubelet import decide
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.instances import CREATED, EXITED, Instance
from labkit.kubelet.view import Blocked, Evicted, Probed
from tests.kubelet.builders import (
    NOW,
    UID,
    before,
    exited,
    pod,
    running,
    sandbox,
    view,
)

INIT = {"name": "init", "image": "i"}
DEBUGGER = {"name": "debugger", "image": "i"}
SIDECAR = {"name": "side", "image": "i", "restartPolicy": "Always"}
DELETED = {"deletionTimestamp": "2027-01-15T08:00:00Z", "deletionGracePeriodSeconds": 7}
READY = {"state": {"running": {}}, "restartCount": 0, "ready": True}


def ran(name: str = "app", **state: object) -> dict:
    """A status that tells of a container which the engine no longer has."""
    status = {"name": name, "containerID": "docker://old", "restartCount": 2, **state}
    return {"containerStatuses": [status]}


def _kill(kill: decide.Kill) -> str:
    after = f" after {' and '.join(sorted(kill.after))}" if kill.after else ""
    return f"kill {kill.instance.id} in {kill.grace} s{after}"


def outline(plan: decide.Plan) -> str:
    """A plan in a few words."""
    words = [_kill(kill) for kill in plan.kill]
    words += [f"sandbox {plan.sandbox}"] if plan.sandbox is not None else []
    words += [f"start {one['name']}" for one in plan.start]
    words += [f"{name} waits: {one.reason}" for name, one in plan.waiting.items()]
    words += ["finished"] if plan.finished else []
    words += [f"again in {plan.again:g} s"] if plan.again is not None else []
    return ", ".join(words) or "nothing"


HOOKED = {"name": "a", "lifecycle": {"postStart": {"sleep": {"seconds": 1}}}}

SITUATIONS = {
    "a new Pod gets a sandbox, and its container is looked ahead to": (
        view(pod()),
        "sandbox 0, start app",
    ),
    "with a sandbox the container is started": (view(pod(), sandbox()), "start app"),
    "a running Pod is left alone": (view(pod(), sandbox(), running()), "nothing"),
    "several containers start in their order": (
        view(pod({"name": "b"}, {"name": "a"}), sandbox()),
        "start b, start a",
    ),
    "an ephemeral container joins a running Pod": (
        view(pod(ephemeralContainers=[DEBUGGER]), sandbox(), running()),
        "start debugger",
    ),
    "an ephemeral container that has ended is not started again": (
        view(pod(ephemeralContainers=[DEBUGGER]), sandbox(), running(), exited(1, "debugger")),
        "nothing",
    ),
    "an ephemeral container is stopped with its Pod": (
        view(
            pod(ephemeralContainers=[DEBUGGER], meta=DELETED),
            sandbox(),
            running(),
            running("debugger"),
        ),
        "kill app0 in 7 s, kill debugger0 in 7 s",
    ),
    "a sandbox that died is replaced after the rest has stopped": (
        view(pod(), sandbox(0, EXITED), running()),
        "kill app0 in 30 s",
    ),
    "and then has the next attempt number": (
        view(pod(), sandbox(0, EXITED), exited(137)),
        "sandbox 1, start app",
    ),
    "a sandbox that cannot be made is tried again later": (
        view(pod(), blocked={"POD": Blocked("", "", NOW + 4)}),
        "POD waits: , again in 4 s",
    ),
    "the first restart is at once": (view(pod(), sandbox(), exited(1, ago=0)), "start app"),
    "the second waits for the back-off": (
        view(pod(), sandbox(), exited(1, ago=4), back_offs={"app": BackOff(10, NOW - 6)}),
        "app waits: CrashLoopBackOff, again in 6 s",
    ),
    "and comes when it has passed": (
        view(pod(), sandbox(), exited(1, ago=10), back_offs={"app": BackOff(10, NOW - 12)}),
        "start app",
    ),
    "a container that ran for long restarts at once": (
        view(pod(), sandbox(), exited(1, ago=0), back_offs={"app": BackOff(300, NOW - 601)}),
        "start app",
    ),
    "with Always a success is restarted too": (view(pod(), sandbox(), exited(0)), "start app"),
    "with OnFailure a failure is restarted": (
        view(pod(restartPolicy="OnFailure"), sandbox(), exited(3)),
        "start app",
    ),
    "with OnFailure a success ends the Pod, and its sandbox": (
        view(pod(restartPolicy="OnFailure"), sandbox(), exited(0)),
        "kill s0 in 0 s",
    ),
    "with Never a failure ends it": (
        view(pod(restartPolicy="Never"), sandbox(), exited(1)),
        "kill s0 in 0 s",
    ),
    "an ended Pod is finished when its sandbox is": (
        view(pod(restartPolicy="Never"), sandbox(0, EXITED), exited(1)),
        "finished",
    ),
    "one of two containers may end before the other": (
        view(
            pod({"name": "app"}, {"name": "b"}, restartPolicy="Never"),
            sandbox(),
            exited(0),
            running("b"),
        ),
        "nothing",
    ),
    "a container that failed its liveness probe is killed": (
        view(pod(), sandbox(), running(), probes={"app0": Probed(True, True, "liveness")}),
        "kill app0 in 30 s",
    ),
    "with the probe's own grace period where it has one": (
        view(
            pod(
                {
                    "name": "app",
                    "livenessProbe": {"terminationGracePeriodSeconds": 3},
                }
            ),
            sandbox(),
            running(),
            probes={"app0": Probed(True, True, "liveness")},
        ),
        "kill app0 in 3 s",
    ),
    "an image that is being pulled is waited for without a time": (
        view(pod(), sandbox(), blocked={"app": Blocked("ContainerCreating", "", math.inf)}),
        "app waits: ContainerCreating",
    ),
    "a back-off of an image has an end": (
        view(pod(), sandbox(), blocked={"app": Blocked("ImagePullBackOff", "", NOW + 20)}),
        "app waits: ImagePullBackOff, again in 20 s",
    ),
    "a reason whose time has passed is void": (
        view(pod(), sandbox(), blocked={"app": Blocked("ErrImagePull", "", NOW - 1)}),
        "start app",
    ),
    "a container that was created and never started is started": (
        view(pod(), sandbox(), Instance("app0", UID, "app", 0, CREATED)),
        "start app",
    ),
    "a deleted Pod's containers are stopped first, with the deletion's grace": (
        view(pod(meta=DELETED), sandbox(), running()),
        "kill app0 in 7 s",
    ),
    "then its sandbox": (view(pod(meta=DELETED), sandbox(), exited(0)), "kill s0 in 0 s"),
    "then it is finished": (
        view(pod(meta=DELETED), sandbox(0, EXITED), exited(0)),
        "finished",
    ),
    "a Pod that is deleted before it began is finished": (view(pod(meta=DELETED)), "finished"),
    "a Pod that vanished from the API is stopped": (
        view(pod(terminationGracePeriodSeconds=9), sandbox(), running(), gone=True),
        "kill app0 in 9 s",
    ),
    "a Pod that has failed is not started again": (
        view(pod(status={"phase": "Failed"})),
        "finished",
    ),
    "sidecars stop after the others, in reverse order": (
        view(
            pod(meta=DELETED, initContainers=[SIDECAR, {**SIDECAR, "name": "two"}]),
            sandbox(),
            running(),
            running("side"),
            running("two"),
        ),
        "kill app0 in 7 s, kill side0 in 7 s after app and two, kill two0 in 7 s after app",
    ),
    "and before the sandbox": (
        view(pod(meta=DELETED, initContainers=[SIDECAR]), sandbox(), exited(0), running("side")),
        "kill side0 in 7 s",
    ),
    "nothing starts without its volumes": (
        view(pod(), unmounted=NOW + 4),
        "again in 4 s",
    ),
    "an evicted Pod stops with the grace of its eviction": (
        view(pod(), sandbox(), running(), evicted=Evicted("low on memory", 1, True)),
        "kill app0 in 1 s",
    ),
    "a container with a postStart hook is started before the next": (
        view(pod(HOOKED, {"name": "b"}), sandbox()),
        "start a",
    ),
    "and the next waits for the hook": (
        view(pod(HOOKED, {"name": "b"}), sandbox(), running("a"), hooked=frozenset(["a0"])),
        "nothing",
    ),
    "and starts when it is done": (
        view(pod(HOOKED, {"name": "b"}), sandbox(), running("a")),
        "start b",
    ),
    "a sidecar holds the others up until its hook is done": (
        view(
            pod(initContainers=[SIDECAR]), sandbox(), running("side"), hooked=frozenset(["side0"])
        ),
        "nothing",
    ),
    "init containers come first": (view(pod(initContainers=[INIT]), sandbox()), "start init"),
    "one after the other": (
        view(pod(initContainers=[INIT, {**INIT, "name": "two"}]), sandbox(), running("init")),
        "nothing",
    ),
    "the next when the first has succeeded": (
        view(pod(initContainers=[INIT, {**INIT, "name": "two"}]), sandbox(), exited(0, "init")),
        "start two",
    ),
    "then the containers": (
        view(pod(initContainers=[INIT]), sandbox(), exited(0, "init")),
        "start app",
    ),
    "an init container that failed runs again": (
        view(pod(initContainers=[INIT]), sandbox(), exited(1, "init")),
        "start init",
    ),
    "but with Never it ends the Pod": (
        view(pod(initContainers=[INIT], restartPolicy="Never"), sandbox(), exited(1, "init")),
        "kill s0 in 0 s",
    ),
    "a sidecar that has started lets the others start": (
        view(pod(initContainers=[SIDECAR]), sandbox(), running("side")),
        "start app",
    ),
    "a sidecar whose startup probe has not passed holds them back": (
        view(
            pod(initContainers=[SIDECAR]),
            sandbox(),
            running("side"),
            probes={"side0": Probed(False, False)},
        ),
        "nothing",
    ),
    "a sidecar that ends is started again while the others run": (
        view(pod(initContainers=[SIDECAR]), sandbox(), running(), exited(0, "side")),
        "start side",
    ),
    "sidecars do not keep a Pod alive": (
        view(
            pod(initContainers=[SIDECAR], restartPolicy="Never"),
            sandbox(),
            running("side"),
            exited(0),
        ),
        "kill side0 in 30 s",
    ),
    "a container that the engine lost is started again": (
        view(pod(status=ran(state={"running": {"startedAt": before(60)}}))),
        "sandbox 0, start app",
    ),
    "work that was done stays done when its container is lost": (
        view(
            pod(
                restartPolicy="OnFailure",
                status=ran(state={"terminated": {"exitCode": 0, "finishedAt": before(60)}}),
            )
        ),
        "finished",
    ),
    "with Never a lost container has failed": (
        view(pod(restartPolicy="Never", status=ran(state={"running": {}}))),
        "finished",
    ),
    "a deadline is awaited": (
        view(
            pod(activeDeadlineSeconds=100, status={"startTime": before(90)}),
            sandbox(),
            running(),
        ),
        "again in 10 s",
    ),
    "and kept": (
        view(
            pod(activeDeadlineSeconds=100, status={"startTime": before(100)}),
            sandbox(),
            running(),
        ),
        "kill app0 in 30 s",
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_next_step_follows_from_the_situation(situation: str):
    seen, expected = SITUATIONS[situation]
    assert outline(decide.plan(seen)) == expected


def test_a_crash_loop_is_told_in_kubelets_words():
    seen = view(pod(), sandbox(), exited(1, ago=4), back_offs={"app": BackOff(40, NOW - 6)})
    wait = decide.plan(seen).waiting["app"]
    assert wait.message == "back-off 40s restarting failed container=app pod=web_default(uid-1)"
