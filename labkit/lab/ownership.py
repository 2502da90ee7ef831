"""What the chapters of a course made in a cluster, so that they delete that and nothing else.

The record is in the cluster itself, in the ConfigMap `labkit` of the namespace that the chapters
work in, one key for each chapter: it outlives the kernel and the machine that the notebook runs
on, and anyone can read it.  A chapter takes a name before it makes the object, and only where there
is no such object yet; afterwards the object's UID is added.  So the rule is:

    a chapter may delete what it took when nobody had it, and what is still that very object

On a cluster of the lab's own, everything in that namespace is the learner's, and chapters may take
and delete whatever they name.

Left out compared with kubectl's ApplySets: labels on the objects.  A learner sees the manifest in
the API exactly as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from labkit.client import ApiError
from labkit.errors import UsageError
from labkit.kube.resources import CONFIG_MAPS, Resource
from labkit.lab.objects import Objects, spoken

RECORD = "labkit"
SCRATCH = "scratch"  # the key of notebooks that are no chapter


@dataclass(frozen=True)
class Made:
    """An object that a chapter took: `deployment.apps/myapp`, its namespace ("" for none), its UID.

    The UID is "" while the object may not exist yet.
    """

    name: str
    namespace: str = ""
    uid: str = ""


class Ownership:
    """The record of one cluster, and what follows from it.

    `strict`: the cluster is not the lab's own, and other people's objects are left alone.
    """

    def __init__(self, objects: Objects, chapter: str | None, strict: bool) -> None:
        self._objects, self._strict = objects, strict
        self.chapter = chapter or SCRATCH

    # -- the record ---------------------------------------------------------------------------

    async def read(self) -> dict[str, list[Made]]:
        """What each chapter made, in the order in which it was made."""
        found = await self._objects.find(CONFIG_MAPS, RECORD, self._objects.namespace)
        return parse((found or {}).get("data") or {})

    async def _write(self, chapter: str, made: Sequence[Made]) -> None:
        """Replace what is recorded of one chapter; others write their own keys beside it."""
        client, namespace = self._objects.client, self._objects.namespace
        text = json.dumps([asdict(one) for one in made]) if made else None
        try:
            patch = {"data": {chapter: text}}
            await client.patch(CONFIG_MAPS, RECORD, patch, namespace)
        except ApiError as error:
            if not error.not_found:
                raise
            if text:
                meta = {"name": RECORD, "labels": {"app.kubernetes.io/managed-by": "labkit"}}
                fresh = {"metadata": meta, "data": {chapter: text}}
                await client.create(CONFIG_MAPS, fresh, namespace)

    # -- taking -------------------------------------------------------------------------------

    async def take_known(self, wanted: Iterable[tuple[str, str]]) -> None:
        """`take` those whose kinds there are already; a manifest may bring its own kinds."""
        known = []
        for name, namespace in wanted:
            try:
                await self._objects.parse(name)
            except UsageError:
                continue
            known.append((name, namespace))
        await self.take(known)

    async def take(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Record names (with their namespaces, "" for ours) before objects are made under them.

        Raises UsageError where somebody else has such an object and the cluster is not our own.
        """
        record = await self.read()
        ours = {(one.name, one.namespace) for made in record.values() for one in made}
        mine = list(record.get(self.chapter, ()))
        for name, given in wanted:
            resource, plain = await self._objects.parse(name)
            one = Made(_full(resource, plain), self._objects.scope(resource, given) or "")
            if (one.name, one.namespace) in ours:
                continue
            there = await self._objects.find(resource, plain, one.namespace or None)
            if there and self._strict:
                raise _taken(one)
            mine.append(one)
            ours.add((one.name, one.namespace))
        if mine != record.get(self.chapter, []):
            await self._write(self.chapter, mine)

    async def note(self, names: Iterable[tuple[str, str]] = ()) -> None:
        """Record objects that were just made, and the UIDs of what was taken and is there now."""
        record = (await self.read()).get(self.chapter, [])
        mine = {(one.name, one.namespace): one for one in record}
        for name, given in names:
            resource, plain = await self._objects.parse(name)
            one = Made(_full(resource, plain), self._objects.scope(resource, given) or "")
            mine[one.name, one.namespace] = one
        for key, one in mine.items():
            if not one.uid:
                mine[key] = replace(one, uid=await self._uid(one))
        if list(mine.values()) != record:
            await self._write(self.chapter, list(mine.values()))

    async def _uid(self, one: Made) -> str:
        resource, plain = await self._objects.parse(one.name)
        there = await self._objects.find(resource, plain, one.namespace or None)
        return there["metadata"]["uid"] if there else ""

    # -- deleting -----------------------------------------------------------------------------

    async def delete(self, *, all_chapters: bool) -> list[Made]:
        """Ask for the end of what this chapter (or every chapter) made; what there was of it.

        The last comes first: a custom object before its kind.
        """
        record, gone = await self.read(), []
        mine = [key for key in record if key == self.chapter or (all_chapters and key != SCRATCH)]
        for chapter in mine:
            for one in reversed(record.pop(chapter)):
                if await self._end(one):
                    gone.append(one)
            await self._write(chapter, [])
        if mine and not record:
            client, namespace = self._objects.client, self._objects.namespace
            await client.delete(CONFIG_MAPS, RECORD, namespace)
        return gone

    async def _end(self, one: Made) -> bool:
        try:
            return await self._objects.delete(
                one.name, one.namespace, one.uid if self._strict else ""
            )
        except UsageError:  # its kind is no longer there, and so is it
            return False


def parse(data: Mapping[str, str]) -> dict[str, list[Made]]:
    """The record's data; a key that somebody has damaged counts as empty."""
    record = {}
    for chapter, text in data.items():
        try:
            record[chapter] = [Made(**one) for one in json.loads(text)]
        except (ValueError, TypeError):
            record[chapter] = []
    return record


def _full(resource: Resource, plain: str) -> str:
    """`deployment.apps/myapp`, as kubectl prints it."""
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}/{plain}" if resource.group else f"{kind}/{plain}"


def _taken(one: Made) -> UsageError:
    where = f" -n {one.namespace}" if one.namespace else ""
    name = spoken([one.name])
    return UsageError(
        f"There is a {name} here already that no chapter made.",
        "This cluster is not the lab's own, so it is left as it is.",
        "Name a context with a namespace of your own (docs/lab.md, With another cluster), or "
        f"delete it: kubectl delete {name}{where}",
    )
