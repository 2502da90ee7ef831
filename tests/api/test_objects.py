"""Create, get, update, delete: names, versions and conflicts."""

from __future__ import annotations

from tests.api.conftest import Wire, refused

PAIR = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pair"}, "data": {"a": "1"}}


def test_a_name_is_generated_from_its_beginning(wire: Wire, ns: str):
    body = {**PAIR, "metadata": {"generateName": "pair-"}}
    first, second = (wire.ok("POST", f"{ns}/configmaps", body) for _ in range(2))
    names = {one["metadata"]["name"] for one in (first, second)}
    assert len(names) == 2
    assert all(name.startswith("pair-") and len(name) == 10 for name in names)


def test_an_update_with_an_old_resource_version_is_a_conflict(wire: Wire, ns: str):
    old = wire.ok("POST", f"{ns}/configmaps", PAIR)
    wire.ok("PUT", f"{ns}/configmaps/pair", {**old, "data": {"a": "2"}})
    answer = wire.put(f"{ns}/configmaps/pair", {**old, "data": {"a": "3"}})
    refused(answer, 409, "Conflict", "the object has been modified")
    assert wire.ok("GET", f"{ns}/configmaps/pair")["data"] == {"a": "2"}


def test_a_dry_run_answers_and_changes_nothing(wire: Wire, ns: str):
    made = wire.ok("POST", f"{ns}/configmaps", PAIR, dryRun="All")
    assert made["metadata"]["uid"]
    refused(wire.get(f"{ns}/configmaps/pair"), 404, "NotFound", 'configmaps "pair" not found')
