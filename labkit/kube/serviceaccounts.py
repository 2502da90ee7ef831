"""The names by which a ServiceAccount is a user.

Source: k8s.io/apiserver pkg/authentication/serviceaccount.
"""

from __future__ import annotations

_PREFIX = "system:serviceaccount:"
_ALL = "system:serviceaccounts"


def username(namespace: str, name: str) -> str:
    """`system:serviceaccount:default:builder`."""
    return f"{_PREFIX}{namespace}:{name}"


def groups(namespace: str) -> tuple[str, str]:
    """The groups of every ServiceAccount in a namespace."""
    return _ALL, f"{_ALL}:{namespace}"


def split(username: str) -> tuple[str, str] | None:
    """(namespace, name) of a ServiceAccount's user name, None for anybody else's."""
    if not username.startswith(_PREFIX):
        return None
    namespace, _, name = username.removeprefix(_PREFIX).partition(":")
    return (namespace, name) if namespace and name and ":" not in name else None
