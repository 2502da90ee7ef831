"""What containers find in their volumes.

Paths are written `$CONTAINER_ROOT/path`: the variable is empty but where a container's files are in
a directory of the machine.
"""

from __future__ import annotations

from tests.api.conftest import Wire, until
from tests.api.pods import FOREVER, container, pod, running


def create(wire: Wire, ns: str, kind: str, name: str, **fields: object) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}
    wire.ok("POST", f"{ns}/{kind.lower()}s", body)


def mount(name: str, path: str, **fields: object) -> dict:
    return {"name": name, "mountPath": path, **fields}


def once(*containers: dict, **spec: object) -> dict:
    """A Pod that runs to its end."""
    return pod("once", *containers, restartPolicy="Never", **spec)


def output(wire: Wire, ns: str, made: dict, name: str = "app") -> str:
    """What a container of a Pod that ends has written."""
    wire.ok("POST", f"{ns}/pods", made)
    path = f"{ns}/pods/{made['metadata']['name']}"

    def ended() -> bool:
        return wire.ok("GET", path)["status"].get("phase") in ("Succeeded", "Failed")

    until(ended, 60, "the Pod has ended")
    return wire.get(f"{path}/log", container=name).text


def log(wire: Wire, ns: str, name: str) -> str:
    return wire.get(f"{ns}/pods/{name}/log", container="app").text


def test_containers_share_an_empty_directory(wire: Wire, ns: str):
    scratch = {"name": "scratch", "emptyDir": {}}
    mounts = [mount("scratch", "/scratch")]
    first = container("first", "echo hello > $CONTAINER_ROOT/scratch/f", volumeMounts=mounts)
    second = container("app", "cat $CONTAINER_ROOT/scratch/f", volumeMounts=mounts)
    made = once(second, initContainers=[first], volumes=[scratch])
    assert output(wire, ns, made) == "hello\n"


def test_an_empty_directory_outlives_a_container_and_not_the_pod(wire: Wire, ns: str):
    scratch = {"name": "scratch", "emptyDir": {}}
    script = "cd $CONTAINER_ROOT/scratch; echo x >> f; [ $(wc -l < f) -ge 2 ] && exec sleep 3600"
    one = container("app", script, volumeMounts=[mount("scratch", "/scratch")])
    made = pod("again", one, volumes=[scratch])
    wire.ok("POST", f"{ns}/pods", made)
    path = f"{ns}/pods/again"

    def restarted() -> bool:
        statuses = wire.ok("GET", path)["status"].get("containerStatuses") or [{}]
        return statuses[0].get("restartCount") == 1 and "running" in statuses[0]["state"]

    until(restarted, 60, "the container runs again")


def test_config_maps_and_secrets_are_files(wire: Wire, ns: str):
    create(wire, ns, "ConfigMap", "settings", data={"colour": "blue", "size": "9"})
    create(wire, ns, "Secret", "keys", stringData={"token": "s3cret"})
    volumes = [
        {
            "name": "settings",
            "configMap": {"name": "settings", "items": [{"key": "colour", "path": "etc/colour"}]},
        },
        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
        {"name": "none", "secret": {"secretName": "none", "optional": True}},
    ]
    mounts = [mount("settings", "/settings"), mount("keys", "/keys"), mount("none", "/none")]
    script = (
        "cd $CONTAINER_ROOT/; cat settings/etc/colour keys/token; echo; ls settings none;"
        "ls -lL keys/token | cut -c 1-10"
    )
    made = once(container("app", script, volumeMounts=mounts), volumes=volumes)
    assert output(wire, ns, made).split() == [
        "blues3cret", "none:", "settings:", "etc", "-r--------",
    ]  # fmt: skip


def test_a_pod_reads_about_itself(wire: Wire, ns: str):
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "memory", "resourceFieldRef": {"containerName": "app", "resource": "limits.memory",
                                                "divisor": "1Mi"}},
    ]  # fmt: skip
    one = container(
        "app",
        "cd $CONTAINER_ROOT/about; cat labels; echo; cat name; echo; cat memory",
        volumeMounts=[mount("about", "/about")],
        resources={"limits": {"memory": "100Mi"}},
    )
    made = once(one, volumes=[{"name": "about", "downwardAPI": {"items": items}}])
    made["metadata"]["labels"] = {"b": "2", "a": "1"}
    assert output(wire, ns, made).splitlines() == ['a="1"', 'b="2"', "once", "100"]


def test_a_change_arrives_all_at_once_and_not_by_a_sub_path(wire: Wire, ns: str):
    create(wire, ns, "ConfigMap", "settings", data={"colour": "blue", "size": "9"})
    script = (
        "cd $CONTAINER_ROOT/; while :; do"
        ' echo "$(cat live/colour live/size) kept $(cat kept/colour)"; sleep 0.5; done'
    )
    mounts = [mount("settings", "/live"), mount("settings", "/kept/colour", subPath="colour")]
    one = container("app", script, volumeMounts=mounts)
    running(
        wire,
        ns,
        pod("live", one, volumes=[{"name": "settings", "configMap": {"name": "settings"}}]),
    )
    until(lambda: "blue9 kept blue" in log(wire, ns, "live").replace("\n9", "9"))
    wire.ok("PATCH", f"{ns}/configmaps/settings", {"data": {"colour": "red", "size": "8"}},
            type="application/merge-patch+json")  # fmt: skip

    def seen() -> bool:
        return "red8 kept blue" in log(wire, ns, "live")

    until(seen, 150, "the container sees the change")


def test_labels_in_a_volume_follow_the_pod(wire: Wire, ns: str):
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    script = "while :; do cat $CONTAINER_ROOT/about/labels; echo; sleep 0.2; done"
    one = container("app", script, volumeMounts=[mount("about", "/about")])
    running(
        wire, ns, pod("live", one, volumes=[{"name": "about", "downwardAPI": {"items": items}}])
    )
    wire.ok("PATCH", f"{ns}/pods/live", {"metadata": {"labels": {"mood": "good"}}},
            type="application/merge-patch+json")  # fmt: skip
    until(lambda: 'mood="good"' in log(wire, ns, "live"), 150, "the container sees its label")


def test_a_pod_waits_for_a_config_map_and_says_so(wire: Wire, ns: str):
    volume = {"name": "settings", "configMap": {"name": "later"}}
    one = container("app", FOREVER, volumeMounts=[mount("settings", "/settings")])
    wire.ok("POST", f"{ns}/pods", pod("waits", one, volumes=[volume]))

    def told() -> bool:
        selector = "involvedObject.name=waits,reason=FailedMount"
        events = wire.ok("GET", f"{ns}/events", fieldSelector=selector)["items"]
        return any(one["message"].startswith(why) for one in events)

    why = 'MountVolume.SetUp failed for volume "settings" : configmap "later" not found'
    until(told, 30, "the Event")
    waiting = wire.ok("GET", f"{ns}/pods/waits")["status"]["containerStatuses"][0]["state"]
    assert waiting == {"waiting": {"reason": "ContainerCreating"}}


def test_a_host_path_is_checked(wire: Wire, ns: str):
    volume = {"name": "host", "hostPath": {"path": "/no/such/place", "type": "Directory"}}
    one = container("app", FOREVER, volumeMounts=[mount("host", "/host")])
    wire.ok("POST", f"{ns}/pods", pod("waits", one, volumes=[volume]))
    why = (
        'MountVolume.SetUp failed for volume "host" : '
        "hostPath type check failed: /no/such/place is not a directory"
    )

    def told() -> bool:
        selector = "involvedObject.name=waits,reason=FailedMount"
        events = wire.ok("GET", f"{ns}/events", fieldSelector=selector)["items"]
        return any(one["message"] == why for one in events)

    until(told, 30, "the Event")


_CALL = """
import json, os, ssl, urllib.request
place = os.environ.get("CONTAINER_ROOT", "") + "/var/run/secrets/kubernetes.io/serviceaccount/"
token, namespace = (open(place + name).read() for name in ("token", "namespace"))
host, port = (os.environ["KUBERNETES_SERVICE_" + name] for name in ("HOST", "PORT"))
url = f"https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews"
body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
request = urllib.request.Request(
    url, json.dumps(body).encode(),
    {"Authorization": "Bearer " + token, "Content-Type": "application/json"},
)
context = ssl.create_default_context(cafile=place + "ca.crt")
with urllib.request.urlopen(request, context=context) as answer:
    print(namespace, json.load(answer)["status"]["userInfo"]["username"])
"""


def test_a_program_calls_the_api_as_its_service_account(wire: Wire, ns: str):
    name = ns.rpartition("/")[2]
    made = once(container("app", ["python3", "-c", _CALL]))
    assert output(wire, ns, made) == f"{name} system:serviceaccount:{name}:default\n"


def test_a_pod_may_do_without_a_token(wire: Wire, ns: str):
    made = pod("plain", container("app"), automountServiceAccountToken=False)
    assert "volumes" not in wire.ok("POST", f"{ns}/pods", made)["spec"]


def test_every_container_has_the_token(wire: Wire, ns: str):
    first = container("first", "true")
    spec = wire.ok("POST", f"{ns}/pods", once(container("app"), initContainers=[first]))["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    expected = {
        "name": volume["name"],
        "readOnly": True,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    }
    for one in (*spec["containers"], *spec["initContainers"]):
        assert one["volumeMounts"] == [expected]
    sources = [next(iter(one)) for one in volume["projected"]["sources"]]
    assert sources == ["serviceAccountToken", "configMap", "downwardAPI"]
