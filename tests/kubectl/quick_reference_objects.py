"""What the commands of the quick reference find: manifests, by name, and files."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

IDLE = {"kubernetes.io/hostname": "nowhere"}


def _pod_spec(image: str = "busybox:1.36", command: str = "", name: str = "app", **more: object):
    container: dict = {"name": name, "image": image}
    if command:
        container["command"] = ["sh", "-c", command]
    return {"terminationGracePeriodSeconds": 0, "containers": [{**container, **more}]}


def _pod(name: str, spec: dict | None = None, /, **labels: str) -> dict:
    metadata = {"name": name, "labels": labels}
    spec = spec or {**_pod_spec(), "nodeSelector": IDLE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _workload(kind: str, name: str, replicas: int, spec: dict | None = None) -> dict:
    labels = {"app": name}
    spec = spec or {**_pod_spec(), "nodeSelector": IDLE}
    template = {"metadata": {"labels": labels}, "spec": spec}
    core = kind == "ReplicationController"
    return {
        "apiVersion": "v1" if core else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": labels if core else {"matchLabels": labels},
            "template": template,
        },
    }


def _service(name: str, app: str, /, **labels: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
    }


def _config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _elsewhere(namespace: str, *objects: dict) -> list[dict]:
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    return [made, *({**o, "metadata": {**o["metadata"], "namespace": namespace}} for o in objects)]


TODOLIST = _pod_spec(
    "todolist", name="my-container", ports=[{"name": "http", "containerPort": 3001}]
)
_SAY = "echo $$$$ > pid; echo hello from my-pod; while sleep 0.3; do echo tick; done"
MY_DEP = [
    _workload("Deployment", "my-dep", 1, TODOLIST),
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "my-dep"},
            "ports": [{"name": "http", "port": 5000, "targetPort": "http"}],
        },
    },
]
MY_POD = _pod("my-pod", _pod_spec(command=_SAY, name="my-container"), name="myLabel", app="my-pod")
_SECRET = {"secretKeyRef": {"name": "my-secret", "key": "key-name-with-dashes"}}
_CASSANDRA = _pod_spec(command="sleep 3600", env=[{"name": "SECRET", "valueFrom": _SECRET}])
_CASSANDRA["initContainers"] = [
    {"name": "init", "image": "busybox:1.36", "command": ["sh", "-c", "true"]}
]
_FRONTEND = _pod_spec("todolist", name="www")
_FRONTEND["containers"][0]["livenessProbe"] = {"tcpSocket": {"port": 3001}}

OBJECTS: dict[str, list[dict]] = {
    "my-dep": MY_DEP,
    "my-pod": [MY_POD],
    "lone": [_pod("my-dep", TODOLIST)],
    "viewed": [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "my-secret"},
            "stringData": {"key-name-with-dashes": "hello"},
        },
        _config_map("myconfig", **{"ca.crt": "trust"}),
        _pod("cassandra", _CASSANDRA, app="cassandra", version="v1"),
        _pod("unschedulable"),
        _workload("ReplicationController", "my-rc", 1, _pod_spec(command="sleep 3600")),
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "my-pv"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/nowhere"},
            },
        },
    ],
    "frontend": [_workload("Deployment", "frontend", 1, _FRONTEND)],
    "updated": [
        _pod("pod"),
        _pod("mypod", _pod_spec(command="sleep 3600")),
        _workload("ReplicationController", "nginx", 0),
    ],
    "docker-registry": [_service("docker-registry", "old")],
    "scaled": [
        _workload("ReplicaSet", "foo", 0),
        _workload("Deployment", "mysql", 2),
        *(_workload("ReplicationController", name, 0) for name in ("foo", "bar", "baz")),
    ],
    "doomed": [
        _pod("pod"),
        _pod("unwanted", _pod_spec(command="sleep 3600")),
        *(_pod(name) for name in ("baz", "foo")),
        *(_service(name, name) for name in ("baz", "foo")),
        _pod("labelled", name="myLabel"),
        _service("labelled", "labelled", name="myLabel"),
        *_elsewhere("my-ns", _pod("mine"), _service("mine", "mine")),
        *_elsewhere("mynamespace", _pod("pattern1-pod"), _pod("pattern2-pod"), _pod("other")),
    ],
}


def manifest(*objects: dict) -> str:
    """Objects as YAML, one document each."""
    return yaml.safe_dump_all(objects)


def write_files(directory: Path) -> None:
    """The files that the commands name."""
    more = _workload("Deployment", "my-dep", 2, TODOLIST)
    files = {
        "my-manifest.yaml": manifest(more),
        "my1.yaml": manifest(_config_map("my1", a="1")),
        "my2.yaml": manifest(_config_map("my2", a="1")),
        "dir/one.yaml": manifest(_config_map("in-dir", a="1")),
        "dir/two.json": json.dumps(_config_map("in-dir-too", a="1")),
        "manifest.yaml": manifest(_config_map("manifest", a="1")),
        "two-pods.yaml": manifest(
            _pod("busybox-sleep", _pod_spec(command="sleep 1000000")),
            _pod("busybox-sleep-less", _pod_spec(command="sleep 1000")),
        ),
        "pod.json": json.dumps(_pod("pod")),
        "foo.yaml": manifest(_workload("ReplicaSet", "foo", 0)),
    }
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(content)
