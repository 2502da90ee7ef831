"""Resource lists (`cpu: 500m`, `pods: "2"`): adding, comparing, and what a whole Pod asks for.

A list maps names to quantities as text.  A sum keeps the format of its first part (`128Mi` and
`128Mi` make `256Mi`); zero takes the other's.

Source: k8s.io/apiserver pkg/quota/v1 (resources.go), k8s.io/component-helpers resource
(PodRequests, PodLimits), k8s.io/apimachinery api/resource (Quantity.Add).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from labkit.kube import quantity
from labkit.kube.quantity import parse_quantity

Amounts = Mapping[str, str]

_POD_LEVEL = ("cpu", "memory")


def plus(one: str, other: str) -> str:
    """The sum of two quantities."""
    return _combine(one, other, parse_quantity(one) + parse_quantity(other))


def minus(one: str, other: str) -> str:
    """The difference of two quantities, never below zero."""
    return _combine(one, other, max(parse_quantity(one) - parse_quantity(other), 0))


def larger(one: str, other: str) -> str:
    """The larger of two quantities."""
    return other if parse_quantity(other) > parse_quantity(one) else one


def _combine(one: str, other: str, value) -> str:
    format = quantity.quantity_format(one if parse_quantity(one) else other)
    return quantity.format_quantity(value, format)


def add(one: Amounts, other: Amounts) -> dict[str, str]:
    """Both lists together: what is in both is added up."""
    return _merged(one, other, plus)


def maximum(one: Amounts, other: Amounts) -> dict[str, str]:
    """Both lists together: of what is in both, the larger."""
    return _merged(one, other, larger)


def _merged(one: Amounts, other: Amounts, join: Callable[[str, str], str]) -> dict[str, str]:
    result = dict(one)
    for name, amount in other.items():
        result[name] = join(result[name], amount) if name in result else amount
    return result


def subtract(one: Amounts, other: Amounts) -> dict[str, str]:
    """What `one` has beyond `other`; nothing is below zero."""
    return {name: minus(amount, other.get(name, "0")) for name, amount in one.items()}


def only(amounts: Amounts, names: Iterable[str]) -> dict[str, str]:
    """The part of a list that is about `names`."""
    wanted = set(names)
    return {name: amount for name, amount in amounts.items() if name in wanted}


def nonzero(amounts: Amounts) -> dict[str, str]:
    """A list without what is zero."""
    return {name: amount for name, amount in amounts.items() if parse_quantity(amount)}


def beyond(amounts: Amounts, limits: Amounts) -> list[str]:
    """The names of which there is more than the limit."""
    return [
        name
        for name, amount in amounts.items()
        if name in limits and parse_quantity(amount) > parse_quantity(limits[name])
    ]


def same(one: Amounts, other: Amounts) -> bool:
    """Whether two lists have the same amounts of the same things, however they are written."""
    return one.keys() == other.keys() and all(
        parse_quantity(amount) == parse_quantity(other[name]) for name, amount in one.items()
    )


def describe(amounts: Amounts) -> str:
    """`cpu=1,pods=2`, as messages have it."""
    return ",".join(f"{name}={quantity.canonical(amounts[name])}" for name in sorted(amounts))


def pod_requests(spec: Mapping) -> dict[str, str]:
    """What a Pod asks for, without its overhead."""
    return _pod_total(spec, "requests")


def pod_limits(spec: Mapping) -> dict[str, str]:
    """What a Pod may use at most, without its overhead."""
    return _pod_total(spec, "limits")


def _pod_total(spec: Mapping, part: str) -> dict[str, str]:
    """Containers are added up; init containers run one by one before, beside their sidecars."""
    total: dict[str, str] = {}
    sidecars: dict[str, str] = {}
    starting: dict[str, str] = {}
    for container in spec.get("containers") or ():
        total = add(total, of_container(container, part))
    for container in spec.get("initContainers") or ():
        amounts = add(of_container(container, part), sidecars)
        if container.get("restartPolicy") == "Always":
            total = add(total, of_container(container, part))
            sidecars = amounts
        starting = maximum(starting, amounts)
    return maximum(total, starting) | only(
        (spec.get("resources") or {}).get(part) or {}, _POD_LEVEL
    )


def of_container(container: Mapping, part: str) -> dict[str, str]:
    """The `requests` or `limits` of one container (or of a spec that has `resources` itself)."""
    return (container.get("resources") or {}).get(part) or {}
