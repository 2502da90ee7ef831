"""The gate of the API server: every request over the network passes it before anything is served.

In order: is this the server that was meant (Host)? who asks (certificate, bearer token, nobody)?
whom does he act as (impersonation)?  may he do it (RBAC)?  What is a stream (log, exec,
port-forward, proxy) passes like all else.

Source: k8s.io/apiserver pkg/server/config.go (DefaultBuildHandlerChain); Kubernetes documentation,
"Controlling Access to the Kubernetes API".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping

from aiohttp import web

from labkit.apiserver import attributes, auth, impersonation, rbac
from labkit.apiserver.authorizer import Decision
from labkit.apiserver.request import ANONYMOUS, User
from labkit.apiserver.tokens import InvalidToken
from labkit.client.errors import ApiError, status_error

_BEARER = "bearer "
_SOCKET_BEARER = "base64url.bearer.authorization.k8s.io."
_MOST_HOSTS = 64  # spellings of this server's name that are remembered
_ANY = Decision(True)


class Gate:
    """Admits requests to `api`, which answers to `names` (of hosts)."""

    def __init__(self, api, names: Collection[str]) -> None:
        self._api, self._names = api, names
        self._hosts: set[str] = set()

    def sender(self, request: web.BaseRequest, certified: User) -> User:
        """Who sent a request over the connection of `certified`.  Raises ApiError 401, 403."""
        headers = request.headers
        self._check_host(headers.get("Host", ""))
        # A certificate goes before a token, as upstream.
        if certified is not ANONYMOUS:
            return certified
        token = bearer(headers)
        if token is None:
            return ANONYMOUS
        try:
            return self._api.tokens.authenticate(token)[0]
        except InvalidToken:
            raise unauthorized() from None

    def user(self, request: web.BaseRequest, sender: User) -> User:
        """For whom the request is: its sender, or whom he acts as.  Raises ApiError 403, 500."""
        if asked := impersonation.headers(request.raw_headers):
            return impersonation.impersonated(self._api.authorizer, sender, asked)
        return sender

    def decide(self, user: User, method: str, path: str, params: Mapping[str, str]) -> Decision:
        """Why a user's request may be served.  Raises ApiError 401, 403."""
        if rbac.MASTERS in user.groups or auth.is_open(path):
            return _ANY
        if user is ANONYMOUS:
            raise unauthorized()
        return self._api.authorizer.demand(user, attributes.of(method, path, params))

    def _check_host(self, header: str) -> None:
        if header in self._hosts:
            return
        if auth.host_name(header) not in self._names:
            message = f'this server does not answer to the name "{header}"'
            raise status_error(403, "Forbidden", message)
        # A client may vary the port at will: do not let it fill the memory.
        if len(self._hosts) < _MOST_HOSTS:
            self._hosts.add(header)


def unauthorized() -> ApiError:
    """401: nobody, or not who he says he is."""
    return status_error(401, "Unauthorized", "Unauthorized")


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token that a request shows, None if it shows none.

    A browser cannot set headers of a WebSocket: there it may be one of the subprotocols.
    """
    given = headers.get("Authorization", "")
    if given[: len(_BEARER)].lower() == _BEARER:
        return given[len(_BEARER) :].strip() or None
    for protocol in headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(_SOCKET_BEARER):
            return _decoded(protocol.strip().removeprefix(_SOCKET_BEARER))
    return None


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise unauthorized() from None
