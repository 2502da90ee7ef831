"""Validation rules: CEL expressions in a schema (`x-kubernetes-validations`).

A rule belongs to a place in the schema and is asked about each value there, as `self`.  A rule that
mentions `oldSelf` is a transition rule: it is asked on updates only, where the value had a
predecessor: the same field, the same key of a map, the element of a list of type map with the same
keys.  With `optionalOldSelf` it is always asked, and `oldSelf` is an optional value.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/schema/cel; documentation "Validation rules".
Left out: costs and their limits; ratcheting (values that an update leaves as they were are asked
again).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from labkit.apiserver import fields
from labkit.apiserver.custom.structural import EMBEDDED, child
from labkit.apiserver.fields import FieldError
from labkit.kube import cel
from labkit.kube.cel.functions import FUNCTIONS
from labkit.kube.cel.values import CelError

RULES = "x-kubernetes-validations"
_TYPED = {"date-time": "timestamp", "datetime": "timestamp", "duration": "duration"}
# What rules may know of a resource besides its own fields.
_METADATA = ("name", "generateName")
_BLOCKING = {
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}
UNCHECKED = fields.FieldError(
    "FieldValueInvalid",
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


def blocks(errors: list[FieldError]) -> bool:
    """Whether an object is so wrong that rules cannot be asked about it."""
    return any(error.reason in _BLOCKING for error in errors)


class _Rule(NamedTuple):
    """A rule and its programs."""

    given: Mapping
    program: cel.Program
    message: cel.Program | None

    @property
    def transition(self) -> bool:
        return "oldSelf" in self.program.names


class Rules:
    """The rules of a schema and of what is below it."""

    def __init__(self, schema: Mapping, *, root: bool = True) -> None:
        self._schema, self._root = schema, root or bool(schema.get(EMBEDDED))
        self._own = [_compiled(rule) for rule in schema.get(RULES) or ()]
        self._typed = _has_formats(schema)
        below = {key: _below(field) for key, field in (schema.get("properties") or {}).items()}
        self._fields = {key: rules for key, rules in below.items() if rules}
        self._values, self._items = (
            _below(schema.get(key)) for key in ("additionalProperties", "items")
        )

    def __bool__(self) -> bool:
        return bool(self._own or self._fields or self._values or self._items)

    def errors(self, value: object, old: object = None, path: str = "") -> Iterator[FieldError]:
        """What the rules have against a value; `old` is what it was before."""
        if value is None:
            return
        if self._own:
            yield from self._ask(value, old, path)
        if isinstance(value, Mapping):
            before = old if isinstance(old, Mapping) else {}
            for key, item in value.items():
                rules = self._fields.get(key)
                below = f"{path}.{key}" if path else key
                if rules is None and key not in (self._schema.get("properties") or {}):
                    rules, below = self._values, f"{path}[{key}]"
                if rules:
                    yield from rules.errors(item, before.get(key), below)
        elif isinstance(value, list) and self._items:
            for index, item in enumerate(value):
                yield from self._items.errors(item, self._same(item, old), f"{path}[{index}]")

    def _same(self, item: object, old: object) -> object:
        """The element of the old list that this element was."""
        keys = self._schema.get("x-kubernetes-list-map-keys")
        if not keys or not isinstance(old, list) or not isinstance(item, Mapping):
            return None
        wanted = [item.get(key) for key in keys]
        return next((one for one in old if [one.get(key) for key in keys] == wanted), None)

    def _ask(self, value: object, old: object, path: str) -> Iterator[FieldError]:
        variables = {"self": self._view(value), "oldSelf": self._view(old)}
        for rule in self._own:
            optional = bool(rule.given.get("optionalOldSelf"))
            if rule.transition and old is None and not optional:
                continue
            env = variables
            if optional:
                env = {**variables, "oldSelf": cel.Optional(variables["oldSelf"], old is not None)}
            if error := self._asked(rule, env, value, path):
                yield error

    def _asked(self, rule: _Rule, env: Mapping, value: object, path: str) -> FieldError | None:
        words = (rule.given.get("message") or rule.given["rule"]).strip()
        try:
            if rule.program.evaluate(env) is True:
                return None
        except CelError as error:
            return _invalid(path, None, f"{error} evaluating rule: {words}")
        detail = _message(rule, env) or (
            words if rule.given.get("message") else f"failed rule: {words}"
        )
        if rule.given.get("fieldPath"):
            path = f"{path}{rule.given['fieldPath']}".removeprefix(".")
        match rule.given.get("reason"):
            case "FieldValueForbidden":
                return fields.forbidden(path, detail)
            case "FieldValueRequired":
                return fields.required(path, detail)
            case "FieldValueDuplicate":
                return fields.duplicate(path, value)
        return _invalid(path, None if isinstance(value, dict | list) else value, detail)

    def _view(self, value: object) -> object:
        """The value as rules see it."""
        if self._typed:
            value = _converted(value, self._schema)
        if self._root and isinstance(value, Mapping):
            known = {*(self._schema.get("properties") or {}), "apiVersion", "kind"}
            seen = {key: item for key, item in value.items() if key in known}
            metadata = value.get("metadata") or {}
            return {**seen, "metadata": {k: metadata[k] for k in _METADATA if k in metadata}}
        return value


def _below(schema: object) -> Rules | None:
    rules = Rules(schema, root=False) if isinstance(schema, Mapping) else None
    return rules or None


def _compiled(rule: Mapping) -> _Rule:
    expression = rule.get("messageExpression")
    message = cel.compile(expression.strip()) if expression else None
    return _Rule(rule, cel.compile(rule["rule"].strip()), message)


def _message(rule: _Rule, env: Mapping) -> str:
    """What the rule's messageExpression says, if it says something usable."""
    if rule.message is None:
        return ""
    try:
        text = rule.message.evaluate(env)
    except CelError:
        return ""
    return text.strip() if isinstance(text, str) and "\n" not in text else ""


def _invalid(path: str, value: object, detail: str) -> FieldError:
    """Objects and lists are left out of the message."""
    if value is None:
        return FieldError("FieldValueInvalid", path or "<nil>", f"Invalid value: {detail}")
    return fields.invalid(path or "<nil>", value, detail)


def _has_formats(schema: object) -> bool:
    if not isinstance(schema, Mapping):
        return False
    below = (schema.get("items"), schema.get("additionalProperties"))
    known = (schema.get("properties") or {}).values()
    named = schema.get("format") in (*_TYPED, "byte")
    return named or any(map(_has_formats, (*below, *known)))


def _converted(value: object, schema: Mapping | None) -> object:
    """Texts with formats as times, durations and bytes."""
    if schema is None:
        return value
    if isinstance(value, Mapping):
        return {key: _converted(item, child(schema, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_converted(item, schema.get("items")) for item in value]
    name = schema.get("format")
    if not isinstance(value, str) or name not in (*_TYPED, "byte"):
        return value
    try:
        return base64.b64decode(value) if name == "byte" else FUNCTIONS[_TYPED[name]](value)
    except (CelError, binascii.Error):
        return value


def wrong(rule: Mapping, path: str) -> Iterator[FieldError]:
    """What is wrong with the expressions of a rule."""
    for key, words in (("rule", ""), ("messageExpression", "messageExpression ")):
        if not (text := (rule.get(key) or "").strip()):
            continue
        try:
            program = cel.compile(text)
        except cel.CelSyntaxError as error:
            yield fields.invalid(f"{path}.{key}", rule, f"{words}compilation failed: {error}")
            continue
        if key == "rule" and "oldSelf" not in program.names and rule.get("optionalOldSelf"):
            why = "may not be set if oldSelf is not used in rule"
            yield fields.invalid(f"{path}.optionalOldSelf", rule["optionalOldSelf"], why)
