"""RBAC's rules as tables: what they allow, what covers what, how they are spelled."""

from __future__ import annotations

import pytest

from labkit.apiserver import attributes, default_roles, impersonation, rbac, reconcile_roles
from labkit.apiserver.attributes import Attributes
from labkit.apiserver.request import User


def rule(verbs, groups="", resources="", names=""):
    return {
        "verbs": verbs.split(),
        "apiGroups": groups.split(",") if resources else [],
        "resources": resources.split(),
        "resourceNames": names.split(),
    }


def urls(verbs, *paths):
    return {"verbs": verbs.split(), "nonResourceURLs": list(paths)}


def on(verb, resource, name="", group=""):
    resource, _, subresource = resource.partition("/")
    return Attributes(verb, "", group, "v1", "ns", resource, subresource, name)


@pytest.mark.parametrize(
    ("given", "wanted", "allowed"),
    [
        (rule("get", "", "pods"), on("get", "pods", "x"), True),
        (rule("get", "", "pods"), on("list", "pods"), False),
        (rule("get", "", "pods"), on("get", "secrets", "x"), False),
        (rule("get", "", "pods"), on("get", "pods", "x", group="metrics.k8s.io"), False),
        (rule("get", ",apps", "pods deployments"), on("get", "deployments", group="apps"), True),
        (rule("*", "", "pods"), on("anything", "pods"), True),
        (rule("get", "*", "*"), on("get", "things", group="example.com"), True),
        (rule("get", "*", "*"), on("get", "pods/log"), True),
        (rule("get", "", "pods"), on("get", "pods/log", "x"), False),
        (rule("get", "", "pods/log"), on("get", "pods/log", "x"), True),
        (rule("get", "", "pods/log"), on("get", "pods", "x"), False),
        (rule("get", "apps", "*/scale"), on("get", "deployments/scale", group="apps"), True),
        (rule("get", "apps", "*/scale"), on("get", "deployments/status", group="apps"), False),
        (rule("get", "apps", "deployments/*"), on("get", "deployments/scale", group="apps"), False),
        (rule("get", "", "pods", "x y"), on("get", "pods", "y"), True),
        (rule("get", "", "pods", "x y"), on("get", "pods", "z"), False),
        (rule("create", "", "pods", "x"), on("create", "pods"), False),
        (urls("get", "/healthz"), Attributes("get", "/healthz"), True),
        (urls("get", "/healthz"), Attributes("get", "/healthz/etcd"), False),
        (urls("get", "/healthz/*"), Attributes("get", "/healthz/etcd"), True),
        (urls("get", "/healthz*"), Attributes("get", "/healthzz"), True),
        (urls("*", "*"), Attributes("post", "/anything"), True),
        (urls("get", "/healthz"), Attributes("post", "/healthz"), False),
        (urls("get", "/api*"), on("get", "pods"), False),
        (rule("*", "*", "*"), Attributes("get", "/api"), False),
    ],
)
def test_a_rule_allows_what_it_names(given, wanted, allowed):
    assert (rbac.Grants([(given, "why")]).allows(wanted) == "why") is allowed


@pytest.mark.parametrize(
    ("subject", "namespace", "it_is"),
    [
        ({"kind": "User", "name": "jane"}, "", True),
        ({"kind": "User", "name": "joe"}, "", False),
        ({"kind": "Group", "name": "devs"}, "", True),
        ({"kind": "Group", "name": "jane"}, "", False),
        ({"kind": "ServiceAccount", "name": "jane", "namespace": "ns"}, "", False),
        ({"kind": "Robot", "name": "jane"}, "", False),
    ],
)
def test_a_binding_applies_to_its_subjects(subject, namespace, it_is):
    user = User("jane", ("devs", "system:authenticated"))
    assert (rbac.applies([subject], user, namespace) is subject) is it_is


@pytest.mark.parametrize(
    ("given", "binding_in", "it_is"),
    [
        ("ns", "", True),
        ("ns", "other", True),
        ("", "ns", True),
        ("", "other", False),
        ("", "", False),
    ],
)
def test_a_service_account_without_a_namespace_is_of_the_bindings(given, binding_in, it_is):
    user = User("system:serviceaccount:ns:bot")
    subject = {"kind": "ServiceAccount", "name": "bot", "namespace": given}
    assert bool(rbac.applies([subject], user, binding_in)) is it_is


@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        ([rule("*", "*", "*")], [rule("get", "", "pods")], []),
        ([rule("get list", "", "pods")], [rule("get", "", "pods")], []),
        # No one rule covers it, but together they do: what is wanted is broken down first.
        (
            [rule("get", "", "pods"), rule("list", "", "pods")],
            [rule("get list", "", "pods")],
            [],
        ),
        (
            [rule("get", "", "pods")],
            [rule("get list", "", "pods secrets")],
            ['{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
             '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'],
        ),
        (
            [rule("get", "", "pods", "x")],
            [rule("get", "", "pods")],
            ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'],
        ),
        ([rule("get", "", "pods")], [rule("get", "", "pods", "x")], []),
        (
            [rule("get", "", "pods", "x")],
            [rule("get", "", "pods", "x y")],
            ['{APIGroups:[""], Resources:["pods"], ResourceNames:["y"], Verbs:["get"]}'],
        ),
        ([rule("get", "apps", "*/scale")], [rule("get", "apps", "deployments/scale")], []),
        (
            [rule("get", "apps", "deployments")],
            [rule("*", "apps", "deployments")],
            ['{APIGroups:["apps"], Resources:["deployments"], Verbs:["*"]}'],
        ),
        ([urls("get", "/api/*")], [urls("get", "/api/v1")], []),
        (
            [urls("get", "/api/*")],
            [urls("get", "/apis")],
            ['{NonResourceURLs:["/apis"], Verbs:["get"]}'],
        ),
    ],
)  # fmt: skip
def test_what_one_holds_covers_what_one_grants(owned, wanted, missing):
    assert rbac.described(rbac.missing(owned, wanted)) == missing


@pytest.mark.parametrize(
    ("method", "path", "params", "wanted"),
    [
        ("GET", "/healthz", {}, Attributes("get", "/healthz")),
        ("GET", "/api/v1", {}, Attributes("get", "/api/v1")),
        ("GET", "/apis/apps/v1", {}, Attributes("get", "/apis/apps/v1")),
        ("GET", "/api/v1/pods", {}, ("list", "", "", "pods", "", "")),
        ("GET", "/api/v1/pods", {"watch": "1"}, ("watch", "", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces", {}, ("list", "", "", "namespaces", "", "")),
        ("GET", "/api/v1/namespaces/a", {}, ("get", "", "a", "namespaces", "", "a")),
        ("PUT", "/api/v1/namespaces/a/status", {},
         ("update", "", "a", "namespaces", "status", "a")),
        ("POST", "/api/v1/namespaces/a/pods", {}, ("create", "", "a", "pods", "", "")),
        ("DELETE", "/api/v1/namespaces/a/pods", {}, ("deletecollection", "", "a", "pods", "", "")),
        ("DELETE", "/api/v1/namespaces/a/pods/x", {}, ("delete", "", "a", "pods", "", "x")),
        ("GET", "/api/v1/namespaces/a/pods/x/log", {}, ("get", "", "a", "pods", "log", "x")),
        ("POST", "/api/v1/namespaces/a/pods/x/exec", {}, ("create", "", "a", "pods", "exec", "x")),
        ("GET", "/api/v1/namespaces/a/pods/x/proxy/y", {}, ("get", "", "a", "pods", "proxy", "x")),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/x/scale", {},
         ("patch", "apps", "a", "deployments", "scale", "x")),
        ("GET", "/apis/apps/v1/namespaces/a/deployments", {"fieldSelector": "metadata.name=x"},
         ("list", "apps", "a", "deployments", "", "x")),
    ],
)  # fmt: skip
def test_a_request_says_what_it_asks_to_do(method, path, params, wanted):
    found = attributes.of(method, path, params)
    if not isinstance(wanted, Attributes):
        verb, group, namespace, resource, subresource, name = wanted
        wanted = Attributes(verb, path, group, "v1", namespace, resource, subresource, name)
    assert found._replace(selected=()) == wanted


def test_headers_that_impersonate_are_told_from_others():
    raw = (
        (b"If-None-Match", b"x"),
        (b"Impersonate-User", b"jane"),
        (b"impersonate-extra-Example.com%2fTeam", b"blue"),
        (b"Impersonated", b"no"),
    )
    assert impersonation.headers(raw) == [("user", "jane"), ("extra-example.com%2fteam", "blue")]


# -- default roles ---------------------------------------------------------------------------------


def default(name):
    return next(
        role for role in default_roles.CLUSTER_ROLES_BY_DEFAULT if role["metadata"]["name"] == name
    )


def test_a_default_role_gets_back_what_it_lacks_and_keeps_what_was_added():
    wanted = default("system:basic-user")
    own = rule("get", "", "pods")
    present = {**wanted, "metadata": {"name": "x", "labels": {"mine": "1"}}, "rules": [own]}
    found = reconcile_roles.reconciled(present, wanted)
    assert own in found["rules"]
    assert not rbac.missing(found["rules"], wanted["rules"])
    assert found["metadata"]["labels"] == {**wanted["metadata"]["labels"], "mine": "1"}
    assert reconcile_roles.reconciled(found, wanted) is found


def test_a_default_role_is_left_alone_on_request():
    wanted = default("system:basic-user")
    metadata = {"name": "x", "annotations": {default_roles.AUTO_UPDATE: "false"}}
    present = {**wanted, "metadata": metadata, "rules": []}
    assert reconcile_roles.reconciled(present, wanted) is present


@pytest.mark.parametrize(
    ("role", "wanted", "allowed"),
    [
        ("view", on("get", "pods"), True),
        ("view", on("get", "secrets"), False),
        ("view", on("create", "pods/exec"), False),
        ("edit", on("create", "pods/exec"), True),
        ("edit", on("patch", "deployments", group="apps"), True),
        ("edit", on("create", "rolebindings", group="rbac.authorization.k8s.io"), False),
        ("admin", on("create", "rolebindings", group="rbac.authorization.k8s.io"), True),
        ("admin", on("create", "resourcequotas"), False),
    ],
)
def test_the_roles_of_people_allow_what_the_documentation_says(role, wanted, allowed):
    parts = {"view": ("view",), "edit": ("view", "edit"), "admin": ("view", "edit", "admin")}[role]
    rules = [one for part in parts for one in default(f"system:aggregate-to-{part}")["rules"]]
    assert (rbac.Grants((one, "") for one in rules).allows(wanted) is not None) is allowed
