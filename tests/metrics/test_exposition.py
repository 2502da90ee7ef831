"""Reading a kubelet's `/metrics/resource`."""

from pathlib import Path

import pytest

from labkit.metrics.exposition import Batch, Point, Sample, decode, parse

NOW = 1_700_000_100.0

# As a real kubelet 1.30 writes it.
KUBELET = (Path(__file__).parent / "kubelet-1.30.txt").read_text()


def test_a_kubelets_text_becomes_points_of_its_node_and_containers():
    assert decode(KUBELET, "lab-worker", NOW) == Batch(
        nodes={"lab-worker": Point(1700000002000, 341_000_000_000, 1_500_000_000)},
        pods={
            ("kube-system", "coredns-76f75df574-2x8xk"): {
                "coredns": Point(1700000000123, 1_500_000_000, 15_532_032, 1699999900123)
            },
            ("default", "web-0"): {
                "web": Point(1700000001000, 250_000_000, 1_048_576, 1699999999000),
                "log": Point(1700000001000, 0, 4096),
            },
        },
    )


def test_a_missing_time_is_the_time_of_the_scrape():
    text = "node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes 2\n"
    assert decode(text, "n", NOW).nodes["n"].at == 1_700_000_100_000


@pytest.mark.parametrize(
    "missing", ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"]
)
def test_a_pod_with_an_incomplete_container_is_left_out(missing):
    lines = [
        line
        for line in KUBELET.splitlines()
        if not (line.startswith(missing) and 'container="log"' in line)
    ]
    assert list(decode("\n".join(lines), "n", NOW).pods) == [
        ("kube-system", "coredns-76f75df574-2x8xk")
    ]


def test_a_container_without_any_memory_has_ended():
    text = KUBELET.replace('pod="web-0"} 4096', 'pod="web-0"} 0')
    assert ("default", "web-0") not in decode(text, "n", NOW).pods


def test_a_node_may_use_nothing_at_all():
    text = "node_cpu_usage_seconds_total 0 5\nnode_memory_working_set_bytes 0 5\n"
    assert decode(text, "n", NOW).nodes == {"n": Point(5, 0, 0)}
    assert decode("node_cpu_usage_seconds_total 0 5\n", "n", NOW).nodes == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("up 1", Sample("up", {}, 1.0, None)),
        ("up{} 1 -5", Sample("up", {}, 1.0, -5)),
        ("  a:b_c  \t -1.5e-3  ", Sample("a:b_c", {}, -0.0015, None)),
        ('a{b="c"} +Inf 17', Sample("a", {"b": "c"}, float("inf"), 17)),
        ('a{b="c",} 1', Sample("a", {"b": "c"}, 1.0, None)),
        ('a{ b = "c" , d="" } 1', Sample("a", {"b": "c", "d": ""}, 1.0, None)),
        (r'a{b="x\"y\\z\n} {",d="e"} 1', Sample("a", {"b": 'x"y\\z\n} {', "d": "e"}, 1.0, None)),
        ('a{b="ü,="} 1', Sample("a", {"b": "ü,="}, 1.0, None)),
    ],
)
def test_lines_of_the_format(line, expected):
    assert list(parse(f"# HELP up x\n\n{line}\n")) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "up",
        "up one",
        "1up 1",
        'a{b="c" 1',
        "a{b=c} 1",
        'a{b="c"d="e"} 1',
        'a{b="c} 1',
        "up 1 2 3",
        "<html>",
    ],
)
def test_a_malformed_line_is_named(line):
    with pytest.raises(ValueError, match="line 2 of the metrics is malformed") as caught:
        list(parse(f"up 1\n{line}"))
    assert repr(line) in str(caught.value)
