"""exec and attach: kubectl over WebSockets and SPDY, the official client, and bare channels."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import kubernetes
import pexpect
import pytest
import websocket
from kubernetes.stream import stream

from tests.api import pods
from tests.api.conftest import Wire, refused, until
from tests.api.pods import Kubectl, container

NOISE = bytes(range(256)) * 8192  # 2 MiB, every byte among it
STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255


@pytest.fixture(scope="module")
def talk(wire: Wire) -> Iterator[str]:
    """A namespace with the Pod `talk`: `main` does nothing, `echo` answers each line."""
    echo = container("echo", "while read line; do echo heard $line; done; sleep 60", stdin=True)
    with pods.room(wire) as ns:
        pods.running(wire, ns, pods.pod("talk", container("main"), echo))
        yield ns


@pytest.fixture(params=pods.programs(), ids=lambda path: Path(path).name)
def kubectl(request: pytest.FixtureRequest, kubeconfig: Path, talk: str) -> Kubectl:
    return Kubectl(request.param, kubeconfig, talk)


@pytest.fixture
def official(configuration: kubernetes.client.Configuration) -> Callable:
    """`stream` with a client of its own, for it changes the client."""

    def call(method: str, *words: object, **options: object):
        api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
        return stream(getattr(api, method), *words, **options)

    return call


@pytest.fixture
def channels(configuration: kubernetes.client.Configuration, talk: str) -> Iterator[Callable]:
    """Open a bare WebSocket: channels("pods/talk/exec", protocol, [("command", "ls"), …])."""
    opened: list[websocket.WebSocket] = []

    def connect(path: str, protocol: str, query: list[tuple[str, str]]) -> websocket.WebSocket:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        token = configuration.api_key.get("authorization")
        host = configuration.host.replace("https://", "wss://")
        one = websocket.create_connection(
            f"{host}{talk}/{path}?{urlencode(query)}",
            subprotocols=[protocol],
            sslopt={"context": context},
            header=[f"Authorization: {token}"] if token else [],
            timeout=20,
        )
        opened.append(one)
        return one

    yield connect
    for one in opened:
        one.close()


def heard(socket: websocket.WebSocket) -> dict[int, bytes]:
    """All that comes on each channel, until the server closes."""
    found: dict[int, bytes] = {}
    while True:
        code, data = socket.recv_data()
        if code == websocket.ABNF.OPCODE_CLOSE:
            return found
        found[data[0]] = found.get(data[0], b"") + data[1:]


# kubectl


def test_output_and_exit_code_come_back(kubectl: Kubectl) -> None:
    words = ("exec", "talk", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    done = kubectl(*words)
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.stderr == b"err\ncommand terminated with exit code 3\n"


def test_every_byte_and_the_end_of_input_go_in(kubectl: Kubectl) -> None:
    done = kubectl("exec", "-i", "talk", "-c", "main", "--", "cat", send=NOISE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(NOISE).digest()


def test_a_slow_reader_gets_everything(kubectl: Kubectl) -> None:
    words = ("exec", "talk", "-c", "main", "--", "head", "-c", "30000000", "/dev/zero")
    with kubectl.start(*words, stdout=-1) as process:
        assert len(process.stdout.read(1)) == 1
        until(lambda: process.poll() is None, 1, "it waits")
        assert len(process.stdout.read()) == 29_999_999
    assert process.returncode == 0


def test_a_terminal_has_the_size_of_the_clients(kubectl: Kubectl) -> None:
    words = [*kubectl.words, "exec", "-it", "talk", "-c", "main", "--", "sh"]
    shell = pexpect.spawn(
        kubectl.program, words, env=kubectl.environ, timeout=20, dimensions=(30, 100), echo=False
    )
    shell.expect("[$#] ")
    until(lambda: asks(shell, "stty size", "30 100"), what="the size has arrived")
    shell.setwinsize(20, 90)
    until(lambda: asks(shell, "stty size", "20 90"), what="the new size has arrived")
    shell.sendline("sleep 60; echo interrupted")
    shell.send("\x03")
    shell.expect("[$#] ")
    shell.sendline("exit 5")
    shell.expect("command terminated with exit code 5")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 5


def asks(shell: pexpect.spawn, command: str, answer: str) -> bool:
    """Whether the shell answers so."""
    shell.sendline(command)
    return shell.expect([f"{answer}\r\n", r"\d+ \d+\r\n"]) == 0


def test_the_first_container_is_the_default(kubectl: Kubectl) -> None:
    done = kubectl("exec", "talk", "--", "echo", "hi")
    assert (done.stdout, done.returncode) == (b"hi\n", 0)
    assert b'Defaulted container "main" out of: main, echo' in done.stderr


def test_a_container_that_is_not_there_is_refused(kubectl: Kubectl) -> None:
    done = kubectl("exec", "talk", "-c", "none", "--", "ls")
    assert done.returncode == 1
    assert b"container none is not valid for pod talk" in done.stderr


def test_a_program_that_is_not_there_fails(kubectl: Kubectl) -> None:
    done = kubectl("exec", "talk", "-c", "main", "--", "no-such-program")
    assert done.returncode in (1, 126)  # as the container runtime has it
    assert b"no-such-program" in done.stderr + done.stdout


def test_attach_speaks_with_the_containers_own_process(kubectl: Kubectl) -> None:
    with kubectl.start("attach", "-i", "talk", "-c", "echo", stdin=-1, stdout=-1) as process:
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"heard one\n"
        process.stdin.write(b"two\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"heard two\n"
        process.terminate()


def test_run_passes_input_to_a_pod_of_its_own(kubectl: Kubectl) -> None:
    name = f"once-{Path(kubectl.program).name.replace('.', '-')}"
    words = ("run", name, "--rm", "-i", f"--image={pods.IMAGE}", "--restart=Never", "-q")
    done = kubectl(*words, "--", "sh", "-c", "read line; echo got $line", send=b"this\n")
    assert (done.returncode, done.stdout) == (0, b"got this\n")


def test_cp_copies_in_and_out(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NOISE)
    there = kubectl("exec", "talk", "-c", "main", "--", "mktemp", "-d").stdout.decode().strip()
    into = kubectl("cp", str(tmp_path / "in"), f"talk:{there}/file", "-c", "main")
    assert into.returncode == 0, into.stderr
    out = kubectl("cp", f"talk:{there}/file", str(tmp_path / "out"), "-c", "main")
    assert out.returncode == 0, out.stderr
    assert (tmp_path / "out").read_bytes() == NOISE


# The official client


def test_the_official_client_gets_output_as_text(official: Callable, talk: str) -> None:
    said = official(
        "connect_get_namespaced_pod_exec",
        "talk",
        talk.rsplit("/", 1)[1],
        container="main",
        command=["echo", "two words"],
        stdout=True,
        stderr=True,
    )
    assert said == "two words\n"


def test_the_official_client_talks_and_gets_the_exit_code(official: Callable, talk: str) -> None:
    client = official(
        "connect_get_namespaced_pod_exec",
        "talk",
        talk.rsplit("/", 1)[1],
        container="main",
        command=["sh", "-c", "read a; echo got $a; exit 7"],
        stdin=True,
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    client.write_stdin("it\n")
    client.run_forever(timeout=20)
    assert (client.read_stdout(), client.returncode) == ("got it\n", 7)


def test_the_official_client_attaches(official: Callable, talk: str) -> None:
    client = official(
        "connect_get_namespaced_pod_attach",
        "talk",
        talk.rsplit("/", 1)[1],
        container="echo",
        stdin=True,
        stdout=True,
        _preload_content=False,
    )
    client.write_stdin("hello\n")
    assert client.readline_stdout(timeout=20) == "heard hello"
    client.close()


# Channels


def command(script: str, *streams: str) -> list[tuple[str, str]]:
    words = [("command", word) for word in ("sh", "-c", script)]
    return [("container", "main"), *words, *((name, "true") for name in streams)]


def test_version_5_ends_input_by_a_close_signal(channels: Callable) -> None:
    query = command("cat; echo ended", "stdin", "stdout")
    socket = channels("pods/talk/exec", "v5.channel.k8s.io", query)
    assert socket.getsubprotocol() == "v5.channel.k8s.io"
    socket.send_binary(bytes([STDIN]) + b"all\n")
    socket.send_binary(bytes([CLOSE, STDIN]))
    found = heard(socket)
    assert found[STDOUT] == b"all\nended\n"
    assert json.loads(found[ERROR]) == {"metadata": {}, "status": "Success"}


def test_version_4_tells_the_exit_code_in_a_status(channels: Callable) -> None:
    query = command("echo no >&2; exit 9", "stdout", "stderr")
    found = heard(channels("pods/talk/exec", "v4.channel.k8s.io", query))
    assert found[STDERR] == b"no\n"
    assert json.loads(found[ERROR]) == {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: exit status 9",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "9"}]},
    }


def test_only_the_streams_asked_for_come(channels: Callable) -> None:
    query = command("echo out; echo err >&2", "stderr")
    found = heard(channels("pods/talk/exec", "v4.channel.k8s.io", query))
    assert (found.get(STDOUT), found[STDERR]) == (None, b"err\n")


# Refusals


def test_exec_is_no_ordinary_request(wire: Wire, talk: str) -> None:
    answer = wire.get(f"{talk}/pods/talk/exec", command="ls", container="main", stdout=True)
    refused(answer, 400, "BadRequest", "Upgrade request required")


def test_a_pod_that_is_not_there_is_not_found(wire: Wire, talk: str) -> None:
    answer = wire.get(f"{talk}/pods/nobody/exec", command="ls", stdout=True)
    refused(answer, 404, "NotFound", 'pods "nobody" not found')


def test_the_container_must_be_named_where_there_are_several(wire: Wire, talk: str) -> None:
    answer = wire.get(f"{talk}/pods/talk/exec", command="ls", stdout=True)
    message = "a container name must be specified for pod talk, choose one of: [main echo]"
    refused(answer, 400, "BadRequest", message)


def test_a_pod_without_a_node_cannot_run_commands(wire: Wire, talk: str) -> None:
    wire.ok("POST", f"{talk}/pods", pods.pod("adrift", container("a"), schedulerName="none"))
    for what in ("exec", "attach", "portforward"):
        answer = wire.get(f"{talk}/pods/adrift/{what}", stdout=True)
        refused(answer, 400, "BadRequest", "pod adrift does not have a host assigned")


def test_discovery_tells_what_the_options_are(wire: Wire) -> None:
    listed = wire.ok("GET", "/api/v1")["resources"]
    found = {one["name"]: (one["kind"], one["verbs"]) for one in listed}
    assert found["pods/exec"] == ("PodExecOptions", ["create", "get"])
    assert found["pods/attach"] == ("PodAttachOptions", ["create", "get"])
    assert found["pods/portforward"] == ("PodPortForwardOptions", ["create", "get"])
    proxy = ["create", "delete", "get", "patch", "update"]
    assert found["pods/proxy"] == ("PodProxyOptions", proxy)
    assert found["services/proxy"] == ("ServiceProxyOptions", proxy)
    assert found["nodes/proxy"] == ("NodeProxyOptions", proxy)
