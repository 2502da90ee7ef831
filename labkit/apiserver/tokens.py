"""ServiceAccount tokens: made for whoever asks through TokenRequest, and recognised again.

A token is good as long as its time lasts and what it is bound to lives: the ServiceAccount, and a
Pod or Secret if it names one.  A signature is verified once for each token; that its objects still
live is looked up for every request.

Source: k8s.io/kubernetes pkg/serviceaccount (claims.go, legacy.go, jwt.go) and
pkg/registry/core/serviceaccount/storage/token.go.  Left out: extended expiration of projected
tokens, tokens that are bound to a Node alone.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from uuid import uuid4

from labkit.apiserver.request import User
from labkit.apiserver.state import State
from labkit.clock import Clock
from labkit.kube import serviceaccounts, times
from labkit.kube.jwt import Key
from labkit.kube.resources import PODS, SECRETS, SERVICE_ACCOUNTS, Resource
from labkit.kube.serviceaccounts import LEGACY, LEGACY_ISSUER

ISSUER = "https://kubernetes.default.svc.cluster.local"
_AUTHENTICATED = "system:authenticated"
_EXTRA = "authentication.kubernetes.io"
_KEPT = 1024  # tokens whose signatures are known to be good
_LEEWAY = 60  # seconds by which clocks may differ; deleted objects count that much longer


class InvalidToken(Exception):
    """Why a token is no identity, in upstream's words."""


class Tokens:
    """The tokens of one cluster.  The API's own audience is its issuer."""

    def __init__(self, state: State, clock: Clock, key: Key) -> None:
        self._state, self._clock, self.key = state, clock, key
        self._read = lru_cache(_KEPT)(self._verified)

    def metadata(self, address: str, port: int) -> dict:
        """The OpenID provider's metadata: where whoever knows the issuer finds its keys."""
        return {
            "issuer": ISSUER,
            "jwks_uri": f"https://{address}:{port}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.key.algorithm],
        }

    def issue(
        self,
        account: Mapping,
        audiences: Sequence[str],
        seconds: int,
        bound: Mapping | None,
    ) -> tuple[str, float]:
        """(token, Unix time at which it expires) for a ServiceAccount, bound to a Pod or Secret."""
        now = int(self._clock.now())
        meta = account["metadata"]
        private = {"namespace": meta["namespace"], "serviceaccount": _reference(account)}
        if bound:
            private[bound["kind"].lower()] = _reference(bound)
            private |= self._node(bound)
        claims = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": serviceaccounts.username(meta["namespace"], meta["name"]),
        }
        return self.key.sign(claims), now + seconds

    def _node(self, bound: Mapping) -> dict:
        name = (bound.get("spec") or {}).get("nodeName")
        return {"node": {"name": name}} if bound["kind"] == "Pod" and name else {}

    def authenticate(
        self, token: str, audiences: Sequence[str] = ()
    ) -> tuple[User, tuple[str, ...]]:
        """(user, those of `audiences` that the token is for).  Raises InvalidToken.

        Without `audiences` it must be for the API itself.
        """
        try:
            claims, user = self._read(token)
        except ValueError:
            raise InvalidToken("invalid bearer token") from None
        if claims["iss"] == LEGACY_ISSUER:
            meant = (ISSUER,)
            self._check_legacy(claims, token)
        else:
            meant = tuple(claims["aud"])
            self._check(claims)
        wanted = tuple(audiences) or (ISSUER,)
        shared = tuple(one for one in meant if one in wanted)
        if not shared:
            raise InvalidToken(
                f"[invalid bearer token, token audiences {_listed(meant)} is invalid for the "
                f"target audiences {_listed(wanted)}]"
            )
        return user, shared

    def _verified(self, token: str) -> tuple[Mapping, User]:
        """A genuine token's claims, and the user whom they describe.  Raises ValueError."""
        claims = self.key.claims(token)
        return claims, (_legacy_user if claims["iss"] == LEGACY_ISSUER else _user)(claims)

    def _check(self, claims: Mapping) -> None:
        """Raises InvalidToken for a token whose time is over, or one of whose objects is gone."""
        now, private = self._clock.now(), claims["kubernetes.io"]
        if now > claims["exp"] + _LEEWAY:
            raise _invalid("service account token has expired")
        if now < claims["nbf"] - _LEEWAY:
            raise _invalid("service account token is not valid yet")
        namespace, account = private["namespace"], private["serviceaccount"]
        self._check_account(namespace, account["name"], account["uid"])
        for field, resource in (("secret", SECRETS), ("pod", PODS)):
            if reference := private.get(field):
                self._check_bound(resource, namespace, reference)

    def _check_legacy(self, claims: Mapping, token: str) -> None:
        """A token in a Secret is good for as long as the Secret holds it."""
        namespace, name, uid = _legacy_account(claims)
        secret = self._get(SECRETS, namespace, claims[f"{LEGACY}/secret.name"])
        if secret is None or self._is_gone(secret):
            raise _invalid("service account token has been invalidated")
        held = (secret.get("data") or {}).get("token", "")
        if held != base64.b64encode(token.encode()).decode():
            raise _invalid("service account token does not match server's copy")
        self._check_account(namespace, name, uid)

    def _check_account(self, namespace: str, name: str, uid: str) -> None:
        account = self._get(SERVICE_ACCOUNTS, namespace, name)
        if account is None:
            raise _invalid(f'serviceaccounts "{name}" not found')
        if self._is_gone(account):
            raise _invalid(f"service account {namespace}/{name} has been deleted")
        if (own := account["metadata"]["uid"]) != uid:
            raise _invalid(f"service account UID ({own}) does not match claim ({uid})")

    def _check_bound(self, resource: Resource, namespace: str, reference: Mapping) -> None:
        obj, uid = self._get(resource, namespace, reference["name"]), reference["uid"]
        if obj is None or self._is_gone(obj):
            raise _invalid("service account token has been invalidated")
        if (own := obj["metadata"]["uid"]) != uid:
            kind = resource.kind.lower()
            why = f"UID ({own}) does not match service account {kind} ref claim ({uid})"
            raise _invalid(f"{resource.kind if kind == 'pod' else kind} {why}")

    def _get(self, resource: Resource, namespace: str, name: str) -> Mapping | None:
        item = self._state.of(resource).items.get(f"{namespace}/{name}")
        return item and item.obj

    def _is_gone(self, obj: Mapping) -> bool:
        deleted = obj["metadata"].get("deletionTimestamp")
        return bool(deleted) and times.parse(deleted) < self._clock.now() - _LEEWAY


def _user(claims: Mapping) -> User:
    private = claims["kubernetes.io"]
    extra = {f"{_EXTRA}/credential-id": (f"JTI={claims['jti']}",)}
    if pod := private.get("pod"):
        extra[f"{_EXTRA}/pod-name"] = (pod["name"],)
        extra[f"{_EXTRA}/pod-uid"] = (pod["uid"],)
    if node := private.get("node"):
        extra[f"{_EXTRA}/node-name"] = (node["name"],)
    account = private["serviceaccount"]
    return _account_user(private["namespace"], account["name"], account["uid"], extra)


def _legacy_user(claims: Mapping) -> User:
    return _account_user(*_legacy_account(claims), {})


def _legacy_account(claims: Mapping) -> tuple[str, str, str]:
    """(namespace, name, uid)."""
    fields = ("namespace", "service-account.name", "service-account.uid")
    namespace, name, uid = (claims[f"{LEGACY}/{field}"] for field in fields)
    return namespace, name, uid


def _account_user(namespace: str, name: str, uid: str, extra: Mapping) -> User:
    groups = (*serviceaccounts.groups(namespace), _AUTHENTICATED)
    return User(serviceaccounts.username(namespace, name), groups, uid, extra)


def _reference(obj: Mapping) -> dict:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}


def _invalid(why: str) -> InvalidToken:
    return InvalidToken(f"[invalid bearer token, {why}]")


def _listed(audiences: Sequence[str]) -> str:
    return "[" + " ".join(f'"{one}"' for one in audiences) + "]"
