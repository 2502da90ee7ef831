"""The docker SDK against both engines: what a client can see must be the same."""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime

import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound

from tests.engine.conftest import Lab, until

FOREVER = "while true; do sleep 1; done"


def refused(call, *arguments, **options) -> tuple[int, str]:
    """(status, message) of the error that a call ends with."""
    with pytest.raises(APIError) as caught:
        call(*arguments, **options)
    return caught.value.status_code, caught.value.explanation


# Life


def test_a_container_goes_from_created_over_running_to_exited(lab: Lab) -> None:
    container = lab.create("sleep 0.1; exit 3")
    assert container.status == "created"
    container.start()
    assert container.wait()["StatusCode"] == 3
    container.reload()
    state = container.attrs["State"]
    assert (state["Status"], state["Running"], state["ExitCode"]) == ("exited", False, 3)
    assert state["Pid"] == 0
    assert state["StartedAt"] < state["FinishedAt"]


def test_a_running_container_says_its_pid_and_address(lab: Lab) -> None:
    container = lab.run(FOREVER)
    container.reload()
    settings = container.attrs["NetworkSettings"]
    assert container.status == "running"
    assert container.attrs["State"]["Pid"] > 0
    assert settings["IPAddress"] == settings["Networks"]["bridge"]["IPAddress"] != ""


def test_stop_sends_sigterm_and_the_container_may_end_in_its_own_way(lab: Lab) -> None:
    container = lab.run("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: b"ready" in container.logs(), "the trap is set")
    container.stop(timeout=10)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 7
    assert b"bye" in container.logs()


def test_stop_kills_a_container_that_ignores_sigterm(lab: Lab) -> None:
    container = lab.run("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: b"ready" in container.logs(), "the trap is set")
    container.stop(timeout=1)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 137


@pytest.mark.parametrize(
    "end",
    [lambda container: container.stop(timeout=1), lambda container: container.remove(force=True)],
    ids=["a-shorter-stop", "a-forced-removal"],
)
def test_a_stop_that_waits_long_is_overtaken_by(end, lab: Lab) -> None:
    container = lab.run("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: b"ready" in container.logs(), "the trap is set")
    waiting = threading.Thread(target=container.stop, kwargs={"timeout": 50})
    waiting.start()
    until(lambda: b"asked" in container.logs(), "the first stop has begun")
    end(container)
    waiting.join(20)
    assert not waiting.is_alive()


def test_kill_ends_a_container_at_once(lab: Lab) -> None:
    container = lab.run(FOREVER)
    container.kill()
    container.reload()
    assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 137)


def test_kill_can_send_any_signal(lab: Lab) -> None:
    container = lab.run("trap 'echo usr' USR1; echo ready; while :; do sleep 0.05; done")
    until(lambda: b"ready" in container.logs(), "the trap is set")
    container.kill("SIGUSR1")
    until(lambda: b"usr" in container.logs(), "the trap has run")
    container.reload()
    assert container.status == "running"


def test_restart_starts_a_new_process_and_keeps_the_log(lab: Lab) -> None:
    container = lab.run("echo began; " + FOREVER)
    until(lambda: container.logs().count(b"began") == 1, "the first run")
    before = lab.api.inspect_container(container.id)["State"]
    container.restart(timeout=0)
    until(lambda: container.logs().count(b"began") == 2, "the second run")
    after = lab.api.inspect_container(container.id)["State"]
    assert after["Running"]
    assert after["Pid"] != before["Pid"]


def test_start_and_stop_do_nothing_when_it_is_done_already(lab: Lab) -> None:
    container = lab.run(FOREVER)
    container.start()
    container.kill()
    container.stop()


def test_auto_remove_removes_the_container_when_it_ends(lab: Lab) -> None:
    container = lab.run("exit 0", auto_remove=True)
    until(lambda: container.id not in {c["Id"] for c in lab.api.containers(all=True)}, "gone")


# Waiting


def test_wait_returns_at_once_for_a_container_that_does_not_run(lab: Lab) -> None:
    assert lab.create("exit 0").wait() == {"StatusCode": 0, "Error": None}


@pytest.mark.parametrize("condition", ["next-exit", "removed"])
def test_wait_can_begin_before_the_start(lab: Lab, condition: str) -> None:
    container = lab.create("sleep 0.2; exit 9", auto_remove=condition == "removed")
    codes = []
    waiter = threading.Thread(
        target=lambda: codes.append(
            docker.DockerClient(base_url=lab.url).api.wait(container.id, condition=condition)
        )
    )
    waiter.start()
    container.start()
    waiter.join(20)
    assert [code["StatusCode"] for code in codes] == [9]


# Logs


def test_logs_keep_standard_output_and_error_apart(lab: Lab) -> None:
    container = lab.run("echo out; echo err >&2")
    container.wait()
    assert container.logs(stderr=False) == b"out\n"
    assert container.logs(stdout=False) == b"err\n"


def test_tail_takes_the_last_lines(lab: Lab) -> None:
    container = lab.run("for i in 1 2 3 4 5; do echo $i; done; printf 6")
    container.wait()
    assert container.logs(tail=3) == b"4\n5\n6"
    assert container.logs(tail=0) == b""
    assert container.logs(tail=99) == b"1\n2\n3\n4\n5\n6"


def test_timestamps_stand_before_each_line(lab: Lab) -> None:
    container = lab.run("echo a; echo b")
    container.wait()
    lines = container.logs(timestamps=True).decode().splitlines()
    assert [line.split(" ")[1] for line in lines] == ["a", "b"]
    assert all(len(line.split(" ")[0]) >= 20 and line[10] == "T" for line in lines)


def test_since_and_until_cut_the_log_in_time(lab: Lab) -> None:
    container = lab.run("echo early; sleep 1.5; echo late")
    container.wait()
    stamps = container.logs(timestamps=True).decode().splitlines()
    moment = _seconds(stamps[1].split(" ")[0]) - 0.5
    assert container.logs(since=moment) == b"late\n"
    assert container.logs(until=moment) == b"early\n"


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()


def test_following_a_log_ends_with_the_container(lab: Lab) -> None:
    container = lab.run("for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"


def test_a_stream_of_lines_comes_line_by_line(lab: Lab) -> None:
    container = lab.run("echo a; echo b; echo c")
    container.wait()
    assert list(container.logs(stream=True)) == [b"a\n", b"b\n", b"c\n"]


def test_output_of_many_bytes_arrives_whole_and_in_order(lab: Lab) -> None:
    container = lab.run("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
    container.wait()
    assert container.logs() == b"".join(b"line %d\n" % i for i in range(3000))


# Lists


def test_a_list_shows_running_containers_and_with_all_the_others(lab: Lab) -> None:
    mine = {"label": f"labkit-test={lab.prefix}"}
    running, ended = lab.run(FOREVER), lab.create("true")
    assert [c.id for c in lab.client.containers.list(filters=mine)] == [running.id]
    both = lab.client.containers.list(all=True, filters=mine)
    assert [c.id for c in both] == [ended.id, running.id]
    assert [c.id for c in lab.client.containers.list(limit=1, filters=mine)] == [ended.id]


def test_filters_choose(lab: Lab) -> None:
    one = lab.run(FOREVER, name=f"{lab.prefix}-one", labels={"tier": "web"})
    two = lab.run("exit 4", name=f"{lab.prefix}-two", labels={"tier": "db"})
    two.wait()

    def chosen(**filters) -> set[str]:
        filters["label"] = [f"labkit-test={lab.prefix}", *filters.get("label", [])]
        return {c.id for c in lab.client.containers.list(all=True, filters=filters)}

    assert chosen(name=f"{lab.prefix}-o") == {one.id}
    assert chosen(name=f"^{lab.prefix}-two$") == {two.id}
    assert chosen(id=one.id[:12]) == {one.id}
    assert chosen(label=["tier=db"]) == {two.id}
    assert chosen(label=["tier"]) == {one.id, two.id}
    assert chosen(status="running") == {one.id}
    assert chosen(status="exited") == chosen(exited="4") == {two.id}
    assert chosen(ancestor=lab.image) == {one.id, two.id}
    assert chosen(ancestor="nosuchimage") == set()
    assert chosen(network="bridge") == {one.id, two.id}


def test_a_container_is_found_by_name_and_by_the_beginning_of_its_id(lab: Lab) -> None:
    container = lab.create("true", name=f"{lab.prefix}-x")
    assert lab.client.containers.get(f"{lab.prefix}-x").id == container.id
    assert lab.client.containers.get(container.id[:10]).id == container.id


# Errors


def test_errors_have_the_daemons_codes_and_words(lab: Lab) -> None:
    container = lab.run(FOREVER, name=f"{lab.prefix}-x")
    name, api = f"{lab.prefix}-x", lab.api
    assert refused(lab.create, "true", name=name) == (
        409,
        f'Conflict. The container name "/{name}" is already in use by container "{container.id}". '
        "You have to remove (or rename) that container to be able to reuse that name.",
    )
    assert refused(container.remove) == (
        409,
        f"You cannot remove a running container {container.id}. "
        "Stop the container before attempting removal or force remove",
    )
    assert refused(api.start, "nosuch") == (404, "No such container: nosuch")
    assert refused(api.kill, "nosuch") == (
        404,
        "Cannot kill container: nosuch: No such container: nosuch",
    )
    assert refused(api.kill, container.id, "FOO") == (400, "Invalid signal: FOO")
    container.kill()
    assert refused(container.kill) == (
        409,
        f"Cannot kill container: {container.id}: Container {container.id} is not running",
    )
    assert refused(lab.create, "true", name="-x") == (
        400,
        "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    )
    assert refused(lab.client.containers.list, filters={"status": "odd"}) == (
        400,
        "Invalid filter 'status=odd'",
    )
    assert refused(lab.client.containers.list, filters={"foo": "bar"}) == (
        400,
        "Invalid filter 'foo'",
    )


def test_an_unknown_image_is_not_found(lab: Lab) -> None:
    with pytest.raises(ImageNotFound) as caught:
        lab.client.containers.create("nosuch", "true")
    assert caught.value.explanation == "No such image: nosuch:latest"
    with pytest.raises(ImageNotFound):
        lab.client.images.get("nosuch")


def test_an_unknown_container_is_not_found(lab: Lab) -> None:
    with pytest.raises(NotFound):
        lab.client.containers.get("nosuch")


def test_a_program_that_does_not_exist_fails_the_start(lab: Lab) -> None:
    container = lab.create(["nosuchprogram"], shell=False)
    status, words = refused(container.start)
    assert status == 400
    assert 'exec: "nosuchprogram": executable file not found in $PATH: unknown' in words
    state = lab.api.inspect_container(container.id)["State"]
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 127, words)


def test_an_exec_needs_a_command(lab: Lab) -> None:
    status, words = refused(lab.api.exec_create, lab.run(FOREVER).id, [])
    assert (status, words) == (400, "No exec command specified")


# Exec


def test_exec_gives_output_and_exit_code(lab: Lab) -> None:
    container = lab.run(FOREVER)
    code, output = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 5"], demux=True)
    assert (code, output) == (5, (b"out\n", b"err\n"))


def test_exec_has_the_containers_environment_and_its_own(lab: Lab) -> None:
    container = lab.run(FOREVER, environment={"A": "1", "B": "1"})
    result = container.exec_run(["sh", "-c", "echo $A $B $C"], environment={"B": "2", "C": "3"})
    assert result.output == b"1 2 3\n"


def test_exec_of_a_missing_program_says_so(lab: Lab) -> None:
    code, output = lab.run(FOREVER).exec_run(["nosuchprogram"])
    assert code in (126, 127)
    assert b'exec: "nosuchprogram": executable file not found in $PATH' in output


def test_exec_can_be_inspected_and_needs_a_running_container(lab: Lab) -> None:
    container = lab.run(FOREVER)
    exec_id = lab.api.exec_create(container.id, ["sh", "-c", "exit 2"])["Id"]
    assert lab.api.exec_inspect(exec_id)["ExitCode"] is None
    lab.api.exec_start(exec_id)
    seen = lab.api.exec_inspect(exec_id)
    assert (seen["Running"], seen["ExitCode"]) == (False, 2)
    assert (seen["ContainerID"], seen["ProcessConfig"]["entrypoint"]) == (container.id, "sh")
    container.kill()
    assert refused(lab.api.exec_create, container.id, ["true"]) == (
        409,
        f"Container {container.id} is not running",
    )
    assert refused(lab.api.exec_inspect, "nosuch") == (404, "No such exec instance: nosuch")


def test_a_detached_exec_runs_by_itself(lab: Lab) -> None:
    container = lab.run("while [ ! -f done ]; do sleep 0.05; done; exit 8", working_dir="/tmp")
    container.exec_run(["sh", "-c", "touch done"], detach=True, workdir="/tmp")
    assert container.wait(timeout=20)["StatusCode"] == 8


# Environment


def test_a_process_finds_its_environment_and_directory(lab: Lab) -> None:
    container = lab.run(
        "echo $COLOUR $HOSTNAME; pwd; echo x > f; cat f; tail -1 etc/hosts || tail -1 /etc/hosts",
        environment={"COLOUR": "blue"},
        working_dir="/tmp/w",
        hostname="box",
    )
    container.wait()
    lines = container.logs(stderr=False).decode().splitlines()
    assert lines[0] == "blue box"
    assert lines[1].endswith("/tmp/w")
    assert lines[2] == "x"


def test_entrypoint_and_command_are_shown_as_one_command_line(lab: Lab) -> None:
    container = lab.create(["b"], shell=False, entrypoint=["echo", "a"])
    container.start()
    container.wait()
    assert container.logs() == b"a b\n"
    seen = lab.api.inspect_container(container.id)
    assert (seen["Path"], seen["Args"]) == ("echo", ["a", "b"])
    assert seen["Config"]["Image"] == lab.image
    assert seen["Config"]["Labels"]["labkit-test"] == lab.prefix


def test_a_container_in_anothers_network_has_no_address_of_its_own(lab: Lab) -> None:
    first = lab.run(FOREVER, hostname="shared")
    second = lab.run("echo $HOSTNAME; " + FOREVER, network_mode=f"container:{first.id}")
    seen = lab.api.inspect_container(second.id)
    assert seen["HostConfig"]["NetworkMode"] == f"container:{first.id}"
    assert seen["NetworkSettings"]["IPAddress"] == ""
    assert seen["NetworkSettings"]["Networks"] == {}
    until(lambda: second.logs() == b"shared\n", "the first one's hostname")


def test_a_network_cannot_be_joined_when_its_container_has_ended(lab: Lab) -> None:
    first = lab.run("exit 0")
    first.wait()
    second = lab.create(FOREVER, network_mode=f"container:{first.id}")
    status, words = refused(second.start)
    assert (status, words) == (409, f"cannot join network of a non running container: {first.id}")


# Statistics


def test_stats_show_cpu_time_that_grows_with_work(lab: Lab) -> None:
    container = lab.run("while :; do :; done")
    first = container.stats(stream=False)
    second = container.stats(stream=False)
    used = [s["cpu_stats"]["cpu_usage"]["total_usage"] for s in (first, second)]
    assert used[1] > used[0] >= first["precpu_stats"]["cpu_usage"]["total_usage"]
    assert second["cpu_stats"]["system_cpu_usage"] > second["precpu_stats"]["system_cpu_usage"] > 0
    assert second["cpu_stats"]["online_cpus"] >= 1
    assert second["pids_stats"]["current"] == 1
    assert 0 < second["memory_stats"]["usage"] < second["memory_stats"]["limit"]
    assert (second["id"], second["name"]) == (container.id, f"/{container.name}")


def test_one_shot_stats_have_no_sample_before(lab: Lab) -> None:
    container = lab.run(FOREVER)
    sample = lab.api.stats(container.id, stream=False, one_shot=True)
    assert sample["preread"] == "0001-01-01T00:00:00Z"
    assert sample["precpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_stats_of_a_stopped_container_are_empty(lab: Lab) -> None:
    container = lab.run("exit 0")
    container.wait()
    sample = container.stats(stream=False)
    assert sample["memory_stats"] == {}
    assert sample["cpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_a_stream_of_stats_goes_on(lab: Lab) -> None:
    container = lab.run(FOREVER)
    stream = container.stats(stream=True, decode=True)
    assert [next(stream)["id"], next(stream)["id"]] == [container.id] * 2
    stream.close()


def test_a_container_over_its_memory_limit_is_killed(lab: Lab) -> None:
    container = lab.run("x=0123456789; while :; do x=$x$x; done", mem_limit="16m")
    assert container.wait(timeout=30)["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"] is True
    assert container.attrs["HostConfig"]["Memory"] == 16 << 20


# Events


def test_events_tell_a_containers_life_in_order(lab: Lab) -> None:
    mine = {"label": f"labkit-test={lab.prefix}", "type": "container"}
    begin = lab.client.events(decode=True, filters=mine)
    seen: list[dict] = []
    reader = threading.Thread(target=lambda: seen.extend(begin))
    reader.start()
    container = lab.run(FOREVER, name=f"{lab.prefix}-x")
    container.exec_run(["true"])
    container.kill()
    container.remove()
    until(lambda: seen and seen[-1]["Action"] == "destroy", "the last event")
    begin.close()
    reader.join(20)
    actions = [event["Action"] for event in seen]
    assert actions == [
        "create", "start", "exec_create: true ", "exec_start: true ", "exec_die", "kill", "die",
        "destroy",
    ]  # fmt: skip
    attributes = [event["Actor"]["Attributes"] for event in seen]
    assert {event["Actor"]["ID"] for event in seen} == {container.id}
    assert {a["name"] for a in attributes} == {f"{lab.prefix}-x"}
    assert {a["image"] for a in attributes} == {lab.image}
    assert attributes[4]["exitCode"] == "0"
    assert (attributes[5]["signal"], attributes[6]["exitCode"]) == ("9", "137")
    assert seen[0]["status"] == "create"
    assert seen[0]["time"] == seen[0]["timeNano"] // 10**9


def test_past_events_can_be_asked_for(lab: Lab) -> None:
    container = lab.run("exit 0")
    container.wait()
    until(lambda: "die" in _past_actions(lab, container.id), "the event is kept")
    assert _past_actions(lab, container.id)[:2] == ["create", "start"]


def _past_actions(lab: Lab, container: str) -> list[str]:
    now = time.time() + 0.2
    found = lab.client.events(
        decode=True, since=now - 60, until=now, filters={"container": container}
    )
    return [event["Action"] for event in found if event["Type"] == "container"]


# Images, networks, system


def test_images_are_listed_and_inspected(lab: Lab) -> None:
    image = lab.client.images.get(lab.image)
    assert f"{lab.image}:latest" in image.tags
    assert image.id.startswith("sha256:")
    assert lab.client.images.get(image.id).id == image.id
    assert image.id in {i.id for i in lab.client.images.list(name=lab.image)}
    assert lab.client.images.list(name="nosuch") == []
    assert image.attrs["Os"] == "linux"


def test_an_image_in_use_is_not_removed(lab: Lab) -> None:
    container = lab.create("true")
    status, words = refused(lab.client.images.remove, lab.image)
    image = lab.client.images.get(lab.image)
    assert status == 409
    assert f"container {container.id[:12]} is using its referenced image {image.id[7:19]}" in words
    assert refused(lab.client.images.remove, "nosuch") == (404, "No such image: nosuch:latest")


def some_subnet(lab: Lab) -> str:
    """Three octets of a subnet; a random one, for others may use the daemon too."""
    third = random.randrange(256)
    return f"127.246.{third}" if lab.kind == "embedded" else f"10.213.{third}"


def test_networks_are_created_listed_and_removed(lab: Lab) -> None:
    octets = some_subnet(lab)
    pool = docker.types.IPAMPool(subnet=f"{octets}.0/24")
    network = lab.client.networks.create(
        f"{lab.prefix}-net",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        labels={"labkit-test": lab.prefix},
        check_duplicate=True,
    )
    assert network.attrs["IPAM"]["Config"][0]["Subnet"] == f"{octets}.0/24"
    assert [n.id for n in lab.client.networks.list(names=[f"^{network.name}$"])] == [network.id]
    first = lab.run(FOREVER, network=network.name)
    first.reload()
    assert first.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"] == f"{octets}.2"
    network.reload()
    assert network.attrs["Containers"][first.id]["IPv4Address"] == f"{octets}.2/24"
    status, words = refused(network.remove)
    assert (status, "has active endpoints" in words) == (403, True)
    status, words = refused(lab.client.networks.create, network.name, check_duplicate=True)
    assert (status, words) == (409, f"network with name {network.name} already exists")
    status, words = refused(
        lab.client.networks.create,
        f"{lab.prefix}-other",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
    )
    assert (status, words) == (403, "Pool overlaps with other one on this address space")
    first.remove(force=True)
    network.remove()
    assert refused(network.reload)[0] == 404


def test_a_fixed_address_is_given_as_asked_for(lab: Lab) -> None:
    octets = some_subnet(lab)
    pool = docker.types.IPAMPool(subnet=f"{octets}.0/24")
    network = lab.client.networks.create(
        f"{lab.prefix}-net",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        labels={"labkit-test": lab.prefix},
    )
    endpoint = lab.api.create_endpoint_config(ipv4_address=f"{octets}.77")
    created = lab.api.create_container(
        lab.image,
        ["sh", "-c", FOREVER],
        labels={"labkit-test": lab.prefix},
        host_config=lab.api.create_host_config(network_mode=network.name),
        networking_config=lab.api.create_networking_config({network.name: endpoint}),
    )
    lab.api.start(created["Id"])
    seen = lab.api.inspect_container(created["Id"])["NetworkSettings"]["Networks"]
    assert seen[network.name]["IPAddress"] == f"{octets}.77"


def test_predefined_networks_cannot_be_removed(lab: Lab) -> None:
    assert {n.name for n in lab.client.networks.list()} >= {"bridge", "host", "none"}
    assert refused(lab.client.networks.get("bridge").remove) == (
        403,
        "bridge is a pre-defined network and cannot be removed",
    )
    assert refused(lab.client.networks.get, "nosuch") == (404, "network nosuch not found")


def test_a_published_port_is_shown_and_cannot_be_taken_twice(lab: Lab) -> None:
    first = lab.run(FOREVER, ports={"80/tcp": ("127.0.0.1", None)})
    first.reload()
    places = first.attrs["NetworkSettings"]["Ports"]["80/tcp"]
    assert [place["HostIp"] for place in places] == ["127.0.0.1"]
    port = int(places[0]["HostPort"])
    second = lab.create(FOREVER, ports={"80/tcp": ("127.0.0.1", port)})
    status, words = refused(second.start)
    assert status == 500
    assert words.startswith("driver failed programming external connectivity on endpoint ")
    assert words.endswith(f"Bind for 127.0.0.1:{port} failed: port is already allocated")


def test_version_and_info_have_what_clients_read(lab: Lab) -> None:
    version, info = lab.client.version(), lab.client.info()
    assert lab.client.ping()
    assert tuple(map(int, version["ApiVersion"].split("."))) >= (1, 41)
    assert version["Os"] == info["OSType"] == "linux"
    assert info["NCPU"] >= 1
    assert info["MemTotal"] > 0
