"""kubectl changes objects: apply, diff, edit, set, label, annotate, scale and the patches.

Source: Kubernetes documentation, "Kubernetes Object Management" and the kubectl reference.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def manifest(**spec: object) -> dict:
    """A Deployment that runs nothing."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        },
                        {"name": "side", "image": "side:1"},
                    ]
                },
            },
            **spec,
        },
    }


@pytest.fixture
def apply(k):
    """apply(object): what kubectl says."""
    return lambda obj, *more: k("apply", "-f", "-", *more, input=json.dumps(obj)).strip()


@pytest.fixture
def deployed(apply) -> None:
    apply(manifest())


def containers(k) -> dict[str, dict]:
    spec = k.json("get", "deployment", "web")["spec"]["template"]["spec"]
    return {one["name"]: one for one in spec["containers"]}


def test_apply_creates_changes_and_leaves_alone(k, apply):
    assert apply(manifest()) == "deployment.apps/web created"
    assert apply(manifest()) == "deployment.apps/web unchanged"
    assert apply(manifest(paused=True)) == "deployment.apps/web configured"
    found = k.json("get", "deployment", "web")
    assert found["spec"]["paused"] is True
    assert json.loads(found["metadata"]["annotations"][LAST_APPLIED])["spec"]["paused"] is True


def test_apply_removes_what_it_applied_and_leaves_what_others_set(k, apply):
    apply(manifest(minReadySeconds=5))
    k("annotate", "deployment", "web", "mine=kept")
    k("scale", "deployment", "web", "--replicas=2")
    body = manifest()
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "B", "value": "3"}]
    del body["spec"]["replicas"]
    apply(body)
    found = k.json("get", "deployment", "web")
    assert "minReadySeconds" not in found["spec"]
    assert found["metadata"]["annotations"]["mine"] == "kept"
    assert containers(k)["web"]["env"] == [{"name": "B", "value": "3"}]


def test_apply_takes_an_element_away_and_keeps_the_order_of_the_others(k, apply):
    apply(manifest())
    body = manifest()
    body["spec"]["template"]["spec"]["containers"].insert(0, {"name": "new", "image": "new:1"})
    apply(body)
    assert list(containers(k)) == ["new", "web", "side"]
    del body["spec"]["template"]["spec"]["containers"][1]
    apply(body)
    assert list(containers(k)) == ["new", "side"]


def test_apply_tells_its_name_in_the_managed_fields(k, apply):
    apply(manifest())
    found = k.json("get", "deployment", "web", "--show-managed-fields")["metadata"]
    names = {(one["manager"], one["operation"]) for one in found["managedFields"]}
    assert ("kubectl-client-side-apply", "Update") in names


def test_apply_prunes_what_is_no_longer_in_the_set(k, apply):
    def config_map(name: str) -> dict:
        metadata = {"name": name, "labels": {"set": "one"}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    both = {"apiVersion": "v1", "kind": "List", "items": [config_map("a"), config_map("b")]}
    apply(both, "-l", "set=one")
    prune = ("--prune", "-l", "set=one", "--prune-allowlist=core/v1/ConfigMap")
    said = apply(config_map("a"), *prune)
    assert "configmap/b pruned" in said
    assert k("get", "configmaps", "-l", "set=one", "-o", "name") == "configmap/a\n"


def test_apply_of_an_object_that_was_created_warns_and_works(k):
    text = json.dumps(manifest())
    k("create", "-f", "-", input=text)
    done = k.run("apply", "-f", "-", input=text)
    assert done.returncode == 0
    assert "missing the kubectl.kubernetes.io/last-applied-configuration" in done.stderr


def test_apply_dry_runs_on_the_server_and_keeps_nothing(k, apply):
    assert apply(manifest(), "--dry-run=server") == "deployment.apps/web created (server dry run)"
    assert "NotFound" in k.fails("get", "deployment", "web")


def test_apply_refuses_unknown_fields(k):
    complaint = k.fails("apply", "-f", "-", input=json.dumps(manifest(replica=1)))
    assert 'strict decoding error: unknown field "spec.replica"' in complaint


@pytest.mark.usefixtures("deployed")
def test_last_applied_can_be_seen(k):
    shown = k("apply", "view-last-applied", "deployment", "web", "-o", "json")
    assert json.loads(shown)["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"


@pytest.mark.usefixtures("deployed")
def test_diff_says_by_its_exit_code_whether_there_is_a_difference(k):
    same = k.run("diff", "-f", "-", input=json.dumps(manifest()))
    assert (same.returncode, same.stdout) == (0, "")
    other = k.run("diff", "-f", "-", input=json.dumps(manifest(minReadySeconds=5)))
    assert other.returncode == 1
    assert "+  minReadySeconds: 5\n" in other.stdout
    # Upstream shows the generation that the change would have, so nothing else is different.
    changes = [line for line in other.stdout.splitlines() if line[:1] in "+-"]
    assert {line[1:].strip().split(":")[0] for line in changes[2:]} <= {
        "generation",
        "minReadySeconds",
    }


@pytest.mark.usefixtures("deployed")
def test_edit_sends_what_the_editor_left(k, tmp_path: Path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/image: web:1/image: web:2/' \"$1\"\n")
    editor.chmod(0o755)
    k.environment["KUBE_EDITOR"] = str(editor)
    assert k("edit", "deployment", "web") == "deployment.apps/web edited\n"
    assert containers(k)["web"]["image"] == "web:2"
    assert "cancelled, no changes made" in k.run("edit", "deployment", "web").stderr


@pytest.mark.usefixtures("deployed")
def test_edit_of_an_invalid_object_changes_nothing(k, tmp_path: Path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/replicas: 0/replicas: -1/' \"$1\"\n")
    editor.chmod(0o755)
    k.environment["KUBE_EDITOR"] = str(editor)
    complaint = k.fails("edit", "deployment", "web")
    assert "spec.replicas: Invalid value: -1" in complaint or "is invalid" in complaint
    assert k.json("get", "deployment", "web")["spec"]["replicas"] == 0


@pytest.mark.usefixtures("deployed")
def test_set_changes_images_environment_and_resources(k):
    k("set", "image", "deployment/web", "web=web:2", "side=side:2")
    k("set", "env", "deployment/web", "-c", "web", "C=3", "A-")
    k("set", "resources", "deployment", "web", "-c=web", "--limits=cpu=200m,memory=64Mi")
    k("set", "serviceaccount", "deployment", "web", "robot")
    found = containers(k)
    assert (found["web"]["image"], found["side"]["image"]) == ("web:2", "side:2")
    assert found["web"]["env"] == [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]
    limits = {"cpu": "200m", "memory": "64Mi"}
    assert found["web"]["resources"]["limits"] == limits
    spec = k.json("get", "deployment", "web")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "robot"


@pytest.mark.usefixtures("deployed")
def test_label_and_annotate_add_refuse_overwrite_and_remove(k):
    for verb, field in (("label", "labels"), ("annotate", "annotations")):
        k(verb, "deployment", "web", "one=1", "two=2")
        assert "--overwrite is false" in k.fails(verb, "deployment", "web", "one=2")
        k(verb, "deployment", "web", "one=2", "two-", "--overwrite")
        found = k.json("get", "deployment", "web")["metadata"][field]
        assert (found["one"], "two" in found) == ("2", False)


@pytest.mark.usefixtures("deployed")
def test_a_strategic_patch_merges_containers_by_name(k):
    change = {"containers": [{"name": "side", "image": "side:2"}]}
    body = json.dumps({"spec": {"template": {"spec": change}}})
    assert k("patch", "deployment", "web", "-p", body) == "deployment.apps/web patched\n"
    assert [one["image"] for one in containers(k).values()] == ["web:1", "side:2"]
    assert (
        k("patch", "deployment", "web", "-p", body) == "deployment.apps/web patched (no change)\n"
    )


@pytest.mark.usefixtures("deployed")
def test_a_merge_patch_replaces_lists(k):
    change = {"containers": [{"name": "side", "image": "side:2"}]}
    body = json.dumps({"spec": {"template": {"spec": change}}})
    k("patch", "deployment", "web", "--type=merge", "-p", body)
    assert list(containers(k)) == ["side"]


@pytest.mark.usefixtures("deployed")
def test_a_json_patch_follows_its_path_and_its_tests(k):
    path = "/spec/template/spec/containers/0/image"
    good = [
        {"op": "test", "path": path, "value": "web:1"},
        {"op": "replace", "path": path, "value": "web:2"},
    ]
    k("patch", "deployment", "web", "--type=json", "-p", json.dumps(good))
    assert containers(k)["web"]["image"] == "web:2"
    complaint = k.fails("patch", "deployment", "web", "--type=json", "-p", json.dumps(good))
    assert "The request is invalid" in complaint


@pytest.mark.usefixtures("deployed")
def test_the_status_is_patched_through_its_subresource(k):
    change = {"status": {"conditions": [{"type": "Tested", "status": "True"}]}}
    k("patch", "deployment", "web", "--subresource=status", "-p", json.dumps(change))
    found = k.json("get", "deployment", "web")["status"]["conditions"]
    assert "Tested" in {one["type"] for one in found}


@pytest.mark.usefixtures("deployed")
def test_replace_needs_the_version_it_replaces_to_be_the_newest(k):
    found = k.json("get", "deployment", "web")
    k("label", "deployment", "web", "a=b")
    complaint = k.fails("replace", "-f", "-", input=json.dumps(found))
    assert "the object has been modified" in complaint
    del found["metadata"]["resourceVersion"]
    assert k("replace", "-f", "-", input=json.dumps(found)) == "deployment.apps/web replaced\n"


@pytest.mark.usefixtures("deployed")
def test_a_rollout_can_be_undone_and_restarted(k):
    k("rollout", "status", "deployment/web", "--timeout=30s")
    k("set", "image", "deployment/web", "web=web:2")
    k("rollout", "status", "deployment/web", "--timeout=30s")
    history = k("rollout", "history", "deployment/web").split()
    assert {"1", "2"} <= set(history)
    k("rollout", "undo", "deployment/web")
    assert containers(k)["web"]["image"] == "web:1"
    k("rollout", "restart", "deployment/web")
    template = k.json("get", "deployment", "web")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
