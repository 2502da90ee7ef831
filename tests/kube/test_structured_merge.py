"""Structured merge: fields, differences, merging and removing, by type."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.kube import fieldset, structured_merge
from labkit.kube.schema import ANY, Type, type_of
from labkit.kube.structured_merge import MergeError, compare, fields_of, merge, remove

TEXT = Type("string", "string")
ITEM = Type("object", "Item", {"name": TEXT, "image": TEXT})
ITEMS = Type("list", items=ITEM, relation="map", list_keys=("name",))
SET = Type("list", items=TEXT, relation="set")
LIST = Type("list", items=TEXT)
MAP = Type("map", items=TEXT)
ATOMIC = Type("map", items=TEXT, relation="atomic")
THING = Type(
    "object",
    "Thing",
    {"items": ITEMS, "set": SET, "list": LIST, "map": MAP, "atomic": ATOMIC, "text": TEXT},
)

_WORDS = st.sampled_from("abcd")
_ITEMS = st.dictionaries(_WORDS, st.none() | _WORDS, max_size=3).map(
    lambda found: [
        {"name": name, **({"image": image} if image else {})} for name, image in found.items()
    ]
)
_THINGS = st.fixed_dictionaries(
    {},
    optional={
        "items": _ITEMS,
        "set": st.lists(_WORDS, unique=True, max_size=3),
        "list": st.lists(_WORDS, max_size=2),
        "map": st.dictionaries(_WORDS, _WORDS, max_size=3),
        "atomic": st.dictionaries(_WORDS, _WORDS, max_size=2),
        "text": _WORDS,
    },
)


def test_a_configurations_fields_are_its_leaves_and_elements():
    thing = {
        "items": [{"name": "a", "image": "x"}],
        "set": ["x"],
        "list": ["x"],
        "map": {"k": "v"},
        "atomic": {"k": "v"},
        "text": "x",
    }
    assert fields_of(THING, thing) == {
        "f:items": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:image": {}}},
        "f:set": {'v:"x"': {}},
        "f:list": {},
        "f:map": {"f:k": {}},
        "f:atomic": {},
        "f:text": {},
    }


@pytest.mark.parametrize(
    ("old", "new", "changed", "removed"),
    [
        ({"text": "a"}, {"text": "a"}, None, None),
        ({"text": "a"}, {"text": "b"}, {"f:text": {}}, None),
        ({}, {"map": {"k": "v"}}, {"f:map": {".": {}, "f:k": {}}}, None),
        ({"map": {}}, {"map": {"k": "v"}}, {"f:map": {"f:k": {}}}, None),
        ({"map": {"k": "v", "l": "v"}}, {"map": {"k": "v"}}, None, {"f:map": {"f:l": {}}}),
        ({"set": ["a"]}, {"set": ["b"]}, {"f:set": {'v:"b"': {}}}, {"f:set": {'v:"a"': {}}}),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, None, None),
        ({"list": ["a", "b"]}, {"list": ["b", "a"]}, {"f:list": {}}, None),
        ({"atomic": {"a": "b"}}, {"atomic": {}}, {"f:atomic": {}}, None),
        (
            {"items": [{"name": "a", "image": "x"}]},
            {"items": [{"name": "b"}, {"name": "a", "image": "y"}]},
            {
                "f:items": {
                    'k:{"name":"b"}': {".": {}, "f:name": {}},
                    'k:{"name":"a"}': {"f:image": {}},
                }
            },
            None,
        ),
        (
            {"items": [{"name": "a"}]},
            {"items": [{"name": "a"}, {"name": "a", "image": "x"}]},
            {"f:items": {'k:{"name":"a"}': {}}},
            {"f:items": {'k:{"name":"a"}': {".": {}, "f:name": {}}}},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_different(old, new, changed, removed):
    assert compare(THING, old, new) == (changed, removed)


def names(text):
    return [{"name": name} for name in text]


# live, configuration, result; what upstream's own tests settle.
@pytest.mark.parametrize(
    ("live", "config", "expected"),
    [
        ("abc", "", "abc"),
        ("", "abc", "abc"),
        ("ab", "ba", "ba"),
        ("abc", "def", "abcdef"),
        ("abc", "cdef", "abcdef"),
        ("abcgf", "cdef", "abcgdef"),
        ("cdef", "ace", "acdef"),
        ("abcxyz", "defxyz", "abcdefxyz"),
        ("cagf", "cfag", "cfag"),
        ("abcd", "defa", "bcdefa"),
        ("cdefghij", "2h3e4kl", "cdfg2hij3e4kl"),
        ("abcdefghij", "1b2h3e4kl", "a1bcdfg2hij3e4kl"),
    ],
)
def test_the_order_of_merged_lists(live, config, expected):
    assert merge(SET, list(live), list(config)) == list(expected)
    assert merge(ITEMS, names(live), names(config)) == names(expected)


@given(_THINGS, _THINGS)
def test_what_was_merged_in_is_there_and_merging_again_changes_nothing(live, config):
    before = copy.deepcopy((live, config))
    merged = merge(THING, live, config)
    assert merge(THING, merged, config) == merged
    everything = structured_merge.whole(THING, merged)
    assert not fieldset.difference(fields_of(THING, config), everything)
    assert (live, config) == before


@given(_THINGS, _THINGS)
def test_what_is_not_different_is_equal_but_for_order(old, new):
    changed, removed = compare(THING, old, new)
    if changed is None and removed is None:
        assert fields_of(THING, old) == fields_of(THING, new)
    whole = {**(changed or {}), **(removed or {})}
    assert bool(whole) == (compare(THING, new, old) != (None, None))


@given(_THINGS)
def test_nothing_is_left_when_all_fields_are_removed(thing):
    fields = structured_merge.with_named(THING, fields_of(THING, thing))
    left = remove(THING, thing, fields) or {}
    assert all(not value for value in left.values())


def test_what_has_no_schema_is_deduced():
    value = {"a": {"b": 1}, "list": [{"name": "x"}]}
    assert fields_of(ANY, value) == {"f:a": {".": {}, "f:b": {}}, "f:list": {}}
    assert merge(ANY, value, {"a": {"c": 2}, "list": []}) == {"a": {"b": 1, "c": 2}, "list": []}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"more": 1}, ".more: field not declared in schema"),
        ({"items": names("aa")}, '.items: duplicate entries for key [name="a"]'),
        ({"set": ["x", "x"]}, '.set: duplicate entries for key [="x"]'),
        ({"items": [{"name": "a", "x": "x"}]}, '.items[name="a"].x: field not declared in schema'),
        ({"items": [{"image": "x"}]}, ".items: element 0: associative list with keys has an"),
        ({"text": 1}, ".text: expected string, got"),
        ({"map": []}, ".map: expected map, got"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_the_type_is_refused(value, message):
    with pytest.raises(MergeError) as caught:
        structured_merge.check(THING, value)
    assert str(caught.value).startswith(message)


def test_kubernetes_own_types_say_how_they_merge():
    pod = type_of("io.k8s.api.core.v1.Pod")
    spec = {
        "containers": [{"name": "c", "ports": [{"containerPort": 80}], "args": ["a"]}],
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k"}],
    }
    assert fields_of(pod, {"metadata": {"finalizers": ["a.b/c"]}, "spec": spec}) == {
        "f:metadata": {"f:finalizers": {'v:"a.b/c"': {}}},
        "f:spec": {
            "f:containers": {
                'k:{"name":"c"}': {
                    ".": {},
                    "f:name": {},
                    "f:ports": {
                        'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
                    },
                    "f:args": {},
                }
            },
            "f:nodeSelector": {},
            "f:tolerations": {},
        },
    }
