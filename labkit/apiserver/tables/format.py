"""How cells spell durations, ages, selectors and long lists.  Pure.

Source: k8s.io/apimachinery util/duration.HumanDuration, metav1.FormatLabelSelector,
labels.FormatLabels and the helpers of pkg/printers/internalversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from labkit.kube import times

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400

Cells = Callable[[Mapping, float], list]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `priority` 1 shows only in wide output, `format` "name" marks the name."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""

    def definition(self) -> dict:
        """The metav1.TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


NAME, AGE = Column("Name", format="name"), Column("Age")


def wide(name: str, format: str = "") -> Column:
    """A column of wide output."""
    return Column(name, format=format, priority=1)


@dataclass(frozen=True, slots=True)
class Printer:
    """The columns of one kind, and its cells as a function of (object, now)."""

    columns: Sequence[Column]
    cells: Cells


def human_duration(seconds: float) -> str:
    """A duration in two or three significant figures: `90s`, `5m30s`, `2d5h`, `3y40d`.

    Up to two seconds of negative duration, as between machines' clocks, count as now.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    if whole < 10 * _MINUTE:
        return _pair(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _pair(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _pair(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _pair(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _pair(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")


def since(timestamp: str | None, now: float) -> str:
    """How long ago an RFC 3339 time was; `<unknown>` where it is not set."""
    return human_duration(now - times.parse(timestamp)) if timestamp else UNKNOWN


def age(obj: Mapping, now: float) -> str:
    """How long ago the object was created."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def labels(values: Mapping[str, str] | None) -> str:
    """`a=b,c=d` in order of keys, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((values or {}).items())) or NONE


def selector(value: Mapping | None) -> str:
    """A metav1.LabelSelector in the syntax of `kubectl -l`; empty text for an empty one."""
    value = value or {}
    parts = [(key, f"{key}={text}") for key, text in (value.get("matchLabels") or {}).items()]
    parts += [(part["key"], _requirement(part)) for part in value.get("matchExpressions") or ()]
    return ",".join(text for _, text in sorted(parts))


def _requirement(part: Mapping) -> str:
    match part["operator"]:
        case "Exists":
            return part["key"]
        case "DoesNotExist":
            return f"!{part['key']}"
    return f"{part['key']} {part['operator'].lower()} ({','.join(sorted(part['values']))})"


def containers(template: Mapping) -> list[str]:
    """The cells CONTAINERS and IMAGES of a Pod template."""
    found = (template.get("spec") or {}).get("containers") or ()
    return [",".join(c["name"] for c in found), ",".join(c.get("image", "") for c in found)]


def listed(items: Iterable[str], limit: int, empty: str, separator: str = ",") -> str:
    """The first `limit` items, and `+ N more...` for the rest."""
    items = list(items)
    if len(items) > limit:
        return f"{separator.join(items[:limit])} + {len(items) - limit} more..."
    return separator.join(items) or empty
