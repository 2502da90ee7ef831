"""The engine's pure parts, by tables: names, environments, times, logs, networks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from labkit.engine import (
    accounting,
    environment,
    ports,
    references,
    stats,
    timestamps,
)
from labkit.engine.accounting import Stat, Usage
from labkit.engine.containers import State
from labkit.engine.environment import Place
from labkit.engine.errors import BadParameter, EngineError, Forbidden
from labkit.engine.filters import Filters
from labkit.engine.logs import STDERR, STDOUT, Chunk, Record, frame, frames, lines, tail
from labkit.engine.networks import Networks
from labkit.engine.spawner import procfs
from labkit.engine.stats import Sample

# Names of images


@pytest.mark.parametrize(
    ("name", "full", "familiar"),
    [
        ("todolist", "docker.io/library/todolist:latest", "todolist:latest"),
        ("todolist:v1", "docker.io/library/todolist:v1", "todolist:v1"),
        ("library/todolist", "docker.io/library/todolist:latest", "todolist:latest"),
        ("docker.io/todolist", "docker.io/library/todolist:latest", "todolist:latest"),
        ("index.docker.io/library/a", "docker.io/library/a:latest", "a:latest"),
        ("me/app:1", "docker.io/me/app:1", "me/app:1"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("host:5000/app:2", "host:5000/app:2", "host:5000/app:2"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
    ],
)
def test_a_name_is_made_full_and_familiar(name: str, full: str, familiar: str) -> None:
    reference = references.parse(name)
    assert f"{reference.domain}/{reference.path}:{reference.tag}" == full
    assert reference.familiar == familiar


@pytest.mark.parametrize("name", ["", ":", "a:b:c", "a b", "-a", "a//b", "a@sha256:12", "a/"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadParameter, match="invalid reference format"):
        references.parse(name)


def test_capital_letters_are_refused_with_the_reason() -> None:
    with pytest.raises(BadParameter, match="repository name must be lowercase"):
        references.parse("Todolist")


# The environment

PLACE = Place(Path("/state/c/rootfs"), "127.244.0.2", "box", Path("/state/bin"))


def test_an_environment_is_built_from_image_container_and_place() -> None:
    host = {"PATH": "/usr/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "SECRET": "x"}
    made = environment.environment(["PATH=/app/bin", "A=1", "A=2", "HOST=mine"], PLACE, host)
    assert made == {
        "PATH": "/state/c/rootfs/app/bin:/state/bin:/usr/bin",
        "LANG": "C",
        "LC_ALL": "C",
        "TZ": "UTC",
        "A": "2",
        "HOST": "mine",
        "HOSTNAME": "box",
        "HOME": "/state/c/rootfs/root",
        "CONTAINER_ROOT": "/state/c/rootfs",
    }


def test_the_containers_root_cannot_be_changed_by_its_settings() -> None:
    made = environment.environment(["CONTAINER_ROOT=/elsewhere"], PLACE, {})
    assert made["CONTAINER_ROOT"] == "/state/c/rootfs"


@pytest.mark.parametrize(
    ("config", "image", "expected"),
    [
        pytest.param({}, (["e"], ["c"]), (["e"], ["c"]), id="the-images"),
        pytest.param({"Cmd": ["x"]}, (["e"], ["c"]), (["e"], ["x"]), id="own-command"),
        pytest.param({"Entrypoint": ["x"]}, (["e"], ["c"]), (["x"], []), id="own-entrypoint"),
        pytest.param({"Entrypoint": [""], "Cmd": ["x"]}, (["e"], ["c"]), ([], ["x"]), id="none"),
        pytest.param({"Cmd": []}, (None, ["c"]), ([], ["c"]), id="empty-command"),
    ],
)
def test_entrypoint_and_command_are_combined(config, image, expected) -> None:
    shipped = {"Entrypoint": image[0], "Cmd": image[1]}
    assert environment.command(config, shipped) == expected


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(BadParameter, match="No command specified"):
        environment.command({}, {"Entrypoint": None, "Cmd": None})


def test_a_program_is_looked_for_in_the_container_then_on_the_host(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    (root / "bin").mkdir(parents=True)
    own = root / "bin/sh"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    (root / "bin/data").write_text("")
    path = f"{root}/bin:/bin"

    def resolve(program: str) -> str:
        return environment.resolve(program, root, root / "bin", path)

    assert (
        resolve("sh")
        == resolve("/bin/sh")
        == resolve("/bin/../bin/sh")
        == resolve("./sh").replace("/./", "/")
    )
    assert resolve("sh") == str(own)
    assert resolve("/bin/ls") == "/bin/ls"
    for program, words in {
        "nosuch": "executable file not found in $PATH",
        "data": "executable file not found in $PATH",
        "/nosuch": "stat /nosuch: no such file or directory",
        "./nosuch": "stat ./nosuch: no such file or directory",
        "/bin/data": "permission denied",
        "/etc": "permission denied",
    }.items():
        with pytest.raises(LookupError) as caught:
            resolve(program)
        assert str(caught.value) == words, program


def test_an_argument_that_only_the_container_has_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "labkit-app").mkdir()
    (tmp_path / "labkit-app/main.py").write_text("")
    (tmp_path / "etc").mkdir()
    for argument, expected in {
        "/labkit-app/main.py": f"{tmp_path}/labkit-app/main.py",
        "/labkit-app/new": f"{tmp_path}/labkit-app/new",
        "/labkit-app": f"{tmp_path}/labkit-app",
        "/etc/passwd": "/etc/passwd",
        "/etc/labkit-nosuch": "/etc/labkit-nosuch",
        "/nosuch/at/all": "/nosuch/at/all",
        "labkit-app": "labkit-app",
    }.items():
        assert environment.placed(argument, tmp_path) == expected


@pytest.mark.parametrize(
    ("working", "expected"),
    [("", "/r"), ("/", "/r"), ("/app", "/r/app"), ("app/", "/r/app"), ("/../../etc", "/r/etc")],
)
def test_a_working_directory_stays_in_the_container(working: str, expected: str) -> None:
    assert environment.directory(Path("/r"), working) == Path(expected)


# Times


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1.2, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (3 * 3600, "3 hours"),
        (72 * 3600, "3 days"),
    ],
)
def test_durations_are_spoken_as_docker_does(seconds: float, words: str) -> None:
    assert timestamps.spoken(seconds) == words


def test_times_are_written_with_nanoseconds_and_read_back() -> None:
    assert timestamps.rfc3339_nano(1767225600.5) == "2026-01-01T00:00:00.500000000Z"
    assert timestamps.rfc3339_nano(0) == "0001-01-01T00:00:00Z"
    assert timestamps.parse("1767225600.25") == 1767225600.25
    assert timestamps.parse("2026-01-01T00:00:00Z") == 1767225600
    assert timestamps.parse("") == 0
    with pytest.raises(ValueError, match="yesterday"):
        timestamps.parse("yesterday")


def test_a_state_is_one_sentence_in_docker_ps() -> None:
    assert State().sentence(100) == "Created"
    assert State("running", started=40).sentence(100) == "Up About a minute"
    assert State("exited", exit_code=3, finished=95).sentence(100) == "Exited (3) 5 seconds ago"


# Logs


def chunks(*texts: str) -> list[Chunk]:
    record = Record()
    for number, text in enumerate(texts):
        record.append(number, STDOUT, text.encode())
    return record.read(0)


@pytest.mark.parametrize("count", [None, 0, 1, 2, 3, 4, 9])
@pytest.mark.parametrize(
    "texts", [("a\nb\nc\n",), ("a\nb", "\nc\n"), ("a\n", "b\n", "c"), ("a", "\n", "b\nc")]
)
def test_a_tail_is_the_last_lines_however_they_were_written(texts: tuple, count) -> None:
    whole = "".join(texts).splitlines(keepends=True)
    expected = "".join(whole if count is None else whole[len(whole) - min(count, len(whole)) :])
    assert b"".join(chunk.data for chunk in tail(chunks(*texts), count)).decode() == expected


def test_a_timestamp_stands_only_where_a_line_begins() -> None:
    written = b"".join(frames(chunk, timestamps=True, tty=False) for chunk in chunks("a\nb", "c\n"))
    stamp = b"0001-01-01T00:00:00Z "  # the first chunk's time is 0
    assert written == (frame(1, stamp + b"a\n") + frame(1, stamp + b"b") + frame(1, b"c\n"))


def test_streams_begin_their_lines_independently() -> None:
    record = Record()
    record.append(1, STDOUT, b"half ")
    record.append(2, STDERR, b"whole\n")
    record.append(3, STDOUT, b"line\n")
    assert [chunk.fresh for chunk in record.read(0)] == [True, True, False]


def test_carriage_returns_do_not_end_a_line() -> None:
    assert list(lines(Chunk(0, 1, b"a\rb\r\nc", True))) == [(b"a\rb\r\n", True), (b"c", True)]


def test_a_record_forgets_its_beginning() -> None:
    record = Record(limit=1000)
    for number in range(100):
        record.append(number, STDOUT, b"x" * 100)
    assert record.end == 100
    assert 0 < len(record.read(0)) < 10
    assert record.read(0)[-1].time == 99
    assert record.read(98) == record.read(0)[-2:]


async def test_a_follower_gets_what_is_written_while_it_is_reading() -> None:
    record = Record()
    record.begin()
    record.append(0, STDOUT, b"0")
    seen = []

    async def follow() -> None:
        async for chunk in record.follow(0):
            seen.append(chunk.data)
            if chunk.data == b"0":
                record.append(1, STDOUT, b"1")
                await asyncio.sleep(0)

    reader = asyncio.create_task(follow())
    await asyncio.sleep(0)
    record.append(2, STDOUT, b"2")
    record.close()
    await asyncio.wait_for(reader, 10)
    assert seen == [b"0", b"1", b"2"]


# Networks and ports


def test_addresses_are_handed_out_in_a_circle() -> None:
    bridge = Networks("127.244.0.0/29", "").find("bridge")
    first = [bridge.take(f"c{n}") for n in range(5)]
    assert first == [f"127.244.0.{n}" for n in (2, 3, 4, 5, 6)]
    with pytest.raises(Forbidden, match="no available IPv4 addresses"):
        bridge.take("c5")
    bridge.give_back("127.244.0.2")
    bridge.give_back("127.244.0.4")
    assert [bridge.take("c6"), bridge.take("c7")] == ["127.244.0.2", "127.244.0.4"]


@pytest.mark.parametrize(
    ("wanted", "error"),
    [("127.244.0.1", Forbidden), ("127.245.0.2", BadParameter), ("x", BadParameter)],
)
def test_an_address_that_cannot_be_had_is_refused(wanted: str, error: type) -> None:
    with pytest.raises(error):
        Networks("127.244.0.0/24", "").find("bridge").take("c", wanted)


def test_a_network_without_a_subnet_gets_one_of_the_lab() -> None:
    networks = Networks("127.244.0.0/24", "")
    subnets = [str(networks.create({"Name": name}, "").subnet) for name in ("a", "b")]
    assert subnets == ["127.245.0.0/24", "127.245.1.0/24"]


@pytest.mark.parametrize("subnet", ["nope", "127.1.0.1/24", "10.0.0.0/8"])
def test_a_subnet_that_cannot_be_had_is_refused(subnet: str) -> None:
    body = {"Name": "a", "IPAM": {"Config": [{"Subnet": subnet}]}}
    with pytest.raises(EngineError):
        Networks("127.244.0.0/24", "").create(body, "")


def test_published_ports_are_read_from_the_host_config() -> None:
    wanted = {"PortBindings": {"80/tcp": [{"HostPort": "8080"}, {"HostIp": "127.0.0.2"}]}}
    assert ports.bindings(wanted, {}) == [(80, "127.0.0.1", 8080), (80, "127.0.0.2", 0)]
    assert ports.bindings({"PublishAllPorts": True}, {"80/tcp": {}}) == [(80, "127.0.0.1", 0)]
    for refused in ({"80/udp": None}, {"80/tcp": [{"HostIp": "10.0.0.1"}]}):
        with pytest.raises(BadParameter, match="cannot be published"):
            ports.bindings({"PortBindings": refused}, {})


# Accounting


def test_a_line_of_proc_stat_is_read_also_with_an_odd_name() -> None:
    line = (
        b"42 (a) S b) R 7 42 42 0 -1 0 0 0 0 0 150 50 20 10 20 0 3 0 100 1000 25 "
        b"0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0"
    )
    ms = accounting.TICK_NS
    assert accounting.parse_stat(line) == Stat(
        42, 7, 42, user=170 * ms, system=60 * ms, resident=25 * os.sysconf("SC_PAGE_SIZE")
    )


def test_processes_belong_to_containers_by_descent_and_by_session() -> None:
    def stat(pid: int, parent: int, session: int) -> Stat:
        return Stat(pid, parent, session, 1, 2, 10)

    processes = [
        stat(10, 1, 10),  # the spawner
        stat(20, 10, 20), stat(21, 20, 20), stat(22, 21, 99),  # one container, three generations
        stat(30, 10, 30), stat(31, 10, 30),  # another, with an orphan of its session
        stat(40, 1, 40),  # somebody else's
    ]  # fmt: skip
    groups = {20: "a", 30: "b"}
    found = accounting.assign({p.pid: p for p in processes}, 10, groups)
    assert {group: sorted(s.pid for s in stats) for group, stats in found.items()} == {
        "a": [20, 21, 22],
        "b": [30, 31],
    }
    assert accounting.total(found["a"]) == Usage(3, 6, 30, 3)


def test_children_are_found_with_and_without_the_kernels_own_list() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        assert child.pid in procfs.children_of(os.getpid())
        assert (child.pid, os.getpid()) in procfs.parents()
        procfs.kill_trees([child.pid])
        assert child.wait(10) == -signal.SIGKILL


def test_statistics_of_the_docker_cli_come_out_right() -> None:
    before = Sample(1.0, Usage(10**9, 0, 100, 1), 5 * 10**9)
    now = Sample(2.0, Usage(15 * 10**8, 0, 100, 1), 7 * 10**9)
    seen = stats.view("web", "id", 1000, 2, now, before)
    used = [seen[key]["cpu_usage"]["total_usage"] for key in ("precpu_stats", "cpu_stats")]
    system = [seen[key]["system_cpu_usage"] for key in ("precpu_stats", "cpu_stats")]
    percent = (used[1] - used[0]) / (system[1] - system[0]) * seen["cpu_stats"]["online_cpus"] * 100
    assert percent == 50  # half a second of one processor in one second


# Filters


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", True),
        ('{"label":["a=1"]}', True),
        ('{"label":{"a=1":true}}', True),
        ('{"label":["a"]}', True),
        ('{"label":["a=2"]}', False),
        ('{"label":["a=1","b"]}', False),
    ],
)
def test_labels_must_all_hold(text: str, allowed: bool) -> None:
    filters = Filters.parse(text, frozenset({"label"}))
    assert filters.allows_labels({"a": "1"}) is allowed
