"""Patches: JSON patch, merge patch, strategic merge patch, by what they make of a Deployment."""

from __future__ import annotations

import pytest

from tests.api.conftest import JSON_PATCH, MERGE, STRATEGIC, Wire, refused

IMAGE = "registry.k8s.io/pause:3.10"


@pytest.fixture
def deployment(wire: Wire, in_group) -> str:
    """The path of a Deployment without replicas and with two containers."""
    path = in_group("apps/v1") + "/deployments"
    containers = [
        {"name": name, "image": IMAGE, "env": [{"name": "A", "value": "1"}]} for name in ("a", "b")
    ]
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
    wire.ok("POST", path, body)
    return f"{path}/x"


@pytest.fixture
def pair(wire: Wire, ns: str) -> str:
    """The path of a ConfigMap."""
    metadata = {"name": "pair", "labels": {"a": "1", "b": "2"}}
    wire.ok("POST", f"{ns}/configmaps", {"metadata": metadata, "data": {"a": "1", "b": "2"}})
    return f"{ns}/configmaps/pair"


def containers(obj: dict) -> list[dict]:
    return obj["spec"]["template"]["spec"]["containers"]


def in_template(**spec: object) -> dict:
    return {"spec": {"template": {"spec": spec}}}


def test_json_patch_does_one_thing_after_the_other(wire: Wire, pair: str):
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "add", "path": "/data/c", "value": "3"},
        {"op": "copy", "from": "/data/c", "path": "/data/d"},
        {"op": "move", "from": "/data/b", "path": "/data/e"},
        {"op": "remove", "path": "/metadata/labels/a"},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
    ]
    made = wire.ok("PATCH", pair, operations, type=JSON_PATCH)
    assert made["data"] == {"a": "2", "c": "3", "d": "3", "e": "2"}
    assert made["metadata"]["labels"] == {"b": "2", "x/y": "z"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "9"},
        {"op": "remove", "path": "/data/none"},
        {"op": "replace", "path": "/none/deeper", "value": "1"},
        {"op": "add", "path": "/none/deeper", "value": "1"},
    ],
    ids=lambda operation: operation["op"],
)
def test_json_patch_does_everything_or_nothing(wire: Wire, pair: str, operation: dict):
    first = {"op": "replace", "path": "/data/a", "value": "2"}
    answer = wire.patch(
        pair, [first, {"op": "test", "path": "/data/a", "value": "2"}, operation], JSON_PATCH
    )
    words = "the server rejected our request due to an error in our request"
    refused(answer, 422, "Invalid", words)
    assert wire.ok("GET", pair)["data"] == {"a": "1", "b": "2"}


def test_a_json_patch_may_replace_what_is_not_there_in_a_map(wire: Wire, pair: str):
    made = wire.ok(
        "PATCH", pair, [{"op": "replace", "path": "/data/c", "value": "3"}], type=JSON_PATCH
    )
    assert made["data"] == {"a": "1", "b": "2", "c": "3"}


def test_a_json_patch_has_at_most_ten_thousand_operations(wire: Wire, pair: str):
    many = [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001
    answer = wire.patch(pair, many, JSON_PATCH)
    words = "The allowed maximum operations in a JSON patch is 10000, got 10001"
    refused(answer, 413, "RequestEntityTooLarge", words)


def test_merge_patch_removes_by_null_and_replaces_lists(wire: Wire, deployment: str, pair: str):
    made = wire.ok(
        "PATCH", pair, {"data": {"a": None, "c": "3"}, "metadata": {"labels": None}}, type=MERGE
    )
    assert made["data"] == {"b": "2", "c": "3"}
    assert "labels" not in made["metadata"]
    change = in_template(containers=[{"name": "only", "image": IMAGE}])
    made = wire.ok("PATCH", deployment, change, type=MERGE)
    assert [one["name"] for one in containers(made)] == ["only"]


def test_strategic_merge_patch_merges_lists_by_their_keys(wire: Wire, deployment: str):
    change = in_template(
        containers=[
            {"name": "b", "env": [{"name": "B", "value": "2"}]},
            {"name": "c", "image": IMAGE},
        ]
    )
    made = wire.ok("PATCH", deployment, change, type=STRATEGIC)
    assert sorted(one["name"] for one in containers(made)) == ["a", "b", "c"]
    [b] = [one for one in containers(made) if one["name"] == "b"]
    assert {one["name"]: one["value"] for one in b["env"]} == {"A": "1", "B": "2"}
    assert b["image"] == IMAGE


def test_strategic_merge_patch_deletes_elements_and_orders_them(wire: Wire, deployment: str):
    change = in_template(containers=[{"name": "a", "$patch": "delete"}])
    made = wire.ok("PATCH", deployment, change, type=STRATEGIC)
    assert [one["name"] for one in containers(made)] == ["b"]
    change = in_template(
        containers=[{"name": "c", "image": IMAGE}],
        **{"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}]},
    )
    made = wire.ok("PATCH", deployment, change, type=STRATEGIC)
    assert [one["name"] for one in containers(made)] == ["c", "b"]


def test_strategic_merge_patch_replaces_if_told_to(wire: Wire, deployment: str):
    change = in_template(
        containers=[{"name": "only", "image": IMAGE}, {"$patch": "replace"}],
    )
    made = wire.ok("PATCH", deployment, change, type=STRATEGIC)
    assert [one["name"] for one in containers(made)] == ["only"]
    labels = {"metadata": {"labels": {"$patch": "replace", "z": "1"}}}
    made = wire.ok("PATCH", deployment, labels, type=STRATEGIC)
    assert "labels" not in made["metadata"]  # there were none to replace
    wire.ok("PATCH", deployment, {"metadata": {"labels": {"a": "b"}}}, type=STRATEGIC)
    made = wire.ok("PATCH", deployment, labels, type=STRATEGIC)
    assert made["metadata"]["labels"] == {"z": "1"}


def test_retained_keys_are_all_that_is_left(wire: Wire, deployment: str):
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    made = wire.ok("PATCH", deployment, change, type=STRATEGIC)
    assert made["spec"]["strategy"] == {"type": "Recreate"}


def test_values_are_taken_out_of_a_list_of_values(wire: Wire, pair: str):
    first = {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}
    wire.ok("PATCH", pair, first, type=STRATEGIC)
    wire.ok("PATCH", pair, {"metadata": {"finalizers": ["example.com/c"]}}, type=STRATEGIC)
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}
    made = wire.ok("PATCH", pair, change, type=STRATEGIC)
    assert sorted(made["metadata"]["finalizers"]) == ["example.com/b", "example.com/c"]
    wire.ok("PATCH", pair, {"metadata": {"finalizers": None}}, type=MERGE)


def test_an_element_without_its_key_is_refused(wire: Wire, deployment: str):
    change = in_template(containers=[{"image": IMAGE}])
    answer = wire.patch(deployment, change, STRATEGIC)
    assert answer.status_code >= 400
    assert "does not contain declared merge key: name" in answer.json()["message"]


def test_a_patched_object_has_to_be_valid(wire: Wire, deployment: str):
    answer = wire.patch(deployment, {"spec": {"replicas": -1}}, MERGE)
    words = 'Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1'
    refused(answer, 422, "Invalid", words)
    answer = wire.patch(deployment, {"spec": {"replicas": "two"}}, MERGE)
    refused(
        answer, 422, "Invalid", '"" is invalid: patch: Invalid value: ', "cannot unmarshal string"
    )


MAP = "Go value of type map[string]interface {}"
BODIES = [
    (JSON_PATCH, b'{"a": 1}', "json: cannot unmarshal object into Go value of type []handlers"),
    (JSON_PATCH, b"[1]", "json: cannot unmarshal number into Go "),
    (JSON_PATCH, b"[", "unexpected end of JSON input"),
    (MERGE, b"[]", f"json: cannot unmarshal array into {MAP}"),
    (MERGE, b"{", "unexpected end of JSON input"),
    (STRATEGIC, b"[]", f"json: cannot unmarshal array into {MAP}"),
    (STRATEGIC, b"{a}", "invalid character 'a' looking for beginning of object key string"),
]


@pytest.mark.parametrize(("type", "body", "message"), BODIES)
def test_a_patch_has_the_form_of_its_kind(
    wire: Wire, pair: str, type: str, body: bytes, message: str
):
    refused(wire.patch(pair, body, type), 400, "BadRequest", message)


def test_a_patch_of_an_unknown_kind_is_unsupported(wire: Wire, pair: str):
    answer = wire.patch(pair, {}, "application/json")
    refused(answer, 415, "UnsupportedMediaType", "415: Unsupported Media Type")


def test_patches_of_one_object_do_not_conflict(wire: Wire, pair: str):
    for key in "cde":
        wire.ok("PATCH", pair, {"data": {key: "x"}}, type=MERGE)
    assert set(wire.ok("GET", pair)["data"]) == set("abcde")
