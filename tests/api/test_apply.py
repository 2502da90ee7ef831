"""Server-side apply: owners, conflicts, merging and giving up; and who owns what otherwise.

Source: Kubernetes documentation, "Server-Side Apply".
"""

from __future__ import annotations

import json
from functools import partial

import pytest

from tests.api.conftest import APPLY, JSON_PATCH, MERGE, STRATEGIC, refused, until


def config_map(**data: str) -> dict:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    return {**body, "data": data} if data else body


def deployment(**spec: object) -> dict:
    """Without replicas, so that nothing runs unless a test says so."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]}
                    ]
                },
            },
            **spec,
        },
    }


def owners(obj: dict) -> dict[tuple, dict]:
    """The entries of managedFields by manager, operation and subresource."""
    found = obj["metadata"].get("managedFields", [])
    return {(e["manager"], e["operation"], e.get("subresource", "")): e for e in found}


def fields(obj: dict, manager: str, operation: str = "Apply", subresource: str = "") -> dict:
    return owners(obj)[manager, operation, subresource]["fieldsV1"]


@pytest.fixture
def apply(wire):
    """apply(path, configuration, manager, **parameters): the answer."""

    def send(path: str, body: object, manager: str | None = "me", **params: object):
        return wire.patch(path, body, APPLY, fieldManager=manager, **params)

    return send


@pytest.fixture
def map_path(ns: str) -> str:
    return f"{ns}/configmaps/a"


@pytest.fixture
def web(in_group) -> str:
    return f"{in_group('apps/v1')}/deployments/web"


def test_an_apply_makes_what_is_not_there_and_then_changes_it(apply, map_path):
    first = apply(map_path, config_map(x="1"))
    assert first.status_code == 201
    [entry] = first.json()["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("me", "Apply", "v1")
    assert (entry["fieldsType"], entry["fieldsV1"]) == ("FieldsV1", {"f:data": {"f:x": {}}})
    second = apply(map_path, config_map(x="2"))
    assert (second.status_code, second.json()["data"]) == (200, {"x": "2"})


def test_a_configuration_may_be_yaml(apply, map_path):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    assert apply(map_path, text).json()["data"] == {"x": "1"}


def test_keys_that_are_there_twice_are_warned_of_or_refused(apply, map_path):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: '1'\n  x: '2'\n"
    answer = apply(map_path, text)
    assert answer.status_code == 201
    assert "already set in map" in answer.headers["Warning"]
    answer = apply(map_path, text, fieldValidation="Strict")
    head = "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:"
    refused(answer, 400, "BadRequest", f'{head}\n  line 6: key "x" already set in map')


def test_applying_the_same_again_is_no_write(apply, map_path):
    first = apply(map_path, config_map(x="1")).json()
    second = apply(map_path, config_map(x="1")).json()
    assert first == second


def test_what_go_clients_send_besides_is_no_write_either(apply, web):
    body = deployment(replicas=0, paused=True)
    body["metadata"]["creationTimestamp"] = None
    body["status"] = {}
    first = apply(web, body).json()
    assert first["metadata"]["creationTimestamp"]
    assert until(lambda: _same_twice(apply, web, body), what="nobody else writes")


def _same_twice(apply, path: str, body: dict) -> bool:
    first, second = (apply(path, body).json()["metadata"] for _ in range(2))
    return first["resourceVersion"] == second["resourceVersion"]


def test_a_field_of_another_manager_is_a_conflict(wire, apply, map_path):
    apply(map_path, config_map(x="1"), "first")
    answer = apply(map_path, config_map(x="2"), "second")
    message = 'Apply failed with 1 conflict: conflict with "first": .data.x'
    status = refused(answer, 409, "Conflict", message)
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "first"', "field": ".data.x"}
    ]
    assert wire.get(map_path).json()["data"] == {"x": "1"}


def test_several_conflicts_are_listed_by_manager(wire, ns, apply, map_path):
    wire.ok("POST", f"{ns}/configmaps", config_map(x="1", y="1"), fieldManager="maker")
    apply(map_path, config_map(z="1"), "first")
    answer = apply(map_path, config_map(x="2", y="2", z="2"), "second")
    lines = refused(answer, 409, "Conflict")["message"].split("\n")
    assert lines[0].startswith("Apply failed with 3 conflicts: conflicts with ")
    text = "\n".join(lines).removeprefix("Apply failed with 3 conflicts: ")
    assert 'conflicts with "maker" using v1:\n- .data.x\n- .data.y' in text
    assert 'conflicts with "first":\n- .data.z' in text


def test_force_takes_the_field_over(apply, map_path):
    apply(map_path, config_map(x="1", y="1"), "first")
    found = apply(map_path, config_map(x="2"), "second", force="true").json()
    assert found["data"] == {"x": "2", "y": "1"}
    assert fields(found, "first") == {"f:data": {"f:y": {}}}
    assert fields(found, "second") == {"f:data": {"f:x": {}}}


def test_the_same_value_is_shared(apply, map_path):
    apply(map_path, config_map(x="1"), "first")
    found = apply(map_path, config_map(x="1"), "second").json()
    assert fields(found, "first") == fields(found, "second") == {"f:data": {"f:x": {}}}


def test_what_an_applier_no_longer_names_goes_unless_it_is_shared(apply, map_path):
    apply(map_path, config_map(x="1", y="1"), "first")
    apply(map_path, config_map(x="1"), "second")
    found = apply(map_path, config_map(), "first").json()
    assert found["data"] == {"x": "1"}
    found = apply(map_path, config_map(), "second").json()
    assert not found.get("data")


def test_a_field_that_its_last_owner_gives_up_has_its_default_again(apply, web):
    apply(web, deployment(replicas=0, revisionHistoryLimit=3))
    found = apply(web, deployment(replicas=0)).json()
    assert found["spec"]["revisionHistoryLimit"] == 10


def test_lists_of_objects_merge_by_their_keys(apply, web):
    apply(web, deployment(replicas=0), "first")
    other = deployment()
    other["spec"]["template"]["spec"]["containers"] = [
        {"name": "side", "image": "side:1"},
        {"name": "web", "ports": [{"containerPort": 81, "protocol": "UDP"}]},
    ]
    found = apply(web, other, "second").json()
    containers = found["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in containers] == ["side", "web"]
    ports = [(port["containerPort"], port["protocol"]) for port in containers[1]["ports"]]
    assert ports == [(80, "TCP"), (81, "UDP")]
    tree = fields(found, "first")["f:spec"]["f:template"]["f:spec"]["f:containers"]
    port = {".": {}, "f:containerPort": {}}
    assert tree == {
        'k:{"name":"web"}': {
            ".": {},
            "f:name": {},
            "f:image": {},
            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': port},
        }
    }


def test_an_applier_takes_its_element_away_and_leaves_the_others(apply, web):
    apply(web, deployment(replicas=0), "first")
    other = deployment()
    other["spec"]["template"]["spec"]["containers"] = [{"name": "side", "image": "side:1"}]
    apply(web, other, "second")
    other["spec"]["template"]["spec"]["containers"] = []
    found = apply(web, other, "second").json()
    assert [c["name"] for c in found["spec"]["template"]["spec"]["containers"]] == ["web"]


def test_an_atomic_list_belongs_to_one_manager_as_a_whole(apply, web):
    body = deployment(replicas=0)
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["a"]
    apply(web, body, "first")
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["a", "b"]
    path = '.spec.template.spec.containers[name="web"].args'
    refused(apply(web, body, "second"), 409, "Conflict", f'conflict with "first": {path}')


def test_a_finalizer_is_owned_by_its_value(apply, map_path):
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/one"]
    apply(map_path, body, "first")
    body["metadata"]["finalizers"] = ["example.com/two"]
    found = apply(map_path, body, "second").json()
    assert found["metadata"]["finalizers"] == ["example.com/one", "example.com/two"]
    mine = fields(found, "second")["f:metadata"]["f:finalizers"]
    assert mine == {'v:"example.com/two"': {}}
    body["metadata"].pop("finalizers")
    apply(map_path, body, "first")
    apply(map_path, body, "second")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"more": "x"}, ".more: field not declared in schema"),
        ({"data": {"x": 1}}, ".data.x: expected string"),
        ({"metadata": {"name": "a", "managedFields": []}}, "metadata.managedFields must be nil"),
        ({"metadata": {"name": "b"}}, "the name of the object (b) does not match the name on the"),
        ({"kind": "Secret"}, "Secret"),
        ({"apiVersion": "v2"}, "v2"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit_is_refused(apply, map_path, change, part):
    answer = apply(map_path, {**config_map(), **change})
    assert answer.status_code >= 400
    assert part in answer.json()["message"]


def test_elements_with_the_same_key_are_refused(apply, web):
    body = deployment()
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    body["spec"]["template"]["spec"]["containers"][0]["env"] = twice
    answer = apply(web, body)
    assert answer.status_code >= 400
    where = '.spec.template.spec.containers[name="web"].env'
    assert f'{where}: duplicate entries for key [name="A"]' in answer.json()["message"]


def test_an_apply_says_in_whose_name(apply, map_path):
    message = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required'
    refused(apply(map_path, config_map(), None), 422, "Invalid", message)


def test_force_is_for_applies_alone(wire, ns, map_path):
    wire.ok("POST", f"{ns}/configmaps", config_map())
    answer = wire.patch(map_path, {}, MERGE, force="true")
    refused(answer, 422, "Invalid", "force: Forbidden: may not be specified for non-apply patch")


def test_a_dry_run_shows_and_does_not_keep(wire, apply, map_path):
    assert apply(map_path, config_map(x="1"), dryRun="All").status_code == 201
    assert wire.get(map_path).status_code == 404


def test_a_configuration_with_an_old_resource_version_is_a_conflict(apply, map_path):
    made = apply(map_path, config_map(x="1")).json()
    body = config_map(x="2")
    body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    assert apply(map_path, body).status_code == 200
    refused(apply(map_path, body), 409, "Conflict", "the object has been modified")


def test_a_configuration_with_a_uid_makes_nothing(apply, map_path):
    body = config_map()
    body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    refused(apply(map_path, body), 409, "Conflict", "uid mismatch", "no existing object was found")


def test_to_make_an_object_takes_the_right_to_create(wire, in_group, apply, map_path):
    rights = in_group("rbac.authorization.k8s.io/v1")
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}
    wire.ok("POST", f"{rights}/roles", {"metadata": {"name": "patcher"}, "rules": [rule]})
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "patcher"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "patcher"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "patcher"}],
    }
    wire.ok("POST", f"{rights}/rolebindings", binding)
    patcher = {"Impersonate-User": "patcher"}
    allowed = partial(apply, map_path, config_map(x="1"), headers=patcher)
    words = 'User "patcher" cannot create resource "configmaps" in API group ""'
    until(lambda: words in allowed().json().get("message", ""), what="the binding works")
    refused(allowed(), 403, "Forbidden", words)
    apply(map_path, config_map(x="1"))
    assert allowed().status_code == 200


def test_the_status_is_owned_through_its_subresource_alone(wire, apply, ns):
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "nodeSelector": {"no": "where"},
            "containers": [{"name": "c", "image": "i"}],
        },
        "status": {"message": "main"},
    }
    path = f"{ns}/pods/p"
    found = apply(path, body).json()
    assert "f:status" not in fields(found, "me")
    assert found["status"].get("message") is None
    status = {**body, "spec": None, "status": {"message": "status"}}
    found = apply(f"{path}/status", status, "other").json()
    assert found["status"]["message"] == "status"
    assert fields(found, "other", "Apply", "status") == {"f:status": {"f:message": {}}}
    wire.delete(path, gracePeriodSeconds=0)


def test_a_subresource_is_not_made_by_an_apply(apply, ns):
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    refused(apply(f"{ns}/pods/p/status", body), 404, "NotFound")


def test_every_write_has_a_manager(wire, ns, map_path):
    agent = {"User-Agent": "agent/1.2 (x)"}
    made = wire.ok("POST", f"{ns}/configmaps", config_map(x="1"), headers=agent)
    assert fields(made, "agent", "Update") == {"f:data": {".": {}, "f:x": {}}}
    change = {"data": {"y": "1"}}
    found = wire.patch(map_path, change, MERGE, fieldManager="patcher").json()
    assert fields(found, "patcher", "Update") == {"f:data": {"f:y": {}}}
    found["data"] = {"x": "2", "y": "1"}
    found = wire.put(map_path, found, fieldManager="putter").json()
    assert fields(found, "putter", "Update") == {"f:data": {"f:x": {}}}
    assert fields(found, "agent", "Update") == {"f:data": {}}


def test_a_manager_whose_fields_are_gone_is_gone(wire, ns, map_path):
    wire.ok("POST", f"{ns}/configmaps", config_map(x="1"), fieldManager="maker")
    found = wire.patch(map_path, {"data": {"y": "1"}}, fieldManager="second").json()
    assert ("second", "Update", "") in owners(found)
    found = wire.patch(map_path, {"data": {"y": None}}, fieldManager="third").json()
    assert set(owners(found)) == {("maker", "Update", "")}


def test_the_status_has_managers_of_its_own(wire, in_group, web):
    wire.ok("POST", f"{in_group('apps/v1')}/deployments", deployment(paused=True, replicas=0))
    change = {"status": {"conditions": [{"type": "Tested", "status": "True"}]}}
    found = wire.patch(f"{web}/status", change, STRATEGIC, fieldManager="tester").json()
    tree = fields(found, "tester", "Update", "status")["f:status"]["f:conditions"]
    condition = tree['k:{"type":"Tested"}']
    assert {".", "f:status", "f:type"} <= set(condition)


def test_what_a_new_deployment_gives_its_maker(wire, in_group):
    body = deployment(replicas=0)
    found = wire.ok("POST", f"{in_group('apps/v1')}/deployments", body, fieldManager="maker")
    spec = fields(found, "maker", "Update")["f:spec"]
    assert spec["f:strategy"] == {
        "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
        "f:type": {},
    }
    assert spec["f:selector"] == {}
    template = spec["f:template"]
    assert template["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    assert "." not in template["f:spec"]["f:containers"]
    assert template["f:spec"]["f:containers"]['k:{"name":"web"}'] == {
        ".": {},
        "f:image": {},
        "f:imagePullPolicy": {},
        "f:name": {},
        "f:ports": {
            ".": {},
            'k:{"containerPort":80,"protocol":"TCP"}': {
                ".": {},
                "f:containerPort": {},
                "f:protocol": {},
            },
        },
        "f:resources": {},
        "f:terminationMessagePath": {},
        "f:terminationMessagePolicy": {},
    }


@pytest.mark.parametrize("empty", [[], [{}]], ids=str)
def test_a_client_can_empty_the_managed_fields(wire, ns, apply, map_path, empty):
    wire.ok("POST", f"{ns}/configmaps", config_map(x="1"), fieldManager="maker")
    found = wire.patch(map_path, {"metadata": {"managedFields": empty}}).json()
    assert "managedFields" not in found["metadata"]
    found = wire.patch(map_path, {"data": {"y": "1"}}, fieldManager="second").json()
    assert "managedFields" not in found["metadata"]
    found = apply(map_path, config_map(z="1")).json()
    assert set(owners(found)) == {("me", "Apply", ""), ("before-first-apply", "Update", "")}


def test_a_client_can_rewrite_the_managed_fields(wire, ns, map_path):
    made = wire.ok("POST", f"{ns}/configmaps", config_map(x="1"), fieldManager="maker")
    [entry] = made["metadata"]["managedFields"]
    change = [
        {"op": "replace", "path": "/metadata/managedFields/0", "value": {**entry, "manager": "new"}}
    ]
    found = wire.patch(map_path, change, JSON_PATCH, fieldManager="patcher").json()
    assert set(owners(found)) == {("new", "Update", "")}


def test_the_oldest_of_many_updaters_become_one(wire, ns, map_path):
    wire.ok("POST", f"{ns}/configmaps", config_map(x="1"), fieldManager="maker")
    for number in range(12):
        change = {"data": {f"key-{number}": "x"}}
        found = wire.patch(map_path, change, fieldManager=f"m-{number:02}").json()
    assert len(owners(found)) == 10
    ancient = fields(found, "ancient-changes", "Update")
    assert {"f:key-0", "f:key-1"} <= set(ancient["f:data"])


def test_a_scale_changes_hands_with_the_replicas(wire, apply, web):
    apply(web, deployment(replicas=0))
    scale = {"spec": {"replicas": 1}}
    wire.ok("PATCH", f"{web}/scale", scale, type=MERGE, fieldManager="scaler")
    found = wire.get(web).json()
    taken = fields(found, "scaler", "Update", "scale")
    assert taken == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in fields(found, "me")["f:spec"]
    owner = '"scaler" with subresource "scale" using apps/v1'
    message = f"Apply failed with 1 conflict: conflict with {owner}: .spec.replicas"
    refused(apply(web, deployment(replicas=0)), 409, "Conflict", message)


def test_a_scale_can_be_applied(wire, apply, web):
    apply(web, deployment(replicas=0))
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 1}}
    scale["metadata"] = {"name": "web"}
    refused(apply(f"{web}/scale", scale, "other"), 409, "Conflict", ".spec.replicas")
    answer = apply(f"{web}/scale", scale, "other", force="true")
    assert (answer.status_code, answer.json()["spec"]) == (200, {"replicas": 1})
    found = wire.get(web).json()
    assert fields(found, "other", "Apply", "scale") == {"f:spec": {"f:replicas": {}}}


def test_controllers_write_in_their_own_names(wire, in_group, apply, web):
    apply(web, deployment(replicas=0))
    sets = f"{in_group('apps/v1')}/replicasets"
    [owned] = until(lambda: wire.get(sets).json()["items"], what="the ReplicaSet")
    assert ("kube-controller-manager", "Update", "") in owners(owned)
    status = ("kube-controller-manager", "Update", "status")
    until(lambda: status in owners(wire.get(web).json()), what="the controller's status")


def test_nodes_have_fields_of_their_kubelets(wire):
    for node in wire.get("/api/v1/nodes").json()["items"]:
        assert ("kubelet", "Update", "status") in owners(node)


MANIFEST = json.dumps(config_map(x="1"))


def test_kubectl_applies_on_the_server_and_reports_conflicts(k):
    assert k("apply", "--server-side", "-f", "-", input=MANIFEST) == (
        "configmap/a serverside-applied\n"
    )
    changed = json.dumps(config_map(x="2"))
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    complaint = k.fails(*other, input=changed)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.x' in complaint
    assert "--force-conflicts" in complaint
    assert "serverside-applied" in k(*other, "--force-conflicts", input=changed)
    assert k.json("get", "configmap", "a")["data"] == {"x": "2"}


def test_kubectl_diffs_on_the_server(k):
    k("apply", "--server-side", "-f", "-", input=MANIFEST)
    assert k("diff", "--server-side", "-f", "-", input=MANIFEST) == ""
    done = k.run("diff", "--server-side", "-f", "-", input=json.dumps(config_map(x="2")))
    assert done.returncode == 1
    assert '-  x: "1"\n+  x: "2"' in done.stdout


def test_kubectl_moves_from_client_side_to_server_side_apply(k):
    k("apply", "-f", "-", input=json.dumps(config_map(x="1", y="1")))
    k("apply", "--server-side", "-f", "-", input=json.dumps(config_map(x="2")))
    found = k.json("get", "configmap", "a", "--show-managed-fields")
    assert found["data"] == {"x": "2"}
    assert {key for key in owners(found) if key[1] == "Update"} == set()
    assert fields(found, "kubectl") == {"f:data": {"f:x": {}}}
    last = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(last)["data"] == {"x": "2"}


def test_kubectl_hides_managed_fields_unless_asked(k):
    k("apply", "--server-side", "-f", "-", input=MANIFEST)
    assert "managedFields" not in k("get", "configmap", "a", "-o", "yaml")
    shown = k("get", "configmap", "a", "-o", "yaml", "--show-managed-fields")
    assert "managedFields" in shown
    assert "f:data:" in shown
