"""Structural schemas: what they drop, fill in and refuse."""

from __future__ import annotations

from copy import deepcopy

import pytest

from labkit.apiserver.custom import definition_schema, formats, listtype, structural
from labkit.apiserver.custom.values import Validator

PRESERVE = {structural.PRESERVE: True}
STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def of(**fields) -> dict:
    return {"type": "object", "properties": fields}


def listed(items: dict, **more) -> dict:
    return {"type": "array", "items": items, **more}


@pytest.mark.parametrize(
    ("schema", "given", "kept", "unknown"),
    [
        (of(a=STRING), {"a": "x", "b": 1}, {"a": "x"}, ["b"]),
        (of(a=of(b=STRING)), {"a": {"c": 1}}, {"a": {}}, ["a.c"]),
        (of(a=listed(of(b=STRING))), {"a": [{"c": 1}]}, {"a": [{}]}, ["a[0].c"]),
        (of(a={"type": "object", "additionalProperties": of(b=STRING)}),
         {"a": {"k": {"b": "", "c": 1}}}, {"a": {"k": {"b": ""}}}, ["a.k.c"]),
        (of(a=PRESERVE), {"a": {"anything": {"goes": 1}}}, {"a": {"anything": {"goes": 1}}}, []),
        (of(a={**of(b=of(c=STRING)), **PRESERVE}),
         {"a": {"x": 1, "b": {"c": "", "d": 1}}}, {"a": {"x": 1, "b": {"c": ""}}}, ["a.b.d"]),
        (of(a={"type": "object", structural.EMBEDDED: True, "properties": {"spec": of()}}),
         {"a": {"kind": "K", "metadata": {"name": "n"}, "spec": {"x": 1}, "y": 2}},
         {"a": {"kind": "K", "metadata": {"name": "n"}, "spec": {}}}, ["a.spec.x", "a.y"]),
        (of(), {"apiVersion": "v", "kind": "K", "metadata": {"labels": {}}, "b": 1},
         {"apiVersion": "v", "kind": "K", "metadata": {"labels": {}}}, ["b"]),
    ],
    ids=["field", "deep", "list", "map", "preserve", "specified in preserved", "embedded", "root"],
)  # fmt: skip
def test_what_is_not_specified_is_pruned(schema, given, kept, unknown):
    assert structural.prune(given, schema) == unknown
    assert given == kept


@pytest.mark.parametrize(
    ("schema", "given", "filled"),
    [
        (of(a={**STRING, "default": "x"}), {}, {"a": "x"}),
        (of(a={**STRING, "default": "x"}), {"a": "y"}, {"a": "y"}),
        (of(a={**STRING, "default": "x"}), {"a": None}, {"a": "x"}),
        (of(a={**STRING, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
        (of(a=STRING), {"a": None}, {}),
        (of(a={**STRING, "nullable": True}), {"a": None}, {"a": None}),
        (of(a=of(b={**INTEGER, "default": 1})), {}, {}),
        (of(a={**of(b={**INTEGER, "default": 1}), "default": {}}), {}, {"a": {"b": 1}}),
        (of(a=listed(of(b={**INTEGER, "default": 1}))), {"a": [{}]}, {"a": [{"b": 1}]}),
    ],
)
def test_defaults_stand_in_for_what_is_missing_or_null(schema, given, filled):
    before = deepcopy(schema)
    structural.drop_nulls(given, schema)
    structural.default(given, schema)
    assert given == filled
    assert schema == before


def test_defaults_are_not_shared_between_objects():
    schema = of(a={"type": "object", "default": {"b": []}, **PRESERVE})
    one, other = {}, {}
    structural.default(one, schema)
    one["a"]["b"].append(1)
    structural.default(other, schema)
    assert other == {"a": {"b": []}}


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        (of(a=INTEGER), {"a": "x"},
         ['a: Invalid value: "string": a in body must be of type integer: "string"']),
        (of(a=INTEGER), {"a": 1.0}, []),
        (of(a=INTEGER), {"a": 1.5},
         ['a: Invalid value: "number": a in body must be of type integer: "number"']),
        (of(a={"type": "number"}), {"a": 1}, []),
        (of(a=STRING), {"a": None},
         ['a: Invalid value: "null": a in body must be of type string: "null"']),
        (of(a={structural.INT_OR_STRING: True}), {"a": []},
         ['a: Invalid value: "array": a in body must be of type integer,string: "array"']),
        (of(a={**INTEGER, "exclusiveMaximum": True, "maximum": 5}), {"a": 5},
         ["a: Invalid value: 5: a in body should be less than 5"]),
        (of(a={**INTEGER, "multipleOf": 5}), {"a": 6},
         ["a: Invalid value: 6: a in body should be a multiple of 5"]),
        (of(a={**INTEGER, "enum": [1, 2]}), {"a": 3},
         ['a: Unsupported value: 3: supported values: "1", "2"']),
        (of(a=listed(STRING, minItems=1)), {"a": []},
         ["a: Invalid value: 0: a in body should have at least 1 items"]),
        (of(a={"type": "object", "maxProperties": 1, **PRESERVE}), {"a": {"b": 1, "c": 2}},
         ["a: Too many: 2: must have at most 1 items"]),
        (of(a={"type": "object", "additionalProperties": INTEGER}), {"a": {"b": "x"}},
         ['a.b: Invalid value: "string": a.b in body must be of type integer: "string"']),
        (of(a=listed(of(b=INTEGER))), {"a": [{"b": 1}, {"b": True}]},
         ['a[1].b: Invalid value: "boolean": a[1].b in body must be of type integer: "boolean"']),
        ({**of(a=of(b=STRING)), "required": ["c"]}, {"a": {}}, ["c: Required value"]),
        (of(a={**of(b=STRING, c=STRING), "oneOf": [{"required": ["b"]}, {"required": ["c"]}]}),
         {"a": {"b": "", "c": ""}},
         ['<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). '
          "Found 2 valid alternatives"]),
        (of(a={**STRING, "not": {"enum": ["x"]}}), {"a": "x"},
         ['<nil>: Invalid value: "": "a" must not validate the schema (not)']),
        (of(a={**STRING, "format": "ipv4"}), {"a": "1.2.3"},
         ['a: Invalid value: "1.2.3": a in body must be of type ipv4: "1.2.3"']),
        (of(a={**STRING, "format": "no-such-format"}), {"a": "1.2.3"}, []),
        (of(a={**STRING, "pattern": "^[[:alpha:]]+$"}), {"a": "abc"}, []),
    ],
)  # fmt: skip
def test_errors_are_worded_as_upstream(schema, value, errors):
    assert [str(error) for error in Validator(schema).errors(value)] == errors


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (of(a={**INTEGER, "format": "int32"}), {"a": 2**31}),
        (of(a={**STRING, "format": "date"}), {"a": "soon"}),
        (of(a={**STRING, "oneOf": [{"format": "ipv4"}, {"format": "ipv6"}]}), {"a": "x"}),
        (of(a={**INTEGER, "not": {"minimum": 5}}), {"a": 6}),
        (of(a={**INTEGER, "exclusiveMinimum": True, "minimum": 5}), {"a": 5}),
    ],
)
def test_the_compiled_check_accepts_nothing_that_is_wrong(schema, value):
    assert Validator(schema).errors(value)
    assert not Validator(schema).errors({})


def test_errors_of_status_say_that_they_are_of_status():
    found = Validator(of(a=INTEGER), "status").errors({"a": ""})
    assert found[0].path == "status.a"
    assert found[0].body.endswith('a in body must be of type integer: "string"')


@pytest.mark.parametrize(
    ("schema", "value", "duplicates"),
    [
        (listed(STRING, **{"x-kubernetes-list-type": "set"}), ["a", "b", "a", "a"], ["a[2]"]),
        (listed(STRING), ["a", "a"], []),
        (listed(of(k=STRING, v=STRING), **{
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
         [{"k": "x", "v": "1"}, {"k": "x", "v": "2"}, {}], ["a[1]"]),
    ],
)  # fmt: skip
def test_sets_and_maps_have_no_duplicates(schema, value, duplicates):
    assert [error.path for error in listtype.validate({"a": value}, of(a=schema))] == duplicates


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        ({"type": "array", "items": STRING}, 'Invalid value: "array": must be object at the root'),
        (of(a={}), "[a].type: Required value: must not be empty for specified object fields"),
        (of(a={"type": "array"}), "s.properties[a].items: Required value: must be specified"),
        ({**of(), "additionalProperties": STRING}, "Forbidden: must not be used at the root"),
        ({**of(a=STRING), "anyOf": [of(a=STRING)]},
         "s.anyOf[0].properties[a].type: Forbidden: must be empty to be structural"),
        ({**of(), "allOf": [{"properties": {"a": {"minLength": 1}}}]},
         "s.properties[a]: Required value: because it is defined in s.allOf[0].properties[a]"),
        (of(metadata=of(labels=PRESERVE)),
         "s.properties[metadata]: Forbidden: must not specify anything other than name and "
         "generateName, but metadata is implicitly specified"),
        (of(a={**STRING, "pattern": "("}),
         's.properties[a].pattern: Invalid value: "(": must be a valid regular expression'),
        (of(a={**STRING, "default": 1}), 's.properties[a].default: Invalid value: "integer": '),
        (of(a={**of(), "default": {"x": 1}}), "must not have unknown fields"),
        (of(a=listed(STRING, uniqueItems=True)), "uniqueItems cannot be set to true"),
        (of(a=listed(of(k=STRING), **{"x-kubernetes-list-type": "map"})),
         "Required value: must not be empty if x-kubernetes-list-type is map"),
        (of(a={**STRING, "x-kubernetes-validations": [{"rule": " "}]}),
         "rule: Required value: rule is not specified"),
    ],
)  # fmt: skip
def test_schemas_that_are_not_structural_are_refused(schema, error):
    found = [str(one) for one in definition_schema.validate(schema, "s")]
    assert any(error in one for one in found), found


def test_int_or_string_may_be_spelled_out():
    options = [{"type": "integer"}, {"type": "string"}]
    schema = of(a={structural.INT_OR_STRING: True, "anyOf": options})
    assert definition_schema.validate(schema, "s") == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ipv6", "::1", "1.2.3.4"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("uri", "https://a.b/c", "no scheme"),
        ("email", "a@b.c", "nobody"),
        ("hostname", "a-b.example.com", "-a.b"),
        ("mac", "00:1b:44:11:3a:b7", "00:1b"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("byte", "YWJj", "a!"),
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-02-29T10:00:00Z", "2024-02-29 10:00"),
        ("duration", "1h30m", "long"),
        ("duration", "2 days", "2 moons"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("hexcolor", "#ffaa00", "#ffaa0"),
        ("k8s-short-name", "a-1", "A"),
    ],
)
def test_formats_know_good_from_bad(name, good, bad):
    assert formats.check(name)(good)
    assert not formats.check(name)(bad)
