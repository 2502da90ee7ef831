"""Acting as somebody else: `kubectl --as`, checked thing by thing against the verb `impersonate`.

Whoever asks must be allowed to impersonate the user (or ServiceAccount), each group, the uid and
each extra value that he names; then the request is that user's, as if he had sent it himself.

Source: k8s.io/apiserver pkg/endpoints/filters/impersonation.go; Kubernetes documentation, "User
impersonation".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from labkit.apiserver import statuses
from labkit.apiserver.attributes import Attributes
from labkit.apiserver.authorizer import Authorizer
from labkit.apiserver.request import ANONYMOUS, User
from labkit.kube import serviceaccounts

PREFIX = b"impersonate-"
_EXTRA = "extra-"
_GROUP = "authentication.k8s.io"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"


def headers(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """(what, value) of the headers that impersonate: (`user`, `jane`), (`extra-team`, `blue`)."""
    return [
        (name[len(PREFIX) :].decode("latin-1").lower(), value.decode("utf-8", "replace"))
        for name, value in raw
        # One look at a letter spares most headers of most requests the rest.
        if name[0] in b"Ii" and name[: len(PREFIX)].lower() == PREFIX
    ]


def impersonated(authorizer: Authorizer, user: User, asked: list[tuple[str, str]]) -> User:
    """Whom `user` acts as.  Raises ApiError 403, 500 for headers without a user, as upstream."""
    found = _named(asked)
    if not found.name:
        raise statuses.internal("requested impersonation without impersonating a user")
    for wanted in _wanted(found):
        authorizer.demand(user, wanted)
    return _completed(found)


def _named(asked: list[tuple[str, str]]) -> User:
    """The user whom the headers name, as they name him."""
    values: dict[str, list[str]] = {}
    for what, value in asked:
        values.setdefault(what, []).append(value)
    extra = {
        unquote(what.removeprefix(_EXTRA)): tuple(texts)
        for what, texts in values.items()
        if what.startswith(_EXTRA)
    }
    name, uid = (values.get(what, [""])[0] for what in ("user", "uid"))
    return User(name, tuple(values.get("group", ())), uid, extra)


def _wanted(found: User) -> Iterator[Attributes]:
    """What one must be allowed, to be this user."""
    if account := serviceaccounts.split(found.name):
        namespace, name = account
        yield _impersonate("serviceaccounts", name, namespace=namespace)
    else:
        yield _impersonate("users", found.name)
    for group in found.groups:
        yield _impersonate("groups", group)
    for key, texts in found.extra.items():
        for text in texts:
            yield _impersonate("userextras", text, group=_GROUP, subresource=key)
    if found.uid:
        yield _impersonate("uids", found.uid, group=_GROUP)


def _impersonate(resource: str, name: str, **more: str) -> Attributes:
    return Attributes("impersonate", version="v1", resource=resource, name=name, **more)


def _completed(found: User) -> User:
    """The user with the groups that everybody of his kind is in."""
    groups, account = found.groups, serviceaccounts.split(found.name)
    if account and not groups:
        groups = serviceaccounts.groups(account[0])
    always = _UNAUTHENTICATED if found.name == ANONYMOUS.name else _AUTHENTICATED
    if not {_AUTHENTICATED, _UNAUTHENTICATED} & set(groups):
        groups = (*groups, always)
    return User(found.name, groups, found.uid, found.extra)
