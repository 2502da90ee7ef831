"""Who owns what after applies and updates: the rules, without a server.

The stories are those that upstream's own tests tell (structured-merge-diff merge,
util/managedfields).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.apiserver import apply, managed_fields
from labkit.apiserver.custom.apply import type_of
from labkit.apiserver.managed_fields import APPLY, UPDATE, Kind, Manager
from labkit.client.errors import ApiError
from labkit.kube import fieldset
from labkit.kube.schema import Type

_TEXT = {"type": "string"}
_VALUES = {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set"}
_ELEMENT = {"type": "object", "properties": {"name": _TEXT, "values": _VALUES}}
_SCHEMA = {
    "type": "object",
    "properties": {
        "elements": {
            "type": "array",
            "items": _ELEMENT,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "map": {"type": "object", "additionalProperties": _TEXT},
        "atomic": {"type": "array", "items": _TEXT},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "text": _TEXT,
    },
}
TYPE = type_of(_SCHEMA)
HEAD = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}


def _in_version(obj: dict, version: str) -> tuple[Type, dict] | None:
    """v1 and v2 are the same but for their names; there was a v0 once."""
    return None if version.endswith("v0") else (TYPE, {**obj, "apiVersion": version})


@dataclass
class Story:
    """An object to which things happen."""

    obj: dict | None = None
    seconds: int = 0
    entries: list[dict] = field(default_factory=list)

    def _kind(self, version: str) -> tuple[Kind, str]:
        self.seconds += 1
        kind = Kind(f"example.com/{version}", TYPE, _in_version, built_in=False)
        return kind, f"2026-01-01T00:00:{self.seconds:02}Z"

    def apply(self, who: str, version: str = "v1", force: bool = False, **fields: object) -> Story:
        kind, now = self._kind(version)
        config = {**HEAD, "apiVersion": kind.api_version, **fields}
        live = self.obj and {**self.obj, "apiVersion": kind.api_version}
        if live:
            live["metadata"] = {**live["metadata"], "managedFields": self.entries}
        manager = Manager(who, APPLY, kind.api_version)
        found = apply.apply(kind, live, config, manager, force=force, now=now)
        self.obj, self.entries = found.obj, found.entries
        return self

    def update(self, who: str, version: str = "v1", **fields: object) -> Story:
        kind, now = self._kind(version)
        new = {**HEAD, "apiVersion": kind.api_version, **fields}
        manager = Manager(who, UPDATE, kind.api_version)
        if self.obj is None:
            self.entries = managed_fields.created(kind, new, manager, now)
        else:
            old = {**self.obj, "apiVersion": kind.api_version}
            self.entries = managed_fields.updated(kind, self.entries, old, new, manager, now)
        self.obj = new
        return self

    @property
    def content(self) -> dict:
        return {key: value for key, value in self.obj.items() if key not in HEAD}

    def owned(self, who: str) -> set[str]:
        found = [one["fieldsV1"] for one in self.entries if one["manager"] == who]
        return {fieldset.path_text(path) for one in found for path in fieldset.paths(one)}


def test_an_element_goes_with_its_applier_and_stays_for_another():
    story = Story().apply("one", elements=[{"name": "a"}, {"name": "b", "values": ["c"]}])
    story.apply("two", elements=[{"name": "b", "values": ["d"]}], version="v2")
    story.update("controller", elements=[{"name": "a"}, {"name": "b", "values": ["c", "d", "e"]}])
    story.apply("one", elements=[{"name": "a"}])
    assert story.content["elements"] == [{"name": "a"}, {"name": "b", "values": ["d", "e"]}]
    assert story.owned("controller") == {'.elements[name="b"].values[="e"]'}


def test_what_hangs_on_an_element_goes_with_its_only_applier():
    story = Story().apply("one", elements=[{"name": "a"}, {"name": "b", "values": ["c"]}])
    story.update("controller", elements=[{"name": "a"}, {"name": "b", "values": ["c", "d"]}])
    story.apply("one", elements=[{"name": "a"}])
    assert story.content["elements"] == [{"name": "a"}]
    assert story.owned("controller") == set()


def test_an_update_takes_a_field_and_its_applier_cannot_remove_it_then():
    story = Story().apply("one", text="a").update("controller", text="b")
    assert (story.owned("one"), story.owned("controller")) == (set(), {".text"})
    assert story.apply("one").content == {"text": "b"}


def test_an_applier_of_an_old_version_keeps_its_fields_and_can_give_them_up():
    story = Story().apply("one", map={"a": "1", "b": "2"}, version="v1")
    story.apply("one", map={"a": "1"}, version="v2")
    assert story.content == {"map": {"a": "1"}}
    assert [one["apiVersion"] for one in story.entries] == ["example.com/v2"]


def test_a_manager_of_a_version_that_is_gone_is_gone():
    story = Story().update("old", text="a")
    story.entries[0] = {**story.entries[0], "apiVersion": "example.com/v0"}
    assert story.update("new", text="b").owned("old") == set()


def test_what_is_preserved_without_a_schema_is_owned_by_field():
    story = Story().apply("one", open={"a": {"b": 1}}).apply("two", open={"a": {"c": 2}})
    assert story.content == {"open": {"a": {"b": 1, "c": 2}}}
    with pytest.raises(apply.Conflicts, match=r"conflict with \"one\": .open.a.b"):
        story.apply("two", open={"a": {"b": 2}})


def test_a_field_that_the_schema_does_not_have_is_refused():
    with pytest.raises(ApiError, match=r"\(/a; example.com/v1, Kind=Thing\): .more: field not"):
        Story().apply("one", more=1)


def test_an_object_of_before_has_its_fields_owned_at_the_first_apply():
    story = Story(obj={**HEAD, "text": "a", "map": {"k": "v"}})
    with pytest.raises(apply.Conflicts, match=r'"before-first-apply" using example.com/v1: .text'):
        story.apply("one", text="b")
    assert story.apply("one", text="a").owned("before-first-apply") == {".text", ".map", ".map.k"}


def test_an_update_that_changes_nothing_moves_no_time():
    story = Story().update("one", text="a", map={"k": "v"})
    before = story.entries
    assert story.update("two", text="a", map={"k": "v"}).entries is before


def test_equal_sets_are_one_object():
    left, right = (Story().update("one", map={"k": value}) for value in "ab")
    assert left.entries[0]["fieldsV1"] is right.entries[0]["fieldsV1"]


def test_the_oldest_updaters_of_one_version_are_merged():
    story = Story().update("m-0", map={})
    fields = {}
    for number in range(11):
        fields = {**fields, f"k-{number}": "v"}
        story.update(f"m-{number}", map=fields)
    assert len(story.entries) == 10
    assert {".map.k-0", ".map.k-1"} <= story.owned("ancient-changes")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (None, True),
        ([], False),
        ([{}], False),
        ([{"operation": "Delete", "apiVersion": "v1", "fieldsType": "FieldsV1"}], True),
        ([{"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV2"}], True),
        ([{"operation": "Update", "apiVersion": "v1"}], True),
        (["text"], True),
    ],
    ids=str,
)
def test_entries_that_a_client_sends_are_taken_only_if_they_are_good(sent, kept):
    stored = Story().update("one", text="a").entries
    assert managed_fields.chosen(sent, stored) == (stored if kept else [])


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("kubectl/v1.32.0 (linux/amd64)", "kubectl"),
        ("plain", "plain"),
        ("", "unknown"),
        ("a\x00b/1", "ab"),
        ("é" * 100, "é" * 64),
    ],
    ids=str,
)
def test_a_manager_without_a_name_has_its_programs(agent, name):
    assert managed_fields.manager_name("", agent) == name
    assert managed_fields.manager_name("given", agent) == "given"


_KEYS = st.sampled_from("abc")
_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "text": _KEYS,
        "map": st.dictionaries(_KEYS, _KEYS, min_size=1, max_size=3),
        "atomic": st.lists(_KEYS, min_size=1, max_size=2),
        "elements": st.dictionaries(
            _KEYS, st.lists(_KEYS, unique=True, min_size=1, max_size=2), min_size=1, max_size=3
        ).map(lambda found: [{"name": key, "values": item} for key, item in found.items()]),
    },
)


@given(_CONFIGS, _CONFIGS)
def test_applying_again_changes_nothing_and_applying_nothing_removes_all(first, second):
    story = Story().apply("one", **first).apply("one", **second)
    assert story.content == second
    before = story.entries
    assert story.apply("one", **second).entries == before
    story.apply("one")
    assert (story.content, story.entries) == ({}, [])


@given(_CONFIGS, _CONFIGS)
def test_an_applier_gets_what_it_says_and_leaves_what_others_say(first, second):
    story = Story().apply("one", **first).apply("two", force=True, **second)
    mine, theirs = story.owned("two"), story.owned("one")
    assert mine == Story().apply("two", **second).owned("two")
    assert theirs <= Story().apply("one", **first).owned("one")
    story.apply("two")
    assert Story().apply("one", **first).owned("one") >= story.owned("one") == theirs
