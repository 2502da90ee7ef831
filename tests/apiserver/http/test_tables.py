"""Rows as kubectl prints them: tables of (object, expected cells)."""

import pytest

from labkit.apiserver.tables import format, table
from labkit.apiserver.tables.autoscaling import hpa_targets
from labkit.client import ApiError
from labkit.kube import times

NOW = times.parse("2026-01-31T09:30:00Z")
CREATED = "2026-01-31T09:25:00Z"


def cells(obj, wide=False):
    """The cells that kubectl shows, by column name."""
    made = table(obj, NOW)
    columns = [column for column in made["columnDefinitions"] if wide or not column["priority"]]
    names = [column["name"] for column in made["columnDefinitions"]]
    row = dict(zip(names, made["rows"][0]["cells"], strict=True))
    return {column["name"]: row[column["name"]] for column in columns}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1.5, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (51 * 3600, "2d3h"),
        (8 * 86400 + 3600, "8d"),
        (2 * 365 * 86400, "2y"),
        (2 * 365 * 86400 + 86400, "2y1d"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_durations_are_spelled_as_kubernetes_does(seconds, text):
    assert format.human_duration(seconds) == text


def container(name="app", *, ready=False, restarts=0, last=None, started=None, **state):
    status = {"name": name, "ready": ready, "restartCount": restarts, "state": state}
    if last:
        status["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": last}}
    if started is not None:
        status["started"] = started
    return status


def pod(*containers, init=(), phase="Running", initialized=True, deleted=False, **status):
    statuses = {"phase": phase, "containerStatuses": list(containers), **status}
    if init:
        statuses["initContainerStatuses"] = [one for one, _ in init]
    conditions = [{"type": "Initialized", "status": "True" if initialized else "False"}]
    ready = bool(containers) and all(one["ready"] for one in containers)
    conditions.append({"type": "Ready", "status": "True" if ready else "False"})
    statuses.setdefault("conditions", conditions)
    spec = {"containers": [{"name": one["name"]} for one in containers] or [{"name": "app"}]}
    if init:
        spec["initContainers"] = [
            {"name": one["name"], **({"restartPolicy": "Always"} if sidecar else {})}
            for one, sidecar in init
        ]
    metadata = {"name": "web", "creationTimestamp": CREATED}
    if deleted:
        metadata["deletionTimestamp"] = CREATED
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": statuses
    }  # fmt: skip


RUNNING = {"running": {"startedAt": CREATED}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}

PODS = {
    "new": (pod(phase="Pending"), "0/1", "Pending", "0"),
    "being made": (
        pod(container(waiting={"reason": "ContainerCreating"}), phase="Pending"),
        "0/1", "ContainerCreating", "0",
    ),
    "running": (pod(container(ready=True, **RUNNING)), "1/1", "Running", "0"),
    "running, not ready": (pod(container(**RUNNING)), "0/1", "Running", "0"),
    "restarted": (
        pod(container(ready=True, restarts=2, last="2026-01-31T09:29:55Z", **RUNNING)),
        "1/1", "Running", "2 (5s ago)",
    ),
    "crashing": (
        pod(container(restarts=3, last=CREATED, waiting={"reason": "CrashLoopBackOff"})),
        "0/1", "CrashLoopBackOff", "3 (5m ago)",
    ),
    "no image": (
        pod(container(waiting={"reason": "ImagePullBackOff"}), phase="Pending"),
        "0/1", "ImagePullBackOff", "0",
    ),
    "killed for memory": (
        pod(container(terminated={"exitCode": 137, "reason": "OOMKilled"})),
        "0/1", "OOMKilled", "0",
    ),
    "failed": (
        pod(container(terminated={"exitCode": 1, "reason": "Error"}), phase="Failed"),
        "0/1", "Error", "0",
    ),
    "exit code": (pod(container(terminated={"exitCode": 3})), "0/1", "ExitCode:3", "0"),
    "signal": (pod(container(terminated={"exitCode": 1, "signal": 9})), "0/1", "Signal:9", "0"),
    "completed": (pod(container(**DONE), phase="Succeeded"), "0/1", "Completed", "0"),
    "one of two completed": (
        pod(container("a", **DONE), container("b", ready=True, **RUNNING),
            conditions=[{"type": "Ready", "status": "True"}]),
        "1/2", "Running", "0",
    ),
    "one of two completed, not ready": (
        pod(container("a", **DONE), container("b", ready=True, **RUNNING)),
        "1/2", "NotReady", "0",
    ),
    "the first container's word counts": (
        pod(container("a", waiting={"reason": "ErrImagePull"}),
            container("b", waiting={"reason": "CrashLoopBackOff"})),
        "0/2", "ErrImagePull", "0",
    ),
    "deleted": (pod(container(ready=True, **RUNNING), deleted=True), "1/1", "Terminating", "0"),
    "deleted, ended": (
        pod(container(**DONE), phase="Succeeded", deleted=True), "0/1", "Completed", "0",
    ),
    "node lost": (
        pod(container(ready=True, **RUNNING), deleted=True, reason="NodeLost"),
        "1/1", "Unknown", "0",
    ),
    "evicted": (pod(phase="Failed", reason="Evicted"), "0/1", "Evicted", "0"),
    "gated": (
        pod(phase="Pending", conditions=[
            {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
        "0/1", "SchedulingGated", "0",
    ),
    "first init container runs": (
        pod(container(waiting={"reason": "PodInitializing"}), initialized=False, phase="Pending",
            init=[(container("i", **RUNNING), False), (container("j", waiting={}), False)]),
        "0/1", "Init:0/2", "0",
    ),
    "second init container crashes": (
        pod(container(waiting={"reason": "PodInitializing"}), initialized=False, phase="Pending",
            init=[(container("i", **DONE), False),
                  (container("j", restarts=1, last=CREATED,
                             waiting={"reason": "CrashLoopBackOff"}), False)]),
        "0/1", "Init:CrashLoopBackOff", "1 (5m ago)",
    ),
    "init container failed": (
        pod(container(waiting={"reason": "PodInitializing"}), initialized=False, phase="Pending",
            init=[(container("i", terminated={"exitCode": 7}), False)]),
        "0/1", "Init:ExitCode:7", "0",
    ),
    "sidecar": (
        pod(container(ready=True, **RUNNING),
            init=[(container("s", ready=True, started=True, restarts=1, **RUNNING), True)]),
        "2/2", "Running", "1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PODS)
def test_a_pods_row_says_what_kubectl_says(name):
    obj, ready, status, restarts = PODS[name]
    assert cells(obj) == {
        "Name": "web", "Ready": ready, "Status": status, "Restarts": restarts, "Age": "5m"
    }  # fmt: skip


def test_a_pods_wide_row_says_where_it_is():
    obj = pod(container(ready=True, **RUNNING), podIPs=[{"ip": "127.244.1.2"}])
    obj["spec"]["nodeName"] = "lab-worker"
    wide = cells(obj, wide=True)
    assert wide["IP"] == "127.244.1.2"
    assert wide["Node"] == "lab-worker"
    assert (wide["Nominated Node"], wide["Readiness Gates"]) == ("<none>", "<none>")


def meta(name="x", **more):
    return {"name": name, "creationTimestamp": CREATED, **more}


TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}}

OTHERS = {
    "deployment": (
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(),
            "spec": {"replicas": 3, "template": TEMPLATE, "selector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}]}},
            "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
        },
        ["x", "1/3", 2, 1, "5m", "a,b", "i:1,j", "app=web,tier in (a,b)"],
    ),
    "replicaset": (
        {
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta(),
            "spec": {"replicas": 3, "template": TEMPLATE, "selector": {}},
            "status": {"replicas": 2, "readyReplicas": 1},
        },
        ["x", 3, 2, 1, "5m", "a,b", "i:1,j", "<none>"],
    ),
    "service": (
        {
            "apiVersion": "v1", "kind": "Service", "metadata": meta(),
            "spec": {"type": "NodePort", "clusterIPs": ["127.96.0.7"], "selector": {"app": "web"},
                     "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]},
        },
        ["x", "NodePort", "127.96.0.7", "<none>", "80:30080/TCP", "5m", "app=web"],
    ),
    "headless service without ports": (
        {
            "apiVersion": "v1", "kind": "Service", "metadata": meta(),
            "spec": {"type": "ClusterIP", "clusterIPs": ["None"]},
        },
        ["x", "ClusterIP", "None", "<none>", "<none>", "5m", "<none>"],
    ),
    "load balancer": (
        {
            "apiVersion": "v1", "kind": "Service", "metadata": meta(),
            "spec": {"type": "LoadBalancer", "clusterIPs": ["1.1.1.1"], "ports": []},
        },
        ["x", "LoadBalancer", "1.1.1.1", "<pending>", "<none>", "5m", "<none>"],
    ),
    "endpoints": (
        {
            "apiVersion": "v1", "kind": "Endpoints", "metadata": meta(),
            "subsets": [{"addresses": [{"ip": f"127.244.1.{n}"} for n in range(2, 7)],
                         "ports": [{"port": 8080}]}],
        },
        ["x", "127.244.1.2:8080,127.244.1.3:8080,127.244.1.4:8080 + 2 more...", "5m"],
    ),
    "empty endpoints": (
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta()}, ["x", "<none>", "5m"],
    ),
    "endpointslice": (
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta(),
            "addressType": "IPv4", "ports": [{"port": 8080}],
            "endpoints": [{"addresses": ["127.244.1.2"]}, {"addresses": ["127.244.1.3"]}],
        },
        ["x", "IPv4", "8080", "127.244.1.2,127.244.1.3", "5m"],
    ),
    "empty endpointslice": (
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta(),
            "addressType": "IPv4", "ports": None, "endpoints": [],
        },
        ["x", "IPv4", "<unset>", "<unset>", "5m"],
    ),
    "node": (
        {
            "apiVersion": "v1", "kind": "Node",
            "metadata": meta(labels={"node-role.kubernetes.io/worker": "",
                                     "kubernetes.io/role": "agent"}),
            "spec": {"unschedulable": True},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "127.172.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Debian", "architecture":
                             "amd64", "kernelVersion": "6.1", "containerRuntimeVersion": "lab://1"},
            },
        },
        ["x", "Ready,SchedulingDisabled", "agent,worker", "5m", "v1.36.0", "127.172.0.1", "<none>",
         "Debian", "6.1 (amd64)", "lab://1"],
    ),
    "node that says nothing": (
        {"apiVersion": "v1", "kind": "Node", "metadata": meta(), "spec": {}},
        ["x", "Unknown", "<none>", "5m", "", "<none>", "<none>", *["<unknown>"] * 3],
    ),
    "event": (
        {
            "apiVersion": "v1", "kind": "Event", "metadata": meta(), "type": "Normal",
            "reason": "Pulled", "message": " done \n", "count": 3, "firstTimestamp": CREATED,
            "lastTimestamp": "2026-01-31T09:29:50Z",
            "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{app}"},
            "source": {"component": "kubelet", "host": "lab-worker"},
        },
        ["10s", "Normal", "Pulled", "pod/web", "spec.containers{app}", "kubelet, lab-worker",
         "done", "5m", 3, "x"],
    ),
    "event of the newer group": (
        {
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": meta(),
            "type": "Warning", "reason": "Failed", "note": "no", "eventTime": CREATED,
            "regarding": {"kind": "Pod", "name": "web"}, "reportingController": "scheduler",
        },
        ["5m", "Warning", "Failed", "pod/web", "", "scheduler", "no", "5m", 1, "x"],
    ),
    "autoscaler of version 1": (
        {
            "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": meta(),
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1,
                     "maxReplicas": 5, "targetCPUUtilizationPercentage": 30},
            "status": {"currentCPUUtilizationPercentage": 12, "currentReplicas": 2},
        },
        ["x", "Deployment/web", "cpu: 12%/30%", "1", 5, 2, "5m"],
    ),
    "secret": (
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta(), "type": "Opaque",
         "data": {"a": "", "b": ""}},
        ["x", "Opaque", 2, "5m"],
    ),
    "configmap": (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(), "data": {"a": ""},
         "binaryData": {"b": ""}},
        ["x", 2, "5m"],
    ),
    "namespace": (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(),
         "status": {"phase": "Active"}},
        ["x", "Active", "5m"],
    ),
    "lease": (
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta(),
         "spec": {"holderIdentity": "me"}},
        ["x", "me", "5m"],
    ),
    "service account": (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta()}, ["x", 0, "5m"],
    ),
    "api service that is down": (
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": meta(),
         "spec": {"service": {"namespace": "kube-system", "name": "metrics-server"}},
         "status": {"conditions": [
             {"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}},
        ["x", "kube-system/metrics-server", "False (MissingEndpoints)", "5m"],
    ),
    "pod metrics": (
        {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": meta(),
         "window": "15s", "containers": [{"name": "a", "usage": {"cpu": "100m", "memory": "1Mi"}},
                                         {"name": "b", "usage": {"cpu": "20m", "memory": "1Mi"}}]},
        ["x", "120m", "2Mi", "15s"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_row_has_the_cells_that_upstream_prints(name):
    obj, expected = OTHERS[name]
    made = table(obj, NOW)
    assert made["rows"][0]["cells"] == expected
    assert len(made["columnDefinitions"]) == len(expected)


def resource_metric(name, utilization=None):
    target = {"type": "Utilization", "averageUtilization": utilization}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def current(name, utilization):
    value = {"averageUtilization": utilization, "averageValue": "10m"}
    return {"type": "Resource", "resource": {"name": name, "current": value}}


@pytest.mark.parametrize(
    ("specs", "currents", "text"),
    [
        ([], [], "<none>"),
        ([resource_metric("cpu", 30)], [], "cpu: <unknown>/30%"),
        ([resource_metric("cpu", 30)], [current("cpu", 12)], "cpu: 12%/30%"),
        (
            [resource_metric("cpu", 30), resource_metric("memory", 70)],
            [current("cpu", 0), current("memory", 5)],
            "cpu: 0%/30%, memory: 5%/70%",
        ),
        (
            [resource_metric("a", 1), resource_metric("b", 1), resource_metric("c", 1)],
            [],
            "a: <unknown>/1%, b: <unknown>/1% + 1 more...",
        ),
        (
            [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageValue": "1.5"}}}],
            [current("cpu", None)],
            "cpu: 10m/1500m",
        ),
        (
            [
                {
                    "type": "Pods",
                    "pods": {"metric": {"name": "rps"}, "target": {"averageValue": "9"}},
                }
            ],
            [],
            "<unknown>/9",
        ),
        (
            [{"type": "External", "external": {"target": {"averageValue": "9"}}}],
            [{"type": "External", "external": {"current": {"averageValue": "3"}}}],
            "3/9 (avg)",
        ),
        ([{"type": "Odd"}], [], "<unknown type>"),
    ],
)
def test_targets_of_an_autoscaler_are_current_over_target(specs, currents, text):
    assert hpa_targets(specs, currents) == text


def test_a_list_becomes_one_table_with_the_lists_metadata():
    items = [{"metadata": meta("a")}, {"metadata": meta("b")}]
    body = {
        "apiVersion": "v1", "kind": "ServiceAccountList", "metadata": {"resourceVersion": "7"},
        "items": items,
    }  # fmt: skip
    made = table(body, NOW, include="Object")
    assert made["metadata"] == {"resourceVersion": "7"}
    assert [row["cells"][0] for row in made["rows"]] == ["a", "b"]
    assert made["rows"][0]["object"]["kind"] == "ServiceAccount"


def test_rows_carry_metadata_unless_asked_otherwise():
    obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta()}
    assert table(obj, NOW)["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table(obj, NOW, include="None")["rows"][0]["object"] is None
    with pytest.raises(ApiError, match="Unable to convert to Table"):
        table(obj, NOW, include="Everything")


def test_a_kind_without_columns_of_its_own_shows_when_it_was_created():
    obj = {"apiVersion": "example.com/v1", "kind": "Odd", "metadata": meta()}
    assert cells(obj) == {"Name": "x", "Created At": "2026-01-31T09:25:00Z"}
