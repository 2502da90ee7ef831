"""A Pod's log: every parameter, kubectl and the official client, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import kubernetes
import pytest

from tests.api import pods
from tests.api.conftest import Wire, refused, until
from tests.api.pods import Kubectl, container

FIVE = "for n in 1 2 3 4 5; do echo line $n; done"
FOREVER = "while :; do sleep 0.2; done"


@pytest.fixture(scope="module")
def ns(wire: Wire) -> Iterator[str]:
    """A namespace with the Pods `five` (one container) and `two` (two)."""
    with pods.room(wire) as path:
        pods.running(wire, path, pods.pod("five", container("main", f"{FIVE}; {FOREVER}")))
        first = container("first", f"echo from first; {FOREVER}")
        second = container("second", f"echo from second >&2; {FOREVER}")
        initial = {"initContainers": [container("begin", "echo from begin")]}
        pods.running(wire, path, pods.pod("two", first, second, **initial))
        until(lambda: "line 5" in wire.get(f"{path}/pods/five/log").text, what="it has spoken")
        yield path


@pytest.fixture
def log(ns: str) -> str:
    return f"{ns}/pods/five/log"


def test_a_log_is_plain_text(wire: Wire, log: str) -> None:
    answer = wire.get(log)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == "".join(f"line {n}\n" for n in range(1, 6))


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"tailLines": 2}, "line 4\nline 5\n"),
        ({"tailLines": 0}, ""),
        ({"tailLines": 99}, "line 1\nline 2\nline 3\nline 4\nline 5\n"),
        ({"limitBytes": 10}, "line 1\nlin"),
        ({"tailLines": 2, "limitBytes": 3}, "lin"),
        ({"sinceSeconds": 100000}, "line 1\nline 2\nline 3\nline 4\nline 5\n"),
        ({"sinceTime": "2100-01-01T00:00:00Z"}, ""),
        ({"follow": "false", "tailLines": 1}, "line 5\n"),
    ],
)
def test_parameters_choose_a_part(wire: Wire, log: str, params: dict, text: str) -> None:
    answer = wire.get(log, **params)
    assert (answer.status_code, answer.text) == (200, text)


def test_timestamps_stand_before_each_line(wire: Wire, log: str) -> None:
    stamped = wire.get(log, timestamps=True).text.splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == [f"line {n}" for n in range(1, 6)]
    times = [line.split(" ", 1)[0] for line in stamped]
    assert all(re.fullmatch(r"[-0-9]{10}T[0-9:]{8}\.\d+(Z|[+-]\d\d:\d\d)", one) for one in times)
    began = datetime.fromisoformat(re.sub(r"\.\d+", "", times[0]))
    assert abs((datetime.now(UTC) - began).total_seconds()) < 3600


def test_the_container_must_be_named_where_there_are_several(wire: Wire, ns: str) -> None:
    answer = wire.get(f"{ns}/pods/two/log")
    message = "a container name must be specified for pod two, choose one of: "
    refused(answer, 400, "BadRequest", f"{message}[begin first second]")
    for name in ("first", "second", "begin"):
        path = f"{ns}/pods/two/log"
        until(lambda n=name, p=path: wire.get(p, container=n).text == f"from {n}\n", what=name)
    answer = wire.get(f"{ns}/pods/two/log", container="third")
    refused(answer, 400, "BadRequest", "container third is not valid for pod two")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tailLines": -1}, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ({"limitBytes": 0}, "limitBytes: Invalid value: 0: must be greater than 0"),
        ({"sinceSeconds": 0}, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            {"sinceSeconds": 1, "sinceTime": "2026-01-01T00:00:00Z"},
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ],
)
def test_values_that_make_no_sense_are_invalid(
    wire: Wire, log: str, params: dict, message: str
) -> None:
    answer = wire.get(log, **params)
    refused(answer, 422, "Invalid", 'PodLogOptions "five" is invalid', message)


def test_a_number_must_be_one(wire: Wire, log: str) -> None:
    assert wire.get(log, tailLines="many").status_code == 400


def test_following_ends_with_the_container(wire: Wire, ns: str) -> None:
    script = "for n in 1 2 3; do echo step $n; sleep 0.3; done"
    wire.ok(
        "POST", f"{ns}/pods", pods.pod("steps", container("main", script), restartPolicy="Never")
    )
    path = f"{ns}/pods/steps/log"
    until(lambda: "step 1" in wire.get(path).text, 60, "it has begun")
    assert wire.get(path, follow=True).text == "step 1\nstep 2\nstep 3\n"


def test_the_official_client_follows(
    configuration: kubernetes.client.Configuration, ns: str
) -> None:
    api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
    watch, namespace = kubernetes.watch.Watch(), ns.rsplit("/", 1)[1]
    lines = watch.stream(api.read_namespaced_pod_log, "five", namespace, follow=True)
    assert [next(lines) for _ in range(5)] == [f"line {n}" for n in range(1, 6)]
    watch.stop()


def test_the_log_of_the_previous_run_is_kept(wire: Wire, ns: str) -> None:
    script = "echo run; exit 1"
    wire.ok("POST", f"{ns}/pods", pods.pod("again", container("main", script)))
    path = f"{ns}/pods/again"

    def restarted() -> bool:
        known = wire.ok("GET", path)["status"].get("containerStatuses") or [{}]
        return known[0].get("restartCount", 0) >= 1

    until(restarted, 60, "it has been restarted")
    assert wire.get(f"{path}/log", previous=True).text == "run\n"
    answer = wire.get(f"{ns}/pods/five/log", previous=True)
    words = 'previous terminated container "main" in pod "five" not found'
    refused(answer, 400, "BadRequest", words)


def test_a_container_that_waits_has_no_log_yet(wire: Wire, ns: str) -> None:
    made = pods.pod(
        "late", container("main"), initContainers=[container("begin", f"echo begun; {FOREVER}")]
    )
    wire.ok("POST", f"{ns}/pods", made)
    path = f"{ns}/pods/late/log"
    until(lambda: "begun" in wire.get(path, container="begin").text, 60, "it begins")
    words = 'container "main" in pod "late" is waiting to start: PodInitializing'
    refused(wire.get(path, container="main"), 400, "BadRequest", words)


def test_an_image_that_is_not_there_is_why_there_is_no_log(wire: Wire, ns: str) -> None:
    made = pods.pod("bare", {"name": "main", "image": "no-such-host.invalid/nothing:1"})
    wire.ok("POST", f"{ns}/pods", made)
    words = 'container "main" in pod "bare" is waiting to start: trying and failing to pull image'
    path = f"{ns}/pods/bare/log"
    until(lambda: "failing to pull" in wire.get(path).text, 60, "the pull has failed")
    refused(wire.get(path), 400, "BadRequest", words)


def test_kubectl_reads_all_containers(kubeconfig: Path, ns: str) -> None:
    kubectl = Kubectl("kubectl", kubeconfig, ns)
    done = kubectl("logs", "two", "--all-containers", "--prefix")
    assert set(done.stdout.decode().splitlines()) == {
        "[pod/two/begin] from begin",
        "[pod/two/first] from first",
        "[pod/two/second] from second",
    }
    assert kubectl("logs", "five", "--tail=1").stdout == b"line 5\n"
    assert kubectl("logs", "five", "--since=24h", "--limit-bytes=6").stdout == b"line 1"


def test_only_get_reads_a_log(wire: Wire, log: str) -> None:
    assert wire.post(log, {}).status_code == 405
