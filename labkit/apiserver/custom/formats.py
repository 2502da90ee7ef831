"""The formats of strings that a custom resource's schema may ask for.

A format that is not known here is ignored, and the definition's author is warned.  What is checked
by a pattern is found in `_PATTERNS`; what Go parses with its library is parsed here with Python's.

Source: k8s.io/kube-openapi pkg/validation/strfmt; k8s.io/apiextensions-apiserver
pkg/apiserver/validation/formats.go.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from email.utils import parseaddr
from functools import lru_cache
from urllib.parse import urlsplit

_HEX = "[0-9a-fA-F]"
_PATTERNS = {
    "bsonobjectid": f"{_HEX}{{24}}",
    "hostname": (
        r"([^\W_](-?[^\W_]{0,62})?|[^\W_](([^\W_]|-){0,61}[^\W_])?\.)+[^\W\d_]{2,63}"
        r"|[^\W_](([^\W_]|-){0,61}[^\W_])?"
    ),
    "mac": (
        rf"{_HEX}{{2}}([:-]{_HEX}{{2}}){{5}}(([:-]{_HEX}{{2}}){{2}})?"
        rf"|({_HEX}{{4}}\.){{2,3}}{_HEX}{{4}}"
    ),
    "uuid": r"(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})",
    "uuid3": r"(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12})",
    "uuid4": r"(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12})",
    "uuid5": r"(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12})",
    "ssn": r"\d{3}[- ]?\d{2}[- ]?\d{4}",
    "hexcolor": f"#?({_HEX}{{3}}|{_HEX}{{6}})",
    "rgbcolor": r"rgb\(\s*((\d{1,2}|1\d\d|2[0-4]\d|25[0-5])\s*(,\s*|\)$)){3}",
    "datetime": r"(?i:(\d{4}-\d\d-\d\d)t(\d\d):(\d\d):(\d\d)(\.\d+)?(z|[+-]\d\d:\d\d))",
    "k8sshortname": "(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    "k8slongname": (
        r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    ),
}
_GO_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_SCALA_DURATION = re.compile(
    r"\d+\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?"
    r"|s|sec|secs|seconds?|m|min|mins|minutes?|hr|hrs|h|hours?|d|days?|w|wk|wks|weeks?)\b",
    re.IGNORECASE,
)


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


def _uri(text: str) -> bool:
    """As net/url.ParseRequestURI: an absolute URI or an absolute path."""
    try:
        return text.startswith("/") or bool(urlsplit(text).scheme)
    except ValueError:
        return False


def _email(text: str) -> bool:
    local, at, domain = parseaddr(text)[1].rpartition("@")
    return bool(local and at and domain)


def _duration(text: str) -> bool:
    return bool(_GO_DURATION.fullmatch(text) or _SCALA_DURATION.search(text))


def _isbn10(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{9}[\dX]", digits):
        return False
    values = [10 if digit == "X" else int(digit) for digit in digits]
    return sum(place * value for place, value in enumerate(values, 1)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{13}", digits):
        return False
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


def _credit_card(text: str) -> bool:
    """Luhn's sum over 13 to 19 digits, whatever stands between them."""
    digits = [int(digit) for digit in re.sub(r"[^0-9]+", "", text)]
    doubled = [2 * digit - (9 if digit > 4 else 0) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_CHECKS: dict[str, Callable[[str], bool]] = {
    **{
        name: lambda text, p=re.compile(p): bool(p.fullmatch(text)) for name, p in _PATTERNS.items()
    },
    "uri": _uri,
    "email": _email,
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _parses(lambda text: ipaddress.ip_network(text if "/" in text else "", strict=False)),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "byte": _parses(lambda text: base64.b64decode(text, validate=True)),
    "password": lambda text: True,
    "date": lambda text: len(text) == 10 and _parses(date.fromisoformat)(text),
    "duration": _duration,
}
_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


@lru_cache(maxsize=512)
def check(format: str) -> Callable[[str], bool] | None:
    """The test of a format's strings, None for a format that is not known."""
    return _CHECKS.get(format.replace("-", ""))


def known(format: str, type: str) -> bool:
    """Whether a format means something for a type (empty: any)."""
    return format in _NUMBERS.get(type, ()) or (
        type in ("", "string") and check(format) is not None
    )
