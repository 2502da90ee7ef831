"""From the start of a Pod's containers to their end: order, hooks, restarts, last words."""

from __future__ import annotations

from tests.api.conftest import Wire, until
from tests.api.pods import container, is_ready, pod, running


def create(wire: Wire, ns: str, made: dict) -> str:
    """The path of the new Pod."""
    wire.ok("POST", f"{ns}/pods", made)
    return f"{ns}/pods/{made['metadata']['name']}"


def once(*containers: dict, **spec: object) -> dict:
    return pod("once", *containers, restartPolicy="Never", **spec)


def ended(wire: Wire, path: str, seconds: float = 60) -> dict:
    """The status of the Pod when it has ended."""
    until(
        lambda: wire.ok("GET", path)["status"].get("phase") in ("Succeeded", "Failed"),
        seconds,
        "the Pod has ended",
    )
    return wire.ok("GET", path)["status"]


def status(wire: Wire, path: str, name: str = "app") -> dict:
    """The status of one container; before it has one, of one that waits."""
    found = wire.ok("GET", path)["status"]
    every = [*(found.get("containerStatuses") or ()), *(found.get("initContainerStatuses") or ())]
    return next((one for one in every if one["name"] == name), {"state": {}, "restartCount": 0})


def waits_for(wire: Wire, path: str, reason: str, name: str = "app") -> dict:
    def waits() -> bool:
        waiting = status(wire, path, name)["state"].get("waiting") or {}
        return waiting.get("reason") == reason

    until(waits, 60, f"the container waits for {reason}")
    return wire.ok("GET", path)["status"]


def events(wire: Wire, ns: str, name: str) -> list[str]:
    """`reason: message` of a Pod's Events."""
    items = wire.ok("GET", f"{ns}/events", fieldSelector=f"involvedObject.name={name}")["items"]
    return [f"{one['reason']}: {one['message']}" for one in items]


def told(wire: Wire, ns: str, name: str, event: str) -> None:
    until(lambda: event in events(wire, ns, name), 30, f"the Event {event!r}")


SCRATCH = {"name": "scratch", "emptyDir": {}}
SHARED = [{"name": "scratch", "mountPath": "/scratch"}]
HERE = "cd $CONTAINER_ROOT/scratch; "


def shared(name: str, script: str, **more: object) -> dict:
    """A container that works in the directory that all share."""
    return container(name, HERE + script, volumeMounts=SHARED, **more)


def until_told(name: str) -> str:
    """A script that runs until it gets SIGTERM, and writes so."""
    return (
        f"trap 'echo {name} >> order; exit 0' TERM; echo up {name} >> order; "
        "while :; do sleep 0.1; done"
    )


def up(name: str) -> dict:
    """A probe that succeeds when that script has begun."""
    script = f"grep 'up {name}' $CONTAINER_ROOT/scratch/order"
    return {"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1}


# Sidecars


def test_sidecars_start_in_order_and_stop_in_reverse_after_the_others(wire: Wire, ns: str):
    # The first sidecar, which ends last, writes to its log what it sees then.
    tells = (
        "echo up one >> order; trap 'echo one >> order; cat order; exit 0' TERM; "
        "while :; do sleep 0.1; done"
    )
    sidecars = [
        shared("one", tells, restartPolicy="Always", startupProbe=up("one")),
        shared("two", until_told("two"), restartPolicy="Always", startupProbe=up("two")),
    ]
    app = shared("app", "echo up app >> order; sleep 1; echo app >> order")
    made = once(app, initContainers=sidecars, volumes=[SCRATCH])
    made["spec"]["terminationGracePeriodSeconds"] = 30
    path = create(wire, ns, made)
    assert ended(wire, path)["phase"] == "Succeeded"
    text = wire.get(f"{path}/log", container="one").text
    assert text.split("\n") == ["up one", "up two", "up app", "app", "two", "one", ""]


def test_a_pod_runs_as_long_as_its_sidecar_and_a_dead_sidecar_is_restarted(wire: Wire, ns: str):
    side = container("side", "sleep 1", restartPolicy="Always")
    path = create(wire, ns, pod("web", container("app"), initContainers=[side]))
    until(lambda: status(wire, path, "side")["restartCount"] >= 1, 60, "the sidecar is restarted")
    assert wire.ok("GET", path)["status"]["phase"] == "Running"
    assert status(wire, path)["restartCount"] == 0


# Hooks


def test_a_post_start_hook_runs_in_the_container(wire: Wire, ns: str):
    hook = {"exec": {"command": ["sh", "-c", "echo hooked > $CONTAINER_ROOT/scratch/f"]}}
    one = shared("app", "while ! cat f; do sleep 0.1; done", lifecycle={"postStart": hook})
    path = create(wire, ns, once(one, volumes=[SCRATCH]))
    assert ended(wire, path)["phase"] == "Succeeded"
    assert "hooked\n" in wire.get(f"{path}/log", container="app").text


def test_a_failed_post_start_hook_ends_the_container(wire: Wire, ns: str):
    hook = {"exec": {"command": ["sh", "-c", "exit 3"]}}
    path = create(wire, ns, pod("web", container("app", lifecycle={"postStart": hook})))
    told(wire, ns, "web", "FailedPostStartHook: PostStartHook failed")
    told(wire, ns, "web", "Killing: FailedPostStartHook")
    until(lambda: status(wire, path)["restartCount"] >= 1, 60, "the container is restarted")


def test_a_container_does_not_run_before_its_post_start_hook_is_done(wire: Wire, ns: str):
    slow = container("slow", lifecycle={"postStart": {"sleep": {"seconds": 3}}})
    path = create(wire, ns, pod("web", slow, container("app")))
    told(wire, ns, "web", "Started: Container started")
    waiting = status(wire, path, "slow")["state"].get("waiting") or {}
    assert waiting.get("reason") == "ContainerCreating"
    until(lambda: is_ready(wire.ok("GET", path)), 60, "the Pod is ready")
    began = [status(wire, path, name)["state"]["running"]["startedAt"] for name in ("slow", "app")]
    assert began[0] < began[1]


def test_a_pre_stop_hook_runs_before_the_signal(wire: Wire, ns: str):
    hook = {"exec": {"command": ["sh", "-c", "echo hooked >> $CONTAINER_ROOT/scratch/order"]}}
    one = shared("app", until_told("app"), lifecycle={"preStop": hook})
    # The sidecar tells what it sees at its own end, which comes last.
    side = shared(
        "side",
        "trap 'cat order >&2; cat order > $CONTAINER_ROOT/dev/termination-log; exit 0' TERM; "
        "while :; do sleep 0.1; done",
        restartPolicy="Always",
    )
    made = pod("web", one, initContainers=[side], volumes=[SCRATCH])
    made["metadata"]["finalizers"] = ["example.com/hold"]
    made["spec"]["terminationGracePeriodSeconds"] = 30
    path = f"{ns}/pods/web"
    running(wire, ns, made)
    wire.ok("DELETE", path)
    until(lambda: "terminated" in status(wire, path, "side")["state"], 60, "the sidecar has ended")
    message = status(wire, path, "side")["state"]["terminated"]["message"]
    wire.patch(path, {"metadata": {"finalizers": None}})
    assert message.split() == ["up", "app", "hooked", "app"]


def test_a_failed_pre_stop_hook_is_told_and_holds_nobody_up(wire: Wire, ns: str):
    hook = {"exec": {"command": ["sh", "-c", "exit 3"]}}
    made = pod("web", container("app", lifecycle={"preStop": hook}))
    made["spec"]["terminationGracePeriodSeconds"] = 30
    running(wire, ns, made)
    wire.ok("DELETE", f"{ns}/pods/web")
    told(wire, ns, "web", "FailedPreStopHook: PreStopHook failed")
    until(lambda: wire.get(f"{ns}/pods/web").status_code == 404, 60, "the Pod is gone")


def test_a_pre_stop_hook_has_no_more_time_than_the_grace(wire: Wire, ns: str):
    made = pod("web", container("app", lifecycle={"preStop": {"sleep": {"seconds": 600}}}))
    made["spec"]["terminationGracePeriodSeconds"] = 600
    running(wire, ns, made)
    wire.ok("DELETE", f"{ns}/pods/web", {"gracePeriodSeconds": 2})
    until(lambda: wire.get(f"{ns}/pods/web").status_code == 404, 60, "the Pod is gone")


# Ends


def test_a_container_leaves_last_words(wire: Wire, ns: str):
    script = "echo bye > $CONTAINER_ROOT/dev/termination-log; exit 3"
    path = create(wire, ns, once(container("app", script)))
    state = (ended(wire, path)["containerStatuses"][0])["state"]["terminated"]
    assert (state["exitCode"], state["reason"], state["message"]) == (3, "Error", "bye\n")


def test_the_log_may_stand_in_for_last_words(wire: Wire, ns: str):
    script = "echo what happened; exit 3"
    one = container("app", script, terminationMessagePolicy="FallbackToLogsOnError")
    path = create(wire, ns, once(one))
    state = ended(wire, path)["containerStatuses"][0]["state"]["terminated"]
    assert state["message"] == "what happened\n"


def test_a_program_that_is_not_there_is_told(wire: Wire, ns: str):
    path = create(wire, ns, pod("web", container("app", ["/no/such/program"])))
    found = waits_for(wire, path, "RunContainerError")
    message = found["containerStatuses"][0]["state"]["waiting"]["message"]
    assert "no such file or directory" in message
    waits_for(wire, path, "CrashLoopBackOff")


def test_a_crashing_container_waits_and_says_why(wire: Wire, ns: str):
    path = create(wire, ns, pod("web", container("app", "exit 3")))
    found = waits_for(wire, path, "CrashLoopBackOff")
    one, uid = found["containerStatuses"][0], wire.ok("GET", path)["metadata"]["uid"]
    name = ns.rpartition("/")[2]
    assert one["state"]["waiting"]["message"] == (
        f"back-off 10s restarting failed container=app pod=web_{name}({uid})"
    )
    assert one["lastState"]["terminated"]["exitCode"] == 3
    assert found["phase"] == "Running"
    told(
        wire,
        ns,
        "web",
        f"BackOff: Back-off restarting failed container app in pod web_{name}({uid})",
    )


def test_a_pod_has_a_deadline(wire: Wire, ns: str):
    path = create(wire, ns, pod("late", container("app"), activeDeadlineSeconds=2))
    found = ended(wire, path)
    assert (found["phase"], found["reason"]) == ("Failed", "DeadlineExceeded")
    assert found["message"] == "Pod was active on the node longer than the specified deadline"


def test_a_readiness_gate_holds_a_pod_back_until_somebody_opens_it(wire: Wire, ns: str):
    gate = "example.com/warm"
    made = pod("gated", container("app"), readinessGates=[{"conditionType": gate}])
    path = create(wire, ns, made)

    def conditions() -> dict:
        found = wire.ok("GET", path)["status"].get("conditions") or ()
        return {one["type"]: one for one in found}

    def holds() -> bool:
        return conditions().get("ContainersReady", {}).get("status") == "True"

    until(holds, 60, "the containers are ready")
    ready = conditions()["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    assert ready["message"] == (
        f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    )
    condition = {"type": gate, "status": "True"}
    body = {"status": {"conditions": [condition]}}
    wire.ok("PATCH", f"{path}/status", body, type="application/strategic-merge-patch+json")
    until(lambda: conditions()["Ready"]["status"] == "True", 60, "the Pod is ready")
