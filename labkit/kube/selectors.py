"""Label selectors and field selectors: parsing and matching.

Source: Kubernetes documentation, "Labels and Selectors" (equality- and set-based requirements) and
"Field Selectors".  A parsed selector is a tuple of requirements that must all hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_KEY = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_SET = re.compile(rf"^(?P<key>{_KEY})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(rf"^(?P<key>{_KEY})\s*(?P<op>==|!=|=)\s*(?P<value>[A-Za-z0-9._-]*)$")
_NUMERIC = re.compile(rf"^(?P<key>{_KEY})\s*(?P<op>[<>])\s*(?P<value>-?\d+)$")
_EXISTS = re.compile(rf"^(?P<op>!?)\s*(?P<key>{_KEY})$")
_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """`key operator values`; operators: in, notin, exists, !, gt, lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether one set of labels satisfies this requirement."""
        present = self.key in labels
        match self.operator:
            case "in":
                return present and labels[self.key] in self.values
            case "notin":
                return not present or labels[self.key] not in self.values
            case "exists":
                return present
            case "!":
                return not present
        return present and _compare(labels[self.key], self.operator, next(iter(self.values)))


def _compare(actual: str, operator: str, bound: str) -> bool:
    try:
        return int(actual) > int(bound) if operator == "gt" else int(actual) < int(bound)
    except ValueError:
        return False


Selector = tuple[Requirement, ...]
EVERYTHING: Selector = ()


@lru_cache(maxsize=1024)
def parse(text: str) -> Selector:
    """`app=web,tier in (a, b),!canary` → a selector.  Raises ValueError with the bad part."""
    return tuple(_requirement(part) for part in _split(text))


def _split(text: str) -> list[str]:
    parts = re.split(r",(?![^(]*\))", text)
    return [part.strip() for part in parts if part.strip()]


def _requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], found["op"], values)
    if found := _EQUALITY.match(part):
        operator = "notin" if found["op"] == "!=" else "in"
        return Requirement(found["key"], operator, frozenset({found["value"]}))
    if found := _NUMERIC.match(part):
        operator = "gt" if found["op"] == ">" else "lt"
        return Requirement(found["key"], operator, frozenset({found["value"]}))
    if found := _EXISTS.match(part):
        return Requirement(found["key"], "!" if found["op"] else "exists")
    raise ValueError(f"unable to parse requirement: {part!r}")


def from_label_selector(selector: Mapping | None) -> Selector | None:
    """A metav1.LabelSelector → a selector; None (which matches nothing) for a missing one.

    An empty LabelSelector matches everything.  Raises ValueError on an unknown operator.
    """
    if selector is None:
        return None
    found = [
        Requirement(key, "in", frozenset({value}))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS.get(expression["operator"])
        if operator is None:
            raise ValueError(f"{expression['operator']!r} is not a valid label selector operator")
        found.append(
            Requirement(expression["key"], operator, frozenset(expression.get("values") or ()))
        )
    return tuple(found)


def matches(selector: Selector | None, labels: Mapping[str, str] | None) -> bool:
    """Whether `labels` satisfy the selector; a selector that is None matches nothing."""
    return selector is not None and all(need.matches(labels or {}) for need in selector)


def format_selector(selector: Selector) -> str:
    """A selector as the text that `parse` reads and `status.selector` of a Scale carries."""
    return ",".join(_format(need) for need in selector)


def _format(need: Requirement) -> str:
    if need.operator == "in" and len(need.values) == 1:
        return f"{need.key}={next(iter(need.values))}"
    if need.operator == "notin" and len(need.values) == 1:
        return f"{need.key}!={next(iter(need.values))}"
    if need.operator in ("in", "notin"):
        return f"{need.key} {need.operator} ({','.join(sorted(need.values))})"
    if need.operator in ("gt", "lt"):
        return f"{need.key}{'>' if need.operator == 'gt' else '<'}{next(iter(need.values))}"
    return need.key if need.operator == "exists" else f"!{need.key}"


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """`path = value` or `path != value`."""

    path: str
    value: str
    equal: bool = True


def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    """`status.phase!=Running,metadata.name=a` → requirements.  Raises ValueError."""
    return tuple(_field(part) for part in _split(text))


def _field(part: str) -> FieldRequirement:
    found = re.match(r"^([A-Za-z0-9.\[\]]+)(!=|==|=)(.*)$", part)
    if not found:
        raise ValueError(f"invalid selector: {part!r}; can't understand {part!r}")
    return FieldRequirement(found[1], found[3], found[2] != "!=")


def match_fields(needs: tuple[FieldRequirement, ...], obj: Mapping) -> bool:
    """Whether the object's fields satisfy all requirements (a missing field is empty)."""
    return all((field_value(obj, need.path) == need.value) == need.equal for need in needs)


def field_value(obj: Mapping, path: str) -> str:
    """The field at a dotted path as text; empty where it is missing."""
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
