"""The `filters` of the API's lists: JSON of `{"label": ["a=b"], ...}`, also in the older form
`{"label": {"a=b": true}}` that the CLI sends.

All keys must allow an object; a key allows it if any of its values does, except that every `label`
must hold.
"""

from __future__ import annotations

import fnmatch
import json
import math
import re
from collections.abc import Callable, Mapping

from labkit.engine.errors import BadParameter, EngineError
from labkit.engine.timestamps import parse


class Filters:
    """Parsed filters; a key that is not there allows everything."""

    def __init__(self, values: Mapping[str, list[str]] | None = None) -> None:
        self._values = values or {}

    @classmethod
    def parse(cls, text: str, known: frozenset[str]) -> Filters:
        """The query parameter → filters.  Raises EngineError as the daemon does."""
        if not text:
            return cls()
        try:
            raw = json.loads(text)
            values = {key: [str(v) for v in raw[key]] for key in raw}
        except (ValueError, TypeError):
            raise EngineError(
                f"invalid character '{text[:1]}' looking for beginning of value"
            ) from None
        for key in values:
            if key not in known:
                raise BadParameter(f"Invalid filter '{key}'")
        return cls(values)

    def get(self, key: str) -> list[str]:
        """The values of `key`; empty if it is not there."""
        return self._values.get(key, [])

    def allows(self, key: str, matches: Callable[[str], bool]) -> bool:
        """Whether any value of `key` matches, or there is none."""
        return not self.get(key) or any(map(matches, self.get(key)))

    def until(self, now: float) -> float:
        """Unix seconds up to which a prune goes.  Raises BadParameter, EngineError."""
        given = self.get("until")
        if len(given) > 1:
            raise BadParameter("more than one until filter specified")
        try:
            return parse(given[0], now) if given else math.inf
        except ValueError:
            raise EngineError(f'failed to parse value as time or duration: "{given[0]}"') from None

    def allows_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether every `label` (`key` or `key=value`) holds, and not every `label!`."""
        return all(_holds(wanted, labels) for wanted in self.get("label")) and not (
            self.get("label!") and all(_holds(wanted, labels) for wanted in self.get("label!"))
        )


def _holds(wanted: str, labels: Mapping[str, str]) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def found(pattern: str, name: str) -> bool:
    """Docker's rule for names: a regular expression, found anywhere in the name."""
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return pattern in name


def path_match(pattern: str, path: str) -> bool:
    """Go's `path.Match`: shell wildcards, of which none goes over a slash."""
    patterns, parts = pattern.split("/"), path.split("/")
    return len(patterns) == len(parts) and all(map(fnmatch.fnmatchcase, parts, patterns))
