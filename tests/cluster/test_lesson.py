"""The course's lesson, command by command, with the real kubectl.

Its Deployment has the lesson's shape to the letter, the missing pull Secret and the strategy
included; its load generator is the lesson's own shell loop.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest

from tests.cluster.conftest import Kubectl, until

MYAPP = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: myapp
  labels: {app: myapp}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels: {app: myapp}
  template:
    metadata:
      labels: {app: myapp}
    spec:
      imagePullSecrets:
      - name: registry-credentials
      containers:
      - name: myapp
        image: todolist
        ports:
        - containerPort: 3001
        readinessProbe:
          httpGet: {path: /healthz, port: 3001}
          periodSeconds: 1
        resources:
          requests: {cpu: 200m, memory: 256Mi}
          limits: {cpu: 500m, memory: 512Mi}
---
apiVersion: v1
kind: Service
metadata:
  name: myapp
spec:
  type: NodePort
  selector: {app: myapp}
  ports:
  - port: 3001
    targetPort: 3001
"""
LOOP = "while true; do wget -q -O- http://myapp:3001/api/rule; done"


@pytest.fixture(scope="module")
def app(k: Kubectl) -> Kubectl:
    """The lesson's app, applied and available."""
    said = k("apply", "-f", "-", input=MYAPP)
    assert said.splitlines() == ["deployment.apps/myapp created", "service/myapp created"]
    k("wait", "--for=condition=Available", "deployment/myapp", "--timeout=30s")
    return k


def test_the_nodes_are_ready_and_the_default_service_account_exists(k: Kubectl):
    rows = k("get", "nodes", "--no-headers").splitlines()
    assert [row.split()[:2] for row in rows] == [
        ["test-worker", "Ready"],
        ["test-worker2", "Ready"],
        ["test-worker3", "Ready"],
    ]
    assert k("get", "serviceaccount", "default", "-o", "name") == "serviceaccount/default\n"


def test_get_all_shows_the_app_with_its_parts(app: Kubectl):
    shown = app("get", "all")
    for part in ("pod/myapp-", "service/myapp", "deployment.apps/myapp", "replicaset.apps/myapp-"):
        assert part in shown
    pod = next(line for line in shown.splitlines() if line.startswith("pod/myapp-"))
    assert pod.split()[1:4] == ["1/1", "Running", "0"]


def test_applying_it_again_changes_nothing(app: Kubectl):
    said = app("apply", "-f", "-", input=MYAPP)
    assert said.splitlines() == ["deployment.apps/myapp unchanged", "service/myapp unchanged"]


def test_watching_pods_shows_each_change(app: Kubectl):
    watching = subprocess.Popen(
        [app.path, "get", "pods", "-o", "wide", "-w", "-l", "app=myapp"],
        env=app.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        header, first = watching.stdout.readline(), watching.stdout.readline()
        assert header.split()[:4] == ["NAME", "READY", "STATUS", "RESTARTS"]
        app("delete", "pod", first.split()[0], "--wait=false")
        states = []
        while "Terminating" not in states or ["1/1", "Running"] not in states[1:]:
            words = watching.stdout.readline().split()
            states += [words[2], words[1:3]] if words[0] != first.split()[0] else [words[2]]
    finally:
        watching.kill()
        watching.wait()
    assert "Pending" in states or "ContainerCreating" in states
    app("wait", "--for=delete", f"pod/{first.split()[0]}", "--timeout=40s")


def test_describe_tells_the_story_in_events(app: Kubectl):
    deployment = app("describe", "deployment", "myapp")
    assert "ScalingReplicaSet" in deployment
    assert "StrategyType:       Recreate" in deployment
    app("wait", "--for=condition=Ready", "pod", "-l", "app=myapp", "--timeout=20s")
    told = until(
        lambda: (text := app("describe", "pod", "-l", "app=myapp")) and "Started" in text and text,
        10,
        "the Pod's events",
    )
    for reason in ("Scheduled", "Created", "FailedToRetrieveImagePullSecret"):
        assert reason in told


def test_logs_follow(app: Kubectl):
    assert "3001" in app("logs", "deployment/myapp")
    following = subprocess.Popen(
        [app.path, "logs", "-f", "deployment/myapp"],
        env=app.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "3001" in following.stdout.readline()
    finally:
        following.kill()
        following.wait()


def test_the_app_answers_on_its_node_port(app: Kubectl):
    port = app.json("get", "service", "myapp")["spec"]["ports"][0]["nodePort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/rule", timeout=5) as answer:
        assert answer.status == 200
        assert isinstance(json.load(answer), list | dict)


def test_scale_changes_the_number_of_pods(app: Kubectl):
    app("scale", "deployment/myapp", "--replicas=2")
    app("rollout", "status", "deployment/myapp", "--timeout=30s")
    assert app.json("get", "deployment", "myapp")["status"]["readyReplicas"] == 2
    app("scale", "deployment/myapp", "--replicas=1")
    app("rollout", "status", "deployment/myapp", "--timeout=30s")


def test_the_shell_loop_scales_it_out_to_three_and_its_end_scales_it_in(app: Kubectl):
    said = app("autoscale", "deployment", "myapp", "--cpu-percent=30", "--min=1", "--max=3")
    assert said == "horizontalpodautoscaler.autoscaling/myapp autoscaled\n"
    until(lambda: "/30%" in app("get", "hpa", "myapp"), 10, "targets in kubectl get hpa")
    app("run", "load", "--image=busybox", "--restart=Never", "--", "sh", "-c", LOOP)

    def ready() -> int:
        return app.json("get", "deployment", "myapp")["status"].get("readyReplicas", 0)

    until(lambda: ready() == 3, 60, "three ready Pods under load")
    assert _all_pods_work(app), "requests reach all three Pods"
    top = app("top", "pods", "-l", "app=myapp", "--no-headers")
    assert len(top.splitlines()) == 3
    app("delete", "pod", "load", "--now")
    until(lambda: ready() == 1, 60, "one Pod after the load")
    reasons = app("get", "events", "--field-selector", "reason=SuccessfulRescale", "-o", "name")
    assert len(reasons.splitlines()) >= 2


def _all_pods_work(app: Kubectl) -> bool:
    """Whether each of the three Pods uses CPU now: the load goes to the Service, not to one."""

    def busy() -> bool:
        rows = app("top", "pods", "-l", "app=myapp", "--no-headers", check=False).splitlines()
        return len(rows) == 3 and all(int(row.split()[1].removesuffix("m")) > 5 for row in rows)

    return bool(until(busy, 30, "CPU use on all three Pods"))


def test_the_new_spelling_of_the_target_works_where_kubectl_has_it(app: Kubectl):
    app("delete", "hpa", "--all")
    if "--cpu=" not in app("autoscale", "--help"):
        # The flag only changes what kubectl sends: this is what it sends.
        app("create", "-f", "-", input=HPA_V2)
    else:
        app("autoscale", "deployment", "myapp", "--cpu=30%", "--min=1", "--max=3")
    target = app.json("get", "hpa", "myapp")["spec"]["metrics"][0]["resource"]["target"]
    assert target == {"type": "Utilization", "averageUtilization": 30}


HPA_V2 = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: myapp}
spec:
  minReplicas: 1
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: myapp}
  metrics:
  - type: Resource
    resource:
      name: cpu
      target: {type: Utilization, averageUtilization: 30}
"""


def test_delete_leaves_nothing_of_it(app: Kubectl):
    app("delete", "deployment,service,hpa", "myapp")
    until(lambda: not app("get", "pods", "-o", "name"), 40, "no Pods left")
    assert app("get", "replicasets", "-o", "name") == ""
