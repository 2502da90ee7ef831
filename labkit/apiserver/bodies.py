"""From a request's bytes to values: JSON, YAML or protobuf.

What cannot be read becomes a `Malformed`, because how it is refused depends on what it was meant to
be; what was read but says something twice is told beside the value, because whether that matters
depends on `fieldValidation`.

Source: Kubernetes API concepts, "Alternate representations of resources" and "Field validation";
k8s.io/apimachinery runtime/serializer; k8s.io/apiserver endpoints/handlers (transformDecodeError).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import yaml

from labkit.apiserver import protobuf, statuses
from labkit.apiserver.negotiation import BODY_TYPES, parse_media_type
from labkit.client.transport import JSON, PATCH_TYPES
from labkit.kube import jsonsyntax

YAML_ERRORS = "yaml: unmarshal errors:\n"
_SHOWN = 30  # bytes of a body that is not understood
_EXPLAINED = 256 * 1024  # bytes; to explain a longer text would keep others waiting
_MIN_VALUES = 100_000  # that any YAML may have; with more, no more than it has bytes
_MAX_DEPTH = 1000  # of nested YAML: its composer recurses in C, without a bound of its own
_KIND = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
    'Kind string "json:\\"kind,omitempty\\"" }'
)
_JSON_TYPES = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}


class Body(NamedTuple):
    """`value` with its media type; `repeated` are strict decoding's complaints about it."""

    value: object
    media: str
    repeated: tuple[str, ...] = ()


NOTHING = Body(None, JSON)


class Malformed(NamedTuple):
    """A body that is not in the form that it says it is; `shown` is its beginning."""

    error: str
    shown: str

    @property
    def as_object(self) -> str:
        """The complaint of a decoder that looks for a kind first."""
        if self.error.startswith(_CONVERTING):
            return self.error.removeprefix(_CONVERTING)
        return _NO_KIND + self.error


_CONVERTING = "error converting YAML to JSON: "
_NO_KIND = "couldn't get version/kind; json parse error: "


def not_object(value: object) -> Malformed:
    """A body of the right form that is no object."""
    if value is None:
        return Malformed("unexpected end of JSON input", "<empty>")
    wrong = f"json: cannot unmarshal {json_type(value)} into Go value of type {_KIND}"
    return Malformed(wrong, _summary(orjson.dumps(value)))


def json_type(value: object) -> str:
    """What JSON calls the type of a value."""
    return _JSON_TYPES.get(value.__class__, "object")


def decode(content: bytes, method: str, content_type: str) -> Body:
    """The value of a body.  Raises ApiError 400 (protobuf), 415."""
    media = parse_media_type(content_type)[0] or JSON
    if method == "PATCH":
        if media not in PATCH_TYPES.values():
            raise statuses.not_a_patch()
    elif media not in (*BODY_TYPES, protobuf.MEDIA_TYPE):
        raise statuses.unsupported_media_type((*BODY_TYPES, protobuf.MEDIA_TYPE))
    if not content:
        return Body(None, media)
    if media == protobuf.MEDIA_TYPE:
        return Body(protobuf.decode(content), JSON)
    return _yaml(content, media) if media.endswith("yaml") else _json(content, media)


def _json(content: bytes, media: str) -> Body:
    try:
        value = orjson.loads(content)
        repeated = jsonsyntax.duplicates(content, orjson.dumps(value))
    except (ValueError, TypeError, RecursionError) as error:
        wrong = jsonsyntax.syntax_error(content) if len(content) <= _EXPLAINED else ""
        return Body(Malformed(wrong or str(error), _summary(content)), media)
    return Body(value, media, tuple(f'duplicate field "{path}"' for path in repeated))


def _summary(content: bytes) -> str:
    shown = content[:_SHOWN]
    text = shown.decode(errors="replace") if shown[:1] == b"{" else shown.hex()
    return text + (" ..." if len(content) > _SHOWN else "")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as JSON knows it: a timestamp is a text.  `repeated` names keys that are there twice."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    self.repeated.append(f'line {line}: key "{key.value}" already set in map')
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _yaml(content: bytes, media: str) -> Body:
    try:
        _check_depth(content)
        loader = _Loader(content)
        value = _Plain(content).of(loader.get_single_data())
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        wrong = f"{_CONVERTING}yaml: {_yaml_error(error)}"
        return Body(Malformed(wrong, _summary(content)), media)
    if not loader.repeated:
        return Body(value, media)
    return Body(value, media, (YAML_ERRORS + "  " + "\n  ".join(loader.repeated),))


def _check_depth(content: bytes) -> None:
    """Raises ValueError for a text that is nested too deeply."""
    # Without these marks each level takes a line and one more space: megabytes for a few thousand.
    if sum(map(content.count, (b"[", b"{", b"- ", b"-\t", b"? ", b"?\t"))) < _MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(content, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError(f"exceeded max depth of {_MAX_DEPTH}")


def _yaml_error(error: Exception) -> str:
    """In the words and with the line of Go's library, which names none for the first."""
    if not isinstance(error, yaml.MarkedYAMLError) or not error.problem_mark:
        return str(error)
    context = error.context_mark.line if error.context_mark else 0
    line = context or error.problem_mark.line
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    return f"line {line}: {error.problem}" if line else str(error.problem)


class _Plain:
    """Makes of YAML's values such as JSON has.  Aliases are written out, up to a bound."""

    def __init__(self, content: bytes) -> None:
        self._left = _MIN_VALUES + len(content)

    def of(self, value: Any) -> object:
        self._left -= 1
        if self._left < 0:
            raise ValueError("document contains excessive aliasing")
        match value:
            case dict():
                return {_key(key): self.of(item) for key, item in value.items()}
            case list():
                return [self.of(item) for item in value]
            case bool() | str() | float() | None:
                return value
            case int():
                return value if -(2**63) <= value < 2**64 else float(value)
        raise ValueError(f"cannot be JSON: {value!r}")


def _key(key: object) -> str:
    """YAML's keys may be numbers and booleans, JSON's are texts."""
    return str(key).lower() if isinstance(key, bool) else str(key)
