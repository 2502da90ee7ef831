"""ServiceAccount tokens for Pods: asked for once, kept in memory, renewed in good time.

Source: kubelet's token manager (pkg/kubelet/token).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube import times
from labkit.kube.resources import SERVICE_ACCOUNTS
from labkit.kubelet.volume_content import TokenAsked

_MAX_AGE = 24 * 3600.0  # seconds


class Token(NamedTuple):
    """A token, for how long it was asked for, and when it expires (Unix seconds)."""

    text: str
    seconds: float
    expires: float


def is_due(token: Token, now: float) -> bool:
    """Whether to ask for another one: less than a fifth of its time is left, or it is a day old."""
    issued = token.expires - token.seconds
    return now > token.expires - token.seconds / 5 or now > issued + _MAX_AGE


class Tokens:
    """The tokens of one node's Pods."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._known: dict[tuple[str, TokenAsked], Token] = {}  # by Pod uid

    async def get(self, pod: Mapping, asked: TokenAsked) -> str:
        """A token of the Pod's ServiceAccount that is good for a while.

        Where no new one can be had, one that is not over yet does.  Raises ApiError, OSError.
        """
        key, now = (pod["metadata"]["uid"], asked), self._clock.now()
        known = self._known.get(key)
        if known is None or is_due(known, now):
            try:
                self._known[key] = await self._request(pod, asked)
            except (ApiError, OSError):
                if known is None or now >= known.expires:
                    raise
        return self._known[key].text

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        for key in [key for key in self._known if key[0] == uid]:
            del self._known[key]

    async def _request(self, pod: Mapping, asked: TokenAsked) -> Token:
        meta = pod["metadata"]
        reference = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": pod["spec"].get("serviceAccountName") or "default"},
            "spec": {
                "audiences": [asked.audience] if asked.audience else [],
                "expirationSeconds": asked.seconds,
                "boundObjectRef": reference,
            },
        }
        answer = await self._client.create(SERVICE_ACCOUNTS, body, meta["namespace"], "token")
        status = answer["status"]
        expires = times.parse(status["expirationTimestamp"])
        return Token(status["token"], answer["spec"]["expirationSeconds"], expires)
