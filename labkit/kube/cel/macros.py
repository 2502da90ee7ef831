"""Comprehensions: all, exists, exists_one, map, filter, and those of optional values.

Source: cel-spec, langdef.md ("Macros").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from labkit.kube.cel.values import NONE, CelError, Optional, no_overload

Code = Callable[[Mapping], object]


def _range(value: object) -> Iterable[object]:
    """What a comprehension goes through: a list's elements, a map's keys."""
    if isinstance(value, list | Mapping):
        return list(value)
    raise no_overload()


def _environments(target: Code, variable: str, env: Mapping) -> Iterable[Mapping]:
    for item in _range(target(env)):
        yield {**env, variable: item}


def _quantifier(decides: bool) -> Callable[[Code, str, Code], Code]:
    """`exists` is decided by True, `all` by False; an error counts if nothing decides."""

    def make(target: Code, variable: str, body: Code) -> Code:
        def quantified(env: Mapping) -> bool:
            failed: CelError | None = None
            for inner in _environments(target, variable, env):
                try:
                    if body(inner) is decides:
                        return decides
                except CelError as error:
                    failed = failed or error
            if failed:
                raise failed
            return not decides

        return quantified

    return make


def _exists_one(target: Code, variable: str, body: Code) -> Code:
    return lambda env: sum(body(e) is True for e in _environments(target, variable, env)) == 1


def _map(target: Code, variable: str, body: Code) -> Code:
    return lambda env: [body(inner) for inner in _environments(target, variable, env)]


def _filter_map(target: Code, variable: str, keep: Code, body: Code) -> Code:
    return lambda env: [body(e) for e in _environments(target, variable, env) if keep(e) is True]


def _filter(target: Code, variable: str, keep: Code) -> Code:
    return lambda env: [
        e[variable] for e in _environments(target, variable, env) if keep(e) is True
    ]


def _optional_map(target: Code, variable: str, body: Code) -> Code:
    def mapped(env: Mapping) -> Optional:
        found = target(env)
        return Optional(body({**env, variable: found.value})) if found.there else NONE

    return mapped


def _optional_flat_map(target: Code, variable: str, body: Code) -> Code:
    def mapped(env: Mapping) -> object:
        found = target(env)
        return body({**env, variable: found.value}) if found.there else NONE

    return mapped


MACROS: dict[str, dict[int, Callable[..., Code]]] = {
    "all": {1: _quantifier(False)},
    "exists": {1: _quantifier(True)},
    "exists_one": {1: _exists_one},
    "map": {1: _map, 2: _filter_map},
    "filter": {1: _filter},
    "optMap": {1: _optional_map},
    "optFlatMap": {1: _optional_flat_map},
}
"""By name and number of bodies."""
