"""The official `kubernetes` client, with its own way of reading answers and errors."""

import json
import threading
import uuid

import pytest

kubernetes = pytest.importorskip("kubernetes")
from kubernetes import client, config, watch  # noqa: E402


@pytest.fixture
def api(kubeconfig):
    return config.new_client_from_config(str(kubeconfig))


@pytest.fixture
def core(api):
    return client.CoreV1Api(api)


@pytest.fixture
def namespace(core):
    name = f"test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def test_lists_are_typed(core, namespace):
    core.create_namespaced_config_map(namespace, config_map("x", a="1"))
    found = core.list_namespaced_config_map(namespace).items
    assert {"a": "1"} in [item.data for item in found]
    assert core.list_namespaced_pod(namespace).items == []


def test_objects_are_read_replaced_patched_and_deleted(core, namespace):
    core.create_namespaced_config_map(namespace, config_map("x", a="1"))
    found = core.read_namespaced_config_map("x", namespace)
    found.data["a"] = "2"
    assert core.replace_namespaced_config_map("x", namespace, found).data == {"a": "2"}
    patched = core.patch_namespaced_config_map("x", namespace, {"data": {"b": "3"}})
    assert patched.data == {"a": "2", "b": "3"}
    core.delete_namespaced_config_map("x", namespace)
    with pytest.raises(client.ApiException) as info:
        core.read_namespaced_config_map("x", namespace)
    assert info.value.status == 404
    status = json.loads(info.value.body)
    assert (status["reason"], status["details"]["name"]) == ("NotFound", "x")


def test_a_deployment_and_its_scale(api, namespace):
    apps = client.AppsV1Api(api)
    labels = {"app": "web"}
    apps.create_namespaced_deployment(
        namespace,
        {
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "nodeSelector": {"labkit.test/nowhere": "yes"},
                        "containers": [{"name": "app", "image": "labkit/web:1"}],
                    },
                },
            },
        },
    )
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 2}})
    assert scale.spec.replicas == 2
    assert apps.read_namespaced_deployment("web", namespace).spec.replicas == 2


def test_a_conflict_is_an_api_exception(core, namespace):
    made = core.create_namespaced_config_map(namespace, config_map("x"))
    core.patch_namespaced_config_map("x", namespace, {"data": {"a": "1"}})
    with pytest.raises(client.ApiException) as info:
        core.replace_namespaced_config_map("x", namespace, made)
    assert (info.value.status, json.loads(info.value.body)["reason"]) == (409, "Conflict")


def test_a_watch_sees_what_another_thread_does(core, namespace):
    listed = core.list_namespaced_config_map(namespace)
    watching = watch.Watch()

    def change():
        core.create_namespaced_config_map(namespace, config_map("x"))
        core.patch_namespaced_config_map("x", namespace, {"data": {"a": "1"}})
        core.delete_namespaced_config_map("x", namespace)

    thread = threading.Thread(target=change)
    seen = []
    stream = watching.stream(
        core.list_namespaced_config_map,
        namespace,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=30,
    )
    thread.start()
    for event in stream:
        if event["object"].metadata.name == "x":
            seen.append(event["type"])
        if event["type"] == "DELETED":
            watching.stop()
    thread.join(10)
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_without_a_revision_begins_with_what_there_is(core):
    watching = watch.Watch()
    events = watching.stream(core.list_namespace, timeout_seconds=1)
    assert "default" in [event["object"].metadata.name for event in events]


def test_the_version_is_readable(api):
    assert client.VersionApi(api).get_code().major == "1"
