"""Words of a Dockerfile: quotes, backslashes and `$name`, as Docker's builder reads them.

`split` cuts a line into words and keeps their quotes; `expand` takes the quotes off one word and
puts values in.  Source: BuildKit's frontend/dockerfile/shell.  Left out: the modifiers that
classic builders do not know (`?`, `#`, `%`, `/`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(
    r"""(?: \\. | '[^']*' | "(?:\\.|[^"\\])*" | \S )+""", re.VERBOSE | re.DOTALL
)  # an odd quote is a letter like others here: `expand` complains about it


def split(text: str) -> list[str]:
    """`a="b c" d\\ e` → `a="b c"` and `d\\ e`: words as written."""
    return _WORD.findall(text)


def expand(word: str, values: Mapping[str, str]) -> str:
    """The word without quotes and with values.  Raises ValueError with the builder's words."""
    try:
        return "".join(_parts(word, values))
    except _Unfinished as error:
        raise ValueError(f'failed to process "{_go_quoted(word)}": {error}') from None


class _Unfinished(Exception):
    pass


def _go_quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _parts(word: str, values: Mapping[str, str]) -> Iterator[str]:
    at, quoted = 0, False
    while at < len(word):
        letter = word[at]
        if letter == "'" and not quoted:
            end = word.find("'", at + 1)
            if end < 0:
                raise _Unfinished(
                    "unexpected end of statement while looking for matching single-quote"
                )
            yield word[at + 1 : end]
            at = end + 1
        elif letter == '"':
            quoted = not quoted
            at += 1
        elif letter == "\\" and at + 1 < len(word):
            following = word[at + 1]
            # Inside of double quotes a backslash is one unless it protects something.
            yield following if not quoted or following in '"$\\' else "\\" + following
            at += 2
        elif letter == "$":
            value, at = _variable(word, at + 1, values)
            yield value
        else:
            yield letter
            at += 1
    if quoted:
        raise _Unfinished("unexpected end of statement while looking for matching double-quote")


def _variable(word: str, at: int, values: Mapping[str, str]) -> tuple[str, int]:
    """The value of what stands after a `$`, and where it ends."""
    braces = word.startswith("{", at)
    name = _NAME.match(word, at + braces)
    if not braces:
        return (values.get(name[0], ""), name.end()) if name else ("$", at)
    if name is None:
        raise _Unfinished("bad substitution")
    end = _closing(word, name.end())
    return _modified(name[0], word[name.end() : end], values), end + 1


def _closing(word: str, at: int) -> int:
    """Where the `}` is that belongs to a `{` before."""
    depth = 1
    for place in range(at, len(word)):
        depth += {"{": 1, "}": -1}.get(word[place], 0)
        if not depth:
            return place
    raise _Unfinished("syntax error: missing '}'")


def _modified(name: str, modifier: str, values: Mapping[str, str]) -> str:
    """`${name}`, `${name:-default}`, `${name:+alternative}`."""
    if not modifier:
        return values.get(name, "")
    kind, rest = modifier[:2], modifier[2:]
    if kind == ":-":
        return values.get(name) or "".join(_parts(rest, values))
    if kind == ":+":
        return "".join(_parts(rest, values)) if values.get(name) else ""
    raise _Unfinished(f"unsupported modifier ({kind}) in substitution")
