"""The revisions of a StatefulSet or DaemonSet: what its Pod template has been.

Each template is kept as a ControllerRevision whose data is the patch that brings it back, which is
what `kubectl rollout undo` sends.  A template that returns takes its old revision, which gets the
newest number.  Revisions are never changed otherwise.

Source: pkg/controller/history of kube-controller-manager.  Names end in a hash of the template and
of the number of collisions; the letters are not upstream's, as those of ReplicaSets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.controllers.claims import claim
from labkit.controllers.informers import SharedInformer
from labkit.controllers.replicaset import BY_CONTROLLER, ORPHANS
from labkit.kube import names, objects
from labkit.kube.resources import CONTROLLER_REVISIONS, Resource

POD_HASH = "controller-revision-hash"  # the label of Pods
_LONGEST_PREFIX = 223


class Revisions(NamedTuple):
    """All revisions of an owner; `newest` has its present template, `old` are in their order."""

    newest: Mapping
    old: list[Mapping]
    collisions: int


def patch_of(template: Mapping) -> dict:
    """The strategic merge patch that makes this the Pod template, its keys sorted."""
    patch = {"spec": {"template": {**template, "$patch": "replace"}}}
    return json.loads(json.dumps(patch, sort_keys=True))


def template_of(revision: Mapping) -> dict:
    """The Pod template that a revision remembers."""
    template = dict(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


def in_order(revisions: Sequence[Mapping]) -> list[Mapping]:
    """By number, then by age, then by name."""
    return sorted(revisions, key=_order)


def _order(revision: Mapping) -> tuple[int, str, str]:
    meta = revision["metadata"]
    return revision["revision"], meta.get("creationTimestamp") or "", meta["name"]


def draft(owner: Mapping, hash_label: str, number: int, collisions: int) -> dict:
    """The revision `number` of an owner, with its present template."""
    meta, template = owner["metadata"], owner["spec"]["template"]
    digest = names.pod_template_hash(template, collisions)
    labels = (template.get("metadata") or {}).get("labels") or {}
    return {
        "apiVersion": CONTROLLER_REVISIONS.api_version,
        "kind": CONTROLLER_REVISIONS.kind,
        "metadata": {
            "name": f"{meta['name'][:_LONGEST_PREFIX]}-{digest}",
            "namespace": meta["namespace"],
            "labels": {**labels, hash_label: digest},
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [objects.controller_reference(owner)],
        },
        "data": patch_of(template),
        "revision": number,
    }


def surplus(old: Sequence[Mapping], live: set[str], limit: int) -> list[Mapping]:
    """Those of the `old` revisions that nothing lives by (names in `live`), beyond `limit`."""
    dead = [each for each in old if each["metadata"]["name"] not in live]
    return dead[: max(0, len(dead) - limit)]


class History:
    """The revisions of all owners of one kind, through the API."""

    def __init__(
        self, client: Client, informer: SharedInformer, owners: Resource, hash_label: str
    ) -> None:
        self.client, self.informer = client, informer
        self.owners, self.hash_label = owners, hash_label

    async def revisions(self, owner: Mapping) -> Revisions:
        """The owner's revisions; that of its present template is made, or made the newest one."""
        known = in_order(await self._claimed(owner))
        collisions = (owner.get("status") or {}).get("collisionCount") or 0
        data = patch_of(owner["spec"]["template"])
        same = [each for each in known if each["data"] == data]
        number = 1 + max((each["revision"] for each in known if each["data"] != data), default=0)
        if not same:
            newest, collisions = await self._create(owner, number, collisions)
        elif (newest := same[-1])["revision"] < number:
            newest = await self.client.update(CONTROLLER_REVISIONS, {**newest, "revision": number})
        uid = newest["metadata"]["uid"]
        return Revisions(newest, [e for e in known if e["metadata"]["uid"] != uid], collisions)

    async def _claimed(self, owner: Mapping) -> list[Mapping]:
        meta = owner["metadata"]
        candidates = self.informer.by_index(BY_CONTROLLER, meta["uid"])
        candidates += self.informer.by_index(ORPHANS, meta["namespace"])
        return await claim(self.client, CONTROLLER_REVISIONS, self.owners, owner, candidates)

    async def _create(self, owner: Mapping, number: int, collisions: int) -> tuple[Mapping, int]:
        """A new revision, or the one of that name if the cache has only not seen it yet."""
        while True:
            wanted = draft(owner, self.hash_label, number, collisions)
            meta = wanted["metadata"]
            try:
                return await self.client.create(CONTROLLER_REVISIONS, wanted), collisions
            except ApiError as error:
                if not error.already_exists:
                    raise
            found = await self.client.get(CONTROLLER_REVISIONS, meta["name"], meta["namespace"])
            controller = objects.controller_of(found)
            ours = controller and controller["uid"] == owner["metadata"]["uid"]
            if ours and found["data"] == wanted["data"]:
                return found, collisions
            collisions += 1

    async def forget(self, revisions: Sequence[Mapping]) -> None:
        """Delete revisions."""
        for each in revisions:
            meta = each["metadata"]
            try:
                await self.client.delete(
                    CONTROLLER_REVISIONS, meta["name"], meta["namespace"], uid=meta["uid"]
                )
            except ApiError as error:
                if not error.not_found:
                    raise
