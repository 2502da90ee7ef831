"""Tokens that live in Secrets: what a Secret of type kubernetes.io/service-account-token holds.

Its annotation names a ServiceAccount; the controller writes that account's token into it, with the
certificate of the cluster's authority and the namespace.  Such a token does not expire: it is good
for as long as the Secret and the ServiceAccount live, and the Secret does not outlive the account.

Source: kube-controller-manager's serviceaccount-token-controller; Kubernetes documentation,
"Manually create a long-lived API token for a ServiceAccount".
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects, serviceaccounts
from labkit.kube.jwt import Key
from labkit.kube.resources import SECRETS, SERVICE_ACCOUNTS

TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = (f"kubernetes.io/service-account.{field}" for field in ("name", "uid"))
_BY_ACCOUNT = "serviceaccount"


def account_of(secret: Mapping) -> tuple[str, str]:
    """(name, uid) of the ServiceAccount whose token a Secret holds; the uid once it is known."""
    annotations = secret["metadata"].get("annotations") or {}
    return annotations.get(_NAME, ""), annotations.get(_UID, "")


def completed(secret: Mapping, account: Mapping, key: Key, root_ca: str) -> Mapping:
    """The Secret with all that belongs into it; itself where nothing is missing."""
    meta, data = secret["metadata"], secret.get("data") or {}
    wanted = {"ca.crt": _encoded(root_ca), "namespace": _encoded(meta["namespace"])}
    wanted["token"] = data.get("token") or _encoded(
        key.sign(serviceaccounts.legacy_claims(account, secret))
    )
    uid = account["metadata"]["uid"]
    if account_of(secret)[1] == uid and all(data.get(name) == wanted[name] for name in wanted):
        return secret
    annotations = {**(meta.get("annotations") or {}), _UID: uid}
    return {
        **secret,
        "metadata": {**meta, "annotations": annotations},
        "data": {**data, **wanted},
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class TokensController(SharingController):
    """Fills Secrets for tokens, and removes those whose ServiceAccount is gone."""

    name = "serviceaccount-token-controller"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        key: Key,
        root_ca: str,
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self._key, self._root_ca = key, root_ca
        self._secrets = self.watch(SECRETS, field_selector=f"type={TYPE}")
        self._secrets.add_index(_BY_ACCOUNT, _account_key)
        self._accounts = self.watch(SERVICE_ACCOUNTS, self._secrets_of)

    def _secrets_of(self, account: Mapping) -> Iterable[str]:
        found = self._secrets.by_index(_BY_ACCOUNT, objects.key(account))
        return [objects.key(secret) for secret in found]

    async def reconcile(self, key: str) -> None:
        """Complete one Secret, or delete it with its ServiceAccount."""
        secret = self._secrets.store.get(key)
        if secret is None or objects.is_deleting(secret):
            return
        namespace = secret["metadata"]["namespace"]
        name, uid = account_of(secret)
        account = await self._account(namespace, name)
        try:
            if account is None or uid not in ("", account["metadata"]["uid"]):
                await self.client.delete(SECRETS, secret["metadata"]["name"], namespace)
                return
            wanted = completed(secret, account, self._key, self._root_ca)
            if wanted is not secret:
                await self.client.update(SECRETS, wanted)
        except ApiError as error:
            if not error.not_found:
                raise

    async def _account(self, namespace: str, name: str) -> Mapping | None:
        """The ServiceAccount; the API is asked before it is said to be gone."""
        if account := self._accounts.get(name, namespace):
            return account
        try:
            return await self.client.get(SERVICE_ACCOUNTS, name, namespace)
        except ApiError as error:
            if not error.not_found:
                raise
        return None


def _account_key(secret: Mapping) -> Iterable[str]:
    return (f"{secret['metadata']['namespace']}/{account_of(secret)[0]}",)
