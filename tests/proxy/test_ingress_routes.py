"""Which backend a request is for, by tables: those of the Kubernetes documentation first."""

import pytest

from labkit.proxy.ingress import routes
from labkit.proxy.ingress.routes import EXACT, PREFIX, SPECIFIC


def backend(name, port=80):
    key = "name" if isinstance(port, str) else "number"
    return {"service": {"name": name, "port": {key: port}}}


def paths(*entries):
    """(type, path) → a Service named by its place."""
    return {
        "paths": [
            {"pathType": kind, "path": path, "backend": backend(f"s{index}")}
            for index, (kind, path) in enumerate(entries)
        ]
    }


def ingress(*rules, name="web", created="2024-01-01T00:00:00Z", annotations=None, **spec):
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "creationTimestamp": created,
            "annotations": {
                routes.ANNOTATIONS + key: text for key, text in (annotations or {}).items()
            },
        },
        "spec": {"rules": [{"host": host, "http": http} for host, http in rules], **spec},
    }


def served(table, host, path):
    found = table.find(host, path)
    return found.backend.service if found and found.backend else None


@pytest.mark.parametrize(
    ("kind", "path", "request_path", "matches"),
    [
        # Kubernetes documentation, "Ingress", "Examples"
        (PREFIX, "/", "/any/path", True),
        (EXACT, "/foo", "/foo", True),
        (EXACT, "/foo", "/bar", False),
        (EXACT, "/foo", "/foo/", False),
        (EXACT, "/foo/", "/foo", False),
        (PREFIX, "/foo", "/foo", True),
        (PREFIX, "/foo", "/foo/", True),
        (PREFIX, "/foo/", "/foo", True),
        (PREFIX, "/foo/", "/foo/", True),
        (PREFIX, "/aaa/bb", "/aaa/bbb", False),
        (PREFIX, "/aaa/bbb", "/aaa/bbb", True),
        (PREFIX, "/aaa/bbb/", "/aaa/bbb", True),
        (PREFIX, "/aaa/bbb", "/aaa/bbb/", True),
        (PREFIX, "/aaa/bbb", "/aaa/bbb/ccc", True),
        (PREFIX, "/aaa/bbb", "/aaa/bbbxyz", False),
        (PREFIX, "/foo", "/FOO", False),
        (SPECIFIC, "/foo", "/foobar", True),  # nginx' own prefix
        (SPECIFIC, "/foo", "/fo", False),
        (SPECIFIC, "/foo.*", "/foobar", False),  # no regular expression unless it is asked for
    ],
)
def test_paths_that_match(kind, path, request_path, matches):
    table = routes.table([ingress(("", paths((kind, path))))])
    assert (served(table, "any.example.org", request_path) == "s0") is matches


@pytest.mark.parametrize(
    ("entries", "request_path", "expected"),
    [
        ([(PREFIX, "/"), (PREFIX, "/aaa")], "/aaa/ccc", "s1"),
        ([(PREFIX, "/"), (PREFIX, "/aaa")], "/ccc", "s0"),
        ([(PREFIX, "/"), (PREFIX, "/aaa"), (PREFIX, "/aaa/bbb")], "/aaa/bbb", "s2"),
        ([(PREFIX, "/aaa")], "/ccc", None),
        ([(PREFIX, "/foo"), (EXACT, "/foo")], "/foo", "s1"),
        ([(PREFIX, "/foo/"), (EXACT, "/foo")], "/foo", "s1"),
        ([(PREFIX, "/foo"), (EXACT, "/foo")], "/foo/", "s0"),
        ([(SPECIFIC, "/foo"), (PREFIX, "/foo")], "/foo", "s1"),
    ],
)
def test_of_several_paths_the_longest_wins_and_of_equal_ones_the_exact(
    entries, request_path, expected
):
    table = routes.table([ingress(("shop.example.org", paths(*entries)))])
    assert served(table, "shop.example.org", request_path) == expected


ALL = paths((PREFIX, "/"))


def one(name):
    return {"paths": [{"pathType": PREFIX, "path": "/", "backend": backend(name)}]}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.example.org", "exact"),
        ("SHOP.example.org:8080", "exact"),
        ("shop.example.org.", "exact"),
        ("bar.example.org", "wild"),
        ("a.b.example.org", "any"),  # a wildcard covers one label
        ("example.org", "any"),
        ("127.0.0.1:30080", "any"),
        ("", "any"),
    ],
)
def test_hosts_that_match(host, expected):
    rules = {"shop.example.org": "exact", "*.example.org": "wild", "": "any"}
    table = routes.table([ingress(*((name, one(backend)) for name, backend in rules.items()))])
    assert served(table, host, "/") == expected


def test_the_default_backend_gets_what_no_rule_matches():
    table = routes.table(
        [
            ingress(name="all", defaultBackend=backend("everything")),
            ingress(("shop.org", paths((PREFIX, "/a"))), defaultBackend=backend("of-shop")),
            ingress(("other.org", paths((PREFIX, "/a"))), name="other"),
        ]
    )
    assert served(table, "shop.org", "/a") == "s0"
    assert served(table, "shop.org", "/b") == "of-shop"
    assert served(table, "other.org", "/b") == "everything"
    assert served(table, "unknown.org", "/") == "everything"


def test_without_a_default_backend_there_is_nothing():
    table = routes.table([ingress(("shop.org", paths((PREFIX, "/a"))))])
    assert table.find("shop.org", "/b") is None
    assert table.find("other.org", "/a") is None


def test_ingresses_share_a_host_and_the_oldest_keeps_its_path():
    older = ingress(("shop.org", one("older")), created="2024-01-01T00:00:00Z", name="z")
    newer = ingress(
        ("shop.org", {"paths": [*one("newer")["paths"], *paths((PREFIX, "/new"))["paths"]]}),
        created="2024-01-02T00:00:00Z",
        name="a",
    )
    table = routes.table([newer, older])
    assert served(table, "shop.org", "/") == "older"
    assert served(table, "shop.org", "/new") == "s0"


@pytest.mark.parametrize(
    ("kind", "path", "target", "request_path", "passed_on"),
    [
        (SPECIFIC, "/something(/|$)(.*)", "/$2", "/something", "/"),
        (SPECIFIC, "/something(/|$)(.*)", "/$2", "/something/", "/"),
        (SPECIFIC, "/something(/|$)(.*)", "/$2", "/something/new", "/new"),
        (PREFIX, "/api(/|$)(.*)", "/v1/$2", "/api/rule/1", "/v1/rule/1"),
        (PREFIX, "/app", "/", "/app/deep/down", "/"),  # without captures the target is all
        (SPECIFIC, "/x/(.*)/(.*)", "$2/$1", "/x/a/b", "/b/a"),
        (SPECIFIC, "/opt(/a)?", "/b$1$5", "/opt", "/b"),  # what matched nothing is empty
        (EXACT, "/old", "/new", "/old", "/new"),
    ],
)
def test_rewrites(kind, path, target, request_path, passed_on):
    annotations = {"rewrite-target": target}
    table = routes.table([ingress(("", paths((kind, path))), annotations=annotations)])
    assert table.find("x", request_path).rewritten(request_path) == passed_on


def test_regular_expressions_match_from_the_beginning_and_whatever_the_case():
    entries = paths((SPECIFIC, "/foo/[a-z]{2}"), (SPECIFIC, "/foo/"))
    table = routes.table([ingress(("", entries), annotations={"use-regex": "true"})])
    assert served(table, "x", "/FOO/ab/more") == "s0"
    assert served(table, "x", "/foo/1") == "s1"
    assert served(table, "x", "/a/foo/ab") is None


def test_what_is_no_regular_expression_is_told_and_the_rest_is_served():
    entries = paths((SPECIFIC, "/a(b"), (PREFIX, "/c"))
    table = routes.table([ingress(("", entries), annotations={"use-regex": "true"})])
    assert served(table, "x", "/c") == "s1"
    assert [name for name, _ in table.wrong] == ["shop/web"]
    assert table.wrong[0][1].startswith("/a(b is no regular expression: ")


@pytest.mark.parametrize(
    ("tls", "annotations", "secure"),
    [
        ([], {}, False),
        ([{"hosts": ["shop.org"], "secretName": "s"}], {}, True),
        ([{"hosts": ["*.org"], "secretName": "s"}], {}, True),
        ([{"secretName": "s"}], {}, True),
        ([{"hosts": ["other.org"], "secretName": "s"}], {}, False),
        ([{"hosts": ["shop.org"]}], {"ssl-redirect": "false"}, False),
        ([], {"force-ssl-redirect": "true"}, True),
    ],
)
def test_when_plain_http_is_sent_to_https(tls, annotations, secure):
    table = routes.table([ingress(("shop.org", ALL), annotations=annotations, tls=tls)])
    assert table.find("shop.org", "/").secure is secure


def test_the_secret_for_a_name():
    tls = [
        {"hosts": ["shop.org", "*.shop.org"], "secretName": "first"},
        {"secretName": "rest"},
        {"hosts": ["bare.org"]},
    ]
    table = routes.table([ingress(("any.org", ALL), tls=tls)])
    names = ("shop.org", "a.shop.org", "any.org", "bare.org", "x.y.shop.org", "")
    secrets = ["shop/first", "shop/first", "shop/rest", "", "", ""]
    assert [table.secret(name) for name in names] == secrets


def test_a_backend_is_a_port_of_a_service_by_number_or_name():
    entry = {"pathType": PREFIX, "path": "/", "backend": backend("web", "http")}
    table = routes.table([ingress(("", {"paths": [entry]}))])
    assert table.find("x", "/").backend == ("shop", "web", "http")
    resource = {"resource": {"kind": "Bucket", "name": "b"}}
    entry = {"pathType": PREFIX, "path": "/", "backend": resource}
    table = routes.table([ingress(("", {"paths": [entry]}))])
    assert table.find("x", "/").backend is None


@pytest.mark.parametrize(
    ("spec", "annotations", "expected"),
    [
        ({"ingressClassName": "nginx"}, {}, True),
        ({"ingressClassName": "other"}, {}, False),
        ({}, {"kubernetes.io/ingress.class": "nginx"}, True),
        ({}, {}, False),
        ({"ingressClassName": "gone"}, {}, False),
    ],
)
def test_ingresses_of_our_classes(spec, annotations, expected):
    classes = [
        {"metadata": {"name": "nginx"}, "spec": {"controller": "us"}},
        {"metadata": {"name": "other"}, "spec": {"controller": "them"}},
    ]
    obj = {"metadata": {"annotations": annotations}, "spec": spec}
    assert routes.is_ours(obj, classes, "us") is expected
