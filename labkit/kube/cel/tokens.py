"""From text to tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from labkit.kube.cel.values import CelSyntaxError

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
    | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
    | (?P<string>[rRbB]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
        |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    | (?P<name>[_a-zA-Z]\w*|`[\w.\-/ ]+`)
    | (?P<operator>\?\.|\[\?|&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL
)


class Token(NamedTuple):
    """`kind` is float, int, string, name, operator or end; `value` is what a literal means."""

    kind: str
    text: str
    at: int
    value: object = None


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, `end` last.  Raises CelSyntaxError."""
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CelSyntaxError(text, at, f"token recognition error at: '{text[at]}'")
        if match.lastgroup != "space":
            found.append(_token(match))
        at = match.end()
    return [*found, Token("end", "<EOF>", at)]


def _token(match: re.Match) -> Token:
    kind, text = match.lastgroup, match.group()
    value: object = None
    match kind:
        case "float":
            value = float(text)
        case "int":
            value = int(text.rstrip("uU"), 0) if "x" in text.lower() else int(text.rstrip("uU"))
        case "string":
            value = _string(text)
        case "name":
            text = text.strip("`")
    return Token(kind, text, match.start(), value)


def _string(text: str) -> str | bytes:
    prefix = re.match("[rRbB]*", text).group().lower()
    body = text[len(prefix) :]
    width = 3 if body[:3] in ('"""', "'''") else 1
    body = body[width:-width]
    if "r" not in prefix:
        body = _ESCAPE.sub(_unescaped, body)
    return body.encode() if "b" in prefix else body


def _unescaped(match: re.Match) -> str:
    text = match.group(1)
    if text[0] in "xuU" and len(text) > 1:
        return chr(int(text[1:], 16))
    if text[0] in "0123" and len(text) == 3:
        return chr(int(text, 8))
    return _ESCAPES.get(text, match.group())
