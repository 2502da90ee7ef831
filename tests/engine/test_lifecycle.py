"""Pause, restart policies, limits and updates, names, lists, prunes: alike on both engines."""

from __future__ import annotations

import threading
import time

import pytest
from docker import errors as docker_errors

from tests.engine.conftest import Lab, until
from tests.engine.test_docker_sdk import FOREVER, refused
from tests.engine.test_streams import CLI, docker

__all__ = ["docker"]

COUNT = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done"
BURN = "while :; do :; done"


def state(lab: Lab, container) -> dict:
    return lab.api.inspect_container(container.id)["State"]


def actions(lab: Lab, container) -> list[str]:
    """What has happened to a container, from its creation on."""
    found = lab.client.events(
        decode=True, since=1, until=time.time() + 0.2, filters={"container": container.id}
    )
    return [event["Action"] for event in found if event["Type"] == "container"]


# Pause


def test_a_paused_container_stands_still_and_goes_on(lab: Lab) -> None:
    container = lab.run(COUNT)
    until(lambda: container.logs(), "it counts")
    container.pause()
    seen = state(lab, container)
    assert (seen["Status"], seen["Running"], seen["Paused"]) == ("paused", True, True)
    before = container.logs()
    time.sleep(0.3)
    assert container.logs() == before
    container.unpause()
    until(lambda: container.logs() != before, "it counts on")
    assert state(lab, container)["Status"] == "running"
    assert [a for a in actions(lab, container) if "pause" in a] == ["pause", "unpause"]


def test_what_a_paused_container_refuses(lab: Lab) -> None:
    container = lab.run(FOREVER)
    exec_id = lab.api.exec_create(container.id, ["true"])["Id"]
    container.pause()
    for call in (lambda: lab.api.exec_create(container.id, ["true"]),
                 lambda: lab.api.exec_start(exec_id)):  # fmt: skip
        status, words = refused(call)
        assert (status, words.endswith("is paused, unpause the container before exec")) == (
            409,
            True,
        )
    assert refused(container.pause) == (409, f"Container {container.id} is already paused")
    assert refused(container.start) == (
        409,
        "cannot start a paused container, try unpause instead",
    )
    assert refused(container.remove) == (
        409,
        f"You cannot remove a paused container {container.id}. Unpause and then stop the container "
        "before attempting removal or force remove",
    )
    container.unpause()
    assert refused(container.unpause) == (500, f"Container {container.id} is not paused")
    container.kill()
    assert refused(container.pause) == (409, f"Container {container.id} is not running")


def test_a_paused_container_can_be_stopped_in_its_own_way(lab: Lab) -> None:
    container = lab.run("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: b"ready" in container.logs(), "the trap is set")
    container.pause()
    container.stop(timeout=20)
    assert state(lab, container)["ExitCode"] == 7


def test_a_paused_container_can_be_killed(lab: Lab) -> None:
    container = lab.run(FOREVER)
    container.pause()
    container.remove(force=True)
    assert container.id not in {c["Id"] for c in lab.api.containers(all=True)}


# Restart policies


def restarting(name: str, most: int = 0) -> dict:
    return {"restart_policy": {"Name": name, "MaximumRetryCount": most}}


def restarts(lab: Lab, container) -> int:
    return lab.api.inspect_container(container.id)["RestartCount"]


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_container_is_restarted_until_somebody_stops_it(lab: Lab, policy: str) -> None:
    container = lab.run("echo began; exit 3", **restarting(policy))
    until(lambda: restarts(lab, container) >= 3, "three restarts")
    container.stop(timeout=1)
    seen = state(lab, container)
    assert (seen["Status"], seen["ExitCode"]) in (("exited", 3), ("exited", 137))
    count = restarts(lab, container)
    time.sleep(1)
    assert restarts(lab, container) == count
    # The count is of restarts begun; the stop may have come before the last of them ran.
    assert container.logs().count(b"began") in (count, count + 1)


def test_a_restart_has_the_events_of_an_end_and_a_start(lab: Lab) -> None:
    container = lab.run("exit 3", **restarting("on-failure", 2))
    until(lambda: state(lab, container)["Status"] == "exited", "it has given up")
    until(lambda: actions(lab, container).count("die") == 3, "the last event")
    assert actions(lab, container) == ["create", "start", "die", "start", "die", "start", "die"]
    assert restarts(lab, container) == 2


def test_on_failure_does_not_restart_a_success(lab: Lab) -> None:
    container = lab.run("exit 0", **restarting("on-failure"))
    assert container.wait(timeout=20)["StatusCode"] == 0
    time.sleep(0.5)
    assert (state(lab, container)["Status"], restarts(lab, container)) == ("exited", 0)


def test_a_container_between_two_runs_is_restarting(lab: Lab) -> None:
    container = lab.run("exit 3", **restarting("always"))
    until(lambda: restarts(lab, container) >= 6, "the waits are long by now", 40)
    until(lambda: state(lab, container)["Restarting"], "it waits")
    seen = state(lab, container)
    assert (seen["Status"], seen["Running"], seen["Pid"]) == ("restarting", True, 0)
    words = f"Container {container.id} is restarting, wait until the container is running"
    assert refused(lab.api.exec_create, container.id, ["true"]) == (409, words)
    assert refused(container.top) == (409, words)
    listed = lab.client.containers.list(filters={"status": "restarting", "id": container.id})
    assert [c.id for c in listed] == [container.id]
    container.remove(force=True)
    assert container.id not in {c["Id"] for c in lab.api.containers(all=True)}


def test_a_kill_by_hand_is_a_stop(lab: Lab) -> None:
    container = lab.run("exec sleep 1000", **restarting("always"))
    container.kill()
    time.sleep(0.5)
    assert (state(lab, container)["Status"], restarts(lab, container)) == ("exited", 0)
    container.start()
    assert state(lab, container)["Status"] == "running"


def test_wait_ends_with_the_first_run_though_another_follows(lab: Lab) -> None:
    container = lab.run("sleep 0.3; exit 5", **restarting("always"))
    assert container.wait(timeout=20)["StatusCode"] == 5
    container.remove(force=True)


@pytest.mark.parametrize(
    ("policy", "options", "words"),
    [
        ({"Name": "odd"}, {}, "invalid restart policy 'odd'"),
        (
            {"Name": "always", "MaximumRetryCount": 3},
            {},
            "maximum retry count cannot be used with restart policy 'always'",
        ),
        (
            {"Name": "on-failure", "MaximumRetryCount": -1},
            {},
            "maximum retry count cannot be negative",
        ),
        (
            {"Name": "always"},
            {"auto_remove": True},
            "can't create 'AutoRemove' container with restart policy",
        ),
    ],
)
def test_restart_policies_that_cannot_be(lab: Lab, policy, options, words: str) -> None:
    assert refused(lab.create, "true", restart_policy=policy, **options) == (400, words)


# Limits


def throttling(lab: Lab, container) -> tuple[float, dict]:
    """CPU seconds so far, and what the limit did."""
    stats = lab.api.stats(container.id, stream=False, one_shot=True)["cpu_stats"]
    return stats["cpu_usage"]["total_usage"] / 1e9, stats["throttling_data"]


@pytest.mark.parametrize(
    "limit",
    [{"nano_cpus": 200_000_000}, {"cpu_period": 50_000, "cpu_quota": 10_000}],
    ids=["nano-cpus", "quota-and-period"],
)
def test_a_container_uses_no_more_cpu_than_its_limit(lab: Lab, limit: dict) -> None:
    container = lab.run(f"({BURN}) & {BURN}", **limit)
    until(lambda: throttling(lab, container)[1]["throttled_periods"], "it is throttled", 40)
    begin, (used, _) = time.monotonic(), throttling(lab, container)
    time.sleep(2.5)
    passed = time.monotonic() - begin
    after, data = throttling(lab, container)
    assert after - used < 0.24 * passed
    assert data["throttled_periods"] <= data["periods"]
    assert data["throttled_time"] > 0


def test_a_throttled_container_answers_execs_and_stops_in_its_own_way(lab: Lab) -> None:
    container = lab.run(f"trap 'exit 7' TERM; ({BURN}) & {BURN}", nano_cpus=100_000_000)
    until(lambda: throttling(lab, container)[1]["throttled_periods"], "it is throttled")
    assert container.exec_run(["echo", "here"]) == (0, b"here\n")
    container.stop(timeout=30)
    assert state(lab, container)["ExitCode"] == 7


def _pause_throttled(container) -> None:
    """Docker's runc gives up on processes that are throttled while it freezes them (cgroup v1):
    it says "unable to freeze" and leaves them running.
    """
    for _ in range(50):
        try:
            return container.pause()
        except docker_errors.APIError as error:
            if "unable to freeze" not in error.explanation:
                raise
    raise AssertionError("it could not be frozen at any of 50 times")


def test_a_throttled_container_can_be_paused_and_is_throttled_afterwards(lab: Lab) -> None:
    container = lab.run(BURN, nano_cpus=100_000_000)
    until(lambda: throttling(lab, container)[1]["throttled_periods"], "it is throttled", 40)
    _pause_throttled(container)
    time.sleep(0.5)  # the engine may answer with what it read a moment ago
    used, _ = throttling(lab, container)
    time.sleep(0.5)
    after, data = throttling(lab, container)
    assert after == used
    container.unpause()
    until(
        lambda: throttling(lab, container)[1]["throttled_periods"] > data["throttled_periods"],
        "it is throttled again",
        40,
    )
    until(lambda: throttling(lab, container)[0] > used, "it has used more")


def test_an_update_changes_the_cpu_limit_of_a_running_container(lab: Lab) -> None:
    container = lab.run(BURN)
    until(lambda: throttling(lab, container)[0] > 0.1, "it burns")
    assert throttling(lab, container)[1]["periods"] == 0
    lab.api._result(lab.api._post_json(_url(lab, container), data={"NanoCpus": 100_000_000}))
    until(lambda: throttling(lab, container)[1]["throttled_periods"], "it is throttled")
    assert lab.api.inspect_container(container.id)["HostConfig"]["NanoCpus"] == 100_000_000
    assert "update" in actions(lab, container)


def _url(lab: Lab, container) -> str:
    return lab.api._url("/containers/{0}/update", container.id)


def test_an_update_changes_the_memory_limit_of_a_running_container(lab: Lab) -> None:
    grow = "while [ ! -f /tmp/go ]; do sleep 0.05; done; x=0123456789; while :; do x=$x$x; done"
    container = lab.run(grow.replace("/tmp/go", "go"), working_dir="/tmp/w", mem_limit="1g")
    container.update(mem_limit="16m", memswap_limit="16m")
    container.exec_run(["touch", "go"], workdir="/tmp/w")
    assert container.wait(timeout=30)["StatusCode"] == 137
    assert state(lab, container)["OOMKilled"] is True


def test_a_container_that_is_out_of_memory_says_so_before_it_dies(lab: Lab) -> None:
    container = lab.run("x=0123456789; while :; do x=$x$x; done", mem_limit="16m")
    assert container.wait(timeout=30)["StatusCode"] == 137
    until(lambda: "die" in actions(lab, container), "its events")
    assert actions(lab, container) == ["create", "start", "oom", "die"]


def test_an_update_changes_the_restart_policy(lab: Lab) -> None:
    container = lab.run("sleep 0.5; exit 3")
    assert container.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 1}) == {
        "Warnings": None
    }
    until(lambda: restarts(lab, container) == 1, "it is restarted")
    until(lambda: state(lab, container)["Status"] == "exited", "once")


def test_limits_that_cannot_be(lab: Lab) -> None:
    container = lab.create("true", mem_limit="32m", nano_cpus=500_000_000)
    url, identity = _url(lab, container), container.id

    def update(**wanted) -> tuple[int, str]:
        return refused(lambda: lab.api._result(lab.api._post_json(url, data=wanted)))

    assert update(Memory=1000) == (400, "Minimum memory limit allowed is 6MB")
    assert refused(lab.create, "true", mem_limit=1000)[0] == 400
    status, words = refused(lab.create, "true", nano_cpus=9999 * 10**9)
    assert (status, words.startswith("Range of CPUs is from 0.01 to ")) == (400, True)
    assert update(Memory=64 << 30) == (
        409,
        f"Cannot update container {identity}: Memory limit should be smaller than already set "
        "memoryswap limit, update the memoryswap at the same time",
    )
    assert update(CpuQuota=5000) == (
        409,
        f"Cannot update container {identity}: Conflicting options: CPU Quota cannot be updated as "
        "NanoCPUs has already been set",
    )
    assert refused(lab.create, "true", nano_cpus=10**8, cpu_quota=5000) == (
        400,
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
    )


# Names and lists


def test_a_container_is_renamed(lab: Lab) -> None:
    container = lab.run(FOREVER, name=f"{lab.prefix}-old")
    other = lab.create("true", name=f"{lab.prefix}-other")
    container.rename(f"{lab.prefix}-new")
    assert lab.client.containers.get(f"{lab.prefix}-new").id == container.id
    assert refused(lab.client.containers.get, f"{lab.prefix}-old")[0] == 404
    assert "rename" in actions(lab, container)
    begin = "Error when allocating new name: "
    assert refused(container.rename, f"{lab.prefix}-new") == (
        400,
        "Renaming a container with the same name as its current name",
    )
    status, words = refused(container.rename, f"{lab.prefix}-other")
    assert status == 409
    assert words.startswith(f'{begin}Conflict. The container name "/{lab.prefix}-other" is already')
    assert other.id in words
    assert refused(container.rename, "-x") == (
        400,
        f"{begin}Invalid container name (/-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    )


def test_top_shows_the_processes_of_a_container_alone(lab: Lab) -> None:
    container = lab.run("sleep 1000 & exec sleep 1001")
    until(lambda: len(container.top()["Processes"]) == 2, "both run")
    table = container.top()
    assert table["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    main = state(lab, container)["Pid"]
    rows = {row[1]: row for row in table["Processes"]}
    assert rows.pop(str(main))[-1] == "sleep 1001"
    ((_, row),) = rows.items()
    assert (row[2], row[-1]) == (str(main), "sleep 1000")
    chosen = container.top(ps_args="-o pid,comm")
    assert chosen["Titles"] == ["PID", "COMMAND"]
    assert [str(main), "sleep"] in chosen["Processes"]
    usual = container.top(ps_args="aux")
    assert usual["Titles"][:4] == ["USER", "PID", "%CPU", "%MEM"]
    assert refused(container.top, ps_args="-o comm") == (
        500,
        "Couldn't find PID field in ps output",
    )
    assert "top" in actions(lab, container)
    container.kill()
    assert refused(container.top) == (409, f"Container {container.id} is not running")


def test_more_filters_choose(lab: Lab) -> None:
    one = lab.run(FOREVER, ports={"8011/tcp": ("127.0.0.1", None)})
    two = lab.create("true", volumes=["/etc:/data"])
    two.reload()
    one.reload()
    port = one.attrs["NetworkSettings"]["Ports"]["8011/tcp"][0]["HostPort"]

    def chosen(**filters) -> set[str]:
        filters["label"] = [f"labkit-test={lab.prefix}"]
        return {c.id for c in lab.client.containers.list(all=True, filters=filters)}

    assert chosen(expose="8011") == chosen(expose="8000-8020/tcp") == {one.id}
    assert chosen(publish=port) == {one.id}
    assert chosen(publish="1/tcp") == chosen(expose="1") == set()
    assert chosen(volume="/data") == chosen(volume="/etc") == {two.id}
    assert chosen(health="none") == {one.id, two.id}
    assert chosen(health="healthy") == set()
    assert chosen(status="created") == chosen(since=one.id) == {two.id}
    assert chosen(before=two.id) >= {one.id}
    assert refused(chosen, health="odd") == (400, "Unrecognised filter value for health: odd")


# Prunes


def test_prunes_remove_what_is_chosen_and_not_in_use(lab: Lab) -> None:
    running, ended = lab.run(FOREVER), lab.run("exit 0")
    kept = lab.create("true", labels={"keep": "yes"})
    ended.wait()
    mine = {"label": [f"labkit-test={lab.prefix}"]}
    first = lab.client.containers.prune(filters={**mine, "until": ["1h"]})
    assert first["ContainersDeleted"] is None
    second = lab.client.containers.prune(filters={**mine, "label!": ["keep"]})
    assert second["ContainersDeleted"] == [ended.id]
    left = {c.id for c in lab.client.containers.list(all=True, filters=mine)}
    assert left == {running.id, kept.id}
    assert refused(lab.client.containers.prune, filters={"foo": ["bar"]}) == (
        400,
        "Invalid filter 'foo'",
    )


def test_unused_networks_are_pruned(lab: Lab) -> None:
    labels = {"labkit-test": lab.prefix}
    used, unused = (
        lab.client.networks.create(f"{lab.prefix}-{name}", labels=labels) for name in ("a", "b")
    )
    lab.run(FOREVER, network=used.name)
    mine = {"label": [f"labkit-test={lab.prefix}"]}
    assert lab.client.networks.prune(filters=mine)["NetworksDeleted"] == [unused.name]
    assert [n.id for n in lab.client.networks.list(filters=mine)] == [used.id]


# Waiting


def test_wait_for_removal_outlasts_the_end(lab: Lab) -> None:
    container = lab.run("exit 4")
    container.wait()
    codes: list[dict] = []
    waiter = threading.Thread(
        target=lambda: codes.append(
            lab.client.containers.get(container.id).wait(condition="removed")
        )
    )
    waiter.start()
    time.sleep(0.3)
    assert codes == []
    container.remove()
    waiter.join(20)
    assert [code["StatusCode"] for code in codes] == [4]


def test_a_restart_by_hand_does_not_remove_an_auto_removed_container(lab: Lab) -> None:
    container = lab.run("echo began; " + FOREVER, auto_remove=True)
    until(lambda: container.logs().count(b"began") == 1, "the first run")
    container.restart(timeout=0)
    until(lambda: container.logs().count(b"began") == 2, "the second run")
    assert restarts(lab, container) == 0


# Terminals


def test_throttling_does_not_disturb_a_shells_jobs(lab: Lab, docker: CLI) -> None:
    container = lab.run(FOREVER, nano_cpus=100_000_000)
    shell = docker.terminal("exec", "-it", container.id, "sh")
    shell.expect("[$#] ")
    shell.sendline("sleep 1000")
    until(lambda: any(r[-1] == "sleep 1000" for r in container.top()["Processes"]), "the job")
    shell.send("\x1a")
    shell.expect("Stopped")
    shell.sendline("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo counted $i")
    shell.expect("counted 300000", timeout=60)
    assert b"Stopped" not in shell.before
    assert throttling(lab, container)[1]["throttled_periods"] > 0
    shell.sendline("jobs")
    shell.expect("Stopped")
    shell.sendline("sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done $i'")
    shell.expect("done 300000", timeout=60)
    assert b"Stopped" not in shell.before
    shell.close(force=True)
