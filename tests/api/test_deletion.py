"""Deletion: grace, finalizers, what becomes of dependents, preconditions, whole collections."""

from __future__ import annotations

import pytest

from tests.api.conftest import MERGE, Wire, refused, until

FINALIZER = "example.com/hold"
WRONG_UID = "00000000-0000-0000-0000-000000000000"


def config_map(name: str, **metadata: object) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def pod(name: str, **spec: object) -> dict:
    container = {"name": "c", "image": "registry.k8s.io/pause:3.10"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"schedulerName": "nobody", "containers": [container], **spec},
    }


def bind(wire: Wire, pods: str, name: str) -> None:
    """To a node that nobody plays, so that nothing but this test ends the Pod."""
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
    wire.ok("POST", f"{pods}/{name}/binding", {**binding, "target": {"name": "no-such-node"}})


@pytest.fixture
def maps(ns: str) -> str:
    return f"{ns}/configmaps"


def test_a_deletion_answers_with_the_uid_of_what_is_gone(wire: Wire, maps: str):
    made = wire.ok("POST", maps, config_map("a"))
    status = wire.ok("DELETE", f"{maps}/a")
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {
        "name": "a",
        "kind": "configmaps",
        "uid": made["metadata"]["uid"],
    }
    refused(wire.get(f"{maps}/a"), 404, "NotFound", 'configmaps "a" not found')
    refused(wire.delete(f"{maps}/a"), 404, "NotFound", 'configmaps "a" not found')


def test_some_kinds_answer_with_the_object_itself(wire: Wire, ns: str):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    wire.ok("POST", f"{ns}/services", {**service, "spec": {"ports": [{"port": 80}]}})
    assert wire.ok("DELETE", f"{ns}/services/s")["kind"] == "Service"


def test_an_object_with_finalizers_goes_when_the_last_one_is_removed(wire: Wire, maps: str):
    wire.ok("POST", maps, config_map("a", finalizers=[FINALIZER, "example.com/two"]))
    marked = wire.ok("DELETE", f"{maps}/a")
    assert marked["kind"] == "ConfigMap"
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    again = wire.ok("DELETE", f"{maps}/a")
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    body = {"metadata": {"finalizers": ["example.com/two"]}}
    wire.ok("PATCH", f"{maps}/a", body, type=MERGE)
    assert wire.get(f"{maps}/a").status_code == 200
    wire.ok("PATCH", f"{maps}/a", {"metadata": {"finalizers": None}}, type=MERGE)
    assert wire.get(f"{maps}/a").status_code == 404


def test_what_is_being_deleted_can_get_no_new_finalizers(wire: Wire, maps: str):
    wire.ok("POST", maps, config_map("a", finalizers=[FINALIZER]))
    wire.ok("DELETE", f"{maps}/a")
    body = {"metadata": {"finalizers": [FINALIZER, "example.com/new"]}}
    refused(
        wire.patch(f"{maps}/a", body),
        422,
        "Invalid",
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
        'deleted, found new finalizers []string{"example.com/new"}',
    )
    answer = wire.post(maps, config_map("a"))
    refused(answer, 409, "AlreadyExists", 'object is being deleted: configmaps "a" already exists')
    wire.ok("PATCH", f"{maps}/a", {"metadata": {"finalizers": []}}, type=MERGE)


def test_a_deletion_can_be_for_one_incarnation_only(wire: Wire, maps: str):
    made = wire.ok("POST", maps, config_map("a"))["metadata"]
    answer = wire.delete(f"{maps}/a", {"preconditions": {"uid": WRONG_UID}})
    refused(
        answer,
        409,
        "Conflict",
        f'on ConfigMap "a": the UID in the precondition ({WRONG_UID}) does not match the UID in '
        f"record ({made['uid']}). The object might have been deleted and then recreated",
    )
    answer = wire.delete(f"{maps}/a", {"preconditions": {"resourceVersion": "1"}})
    refused(answer, 409, "Conflict", "The object might have been modified")
    right = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}
    wire.ok("DELETE", f"{maps}/a", {"preconditions": right})


def test_a_dry_run_deletes_nothing(wire: Wire, ns: str, maps: str):
    wire.ok("POST", maps, config_map("a"))
    wire.ok("POST", maps, config_map("b", finalizers=[FINALIZER]))
    assert wire.ok("DELETE", f"{maps}/a", dryRun="All")["status"] == "Success"
    wire.ok("DELETE", f"{maps}/a", {"dryRun": ["All"]})
    assert wire.ok("DELETE", f"{maps}/b", dryRun="All")["metadata"]["deletionTimestamp"]
    wire.ok("DELETE", maps, dryRun="All")
    for name in "ab":
        assert "deletionTimestamp" not in wire.ok("GET", f"{maps}/{name}")["metadata"]
    wire.ok("PATCH", f"{maps}/b", {"metadata": {"finalizers": None}}, type=MERGE)


def test_options_of_a_deletion_are_checked(wire: Wire, maps: str):
    wire.ok("POST", maps, config_map("a"))
    head = 'DeleteOptions.meta.k8s.io "" is invalid: '
    answer = wire.delete(f"{maps}/a", propagationPolicy="Sometimes")
    choices = '"Foreground", "Background", "Orphan", "nil"'
    words = f'propagationPolicy: Unsupported value: "Sometimes": supported values: {choices}'
    refused(answer, 422, "Invalid", head + words)
    answer = wire.delete(f"{maps}/a", {"propagationPolicy": "Orphan", "orphanDependents": True})
    words = "orphanDependents and deletionPropagation cannot be both set"
    refused(answer, 422, "Invalid", head + "propagationPolicy: Invalid value: ", words)
    answer = wire.delete(f"{maps}/a", dryRun="Maybe")
    refused(answer, 422, "Invalid", 'dryRun: Unsupported value: ["Maybe"]: supported values: "All"')
    answer = wire.delete(f"{maps}/a", gracePeriodSeconds="soon")
    refused(answer, 400, "BadRequest", 'strconv.ParseInt: parsing "soon": invalid syntax')
    answer = wire.delete(f"{maps}/a", {"kind": "ConfigMap", "apiVersion": "v1"})
    refused(answer, 400, "BadRequest")
    assert wire.get(f"{maps}/a").status_code == 200


def test_the_options_in_a_body_are_those_that_count(wire: Wire, maps: str):
    wire.ok("POST", maps, config_map("a"))
    wire.ok("DELETE", f"{maps}/a", {"kind": "DeleteOptions", "apiVersion": "v1"}, dryRun="All")
    assert wire.get(f"{maps}/a").status_code == 404


def test_a_pod_that_runs_nowhere_goes_at_once(wire: Wire, ns: str):
    wire.ok("POST", f"{ns}/pods", pod("p"))
    gone = wire.ok("DELETE", f"{ns}/pods/p")
    assert gone["kind"] == "Pod"
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert wire.get(f"{ns}/pods/p").status_code == 404


def test_the_grace_of_a_bound_pod_can_only_be_shortened(wire: Wire, ns: str):
    pods = f"{ns}/pods"
    made = wire.ok("POST", pods, pod("p", terminationGracePeriodSeconds=600))
    bind(wire, pods, "p")

    def grace(**params: object) -> int:
        return wire.ok("DELETE", f"{pods}/p", **params)["metadata"]["deletionGracePeriodSeconds"]

    assert grace() == 600
    marked = wire.ok("GET", f"{pods}/p")["metadata"]
    if "generation" in made["metadata"]:
        assert marked["generation"] == made["metadata"]["generation"] + 1
    assert grace() == 600
    assert grace(gracePeriodSeconds=900) == 600
    assert wire.ok("GET", f"{pods}/p")["metadata"] == marked
    assert grace(gracePeriodSeconds=300) == 300
    sooner = wire.ok("GET", f"{pods}/p")["metadata"]["deletionTimestamp"]
    assert sooner < marked["deletionTimestamp"]
    wire.ok("DELETE", f"{pods}/p", gracePeriodSeconds=0)
    assert wire.get(f"{pods}/p").status_code == 404


def test_a_negative_grace_is_one_second(wire: Wire, ns: str):
    wire.ok("POST", f"{ns}/pods", pod("p"))
    bind(wire, f"{ns}/pods", "p")
    marked = wire.ok("DELETE", f"{ns}/pods/p", gracePeriodSeconds=-5)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 1
    wire.delete(f"{ns}/pods/p", gracePeriodSeconds=0)


@pytest.fixture
def family(wire: Wire, ns: str) -> tuple[str, str]:
    """The paths of an owner and of its dependent."""
    maps = f"{ns}/configmaps"
    owner = wire.ok("POST", maps, config_map("owner"))
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    wire.ok("POST", maps, config_map("child", ownerReferences=[reference], finalizers=[FINALIZER]))
    yield f"{maps}/owner", f"{maps}/child"
    for path in (f"{maps}/owner", f"{maps}/child"):
        wire.patch(path, {"metadata": {"finalizers": None}})


def release(wire: Wire, path: str) -> None:
    wire.ok("PATCH", path, {"metadata": {"finalizers": None}}, type=MERGE)


def gone(wire: Wire, path: str) -> bool:
    return wire.get(path).status_code == 404


def test_by_default_dependents_follow_their_owner(wire: Wire, family: tuple[str, str]):
    owner, child = family
    wire.ok("DELETE", owner)
    assert gone(wire, owner)
    until(lambda: wire.ok("GET", child)["metadata"].get("deletionTimestamp"), what="it follows")
    release(wire, child)
    assert gone(wire, child)


def test_in_the_foreground_the_owner_waits_for_its_dependents(wire: Wire, family: tuple[str, str]):
    owner, child = family
    marked = wire.ok("DELETE", owner, propagationPolicy="Foreground")
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    until(lambda: wire.ok("GET", child)["metadata"].get("deletionTimestamp"), what="it follows")
    assert not gone(wire, owner)
    release(wire, child)
    until(lambda: gone(wire, owner), what="the owner goes last")


def test_orphans_stay_without_their_owner(wire: Wire, family: tuple[str, str]):
    owner, child = family
    marked = wire.ok("DELETE", owner, propagationPolicy="Orphan")
    assert marked["metadata"]["finalizers"] == ["orphan"]
    until(lambda: gone(wire, owner), what="the owner goes")
    metadata = wire.ok("GET", child)["metadata"]
    assert "ownerReferences" not in metadata
    assert "deletionTimestamp" not in metadata


def test_the_older_word_for_orphans_is_understood(wire: Wire, family: tuple[str, str]):
    owner, child = family
    marked = wire.ok("DELETE", owner, {"orphanDependents": True})
    assert marked["metadata"]["finalizers"] == ["orphan"]
    until(lambda: gone(wire, owner), what="the owner goes")
    assert "ownerReferences" not in wire.ok("GET", child)["metadata"]


def test_the_deletion_of_what_waits_is_accepted_in_the_older_way(wire: Wire, maps: str):
    wire.ok("POST", maps, config_map("a", finalizers=[FINALIZER]))
    answer = wire.delete(f"{maps}/a", {"orphanDependents": False})
    assert answer.status_code == 202
    release(wire, f"{maps}/a")


@pytest.fixture
def many(wire: Wire, maps: str) -> str:
    for name in "abcde":
        labels = {"mine": "yes", "late": "yes"} if name > "b" else {"mine": "yes"}
        wire.ok("POST", maps, config_map(name, labels=labels))
    return maps


def left(wire: Wire, maps: str) -> str:
    items = wire.ok("GET", maps, labelSelector="mine")["items"]
    return "".join(item["metadata"]["name"] for item in items)


def test_a_selection_is_deleted_together(wire: Wire, many: str):
    listed = wire.ok("DELETE", many, labelSelector="late=yes")
    assert listed["kind"] == "ConfigMapList"
    assert [item["metadata"]["name"] for item in listed["items"]] == list("cde")
    assert left(wire, many) == "ab"
    wire.ok("DELETE", many, fieldSelector="metadata.name=a")
    assert left(wire, many) == "b"


def test_a_collection_can_be_deleted_in_chunks(wire: Wire, many: str):
    first = wire.ok("DELETE", many, limit=2, labelSelector="mine")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert left(wire, many) == "cde"


def test_a_dry_run_of_a_collection_says_what_would_go(wire: Wire, many: str):
    listed = wire.ok("DELETE", many, labelSelector="late", dryRun="All")
    assert len(listed["items"]) == 3
    assert left(wire, many) == "abcde"


def test_the_options_of_a_collection_are_checked(wire: Wire, many: str):
    answer = wire.delete(many, propagationPolicy="Never")
    refused(answer, 422, "Invalid", "DeleteOptions.meta.k8s.io")
    answer = wire.delete(many, resourceVersionMatch="Exact")
    refused(answer, 422, "Invalid", "ListOptions.meta.k8s.io")
    assert left(wire, many) == "abcde"


def test_namespaces_are_not_deleted_together(wire: Wire):
    refused(wire.delete("/api/v1/namespaces"), 405, "MethodNotAllowed")


def test_a_namespace_terminates_before_it_goes(wire: Wire):
    made = wire.ok("POST", "/api/v1/namespaces", {"metadata": {"generateName": "test-gone-"}})
    path = f"/api/v1/namespaces/{made['metadata']['name']}"
    wire.ok("POST", f"{path}/configmaps", config_map("a", finalizers=[FINALIZER]))
    marked = wire.ok("DELETE", path)
    assert marked["status"]["phase"] == "Terminating"
    assert marked["spec"]["finalizers"] == ["kubernetes"]
    answer = wire.post(f"{path}/configmaps", config_map("b"))
    refused(answer, 403, "Forbidden", "because it is being terminated")
    until(lambda: wire.ok("GET", f"{path}/configmaps/a")["metadata"].get("deletionTimestamp"))
    release(wire, f"{path}/configmaps/a")
    until(lambda: gone(wire, path), seconds=60, what="the namespace goes")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay(wire: Wire, name: str):
    answer = wire.delete(f"/api/v1/namespaces/{name}")
    refused(answer, 403, "Forbidden", "this namespace may not be deleted")
