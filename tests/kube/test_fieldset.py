"""Sets of fields: operations, elements of lists, and how paths are worded."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.kube import fieldset
from labkit.kube.fieldset import ElementError
from labkit.kube.schema import Type

_PARTS = st.sampled_from(["f:a", "f:b", "f:c", 'k:{"name":"x"}', 'v:"x"'])
_PATHS = st.lists(_PARTS, min_size=1, max_size=4).map(tuple)
_SETS = st.sets(_PATHS, max_size=8)


def of(paths):
    fields = {}
    for path in paths:
        fields = fieldset.union(fields, fieldset.only(path))
    return fields


@given(_SETS, _SETS)
def test_operations_on_trees_are_those_on_sets_of_paths(left, right):
    one, other = of(left), of(right)
    assert set(fieldset.paths(one)) == left
    assert set(fieldset.paths(fieldset.union(one, other))) == left | right
    assert set(fieldset.paths(fieldset.difference(one, other))) == left - right
    assert set(fieldset.paths(fieldset.intersection(one, other))) == left & right
    assert all(fieldset.has(one, path) == (path in left) for path in left | right)


@given(_SETS, _SETS)
def test_equal_sets_are_equal_trees_whatever_way_they_were_made(left, right):
    assert of(sorted(left)) == of(sorted(left, reverse=True))
    rest = fieldset.difference(fieldset.union(of(left), of(right)), of(right))
    assert rest == of(left - right)


@given(_SETS, _SETS)
def test_an_operation_without_effect_returns_its_argument(left, right):
    one = of(left)
    assert (fieldset.union(one, of(right)) is one) == (right <= left) or not (left and right)
    assert (fieldset.difference(one, of(right)) is one) == (not left & right)


@given(_SETS)
def test_a_set_survives_being_written_and_parsed(paths):
    assert fieldset.parse(orjson.loads(orjson.dumps(of(paths)))) == of(paths)


@pytest.mark.parametrize(
    "tree", ["f:a", {"x": {}}, {"f:a": [1]}, {"k:{": {}}, {"k:[]": {}}, {"v:": {}}], ids=str
)
def test_what_is_no_set_is_refused(tree):
    with pytest.raises(ValueError, match=r".+"):
        fieldset.parse(tree)


PORTS = Type(
    "list",
    items=Type("any"),
    relation="map",
    list_keys=("containerPort", "protocol"),
    key_defaults={"protocol": "TCP"},
)
NAMED = Type("list", items=Type("any"), relation="map", list_keys=("name",))
SET = Type("list", items=Type("string"), relation="set")


@pytest.mark.parametrize(
    ("type", "item", "expected"),
    [
        (PORTS, {"containerPort": 80}, 'k:{"containerPort":80,"protocol":"TCP"}'),
        (
            PORTS,
            {"protocol": "UDP", "containerPort": 53},
            'k:{"containerPort":53,"protocol":"UDP"}',
        ),
        (NAMED, {"name": 'a"b'}, 'k:{"name":"a\\"b"}'),
        (NAMED, {"name": 1}, 'k:{"name":1}'),
        (NAMED, {"name": True}, 'k:{"name":true}'),
        (SET, "x", 'v:"x"'),
    ],
    ids=str,
)
def test_the_element_of_an_item(type, item, expected):
    assert fieldset.element(type, item) == expected


@pytest.mark.parametrize(("type", "item"), [(NAMED, {}), (NAMED, None), (NAMED, "x"), (SET, {})])
def test_an_item_without_identity_has_no_element(type, item):
    with pytest.raises(ElementError):
        fieldset.element(type, item)


def test_paths_are_worded_as_upstream_words_them():
    path = ("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert fieldset.path_text(path) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    path = ("f:metadata", "f:finalizers", 'v:"example.com/x"')
    assert fieldset.path_text(path) == '.metadata.finalizers[="example.com/x"]'
