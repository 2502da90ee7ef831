"""What learners type, with the kubectl that they have.

Nothing here needs a controller or a kubelet: the Pods ask for a node that does not exist, so that
the same assertions hold for the bare API server and for a whole cluster.
"""

import json

import pytest
import yaml

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "nodeSelector": {"labkit.test/nowhere": "yes"},
                "containers": [{"name": "app", "image": "labkit/web:1"}],
            },
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "lone", "labels": {"app": "lone"}},
    "spec": WEB["spec"]["template"]["spec"],
}


def manifest(*objects):
    return yaml.safe_dump_all(objects)


@pytest.fixture
def web(k):
    k("apply", "-f", "-", input=manifest(WEB, SERVICE))
    return k


def columns(text):
    """The words of a table's header."""
    return text.splitlines()[0].split()


# -- what is served --------------------------------------------------------------------------------


def test_version_names_a_server_version(k):
    assert json.loads(k("version", "-o", "json"))["serverVersion"]["major"] == "1"


def test_api_versions_lists_all_groups(k):
    versions = k("api-versions").split()
    assert {"v1", "apps/v1", "autoscaling/v2", "discovery.k8s.io/v1"} <= set(versions)


def test_api_resources_knows_short_names_and_scopes(k):
    lines = [line.split() for line in k("api-resources", "--no-headers").splitlines()]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in lines
    assert ["nodes", "no", "v1", "false", "Node"] in lines
    assert ["horizontalpodautoscalers", "hpa", "autoscaling/v2", "true"] in [x[:4] for x in lines]


def test_api_resources_filters_by_verb(k):
    assert "deployments.apps" in k("api-resources", "--verbs=list,patch", "-o", "name").split()


def test_explain_walks_down_to_a_field(k):
    text = k("explain", "deployment.spec.strategy")
    assert "KIND:       Deployment" in text
    assert "rollingUpdate\t<RollingUpdateDeployment>" in text


def test_explain_recursive_shows_the_whole_kind(k):
    text = k("explain", "pod.spec.containers", "--recursive")
    assert "livenessProbe\t<Probe>" in text
    assert "requests\t<map[string]Quantity>" in text


def test_explain_of_an_unknown_field_says_so(k):
    assert 'field "nonsense" does not exist' in k.fails("explain", "pod.spec.nonsense")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_the_server_says_that_it_is_well(k, path):
    assert k("get", "--raw", path) == "ok"


# -- writing and reading ---------------------------------------------------------------------------


def test_apply_creates_then_changes_nothing_then_configures(k):
    assert k("apply", "-f", "-", input=manifest(WEB)) == "deployment.apps/web created\n"
    assert k("apply", "-f", "-", input=manifest(WEB)) == "deployment.apps/web unchanged\n"
    changed = {**WEB, "spec": {**WEB["spec"], "minReadySeconds": 3}}
    assert k("apply", "-f", "-", input=manifest(changed)) == "deployment.apps/web configured\n"
    assert k.json("get", "deployment", "web")["spec"]["minReadySeconds"] == 3


def test_apply_removes_what_the_manifest_no_longer_has(web):
    labelled = {**WEB, "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}}}
    web("apply", "-f", "-", input=manifest(labelled))
    web("apply", "-f", "-", input=manifest(WEB))
    assert web.json("get", "deployment", "web")["metadata"]["labels"] == {"app": "web"}


def test_get_prints_the_columns_of_a_deployment(web):
    text = web("get", "deployments")
    assert columns(text) == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert text.splitlines()[1].split()[:2] == ["web", "0/0"]
    wide = web("get", "deployments", "-o", "wide")
    assert columns(wide)[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide.splitlines()[1].split()[5:] == ["app", "labkit/web:1", "app=web"]


def test_get_prints_the_columns_of_pods_and_services(web):
    web("apply", "-f", "-", input=manifest(POD))
    assert columns(web("get", "pods")) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert web("get", "pod", "lone").splitlines()[1].split()[:4] == ["lone", "0/1", "Pending", "0"]
    header = web("get", "pods", "-o", "wide").splitlines()[0]
    assert header.split()[5:] == ["IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES"]
    line = web("get", "service", "web").splitlines()[1].split()
    assert line[:2] == ["web", "ClusterIP"]
    assert line[3:5] == ["<none>", "80/TCP"]


def test_get_has_all_its_output_formats(web):
    assert json.loads(web("get", "deployment", "web", "-o", "json"))["kind"] == "Deployment"
    assert yaml.safe_load(web("get", "deployment", "web", "-o", "yaml"))["kind"] == "Deployment"
    assert web("get", "deployment", "web", "-o", "name") == "deployment.apps/web\n"
    assert web("get", "deployment", "web", "-o", "jsonpath={.metadata.name}") == "web"
    custom = web("get", "deployments", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas")
    assert custom.split() == ["N", "R", "web", "0"]
    listed = json.loads(web("get", "deployments", "-o", "json"))
    assert [item["kind"] for item in listed["items"]] == ["Deployment"]


def test_get_all_shows_what_is_in_the_namespace(web):
    text = web("get", "all")
    assert "service/web" in text
    assert "deployment.apps/web" in text


def test_get_selects_by_label_and_by_field(web):
    web("create", "configmap", "one", "--from-literal=a=1")
    web("create", "configmap", "two", "--from-literal=a=2")
    web("label", "configmap", "one", "tier=front")
    assert web("get", "cm", "-l", "tier in (front,back)", "-o", "name") == "configmap/one\n"
    selected = web("get", "cm", "--field-selector", "metadata.name=two", "-o", "name")
    assert selected == "configmap/two\n"
    shown = web("get", "cm", "-l", "tier", "-L", "tier", "--show-labels")
    assert "front" in shown


def test_get_of_something_absent_is_not_found(k):
    message = k.fails("get", "deployment", "absent")
    assert message == 'Error from server (NotFound): deployments.apps "absent" not found\n'
    assert "doesn't have a resource type" in k.fails("get", "nonsenses")


def test_get_watch_shows_changes_as_they_come(k):
    k("create", "configmap", "first")
    with k.watch("get", "configmaps", "-w", "--output-watch-events") as watching:
        lines = (line.split()[:2] for line in watching.stdout)
        try:
            assert next(lines) == ["EVENT", "NAME"]
            wait_for(lines, ["ADDED", "first"])
            k("create", "configmap", "second", "--from-literal=a=b")
            wait_for(lines, ["ADDED", "second"])
            k("delete", "configmap", "second")
            wait_for(lines, ["DELETED", "second"])
        finally:
            watching.kill()


def wait_for(lines, wanted):
    """Read on until a line is the wanted one (the test's own timeout is the bound)."""
    assert any(line == wanted for line in lines), f"the watch ended before {wanted}"


def test_wait_returns_when_a_field_has_its_value(web):
    done = web("wait", "deployment/web", "--for=jsonpath={.spec.replicas}=0", "--timeout=20s")
    assert "condition met" in done


@pytest.mark.parametrize(
    "arguments",
    [
        ("configmap", "it", "--from-literal=a=b"),
        ("secret", "generic", "it", "--from-literal=a=b"),
        ("serviceaccount", "it"),
        ("deployment", "it", "--image=labkit/web:1", "--replicas=0", "--port=8080"),
        ("service", "clusterip", "it", "--tcp=80:8080"),
        ("service", "nodeport", "it", "--tcp=80:8080"),
    ],
    ids=" ".join,
)
def test_create_makes_every_kind_it_knows(k, arguments):
    assert k("create", *arguments).endswith("/it created\n")
    kind = arguments[0]
    assert k.json("get", kind, "it")["metadata"]["namespace"] == k.namespace


def test_create_deployment_keeps_what_was_asked_for(k):
    k("create", "deployment", "it", "--image=labkit/web:1", "--replicas=0", "--port=8080")
    spec = k.json("get", "deployment", "it")["spec"]
    assert spec["replicas"] == 0
    assert spec["selector"] == {"matchLabels": {"app": "it"}}
    container = spec["template"]["spec"]["containers"][0]
    assert (container["name"], container["image"]) == ("web", "labkit/web:1")
    assert container["ports"][0]["containerPort"] == 8080


def test_create_twice_already_exists(k):
    k("create", "configmap", "one")
    assert "(AlreadyExists)" in k.fails("create", "-f", "-", input=manifest(config_map("one")))


def config_map(name, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


def test_run_and_expose(k):
    overrides = json.dumps({"spec": {"nodeSelector": {"labkit.test/nowhere": "yes"}}})
    k("run", "it", "--image=labkit/web:1", "--port=8080", f"--overrides={overrides}")
    assert k("expose", "pod", "it", "--port=80") == "service/it exposed\n"
    spec = k.json("get", "service", "it")["spec"]
    assert spec["selector"] == {"run": "it"}
    assert spec["ports"][0]["port"] == 80


def test_dry_run_on_the_server_leaves_nothing(k):
    text = k("apply", "-f", "-", "--dry-run=server", input=manifest(config_map("ghost")))
    assert text == "configmap/ghost created (server dry run)\n"
    assert "NotFound" in k.fails("get", "configmap", "ghost")


def test_replace_and_diff(k):
    k("create", "-f", "-", input=manifest(config_map("one", data={"a": "1"})))
    changed = manifest(config_map("one", data={"a": "2"}))
    diff = k.run("diff", "-f", "-", input=changed)
    assert diff.returncode == 1, diff.stderr
    assert '+  a: "2"' in diff.stdout
    k("replace", "-f", "-", input=changed)
    assert k.json("get", "cm", "one")["data"] == {"a": "2"}


def test_delete_waits_until_the_object_is_gone(web):
    assert web("delete", "deployment", "web") == 'deployment.apps "web" deleted\n'
    assert "NotFound" in web.fails("get", "deployment", "web")
    assert "deleted" in web("delete", "service", "-l", "!none", "--all=false")


# -- strictness ------------------------------------------------------------------------------------


def test_unknown_fields_are_errors_by_default(k):
    wrong = config_map("bad", dta={"a": "b"})
    message = k.fails("apply", "-f", "-", input=manifest(wrong))
    assert 'strict decoding error: unknown field "dta"' in message
    message = k.fails("create", "--validate=strict", "-f", "-", input=manifest(wrong))
    assert 'unknown field "dta"' in message


def test_unknown_fields_are_warnings_if_asked(k):
    wrong = config_map("odd", dta={"a": "b"})
    done = k.run("create", "--validate=warn", "-f", "-", input=manifest(wrong))
    assert done.returncode == 0
    assert 'Warning: unknown field "dta"' in done.stderr
    assert k.run("create", "--validate=ignore", "-f", "-", input=manifest(config_map("x", y=1)))


def test_invalid_objects_are_refused_with_the_field(k):
    bad = json.loads(json.dumps(WEB))
    bad["spec"]["selector"]["matchLabels"] = {"app": "other"}
    message = k.fails("apply", "-f", "-", input=manifest(bad))
    assert 'The Deployment "web" is invalid: spec.template.metadata.labels' in message


# -- changing --------------------------------------------------------------------------------------


def test_label_and_annotate(web):
    assert web("label", "deployment", "web", "tier=front") == "deployment.apps/web labeled\n"
    # kubectl 1.27 says "annotate".
    assert web("annotate", "deployment", "web", "note=x").startswith("deployment.apps/web annotate")
    metadata = web.json("get", "deployment", "web")["metadata"]
    assert metadata["labels"]["tier"] == "front"
    assert metadata["annotations"]["note"] == "x"
    web("label", "deployment", "web", "tier-")
    assert "tier" not in web.json("get", "deployment", "web")["metadata"]["labels"]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "labkit/web:2"}]}}}}),
        ("merge", {"spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "labkit/web:2"}]}}}}),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image",
                   "value": "labkit/web:2"}]),
    ],
)  # fmt: skip
def test_patch_of_each_kind(web, kind, patch):
    web("patch", "deployment", "web", "--type", kind, "-p", json.dumps(patch))
    containers = web.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert [c["image"] for c in containers] == ["labkit/web:2"]


def test_a_strategic_patch_merges_lists_by_key(web):
    patch = {"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "labkit/side:1"}]}}}}  # fmt: skip
    web("patch", "deployment", "web", "-p", json.dumps(patch))
    containers = web.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert {c["name"] for c in containers} == {"app", "side"}


def test_scale_and_its_precondition(web):
    assert web("scale", "deployment/web", "--replicas=2") == "deployment.apps/web scaled\n"
    assert web.json("get", "deployment", "web")["spec"]["replicas"] == 2
    message = web.fails("scale", "deployment/web", "--current-replicas=7", "--replicas=1")
    assert "Expected replicas to be 7, was 2" in message
    scale = web("get", "deployment", "web", "--subresource=scale")
    assert columns(scale) == ["NAME", "DESIRED", "AVAILABLE", "AGE"]


def test_set_image_env_and_resources(web):
    web("set", "image", "deployment/web", "app=labkit/web:3")
    web("set", "env", "deployment/web", "COLOR=blue")
    web("set", "resources", "deployment/web", "--requests=cpu=100m")
    container = web.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "labkit/web:3"
    assert container["env"] == [{"name": "COLOR", "value": "blue"}]
    assert container["resources"]["requests"] == {"cpu": "100m"}


def test_rollout_restart_pause_and_resume(web):
    web("rollout", "restart", "deployment/web")
    annotations = web.json("get", "deployment", "web")["spec"]["template"]["metadata"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations["annotations"]
    web("rollout", "pause", "deployment/web")
    assert web.json("get", "deployment", "web")["spec"]["paused"] is True
    web("rollout", "resume", "deployment/web")
    assert not web.json("get", "deployment", "web")["spec"].get("paused")


def test_autoscale_makes_a_horizontal_pod_autoscaler(web):
    web("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu-percent=30")
    spec = web.json("get", "hpa", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 5)
    assert spec["scaleTargetRef"]["name"] == "web"
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 30
    text = web("get", "hpa", "web")
    assert columns(text)[:3] == ["NAME", "REFERENCE", "TARGETS"]
    assert "Deployment/web" in text
    assert "cpu: <unknown>/30%" in text


# -- describing ------------------------------------------------------------------------------------


def test_describe_a_deployment_and_a_service(web):
    text = web("describe", "deployment", "web")
    assert "StrategyType:           RollingUpdate" in text
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in text
    text = web("describe", "service", "web")
    assert "TargetPort:" in text
    assert "Session Affinity:" in text


def test_describe_a_pod(k):
    k("apply", "-f", "-", input=manifest(POD))
    text = k("describe", "pod", "lone")
    lines = [line.split() for line in text.splitlines()]
    assert ["Node-Selectors:", "labkit.test/nowhere=yes"] in lines
    assert ["QoS", "Class:", "BestEffort"] in lines


def test_describe_a_node(k):
    name = f"{k.namespace}-node"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    k("create", "-f", "-", input=manifest(node))
    try:
        text = k("describe", "node", name)
        assert f"Name:               {name}" in text
        assert "Unschedulable:      false" in text
        assert k("cordon", name) == f"node/{name} cordoned\n"
        assert "SchedulingDisabled" in k("get", "node", name)
    finally:
        k("delete", "node", name)


def test_describe_an_autoscaler(web):
    web("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu-percent=30")
    text = web("describe", "hpa", "web")
    assert "Deployment/web" in text
    assert "resource cpu on pods  (as a percentage of request):" in text
    assert "Min replicas:" in text


def test_events_are_listed_for_an_object(k):
    k("create", "configmap", "one")
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": "one", "namespace": k.namespace}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "one.1"},
        "involvedObject": about,
        "type": "Normal",
        "reason": "Noticed",
        "message": "it is there",
        "source": {"component": "test"},
        "firstTimestamp": "2026-01-31T09:30:00Z",
        "lastTimestamp": "2026-01-31T09:30:00Z",
        "count": 1,
    }
    k("create", "-f", "-", input=manifest(event))
    assert "Noticed" in k("get", "events")
    assert "configmap/one" in k("get", "events")
    assert "it is there" in k("events", "--for=configmap/one")


def test_logs_of_a_pod_without_a_node_are_empty(k):
    k("apply", "-f", "-", input=manifest(POD))
    assert k("logs", "lone") == ""
    two = json.loads(json.dumps(POD))
    two["metadata"]["name"] = "two"
    two["spec"]["containers"].append({"name": "side", "image": "labkit/side:1"})
    k("apply", "-f", "-", input=manifest(two))
    message = k.fails("logs", "two", "-c", "absent")
    assert "container absent is not valid for pod two" in message
