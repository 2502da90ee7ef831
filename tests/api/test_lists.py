"""Lists: which revision they show, and how they come in chunks."""

from __future__ import annotations

import base64
import json

import pytest

from tests.api.conftest import Wire, refused

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


def config_map(name: str, **labels: str) -> dict:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


@pytest.fixture
def maps(wire: Wire, ns: str) -> str:
    """The path of a namespace's ConfigMaps a to e, where c to e are labelled."""
    for name in "abcde":
        labels = {"late": "yes"} if name > "b" else {}
        wire.ok("POST", f"{ns}/configmaps", config_map(name, **labels))
    return f"{ns}/configmaps"


def names(answer: dict) -> list[str]:
    return [
        item["metadata"]["name"] for item in answer["items"] if len(item["metadata"]["name"]) == 1
    ]


OURS = "metadata.name!=kube-root-ca.crt"  # every namespace of a real cluster has that one too


def test_a_list_says_its_kind_and_the_revision_it_shows(wire: Wire, maps: str):
    listed = wire.ok("GET", maps)
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert names(listed) == list("abcde")
    newest = max(int(item["metadata"]["resourceVersion"]) for item in listed["items"])
    assert int(listed["metadata"]["resourceVersion"]) >= newest


def test_an_empty_list_has_an_empty_array_of_items(wire: Wire, ns: str):
    assert wire.ok("GET", f"{ns}/secrets")["items"] == []


def test_the_chunks_of_a_list_show_one_revision_while_others_write(wire: Wire, maps: str):
    first = wire.ok("GET", maps, limit=2, fieldSelector=OURS)
    revision = first["metadata"]["resourceVersion"]
    wire.ok("DELETE", f"{maps}/d")
    wire.ok("POST", maps, config_map("bb"))
    wire.ok("PATCH", f"{maps}/e", {"data": {"a": "2"}}, type="application/merge-patch+json")
    token = first["metadata"]["continue"]
    rest = wire.ok("GET", maps, limit=10, fieldSelector=OURS, **{"continue": token})
    assert [one["metadata"]["name"] for one in first["items"] + rest["items"]] == list("abcde")
    assert rest["items"][-1]["data"] == {"a": "1"}
    assert rest["metadata"]["resourceVersion"] == revision
    assert "continue" not in rest["metadata"]


def test_a_chunk_without_selectors_says_how_many_items_remain(wire: Wire, maps: str):
    everything = len(wire.ok("GET", maps)["items"])
    first = wire.ok("GET", maps, limit=2)
    assert first["metadata"]["remainingItemCount"] == everything - 2
    selected = wire.ok("GET", maps, limit=2, labelSelector="late=yes")
    assert selected["metadata"]["continue"]
    assert "remainingItemCount" not in selected["metadata"]


def test_a_chunk_that_holds_everything_has_no_continuation(wire: Wire, maps: str):
    listed = wire.ok("GET", maps, limit=500)
    assert not listed["metadata"].keys() & {"continue", "remainingItemCount"}


def test_a_selection_in_chunks_is_the_whole_selection(wire: Wire, maps: str):
    found, token = [], None
    while True:
        page = wire.ok("GET", maps, limit=1, labelSelector="late", **{"continue": token})
        assert len(page["items"]) <= 1
        found += names(page)
        token = page["metadata"].get("continue")
        if not token:
            break
    assert found == list("cde")


def test_limit_is_ignored_where_any_revision_will_do(wire: Wire, maps: str):
    listed = wire.ok("GET", maps, limit=2, resourceVersion="0")
    assert set(names(listed)) >= set("abcde")
    assert "continue" not in listed["metadata"]


def test_an_exact_revision_shows_the_past(wire: Wire, maps: str):
    before = wire.ok("GET", maps)["metadata"]["resourceVersion"]
    wire.ok("DELETE", f"{maps}/a")
    wire.ok("POST", maps, config_map("f"))
    exact = {"resourceVersion": before, "resourceVersionMatch": "Exact"}
    past = wire.ok("GET", maps, **exact)
    assert names(past) == list("abcde")
    assert past["metadata"]["resourceVersion"] == before
    # A limit with a revision is exact too, for compatibility.
    assert names(wire.ok("GET", maps, resourceVersion=before, limit=500)) == list("abcde")
    assert names(wire.ok("GET", maps, resourceVersion=before)) == list("bcdef")
    fresh = {"resourceVersion": before, "resourceVersionMatch": "NotOlderThan", "limit": 500}
    assert names(wire.ok("GET", maps, **fresh)) == list("bcdef")


FUTURE = str(2**62)


@pytest.mark.parametrize("match", [None, "Exact", "NotOlderThan"])
def test_a_revision_of_the_future_times_out(wire: Wire, maps: str, match: str | None):
    answer = wire.get(maps, resourceVersion=FUTURE, resourceVersionMatch=match)
    status = refused(answer, 504, "Timeout", f"Too large resource version: {FUTURE}, current: ")
    [cause] = status["details"]["causes"]
    assert cause == {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}


def test_an_object_of_the_future_times_out_with_a_time_to_retry(wire: Wire, maps: str):
    answer = wire.get(f"{maps}/a", resourceVersion=FUTURE)
    status = refused(answer, 504, "Timeout", "Timeout: Too large resource version")
    assert status["details"]["retryAfterSeconds"] == 1
    assert answer.headers["Retry-After"] == "1"


INVALID = [
    (
        {"resourceVersionMatch": "Exact"},
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion "
        "is provided",
    ),
    (
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for '
        'resourceVersion "0"',
    ),
    (
        {"resourceVersionMatch": "Newest", "resourceVersion": "1"},
        'resourceVersionMatch: Unsupported value: "Newest": supported values: "Exact", '
        '"NotOlderThan", ""',
    ),
    (
        {"resourceVersionMatch": "Exact", "resourceVersion": "1", "continue": "x"},
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is "
        "provided",
    ),
    (
        {"sendInitialEvents": "true"},
        "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
    ),
]


@pytest.mark.parametrize(("params", "message"), INVALID, ids=lambda value: str(value)[:60])
def test_options_that_contradict_each_other_are_invalid(
    wire: Wire, ns: str, params: dict, message: str
):
    answer = wire.get(f"{ns}/configmaps", **params)
    head = 'ListOptions.meta.k8s.io "" is invalid: '
    status = refused(answer, 422, "Invalid", head + message)
    assert (status["details"]["kind"], status["details"]["group"]) == ("ListOptions", "meta.k8s.io")


BAD = [
    ({"limit": "many"}, 'strconv.ParseInt: parsing "many": invalid syntax'),
    ({"timeoutSeconds": "1.5"}, 'strconv.ParseInt: parsing "1.5": invalid syntax'),
    ({"resourceVersion": "new"}, 'parsing "new": invalid syntax'),
    ({"continue": "x"}, "invalid continue token: continue key is not valid"),
    (
        {"continue": "eyJ2IjoibWV0YS5rOHMuaW8vdjIiLCJydiI6MSwic3RhcnQiOiJhIn0"},
        "server does not recognize this encoded version meta.k8s.io/v2",
    ),
    ({"labelSelector": "a in b"}, ""),
    ({"fieldSelector": "data.a=1"}, "field label not supported: data.a"),
]


@pytest.mark.parametrize(("params", "message"), BAD, ids=lambda value: str(value)[:60])
def test_options_that_cannot_be_read_are_a_bad_request(
    wire: Wire, ns: str, params: dict, message: str
):
    answer = wire.get(f"{ns}/pods", **params)
    refused(answer, 400, "BadRequest", message)


def test_a_continuation_has_a_revision_already(wire: Wire, maps: str):
    first = wire.ok("GET", maps, limit=2)
    token = first["metadata"]["continue"]
    revision = first["metadata"]["resourceVersion"]
    answer = wire.get(maps, limit=2, resourceVersion=revision, **{"continue": token})
    words = "specifying resource version is not allowed when using continue"
    refused(answer, 400, "BadRequest", words)


def test_a_token_whose_revision_is_compacted_comes_with_one_that_goes_on(wire: Wire, maps: str):
    token = wire.ok("GET", maps, limit=2)["metadata"]["continue"]
    said = json.loads(base64.urlsafe_b64decode(token + "=="))
    assert said["v"] == "meta.k8s.io/v1"
    old = base64.urlsafe_b64encode(json.dumps({**said, "rv": 1}).encode()).decode().rstrip("=")
    answer = wire.get(maps, limit=2, **{"continue": old})
    if answer.status_code == 200:
        pytest.skip("this server still has its first revision")
    status = refused(answer, 410, "Expired", "The provided continue parameter is too old")
    wire.ok("POST", maps, config_map("bb"))
    rest = wire.ok("GET", maps, **{"continue": status["metadata"]["continue"]})
    assert names(rest) == list("cde")
    assert rest["items"][0]["metadata"]["name"] == "bb"


def test_unknown_parameters_are_ignored(wire: Wire, maps: str):
    assert names(wire.ok("GET", maps, colour="blue")) == list("abcde")


def test_an_object_as_metadata_alone(wire: Wire, maps: str):
    only = wire.ok("GET", f"{maps}/a", headers={"Accept": METADATA.format("")})
    assert (only["kind"], only["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert only["metadata"]["name"] == "a"
    assert "data" not in only


def test_a_list_as_metadata_alone(wire: Wire, maps: str):
    answer = wire.get(maps, limit=2, headers={"Accept": METADATA.format("List")})
    assert answer.headers["Content-Type"] == "application/json"
    listed = answer.json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert listed["metadata"]["continue"]
    assert all("data" not in item for item in listed["items"])


def test_a_list_is_no_single_object_metadata(wire: Wire, maps: str):
    answer = wire.get(maps, headers={"Accept": METADATA.format("")})
    words = "you requested PartialObjectMetadata, but the requested object is a list"
    refused(answer, 406, "NotAcceptable", words)
    answer = wire.get(f"{maps}/a", headers={"Accept": METADATA.format("List")})
    words = "you requested PartialObjectMetadataList, but the requested object is not a list"
    refused(answer, 406, "NotAcceptable", words)


@pytest.mark.parametrize("accept", ["text/html", "application/*", "image/png, application/xml"])
def test_a_media_type_that_nothing_has_is_not_acceptable(wire: Wire, maps: str, accept: str):
    answer = wire.get(maps, headers={"Accept": accept})
    words = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml"
    refused(answer, 406, "NotAcceptable", words)


@pytest.mark.parametrize(
    "accept", ["application/json;as=Chart;g=meta.k8s.io;v=v1", f"{TABLE[:-2]}v7"]
)
def test_other_forms_are_not_acceptable(wire: Wire, maps: str, accept: str):
    answer = wire.get(maps, headers={"Accept": accept})
    words = "only the following media types are accepted: application/json"
    refused(answer, 406, "NotAcceptable", words)


def test_the_form_that_a_client_likes_best_is_served(wire: Wire, maps: str):
    accept = "application/json;q=0.5, text/html, application/yaml"
    answer = wire.get(f"{maps}/a", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/yaml"
    assert "kind: ConfigMap" in answer.text.splitlines()


def test_a_table_has_a_row_for_each_item(wire: Wire, maps: str):
    answer = wire.get(maps, limit=2, includeObject="Metadata", headers={"Accept": TABLE})
    assert answer.headers["Content-Type"] == "application/json"
    table = answer.json()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][:2] for row in table["rows"]] == [["a", 1], ["b", 1]]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table["metadata"]["continue"]
    answer = wire.get(maps, includeObject="All", headers={"Accept": TABLE})
    words = "Unable to convert to Table as requested: includeObject: Invalid value: "
    refused(answer, 400, "BadRequest", words)


def test_people_get_lines(wire: Wire, maps: str):
    plain = wire.get(f"{maps}/a")
    assert plain.text.strip().count("\n") == 0
    asked = wire.get(f"{maps}/a", pretty="true")
    assert '\n  "kind": "ConfigMap",\n' in asked.text
    curl = {"User-Agent": "curl/8.5.0"}
    assert wire.get(f"{maps}/a", headers=curl).text == asked.text
    assert wire.get(f"{maps}/a", headers=curl, pretty="false").text == plain.text


def test_big_answers_are_compressed_for_who_can_read_it(wire: Wire, ns: str):
    big = config_map("big")
    big["data"] = {"a": "many words " * 20_000}
    wire.ok("POST", f"{ns}/configmaps", big)
    answer = wire.get(f"{ns}/configmaps/big", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.json()["data"] == big["data"]
    plain = wire.get(f"{ns}/configmaps/big", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == answer.json()
    small = wire.get(ns, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers
