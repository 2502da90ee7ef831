"""How the engine's words about a container are read."""

import pytest

from labkit.kubelet import instances as inst
from labkit.kubelet.instances import Instance, from_inspect, newer
from tests.kubelet.builders import pod

ZERO = "0001-01-01T00:00:00Z"
STATE = {"Status": "running", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:01.123456789Z",
         "FinishedAt": ZERO, "Error": "", "OOMKilled": False}  # fmt: skip
T0 = 1767225600.0


def inspected(host: dict | None = None, **state: object) -> Instance:
    data = {
        "Id": "abc",
        "Created": "2026-01-01T00:00:00Z",
        "State": {**STATE, **state},
        "Image": "sha256:1",
        "HostConfig": host or {},
        "Config": {"Labels": inst.labels(pod(), "app", 3, {inst.NODE: "lab-worker"}, "s0")},
        "NetworkSettings": {"Networks": {"lab-worker": {"IPAddress": "127.244.1.2"}}},
    }
    return from_inspect(data, "127.172.0.1")


def test_a_running_container_is_read():
    one = inspected()
    assert (one.state, one.name, one.attempt, one.pod_uid) == ("running", "app", 3, "uid-1")
    assert (one.ip, one.sandbox_id, one.image_id) == ("127.244.1.2", "s0", "sha256:1")
    assert one.started == pytest.approx(T0 + 1.123456)
    assert one.finished == 0


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ({"Status": "exited", "ExitCode": 0}, "Completed", 0),
        ({"Status": "exited", "ExitCode": 2}, "Error", 2),
        ({"Status": "exited", "ExitCode": 137, "OOMKilled": True}, "OOMKilled", 137),
        ({"Status": "dead", "ExitCode": 1}, "Error", 1),
        (
            {"Status": "created", "ExitCode": 127, "Error": "no such file", "StartedAt": ZERO},
            "ContainerCannotRun",
            127,
        ),
    ],
)
def test_an_end_has_a_reason(state: dict, reason: str, code: int):
    one = inspected(FinishedAt="2026-01-01T00:00:09Z", **state)
    assert (one.state, one.reason, one.exit_code) == ("exited", reason, code)
    assert one.finished == T0 + 9
    assert one.started > 0


@pytest.mark.parametrize("word", ["running", "paused", "restarting"])
def test_what_has_not_ended_runs(word: str):
    assert inspected(Status=word).state == "running"


def test_a_sandbox_on_the_hosts_network_has_the_nodes_address():
    assert inspected({"NetworkMode": "host"}).ip == "127.172.0.1"


def test_an_end_is_never_unseen():
    running, exited = inspected(), inspected(Status="exited")
    assert newer(exited, running) == exited
    assert newer(running, exited) == exited
    assert newer(None, running) == running


def test_names_are_dockershims():
    assert inst.docker_name(pod(), "app", 3) == "k8s_app_web_default_uid-1_3"
