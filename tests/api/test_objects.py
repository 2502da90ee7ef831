"""Create, get, update: names, versions, conflicts, metadata, dry runs."""

from __future__ import annotations

import pytest

from tests.api.conftest import MERGE, Wire, refused

PAIR = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pair"}, "data": {"a": "1"}}
UID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def maps(ns: str) -> str:
    return f"{ns}/configmaps"


def pair(**metadata: object) -> dict:
    return {**PAIR, "metadata": {"name": "pair", **metadata}}


def test_a_new_object_gets_what_only_the_server_can_give(wire: Wire, ns: str, maps: str):
    sent = pair(uid=UID, creationTimestamp="2001-01-01T00:00:00Z", generation=7, selfLink="/x")
    sent["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z"
    answer = wire.post(maps, sent)
    assert answer.status_code == 201
    metadata = answer.json()["metadata"]
    assert metadata["uid"] not in ("", UID)
    assert metadata["creationTimestamp"] > "2020"
    assert metadata["namespace"] == ns.rpartition("/")[2]
    assert "deletionTimestamp" not in metadata
    assert wire.ok("GET", f"{maps}/pair") == answer.json()


def test_a_name_is_generated_from_its_beginning(wire: Wire, maps: str):
    body = {**PAIR, "metadata": {"generateName": "pair-"}}
    first, second = (wire.ok("POST", maps, body) for _ in range(2))
    names = {one["metadata"]["name"] for one in (first, second)}
    assert len(names) == 2
    assert all(name.startswith("pair-") and len(name) == 10 for name in names)
    assert first["metadata"]["generateName"] == "pair-"


def test_a_long_beginning_is_cut_to_make_room_for_the_rest(wire: Wire, maps: str):
    body = {**PAIR, "metadata": {"generateName": "x" * 70}}
    assert len(wire.ok("POST", maps, body)["metadata"]["name"]) == 63


def test_a_name_can_be_taken_once(wire: Wire, maps: str):
    wire.ok("POST", maps, PAIR)
    status = refused(
        wire.post(maps, PAIR), 409, "AlreadyExists", 'configmaps "pair" already exists'
    )
    assert status["details"] == {"name": "pair", "kind": "configmaps"}


def test_the_same_name_may_be_in_another_namespace(wire: Wire, maps: str):
    wire.ok("POST", maps, PAIR)
    answer = wire.get("/api/v1/namespaces/no-such-namespace/configmaps/pair")
    refused(answer, 404, "NotFound", 'configmaps "pair" not found')
    answer = wire.post("/api/v1/namespaces/no-such-namespace/configmaps", PAIR)
    refused(answer, 404, "NotFound", 'namespaces "no-such-namespace" not found')


def test_the_namespace_of_an_object_is_that_of_its_path(wire: Wire, maps: str):
    words = "the namespace of the provided object does not match the namespace sent on the request"
    refused(wire.post(maps, pair(namespace="other")), 400, "BadRequest", words)


def test_an_update_with_an_old_resource_version_is_a_conflict(wire: Wire, maps: str):
    old = wire.ok("POST", maps, PAIR)
    wire.ok("PUT", f"{maps}/pair", {**old, "data": {"a": "2"}})
    for answer in (
        wire.put(f"{maps}/pair", {**old, "data": {"a": "3"}}),
        wire.patch(
            f"{maps}/pair", {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}}
        ),
    ):
        refused(
            answer,
            409,
            "Conflict",
            'Operation cannot be fulfilled on configmaps "pair": the object has been modified; '
            "please apply your changes to the latest version and try again",
        )
    assert wire.ok("GET", f"{maps}/pair")["data"] == {"a": "2"}


def test_an_update_without_a_resource_version_replaces_whatever_is_there(wire: Wire, maps: str):
    wire.ok("POST", maps, PAIR)
    for version in ({}, {"resourceVersion": ""}, {"resourceVersion": "0"}):
        replaced = wire.ok("PUT", f"{maps}/pair", {**pair(**version), "data": {"a": "9"}})
        assert replaced["data"] == {"a": "9"}


def test_some_kinds_are_not_replaced_unseen(wire: Wire, in_group):
    leases = in_group("coordination.k8s.io/v1") + "/leases"
    lease = {"metadata": {"name": "x"}, "spec": {"holderIdentity": "me"}}
    wire.ok("POST", leases, lease)
    answer = wire.put(f"{leases}/x", lease)
    refused(
        answer, 422, "Invalid", "metadata.resourceVersion: Invalid value: 0", "must be specified"
    )


def test_an_update_can_be_for_one_incarnation_only(wire: Wire, maps: str):
    made = wire.ok("POST", maps, PAIR)
    answer = wire.put(f"{maps}/pair", pair(uid=UID))
    refused(
        answer,
        409,
        "Conflict",
        "Precondition failed: UID in precondition: "
        f"{UID}, UID in object meta: {made['metadata']['uid']}",
    )
    answer = wire.patch(f"{maps}/pair", {"metadata": {"uid": UID}})
    wrong = f'metadata.uid: Invalid value: "{UID}": field is immutable'
    # A patch is no statement about what it changes, or (before 1.27 and after) is one.
    assert answer.status_code in (409, 422)
    assert wrong in answer.json()["message"] or "UID" in answer.json()["message"]


def test_an_object_keeps_its_name(wire: Wire, maps: str):
    wire.ok("POST", maps, PAIR)
    words = "the name of the object (other) does not match the name on the URL (pair)"
    refused(wire.put(f"{maps}/pair", pair(name="other")), 400, "BadRequest", words)
    refused(wire.patch(f"{maps}/pair", {"metadata": {"name": "other"}}), 400, "BadRequest", words)
    answer = wire.put(f"{maps}/pair", {**PAIR, "metadata": {}})
    refused(answer, 400, "BadRequest", "the name of the object (pair based on URL)")


def test_an_update_changes_nothing_of_what_is_the_servers(wire: Wire, maps: str):
    made = wire.ok("POST", maps, PAIR)["metadata"]
    sent = pair(creationTimestamp="2001-01-01T00:00:00Z", generation=9, selfLink="/x")
    changed = wire.ok("PUT", f"{maps}/pair", {**sent, "data": {}})["metadata"]
    for name in ("uid", "creationTimestamp"):
        assert changed[name] == made[name]
    assert changed.get("generation") == made.get("generation")
    assert int(changed["resourceVersion"]) > int(made["resourceVersion"])


def test_what_is_not_there_cannot_be_replaced_or_patched(wire: Wire, maps: str):
    for answer in (wire.put(f"{maps}/pair", PAIR), wire.patch(f"{maps}/pair", {})):
        refused(answer, 404, "NotFound", 'configmaps "pair" not found')


def test_some_kinds_are_made_by_replacing_them(wire: Wire, ns: str):
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e"}}
    assert wire.put(f"{ns}/endpoints/e", body).status_code == 201
    assert wire.put(f"{ns}/endpoints/e", body).status_code == 200


def test_generation_counts_changes_of_the_spec(wire: Wire, in_group):
    sets = in_group("apps/v1") + "/replicasets"
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "x"}, "spec": spec}
    assert wire.ok("POST", sets, body)["metadata"]["generation"] == 1

    def patch(change: dict, path: str = "") -> int:
        return wire.ok("PATCH", f"{sets}/x{path}", change, type=MERGE)["metadata"]["generation"]

    assert patch({"metadata": {"labels": {"a": "b"}}}) == 1
    assert patch({"spec": {"minReadySeconds": 5}}) == 2
    assert patch({"spec": {"minReadySeconds": 5}}) == 2
    assert patch({"status": {"observedGeneration": 1}}, "/status") == 2


def test_the_status_changes_by_its_own_path_only(wire: Wire, ns: str):
    pods = f"{ns}/pods"
    spec = {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    made = wire.ok("POST", pods, {**body, "status": {"phase": "Running"}})
    assert made["status"]["phase"] == "Pending"
    same = wire.ok("PATCH", f"{pods}/p", {"status": {"reason": "Mine"}}, type=MERGE)
    assert "reason" not in same["status"]
    change = {"status": {"reason": "Mine"}, "spec": {"activeDeadlineSeconds": 5}}
    changed = wire.ok("PATCH", f"{pods}/p/status", change, type=MERGE)
    assert changed["status"]["reason"] == "Mine"
    assert "activeDeadlineSeconds" not in changed["spec"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_dry_run_answers_and_changes_nothing(wire: Wire, maps: str, method: str):
    if method == "POST":
        made = wire.ok("POST", maps, PAIR, dryRun="All")
        assert made["metadata"]["uid"]
        refused(wire.get(f"{maps}/pair"), 404, "NotFound", 'configmaps "pair" not found')
        return
    before = wire.ok("POST", maps, PAIR)
    changed = {**PAIR, "data": {"a": "2"}}
    options = {"type": MERGE} if method == "PATCH" else {}
    answer = wire.ok(method, f"{maps}/pair", changed, dryRun="All", **options)
    assert answer["data"] == {"a": "2"}
    assert wire.ok("GET", f"{maps}/pair") == before


def test_a_dry_run_is_refused_as_the_real_one_would_be(wire: Wire, maps: str):
    wire.ok("POST", maps, PAIR)
    refused(wire.post(maps, PAIR, dryRun="All"), 409, "AlreadyExists")
    refused(wire.post(maps, pair(name="No!"), dryRun="All"), 422, "Invalid")


OPTIONS = [
    ({"dryRun": "Some"}, 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
    (
        {"fieldValidation": "Loose"},
        'fieldValidation: Unsupported value: "Loose": supported values: "", "Ignore", "Strict", '
        '"Warn"',
    ),
    ({"fieldManager": "x" * 129}, "fieldManager: Too long: "),
    ({"fieldManager": "a\tb"}, "invalid character U+0009 (at position 1)"),
]


@pytest.mark.parametrize(("params", "message"), OPTIONS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_the_options_of_a_write_are_checked(
    wire: Wire, maps: str, method: str, params: dict, message: str
):
    path = maps if method == "POST" else f"{maps}/pair"
    type = MERGE if method == "PATCH" else "application/json"
    answer = wire.request(method, path, PAIR, type=type, **params)
    kind = {"POST": "Create", "PUT": "Update", "PATCH": "Patch"}[method]
    refused(answer, 422, "Invalid", f'{kind}Options.meta.k8s.io "" is invalid: ', message)


def test_force_is_for_apply(wire: Wire, maps: str):
    answer = wire.patch(f"{maps}/pair", {}, force="true")
    refused(answer, 422, "Invalid", "force: Forbidden: may not be specified for non-apply patch")


NAME = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"
LABEL = "a valid label must be an empty string or consist of alphanumeric characters"
PART = "name part must consist of alphanumeric characters, '-', '_' or '.'"
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": UID}
OTHER = {**OWNER, "name": "p", "uid": UID.replace("0", "1")}
METADATA = [
    ({"name": "Upper"}, f'metadata.name: Invalid value: "Upper": {NAME}'),
    ({"name": "x" * 254}, "must be no more than 253"),
    ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
    ({"labels": {"a b": "c"}}, f'metadata.labels: Invalid value: "a b": {PART}'),
    ({"labels": {"a": "-b"}}, f'metadata.labels: Invalid value: "-b": {LABEL}'),
    ({"labels": {"a": "x" * 64}}, "must be no more than 63"),
    ({"labels": {"x" * 64: "a"}}, "name part must be no more than 63"),
    ({"annotations": {"a/b/c": "d"}}, 'metadata.annotations: Invalid value: "a/b/c": a valid'),
    (
        {"annotations": {"a": "x" * 2**18}},
        "metadata.annotations: Too long: ",
    ),
    (
        {"ownerReferences": [{**OWNER, "uid": ""}]},
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ),
    (
        {"ownerReferences": [{**OWNER, "apiVersion": ""}]},
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
    ),
    (
        {"ownerReferences": [{**OWNER, "controller": True}, {**OTHER, "controller": True}]},
        'Only one reference can have Controller set to true. Found "true" in references for '
        "ConfigMap/o and ConfigMap/p",
    ),
    (
        {"ownerReferences": [{**OWNER, "kind": "Event"}]},
        "/v1, Kind=Event is disallowed from being an owner",
    ),
    (
        {"finalizers": ["mine"]},
        'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name '
        "nor is it fully qualified",
    ),
    (
        {"finalizers": ["orphan", "foregroundDeletion"]},
        "finalizer orphan and foregroundDeletion cannot be both set",
    ),
]


@pytest.mark.parametrize(("metadata", "message"), METADATA, ids=lambda value: str(value)[:50])
def test_metadata_has_its_rules(wire: Wire, maps: str, metadata: dict, message: str):
    status = refused(wire.post(maps, pair(**metadata)), 422, "Invalid", message)
    assert status["message"].startswith('ConfigMap "')
    assert status["details"]["kind"] == "ConfigMap"
    assert status["details"]["causes"]


def test_everything_that_is_wrong_is_said_at_once(wire: Wire, maps: str):
    body = pair(name="No", labels={"a": "-"})
    status = refused(wire.post(maps, body), 422, "Invalid", 'ConfigMap "No" is invalid: [')
    assert {cause["field"] for cause in status["details"]["causes"]} == {
        "metadata.name",
        "metadata.labels",
    }


def test_an_owner_that_is_named_twice_is_kept_once(wire: Wire, maps: str):
    answer = wire.post(maps, pair(ownerReferences=[OWNER, OWNER], finalizers=["example.com/x"]))
    assert answer.json()["metadata"]["ownerReferences"] == [OWNER]
    assert "duplicate UID(s) observed: " + UID in answer.headers["Warning"]
    wire.ok("PATCH", f"{maps}/pair", {"metadata": {"finalizers": None}}, type=MERGE)


def test_yaml_is_as_good_as_json(wire: Wire, maps: str):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pair}\ndata: {a: '1', b: 'yes'}\n"
    made = wire.request("POST", maps, text, type="application/yaml")
    assert made.status_code == 201
    assert made.json()["data"] == {"a": "1", "b": "yes"}


def test_a_body_says_which_kind_it_is(wire: Wire, maps: str):
    answer = wire.post(maps, {**PAIR, "kind": "Secret"})
    refused(answer, 400, "BadRequest", 'Secret in version "v1" cannot be handled as a ConfigMap')
    answer = wire.post(maps, {**PAIR, "apiVersion": "v2"})
    refused(answer, 400, "BadRequest")
    assert wire.ok("POST", maps, {"metadata": {"name": "pair"}})["kind"] == "ConfigMap"


def test_empty_maps_and_lists_are_as_good_as_none(wire: Wire, maps: str):
    body = {**pair(labels={}, annotations={}, finalizers=[]), "binaryData": {}}
    made = wire.ok("POST", maps, body)
    assert not made["metadata"].keys() & {"labels", "annotations", "finalizers"}
    assert "binaryData" not in made
