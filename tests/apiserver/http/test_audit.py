"""The audit log: one line for each request, in a file of bounded size."""

from __future__ import annotations

import json
import stat

import aiohttp
import pytest

from labkit.apiserver import audit
from labkit.apiserver.audit import AuditLog, Trail
from labkit.apiserver.authorizer import Decision
from labkit.apiserver.request import User
from labkit.clock import Clock
from tests.serving import address, serving

ADMIN = User("kubernetes-admin", ("system:masters",), "7", {"team": ("blue",)})


@pytest.fixture
async def audited(certificates, tmp_path):
    """(session as the admin, function that stops the server and reads the log)."""
    path = tmp_path / "audit.log"
    async with serving(certificates, audit_log=path) as (_, http):
        connector = aiohttp.TCPConnector(ssl=certificates.client())
        async with aiohttp.ClientSession(address(http), connector=connector) as session:

            async def lines():
                await session.close()
                await http.stop()
                return [json.loads(line) for line in path.read_text().splitlines()]

            yield session, lines, path


async def test_a_line_tells_who_asked_what_and_how_it_ended(audited):
    session, lines, path = audited
    url = "/api/v1/namespaces/default/configmaps"
    headers = {"User-Agent": 'a "test"'}
    answer = await session.post(url, json={"metadata": {"name": "x"}}, headers=headers)
    await session.get("/apis/apps/v1/namespaces/default/deployments/web/status")
    [made, missing] = await lines()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (made["kind"], made["apiVersion"]) == ("Event", "audit.k8s.io/v1")
    assert (made["level"], made["stage"]) == ("Metadata", "ResponseComplete")
    assert made["auditID"] == answer.headers["Audit-Id"]
    assert (made["verb"], made["requestURI"]) == ("create", url)
    assert made["user"]["username"] == "kubernetes-admin"
    assert made["user"]["groups"] == ["system:masters", "system:authenticated"]
    assert made["sourceIPs"] == ["127.0.0.1"]
    assert made["userAgent"] == 'a "test"'
    assert made["objectRef"] == {
        "resource": "configmaps",
        "namespace": "default",
        "apiVersion": "v1",
    }
    assert made["responseStatus"]["code"] == 201
    assert made["requestReceivedTimestamp"] <= made["stageTimestamp"]
    assert len(made["stageTimestamp"]) == len("2026-01-31T09:30:00.000000Z")
    assert made["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert missing["objectRef"] == {
        "resource": "deployments",
        "namespace": "default",
        "name": "web",
        "apiGroup": "apps",
        "apiVersion": "v1",
        "subresource": "status",
    }
    assert missing["responseStatus"]["reason"] == "NotFound"
    assert missing["responseStatus"]["code"] == 404


async def test_who_acts_as_another_is_named_with_him(audited):
    session, lines, _ = audited
    headers = {"Impersonate-User": "jane"}
    assert (await session.get("/api/v1/nodes", headers=headers)).status == 403
    assert (await session.get("/api", headers=headers)).status == 200
    [refused, served] = await lines()
    for line in (refused, served):
        assert line["user"]["username"] == "kubernetes-admin"
        assert line["impersonatedUser"]["username"] == "jane"
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert served["annotations"]["authorization.k8s.io/reason"].startswith("RBAC: allowed by")


async def test_a_watch_is_one_line_when_it_is_over(audited):
    session, lines, _ = audited
    params = {"watch": "1", "timeoutSeconds": "1"}
    await (await session.get("/api/v1/pods", params=params)).read()
    [line] = await lines()
    assert (line["verb"], line["responseStatus"]["code"]) == ("watch", 200)


async def test_who_is_refused_at_the_door_is_noted_too(certificates, tmp_path):
    path = tmp_path / "audit.log"
    async with serving(certificates, audit_log=path) as (_, http):
        connector = aiohttp.TCPConnector(ssl=certificates.anonymous())
        async with aiohttp.ClientSession(address(http), connector=connector) as session:
            await session.get("/api/v1/pods")
            await session.get("/livez", headers={"Authorization": "Bearer x"})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["responseStatus"]["code"] for line in lines] == [401, 401]
    assert [line["user"] for line in lines] == [{"username": "system:anonymous",
        "groups": ["system:unauthenticated"]}, {}]  # fmt: skip


def trail(uri="/api/v1/namespaces/default/pods/x", **more):
    found = Trail("id", "GET", uri, 1000.25)
    found.path, found.sender, found.user, found.code = uri, ADMIN, ADMIN, 200
    found.decision = Decision(True)
    for name, value in more.items():
        setattr(found, name, value)
    return found


def test_a_line_is_json_whatever_a_request_says():
    odd = 'a"b\\c\u2028\ud83d\ude00\n'.encode("utf-16", "surrogatepass").decode("utf-16")
    line = audit.line(trail("/" + odd, user_agent=odd), 1001.5)
    found = json.loads(line)
    assert line.count("\n") == 1
    assert (found["requestURI"], found["userAgent"]) == ("/" + odd, odd)
    assert found["user"] == {
        "username": "kubernetes-admin",
        "uid": "7",
        "groups": ["system:masters"],
        "extra": {"team": ["blue"]},
    }
    assert found["requestReceivedTimestamp"] == "1970-01-01T00:16:40.250000Z"
    assert found["stageTimestamp"] == "1970-01-01T00:16:41.500000Z"


def test_an_id_is_the_askers_own_if_it_is_harmless():
    log = AuditLog(None, Clock())
    assert log.new_id("mine-1") == "mine-1"
    ids = {log.new_id(given) for given in ("", 'a"b', "x" * 65, "a b", "é")}
    assert len(ids) == 5
    assert all(len(one) == 36 for one in ids)


async def test_the_log_has_two_files_of_bounded_size(tmp_path):
    path = tmp_path / "audit.log"
    log = AuditLog(path, Clock(), max_size=2000)
    for _ in range(3):
        log.start()
        for _ in range(5):
            log.add(trail())
        await log.stop()
        await log.stop()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.log", "audit.log.1"]
    for file in tmp_path.iterdir():
        assert file.stat().st_size < 2000 + 5 * 800
        assert all(json.loads(line) for line in file.read_text().splitlines())


async def test_a_log_that_cannot_be_written_stops_nobody(tmp_path, caplog):
    path = tmp_path / "log" / "audit.log"
    path.parent.mkdir()
    log = AuditLog(path, Clock())
    log.start()
    path.unlink()
    path.parent.rmdir()
    log.add(trail())
    await log.stop()
    assert "audit log cannot be written" in caplog.text
