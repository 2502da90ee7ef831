"""The verb delete: at once, after a grace period, or when the finalizers are gone.

An object with finalizers is only marked (`metadata.deletionTimestamp`) and goes when the last one
is removed.  A Pod that runs on a node is marked too, and goes when its kubelet has stopped it and
deletes it with a grace period of 0.  A Namespace goes when its content has.

Source: k8s.io/apiserver registry/rest (BeforeDelete) and registry/generic/registry
(deletionFinalizersForGarbageCollection); k8s.io/kubernetes pkg/registry/core (Pods'
CheckGracefulDelete, Namespaces' Delete).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from labkit.apiserver import convert, statuses
from labkit.apiserver.request import Result
from labkit.apiserver.selection import select
from labkit.apiserver.target import Call, Target
from labkit.apiserver.writes import Writes, may_go
from labkit.client.errors import ApiError
from labkit.kube import times
from labkit.kube.pods import is_terminal, node_name
from labkit.kube.resources import NAMESPACES

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_IMMORTAL = ("default", "kube-system", "kube-public")
_POLICIES = ("Background", "Foreground", "Orphan")


def _options(call: Call) -> dict:
    """DeleteOptions from the body, completed by the query.  Raises ApiError 400, 422."""
    found = dict(call.body) if isinstance(call.body, Mapping) else {}
    params = call.params
    if "gracePeriodSeconds" in params and found.get("gracePeriodSeconds") is None:
        found["gracePeriodSeconds"] = _integer(params["gracePeriodSeconds"])
    if params.get("propagationPolicy"):
        found.setdefault("propagationPolicy", params["propagationPolicy"])
    orphan = found.pop("orphanDependents", None)
    if orphan is not None:
        found.setdefault("propagationPolicy", "Orphan" if orphan else "Background")
    policy = found.get("propagationPolicy")
    if policy and policy not in _POLICIES:
        raise statuses.bad_request(
            f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: '
            f'"{policy}": supported values: "Background", "Foreground", "Orphan"'
        )
    return found


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise statuses.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


async def delete(writes: Writes, call: Call) -> Result:
    """Delete one object.  Raises ApiError 403, 404, 409."""
    target, row, wanted = call.target, call.target.row, _options(call)
    await writes.state.settled(row.storage, target.key)
    existing = writes.existing(target)
    _check(target, existing.obj, wanted)
    obj = _marked(existing.obj, wanted, target, writes.clock.now())
    gone = may_go(obj)
    if gone and not row.strategy.graceful:
        obj = {**existing.obj, "metadata": dict(existing.obj["metadata"])}
    item = existing
    if (gone or obj != existing.obj) and not (call.dry_run or wanted.get("dryRun")):
        item = await writes.state.commit(row.storage, target.key, obj, deleted=gone)
    if gone and not row.strategy.returns_deleted:
        return Result(200, _success(target, obj))
    return Result(200, convert.served(row, item))


async def delete_collection(writes: Writes, call: Call) -> Result:
    """Delete all objects of a selection; the list of them."""
    target, row = call.target, call.target.row
    selection = select(row, target.namespace, call.params)
    found = list(writes.state.of(row.storage).select(selection))
    deleted: list[Mapping] = []
    for _, item in found:
        metadata = item.obj["metadata"]
        one = Target(row, metadata.get("namespace", ""), metadata["name"])
        try:
            await delete(writes, replace(call, target=one))
        except ApiError as error:
            if not error.not_found:
                raise
        deleted.append(convert.served(row, item).obj)
    resource = row.resource
    metadata = {"resourceVersion": str(writes.state.revision)}
    head = {"kind": resource.kind + "List", "apiVersion": resource.api_version}
    return Result(200, {**head, "metadata": metadata, "items": deleted})


def _check(target: Target, obj: Mapping, wanted: Mapping) -> None:
    resource, metadata = target.row.resource, obj["metadata"]
    sent = wanted.get("preconditions") or {}
    if sent.get("uid") and sent["uid"] != metadata["uid"]:
        why = f"the UID in the precondition ({sent['uid']}) does not match the UID in record "
        why += f"({metadata['uid']}). The object might have been deleted and then recreated"
        raise statuses.conflict(resource, target.name, why)
    version = sent.get("resourceVersion")
    if version and version != metadata["resourceVersion"]:
        why = f"the ResourceVersion in the precondition ({version}) does not match the "
        why += f"ResourceVersion in record ({metadata['resourceVersion']}). "
        why += "The object might have been modified"
        raise statuses.conflict(resource, target.name, why)
    if resource.name == NAMESPACES.name and target.name in _IMMORTAL:
        raise statuses.forbidden(resource, target.name, "this namespace may not be deleted")


def _marked(old: Mapping, wanted: Mapping, target: Target, now: float) -> dict:
    """The object as its deletion leaves it: marked, and with the finalizers of the policy."""
    metadata = dict(old["metadata"])
    obj = {**old, "metadata": metadata}
    finalizers = _finalizers(metadata.get("finalizers") or (), wanted.get("propagationPolicy"))
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    grace = _grace(old, wanted, target)
    before = metadata.get("deletionGracePeriodSeconds")
    if "deletionTimestamp" not in metadata:
        _mark(metadata, now + grace, grace)
        if "generation" in metadata:
            metadata["generation"] += 1
    elif before is not None and grace < before:
        started = times.parse(metadata["deletionTimestamp"]) - before
        _mark(metadata, started + grace, grace)
    if target.row.resource.name == NAMESPACES.name:
        obj["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return obj


def _mark(metadata: dict, when: float, grace: int) -> None:
    metadata["deletionTimestamp"] = times.rfc3339(when)
    metadata["deletionGracePeriodSeconds"] = grace


def _finalizers(present: list[str], policy: str | None) -> list[str]:
    if policy is None:
        return list(present)
    kept = [name for name in present if name not in (_ORPHAN, _FOREGROUND)]
    added = {"Orphan": [_ORPHAN], "Foreground": [_FOREGROUND]}.get(policy, [])
    return kept + added


def _grace(old: Mapping, wanted: Mapping, target: Target) -> int:
    """Seconds until the object may be gone by force; 0 means at once."""
    if not target.row.strategy.graceful:
        return 0
    asked = wanted.get("gracePeriodSeconds")
    running = old["metadata"].get("deletionGracePeriodSeconds")
    if asked is None and running is not None:
        return running
    if not node_name(old) or is_terminal(old):
        return 0
    if asked is None:
        asked = old["spec"].get("terminationGracePeriodSeconds", 30)
    return asked if asked >= 0 else 1


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
