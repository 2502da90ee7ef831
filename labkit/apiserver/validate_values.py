"""Rules for single values that several kinds share.

Source: k8s.io/apimachinery util/validation and pkg/apis/core/validation.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, invalid, required
from labkit.kube.quantity import parse_quantity

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
PORT_RANGE = "must be between 1 and 65535, inclusive"
_PERCENT = re.compile("[0-9]+%")
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
    "'93%', regex used for validation is '[0-9]+%')"
)
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def is_address(text: str, version: int = 0) -> bool:
    """Whether `text` is an IP address, of that version if one is given."""
    try:
        return ipaddress.ip_address(text).version == version or not version
    except ValueError:
        return False


def non_negative(value: int | None, path: str) -> list[FieldError]:
    """A number that may not be below zero, if it is given."""
    return [invalid(path, value, NOT_NEGATIVE)] if value is not None and value < 0 else []


def immutable(value: object, before: object, path: str) -> list[FieldError]:
    """A field that never changes."""
    return [] if (value or None) == (before or None) else [invalid(path, value, IMMUTABLE)]


def port_number(value: int, path: str) -> list[FieldError]:
    """A port from 1 to 65535."""
    return [] if 1 <= value <= 65535 else [invalid(path, value, PORT_RANGE)]


def port_or_name(value: int | str | None, path: str) -> list[FieldError]:
    """A port by number or by name."""
    if isinstance(value, str):
        wrong = names.port_name(value)
        return [invalid(path, value, wrong)] if wrong else []
    return port_number(value or 0, path)


def int_or_percent(value: int | str | None, path: str) -> list[FieldError]:
    """A count, or a share of all like `25%`."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [invalid(path, value, _PERCENT_RULE)]
    return non_negative(value, path)


def not_above_all(value: int | str | None, path: str) -> list[FieldError]:
    """A share is at most 100%."""
    if (percent_of(value) or 0) <= 100:
        return []
    return [invalid(path, value, "must not be greater than 100%")]


def percent_of(value: int | str | None) -> int | None:
    """The number before the `%`, None for a count."""
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return int(value[:-1])
    return None


def positive_quantity(text: str, path: str) -> list[FieldError]:
    """An amount above zero."""
    return [] if parse_quantity(text) > 0 else [invalid(path, text, "must be greater than zero")]


def domain_prefixed(text: str, path: str) -> list[FieldError]:
    """A path that begins with a domain, as `acme.io/foo`."""
    if not text:
        return [required(path)]
    domain, _, rest = text.partition("/")
    if not domain or not rest:
        why = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [invalid(path, text, why)]
    wrong = names.dns_subdomain(domain)
    return [invalid(path, domain, wrong)] if wrong else []


def label_selector(selector: Mapping, path: str) -> list[FieldError]:
    """A metav1.LabelSelector."""
    errors = []
    for key, value in (selector.get("matchLabels") or {}).items():
        if wrong := names.qualified_name(key):
            errors.append(invalid(f"{path}.matchLabels", key, wrong))
        if wrong := names.label_value(value):
            errors.append(invalid(f"{path}.matchLabels", value, wrong))
    for index, one in enumerate(selector.get("matchExpressions") or ()):
        errors += _expression(one, f"{path}.matchExpressions[{index}]")
    return errors


def _expression(one: Mapping, path: str) -> list[FieldError]:
    operator, values = one.get("operator", ""), one.get("values") or ()
    errors = []
    if operator in ("In", "NotIn") and not values:
        why = "must be specified when `operator` is 'In' or 'NotIn'"
        errors.append(required(f"{path}.values", why))
    if operator in ("Exists", "DoesNotExist") and values:
        why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        errors.append(FieldError("FieldValueForbidden", f"{path}.values", f"Forbidden: {why}"))
    if operator not in _OPERATORS:
        errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    if wrong := names.qualified_name(one.get("key", "")):
        errors.append(invalid(f"{path}.key", one.get("key", ""), wrong))
    return errors
