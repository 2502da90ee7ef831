"""Quantities: the fixed-point numbers of Kubernetes, such as ``250m`` CPU and ``128Mi`` memory.

A quantity is a decimal number and a suffix. The suffix is decimal (``n u m k M G T P E``, powers
of 1000), binary (``Ki Mi Gi Ti Pi Ei``, powers of 1024) or an exponent (``e3``, ``E-2``), and its
kind is the *format* in which the quantity is written again: ``DecimalSI``, ``BinarySI`` or
``DecimalExponent``.

All arithmetic is exact (`fractions.Fraction`). Two limits come from Kubernetes: nothing finer than
one nano exists, and a finer text is rounded away from zero ("you want some resources if you got
resources"); nothing larger than 2⁶³-1 exists, and a larger text becomes that number.

The canonical form has no fraction, the largest possible suffix and no superfluous zero: ``1.5``
becomes ``1500m``, ``1024Ki`` becomes ``1Mi``, ``0.5Mi`` becomes ``512Ki``. A binary quantity that
is below 1024 or not whole is written in DecimalSI, because rounding it would change it.

Source: k8s.io/apimachinery/pkg/api/resource. Left out: its in-place arithmetic, since Fractions
add and compare by themselves.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

#: The sentence with which a kube-apiserver refuses a text that is no quantity.
FORMAT_RULE = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)

_TEXT = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?",
    re.ASCII,
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_NANO = 10**9
_MAX = 2**63 - 1
# A larger exponent can only mean zero, the smallest or the largest quantity; without the limit
# "1e999999999" would build a number of a gigabyte before it is capped.
_MAX_EXPONENT = 400


class QuantityError(ValueError):
    """The text is no quantity; the message says which text and how one is written."""

    def __init__(self, text: object) -> None:
        super().__init__(
            f"{text!r} is not a quantity: {FORMAT_RULE}. "
            "A suffix is probably misspelt or there is a space between number and suffix. "
            'Write for example cpu: "250m" or memory: "128Mi".'
        )


def parse_quantity(text: str | int | float) -> Fraction:
    """The exact value of `text` in its base unit (cores, bytes), to the nano; QuantityError."""
    return _parse(_as_text(text))[0]


def quantity_format(text: str | int | float) -> Format:
    """The format that the suffix of `text` asks for; QuantityError."""
    return _parse(_as_text(text))[1]


def milli_value(text: str | int | float) -> int:
    """`text` in thousandths of its base unit, rounded up (away from zero), as ``MilliValue()``."""
    return _round_up(parse_quantity(text), 1000)


def value(text: str | int | float) -> int:
    """`text` in whole base units, rounded up (away from zero), as ``Value()``."""
    return _round_up(parse_quantity(text))


def canonical(text: str | int | float) -> str:
    """`text` in the canonical form of its own format, as the API server stores it."""
    return format_quantity(*_parse(_as_text(text)))


def format_quantity(value: Fraction | int, format: Format = "DecimalSI") -> str:
    """The canonical text of `value` (in base units) in `format`."""
    limit = _MAX * _NANO
    nanos = max(-limit, min(_round_up(value, _NANO), limit))
    if nanos == 0:
        return "0"
    if format == "BinarySI" and nanos % _NANO == 0 and abs(nanos) >= 1024 * _NANO:
        return _format_binary(nanos // _NANO)
    return _format_decimal(nanos, format)


def _as_text(text: str | int | float) -> str:
    if isinstance(text, str):
        return text
    # JSON and YAML may carry a bare number where a quantity belongs.
    if isinstance(text, int | float) and not isinstance(text, bool):
        return str(text)
    raise QuantityError(text)


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Fraction, Format]:
    match = _TEXT.fullmatch(text)
    digits = match and match["whole"] + (match["part"] or "")
    if not match or not digits:
        raise QuantityError(text)
    factor, format = _scale(match["suffix"] or "", match["exponent"])
    amount = Fraction(int(digits), 10 ** len(match["part"] or "")) * factor
    if format == "BinarySI" and 0 < amount < 1:
        format = "DecimalSI"
    return _limit(-amount if match["sign"] == "-" else amount), format


def _scale(suffix: str, exponent: str | None) -> tuple[Fraction, Format]:
    if exponent is not None:
        power = max(-_MAX_EXPONENT, min(int(exponent), _MAX_EXPONENT))
        return Fraction(10) ** power, "DecimalExponent"
    if suffix.endswith("i"):
        return Fraction(1024 ** _BINARY.index(suffix)), "BinarySI"
    return Fraction(10) ** _DECIMAL[suffix], "DecimalSI"


def _limit(amount: Fraction) -> Fraction:
    return max(Fraction(-_MAX), min(Fraction(_round_up(amount, _NANO), _NANO), Fraction(_MAX)))


def _round_up(amount: Fraction | int, factor: int = 1) -> int:
    """`amount` × `factor`, rounded away from zero."""
    # Whole numbers only: a product of Fractions would look for a common divisor first.
    whole = -(-abs(amount.numerator) * factor // amount.denominator)
    return whole if amount >= 0 else -whole


def _format_binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < len(_BINARY) - 1:
        number //= 1024
        power += 1
    return f"{number}{_BINARY[power]}"


def _format_decimal(nanos: int, format: Format) -> str:
    exponent = -9
    while nanos % 1000 == 0 and exponent < 18:
        nanos //= 1000
        exponent += 3
    if format == "DecimalExponent":
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{_DECIMAL_SUFFIX[exponent]}"
