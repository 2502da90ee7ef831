"""The verb delete: at once, after a grace period, or when the finalizers are gone.

An object with finalizers is only marked (`metadata.deletionTimestamp`) and goes when the last one
is removed.  A Pod that runs on a node is marked too, and goes when its kubelet has stopped it and
deletes it with a grace period of 0.  A Namespace goes when its content has.

What a deletion leaves is decided by `_graceful`, `_at_once` and `_of_namespace`, pure functions of
the stored object and the options; `delete` carries it out.

Source: k8s.io/apiserver registry/rest (BeforeDelete) and registry/generic/registry (Delete,
deletionFinalizersForGarbageCollection, DeleteCollection); k8s.io/kubernetes pkg/registry/core
(Pods' CheckGracefulDelete, Namespaces' Delete).  Left out: the write that upstream makes between
marking a Pod with a grace period of 0 and removing it; here both are one revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from labkit.apiserver import convert, node_restriction, options, reads, statuses
from labkit.apiserver.request import Result
from labkit.apiserver.target import Call, Target
from labkit.apiserver.validate_policy import SYSTEM_PRIORITIES
from labkit.apiserver.watch import encode
from labkit.apiserver.writes import Writes
from labkit.client.errors import ApiError
from labkit.kube import times
from labkit.kube.pods import is_terminal, node_name
from labkit.kube.resources import NAMESPACES, PRIORITY_CLASSES

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_IMMORTAL = ("default", "kube-system", "kube-public")
_AT_ONCE = 256  # deletions of one collection under way together, so that they share commits


class _Outcome(NamedTuple):
    """What a deletion leaves: `obj`, gone from the store or (still) in it."""

    obj: Mapping
    gone: bool


async def delete(writes: Writes, call: Call) -> Result:
    """Delete one object.  Raises ApiError 400, 403, 404, 409, 422."""
    wanted, warning = options.deleting(call.params, call.body), call.target.row.strategy.orphaning
    if warning and not wanted.get("propagationPolicy") and wanted.get("orphanDependents") is None:
        call.warnings.append(warning)
    return await _delete(writes, call, wanted)


async def _delete(writes: Writes, call: Call, wanted: dict) -> Result:
    target, row = call.target, call.target.row
    await writes.state.settled(row.storage, target.key)
    existing = writes.existing(target)
    node_restriction.check(call, existing.obj, None)
    _check(target, existing.obj, wanted)
    outcome = _outcome(existing.obj, wanted, target, writes.clock.now())
    item = existing
    changed = outcome.gone or outcome.obj != existing.obj
    if changed and (call.dry_run or wanted.get("dryRun")):
        item = encode(outcome.obj)
    elif changed:
        obj = {**outcome.obj, "metadata": dict(outcome.obj["metadata"])}
        item = await writes.state.commit(row.storage, target.key, obj, deleted=outcome.gone)
    if outcome.gone and not row.strategy.returns_deleted:
        return Result(200, _success(target, existing.obj), tuple(call.warnings))
    waits = not outcome.gone and wanted.get("orphanDependents") is False
    return Result(202 if waits else 200, convert.served(row, item), tuple(call.warnings))


async def delete_collection(writes: Writes, call: Call) -> Result:
    """Delete all objects of a selection; the list of them.  Raises ApiError 400, 410, 422.

    With `limit` those of one page.  It is not atomic: what has been deleted before an error stays
    deleted.
    """
    target, row = call.target, call.target.row
    wanted = options.deleting(call.params, call.body)
    listed = reads.list_(writes.state, target, call.params)
    names = [item["metadata"]["name"] for item in listed.body.obj["items"]]
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        targets = (Target(row, target.namespace, name) for name in some)
        await asyncio.gather(*(_delete_if_there(writes, call, one, wanted) for one in targets))
    return listed


async def _delete_if_there(writes: Writes, call: Call, target: Target, wanted: dict) -> None:
    try:
        await _delete(writes, replace(call, target=target), wanted)
    except ApiError as error:
        if not error.not_found:
            raise


def _check(target: Target, obj: Mapping, wanted: Mapping) -> None:
    """Raises ApiError 403, 409."""
    resource, metadata = target.row.resource, obj["metadata"]
    sent = wanted.get("preconditions") or {}
    # Upstream names the kind here where it names the resource everywhere else.
    of_kind = replace(resource, plural=resource.kind)
    if sent.get("uid") and sent["uid"] != metadata["uid"]:
        why = f"the UID in the precondition ({sent['uid']}) does not match the UID in record "
        why += f"({metadata['uid']}). The object might have been deleted and then recreated"
        raise statuses.conflict(of_kind, target.name, why)
    version = sent.get("resourceVersion")
    if version and version != metadata["resourceVersion"]:
        why = f"the ResourceVersion in the precondition ({version}) does not match the "
        why += f"ResourceVersion in record ({metadata['resourceVersion']}). "
        why += "The object might have been modified"
        raise statuses.conflict(of_kind, target.name, why)
    if resource.name == NAMESPACES.name and target.name in _IMMORTAL:
        raise statuses.forbidden(resource, target.name, "this namespace may not be deleted")
    if resource == PRIORITY_CLASSES and target.name in SYSTEM_PRIORITIES:
        why = "this is a system priority class and cannot be deleted"
        raise statuses.forbidden(resource, target.name, why)


def _outcome(old: Mapping, wanted: Mapping, target: Target, now: float) -> _Outcome:
    if target.row.resource.name == NAMESPACES.name:
        return _of_namespace(old, wanted, now)
    policy = target.row.strategy.dependents
    if target.row.strategy.graceful:
        return _graceful(old, wanted, policy, now)
    cleanup, present = target.row.strategy.cleanup, old["metadata"].get("finalizers") or []
    if cleanup and cleanup not in present and "deletionTimestamp" not in old["metadata"]:
        old = _with_finalizers(old, [*present, cleanup])
    return _at_once(old, wanted, policy, now)


def _at_once(old: Mapping, wanted: Mapping, policy: str, now: float) -> _Outcome:
    """A deletion that waits for finalizers only."""
    finalizers = _finalizers(old["metadata"].get("finalizers") or [], wanted, policy)
    if not finalizers:
        return _Outcome(old, True)
    obj = _with_finalizers(old, finalizers)
    metadata = obj["metadata"]
    before = metadata.get("deletionTimestamp")
    if not before and "generation" in metadata:
        metadata["generation"] += 1
    if not before or times.parse(before) > now:
        metadata["deletionTimestamp"] = times.rfc3339(now)
    metadata["deletionGracePeriodSeconds"] = 0
    return _Outcome(obj, False)


def _graceful(old: Mapping, wanted: Mapping, policy: str, now: float) -> _Outcome:
    """A Pod's deletion."""
    before = old["metadata"].get("deletionGracePeriodSeconds")
    asked = wanted.get("gracePeriodSeconds")
    if asked is not None and asked < 0:
        asked = 1
    if "deletionTimestamp" in old["metadata"]:
        if not before:
            return _at_once(old, wanted, policy, now)
        if asked is None or asked >= before:
            return _Outcome(old, False)
        when = times.parse(old["metadata"]["deletionTimestamp"]) - before + asked
        grace = asked
        if when < now:
            # Whoever asked for grace gets at least a moment of it: the kubelet ends the Pod.
            when, grace = now, min(asked, 1)
    else:
        grace = _period(old, asked)
        when = now + grace
    finalizers = _finalizers(old["metadata"].get("finalizers") or [], wanted, policy)
    obj = _with_finalizers(old, finalizers)
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata and "generation" in metadata:
        metadata["generation"] += 1
    metadata["deletionTimestamp"] = times.rfc3339(when)
    metadata["deletionGracePeriodSeconds"] = grace
    return _Outcome(obj, not finalizers and not grace)


def _period(old: Mapping, asked: int | None) -> int:
    """Seconds until a Pod may be gone by force; 0 where nothing has to be stopped."""
    if not node_name(old) or is_terminal(old):
        return 0
    if asked is None:
        asked = old["spec"].get("terminationGracePeriodSeconds") or 0
    return asked if asked >= 0 else 1


def _of_namespace(old: Mapping, wanted: Mapping, now: float) -> _Outcome:
    """A Namespace's deletion, which begins by a change of phase."""
    if "deletionTimestamp" in old["metadata"]:
        if (old.get("spec") or {}).get("finalizers"):
            return _Outcome(old, False)
        return _at_once(old, wanted, "", now)
    obj = _with_finalizers(old, _finalizers(old["metadata"].get("finalizers") or [], wanted, ""))
    obj["metadata"]["deletionTimestamp"] = times.rfc3339(now)
    obj["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return _Outcome(obj, False)


def _with_finalizers(old: Mapping, finalizers: list[str]) -> dict:
    metadata = dict(old["metadata"])
    metadata.pop("finalizers", None)
    if finalizers:
        metadata["finalizers"] = finalizers
    return {**old, "metadata": metadata}


def _finalizers(present: list[str], wanted: Mapping, policy: str) -> list[str]:
    """The finalizers with those by which the garbage collector learns what to do.

    What the request says overrides what the object's finalizers say, and that the kind's `policy`.
    """
    choice = _choice(present, wanted, policy)
    others = [name for name in present if name not in (_ORPHAN, _FOREGROUND)]
    found = others + {"Orphan": [_ORPHAN], "Foreground": [_FOREGROUND]}.get(choice, [])
    return list(present) if set(found) == set(present) else found


def _choice(present: list[str], wanted: Mapping, policy: str) -> str:
    if policy == "Unsupported":
        return ""
    if (orphan := wanted.get("orphanDependents")) is not None:
        return "Orphan" if orphan else ""
    if chosen := wanted.get("propagationPolicy"):
        return chosen
    for name in present:
        if name in (_ORPHAN, _FOREGROUND):
            return "Orphan" if name == _ORPHAN else "Foreground"
    return policy


def _success(target: Target, obj: Mapping) -> dict:
    resource = target.row.resource
    details = {"name": target.name, "kind": resource.plural, "uid": obj["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
