"""Dockerfiles as values: text → instructions, with what is wrong and in which line.

Here is what `docker build` refuses before the first step: words that it does not know, arguments
that are missing.  What an instruction does is in builder.py; what the embedded engine cannot do
(`UNSUPPORTED`) is refused there, when its step comes, as a failing step of Docker's is.

Source: Docker's Dockerfile reference and the classic builder's messages.  Left out: the directive
`escape` (a backslash it is), here-documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from labkit.engine import words
from labkit.engine.errors import BadParameter

_HOST = "Prepare it on your machine and COPY the result."
UNSUPPORTED = {
    "RUN": f"an image has no root file system of its own to run programs in. {_HOST}",
    "ADD": "nothing is fetched or unpacked at build time. Unpack it first and use COPY.",
    "VOLUME": "there are no anonymous volumes. Leave it out, and mount a volume in the Pod.",
    "HEALTHCHECK": "kubelets do not read it. Leave it out, and write probes into the Pod.",
    "STOPSIGNAL": "programs are asked to end with SIGTERM. Leave it out.",
    "SHELL": "the shell form is always for /bin/sh. Use the exec form of CMD and ENTRYPOINT.",
    "ONBUILD": "there is no image that could be built for others. Leave it out.",
}
_FLAGS = {"COPY": {"chown", "chmod", "from"}, "FROM": {"platform"}}
_SUPPORTED = (
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "MAINTAINER", "USER",
    "WORKDIR",
)  # fmt: skip
_COMMENT = re.compile(r"\s*#")
_CONTINUED = re.compile(r"\\[ \t]*$")
_FLAG = re.compile(r"--([A-Za-z-]*)(?:=(\S*))?(?:\s+|$)")


class Instruction(NamedTuple):
    """One instruction; `line` is its first line's number, `source` its text in one line."""

    line: int
    word: str
    source: str
    flags: dict[str, str]
    rest: str

    def strings(self) -> list[str] | None:
        """The arguments of the exec form (`["a", "b"]`), or None for the other form."""
        try:
            value = json.loads(self.rest) if self.rest.startswith("[") else None
        except ValueError:
            return None
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise BadParameter(
                "failed to parse Dockerfile: when using JSON array syntax, arrays must be "
                "comprised of strings only"
            )
        return value

    def arguments(self) -> list[str]:
        """The words as written, or the strings of the exec form."""
        found = self.strings()
        return self.rest.split() if found is None else found

    def pairs(self) -> list[tuple[str, str]]:
        """`k=v k2="v 2"`, or the old form `k v`: keys and values as written."""
        split = words.split(self.rest)
        if split and "=" not in split[0]:
            key, _, value = self.rest.partition(" ")
            return [(key, value.strip())]
        return [tuple(word.split("=", 1)) for word in split]  # checked by `parse`


def parse(text: str, name: str = "Dockerfile") -> list[Instruction]:
    """All instructions.  Raises BadParameter with Docker's words."""
    if not text.strip():
        raise BadParameter(f"the Dockerfile ({name}) cannot be empty")
    found = list(_instructions(text))
    if not found:
        raise BadParameter("failed to parse Dockerfile: file with no instructions")
    for instruction in found:
        _check(instruction)
    first = next((one.word for one in found if one.word != "ARG"), "FROM")
    if first != "FROM":
        raise BadParameter("no build stage in current context")
    return found


def _instructions(text: str) -> Iterator[Instruction]:
    begun, number = "", 0
    for line, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if _COMMENT.match(raw) or not raw.strip():
            continue  # also in the middle of an instruction
        number = number or line
        cut = _CONTINUED.search(raw)
        begun += raw[: cut.start()] if cut else raw
        if not cut:
            yield _instruction(number, begun.strip())
            begun, number = "", 0
    if begun.strip():
        yield _instruction(number, begun.strip())


def _instruction(line: int, source: str) -> Instruction:
    word, *rest = source.split(None, 1)
    text, flags = (rest or [""])[0], {}
    while word.upper() in _FLAGS and (match := _FLAG.match(text)):
        flags[match[1]] = match[2] or ""
        text = text[match.end() :]
    return Instruction(line, word.upper(), source, flags, text)


def _check(one: Instruction) -> None:
    """Raises BadParameter for what can be seen to be wrong without doing it."""
    where = f"dockerfile parse error line {one.line}: "
    if one.word not in _SUPPORTED and one.word not in UNSUPPORTED:
        raise BadParameter(f"{where}unknown instruction: {one.word}")
    for flag in one.flags:
        if flag not in _FLAGS[one.word]:
            raise BadParameter(f"{where}Unknown flag: {flag}")
    count = len(one.arguments())
    if one.word == "COPY" and count < 2:
        given = "no arguments were" if not count else "only one was"
        raise BadParameter(
            f"{where}COPY requires at least two arguments, but {given} provided. "
            "Destination could not be determined"
        )
    if one.word == "FROM" and not (
        count == 1 or (count == 3 and one.rest.split()[1].lower() == "as")
    ):
        raise BadParameter(f"{where}FROM requires either one or three arguments")
    if one.word in ("USER", "WORKDIR") and not one.rest:
        raise BadParameter(f"{where}{one.word} requires exactly one argument")
    if one.word in ("EXPOSE", "ARG", "ENV", "LABEL") and not one.rest:
        raise BadParameter(f"{where}{one.word} requires at least one argument")
    if one.word in ("ENV", "LABEL"):
        _check_pairs(one)


def _check_pairs(one: Instruction) -> None:
    split = words.split(one.rest)
    if "=" not in split[0]:
        if len(split) < 2:
            raise BadParameter(f"failed to parse Dockerfile: {one.word} must have two arguments")
        return
    for word in split:
        if "=" not in word:
            raise BadParameter(
                f'failed to parse Dockerfile: Syntax error - can\'t find = in "{word}". '
                "Must be of the form: name=value"
            )
