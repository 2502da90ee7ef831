"""Custom resources: values, verbs, and clients of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import kubernetes
import pytest

from tests.api import custom
from tests.api.conftest import APPLY, JSON_PATCH, MERGE, STRATEGIC, Kubectl, Wire, refused, until
from tests.api.custom import EVERY_MINUTE, Defined

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture
def define(wire: Wire, ns: str) -> Iterator[Callable[..., Defined]]:
    """Makes definitions; its argument changes their manifest."""
    with custom.definer(wire, ns) as make:
        yield make


@pytest.fixture
def tabs(define: Callable[..., Defined]) -> Defined:
    return define()


# -- instances: values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"replicas": "two"},
            'spec.replicas: Invalid value: "string": spec.replicas in body must be of type '
            'integer: "string"',
        ),
        ({"replicas": 11}, "11: spec.replicas in body should be less than or equal to 10"),
        ({"replicas": 0}, "0: spec.replicas in body should be greater than or equal to 1"),
        ({"cron": "often"}, 'spec.cron: Invalid value: "often": spec.cron in body should match '),
        ({"image": ""}, 'Invalid value: "": spec.image in body should be at least 1 chars long'),
        ({"image": "x" * 11}, "spec.image: Too long: may not be more than 10 bytes"),
        ({"policy": "Maybe"}, 'Unsupported value: "Maybe": supported values: "Allow", "Forbid"'),
        ({"port": True}, 'spec.port in body must be of type integer,string: "boolean"'),
        ({"tags": ["a", "b", "a"]}, 'spec.tags[2]: Duplicate value: "a"'),
        ({"tags": ["a", "b", "c", "d"]}, "spec.tags: Too many: 4: must have at most 3 items"),
        ({"steps": [{"tries": 1}]}, "spec.steps[0].name: Required value"),
        ({"steps": [{"name": "a"}, {"name": "a"}]}, 'spec.steps[1]: Duplicate value: {"name":"a"}'),
        ({"template": {"kind": "Pod"}}, "spec.template.apiVersion: Required value"),
    ],
)  # fmt: skip
def test_values_obey_the_schema(tabs: Defined, spec: dict, message: str):
    answer = tabs.wire.post(tabs.path(), tabs.body(**spec))
    refused(answer, 422, "Invalid", f'CronTab.{tabs.group} "tab" is invalid', message)


def test_defaults_are_filled_in_and_unknown_fields_dropped(tabs: Defined):
    more = {"surprise": 1, "open": {"anything": [1]}, "steps": [{"name": "a", "extra": True}]}
    obj = tabs.create(**more, note=None, policy=None)
    assert obj["spec"] == {
        "cron": EVERY_MINUTE,
        "replicas": 1,
        "note": None,
        "open": {"anything": [1]},
        "steps": [{"name": "a", "tries": 3}],
    }
    assert obj["metadata"]["generation"] == 1
    assert tabs.get() == obj


def test_unknown_fields_are_told_or_refused(tabs: Defined):
    body = {**tabs.body(surprise=1), "extra": {}}
    answer = tabs.wire.post(tabs.path(), body, dryRun="All")
    assert answer.headers.get_list("warning") == [
        '299 - "unknown field \\"extra\\""',
        '299 - "unknown field \\"spec.surprise\\""',
    ]
    quiet = tabs.wire.post(tabs.path(), body, dryRun="All", fieldValidation="Ignore")
    assert quiet.status_code == 201
    assert "warning" not in quiet.headers
    strict = tabs.wire.post(tabs.path(), body, fieldValidation="Strict")
    why = 'strict decoding error: unknown field "extra", unknown field "spec.surprise"'
    refused(
        strict, 400, "BadRequest", 'CronTab in version "v1" cannot be handled as a CronTab', why
    )


def test_a_new_default_shows_in_what_was_stored_before(define: Callable[..., Defined]):
    tabs = define()
    tabs.create()
    where = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/policy/default"
    operation = [{"op": "add", "path": where, "value": "Forbid"}]
    tabs.wire.ok("PATCH", tabs.definition, operation, type=JSON_PATCH)
    until(lambda: tabs.get()["spec"].get("policy") == "Forbid")
    items = tabs.wire.ok("GET", tabs.path())["items"]
    assert items[0]["spec"]["policy"] == "Forbid"


# -- instances: verbs ------------------------------------------------------------------------------


def test_status_is_a_world_of_its_own(tabs: Defined):
    body = {**tabs.body(), "status": {"replicas": 9}}
    obj = tabs.wire.ok("POST", tabs.path(), body)
    assert "status" not in obj
    told = tabs.wire.ok(
        "PUT",
        tabs.path("tab", sub="status"),
        {**obj, "spec": {"cron": "x"}, "status": {"replicas": 2}},
    )
    assert (told["spec"], told["status"]) == (obj["spec"], {"replicas": 2})
    assert told["metadata"]["generation"] == 1
    wrong = tabs.wire.patch(tabs.path("tab", sub="status"), {"status": {"replicas": "x"}})
    refused(wrong, 422, "Invalid", 'status.replicas: Invalid value: "string"')
    changed = tabs.wire.ok(
        "PUT", tabs.path("tab"), {**told, "spec": {**obj["spec"], "replicas": 4}, "status": {}}
    )
    assert changed["metadata"]["generation"] == 2
    assert changed["status"] == {"replicas": 2}
    labelled = tabs.wire.patch(tabs.path("tab"), {"metadata": {"labels": {"a": "b"}}}).json()
    assert labelled["metadata"]["generation"] == 2


def test_without_the_subresource_status_is_a_field_like_others(define: Callable[..., Defined]):
    tabs = define(lambda body: body["spec"]["versions"][0].pop("subresources"))
    obj = tabs.wire.ok("POST", tabs.path(), {**tabs.body(), "status": {"replicas": 1}})
    assert obj["status"] == {"replicas": 1}
    changed = tabs.wire.patch(tabs.path("tab"), {"status": {"replicas": 2}}).json()
    assert changed["metadata"]["generation"] == 2
    assert tabs.wire.patch(tabs.path("tab", sub="status"), {}).status_code == 404


def test_scale_reads_and_writes_the_paths_of_the_definition(tabs: Defined):
    tabs.create(replicas=3)
    status = {"status": {"replicas": 2, "selector": "a=b"}}
    tabs.wire.ok("PATCH", tabs.path("tab", sub="status"), status, type=MERGE)
    scale = tabs.wire.ok("GET", tabs.path("tab", sub="scale"))
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    scale["spec"]["replicas"] = 5
    assert tabs.wire.ok("PUT", tabs.path("tab", sub="scale"), scale)["spec"] == {"replicas": 5}
    assert tabs.get()["spec"]["replicas"] == 5
    refused(tabs.wire.put(tabs.path("tab", sub="scale"), scale), 409, "Conflict")


def test_a_put_says_which_version_it_replaces(tabs: Defined):
    obj = tabs.create()
    del obj["metadata"]["resourceVersion"]
    why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    answer = tabs.wire.put(tabs.path("tab"), obj)
    refused(answer, 422, "Invalid", why)


def test_custom_resources_know_no_strategic_merge(tabs: Defined):
    tabs.create()
    answer = tabs.wire.patch(tabs.path("tab"), {"spec": {"replicas": 2}}, STRATEGIC)
    refused(answer, 415, "UnsupportedMediaType", "application/apply-patch+yaml")
    assert tabs.wire.patch(tabs.path("tab"), {"spec": {"replicas": 2}}).status_code == 200


def test_apply_merges_lists_by_the_keys_of_the_schema(tabs: Defined):
    def apply(manager: str, **spec: object):
        body = {**tabs.body(), "spec": spec}
        path = tabs.path("tab")
        return tabs.wire.patch(path, body, APPLY, fieldManager=manager)

    assert apply("a", cron=EVERY_MINUTE, steps=[{"name": "a"}], tags=["x"]).status_code == 201
    merged = apply("b", steps=[{"name": "b", "tries": 1}], tags=["y"])
    assert merged.status_code == 200, merged.text
    assert merged.json()["spec"]["steps"] == [
        {"name": "a", "tries": 3},
        {"name": "b", "tries": 1},
    ]
    assert merged.json()["spec"]["tags"] == ["x", "y"]
    refused(apply("b", cron="0 * * * *"), 409, "Conflict", 'conflict with "a": .spec.cron')


def test_a_watch_sees_custom_resources_come_and_go(tabs: Defined):
    revision = tabs.wire.ok("GET", tabs.path())["metadata"]["resourceVersion"]
    with tabs.wire.watch(tabs.path(), resourceVersion=revision) as events:
        tabs.create()
        tabs.wire.patch(tabs.path("tab"), {"spec": {"replicas": 2}})
        tabs.wire.delete(tabs.path("tab"))
        seen = [next(events) for _ in range(3)]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event["object"]["spec"]["replicas"] for event in seen] == [1, 2, 2]


def test_selectors_know_labels_and_selectable_fields(tabs: Defined):
    tabs.create("a", image="one")
    tabs.create("b", image="two")
    found = tabs.wire.ok("GET", tabs.path(), fieldSelector="spec.image=two")["items"]
    assert [one["metadata"]["name"] for one in found] == ["b"]
    answer = tabs.wire.get(tabs.path(), fieldSelector="spec.cron=x")
    refused(answer, 400, "BadRequest", "field label not supported: spec.cron")


def test_tables_have_the_columns_of_the_definition(tabs: Defined):
    tabs.create(steps=[{"name": "first"}])
    table = tabs.wire.ok("GET", tabs.path(), headers={"Accept": TABLE})
    columns = [(c["name"], c["type"], c["priority"]) for c in table["columnDefinitions"]]
    assert columns == [
        ("Name", "string", 0),
        ("Cron", "string", 0),
        ("Replicas", "integer", 0),
        ("Step", "string", 1),
        ("Age", "date", 0),
    ]
    name, cron, replicas, step, age = table["rows"][0]["cells"]
    assert (name, cron, replicas, step) == ("tab", EVERY_MINUTE, 1, "first")
    assert age.endswith("s")


# -- clients ---------------------------------------------------------------------------------------


def test_kubectl_finds_explains_and_prints(k: Kubectl, tabs: Defined):
    tabs.create(steps=[{"name": "first"}])
    assert "crontabs" in k("api-resources", f"--api-group={tabs.group}")
    assert "CronTab" in k("api-resources", f"--api-group={tabs.group}")
    header, row = k("get", f"ct.v1.{tabs.group}").splitlines()
    assert header.split() == ["NAME", "CRON", "REPLICAS", "AGE"]
    assert row.split()[0] == "tab"
    assert "STEP" in k("get", f"crontabs.{tabs.group}", "-o", "wide")
    assert f"crontab.{tabs.group}/tab" in k("get", "all", "-o", "name")
    until(lambda: k.run("explain", f"crontabs.{tabs.group}.spec").returncode == 0)
    explained = k("explain", f"crontabs.{tabs.group}.spec", "--recursive")
    assert "What the job shall do." in explained
    assert "replicas" in explained
    k("scale", f"crontabs.{tabs.group}/tab", "--replicas=4")
    assert tabs.get()["spec"]["replicas"] == 4


def test_kubectl_applies_edits_and_validates(k: Kubectl, tabs: Defined):
    body = tabs.body(replicas=2)
    assert "created" in k("apply", "-f", "-", input=json.dumps(body))
    body["spec"] = {"cron": EVERY_MINUTE, "image": "x"}
    assert "configured" in k("apply", "-f", "-", input=json.dumps(body))
    assert tabs.get()["spec"] == {"cron": EVERY_MINUTE, "image": "x", "replicas": 1}
    body["spec"]["surprise"] = 1
    complaint = k.fails("apply", "--validate=strict", "-f", "-", input=json.dumps(body))
    assert 'unknown field "spec.surprise"' in complaint
    name = f"crontabs.{tabs.group}/tab"
    assert "serverside-applied" in k(
        "apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(tabs.body())
    )
    k("label", name, "a=b")
    k("patch", name, "--type=merge", "-p", '{"spec":{"replicas":3}}')
    assert k("get", name, "-o", "jsonpath={.spec.replicas}") == "3"
    k("delete", name)


def test_the_python_client_speaks_to_custom_resources(
    configuration: kubernetes.client.Configuration, tabs: Defined
):
    api = kubernetes.client.CustomObjectsApi(kubernetes.client.ApiClient(configuration))
    where = (tabs.group, "v1", tabs.namespace, "crontabs")
    made = api.create_namespaced_custom_object(*where, tabs.body())
    assert made["spec"]["replicas"] == 1
    made["spec"]["replicas"] = 2
    api.replace_namespaced_custom_object(*where, "tab", made)
    api.patch_namespaced_custom_object_status(*where, "tab", {"status": {"replicas": 2}})
    found = api.list_namespaced_custom_object(*where)["items"]
    assert [one["status"] for one in found] == [{"replicas": 2}]
    api.delete_namespaced_custom_object(*where, "tab")
    assert api.list_namespaced_custom_object(*where)["items"] == []
    extensions = kubernetes.client.ApiextensionsV1Api(api.api_client)
    assert extensions.read_custom_resource_definition(tabs.name).spec.group == tabs.group


def test_a_namespace_takes_its_custom_resources_with_it(wire: Wire, tabs: Defined, ns: str):
    tabs.create()
    wire.ok("DELETE", ns)
    until(lambda: wire.get(tabs.path("tab")).status_code == 404)
    until(lambda: wire.get(ns).status_code == 404, seconds=40)


def test_a_custom_resource_takes_what_it_owns_with_it(wire: Wire, tabs: Defined, ns: str):
    owner = tabs.create()
    names = {key: owner["metadata"][key] for key in ("name", "uid")}
    reference = {"apiVersion": owner["apiVersion"], "kind": "CronTab", **names}
    meta = {"name": "owned", "ownerReferences": [reference]}
    wire.ok("POST", f"{ns}/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    wire.ok("DELETE", tabs.path("tab"))
    until(lambda: wire.get(f"{ns}/configmaps/owned").status_code == 404, seconds=90)


# -- rules -----------------------------------------------------------------------------------------


def with_rules(body: dict) -> None:
    """Rules over two fields, over a field's history, and with messages of their own."""
    spec = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = [
        {"rule": "self.replicas <= 5 || self.policy == 'Allow'", "message": "five are enough"},
        {"rule": "self.replicas >= oldSelf.replicas", "fieldPath": ".replicas"},
        {
            "rule": "!has(self.tags) || self.tags.all(t, t.startsWith('x'))",
            "messageExpression": "'no tag like ' + self.tags[0]",
        },
    ]


def test_rules_look_at_several_fields_and_at_what_was_before(define: Callable[..., Defined]):
    tabs = define(with_rules)
    answer = tabs.wire.post(tabs.path(), tabs.body(replicas=6, policy="Forbid"))
    refused(answer, 422, "Invalid", "spec: Invalid value: ", "five are enough")
    answer = tabs.wire.post(tabs.path(), tabs.body(tags=["abc"]))
    refused(answer, 422, "Invalid", "no tag like abc")
    answer = tabs.wire.post(tabs.path(), tabs.body(replicas=6))
    refused(answer, 422, "Invalid", "no such key: policy evaluating rule: five are enough")
    tabs.create(replicas=6, policy="Allow", tags=["xyz"])
    answer = tabs.wire.patch(tabs.path("tab"), {"spec": {"replicas": 2}})
    status = refused(answer, 422, "Invalid", "failed rule: self.replicas >= oldSelf.replicas")
    assert status["details"]["causes"][0]["field"] == "spec.replicas"
    assert tabs.wire.patch(tabs.path("tab"), {"spec": {"replicas": 7}}).status_code == 200
    answer = tabs.wire.post(tabs.path(), tabs.body("wrong", replicas="x"))
    refused(answer, 422, "Invalid", "some validation rules were not checked")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("self.replicas >", "Syntax error"),
        ("other.replicas > 1", "undeclared reference to 'other'"),
        ("self.replicas.foo()", "undeclared reference to 'foo'"),
    ],
)
def test_rules_that_cannot_be_compiled_are_refused(wire: Wire, rule: str, why: str):
    body = custom.manifest(custom.new_group())
    schema = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": rule}]
    answer = wire.post(custom.DEFINITIONS, body)
    refused(answer, 422, "Invalid", "compilation failed: ERROR: <input>:1:", why)
