"""The resolver of the lab's images, against a name server of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from labkit.apps import resolver

RECORDS = {
    "myapp.default.svc.cluster.local.": ["127.96.0.5"],
    "many.default.svc.cluster.local.": [f"127.244.1.{n}" for n in range(2, 62)],
    "example.org.": ["127.9.9.1"],
}
ALIAS = "alias.default.svc.cluster.local."


class NameServer:
    """Answers A questions over UDP from RECORDS, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent = 0  # how many questions to leave unanswered
        self.cut = False  # whether answers over UDP are cut
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            data, client = self.socket.recvfrom(4096)
            if not data:
                return
            question = dns.message.from_wire(data)
            name = question.question[0].name.to_text()
            self.asked.append(name)
            if self.silent:
                self.silent -= 1
                continue
            answer = self.answer(question, name)
            if self.cut:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
            self.socket.sendto(answer.to_wire(), client)

    def serve_one_over_tcp(self, listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link:
            question = dns.message.from_wire(link.recv(4096)[2:])
            wire = self.answer(question, question.question[0].name.to_text()).to_wire()
            framed = len(wire).to_bytes(2, "big") + wire
            for part in (framed[:1], framed[1:100], framed[100:]):
                link.sendall(part)

    def answer(self, question: dns.message.Message, name: str) -> dns.message.Message:
        answer = dns.message.make_response(question)
        real = "myapp.default.svc.cluster.local." if name == ALIAS else name
        if name == ALIAS:
            answer.answer.append(dns.rrset.from_text(name, 5, "IN", "CNAME", real))
        if real in RECORDS:
            answer.answer.append(dns.rrset.from_text(real, 5, "IN", "A", *RECORDS[real]))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def close(self) -> None:
        self.socket.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    started = NameServer()
    yield started
    started.close()


@pytest.fixture
def root(server: NameServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container's root directory that names the server."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("127.0.0.1\tlocalhost\n127.7.7.7\tdb db.local # a note\n")
    (tmp_path / "etc/resolv.conf").write_text(
        "nameserver 127.0.0.1\nsearch default.svc.cluster.local svc.cluster.local cluster.local\n"
        f"options ndots:5 timeout:1 attempts:3 port:{server.port}\n"
    )
    monkeypatch.setenv("CONTAINER_ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("ndots", "name", "expected"),
    [
        pytest.param(5, "myapp", ["myapp.a", "myapp.b", "myapp"], id="short"),
        pytest.param(5, "w.x.y.z", ["w.x.y.z.a", "w.x.y.z.b", "w.x.y.z"], id="fewer-dots"),
        pytest.param(1, "w.x", ["w.x", "w.x.a", "w.x.b"], id="enough-dots"),
        pytest.param(5, "w.x.", ["w.x"], id="absolute"),
    ],
)
def test_the_search_rule_decides_the_order_of_names(ndots: int, name: str, expected: list) -> None:
    config = resolver.Config(f"search a b\noptions ndots:{ndots}")
    assert config.candidates(name) == expected


def test_a_resolv_conf_is_read_with_its_extension() -> None:
    text = "# c\nnameserver 127.0.0.1\nnameserver 127.0.0.2 # d\noptions port:5353 rotate timeout:x"
    config = resolver.Config(text)
    assert config.servers == ["127.0.0.1", "127.0.0.2"]
    assert config.options == {"ndots": 1, "timeout": 5, "attempts": 2, "port": 5353}


def test_a_short_name_is_found_by_the_search_list(root: Path, server: NameServer) -> None:
    assert resolver.lookup("myapp") == ("myapp.default.svc.cluster.local", ["127.96.0.5"])
    assert server.asked == ["myapp.default.svc.cluster.local."]


def test_a_full_name_is_found_after_the_search_list(root: Path, server: NameServer) -> None:
    assert resolver.resolve("example.org") == ["127.9.9.1"]
    assert server.asked[-1] == "example.org."
    assert len(server.asked) == 4


def test_an_alias_and_many_addresses_are_understood(root: Path) -> None:
    assert resolver.resolve("alias") == ["127.96.0.5"]
    assert len(resolver.resolve("many")) == 60


def test_the_hosts_file_comes_first(root: Path, server: NameServer) -> None:
    assert resolver.resolve("db.local") == ["127.7.7.7"]
    assert server.asked == []


def test_an_address_is_itself(root: Path, server: NameServer) -> None:
    assert resolver.resolve("127.1.2.3") == ["127.1.2.3"]
    assert server.asked == []


def test_an_unknown_name_has_no_address(root: Path) -> None:
    assert resolver.lookup("nosuch.invalid") == ("nosuch.invalid", [])


def test_a_lost_answer_is_asked_for_again(root: Path, server: NameServer) -> None:
    server.silent = 1
    assert resolver.resolve("myapp") == ["127.96.0.5"]
    assert server.asked == ["myapp.default.svc.cluster.local."] * 2


def test_an_answer_that_is_cut_is_asked_for_over_tcp(root: Path, server: NameServer) -> None:
    server.cut = True
    with socket.create_server(("127.0.0.1", server.port)) as listener:
        thread = threading.Thread(target=server.serve_one_over_tcp, args=(listener,), daemon=True)
        thread.start()
        assert len(resolver.resolve("many.default.svc.cluster.local.")) == 60
        thread.join(10)


def test_a_server_that_refuses_leaves_it_to_the_next(
    root: Path, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"127.0.0.8": (resolver.REFUSED, []), "127.0.0.9": (0, ["127.9.9.1"])}
    monkeypatch.setattr(resolver, "ask", lambda server, *_: answers[server])
    config = resolver.Config("nameserver 127.0.0.8\nnameserver 127.0.0.9\n")
    assert resolver.query(config, "example.org") == (0, ["127.9.9.1"])
    config.servers.pop()
    assert resolver.query(config, "example.org") == (resolver.REFUSED, [])


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".", "-"])
def test_odd_names_are_not_found_rather_than_an_error(root: Path, name: str) -> None:
    assert resolver.lookup(name)[1] == []


@pytest.mark.parametrize("cut", range(0, 45, 4))
def test_a_response_that_is_cut_is_no_answer(cut: int) -> None:
    question = dns.message.from_wire(resolver.question(7, "example.org"))
    response = dns.message.make_response(question)
    response.answer.append(dns.rrset.from_text("example.org.", 5, "IN", "A", "127.9.9.1"))
    assert resolver.answer(7, response.to_wire()) == (0, ["127.9.9.1"])
    wire = response.to_wire()[:cut]
    if cut < 12:
        with pytest.raises(ValueError, match="not an answer"):
            resolver.answer(7, wire)
    else:
        # query() takes any of these for a lost answer
        with pytest.raises((ValueError, IndexError)):
            resolver.answer(7, wire)


def test_install_lets_sockets_connect_by_the_clusters_names(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)  # to be put back
    resolver.install()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert {info[4] for info in socket.getaddrinfo("myapp", 80)} == {("127.96.0.5", 80)}
        with socket.create_connection(("localhost", port), timeout=10):
            pass
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nosuch.invalid", 80)


def test_install_does_nothing_in_a_real_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINER_ROOT", raising=False)
    before = socket.getaddrinfo
    resolver.install()
    assert socket.getaddrinfo is before
