"""Objects of the right types and of no sense: defaults, rules and rows take them as they come.

Small objects of each kind are bent at random: parts are left out, put in, or replaced by others of
the same type.  Whatever comes out, the server says what is wrong with it, or serves it.
"""

import copy
import random

import pytest

from labkit.apiserver.registry import REGISTRATIONS, find
from labkit.apiserver.subresources import scale_of
from labkit.apiserver.tables import table
from labkit.kube import schema
from labkit.kube.schema import Type
from tests.api.kinds import KINDS, Kind

NOW = 1_769_851_800.0
META = {"name": "x", "uid": "u", "creationTimestamp": "2026-01-31T09:25:00Z"}
TEXTS = ("", "a", "A_b", "100%", "*", "x" * 70, "In", "Exists", "Always", "10.0.0.0/8", "Indexed")
SCALARS = {
    "integer": (0, 1, -1, 5, 70000, 2**31 - 1, -(2**31)),
    "number": (0, 1.5),
    "boolean": (True, False),
    "quantity": ("0", "1.5", "-1", "1Gi", 2, "0.00001", "1e3"),
    "int-or-string": (0, -1, "50%", "150%", "http", "x%", 70000),
    "time": ("2026-01-01T00:00:00Z",),
    "bytes": ("YQ==",),
    "any": ({}, {"a": 1}),
    "string": TEXTS,
}
DEEPEST, ROUNDS = 7, 25


def some(type: Type, dice: random.Random, depth: int) -> object:
    """Any value of a type; empty where it would get too deep."""
    deep = depth > DEEPEST
    match type.kind:
        case "object":
            chosen = {n: t for n, t in type.fields.items() if not deep and dice.random() < 0.5}
            return {name: some(inner, dice, depth + 1) for name, inner in chosen.items()}
        case "list":
            count = 0 if deep else dice.choice((0, 1, 2))
            return [some(type.items, dice, depth + 1) for _ in range(count)]
        case "map":
            keys = () if deep else dice.sample(("", "a", "cpu", "storage", "x/y"), 2)
            return {key: some(type.items, dice, depth + 1) for key in keys}
    return dice.choice(SCALARS[type.kind])


def bent(obj: object, type: Type, dice: random.Random, often: float) -> object:
    """`obj` with some of its parts gone, added or replaced."""
    if type.kind == "list" and isinstance(obj, list):
        return [bent(one, type.items, dice, often) for one in obj]
    if type.kind != "object" or not isinstance(obj, dict):
        return obj
    found = {}
    for name, inner in type.fields.items():
        if dice.random() < often:
            if dice.random() < 0.7:
                found[name] = some(inner, dice, 4)
        elif name in obj:
            found[name] = bent(obj[name], inner, dice, often)
    return found


def complete(row, obj: dict) -> dict:
    """The object as it is once it has been decoded, defaulted and prepared."""
    resource = row.resource
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    place = {"namespace": "y"} if resource.namespaced else {}
    made = {**obj, **head, "metadata": {**META, **place}}
    made, _ = schema.decode(row.definition, made)
    row.strategy.default(made)
    again = copy.deepcopy(made)
    row.strategy.default(again)
    assert again == made
    row.strategy.prepare(made, None)
    return made


def judged(row, obj: dict) -> list[str]:
    found = [*row.strategy.validate(obj), *row.strategy.validate_status(obj, obj)]
    return [str(error) for error in found]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_bent_object_is_refused_or_served(kind: Kind):
    group, _, version = kind.group.rpartition("/")
    row, dice = find(group, version, kind.plural), random.Random(kind.kind)
    type = schema.type_of(row.definition)
    for _ in range(ROUNDS):
        old, new = (complete(row, bent(kind.body, type, dice, often)) for often in (0.02, 0.04))
        if not judged(row, old):
            row.strategy.validate_update(new, old)
            table(old, NOW)
            if "scale" in row.subresources:
                scale_of(old)
        judged(row, new)


@pytest.mark.parametrize(
    "row", [row for row in REGISTRATIONS if not row.ephemeral], ids=lambda row: row.resource.name
)
def test_nonsense_of_any_kind_is_judged(row):
    type, dice = schema.type_of(row.definition), random.Random(row.resource.name)
    for _ in range(ROUNDS):
        old, new = (complete(row, some(type, dice, 0)) for _ in range(2))
        judged(row, new)
        row.strategy.validate_update(new, old)
