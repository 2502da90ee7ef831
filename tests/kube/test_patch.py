"""Patches, by tables of the documented examples and by properties."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.kube import patch
from labkit.kube.schema import type_of

DEPLOYMENT = type_of("io.k8s.api.apps.v1.Deployment")
POD = type_of("io.k8s.api.core.v1.Pod")
SERVICE = type_of("io.k8s.api.core.v1.Service")

# RFC 7386, appendix A.
MERGE_EXAMPLES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("obj", "change", "expected"), MERGE_EXAMPLES)
def test_merge_patch_does_what_the_rfc_shows(obj, change, expected):
    assert patch.merge_patch(copy.deepcopy(obj), change) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_changes_nothing_when_it_is_applied_again(obj, change):
    once = patch.merge_patch(copy.deepcopy(obj), change)
    assert patch.merge_patch(copy.deepcopy(once), change) == once


@given(OBJECTS, OBJECTS)
def test_without_types_a_strategic_patch_is_a_merge_patch(obj, change):
    wanted = patch.merge_patch(_without_nulls(obj), change)
    found = patch.strategic_merge(_without_nulls(obj), change, type_of("io.k8s.api.core.v1.Node"))
    assert _without_nulls(found) == _without_nulls(wanted)


def _without_nulls(value):
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def pod(*containers, **spec):
    return {"spec": {"containers": [{"name": name, "image": name} for name in containers], **spec}}


def names(obj):
    return [one["name"] for one in obj["spec"]["containers"]]


STRATEGIC = {
    "an element is merged by its key": (
        POD,
        pod("a", "b"),
        {"spec": {"containers": [{"name": "b", "image": "new"}]}},
        {"spec": {"containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "new"}]}},
    ),
    "a new element comes before those that are not named": (
        POD,
        pod("a", "b"),
        {"spec": {"containers": [{"name": "c", "image": "c"}]}},
        pod("c", "a", "b"),
    ),
    "the directive delete removes an element": (
        POD,
        pod("a", "b"),
        {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}},
        pod("b"),
    ),
    "the directive replace in a list replaces the list": (
        POD,
        pod("a", "b"),
        {"spec": {"containers": [{"name": "c", "image": "c"}, {"$patch": "replace"}]}},
        pod("c"),
    ),
    "the directive replace on a map replaces the map": (
        POD,
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "replace", "b": "2"}}},
        {"metadata": {"labels": {"b": "2"}}},
    ),
    "the directive delete on a map empties it": (
        POD,
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "delete"}}},
        {"metadata": {"labels": {}}},
    ),
    "an order given by the patch is kept": (
        POD,
        pod("a", "b", "c"),
        {"spec": {"$setElementOrder/containers": [{"name": n} for n in "cab"]}},
        pod("c", "a", "b"),
    ),
    "an order also places new elements": (
        POD,
        pod("a", "b"),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": n} for n in "acb"],
                "containers": [{"name": "c", "image": "c"}],
            }
        },
        pod("a", "c", "b"),
    ),
    "a new element takes the place of one that is deleted": (
        POD,
        pod("a", "b", "d"),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": n} for n in "bc"],
                "containers": [{"name": "c", "image": "c"}, {"name": "a", "$patch": "delete"}],
            }
        },
        pod("b", "d", "c"),
    ),
    "what the order does not name keeps its place before what it preceded": (
        POD,
        pod("a", "x", "b"),
        {"spec": {"$setElementOrder/containers": [{"name": n} for n in "ab"]}},
        pod("a", "x", "b"),
    ),
    "primitive lists with strategy merge are united": (
        POD,
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
    ),
    "elements are deleted from a primitive list": (
        POD,
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b"]}},
    ),
    "lists without a merge key are replaced": (
        POD,
        {"spec": {"containers": [{"name": "a", "args": ["1", "2"]}]}},
        {"spec": {"containers": [{"name": "a", "args": ["3"]}]}},
        {"spec": {"containers": [{"name": "a", "args": ["3"]}]}},
    ),
    "retainKeys drops what it does not name": (
        DEPLOYMENT,
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
    ),
    "Service ports are merged by port": (
        SERVICE,
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}},
        {"spec": {"ports": [{"port": 81, "targetPort": 8081}]}},
        {
            "spec": {
                "ports": [
                    {"port": 80, "name": "a"},
                    {"port": 81, "name": "b", "targetPort": 8081},
                ]
            }
        },
    ),
    "null removes a field, and is not stored where there was none": (
        POD,
        {"spec": {"nodeName": "n"}},
        {"spec": {"nodeName": None, "hostname": None, "securityContext": {"runAsUser": None}}},
        {"spec": {"securityContext": {}}},
    ),
}


@pytest.mark.parametrize(
    ("type", "obj", "change", "expected"), STRATEGIC.values(), ids=STRATEGIC.keys()
)
def test_strategic_merge(type, obj, change, expected):
    found = patch.strategic_merge(copy.deepcopy(obj), change, type)
    assert _sorted_lists(found) == _sorted_lists(expected)
    if "containers" in expected.get("spec", {}):
        assert names(found) == names(expected)


def _sorted_lists(value):
    if isinstance(value, dict):
        return {key: _sorted_lists(item) for key, item in value.items()}
    return sorted(value, key=repr) if isinstance(value, list) else value


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.permutations("abcdef"),
)
def test_merged_lists_keep_all_elements_and_the_order_that_the_patch_sets(present, sent, order):
    change = {
        "spec": {
            "containers": [{"name": name, "image": "new"} for name in sent],
            "$setElementOrder/containers": [{"name": name} for name in order],
        }
    }
    found = patch.strategic_merge(pod(*present), change, POD)
    assert names(found) == [name for name in order if name in present or name in sent]
    assert {one["name"]: one["image"] for one in found["spec"]["containers"]} == {
        **{name: name for name in present},
        **dict.fromkeys(sent, "new"),
    }


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True),
)
def test_without_an_order_both_lists_keep_theirs(present, sent):
    change = {"spec": {"containers": [{"name": name} for name in sent]}}
    found = names(patch.strategic_merge(pod(*present), change, POD))
    assert [name for name in found if name in sent] == sent
    assert [name for name in found if name not in sent] == [n for n in present if n not in sent]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "does not contain declared merge key: name"),
        ({"spec": {"$patch": "nonsense"}}, "unknown patch type"),
        ({"spec": {"$retainKeys": ["a"], "nodeName": "n"}}, "does not name nodeName"),
        ({"spec": {"$setElementOrder/containers": "a"}}, "is not a list"),
    ],
)
def test_a_strategic_patch_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(patch.PatchError, match=words.replace("$", r"\$")):
        patch.strategic_merge(pod("a"), change, POD)


def test_a_json_patch_applies_in_order():
    obj = {"spec": {"replicas": 1, "list": [1, 2]}}
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
        {"op": "add", "path": "/spec/list/-", "value": 3},
        {"op": "remove", "path": "/spec/list/0"},
    ]
    assert patch.json_patch(obj, operations) == {"spec": {"replicas": 5, "list": [2, 3]}}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/missing"}],
        [{"op": "nonsense", "path": "/a"}],
        [{"path": "/a"}],
        ["text"],
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(operations):
    with pytest.raises(patch.PatchError):
        patch.json_patch({"a": 1}, operations)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (("test", "/a/b"), "testing value /a/b failed: test failed"),
        (("add", "/x/y"), 'add operation does not apply: doc is missing path: "/x/y"'),
        (("remove", "/x/y"), 'remove operation does not apply: doc is missing path: "/x/y"'),
        (
            ("remove", "/a/x"),
            "error in remove for path: '/a/x': Unable to remove nonexistent key: x",
        ),
        (("replace", "/x/y"), "replace operation does not apply: doc is missing path: /x/y"),
    ],
    ids=str,
)
def test_a_json_patch_that_does_not_fit_says_why_in_upstreams_words(operation, words):
    name, path = operation
    with pytest.raises(patch.PatchError) as caught:
        patch.json_patch({"a": {"b": 1}}, [{"op": name, "path": path, "value": 2}])
    assert str(caught.value).startswith(words)
