"""wget and nslookup of the lab's busybox; wget side by side with the real busybox where it is."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import apps
from tests.apps.test_resolver import NameServer
from tests.conftest import missing

APPS = Path(apps.__file__).parent
REAL = shutil.which("busybox")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's files, where its Dockerfile puts them."""
    root = tmp_path_factory.mktemp("busybox")
    shutil.copytree(APPS / "busybox/bin", root / "bin")
    shutil.copytree(APPS / "busybox/lib", root / "lib/busybox")
    shutil.copy(APPS / "resolver.py", root / "lib/busybox")
    (root / "etc").mkdir()
    (root / "etc/hosts").write_text("127.0.0.1 localhost myapp\n")
    (root / "etc/resolv.conf").write_text("")
    return root


@pytest.fixture(params=["labkit", "busybox"])
def wget(request: pytest.FixtureRequest, image: Path, tmp_path: Path) -> Callable:
    """Runs a wget in an empty directory: ours, and the one it imitates."""
    if request.param == "busybox" and REAL is None:
        missing("docker", "there is no busybox to compare with")
    program = [REAL, "wget"] if request.param == "busybox" else [str(image / "bin/wget")]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(os.path.realpath(sys._base_executable))
    environ = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "CONTAINER_ROOT": str(image)}

    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*program, *words],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr

    return run


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/moved":
            return self.reply(302, b"", Location="/hello")
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            return None
        if self.path == "/slow":
            self.server.released.wait(20)
            return self.reply(200, b"late")
        if self.path == "/hello":
            return self.reply(200, b"hello\n")
        if self.path == "/who":
            return self.reply(200, self.client_address[0].encode())
        if self.path == "/header":
            return self.reply(200, self.headers.get("X-Test", "").encode())
        return self.reply(404, b"no")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(200, b"got " + body)

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    """`host:port` of a server to fetch from."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.released = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.released.set()
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_quiet_output_is_the_body_alone(wget: Callable, site: str) -> None:
    assert wget("-q", "-O-", f"http://{site}/hello") == (0, "hello\n", "")
    assert wget("-q", "-O", "-", f"http://{site}/hello") == (0, "hello\n", "")
    assert wget("-qO-", f"http://{site}/hello") == (0, "hello\n", "")
    assert wget("-qO-", f"{site}/hello") == (0, "hello\n", "")


def test_chunks_redirects_headers_and_posts(wget: Callable, site: str) -> None:
    assert wget("-qO-", f"http://{site}/chunked")[:2] == (0, "abcde")
    assert wget("-qO-", f"http://{site}/moved")[:2] == (0, "hello\n")
    assert wget("-qO-", "--header", "X-Test: yes", f"http://{site}/header")[:2] == (0, "yes")
    assert wget("-qO-", "--post-data", "a=b", f"http://{site}/x")[:2] == (0, "got a=b")


def test_a_file_is_written_and_not_overwritten(wget: Callable, site: str, tmp_path: Path) -> None:
    assert wget("-q", f"http://{site}/hello")[0] == 0
    assert (tmp_path / "hello").read_text() == "hello\n"
    status, _, words = wget("-q", f"http://{site}/hello")
    assert (status, words) == (1, "wget: can't open 'hello': File exists\n")
    assert wget("-q", "-O", "other", f"http://{site}/hello")[0] == 0
    assert (tmp_path / "other").read_text() == "hello\n"


def test_without_quiet_it_says_what_it_does(wget: Callable, site: str) -> None:
    words = wget("-O", "-", f"http://{site}/hello")[2].splitlines()
    assert words[:2] == [f"Connecting to {site} ({site})", "writing to stdout"]
    assert words[-1] == "written to stdout"


def test_a_spider_looks_and_saves_nothing(wget: Callable, site: str, tmp_path: Path) -> None:
    assert wget("-q", "--spider", f"http://{site}/hello") == (0, "", "")
    assert not (tmp_path / "hello").exists()
    assert wget("--spider", f"http://{site}/hello")[2].endswith("remote file exists\n")
    assert wget("-q", "--spider", f"http://{site}/nosuch")[0] == 1


def test_errors_have_busyboxs_words_and_status(wget: Callable, site: str) -> None:
    assert wget("-q", "-O-", f"http://{site}/nosuch") == (
        1,
        "",
        "wget: server returned error: HTTP/1.1 404 Not Found\n",
    )
    assert wget("-q", "-O-", "http://127.0.0.1:9/") == (
        1,
        "",
        "wget: can't connect to remote host (127.0.0.1): Connection refused\n",
    )
    assert wget("-q", "-O-", "http://nosuch.invalid:3001/api/rule")[::2] == (
        1,
        "wget: bad address 'nosuch.invalid:3001'\n",
    )
    assert wget("-q", "-O-", "ftpx://x/")[::2] == (1, "wget: not an http or ftp url: ftpx://x/\n")


@pytest.mark.parametrize("wget", ["labkit"], indirect=True)  # Debian's busybox crashes with -T
def test_a_silent_server_is_given_up(wget: Callable, site: str) -> None:
    assert wget("-q", "-T", "1", "-O-", f"http://{site}/slow")[::2] == (
        1,
        "wget: download timed out\n",
    )


def test_it_asks_from_the_containers_own_address(image: Path, site: str) -> None:
    environ = {"PATH": os.environ["PATH"], "CONTAINER_ROOT": str(image), "HOST": "127.66.6.6"}
    done = subprocess.run(
        [image / "bin/wget", "-qO-", f"{site}/who"],
        env=environ,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == b"127.66.6.6"


def test_no_url_is_a_usage_error(wget: Callable) -> None:
    status, _, words = wget()
    assert status == 1
    assert "Usage: wget" in words


@pytest.fixture
def nslookup(image: Path, tmp_path: Path) -> Iterator[Callable]:
    """Runs nslookup with a name server of the test's own."""
    server = NameServer()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text(
        "nameserver 127.0.0.1\nsearch default.svc.cluster.local\n"
        f"options ndots:5 timeout:1 attempts:1 port:{server.port}\n"
    )

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(image / "bin/nslookup"), *words],
            env={"CONTAINER_ROOT": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout.replace(str(server.port), "PORT")

    yield run
    server.close()


def test_nslookup_prints_server_name_and_addresses(nslookup: Callable) -> None:
    assert nslookup("myapp") == (
        0,
        "Server:\t\t127.0.0.1\nAddress:\t127.0.0.1:PORT\n\n"
        "Name:\tmyapp.default.svc.cluster.local\nAddress: 127.96.0.5\n\n",
    )


def test_nslookup_of_an_unknown_name_fails(nslookup: Callable) -> None:
    status, output = nslookup("nosuch.invalid")
    assert status == 1
    assert output.endswith("** server can't find nosuch.invalid: NXDOMAIN\n\n")
