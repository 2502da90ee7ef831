"""Which requests are connections, where a proxy's go, and what it does to links."""

from __future__ import annotations

import pytest

from labkit.apiserver import connect, proxying, rewriting
from labkit.client import ApiError

POD = "/api/v1/namespaces/shop/pods/web"
PREFIX = "/api/v1/namespaces/shop/services/web/proxy"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{POD}/exec", ("shop", "web", "exec")),
        (f"{POD}/portforward", ("shop", "web", "portforward")),
        (f"{POD}/status", None),
        (f"{POD}/exec/more", None),
        ("/api/v1/namespaces/shop/pods/log", None),
        ("/api/v1/namespaces/shop/configmaps/proxy", None),
        ("/api/v1/namespaces/shop/configmaps/web/proxy", None),
        ("/api/v1/namespaces/proxy/pods/web", None),
        ("/apis/apps/v1/namespaces/shop/pods/web/proxy", None),
        ("/api/v1/namespaces/shop/pods//proxy", None),
        (f"{POD}/proxy", ("pods", "shop", "web", f"{POD}/proxy", None)),
        (f"{POD}/proxy/", ("pods", "shop", "web", f"{POD}/proxy", "")),
        (f"{POD}/proxy/a%2Fb//c/", ("pods", "shop", "web", f"{POD}/proxy", "a%2Fb//c/")),
        (
            "/api/v1/namespaces/shop/services/https%3Aweb%3A443/proxy/x",
            (
                "services",
                "shop",
                "https:web:443",
                "/api/v1/namespaces/shop/services/https%3Aweb%3A443/proxy",
                "x",
            ),
        ),
        ("/api/v1/nodes/n1/proxy/pods", ("nodes", "", "n1", "/api/v1/nodes/n1/proxy", "pods")),
    ],
)
def test_a_path_tells_whether_it_is_a_connection(path: str, expected: tuple | None):
    assert connect.parse(path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", ("http", "web", "")),
        ("web:80", ("http", "web", "80")),
        ("https:web:", ("https", "web", "")),
        (":web:http", ("http", "web", "http")),
    ],
)
def test_a_name_may_have_a_scheme_and_a_port(text: str, expected: tuple):
    assert proxying.split(text, "pod") == expected


@pytest.mark.parametrize("text", ["", ":80", "ftp:web:80", "a:b:c:d"])
def test_other_names_are_bad_requests(text: str):
    with pytest.raises(ApiError, match=f'invalid pod request "{text}"'):
        proxying.split(text, "pod")


def test_only_ready_endpoints_with_the_port_are_chosen():
    slice_ = {
        "ports": [{"name": "http", "port": 3001}, {"name": "other", "port": 9}],
        "endpoints": [
            {"addresses": ["127.244.1.2"], "conditions": {"ready": True}},
            {"addresses": ["127.244.1.3"], "conditions": {"ready": False}},
            {"addresses": ["fd00::1"]},
        ],
    }
    assert list(proxying.endpoints(slice_, "http")) == ["127.244.1.2:3001", "[fd00::1]:3001"]
    assert list(proxying.endpoints(slice_, "")) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a?b=c#d", f"{PREFIX}/a?b=c#d"),
        ("near", "near"),
        ("?q", "?q"),
        ("http://10.1.2.3:80/a", f"{PREFIX}/a"),
        ("http://elsewhere/a", "http://elsewhere/a"),
        ("//elsewhere/a", "//elsewhere/a"),
        (f"{PREFIX}/a", f"{PREFIX}/a"),
        ("http://[broken/", "http://[broken/"),
    ],
)
def test_links_to_the_root_stay_behind_the_proxy(target: str, expected: str):
    assert rewriting.link(target, PREFIX, ("10.1.2.3:80",)) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<a href="/a">', f'<a href="{PREFIX}/a">'),
        ("<IMG alt='x > y' SRC='/a'/>", f"<IMG alt='x > y' SRC='{PREFIX}/a'/>"),
        ("<form method=post action=/a>", f"<form method=post action={PREFIX}/a>"),
        ('<p href="/a">/b</p>', '<p href="/a">/b</p>'),
        ("<script>let a = '/b'</script>", "<script>let a = '/b'</script>"),
        ('<a href="/a', '<a href="/a'),
    ],
)
def test_links_of_a_page_are_changed_and_nothing_else(page: str, expected: str):
    assert rewriting.page(page.encode(), PREFIX, ()).decode() == expected


def test_a_page_that_is_made_to_be_slow_is_not():
    for page in (b"<a " * 100_000, b'<a href="' * 100_000, b"<a " + b"/" * 1_000_000):
        assert rewriting.page(page, PREFIX, ()) == page
