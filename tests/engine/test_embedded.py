"""What only the embedded engine promises: its lifeline, addresses, accounting, and its limits."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiodocker
import docker
import pytest
from docker.errors import APIError

from labkit.clock import Clock
from labkit.engine import Engine
from labkit.errors import ClusterError, UsageError
from tests.engine.conftest import Lab, serving, until

FOREVER = "while true; do sleep 1; done"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path, for the sockets in it."""
    path = Path(tempfile.mkdtemp(prefix="labkit-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def processes_below(root: Path) -> set[int]:
    """Every living process that was started with a CONTAINER_ROOT below `root`."""
    marker, found = f"CONTAINER_ROOT={root}/".encode(), set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if marker in Path(f"/proc/{name}/environ").read_bytes():
                found.add(int(name))
        except OSError:
            continue
    return found


def busy_client(url: str) -> docker.DockerClient:
    client = docker.DockerClient(base_url=url)
    client.images.pull("busybox")
    return client


# Lifeline

FAMILY = """
sleep 1000 &
(setsid sleep 1001 &)
setsid sh -c '(sleep 1002 & sleep 1003)' &
sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' &
echo ready; wait
"""


def test_when_the_engine_is_killed_no_process_of_a_container_lives_on(directory: Path) -> None:
    with serving(directory) as (engine, url):
        client = busy_client(url)
        containers = [client.containers.run("busybox", ["sh", "-c", FAMILY], detach=True)]
        containers.append(client.containers.run("pause:3.10", detach=True))
        until(lambda: len(processes_below(directory)) >= 8, "grandchildren too")
        exec_id = client.api.exec_create(containers[0].id, ["sh", "-c", FAMILY])["Id"]
        client.api.exec_start(exec_id, detach=True)
        until(lambda: len(processes_below(directory)) >= 14, "those of the exec too")
        os.kill(engine.pid, signal.SIGKILL)
        until(lambda: not processes_below(directory), "all are gone")


def test_when_a_container_ends_its_whole_family_ends(embedded: Lab) -> None:
    container = embedded.run(FAMILY)
    root = Path(embedded.api.inspect_container(container.id)["HostsPath"]).parent.parent.parent
    until(lambda: len(processes_below(root)) >= 7, "the family")
    container.kill()
    until(lambda: not processes_below(root), "all are gone")


def test_a_daemon_inside_a_container_lives_as_long_as_the_container(embedded: Lab) -> None:
    container = embedded.run("(setsid sh -c 'echo $$ > pid; exec sleep 1000' &) ; exec sleep 1001")
    root = Path(embedded.api.inspect_container(container.id)["HostsPath"]).parent.parent
    until(lambda: (root / "pid").exists() and (root / "pid").read_text().strip(), "it has started")
    daemon = int((root / "pid").read_text())
    container.exec_run(["true"])  # its end makes the spawner look for what has no owner
    assert daemon in processes_below(root.parent)
    assert embedded.api.stats(container.id, stream=False)["pids_stats"]["current"] == 2
    container.kill()
    until(lambda: daemon not in processes_below(root.parent), "it ends with the container")


def test_when_the_spawner_is_killed_containers_are_dead_and_new_ones_start(directory: Path) -> None:
    with serving(directory) as (engine, url):
        client = busy_client(url)
        container = client.containers.run("busybox", ["sh", "-c", FAMILY], detach=True)
        until(lambda: len(processes_below(directory)) >= 7, "the family")
        (spawner,) = children(engine.pid)
        os.kill(spawner, signal.SIGKILL)
        assert container.wait(timeout=20)["StatusCode"] == 137
        until(lambda: not processes_below(directory), "all are gone")
        assert client.containers.run("busybox", ["echo", "again"]) == b"again\n"


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def test_a_killed_engine_leaves_nothing_that_hinders_the_next(directory: Path) -> None:
    with serving(directory) as (engine, url):
        busy_client(url).containers.run("busybox", ["sleep", "1000"], detach=True)
        engine.kill()
        engine.wait()
    with serving(directory) as (_, url):
        assert docker.DockerClient(base_url=url).containers.list(all=True) == []
        assert list((directory / "s/containers").iterdir()) == []


def test_stopping_the_engine_removes_socket_containers_and_files(directory: Path) -> None:
    with serving(directory) as (_, url):
        busy_client(url).containers.run("busybox", ["sh", "-c", FAMILY], detach=True)
        until(lambda: len(processes_below(directory)) >= 7, "the family")
    assert processes_below(directory) == set()
    assert [path.name for path in directory.iterdir()] == ["s"]
    assert {path.name for path in (directory / "s").iterdir()} == {"engine.lock", "images"}


def test_the_engine_ends_at_once_though_clients_follow_it(directory: Path) -> None:
    with serving(directory) as (engine, url):
        client = busy_client(url)
        events = client.events()
        container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
        assert next(events)
        stats = container.stats(stream=True)
        assert next(stats)
        engine.terminate()
        assert engine.wait(15) == 0


@asynccontextmanager
async def in_process(directory: Path) -> AsyncIterator[aiodocker.Docker]:
    """A client of an engine in this process, on asyncio's own loop (elsewhere it is uvloop)."""
    async with (
        Engine(directory / "s", directory / "d.sock", Clock()) as engine,
        aiodocker.Docker(url=f"unix://{engine.socket_path}") as client,
    ):
        await client.images.pull("busybox")
        yield client


async def test_a_port_is_free_again_when_the_engine_has_stopped(directory: Path) -> None:
    config = {"Image": "pause:3.10", "HostConfig": {"PortBindings": {"80/tcp": [{}]}}}
    async with in_process(directory) as client:
        container = await client.containers.run(config)
        ports = (await container.show())["NetworkSettings"]["Ports"]["80/tcp"]
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", int(ports[0]["HostPort"]))


async def test_the_engine_works_on_asyncios_own_loop(directory: Path) -> None:
    async with in_process(directory) as client:
        command = ["sh", "-c", "echo hi; exec sleep 1000"]
        container = await client.containers.run({"Image": "busybox", "Cmd": command})
        executed = await container.exec(["sh", "-c", "echo out; exit 3"])
        async with executed.start(detach=False) as stream:
            assert (await stream.read_out()).data == b"out\n"
        await container.stop(timeout=5)
        assert await container.log(stdout=True) == ["hi\n"]


# The socket


def test_the_socket_is_for_this_user_alone(directory: Path) -> None:
    with serving(directory / "new") as (_, url):
        path = Path(url.removeprefix("unix://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_second_engine_on_the_same_state_is_refused(directory: Path) -> None:
    async with Engine(directory / "state", directory / "a.sock", Clock()):
        second = Engine(directory / "state", directory / "b.sock", Clock())
        with pytest.raises(ClusterError, match="Another engine uses the state directory"):
            await second.start()
        await second.stop()
        assert (directory / "a.sock").exists()


async def test_a_socket_path_that_is_too_long_is_refused_with_the_limit(directory: Path) -> None:
    with pytest.raises(UsageError, match="at most 107 bytes"):
        await Engine(directory, directory / ("x" * 120), Clock()).start()


# Addresses


def address(container) -> str:
    container.reload()
    return container.attrs["NetworkSettings"]["IPAddress"]


SERVE = "exec python3 -S -c \"import os,socket; s=socket.create_server((os.environ['HOST'],7070)); \
print('up',flush=True)\nwhile 1: c,_=s.accept(); c.sendall(os.environ['HOSTNAME'].encode()); \
c.close()\""


def ask(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=10) as link:
        return link.makefile("rb").read()


def test_two_containers_listen_on_one_port_at_their_own_addresses(embedded: Lab) -> None:
    both = [embedded.run(SERVE, hostname=name) for name in ("one", "two")]
    for container in both:
        until(lambda c=container: b"up" in c.logs(), "it listens")
    assert address(both[0]) != address(both[1])
    assert [ask(address(c), 7070) for c in both] == [b"one", b"two"]


def test_a_container_in_anothers_network_has_its_host_and_files(embedded: Lab) -> None:
    first = embedded.run(
        "exec sleep 1000", hostname="pod", dns=["127.0.0.53"], dns_opt=["ndots:5", "port:5353"],
        dns_search=["a.b", "b"], extra_hosts={"db": "127.9.9.9"},
    )  # fmt: skip
    second = embedded.run(
        "echo $HOST; cat $CONTAINER_ROOT/etc/resolv.conf; cat $CONTAINER_ROOT/etc/hosts",
        network_mode=f"container:{first.id}",
    )
    second.wait()
    assert second.logs().decode().splitlines() == [
        address(first),
        "nameserver 127.0.0.53",
        "search a.b b",
        "options ndots:5 port:5353",
        "127.0.0.1\tlocalhost",
        "127.9.9.9\tdb",
        f"{address(first)}\tpod",
    ]


def test_an_address_is_not_handed_out_again_at_once(embedded: Lab) -> None:
    first = embedded.run(FOREVER)
    before = address(first)
    first.remove(force=True)
    assert address(embedded.run(FOREVER)) != before


def test_a_published_port_leads_to_the_container_until_it_ends(embedded: Lab) -> None:
    container = embedded.run(SERVE, hostname="web", ports={"7070/tcp": None})
    until(lambda: b"up" in container.logs(), "it listens")
    container.reload()
    port = int(container.attrs["NetworkSettings"]["Ports"]["7070/tcp"][0]["HostPort"])
    assert ask("127.0.0.1", port) == b"web"
    container.kill()
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", port)


# Accounting


def cpu(lab: Lab, container) -> float:
    """Seconds of CPU time that `docker stats` says."""
    sample = lab.api.stats(container.id, stream=False, one_shot=True)
    return sample["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9


def test_a_shell_loop_accounts_for_the_programs_it_runs(embedded: Lab) -> None:
    work = "python3 -I -S -c 'for i in range(3000000): pass'"
    container = embedded.run(f"{work}; {work}; {work}; echo done; exec sleep 1000")
    until(lambda: b"done" in container.logs(), "three programs have come and gone")
    seen = cpu(embedded, container)
    container.reload()
    stat_line = Path(f"/proc/{container.attrs['State']['Pid']}/stat").read_text()
    own = int(stat_line.split()[13]) / os.sysconf("SC_CLK_TCK")  # without the three: nearly nothing
    assert seen > own + 0.05


def test_cpu_time_never_falls(embedded: Lab) -> None:
    burn = "(python3 -I -S -c 'for i in range(1000000): pass' &)"
    container = embedded.run(f"while :; do {burn}; sleep 0.05; done")
    samples = [cpu(embedded, container) for _ in range(40)]
    assert samples == sorted(samples)


def test_a_container_does_not_pay_for_another(embedded: Lab) -> None:
    idle, busy = embedded.run("exec sleep 1000"), embedded.run("while :; do :; done")
    until(lambda: cpu(embedded, busy) > 0.3, "the busy one has worked")
    assert cpu(embedded, idle) < 0.1


# Many things at once


def test_thirty_containers_start_together(embedded: Lab) -> None:
    containers = [embedded.create("exec sleep 1000") for _ in range(30)]
    threads = [threading.Thread(target=c.start) for c in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    mine = {"label": f"labkit-test={embedded.prefix}", "status": "running"}
    running = embedded.client.containers.list(filters=mine)
    assert len({address(c) for c in running}) == 30


def test_a_client_that_hangs_up_does_not_stop_what_it_began(embedded: Lab) -> None:
    container = embedded.run("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: b"ready" in container.logs(), "the trap is set")
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(embedded.url.removeprefix("unix://"))
        link.sendall(
            f"POST /containers/{container.id}/stop?t=1 HTTP/1.1\r\nHost: d\r\n\r\n".encode()
        )
        until(lambda: "kill" in actions(embedded, container), "the signal is sent")
    until(lambda: embedded.client.containers.get(container.id).status == "exited", "it is stopped")


def actions(lab: Lab, container) -> list[str]:
    found = lab.client.events(
        decode=True, since=1, until=time.time(), filters={"container": container.id}
    )
    return [event["Action"] for event in found]


def test_a_container_that_writes_without_end_does_not_fill_the_engine(embedded: Lab) -> None:
    container = embedded.run("yes 0123456789abcdef")
    until(lambda: len(container.logs()) > 900_000, "the record is full")
    assert len(container.logs()) < 2_000_000
    assert set(container.logs(tail=100).splitlines()) == {b"0123456789abcdef"}


# The environment


def test_the_engines_own_environment_does_not_leak(embedded: Lab) -> None:
    container = embedded.run("exec env")
    container.wait()
    names = {line.partition("=")[0] for line in container.logs().decode().splitlines()}
    allowed = {"PATH", "HOSTNAME", "HOST", "HOME", "CONTAINER_ROOT", "LANG", "TZ", "PWD"}
    assert {name for name in names if not name.startswith("LC_")} <= allowed


def test_python3_is_the_labs_own_interpreter(embedded: Lab) -> None:
    container = embedded.run("exec python3 -I -S -c 'import sys; print(sys.version)'")
    container.wait()
    assert container.logs().decode().strip() == " ".join(sys.version.splitlines())


def test_a_bind_mount_takes_the_place_of_what_the_image_has_there(
    embedded: Lab, tmp_path: Path
) -> None:
    (tmp_path / "hosts").write_text("mine")
    (tmp_path / "bin").mkdir()
    binds = [f"{tmp_path / 'bin'}:/bin", f"{tmp_path / 'hosts'}:/tmp/hosts"]
    out = embedded.client.containers.run(
        "busybox", ["sh", "-c", "ls bin; cat tmp/hosts"], volumes=binds, remove=True
    )
    assert out == b"mine"


def test_a_bind_mount_takes_nothing_away_behind_another_one(embedded: Lab, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "f").touch()
    binds = [f"{tmp_path}:/data", "/tmp:/data/kept"]
    with pytest.raises(docker.errors.APIError, match="another mount has something there already"):
        embedded.client.containers.create("busybox", "true", volumes=binds)
    assert (tmp_path / "kept" / "f").exists()


def test_a_bind_mount_shows_the_hosts_directory(embedded: Lab, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("from the host")
    container = embedded.run("cat data/f", volumes=[f"{tmp_path}:/data:ro"])
    container.wait()
    assert container.logs() == b"from the host"
    assert container.attrs["Mounts"][0]["Destination"] == "/data"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"privileged": True}, "cannot have more rights", id="privileged"),
        pytest.param({"volumes": ["data:/data"]}, "bind mounts but no volumes", id="volume"),
    ],
)
def test_what_cannot_be_given_is_refused_with_the_reason(embedded: Lab, options, words) -> None:
    with pytest.raises(APIError, match=words):
        embedded.create("true", **options)


def test_an_environment_that_is_too_large_fails_the_start_and_nothing_else(embedded: Lab) -> None:
    container = embedded.create("true", environment={"BIG": "x" * 300_000})
    with pytest.raises(APIError, match="message too long"):
        container.start()
    assert embedded.run("true").wait()["StatusCode"] == 0


def test_a_subnet_outside_the_loopback_range_is_refused(embedded: Lab) -> None:
    pool = docker.types.IPAMPool(subnet="10.1.2.0/24")
    with pytest.raises(APIError, match=r"not inside 127\.0\.0\.0/8"):
        embedded.client.networks.create(
            "outside", ipam=docker.types.IPAMConfig(pool_configs=[pool])
        )


# Protocol


def raw(lab: Lab, path: str) -> tuple[str, str]:
    """(status line, body) of a GET."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(lab.url.removeprefix("unix://"))
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = link.makefile("rb").read().decode().partition("\r\n\r\n")
        return head.splitlines()[0], body.strip()


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/_ping", 200, "OK"),
        ("/v1.24/_ping", 200, "OK"),
        ("/v1.43/_ping", 200, "OK"),
        (
            "/v1.99/info",
            400,
            '{"message":"client version 1.99 is too new. Maximum supported API version is 1.43"}',
        ),
        (
            "/v1.10/info",
            400,
            '{"message":"client version 1.10 is too old. Minimum supported API version is 1.24, '
            'please upgrade your client to a newer version"}',
        ),
        ("/nosuch", 404, '{"message":"page not found"}'),
        (
            "/containers/json?filters=x",
            500,
            '{"message":"invalid character \'x\' looking for beginning of value"}',
        ),
    ],
)
def test_paths_and_versions(embedded: Lab, path: str, status: int, body: str) -> None:
    line, got = raw(embedded, path)
    assert re.fullmatch(rf"HTTP/1\.1 {status} .*", line)
    assert got == body


async def test_aiodocker_works_from_pull_to_exec(embedded: Lab) -> None:
    async with aiodocker.Docker(url=embedded.url) as client:
        await client.images.pull("busybox")
        config = {"Image": "busybox", "Cmd": ["sh", "-c", "echo hi; " + FOREVER]}
        container = await client.containers.run(config)
        try:
            executed = await container.exec(["sh", "-c", "echo from exec; exit 3"])
            async with executed.start(detach=False) as stream:
                message = await stream.read_out()
                assert message.data == b"from exec\n"
                assert await stream.read_out() is None
            assert (await executed.inspect())["ExitCode"] == 3
            assert await container.log(stdout=True) == ["hi\n"]
            stats = await container.stats(stream=False)
            assert stats[0]["memory_stats"]["usage"] > 0
            await container.stop(timeout=5)
            assert (await container.show())["State"]["Status"] == "exited"
        finally:
            await container.delete(force=True)


def test_the_command_line_says_how_to_reach_the_engine(directory: Path) -> None:
    words = [sys.executable, "-m", "labkit.engine", "--state-dir", str(directory / "s")]
    long = subprocess.run(
        [*words, "--socket", "/tmp/" + "x" * 120], capture_output=True, text=True, check=False
    )
    assert long.returncode == 1
    assert "A unix socket's path has at most 107 bytes." in long.stderr
    with serving(directory) as (_, url):
        assert docker.DockerClient(base_url=url).ping()


def test_a_todo_list_answers_through_a_published_port(embedded: Lab) -> None:
    embedded.client.images.pull("todolist")
    container = embedded.client.containers.run(
        "todolist", detach=True, ports={"3001/tcp": None}, labels={"labkit-test": embedded.prefix}
    )
    until(lambda: b"listens" in container.logs(), "it listens")
    container.reload()
    port = container.attrs["NetworkSettings"]["Ports"]["3001/tcp"][0]["HostPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/rule", timeout=10) as answer:
        assert answer.headers["X-Served-By"] == container.id[:12]
        assert answer.headers["X-Served-From"] == address(container)


def test_the_lessons_loop_runs_verbatim_and_ends_with_its_container(embedded: Lab) -> None:
    embedded.client.images.pull("todolist")
    labels = {"labkit-test": embedded.prefix}
    app = embedded.client.containers.run("todolist", detach=True, labels=labels, hostname="myapp-0")
    until(lambda: b"listens" in app.logs(), "it listens")
    loop = "while true; do wget -q -O- http://myapp:3001/api/rule; done"
    load = embedded.run(loop, extra_hosts={"myapp": address(app)})
    until(lambda: load.logs(stderr=False).count(b"Run a Pod") >= 5, "answers come")
    assert load.logs(stdout=False) == b""
    until(lambda: cpu(embedded, app) > 0.02, "the load is seen as CPU time")
    load.kill("SIGTERM")
    until(lambda: embedded.client.containers.get(load.id).status == "exited", "it stops")
