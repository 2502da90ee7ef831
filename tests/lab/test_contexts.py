"""The same notebook with another cluster, by the name of its context."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import urllib.request

import pytest
import yaml

import labkit
from labkit.errors import ClusterError, UsageError
from tests.lab.conftest import POD

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: todolist
        readinessProbe: {httpGet: {path: /healthz, port: 3001}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 3001}]}
"""


def test_all_that_a_notebook_does_goes_to_that_cluster_alone(foreign, mine, theirs):
    lab = labkit.Lab("04-deploy")
    said = subprocess.check_output(["kubectl", "config", "get-contexts", "-o", "name"], text=True)
    assert said == "labkit-other\n"
    lab.apply(POD.format(name="here"))
    lab.wait("pod/here", "Ready")
    names = [pod.metadata.name for pod in lab.core.list_namespaced_pod(lab.namespace).items]
    assert names == ["here"]
    assert "pod/here" in theirs.names("pods")
    assert "pod/here" not in mine.names("pods")
    assert "other-worker" in repr(lab)
    lab.reset()


def test_what_cannot_be_set_there_is_said_in_one_line(foreign, capsys):
    labkit.Lab("08-autoscale", nodes=3, horizontal_pod_autoscaler_sync_period="2s")
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith(
        "It is taken as it is: 3 nodes, horizontal_pod_autoscaler_sync_period=2s"
    )
    with pytest.raises(UsageError, match="no setting"):
        labkit.Lab(horizontal_pod_autoscaler_sink_period="2s")


@pytest.mark.parametrize("what", ["parts", "docker"])
def test_what_cannot_work_there_says_so(foreign, what: str):
    with pytest.raises(UsageError, match=f"lab.{what} needs a cluster of the lab's own"):
        getattr(labkit.Lab(), what)


def test_a_service_is_reached_at_a_node_or_through_the_api_server(foreign, monkeypatch):
    lab = labkit.Lab("04-deploy")
    lab.apply(WEB)
    lab.wait("deployment/web", "Available")
    assert "/api/v1/" not in lab.url("web")
    assert _healthy(lab.url("web"))
    monkeypatch.setattr("labkit.lab.reach.answering", lambda addresses, port: None)
    assert "/services/web:3001/proxy/" in lab.url("web")
    assert _healthy(lab.url("web"))
    lab.reset()


def _healthy(url: str) -> bool:
    with urllib.request.urlopen(url + "healthz", timeout=10) as answer:
        return answer.status == 200


def test_a_context_that_there_is_not_is_refused_with_those_there_are(foreign, monkeypatch):
    monkeypatch.setenv("LABKIT_CONTEXT", "kind-kind")
    with pytest.raises(UsageError, match=r"'kind-kind'.*There is labkit-other, production"):
        labkit.Lab()


def test_the_namespace_of_the_context_is_that_of_the_notebook(foreign, theirs):
    theirs("create namespace course")
    config = yaml.safe_load(foreign.read_text())
    config["contexts"][0]["context"]["namespace"] = "course"
    foreign.write_text(yaml.safe_dump(config))
    lab = labkit.Lab("04-deploy")
    lab.apply(POD.format(name="there"))
    assert lab.namespace == "course"
    assert lab.get("pod/there")["metadata"]["namespace"] == "course"
    assert theirs.names("pods") == set()
    lab.reset()
    assert theirs.names("pods -n course") == set()
    theirs("delete namespace course")


def test_several_files_are_merged_and_paths_are_relative_to_theirs(foreign, tmp_path):
    config = yaml.safe_load(foreign.read_text())
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    _to_file(config["clusters"][0]["cluster"], "certificate-authority", folder / "ca.crt")
    _to_file(config["users"][0]["user"], "client-key", folder / "key")
    rest = {"clusters": config.pop("clusters"), "users": config.pop("users")}
    (folder / "rest").write_text(yaml.safe_dump(rest))
    foreign.write_text(yaml.safe_dump(config))
    os.environ["KUBECONFIG"] = f"{tmp_path}/missing{os.pathsep}{foreign}{os.pathsep}{folder}/rest"
    lab = labkit.Lab()
    assert lab.get("node/other-worker")
    assert stat.S_IMODE(lab.cluster.kubeconfig.stat().st_mode) == 0o600


def _to_file(entry: dict, field: str, path) -> None:
    import base64

    path.write_bytes(base64.b64decode(entry.pop(f"{field}-data")))
    entry[field] = path.name


def test_credential_plugins_are_run(foreign, theirs, tmp_path):
    token = theirs("create token default -n kube-system").strip()
    theirs("create clusterrolebinding plugin --clusterrole=view --user=system:serviceaccount:"
           "kube-system:default")  # fmt: skip
    status = {"token": token}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    code = f"print({json.dumps(json.dumps({**answer, 'status': status}))})"
    plugin = {"apiVersion": answer["apiVersion"], "command": sys.executable, "args": ["-c", code],
              "interactiveMode": "Never"}  # fmt: skip
    config = yaml.safe_load(foreign.read_text())
    config["users"][0]["user"] = {"exec": plugin}
    foreign.write_text(yaml.safe_dump(config))
    lab = labkit.Lab()
    assert lab.get("service/kubernetes")
    assert lab.core.list_namespaced_pod("default").items == []
    theirs("delete clusterrolebinding plugin")


def test_what_the_file_says_now_counts_not_what_it_said(foreign):
    labkit.Lab()  # points KUBECONFIG at a copy
    config = yaml.safe_load(foreign.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:2"
    foreign.write_text(yaml.safe_dump(config))
    assert labkit.Lab().cluster.server == "https://127.0.0.1:2"


def test_a_cluster_that_does_not_answer_is_named(foreign, monkeypatch):
    monkeypatch.setenv("LABKIT_CONTEXT", "production")
    with pytest.raises(ClusterError, match=r"https://127\.0\.0\.1:1 does not answer"):
        labkit.Lab("04-deploy")
