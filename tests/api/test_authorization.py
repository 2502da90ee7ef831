"""Who may do what: Roles, bindings, refusals, and that nobody grants what he does not have."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Wire, refused, until

RBAC = "rbac.authorization.k8s.io/v1"
_GROUP = "rbac.authorization.k8s.io"
_REVIEWS = "/apis/authorization.k8s.io/v1"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


class User:
    """Requests as somebody, by impersonation, in one namespace."""

    def __init__(self, wire: Wire, ns: str, name: str) -> None:
        self.wire, self.name, self.namespace = wire, name, ns.rpartition("/")[2]

    def request(self, method: str, path: str, body: object = None, **more: object):
        return self.wire.request(
            method, path, body, headers={"Impersonate-User": self.name}, **more
        )

    def may(self, path: str) -> bool:
        """Whether a GET succeeds."""
        code = self.request("GET", path).status_code
        assert code in (200, 403), code
        return code == 200

    def binding(self, role: str, kind: str = "Role") -> dict:
        return {
            "metadata": {"generateName": "binding-"},
            "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": role},
            "subjects": [{"kind": "User", "apiGroup": _GROUP, "name": self.name}],
        }


@pytest.fixture
def jane(wire: Wire, ns: str) -> User:
    """A user who may do nothing yet."""
    return User(wire, ns, f"jane-{uuid.uuid4().hex[:6]}")


@pytest.fixture
def grant(wire: Wire, in_group: Callable[[str], str], jane: User) -> Callable[..., None]:
    """Give Jane rules, or a ClusterRole by its name, in the namespace."""

    def give(*rules: dict | str) -> None:
        for rule in rules:
            role, kind = rule, "ClusterRole"
            if isinstance(rule, dict):
                body = {"metadata": {"generateName": "role-"}, "rules": [rule]}
                made = wire.ok("POST", f"{in_group(RBAC)}/roles", body)
                role, kind = made["metadata"]["name"], "Role"
            wire.ok("POST", f"{in_group(RBAC)}/rolebindings", jane.binding(role, kind))

    return give


@pytest.fixture
def cluster_role(wire: Wire) -> Iterator[Callable[..., str]]:
    """Make a ClusterRole; it is removed afterwards."""
    made = []

    def make(**fields: object) -> str:
        labels = fields.pop("labels", {})
        name = f"test-{uuid.uuid4().hex[:8]}"
        body = {"metadata": {"name": name, "labels": labels}, **fields}
        wire.ok("POST", f"/apis/{RBAC}/clusterroles", body)
        made.append(name)
        return name

    yield make
    for name in made:
        wire.delete(f"/apis/{RBAC}/clusterroles/{name}")


# -- refusals --------------------------------------------------------------------------------------


def test_who_may_not_is_told_what(ns: str, in_group, jane: User):
    namespace = jane.namespace
    answer = jane.request("GET", f"{ns}/pods")
    status = refused(answer, 403, "Forbidden")
    assert status["message"] == (
        f'pods is forbidden: User "{jane.name}" cannot list resource "pods" in API group "" '
        f'in the namespace "{namespace}"'
    )
    assert status["details"] == {"kind": "pods"}
    answer = jane.request("DELETE", f"{in_group('apps/v1')}/deployments/web")
    status = refused(answer, 403, "Forbidden")
    assert status["message"] == (
        f'deployments.apps "web" is forbidden: User "{jane.name}" cannot delete resource '
        f'"deployments" in API group "apps" in the namespace "{namespace}"'
    )
    assert status["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
    answer = jane.request("GET", "/api/v1/nodes")
    refused(answer, 403, "Forbidden", 'cannot list resource "nodes"', "at the cluster scope")
    answer = jane.request("GET", f"{ns}/pods/x/log")
    refused(answer, 403, "Forbidden", 'pods "x" is forbidden', 'cannot get resource "pods/log"')
    answer = jane.request("GET", "/metrics")
    assert refused(answer, 403, "Forbidden")["message"] == (
        f'forbidden: User "{jane.name}" cannot get path "/metrics"'
    )


def test_a_refusal_does_not_tell_what_exists(ns: str, jane: User):
    for path in (f"{ns}/pods/missing", f"{ns}/nonsense", "/apis/example.com/v1/things"):
        refused(jane.request("GET", path), 403, "Forbidden")


def test_everybody_may_see_what_is_served(jane: User):
    for path in ("/api", "/apis", "/api/v1", "/openapi/v3", "/version"):
        assert jane.may(path), path


# -- rules -----------------------------------------------------------------------------------------


def test_a_role_gives_what_it_says_and_no_more(ns: str, wire: Wire, jane: User, grant):
    grant(PODS)
    until(lambda: jane.may(f"{ns}/pods"), what="the binding counts")
    refused(jane.request("GET", f"{ns}/pods/x"), 404, "NotFound")
    refused(jane.request("GET", f"{ns}/pods", watch=True), 403, "Forbidden", "cannot watch")
    refused(jane.request("DELETE", f"{ns}/pods"), 403, "Forbidden", "cannot deletecollection")
    refused(jane.request("GET", f"{ns}/configmaps"), 403, "Forbidden")
    assert not jane.may("/api/v1/pods")
    assert not jane.may("/api/v1/namespaces/default/pods")


def test_a_rule_may_be_for_some_names_alone(ns: str, wire: Wire, jane: User, grant):
    for name in ("mine", "theirs"):
        wire.ok("POST", f"{ns}/configmaps", {"metadata": {"name": name}})
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"]}
    grant({**rule, "verbs": ["get", "list", "update"]})
    until(lambda: jane.may(f"{ns}/configmaps/mine"), what="the binding counts")
    assert not jane.may(f"{ns}/configmaps/theirs")
    assert not jane.may(f"{ns}/configmaps")
    answer = jane.request("GET", f"{ns}/configmaps", fieldSelector="metadata.name=mine")
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["mine"]


def test_a_subresource_is_a_resource_of_its_own(ns: str, in_group, jane: User, grant):
    grant({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]})
    path = f"{in_group('apps/v1')}/deployments/web"
    until(lambda: jane.request("GET", f"{path}/scale").status_code == 404, what="it counts")
    refused(jane.request("GET", path), 403, "Forbidden")
    refused(jane.request("GET", f"{path}/status"), 403, "Forbidden")


def test_a_grant_ends_with_its_binding(ns: str, in_group, wire: Wire, jane: User, grant):
    grant("view")
    until(lambda: jane.may(f"{ns}/pods"), what="the binding counts")
    wire.ok("DELETE", f"{in_group(RBAC)}/rolebindings")
    until(lambda: not jane.may(f"{ns}/pods"), what="it counts no more")


def test_a_binding_to_no_role_gives_nothing_and_says_so(ns: str, jane: User, wire: Wire, in_group):
    wire.ok("POST", f"{in_group(RBAC)}/rolebindings", jane.binding("missing"))
    answer = until(
        lambda: "RBAC" in (found := jane.request("GET", f"{ns}/pods")).text and found,
        what="the binding counts",
    )
    refused(answer, 403, "Forbidden", 'RBAC: role.rbac.authorization.k8s.io "missing" not found')


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("view", ["pods", "services", "events"], ["secrets"]),
        ("edit", ["pods", "secrets"], ["roles"]),
        ("admin", ["secrets", "roles", "rolebindings"], []),
    ],
)
def test_the_roles_for_people_are_there(
    ns: str, in_group, jane: User, grant, role: str, may: list, may_not: list
):
    grant(role)

    def path(kind: str) -> str:
        return f"{in_group(RBAC) if kind.startswith('role') else ns}/{kind}"

    until(lambda: jane.may(path(may[0])), what="the binding counts")
    assert {kind: jane.may(path(kind)) for kind in may} == dict.fromkeys(may, True)
    assert {kind: jane.may(path(kind)) for kind in may_not} == dict.fromkeys(may_not, False)


def test_a_role_is_aggregated_from_others(wire: Wire, cluster_role):
    label = f"test-{uuid.uuid4().hex[:8]}"
    selector = {"matchLabels": {f"example.com/{label}": "true"}}
    whole = cluster_role(aggregationRule={"clusterRoleSelectors": [selector]})

    def rules() -> list:
        return wire.ok("GET", f"/apis/{RBAC}/clusterroles/{whole}").get("rules") or []

    assert not rules()
    part = cluster_role(rules=[PODS], labels={f"example.com/{label}": "true"})
    until(lambda: rules() == [PODS], what="the rule is gathered")
    wire.ok("DELETE", f"/apis/{RBAC}/clusterroles/{part}")
    until(lambda: not rules(), what="the rule is gone")


# -- objects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "parts"),
    [
        ("roles", {"rules": [{"apiGroups": [""], "resources": ["pods"]}]},
         ["rules[0].verbs: Required value: verbs must contain at least one value"]),
        ("roles", {"rules": [{"verbs": ["get"], "resources": ["pods"]}]},
         ["rules[0].apiGroups: Required value: resource rules must supply at least one api group"]),
        ("roles", {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/a"]}]},
         ["namespaced rules cannot apply to non-resource URLs"]),
        ("rolebindings", {"roleRef": {"kind": "Job", "name": "x"}, "subjects": []},
         ['roleRef.kind: Unsupported value: "Job"']),
        ("rolebindings", {"roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "Pod",
         "name": "x"}]}, ['subjects[0].kind: Unsupported value: "Pod"']),
        ("rolebindings", {"roleRef": {"kind": "Role", "name": "x"},
         "subjects": [{"kind": "User", "name": ""}]}, ["subjects[0].name: Required value"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_role_is_said(wire: Wire, in_group, kind, body, parts):
    answer = wire.post(f"{in_group(RBAC)}/{kind}", {"metadata": {"name": "x"}, **body})
    refused(answer, 422, "Invalid", *parts)


def test_a_binding_keeps_its_role(wire: Wire, in_group, jane: User):
    path = f"{in_group(RBAC)}/rolebindings"
    made = wire.ok("POST", path, jane.binding("view", "ClusterRole"))
    one = f"{path}/{made['metadata']['name']}"
    answer = wire.patch(one, {"roleRef": {"name": "edit"}})
    refused(answer, 422, "Invalid", "roleRef: Invalid value", "cannot change roleRef")


# -- escalation ------------------------------------------------------------------------------------


def test_nobody_makes_a_role_that_is_more_than_his_own(in_group, jane: User, grant):
    grant(PODS, {"apiGroups": [_GROUP], "resources": ["roles"], "verbs": ["create", "update"]})
    path, name = f"{in_group(RBAC)}/roles", {"metadata": {"name": "mine"}}
    more = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
    until(
        lambda: jane.request("POST", path, {**name, "rules": [PODS]}).status_code == 201,
        what="she may make a Role of what she has",
    )
    answer = jane.request("POST", path, {"metadata": {"name": "more"}, "rules": [PODS, more]})
    status = refused(answer, 403, "Forbidden")
    assert status["message"] == (
        f'roles.rbac.authorization.k8s.io "more" is forbidden: user "{jane.name}" '
        '(groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently '
        'held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'
    )
    answer = jane.request("PUT", f"{path}/mine", {**name, "rules": [more]})
    refused(answer, 403, "Forbidden", "attempting to grant RBAC permissions not currently held")


def test_nobody_binds_a_role_that_is_more_than_his_own(in_group, jane: User, grant):
    grant({"apiGroups": [_GROUP], "resources": ["rolebindings"], "verbs": ["create"]})
    path = f"{in_group(RBAC)}/rolebindings"

    def bind(role: str):
        return jane.request("POST", path, jane.binding(role, "ClusterRole"))

    answer = until(
        lambda: "attempting to grant" in (found := bind("view")).text and found,
        what="she may make bindings",
    )
    refused(answer, 403, "Forbidden", "RBAC permissions not currently held")
    refused(bind("missing"), 404, "NotFound", '"missing" not found')
    rule = {"apiGroups": [_GROUP], "resources": ["clusterroles"], "resourceNames": ["view"]}
    grant({**rule, "verbs": ["bind"]})
    until(lambda: bind("view").status_code == 201, what="she may bind this role")
    refused(bind("edit"), 403, "Forbidden", "attempting to grant")


# -- questions -------------------------------------------------------------------------------------


def test_access_can_be_asked_for(wire: Wire, ns: str, jane: User, grant):
    grant(PODS)

    def allowed(**about: str) -> bool:
        about = {"namespace": jane.namespace, "resource": "pods", "verb": "get", **about}
        body = {"spec": {"user": jane.name, "resourceAttributes": about}}
        return wire.ok("POST", f"{_REVIEWS}/subjectaccessreviews", body)["status"]["allowed"]

    until(allowed, what="the binding counts")
    assert allowed(name="x")
    assert not allowed(subresource="log")
    assert not allowed(verb="delete")
    assert not allowed(namespace="default")
    body = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    answer = wire.post(f"{_REVIEWS}/subjectaccessreviews", body)
    refused(answer, 422, "Invalid", "at least one of user or group must be specified")
    answer = wire.post(f"{_REVIEWS}/selfsubjectaccessreviews", {"spec": {}})
    refused(answer, 422, "Invalid", "exactly one of nonResourceAttributes or resourceAttributes")


def test_everybody_may_ask_what_he_may_do(jane: User, ns: str, grant):
    grant(PODS)
    about = {"namespace": jane.namespace, "verb": "list", "resource": "pods"}
    path, body = f"{_REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": about}}

    def status() -> dict:
        return jane.request("POST", path, body).json()["status"]

    found = until(lambda: (now := status())["allowed"] and now, what="the binding counts")
    assert found["reason"].startswith("RBAC: allowed by RoleBinding")
    body = {"spec": {"namespace": jane.namespace}}
    found = jane.request("POST", f"{_REVIEWS}/selfsubjectrulesreviews", body).json()["status"]
    assert {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]} in found[
        "resourceRules"
    ]
    assert any("/api/*" in rule["nonResourceURLs"] for rule in found["nonResourceRules"])
    assert found["incomplete"] is False


def test_a_local_question_is_about_its_namespace(wire: Wire, in_group, jane: User):
    path = f"{in_group('authorization.k8s.io/v1')}/localsubjectaccessreviews"
    about = {"namespace": "default", "verb": "get", "resource": "pods"}
    answer = wire.post(path, {"spec": {"user": jane.name, "resourceAttributes": about}})
    refused(answer, 422, "Invalid", "must match metadata.namespace")
    about["namespace"] = jane.namespace
    body = {"spec": {"user": jane.name, "resourceAttributes": about}}
    body["metadata"] = {"namespace": jane.namespace}
    assert wire.ok("POST", path, body)["status"]["allowed"] is False


def test_kubectl_asks_and_reconciles(kubectl: str, kubeconfig: Path, ns: str, jane: User, grant):
    def run(*arguments: str, input: str = "") -> tuple[int, str]:
        command = [kubectl, "--kubeconfig", str(kubeconfig), "-n", jane.namespace, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=input)
        return done.returncode, done.stdout

    may_list = ("auth", "can-i", "list", "pods", "--as", jane.name)
    assert run(*may_list) == (1, "no\n")
    grant(PODS)
    until(lambda: run(*may_list) == (0, "yes\n"), what="the binding counts")
    code, shown = run("auth", "can-i", "--list", "--as", jane.name)
    lines = [line.split() for line in shown.splitlines()]
    assert code == 0
    assert ["pods", "[]", "[]", "[get", "list]"] in lines
    role = {
        "apiVersion": RBAC,
        "kind": "Role",
        "metadata": {"name": "from-file", "namespace": jane.namespace},
        "rules": [PODS],
    }
    for _ in range(2):
        assert run("auth", "reconcile", "-f", "-", input=json.dumps(role))[0] == 0
    code, shown = run("get", "role", "from-file", "-o", "json")
    assert json.loads(shown)["rules"] == [PODS]
