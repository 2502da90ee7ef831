"""Which listeners a Service wants, by tables."""

import ipaddress

import pytest

from labkit.proxy import rules

NODES = {"127.0.0.1": "", "127.172.0.1": "one", "127.172.0.2": "two"}


def service(*ports, **spec):
    spec = {"clusterIP": "127.96.0.7", "type": "ClusterIP", "ports": list(ports), **spec}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": spec,
    }


def endpoint_slice(*endpoints, port=8080, name="http", protocol="TCP", **fields):
    return {
        "metadata": {
            "name": "web-abc",
            "namespace": "default",
            "labels": {rules.SERVICE_NAME: "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": name, "port": port, "protocol": protocol}],
        "endpoints": list(endpoints),
        **fields,
    }


def endpoint(ip, **conditions):
    return {"addresses": [ip], "conditions": conditions}


READY = endpoint("127.244.1.2", ready=True, serving=True, terminating=False)
DRAINING = endpoint("127.244.1.3", ready=False, serving=True, terminating=True)
UNREADY = endpoint("127.244.1.4", ready=False, serving=False, terminating=False)
DEAD = endpoint("127.244.1.5", ready=False, serving=False, terminating=True)
HTTP = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        pytest.param([READY], ["127.244.1.2"], id="ready"),
        pytest.param([endpoint("127.244.1.9")], ["127.244.1.9"], id="unknown means ready"),
        pytest.param([READY, DRAINING], ["127.244.1.2"], id="ready before terminating"),
        pytest.param([DRAINING, UNREADY], ["127.244.1.3"], id="terminating when none is ready"),
        pytest.param([UNREADY, DEAD], [], id="nobody serves"),
        pytest.param([], [], id="no endpoints"),
    ],
)
def test_endpoints_that_serve_a_port(endpoints, expected):
    found = rules.serving(HTTP, [endpoint_slice(*endpoints)])
    assert found == tuple((ip, 8080) for ip in expected)


def test_endpoints_of_several_slices_are_joined_and_each_counts_once():
    slices = [
        endpoint_slice(READY, endpoint("127.244.2.1")),
        endpoint_slice(READY, port=9090),
        endpoint_slice(endpoint("127.244.2.2"), name="other"),
        endpoint_slice(endpoint("fd00::1"), addressType="IPv6"),
    ]
    assert rules.serving(HTTP, slices) == (
        ("127.244.1.2", 8080),
        ("127.244.1.2", 9090),
        ("127.244.2.1", 8080),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [("127.96.0.7", 80)], id="ClusterIP"),
        pytest.param(
            {"type": "NodePort", "ports": [{**HTTP, "nodePort": 30080}]},
            [
                ("127.96.0.7", 80),
                ("127.0.0.1", 30080),
                ("127.172.0.1", 30080),
                ("127.172.0.2", 30080),
            ],
            id="NodePort",
        ),
        pytest.param(
            {"externalIPs": ["127.1.2.3", "192.0.2.1"]},
            [("127.96.0.7", 80), ("127.1.2.3", 80)],
            id="external addresses",
        ),
        pytest.param({"clusterIP": "None"}, [], id="headless"),
        pytest.param(
            {"type": "ExternalName", "clusterIP": "", "externalName": "example.org"},
            [],
            id="ExternalName",
        ),
        pytest.param({"clusterIP": "10.96.0.7"}, [], id="not a loopback address"),
        pytest.param({"ports": [{**HTTP, "protocol": "UDP"}]}, [], id="UDP"),
        pytest.param({"ports": [{**HTTP, "name": "https"}]}, [], id="port without endpoints"),
    ],
)
def test_addresses_at_which_a_service_is_served(changes, expected):
    wanted = rules.listeners(service(**{"ports": [HTTP]} | changes), [endpoint_slice(READY)], NODES)
    assert list(wanted) == expected


def test_load_balancers_addresses_are_served_too():
    balanced = service(HTTP, type="LoadBalancer")
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "127.1.2.3"}, {"hostname": "x"}]}}
    assert list(rules.listeners(balanced, [endpoint_slice(READY)], {})) == [
        ("127.96.0.7", 80),
        ("127.1.2.3", 80),
    ]


def test_addresses_of_other_networks_are_served_where_the_machine_has_them():
    networks = (ipaddress.IPv4Network("10.96.0.0/16"),)
    wanted = rules.listeners(
        service(HTTP, clusterIP="10.96.0.7"), [endpoint_slice(READY)], {}, networks
    )
    assert list(wanted) == [("10.96.0.7", 80)]


ONE, ALSO_ONE, TWO = (("127.244.1.2", 8080), ("127.244.1.3", 8080), ("127.244.2.2", 8080))
SPREAD = endpoint_slice(
    {**READY, "nodeName": "one"},
    {**endpoint("127.244.2.2", ready=False, serving=True, terminating=True), "nodeName": "two"},
    {**endpoint("127.244.1.3", ready=True), "nodeName": "one"},
)


def test_under_the_internal_policy_local_each_node_has_its_own_endpoints():
    local = service(HTTP, internalTrafficPolicy="Local")
    target = rules.listeners(local, [SPREAD], NODES)["127.96.0.7", 80]
    assert target.by_node == {"one": (ONE, ALSO_ONE), "two": (TWO,)}
    assert target.endpoints == (ONE, ALSO_ONE)
    assert rules.listeners(service(HTTP), [SPREAD], NODES)["127.96.0.7", 80].by_node is None


def test_under_the_external_policy_local_a_nodes_port_leads_to_its_own_endpoints():
    port = {**HTTP, "nodePort": 30080}
    local = service(port, type="NodePort", externalTrafficPolicy="Local")
    found = rules.listeners(local, [SPREAD], {**NODES, "127.172.0.3": "three"})
    assert {address: target.endpoints for address, target in found.items()} == {
        ("127.96.0.7", 80): (ONE, ALSO_ONE),
        ("127.0.0.1", 30080): (ONE, ALSO_ONE),
        ("127.172.0.1", 30080): (ONE, ALSO_ONE),
        ("127.172.0.2", 30080): (TWO,),
    }


def test_a_client_is_on_the_node_whose_address_or_range_it_has():
    status = {"addresses": [{"type": "InternalIP", "address": "127.172.0.1"}]}
    nodes = [
        {"metadata": {"name": "one"}, "spec": {"podCIDR": "127.244.1.0/24"}, "status": status},
        {"metadata": {"name": "new"}},
    ]
    found = [rules.node_of(ip, nodes) for ip in ("127.244.1.9", "127.172.0.1", "127.0.0.1", "")]
    assert found == ["one", "one", None, None]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        (
            {
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
            },
            5,
        ),
    ],
)
def test_how_long_a_client_keeps_its_endpoint(spec, seconds):
    assert rules.affinity(service(HTTP, **spec)) == seconds


def test_the_kubernetes_service_is_left_to_the_api_server_that_listens_there_itself():
    api = service({"name": "https", "port": 6443}, clusterIP="127.96.0.1")
    behind = endpoint_slice(endpoint("127.96.0.1"), port=6443, name="https")
    assert rules.listeners(api, [behind], NODES) == {}


def test_a_udp_port_is_reported_only_when_endpoints_wait_behind_it():
    dns = {"name": "dns", "port": 53, "protocol": "UDP"}
    elsewhere = endpoint_slice(READY, port=53, name="dns", protocol="UDP")
    itself = endpoint_slice(endpoint("127.96.0.7"), port=53, name="dns", protocol="UDP")
    assert rules.unsupported(service(dns), [elsewhere]) == [dns]
    assert rules.unsupported(service(dns), [itself]) == []
    assert rules.unsupported(service(dns), []) == []
    assert rules.unsupported(service(dns, clusterIP="None"), [elsewhere]) == []


def test_a_slice_names_its_service():
    assert rules.service_keys(endpoint_slice()) == ("default/web",)
    assert rules.service_keys({"metadata": {"name": "x", "namespace": "default"}}) == ()
