"""What operators mean: equality, order, arithmetic, selection.

Source: cel-spec, langdef.md ("Operators", "Equality", "Numeric values").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_INT64 = 2**63
_ESCAPED = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}
_KEYWORDS = {
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
    "if", "import", "let", "loop", "package", "namespace", "return",
}  # fmt: skip


class CelError(Exception):
    """The program has no value; the message is cel-go's."""


class CelSyntaxError(ValueError):
    """The text is no program; the message shows where."""

    def __init__(self, text: str, at: int, why: str) -> None:
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        shown = text.split("\n")[line - 1]
        pointer = "." * (column - 1) + "^"
        super().__init__(f"ERROR: <input>:{line}:{column}: {why}\n | {shown}\n | {pointer}")


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may not be there."""

    value: object = None
    there: bool = True


NONE = Optional(there=False)


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value, as `type(x)` tells it."""

    name: str


def type_of(value: object) -> str:
    """The name of a value's type."""
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return getattr(value, "cel_type", value.__class__.__name__.lower())


_TYPES = (
    (bool, "bool"), (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes"),
    (type(None), "null_type"), (Mapping, "map"), (list | tuple, "list"),
    (timedelta, "google.protobuf.Duration"), (datetime, "google.protobuf.Timestamp"),
    (Optional, "optional_type"), (Type, "type"),
)  # fmt: skip


def text(value: object) -> str:
    """What `string(value)` gives; a value of a library knows its own text."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case bytes():
            return value.decode()
        case timedelta():
            return f"{value.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.cel_string()


def is_number(value: object) -> bool:
    """Whether a value is an int or a double."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def no_overload(*_: object) -> CelError:
    """No function of that name takes values of these types."""
    return CelError("no such overload")


def equal(left: object, right: object) -> bool:
    """Deep equality; numbers are equal across types, all other types are different."""
    if is_number(left) and is_number(right):
        return left == right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        same = len(left) == len(right) and all(key in right for key in left)
        return same and all(equal(value, right[key]) for key, value in left.items())
    return type_of(left) == type_of(right) and left == right


def compare(holds: Callable[[object, object], bool]) -> Callable[[object, object], bool]:
    """<, <=, > or >= for values that have an order."""

    def compared(left: object, right: object) -> bool:
        ordered = isinstance(left, bool | str | bytes | timedelta | datetime)
        if (is_number(left) and is_number(right)) or (ordered and type(left) is type(right)):
            return holds(left, right)
        raise no_overload()

    return compared


def _fits(value: object) -> object:
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise CelError("integer overflow")
    return value


def add(left: object, right: object) -> object:
    """Numbers of one type, texts, lists, durations, times."""
    if is_number(left) and type(left) is type(right):
        return _fits(left + right)
    if isinstance(left, list) and isinstance(right, list):
        return [*left, *right]
    texts = isinstance(left, str | bytes) and type(left) is type(right)
    times = isinstance(left, timedelta | datetime) and isinstance(right, timedelta)
    if texts or times or (isinstance(left, timedelta) and isinstance(right, datetime)):
        return left + right
    raise no_overload()


def subtract(left: object, right: object) -> object:
    """Numbers of one type, durations, times."""
    if is_number(left) and type(left) is type(right):
        return _fits(left - right)
    if isinstance(left, timedelta | datetime) and isinstance(right, timedelta):
        return left - right
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left - right
    raise no_overload()


def _arithmetic(apply: Callable[[object, object], object]) -> Callable[[object, object], object]:
    def applied(left: object, right: object) -> object:
        if is_number(left) and type(left) is type(right):
            return _fits(apply(left, right))
        raise no_overload()

    return applied


def _divided(left, right):
    if isinstance(left, float):
        return left / right if right else float("nan") if not left else left * float("inf")
    if not right:
        raise CelError("division by zero")
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _rest(left, right):
    if isinstance(left, float):
        raise no_overload()
    if not right:
        raise CelError("modulus by zero")
    return left - right * _divided(left, right)


multiply = _arithmetic(lambda left, right: left * right)
divide = _arithmetic(_divided)
modulo = _arithmetic(_rest)


def negate(value: object) -> object:
    """The other sign."""
    if not is_number(value):
        raise no_overload()
    return _fits(-value)


def contains(item: object, holder: object) -> bool:
    """`item in holder`."""
    if isinstance(holder, Mapping):
        return item in holder if isinstance(item, str | int | bool) else False
    if isinstance(holder, list):
        return any(equal(item, one) for one in holder)
    raise no_overload()


def field_name(name: str) -> str:
    """A field's name as JSON has it; names that CEL cannot spell are escaped."""
    if not name.startswith("__") and "__" not in name:
        return name
    if name[2:-2] in _KEYWORDS and name == f"__{name[2:-2]}__":
        return name[2:-2]
    for escaped, plain in _ESCAPED.items():
        name = name.replace(escaped, plain)
    return name


def select(value: object, name: str) -> object:
    """`value.name`."""
    if isinstance(value, Optional):
        return Optional(select(value.value, name)) if has(value.value, name) else NONE
    if not isinstance(value, Mapping):
        raise no_overload()
    if name not in value:
        raise CelError(f"no such key: {name}")
    return value[name]


def has(value: object, name: str) -> bool:
    """Whether `value.name` is there."""
    if isinstance(value, Optional):
        return value.there and has(value.value, name)
    if not isinstance(value, Mapping):
        raise no_overload()
    return name in value


def index(value: object, key: object) -> object:
    """`value[key]`."""
    if isinstance(value, Mapping):
        if key not in value:
            raise CelError(f"no such key: {key}")
        return value[key]
    if isinstance(value, list) and is_number(key):
        if not 0 <= key < len(value):
            raise CelError(f"index out of bounds: {key}")
        return value[int(key)]
    raise no_overload()
