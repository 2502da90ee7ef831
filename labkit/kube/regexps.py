"""Regular expressions as Go writes them (RE2), for Python's `re`.

Source: github.com/google/re2, doc/syntax.txt.  Left out: what Python has no name for, such as
`\\pN`; such expressions are errors.
"""

from __future__ import annotations

import re
from functools import lru_cache

_POSIX = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}


@lru_cache(maxsize=1024)
def compile(text: str) -> re.Pattern:
    """The expression that `text` is in Go.  Raises re.error."""
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", text)
    for name, characters in _POSIX.items():
        text = text.replace(f"[:{name}:]", characters)
    # In Python `$` also matches before a line's end at the end of the text.
    return re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\Z", text), re.ASCII)
