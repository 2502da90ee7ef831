"""Fields that are unknown or there twice, and bodies that cannot be read."""

from __future__ import annotations

import pytest

from tests.api.conftest import JSON_PATCH, MERGE, STRATEGIC, Wire, refused

ODD = b'{"metadata": {"name": "odd", "lables": {}}, "data": {"a": "1", "a": "2"}, "datta": {}}'
UNKNOWN = ['unknown field "metadata.lables"', 'unknown field "datta"']
TWICE = 'duplicate field "data.a"'
MALFORMED = "couldn't get version/kind; json parse error: "


@pytest.fixture
def maps(ns: str) -> str:
    return f"{ns}/configmaps"


def warnings(answer) -> list[str]:
    """The texts of an answer's Warning headers."""
    return [
        value.removeprefix('299 - "').removesuffix('"').replace('\\"', '"')
        for value in answer.headers.get_list("Warning")
    ]


def test_by_default_the_server_warns_and_goes_on(wire: Wire, maps: str):
    answer = wire.post(maps, ODD)
    assert answer.status_code == 201
    assert sorted(warnings(answer)) == sorted([*UNKNOWN, TWICE])
    assert answer.json()["data"] == {"a": "2"}
    assert "datta" not in answer.json()


def test_nothing_is_said_if_it_shall_be_ignored(wire: Wire, maps: str):
    answer = wire.post(maps, ODD, fieldValidation="Ignore")
    assert answer.status_code == 201
    assert warnings(answer) == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_strictly_nothing_is_made(wire: Wire, maps: str, method: str):
    path = maps if method == "POST" else f"{maps}/odd"
    answer = wire.request(method, path, ODD, fieldValidation="Strict")
    head = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
    refused(answer, 400, "BadRequest", head, *UNKNOWN, TWICE)
    assert wire.get(f"{maps}/odd").status_code == 404


def test_a_body_full_of_mistakes_makes_no_endless_answer(wire: Wire, maps: str):
    body = {"metadata": {"name": "odd"}} | {f"odd{number}": "x" for number in range(1000)}
    assert 0 < len(warnings(wire.post(maps, body, dryRun="All"))) <= 100
    status = wire.post(maps, body, fieldValidation="Strict").json()
    assert status["message"].count("unknown field") <= 100


def test_unknown_fields_have_a_path(wire: Wire, in_group):
    container = {"name": "c", "image": "i", "comand": ["x"]}
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
    }
    body = {"metadata": {"name": "x"}, "spec": spec}
    path = in_group("apps/v1") + "/deployments"
    answer = wire.post(path, body, fieldValidation="Strict")
    words = 'strict decoding error: unknown field "spec.template.spec.containers[0].comand"'
    refused(answer, 400, "BadRequest", words)


def test_yaml_is_looked_at_as_closely(wire: Wire, maps: str):
    text = b"metadata:\n  name: odd\ndata:\n  a: '1'\n  a: '2'\nmore: 1\n"
    answer = wire.request("POST", maps, text, type="application/yaml", fieldValidation="Strict")
    words = 'key "a" already set in map'
    refused(answer, 400, "BadRequest", "strict decoding error: ", words, 'unknown field "more"')
    answer = wire.request("POST", maps, text, type="application/yaml")
    assert answer.json()["data"] == {"a": "2"}
    assert any(words in warning for warning in warnings(answer))


@pytest.mark.parametrize("type", [MERGE, STRATEGIC])
def test_a_patch_is_looked_at_and_so_is_what_it_makes(wire: Wire, maps: str, type: str):
    wire.ok("POST", maps, {"metadata": {"name": "odd"}})
    body = b'{"data": {"a": "1", "a": "2"}, "datta": {"b": "c"}}'
    answer = wire.patch(f"{maps}/odd", body, type, fieldValidation="Strict")
    head = '"" is invalid: patch: Invalid value: '
    refused(answer, 422, "Invalid", head, TWICE, 'unknown field "datta"')
    answer = wire.patch(f"{maps}/odd", body, type)
    assert sorted(warnings(answer)) == sorted([TWICE, 'unknown field "datta"'])
    assert answer.json()["data"] == {"a": "2"}


def test_the_operations_of_a_json_patch_have_four_fields(wire: Wire, maps: str):
    wire.ok("POST", maps, {"metadata": {"name": "odd"}})
    body = [{"op": "add", "path": "/data", "value": {"a": "1"}, "why": "because"}]
    answer = wire.patch(f"{maps}/odd", body, JSON_PATCH, fieldValidation="Strict")
    refused(answer, 422, "Invalid", 'json patch unknown field "[0].why"')
    answer = wire.patch(f"{maps}/odd", body, JSON_PATCH)
    assert warnings(answer) == ['json patch unknown field "[0].why"']


BODIES = [
    (b"", MALFORMED + "unexpected end of JSON input (<empty>)"),
    (b"{", MALFORMED + "unexpected end of JSON input ({)"),
    (b"nope", MALFORMED + "invalid character 'o' in literal null (expecting 'u') (6e6f7065)"),
    (b'{"a": 1,}', MALFORMED + "invalid character '}' looking for beginning of object key string"),
    (b"[1]", MALFORMED + "json: cannot unmarshal array into Go value of type struct"),
    (b'{"kind": "x" ' + b" " * 40 + b"!", "invalid character '!' after object key:value pair"),
]


@pytest.mark.parametrize(("body", "message"), BODIES, ids=[str(body)[:20] for body, _ in BODIES])
def test_a_body_that_cannot_be_read_is_unrecognized(
    wire: Wire, maps: str, body: bytes, message: str
):
    head = "the object provided is unrecognized (must be of type ConfigMap): "
    refused(wire.post(maps, body), 400, "BadRequest", head, message)


def test_yaml_that_cannot_be_read_is_unrecognized(wire: Wire, maps: str):
    answer = wire.request("POST", maps, b"a: b: c", type="application/yaml")
    head = "the object provided is unrecognized (must be of type ConfigMap): "
    words = "mapping values are not allowed in this context"
    refused(answer, 400, "BadRequest", f"{head}yaml: {words}")


def test_values_have_to_have_the_right_type(wire: Wire, maps: str):
    answer = wire.post(maps, {"metadata": {"name": "odd"}, "data": {"a": 1}})
    head = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
    words = "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
    refused(answer, 400, "BadRequest", head, words)


def test_other_media_types_are_unsupported(wire: Wire, maps: str):
    answer = wire.request("POST", maps, b"<a/>", type="text/xml")
    words = "the body of the request was in an unknown format - accepted media types include: "
    refused(answer, 415, "UnsupportedMediaType", words, "application/json", "application/yaml")
