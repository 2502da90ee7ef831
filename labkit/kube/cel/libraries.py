"""The libraries that Kubernetes adds to CEL: texts, lists, sets, URLs, quantities, addresses.

Source: documentation "Common Expression Language in Kubernetes" ("CEL options, language features
and libraries"); k8s.io/apiserver pkg/cel/library; github.com/google/cel-go ext.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from urllib.parse import SplitResult, parse_qs, urlsplit

from labkit.kube import quantity, regexps
from labkit.kube.cel import values
from labkit.kube.cel.values import CelError


@dataclass(frozen=True, slots=True)
class URL:
    """The value of url()."""

    parts: SplitResult
    cel_type = "kubernetes.URL"


@dataclass(frozen=True, slots=True)
class Quantity:
    """The value of quantity()."""

    amount: Fraction
    cel_type = "kubernetes.Quantity"


@dataclass(frozen=True, slots=True)
class Address:
    """The value of ip()."""

    ip: ipaddress.IPv4Address | ipaddress.IPv6Address
    cel_type = "net.IP"

    def cel_string(self) -> str:
        return str(self.ip)


@dataclass(frozen=True, slots=True)
class Network:
    """The value of cidr()."""

    net: ipaddress.IPv4Network | ipaddress.IPv6Network
    cel_type = "net.CIDR"

    def cel_string(self) -> str:
        return str(self.net)

    def has(self, other: object) -> bool:
        """Whether a network or an address (or its text) is inside."""
        if isinstance(other, Network):
            return other.net.version == self.net.version and other.net.subnet_of(self.net)
        address = other if isinstance(other, Address) else _ip(other)
        return address.ip in self.net


def _parses(make: Callable) -> Callable[[str], bool]:
    def parses(text: str) -> bool:
        try:
            make(text)
        except CelError:
            return False
        return True

    return parses


def _url(text: str) -> URL:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise CelError(f"URL parse error during conversion from string: {error}") from None
    if not text.startswith("/") and not parts.scheme:
        why = f'parse "{text}": invalid URI for request'
        raise CelError(f"URL parse error during conversion from string: {why}")
    return URL(parts)


def _quantity(text: str) -> Quantity:
    try:
        return Quantity(Fraction(quantity.parse_quantity(text)))
    except quantity.QuantityError as error:
        raise CelError(str(error)) from None


def _ip(text: str) -> Address:
    try:
        return Address(ipaddress.ip_address(text))
    except ValueError:
        raise CelError(f'IP Address "{text}" parse error during conversion from string') from None


def _cidr(text: str) -> Network:
    try:
        return Network(ipaddress.ip_network(text if "/" in text else "", strict=False))
    except ValueError:
        raise CelError("network address parse error during conversion from string") from None


def _find(text: str, pattern: str) -> str:
    found = _regexp(pattern).search(text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in _regexp(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _regexp(pattern: str) -> re.Pattern:
    try:
        return regexps.compile(pattern)
    except re.error as error:
        raise CelError(f"error parsing regexp: {error}") from None


def _index_of(holder: str | list, wanted: object, start: int = 0) -> int:
    if isinstance(holder, str):
        return holder.find(wanted, start)
    return next((i for i, one in enumerate(holder) if values.equal(one, wanted)), -1)


def _last_index_of(holder: str | list, wanted: object) -> int:
    if isinstance(holder, str):
        return holder.rfind(wanted)
    return next((i for i in reversed(range(len(holder))) if values.equal(holder[i], wanted)), -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise CelError(f"index out of range: {start if start < 0 or start > len(text) else end}")
    return text[start:end]


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        return list(text) if limit < 0 else [*text[: limit - 1], text[limit - 1 :]]
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _format(text: str, arguments: list) -> str:
    rest = iter(arguments)

    def formatted(match: re.Match) -> str:
        if match.group() == "%%":
            return "%"
        value, verb = next(rest), match.group(2)
        if verb == "s":
            return values.text(value)
        return f"%{match.group(1) or ''}{verb}" % value

    return re.sub(r"%(\.\d+)?([sdfexXob%])", formatted, text)


def _lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda match: match.group().lower(), text)


def _upper(text: str) -> str:
    return re.sub("[a-z]+", lambda match: match.group().upper(), text)


def _is_sorted(items: list) -> bool:
    at_most = values.compare(lambda left, right: left <= right)
    return all(at_most(left, right) for left, right in pairwise(items))


def _extreme(less: bool) -> Callable[[list], object]:
    before = values.compare(lambda left, right: left < right if less else left > right)

    def extreme(items: list) -> object:
        if not items:
            raise CelError(f"{'min' if less else 'max'} called on empty list")
        return reduce(lambda best, one: one if before(one, best) else best, items)

    return extreme


def _sum(items: list) -> object:
    return reduce(values.add, items) if items else 0


def _within(left: list, right: list) -> bool:
    return all(values.contains(item, right) for item in left)


def _compare(left: Quantity, right: Quantity) -> int:
    return (left.amount > right.amount) - (left.amount < right.amount)


def _other(value: object) -> Fraction:
    return value.amount if isinstance(value, Quantity) else Fraction(value)


FUNCTIONS: dict[str, Callable] = {
    "url": _url,
    "isURL": _parses(_url),
    "quantity": _quantity,
    "isQuantity": _parses(_quantity),
    "ip": _ip,
    "isIP": _parses(_ip),
    "cidr": _cidr,
    "isCIDR": _parses(_cidr),
    "math.greatest": lambda *items: _extreme(False)(list(items)),
    "math.least": lambda *items: _extreme(True)(list(items)),
    "sets.contains": lambda left, right: _within(right, left),
    "sets.equivalent": lambda left, right: _within(right, left) and _within(left, right),
    "sets.intersects": lambda left, right: any(values.contains(item, right) for item in left),
}
METHODS: dict[str, Callable] = {
    "charAt": _char_at,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "join": lambda items, separator="": separator.join(items),
    "lowerAscii": _lower,
    "upperAscii": _upper,
    "replace": lambda text, old, new, limit=-1: text.replace(old, new, limit),
    "split": _split,
    "substring": _substring,
    "trim": lambda text: text.strip(),
    "format": _format,
    "find": _find,
    "findAll": _find_all,
    "isSorted": _is_sorted,
    "sum": _sum,
    "min": _extreme(True),
    "max": _extreme(False),
    "getScheme": lambda url: url.parts.scheme,
    "getHost": lambda url: url.parts.netloc.rpartition("@")[2],
    "getHostname": lambda url: (url.parts.hostname or "").strip("[]"),
    "getPort": lambda url: "" if url.parts.port is None else str(url.parts.port),
    "getEscapedPath": lambda url: url.parts.path,
    "getQuery": lambda url: parse_qs(url.parts.query, keep_blank_values=True),
    "isGreaterThan": lambda left, right: _compare(left, right) > 0,
    "isLessThan": lambda left, right: _compare(left, right) < 0,
    "compareTo": _compare,
    "isInteger": lambda one: one.amount.denominator == 1,
    "asInteger": lambda one: int(one.amount),
    "asApproximateFloat": lambda one: float(one.amount),
    "sign": lambda one: (one.amount > 0) - (one.amount < 0),
    "add": lambda left, right: Quantity(left.amount + _other(right)),
    "sub": lambda left, right: Quantity(left.amount - _other(right)),
    "family": lambda one: one.ip.version,
    "isLoopback": lambda one: one.ip.is_loopback,
    "isUnspecified": lambda one: one.ip.is_unspecified,
    "isGlobalUnicast": lambda one: not (one.ip.is_multicast or one.ip.is_loopback),
    "containsIP": lambda net, other: net.has(other),
    "containsCIDR": lambda net, other: net.has(
        other if isinstance(other, Network) else _cidr(other)
    ),
    "prefixLength": lambda net: net.net.prefixlen,
    "masked": lambda net: net,
}
