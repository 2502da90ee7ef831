"""From a Pod to the bodies of container creation, as tables."""

import pytest

from labkit.kubelet import container_config as config
from labkit.kubelet.container_config import ClusterDns, NodePlace
from labkit.kubelet.instances import hash_of
from tests.kubelet.builders import pod

MARKS = {"io.labkit.node": "lab-worker"}
PLACE = NodePlace(MARKS, "lab-worker", ClusterDns("127.96.0.10", 53, "cluster.local"))
SEARCH = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]


def app(container: dict, env: dict | None = None, **spec: object) -> dict:
    container = {"name": "app", "image": "web:1", **container}
    return config.app_config(pod(container, **spec), container, 2, PLACE, "s0", env or {})


def sandbox(place: NodePlace = PLACE, **spec: object) -> dict:
    return config.sandbox_config(pod(**spec), 1, place)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {"CpuShares": 2}),
        ({"requests": {"cpu": "250m"}}, {"CpuShares": 256}),
        (
            {"limits": {"cpu": "500m"}},
            {"CpuShares": 512, "CpuPeriod": 100_000, "CpuQuota": 50_000},
        ),
        (
            {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "128Mi"}},
            {
                "CpuShares": 1024,
                "CpuPeriod": 100_000,
                "CpuQuota": 200_000,
                "Memory": 134_217_728,
                "MemorySwap": 134_217_728,
            },
        ),
        ({"limits": {"cpu": "1m"}}, {"CpuShares": 2, "CpuPeriod": 100_000, "CpuQuota": 1000}),
    ],
    ids=["none", "request", "limit", "both", "smallest"],
)
def test_resources_become_shares_quotas_and_limits(resources: dict, expected: dict):
    assert config.resources(resources) == expected


def test_an_app_container_joins_the_sandbox():
    body = app({})
    assert body["HostConfig"]["NetworkMode"] == "container:s0"
    assert "Dns" not in body["HostConfig"]
    assert "Hostname" not in body


def test_command_and_args_are_entrypoint_and_cmd_with_variables():
    body = app({"command": ["serve", "$(PORT)"], "args": ["$$x", "$(NO)"]}, {"PORT": "80"})
    assert (body["Entrypoint"], body["Cmd"]) == (["serve", "80"], ["$x", "$(NO)"])
    assert body["Env"] == ["PORT=80"]


def test_without_command_and_args_the_image_decides():
    body = app({})
    assert "Entrypoint" not in body
    assert "Cmd" not in body


@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [
        ({"workingDir": "/srv"}, "WorkingDir", "/srv"),
        ({"securityContext": {"runAsUser": 1000}}, "User", "1000"),
        ({"securityContext": {"runAsUser": 0, "runAsGroup": 5}}, "User", "0:5"),
        ({"tty": True}, "Tty", True),
        ({"stdin": True}, "OpenStdin", True),
    ],
)
def test_fields_have_their_place(fields: dict, key: str, expected: object):
    assert app(fields)[key] == expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"privileged": True}, {"Privileged": True}),
        ({"readOnlyRootFilesystem": True}, {"ReadonlyRootfs": True}),
        ({"capabilities": {"drop": ["ALL"]}}, {"CapDrop": ["ALL"]}),
        ({"allowPrivilegeEscalation": False}, {"SecurityOpt": ["no-new-privileges"]}),
    ],
)
def test_the_security_context_is_passed_on(context: dict, expected: dict):
    host = app({"securityContext": context})["HostConfig"]
    assert {key: host[key] for key in expected} == expected


def test_containers_are_known_again_by_their_labels():
    labels = app({}, terminationGracePeriodSeconds=7)["Labels"]
    assert labels == {
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": "uid-1",
        "io.kubernetes.container.name": "app",
        "io.kubernetes.docker.type": "container",
        "io.kubernetes.sandbox.id": "s0",
        "annotation.io.kubernetes.container.restartCount": "2",
        "annotation.io.kubernetes.pod.terminationGracePeriod": "7",
        "annotation.io.kubernetes.container.hash": hash_of({"name": "app", "image": "web:1"}),
        "io.labkit.node": "lab-worker",
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"Dns": ["127.96.0.10"], "DnsSearch": SEARCH, "DnsOptions": ["ndots:5"]}),
        ({"dnsPolicy": "Default"}, {}),
        ({"hostNetwork": True}, {}),
        (
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
            {"Dns": ["127.96.0.10"], "DnsSearch": SEARCH, "DnsOptions": ["ndots:5"]},
        ),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["1.2.3.4"],
                    "searches": ["x"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                },
            },
            {"Dns": ["1.2.3.4"], "DnsSearch": ["x"], "DnsOptions": ["ndots:2", "edns0"]},
        ),
    ],
    ids=["cluster first", "default", "host network", "cluster first on host", "own"],
)
def test_the_sandbox_has_the_pods_dns(spec: dict, expected: dict):
    host = sandbox(**spec)["HostConfig"]
    assert {key: host[key] for key in host if key.startswith("Dns")} == expected


def test_another_port_of_the_dns_server_is_an_option():
    place = NodePlace(MARKS, "n", ClusterDns("127.96.0.10", 1053, "cluster.local"))
    assert sandbox(place)["HostConfig"]["DnsOptions"] == ["ndots:5", "port:1053"]


def test_without_cluster_dns_nothing_is_set():
    place = NodePlace(MARKS, "n", ClusterDns(None, 53, "cluster.local"))
    assert "Dns" not in sandbox(place)["HostConfig"]


def test_the_sandbox_is_on_the_nodes_network_or_the_hosts():
    assert sandbox()["HostConfig"]["NetworkMode"] == "lab-worker"
    assert sandbox(hostNetwork=True)["HostConfig"]["NetworkMode"] == "host"


def test_host_ports_are_published_by_the_sandbox():
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]
    body = config.sandbox_config(pod({"name": "app", "ports": ports}), 0, PLACE)
    assert body["ExposedPorts"] == {"80/tcp": {}}
    assert body["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostPort": "8080", "HostIp": ""}]}


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("web", {}, "web"),
        ("web", {"hostname": "own"}, "own"),
        ("a" * 62 + "-" + "b" * 10, {}, "a" * 62),
    ],
)
def test_the_hostname_is_the_pods_name(name: str, spec: dict, expected: str):
    assert config.hostname(pod(meta={"name": name}, **spec)) == expected


def test_host_aliases_are_the_sandboxs():
    aliases = [{"ip": "10.0.0.1", "hostnames": ["db", "db.local"]}]
    host = sandbox(hostAliases=aliases)["HostConfig"]
    assert host["ExtraHosts"] == ["db:10.0.0.1", "db.local:10.0.0.1"]
    host = sandbox(hostAliases=aliases, hostNetwork=True)["HostConfig"]
    assert "ExtraHosts" not in host
