"""CustomResourceDefinitions: what is accepted, how they come, change and go."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest

from tests.api import custom
from tests.api.conftest import JSON_PATCH, Wire, refused, until
from tests.api.custom import DEFINITIONS, VERSION, Defined, condition, manifest, new_group


@pytest.fixture
def define(wire: Wire, ns: str) -> Iterator[Callable[..., Defined]]:
    """Makes definitions; its argument changes their manifest."""
    with custom.definer(wire, ns) as make:
        yield make


@pytest.fixture
def tabs(define: Callable[..., Defined]) -> Defined:
    return define()


def test_a_definition_is_completed_accepted_and_established(wire: Wire, tabs: Defined):
    definition = wire.ok("GET", tabs.definition)
    spec, status = definition["spec"], definition["status"]
    assert (spec["names"]["singular"], spec["names"]["listKind"]) == ("crontab", "CronTabList")
    assert spec["conversion"] == {"strategy": "None"}
    assert status["storedVersions"] == ["v1"]
    assert status["acceptedNames"] == spec["names"]
    accepted, established = (condition(definition, c) for c in ("NamesAccepted", "Established"))
    assert (accepted["reason"], accepted["message"]) == ("NoConflicts", "no conflicts found")
    assert established["reason"] == "InitialNamesAccepted"


def at(body: dict, path: str, value: object) -> dict:
    """The manifest with one value changed; `path` has dots, numbers are indexes."""
    *parents, last = (int(part) if part.isdecimal() else part for part in path.split("."))
    place = body
    for part in parents:
        place = place[part]
    place[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metadata.name", "x.y", 'Invalid value: "x.y": must be spec.names.plural+"."+spec.group'),
        ("spec.scope", "Here", 'Unsupported value: "Here": supported values: "Cluster"'),
        ("spec.versions.0.storage", False, "must have exactly one version marked as storage"),
        ("spec.versions.0", {"name": "v1", "served": True, "storage": True, "schema": {}},
         "spec.versions[0].schema.openAPIV3Schema: Required value"),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.cron",
            {"description": "of what type?"},
            "properties[cron].type: Required value: must not be empty for specified object fields",
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.cron",
            {"type": "text"},
            '[cron].type: Unsupported value: "text": supported values: "array", "boolean"',
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.replicas.default",
            "many",
            'default: Invalid value: "string": ',
        ),
        (
            "spec.versions.0.subresources.scale.specReplicasPath",
            ".status.replicas",
            "should be a json path under .spec",
        ),
        (
            "spec.versions.0.additionalPrinterColumns.0.type",
            "text",
            'type: Invalid value: "text": must be one of boolean,date,integer,number,string',
        ),
        ("spec.group", "example", "should be a domain with at least one dot"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused(wire: Wire, path: str, value: object, message: str):
    answer = wire.post(DEFINITIONS, at(manifest(new_group()), path, value))
    refused(answer, 422, "Invalid", "CustomResourceDefinition.apiextensions.k8s.io", message)


def test_a_groups_names_belong_to_whoever_came_first(wire: Wire, tabs: Defined):
    rival = manifest(tabs.group)
    rival["metadata"]["name"] = f"timetables.{tabs.group}"
    rival["spec"]["names"] = {"plural": "timetables", "kind": "TimeTable", "shortNames": ["ct"]}
    wire.ok("POST", DEFINITIONS, rival)
    path = f"{DEFINITIONS}/timetables.{tabs.group}"
    try:
        found = until(lambda: condition(wire.ok("GET", path), "NamesAccepted"))
        assert (found["status"], found["reason"]) == ("False", "ShortNamesConflict")
        assert found["message"] == '"ct" is already in use'
        established = condition(wire.ok("GET", path), "Established")
        assert (established["status"], established["reason"]) == ("False", "NotAccepted")
        assert wire.get(f"/apis/{tabs.group}/v1/timetables").status_code == 404
        wire.ok("DELETE", tabs.definition)
        until(lambda: condition(wire.ok("GET", path), "Established").get("status") == "True")
    finally:
        wire.delete(path)


def test_what_has_been_established_does_not_change_its_names(wire: Wire, tabs: Defined):
    answer = wire.patch(tabs.definition, {"spec": {"names": {"kind": "Other"}}})
    refused(answer, 422, "Invalid", 'spec.names.kind: Invalid value: "Other": field is immutable')


def test_a_definition_takes_its_instances_with_it(wire: Wire, tabs: Defined):
    tabs.create("one")
    held = tabs.body("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    wire.ok("POST", tabs.path(), held)
    wire.ok("DELETE", tabs.definition)
    until(lambda: wire.get(tabs.path("one")).status_code == 404)
    definition = wire.ok("GET", tabs.definition)
    assert definition["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    until(lambda: condition(wire.ok("GET", tabs.definition), "Terminating")["status"] == "True")
    answer = wire.post(tabs.path(), tabs.body("late"))
    why = "create not allowed while custom resource definition is terminating"
    refused(answer, 403, "Forbidden", why)
    wire.ok(
        "PATCH",
        tabs.path("held"),
        {"metadata": {"finalizers": None}},
        type="application/merge-patch+json",
    )
    until(lambda: wire.get(tabs.definition).status_code == 404, seconds=40)
    until(lambda: wire.get(tabs.path("held")).status_code == 404)
    until(lambda: wire.get(f"/apis/{tabs.group}/v1").status_code == 404)


def with_beta(body: dict) -> None:
    """Another version, deprecated, which does not know of policies.

    It selects by nothing: an upstream server takes the fields that all versions have for the
    definition's, and then wants a schema that they all have, too.
    """
    beta = copy.deepcopy({**VERSION, "name": "v1beta1", "storage": False, "deprecated": True})
    del beta["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["policy"]
    del beta["selectableFields"]
    body["spec"]["versions"].insert(0, beta)


def test_an_object_is_there_in_every_version(define: Callable[..., Defined]):
    tabs = define(with_beta)
    tabs.create(policy="Allow")
    old = tabs.get(version="v1beta1")
    assert old["apiVersion"] == f"{tabs.group}/v1beta1"
    assert "policy" not in old["spec"]
    answer = tabs.wire.post(tabs.path(version="v1beta1"), tabs.body("other", "v1beta1"))
    assert answer.json()["apiVersion"] == f"{tabs.group}/v1beta1"
    why = f"{tabs.group}/v1beta1 CronTab is deprecated; use {tabs.group}/v1 CronTab"
    assert answer.headers["warning"] == f'299 - "{why}"'
    assert tabs.get("other")["apiVersion"] == f"{tabs.group}/v1"
    items = tabs.wire.ok("GET", tabs.path(version="v1beta1"))["items"]
    assert {one["apiVersion"] for one in items} == {f"{tabs.group}/v1beta1"}
    wrong = tabs.wire.post(tabs.path(version="v1beta1"), tabs.body("wrong"))
    refused(wrong, 400, "BadRequest", "does not match the expected API version")


def test_a_version_that_may_be_stored_cannot_be_removed(define: Callable[..., Defined]):
    tabs = define(with_beta)
    body = tabs.wire.ok("GET", tabs.definition)
    for version in body["spec"]["versions"]:
        version["storage"] = version["name"] == "v1beta1"
    body = tabs.wire.ok("PUT", tabs.definition, body)
    assert body["status"]["storedVersions"] == ["v1", "v1beta1"]
    body["spec"]["versions"] = body["spec"]["versions"][:1]
    answer = tabs.wire.put(tabs.definition, body)
    refused(answer, 422, "Invalid", "v1 was previously a storage version, and must remain")


def test_what_is_no_longer_served_is_not_found(define: Callable[..., Defined]):
    tabs = define(with_beta)
    operation = [{"op": "replace", "path": "/spec/versions/0/served", "value": False}]
    tabs.wire.ok("PATCH", tabs.definition, operation, type=JSON_PATCH)
    until(lambda: tabs.wire.get(tabs.path(version="v1beta1")).status_code == 404)
    until(lambda: tabs.wire.get(f"/apis/{tabs.group}/v1beta1").status_code == 404)
    # A server that sets up the storage of the kind anew asks for patience (429).
    until(lambda: tabs.wire.get(tabs.path()).status_code == 200)
