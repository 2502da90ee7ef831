"""The DNS specification of Kubernetes, by tables."""

import dataclasses

import pytest

from labkit.kube import objects
from labkit.proxy import records, rules
from labkit.proxy.records import Answer, Directory, Record

SERIAL = 1700000000
SOA = Record(
    "cluster.local.",
    "SOA",
    "ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 5",
)
REVERSE_SOA = SOA._replace(name="127.in-addr.arpa.")


def service(name, ip, *ports, **spec):
    ports = [{"name": port, "port": number, "protocol": proto} for port, number, proto in ports]
    spec = {"type": "ClusterIP", "clusterIP": ip, "ports": ports, **spec}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def endpoint(ip, hostname=None, ready=True):
    found = {"addresses": [ip], "conditions": {"ready": ready}}
    return found | ({"hostname": hostname} if hostname else {})


def endpoint_slice(name, *endpoints):
    labels = {rules.SERVICE_NAME: name}
    return {
        "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def directory(services, slices):
    return Directory(
        domain="cluster.local",
        address="127.96.0.10",
        services={objects.key(each): each for each in services},
        namespaces={"shop": {}, "default": {}},
        slices_of=lambda key: [each for each in slices if key in rules.service_keys(each)],
        services_at=lambda ip: [each for each in services if each["spec"].get("clusterIP") == ip],
        slices_with=lambda ip: [
            each for each in slices if any(ip in one["addresses"] for one in each["endpoints"])
        ],
    )


CLUSTER = directory(
    [
        service("web", "127.96.0.5", ("http", 80, "TCP"), ("quic", 443, "UDP"), ("", 81, "TCP")),
        service("db", "None", ("sql", 5432, "TCP")),
        service("idle", "None", ("sql", 5432, "TCP")),
        service("shared", "None", ("sql", 5432, "TCP")),
        service("docs", "", type="ExternalName", externalName="docs.example.org"),
        service("number", "", type="ExternalName", externalName="192.0.2.1"),
        service("alias", "", type="ExternalName", externalName="web.shop.svc.cluster.local"),
        service("loop", "", type="ExternalName", externalName="loop.shop.svc.cluster.local"),
    ],
    [
        endpoint_slice("web", endpoint("127.244.1.2")),
        endpoint_slice(
            "db",
            endpoint("127.244.1.4", "db-0"),
            endpoint("127.244.1.3", "db-1"),
            endpoint("127.244.1.5", "db-2", ready=False),
            endpoint("127.244.1.6"),
        ),
        endpoint_slice("idle", endpoint("127.244.1.7", ready=False)),
        endpoint_slice("shared", endpoint("127.244.1.8", "a"), endpoint("127.244.1.9", "a")),
    ],
)
SVC = "shop.svc.cluster.local."
SQL = f"_sql._tcp.db.{SVC}"


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (f"web.{SVC}", "A", ["127.96.0.5"]),
        ("WEB.Shop.svc.cluster.LOCAL.", "A", ["127.96.0.5"]),
        (f"_http._tcp.web.{SVC}", "SRV", [f"0 100 80 web.{SVC}"]),
        (f"_quic._udp.web.{SVC}", "SRV", [f"0 100 443 web.{SVC}"]),
        ("5.0.96.127.in-addr.arpa.", "PTR", [f"web.{SVC}"]),
        (f"db.{SVC}", "A", ["127.244.1.3", "127.244.1.4", "127.244.1.6"]),
        (f"db-0.db.{SVC}", "A", ["127.244.1.4"]),
        (f"127-244-1-6.db.{SVC}", "A", ["127.244.1.6"]),
        (f"a.shared.{SVC}", "A", ["127.244.1.8", "127.244.1.9"]),
        (f"127-244-1-2.web.{SVC}", "A", ["127.244.1.2"]),
        (f"web.{SVC}", "SRV", [f"0 33 {port} web.{SVC}" for port in (443, 80, 81)]),
        (f"shared.{SVC}", "SRV", [f"0 50 5432 a.shared.{SVC}"]),
        ("2.1.244.127.in-addr.arpa.", "PTR", [f"127-244-1-2.web.{SVC}"]),
        (
            SQL,
            "SRV",
            [
                f"0 33 5432 127-244-1-6.db.{SVC}",
                f"0 33 5432 db-0.db.{SVC}",
                f"0 33 5432 db-1.db.{SVC}",
            ],
        ),
        ("4.1.244.127.in-addr.arpa.", "PTR", [f"db-0.db.{SVC}"]),
        ("127-244-1-2.shop.pod.cluster.local.", "A", ["127.244.1.2"]),
        ("dns-version.cluster.local.", "TXT", ['"1.1.0"']),
        ("cluster.local.", "NS", ["ns.dns.cluster.local."]),
        ("ns.dns.cluster.local.", "A", ["127.96.0.10"]),
    ],
)
def test_names_that_have_records(name, kind, expected):
    answer = records.lookup(CLUSTER, name, kind, SERIAL)
    assert answer.code == "NOERROR"
    assert [each.data for each in answer.records] == expected
    assert {each.name for each in answer.records} == {name.lower()}
    assert answer.authority == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"web.{SVC}", "AAAA"),
        (f"db.{SVC}", "AAAA"),
        (f"db-0.db.{SVC}", "AAAA"),
        (f"_http._tcp.web.{SVC}", "A"),
        (f"_tcp.web.{SVC}", "SRV"),
        ("127-244-1-2.shop.pod.cluster.local.", "AAAA"),
        ("cluster.local.", "A"),
        ("svc.cluster.local.", "A"),
        (SVC, "A"),
        ("shop.pod.cluster.local.", "A"),
    ],
)
def test_a_name_without_records_of_the_type_is_an_empty_answer(name, kind):
    assert records.lookup(CLUSTER, name, kind, SERIAL) == Answer("NOERROR", (), (SOA,))


@pytest.mark.parametrize(
    "name",
    [
        f"gone.{SVC}",
        "web.nowhere.svc.cluster.local.",
        "nowhere.svc.cluster.local.",
        f"db-2.db.{SVC}",  # not ready
        f"idle.{SVC}",  # headless without ready endpoints
        f"_https._tcp.web.{SVC}",
        f"_http._udp.web.{SVC}",
        f"127-244-1-9.web.{SVC}",
        f"number.{SVC}",  # an alias of an address
        f"a.b.c.web.{SVC}",
        f"x.docs.{SVC}",
        "127-244-1.shop.pod.cluster.local.",
        "127-244-1-2.nowhere.pod.cluster.local.",
        "www.cluster.local.",
    ],
)
def test_a_name_that_does_not_exist_is_nxdomain(name):
    assert records.lookup(CLUSTER, name, "A", SERIAL) == Answer("NXDOMAIN", (), (SOA,))


def test_an_address_without_a_name_is_nxdomain_in_the_reverse_zone():
    for address in ("9.9.96.127", "5.1.244.127"):
        answer = records.lookup(CLUSTER, f"{address}.in-addr.arpa.", "PTR", SERIAL)
        assert answer == Answer("NXDOMAIN", (), (REVERSE_SOA,))


@pytest.mark.parametrize("name", ["example.org.", ".", "4.4.8.8.in-addr.arpa.", "xcluster.local."])
def test_other_names_are_refused(name):
    assert records.lookup(CLUSTER, name, "A", SERIAL) == Answer("REFUSED")


def test_an_external_name_is_an_alias_for_every_type():
    alias = Record(f"docs.{SVC}", "CNAME", "docs.example.org.")
    for kind in ("A", "AAAA", "CNAME"):
        assert records.lookup(CLUSTER, f"docs.{SVC}", kind, SERIAL).records == (alias,)


def test_an_alias_inside_the_zone_is_followed():
    answer = records.lookup(CLUSTER, f"alias.{SVC}", "A", SERIAL)
    assert answer.records == (
        Record(f"alias.{SVC}", "CNAME", f"web.{SVC}"),
        Record(f"web.{SVC}", "A", "127.96.0.5"),
    )


def test_an_alias_of_itself_is_followed_a_few_times_only():
    answer = records.lookup(CLUSTER, f"loop.{SVC}", "A", SERIAL)
    assert {each.kind for each in answer.records} == {"CNAME"}
    assert len(answer.records) <= 10


def test_srv_records_bring_the_addresses_of_their_hosts():
    answer = records.lookup(CLUSTER, SQL, "SRV", SERIAL)
    assert set(answer.additional) == {
        Record(f"db-0.db.{SVC}", "A", "127.244.1.4"),
        Record(f"db-1.db.{SVC}", "A", "127.244.1.3"),
        Record(f"127-244-1-6.db.{SVC}", "A", "127.244.1.6"),
    }


def test_the_reverse_zone_is_that_of_the_clusters_addresses():
    elsewhere = dataclasses.replace(CLUSTER, address="10.96.0.10")
    answer = records.lookup(elsewhere, "9.9.96.10.in-addr.arpa.", "PTR", SERIAL)
    assert answer == Answer("NXDOMAIN", (), (SOA._replace(name="10.in-addr.arpa."),))
    assert records.lookup(elsewhere, "9.9.96.127.in-addr.arpa.", "PTR", 0).code == "REFUSED"


def test_the_zone_has_a_start_of_authority():
    assert records.lookup(CLUSTER, "cluster.local.", "SOA", SERIAL).records == (SOA,)
