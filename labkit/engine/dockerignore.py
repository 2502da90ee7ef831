"""`.dockerignore`: the client leaves out of the context what it names, all but two files.

The Dockerfile and `.dockerignore` are sent in any case, for the builder needs them; the builder
then leaves them out of what COPY sees, if they are ignored.  Source: moby patternmatcher.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable


def is_ignored(name: str, text: str) -> bool:
    """Whether the lines of a .dockerignore leave out the file `name`; the last that fits counts."""
    ignored = False
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        kept = pattern.startswith("!")
        clean = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        if any(re.fullmatch(_regular(clean), part) for part in _with_parents(name)):
            ignored = not kept
    return ignored


def _with_parents(name: str) -> Iterable[str]:
    """The name, and the directories it is in: who ignores these ignores it."""
    while name:
        yield name
        name = posixpath.dirname(name)


def _regular(pattern: str) -> str:
    """Go's `path.Match` with `**`, as a regular expression."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    found = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\]|\\.)", pattern)
    return "".join(parts.get(one, one if one[:1] in "[\\" else re.escape(one)) for one in found)
