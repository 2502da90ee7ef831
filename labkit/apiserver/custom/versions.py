"""The order of API versions, and what is said of deprecated ones.

Source: k8s.io/apimachinery pkg/version (CompareKubeAwareVersionStrings);
k8s.io/apiextensions-apiserver pkg/apiserver (defaultDeprecationWarning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STABILITY = {"alpha": 0, "beta": 1, None: 2}


def priority(version: str) -> tuple:
    """A key that is larger for the version that clients prefer: v2, v1, v1beta2, v1alpha1, foo."""
    match = _VERSION.fullmatch(version)
    if match is None:
        # Other names come last, in the order of the alphabet.
        return (-1, [-ord(character) for character in version], 0)
    major, stability, minor = match.groups()
    return (_STABILITY[stability], [int(major)], int(minor or 0))


def deprecation(spec: Mapping, version: Mapping) -> tuple[str, ...]:
    """The warning that comes with every answer of a deprecated version."""
    if not version.get("deprecated"):
        return ()
    if version.get("deprecationWarning"):
        return (version["deprecationWarning"],)
    group, kind = spec["group"], spec["names"]["kind"]
    message = f"{group}/{version['name']} {kind} is deprecated"
    better = [
        other["name"]
        for other in spec["versions"]
        if other.get("served")
        and not other.get("deprecated")
        and priority(other["name"]) > priority(version["name"])
    ]
    if better:
        message += f"; use {group}/{max(better, key=priority)} {kind}"
    return (message,)
