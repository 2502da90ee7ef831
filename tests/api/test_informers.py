"""Real clients that follow a resource: the official Python client's watch, and kubectl's.

`KUBE_FEATURE_WatchListClient` makes kubectl's informers (client-go) stream their first list.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator

import kubernetes
import pytest

from tests.api.conftest import MERGE, Wire, until
from tests.kubectl.conftest import Kubectl

WRITERS, TURNS = 4, 25


def started(k: Kubectl, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A kubectl that goes on."""
    return subprocess.Popen(
        k.command(*arguments),
        env={**k.environment, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def namespace(ns: str) -> str:
    return ns.rpartition("/")[2]


def config_map(name: str) -> dict:
    metadata = {"name": name, "labels": {"mine": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def write(wire: Wire, maps: str, writer: int) -> None:
    """Make, change and delete objects, so that the last one of each writer stays."""
    for turn in range(TURNS):
        name = f"w{writer}-{turn}"
        wire.ok("POST", maps, config_map(name))
        wire.ok("PATCH", f"{maps}/{name}", {"data": {"a": "1"}}, type=MERGE)
        if turn < TURNS - 1:
            wire.ok("DELETE", f"{maps}/{name}")


@pytest.fixture
def writing(wire: Wire, ns: str) -> Iterator[list[threading.Thread]]:
    """Writers that have not begun yet."""
    maps = f"{ns}/configmaps"
    threads = [threading.Thread(target=write, args=(wire, maps, n)) for n in range(WRITERS)]
    yield threads
    for thread in threads:
        if thread.ident:
            thread.join()


def applied(state: dict, event: dict) -> None:
    """Change `state` by a watch's event, and see that it could happen."""
    name, version = event["name"], event["version"]
    if event["type"] == "DELETED":
        del state[name]
    else:
        assert (event["type"] == "ADDED") == (name not in state)
        state[name] = version


def test_the_python_client_follows_writers_over_many_short_watches(
    wire: Wire, ns: str, namespace: str, writing: list, configuration
):
    maps = f"{ns}/configmaps"
    api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
    listed = api.list_namespaced_config_map(namespace, label_selector="mine")
    version, state, events = listed.metadata.resource_version, {}, 0
    for thread in writing:
        thread.start()
    while events < WRITERS * (3 * TURNS - 1):
        watch = kubernetes.watch.Watch()
        for event in watch.stream(
            api.list_namespaced_config_map,
            namespace,
            label_selector="mine",
            resource_version=version,
            timeout_seconds=1,
        ):
            metadata = event["object"].metadata
            assert int(metadata.resource_version) > int(version)
            version = metadata.resource_version
            applied(state, {"type": event["type"], "name": metadata.name, "version": version})
            events += 1
            if events % 50 == 0:
                watch.stop()
    items = wire.ok("GET", maps, labelSelector="mine")["items"]
    assert state == {i["metadata"]["name"]: i["metadata"]["resourceVersion"] for i in items}
    assert len(state) == WRITERS


def test_kubectl_get_watch_prints_every_event(wire: Wire, ns: str, k: Kubectl):
    arguments = ["configmaps", "-l", "mine", "--watch", "--output-watch-events", "-o", "json"]
    with started(k, "get", *arguments) as process:
        try:
            wire.ok("POST", f"{ns}/configmaps", config_map("a"))
            decoder, text, seen = json.JSONDecoder(), "", []
            for line in process.stdout:
                text += line
                try:
                    event, end = decoder.raw_decode(text.lstrip())
                except ValueError:
                    continue
                text = text.lstrip()[end:]
                seen.append((event["type"], event["object"]["metadata"]["name"]))
                if len(seen) == 1:
                    wire.ok("PATCH", f"{ns}/configmaps/a", {"data": {"a": "1"}}, type=MERGE)
                    wire.ok("DELETE", f"{ns}/configmaps/a")
                if event["type"] == "DELETED":
                    break
        finally:
            process.terminate()
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_kubectl_waits_with_an_informer(wire: Wire, ns: str, k: Kubectl, streaming: str):
    wire.ok("POST", f"{ns}/configmaps", config_map("a"))
    command = ["wait", "configmap/a", "--timeout=30s"]
    options = {"KUBE_FEATURE_WatchListClient": streaming}
    with started(k, *command, "--for=jsonpath={.data.done}=yes", **options) as process:
        wire.ok("PATCH", f"{ns}/configmaps/a", {"data": {"done": "no"}}, type=MERGE)
        wire.ok("PATCH", f"{ns}/configmaps/a", {"data": {"done": "yes"}}, type=MERGE)
        assert "configmap/a condition met" in process.communicate(timeout=40)[0]
    with started(k, *command, "--for=delete", **options) as process:
        wire.ok("DELETE", f"{ns}/configmaps/a")
        assert process.wait(timeout=40) == 0


@pytest.fixture
def deployed(wire: Wire, in_group, ns: str) -> str:
    """The path of the ReplicaSets of a Deployment that has no Pods."""
    group = in_group("apps/v1")
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    wire.ok("POST", f"{group}/deployments", {"metadata": {"name": "x"}, "spec": spec})
    until(lambda: wire.ok("GET", f"{group}/replicasets")["items"], what="a ReplicaSet")
    return f"{group}/replicasets"


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_kubectl_deletes_and_waits(wire: Wire, deployed: str, k: Kubectl, cascade: str):
    command = ["deployment", "x", f"--cascade={cascade}", "--wait", "--timeout=40s"]
    assert 'deployment.apps "x" deleted' in k("delete", *command)
    left = wire.ok("GET", deployed)["items"]
    if cascade == "orphan":
        assert ["ownerReferences" in one["metadata"] for one in left] == [False]
    elif cascade == "foreground":
        assert left == []
    else:
        until(lambda: not wire.ok("GET", deployed)["items"], what="the ReplicaSet follows")
