"""Names, times, conditions, owners and paths."""

from __future__ import annotations

import random

import pytest

from labkit.kube import conditions, names, objects, times
from labkit.kube.resources import DEPLOYMENTS, NODES, PODS


def test_a_generated_name_is_its_prefix_and_five_safe_letters():
    name = names.generated("web-", random.Random(1))
    assert name.startswith("web-")
    assert len(name) == len("web-") + 5
    assert set(name[4:]) <= set(names.ALPHABET)


def test_a_generated_name_fits_a_label():
    assert len(names.generated("x" * 80)) == 63


def test_equal_templates_have_equal_hashes_whatever_their_key_order():
    one, other = {"a": 1, "b": {"c": 2}}, {"b": {"c": 2}, "a": 1}
    assert names.pod_template_hash(one) == names.pod_template_hash(other)
    assert names.pod_template_hash(one) != names.pod_template_hash(one, collisions=1)


def test_times_round_trip_and_drop_fractions():
    assert times.rfc3339(0.9) == "1970-01-01T00:00:00Z"
    assert times.rfc3339_micro(0.25) == "1970-01-01T00:00:00.250000Z"
    assert times.parse("1970-01-01T00:00:01Z") == 1
    assert times.parse("1970-01-01T01:00:00.5+01:00") == 0.5


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01T00:00:00"])
def test_what_is_no_rfc3339_time_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 (the standard library words it)
        times.parse(text)


def test_a_condition_keeps_its_transition_time_while_its_status_stays():
    first = conditions.updated(None, "Ready", "False", "Starting", "wait", "t1")
    second = conditions.updated(first, "Ready", "False", "StillStarting", "wait", "t2")
    third = conditions.updated(second, "Ready", "True", "", "", "t3")
    assert second[0]["lastTransitionTime"] == "t1"
    assert second[0]["reason"] == "StillStarting"
    assert third[0]["lastTransitionTime"] == "t3"
    assert first[0]["reason"] == "Starting", "the old list is left as it was"


def test_setting_one_condition_leaves_the_others():
    both = conditions.updated([{"type": "A", "status": "True"}], "B", "True", "", "", "t")
    assert [entry["type"] for entry in both] == ["A", "B"]


def test_keys_name_objects_in_and_out_of_namespaces():
    pod = {"metadata": {"namespace": "default", "name": "web"}}
    assert objects.key(pod) == "default/web"
    assert objects.split_key("default/web") == ("default", "web")
    assert objects.split_key("node-1") == (None, "node-1")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("default"), "/api/v1/namespaces/default/pods"),
        (PODS.path("default", "web", "status"), "/api/v1/namespaces/default/pods/web/status"),
        (DEPLOYMENTS.path("a", "b"), "/apis/apps/v1/namespaces/a/deployments/b"),
        (NODES.path("ignored", "n1"), "/api/v1/nodes/n1"),
    ],
)
def test_a_resource_knows_its_path(path: str, expected: str):
    assert path == expected
