"""Acting as somebody else: `kubectl --as`."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.conftest import Wire, refused, until

_RBAC = "rbac.authorization.k8s.io/v1"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def acting(user: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Impersonate-User", user), *more]


def who(wire: Wire, user: str, *more: tuple[str, str]) -> dict:
    answer = wire.http.post(_WHO, json={}, headers=acting(user, *more))
    assert answer.status_code == 201, answer.text
    return answer.json()["status"]["userInfo"]


def test_one_is_whom_one_acts_as(wire: Wire):
    extra = ("Impersonate-Extra-Example.com%2Fteam", "blue")
    groups = [("Impersonate-Group", "devs"), ("Impersonate-Group", "ops")]
    found = who(wire, "jane", *groups, ("Impersonate-Uid", "7"), extra)
    assert (found["username"], found["uid"]) == ("jane", "7")
    assert sorted(found["groups"]) == ["devs", "ops", "system:authenticated"]
    assert found["extra"] == {"example.com/team": ["blue"]}


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("jane", ["system:authenticated"]),
        (
            "system:serviceaccount:default:robot",
            ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"],
        ),
        ("system:anonymous", ["system:unauthenticated"]),
    ],
)
def test_some_groups_come_with_the_name(wire: Wire, user: str, groups: list[str]):
    if user == "system:anonymous":
        answer = wire.http.get("/api/v1/nodes", headers=acting(user))
        refused(answer, 403, "Forbidden", 'User "system:anonymous" cannot list resource "nodes"')
    else:
        assert sorted(who(wire, user)["groups"]) == groups


def test_who_may_not_impersonate_is_refused_whom(wire: Wire, stranger: Wire, ns: str):
    wire.ok("POST", f"{ns}/serviceaccounts", {"metadata": {"name": "robot"}})
    made = wire.ok("POST", f"{ns}/serviceaccounts/robot/token", {})
    me = ("Authorization", f"Bearer {made['status']['token']}")
    name = f"system:serviceaccount:{ns.rpartition('/')[2]}:robot"

    def ask(*headers: tuple[str, str]):
        return stranger.http.get("/api", headers=[me, *headers])

    assert ask().status_code == 200
    answer = ask(*acting("jane"))
    # Servers with constrained impersonation tell of `impersonate-on:` and the request.
    refused(answer, 403, "Forbidden", f'forbidden: User "{name}" cannot impersonate')
    answer = ask(*acting("system:serviceaccount:default:default"))
    refused(answer, 403, "Forbidden", f'forbidden: User "{name}" cannot impersonate')


@pytest.fixture
def impersonator(
    wire: Wire, ns: str, in_group: Callable[[str], str]
) -> Callable[..., list[tuple[str, str]]]:
    """Headers of a ServiceAccount that may impersonate by these rules, cluster wide."""
    wire.ok("POST", f"{ns}/serviceaccounts", {"metadata": {"name": "robot"}})
    token = wire.ok("POST", f"{ns}/serviceaccounts/robot/token", {})["status"]["token"]
    name = f"test-{uuid.uuid4().hex[:8]}"

    def make(*rules: dict) -> list[tuple[str, str]]:
        role = {"metadata": {"name": name}, "rules": list(rules)}
        wire.ok("POST", f"/apis/{_RBAC}/clusterroles", role)
        subject = {"kind": "ServiceAccount", "name": "robot", "namespace": ns.rpartition("/")[2]}
        binding = {
            "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": name},
            "subjects": [subject],
        }
        wire.ok("POST", f"/apis/{_RBAC}/clusterrolebindings", binding)
        return [("Authorization", f"Bearer {token}")]

    yield make
    for kind in ("clusterroles", "clusterrolebindings"):
        wire.delete(f"/apis/{_RBAC}/{kind}/{name}")


def test_each_thing_is_allowed_by_itself(stranger: Wire, impersonator):
    me = impersonator(
        {"apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"],
         "verbs": ["impersonate"]},
        {"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/team"],
         "verbs": ["impersonate"]},
    )  # fmt: skip

    def ask(*headers: tuple[str, str]):
        return stranger.http.post(_WHO, json={}, headers=[*me, *headers])

    until(lambda: ask(*acting("jane")).status_code == 201, what="the binding counts")
    refused(ask(*acting("joe")), 403, "Forbidden", 'users "joe" is forbidden')
    answer = ask(*acting("jane", ("Impersonate-Group", "devs"), ("Impersonate-Extra-Team", "a")))
    assert answer.json()["status"]["userInfo"] == {
        "username": "jane",
        "groups": ["devs", "system:authenticated"],
        "extra": {"team": ["a"]},
    }
    answer = ask(*acting("jane", ("Impersonate-Extra-Scope", "a")))
    refused(answer, 403, "Forbidden", 'cannot impersonate resource "userextras/scope"')
    answer = ask(*acting("jane", ("Impersonate-Uid", "7")))
    refused(answer, 403, "Forbidden", 'uids.authentication.k8s.io "7" is forbidden')


def test_kubectl_acts_as_somebody(kubectl: str, kubeconfig: Path):
    command = [kubectl, "--kubeconfig", str(kubeconfig), "auth", "whoami", "-o", "json"]
    options = ["--as", "jane", "--as-group", "devs", "--as-uid", "7"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["status"]["userInfo"]
    assert (found["username"], found["uid"]) == ("jane", "7")
    assert "devs" in found["groups"]
