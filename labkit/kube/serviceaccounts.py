"""The names by which a ServiceAccount is a user, and what its tokens in Secrets claim.

Source: k8s.io/apiserver pkg/authentication/serviceaccount; k8s.io/kubernetes
pkg/serviceaccount/legacy.go.
"""

from __future__ import annotations

from collections.abc import Mapping

LEGACY_ISSUER = "kubernetes/serviceaccount"
LEGACY = "kubernetes.io/serviceaccount"
"""What the claims of tokens in Secrets begin with."""

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


def legacy_claims(account: Mapping, secret: Mapping) -> dict:
    """The claims of a token that lives in a Secret: it names what must live, not a time."""
    meta = account["metadata"]
    return {
        "iss": LEGACY_ISSUER,
        "sub": username(meta["namespace"], meta["name"]),
        f"{LEGACY}/namespace": meta["namespace"],
        f"{LEGACY}/secret.name": secret["metadata"]["name"],
        f"{LEGACY}/service-account.name": meta["name"],
        f"{LEGACY}/service-account.uid": meta["uid"],
    }
