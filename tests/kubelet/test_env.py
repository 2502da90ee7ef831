"""The environment of containers, as tables."""

import base64

import pytest

from labkit.kubelet import env
from tests.kubelet.builders import pod

CONFIG = {("ConfigMap", "settings"): {"COLOUR": "blue", "1st": "x"},
          ("Secret", "keys"): {"TOKEN": "s3cret"}}  # fmt: skip
STATUS = {
    "podIP": "127.244.1.2",
    "podIPs": [{"ip": "127.244.1.2"}],
    "hostIP": "127.172.0.1",
    "hostIPs": [{"ip": "127.172.0.1"}],
}


def lookup(kind: str, name: str):
    return CONFIG.get((kind, name))


def environment(container: dict, services: dict | None = None, **fields: object) -> dict:
    container = {"name": "app", **container}
    owner = pod(container, nodeName="lab-worker", serviceAccountName="default", status=STATUS,
                meta={"labels": {"app": "web"}}, **fields)  # fmt: skip
    allocatable = {"cpu": "2", "memory": "1024Ki"}
    return env.environment(owner, container, lookup, services or {}, allocatable)


def value(variable: dict, **container: object) -> str | None:
    """What NAME becomes."""
    return environment({"env": [{"name": "NAME", **variable}], **container}).get("NAME")


def source(**source: object) -> dict:
    return {"valueFrom": source}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("a$(A)b$(B)", "a1b2"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("100$", "100$"),
    ],
)
def test_references_are_expanded_as_kubelet_does(text: str, expanded: str):
    assert env.expand(text, {"A": "1", "B": "2"}) == expanded


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "uid-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "lab-worker"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "127.244.1.2"),
        ("status.podIPs", "127.244.1.2"),
        ("status.hostIP", "127.172.0.1"),
        ("status.hostIPs", "127.172.0.1"),
    ],
)
def test_fields_of_the_pod_are_known(path: str, expected: str):
    assert value(source(fieldRef={"fieldPath": path})) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "500"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "limits.memory"}, "1048576"),
        ({"resource": "requests.cpu"}, "0"),
    ],
    ids=["rounded up", "divided", "request", "the node's where unset", "unset request"],
)
def test_resources_are_known(reference: dict, expected: str):
    resources = {"limits": {"cpu": "500m"}, "requests": {"memory": "64Mi"}}
    assert value(source(resourceFieldRef=reference), resources=resources) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"configMapKeyRef": {"name": "settings", "key": "COLOUR"}}, "blue"),
        ({"secretKeyRef": {"name": "keys", "key": "TOKEN"}}, "s3cret"),
        ({"configMapKeyRef": {"name": "none", "key": "A", "optional": True}}, None),
        ({"configMapKeyRef": {"name": "settings", "key": "A", "optional": True}}, None),
    ],
)
def test_keys_of_config_maps_and_secrets_are_known(reference: dict, expected: str | None):
    assert value(source(**reference)) == expected


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found'),
        (
            {"env": [{"name": "A", **source(secretKeyRef={"name": "none", "key": "B"})}]},
            'secret "none" not found',
        ),
        (
            {"env": [{"name": "A", **source(configMapKeyRef={"name": "settings", "key": "B"})}]},
            "couldn't find key B in ConfigMap default/settings",
        ),
    ],
)
def test_what_is_missing_is_named_in_kubelets_words(container: dict, message: str):
    with pytest.raises(env.ConfigError, match=message):
        environment(container)


def test_whole_config_maps_come_with_a_prefix_whatever_their_keys_begin_with():
    container = {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings"}}]}
    assert environment(container) == {"P_COLOUR": "blue", "P_1st": "x"}


def test_later_definitions_win_and_see_earlier_ones():
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "A", "value": "$(COLOUR) $(WEB_SERVICE_HOST) $(B)"},
            {"name": "B", "value": "late"},
            {"name": "COLOUR", "value": "red"},
        ],
    }
    values = environment(container, {"WEB_SERVICE_HOST": "127.96.0.7"})
    assert values["A"] == "blue 127.96.0.7 $(B)"
    assert values["COLOUR"] == "red"


def test_references_are_collected_for_fetching():
    container = {
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "env": [
            {"name": "X", **source(configMapKeyRef={"name": "c", "key": "k"})},
            {"name": "Y", **source(secretKeyRef={"name": "d", "key": "k"})},
            {"name": "Z", "value": "z"},
        ],
    }
    assert env.references(container) == {
        ("ConfigMap", "a"), ("Secret", "b"), ("ConfigMap", "c"), ("Secret", "d")
    }  # fmt: skip


def test_secrets_are_decoded():
    data = {"a": base64.b64encode(b"text").decode()}
    assert env.plain_data({"kind": "Secret", "data": data}) == {"a": "text"}


def service(name: str, namespace: str = "default", **spec: object) -> dict:
    spec = {"clusterIP": "127.96.0.7", "ports": [{"port": 80, "name": "http"}], **spec}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_a_service_has_its_variables():
    ports = [{"port": 80, "name": "http"}, {"port": 53, "protocol": "UDP"}]
    values = env.service_variables([service("my-app", ports=ports)], "default", links=True)
    assert values == {
        "MY_APP_SERVICE_HOST": "127.96.0.7",
        "MY_APP_SERVICE_PORT": "80",
        "MY_APP_SERVICE_PORT_HTTP": "80",
        "MY_APP_PORT": "tcp://127.96.0.7:80",
        "MY_APP_PORT_80_TCP": "tcp://127.96.0.7:80",
        "MY_APP_PORT_80_TCP_PROTO": "tcp",
        "MY_APP_PORT_80_TCP_PORT": "80",
        "MY_APP_PORT_80_TCP_ADDR": "127.96.0.7",
        "MY_APP_PORT_53_UDP": "udp://127.96.0.7:53",
        "MY_APP_PORT_53_UDP_PROTO": "udp",
        "MY_APP_PORT_53_UDP_PORT": "53",
        "MY_APP_PORT_53_UDP_ADDR": "127.96.0.7",
    }


@pytest.mark.parametrize(
    ("services", "links", "hosts"),
    [
        ([service("web", "other")], True, set()),
        ([service("kubernetes")], False, {"KUBERNETES_SERVICE_HOST"}),
        ([service("web")], False, set()),
        ([service("web", clusterIP="None")], True, set()),
        ([service("web", ports=None)], True, set()),
    ],
    ids=["another namespace", "kubernetes always", "links off", "headless", "no ports"],
)
def test_only_services_in_reach_have_variables(services: list, links: bool, hosts: set):
    values = env.service_variables(services, "default", links=links)
    assert {name for name in values if name.endswith("_HOST")} == hosts
