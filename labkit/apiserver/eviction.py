"""The subresource `eviction`: delete a Pod if its PodDisruptionBudget allows.

A Pod that does not run, or has ended, disturbs nobody and is deleted.  A Pod that is not ready is
deleted if the budget is kept without it (or says AlwaysAllow).  Any other takes one of the budget's
`status.disruptionsAllowed`, which the disruption controller counts; the eviction itself takes it,
by a write that is evaluated at one instant, so that two evictions never take the same one.

Source: k8s.io/kubernetes pkg/registry/core/pod/storage/eviction.go, with its messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from labkit.apiserver import decode, deletion, statuses
from labkit.apiserver.registration import row
from labkit.apiserver.request import Result
from labkit.apiserver.selection import Selection
from labkit.apiserver.strategy import Strategy
from labkit.apiserver.target import Call
from labkit.apiserver.writes import Writes
from labkit.client.errors import ApiError, status_error
from labkit.kube import conditions, disruption, objects, selectors
from labkit.kube.pods import is_ready, is_terminal, phase
from labkit.kube.resources import POD_DISRUPTION_BUDGETS, PODS, Resource

_CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_EVICTION = row(Resource("policy", "v1", "evictions", "Eviction"), Strategy())
_MAX_DISRUPTED = 2000  # evictions that the controller has not noticed yet
_RETRY_SECONDS = 10


async def evict(writes: Writes, call: Call) -> Result:
    """Evict a Pod: 201.  Raises ApiError 400, 404, 409, 429, 500 (several budgets)."""
    call = _deletion(call)
    pinned = "resourceVersion" in (call.body.get("preconditions") or {})
    pod = await _present(writes, call)
    while _disturbs_nobody(pod):
        try:
            return await _delete(writes, call, None if _has_ended(pod) else pod)
        except ApiError as error:
            before, pod = pod, await _present(writes, call)
            if pinned or not error.conflict or pod is before:
                raise
    budget = _budget(writes, pod)
    if budget is None:
        return await _delete(writes, call)
    if not _is_needed(pod, budget):
        try:
            return await _delete(writes, call, pod)
        except ApiError as error:
            if pinned or not error.conflict:
                raise
            raise _in_progress(budget["metadata"]["name"]) from None
    await _take_disruption(writes, call, budget)
    return await _delete(writes, call)


def _deletion(call: Call) -> Call:
    """The deletion that an Eviction asks for."""
    body = decode.other(call, _EVICTION)
    if body["metadata"].get("name") != call.target.name:
        raise statuses.bad_request("name in URL does not match name in Eviction object")
    options = body.get("deleteOptions") or {}
    return replace(call, body=options, dry_run=call.dry_run or bool(options.get("dryRun")))


async def _present(writes: Writes, call: Call) -> Mapping:
    await writes.state.settled(PODS, call.target.key)
    return writes.existing(call.target).obj


# What may be evicted.


def _has_ended(pod: Mapping) -> bool:
    return is_terminal(pod) or objects.is_deleting(pod)


def _disturbs_nobody(pod: Mapping) -> bool:
    return _has_ended(pod) or phase(pod) == "Pending"


def _is_needed(pod: Mapping, budget: Mapping) -> bool:
    """Whether the budget has to allow this eviction: not if the Pod is not healthy anyway."""
    if is_ready(pod):
        return True
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return False
    status = budget.get("status") or {}
    return not 0 < status.get("desiredHealthy", 0) <= status.get("currentHealthy", 0)


def _budget(writes: Writes, pod: Mapping) -> Mapping | None:
    """The budget that a Pod falls under.  Raises ApiError 500 for several."""
    collection = writes.state.of(POD_DISRUPTION_BUDGETS)
    budgets = collection.select(Selection(pod["metadata"]["namespace"])) if collection.items else ()
    found = [item.obj for _, item in budgets if _selects(item.obj, pod)]
    if len(found) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource "
        message += "does not support."
        status = status_error(500, "", message).status
        raise ApiError({name: value for name, value in status.items() if name != "reason"})
    return found[0] if found else None


def _selects(budget: Mapping, pod: Mapping) -> bool:
    selector = selectors.from_label_selector((budget.get("spec") or {}).get("selector"))
    return selectors.matches(selector, objects.labels(pod))


# What an eviction does.


async def _take_disruption(writes: Writes, call: Call, budget: Mapping) -> None:
    """Take one of the budget's disruptions.  Raises ApiError 403, 429 if there is none."""
    key = objects.key(budget)
    await writes.state.settled(POD_DISRUPTION_BUDGETS, key)
    item = writes.state.of(POD_DISRUPTION_BUDGETS).items.get(key)
    if item is None:
        raise statuses.not_found(POD_DISRUPTION_BUDGETS, budget["metadata"]["name"])
    _refuse(item.obj)
    if call.dry_run:
        return
    now, status = writes.clock.timestamp(), dict(item.obj["status"])
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), call.target.name: now}
    if not status["disruptionsAllowed"]:
        status = disruption.with_condition(status, now)
    fresh = {**item.obj, "metadata": dict(item.obj["metadata"]), "status": status}
    await writes.state.commit(POD_DISRUPTION_BUDGETS, key, fresh)


def _refuse(budget: Mapping) -> None:
    """Raises ApiError if the budget allows no eviction now."""
    metadata, status = budget["metadata"], budget.get("status") or {}
    name, allowed = metadata["name"], status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        raise _in_progress(name)
    if allowed < 0:
        why = "pdb disruptions allowed is negative"
        raise statuses.forbidden(POD_DISRUPTION_BUDGETS, name, why)
    if len(status.get("disruptedPods") or ()) > _MAX_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise statuses.forbidden(POD_DISRUPTION_BUDGETS, name, why)
    if not allowed:
        needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        message = f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
        raise _violation(message)


def _in_progress(name: str) -> ApiError:
    message = f"The disruption budget {name} is still being processed by the server."
    return _violation(message, retryAfterSeconds=_RETRY_SECONDS)


def _violation(message: str, **details: object) -> ApiError:
    return status_error(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        {"causes": [{"reason": "DisruptionBudget", "message": message}], **details},
    )


async def _delete(writes: Writes, call: Call, unchanged: Mapping | None = None) -> Result:
    """Mark the Pod as evicted and delete it, as long as it is still `unchanged`."""
    options = dict(call.body)
    if unchanged is not None:
        version = unchanged["metadata"]["resourceVersion"]
        given = options.get("preconditions") or {}
        options["preconditions"] = {"resourceVersion": version, **given}
    if not call.dry_run:
        options = await _mark(writes, call, options)
    await deletion.delete(writes, replace(call, body=options))
    return Result(201, _CREATED)


def _check(metadata: Mapping, wanted: Mapping) -> None:
    """Raises ApiError 409 unless the Pod is the one that the preconditions speak of."""
    uid, version = wanted.get("uid"), wanted.get("resourceVersion")
    if uid and uid != metadata["uid"]:
        why = f"the UID in the precondition ({uid}) does not match the UID in record "
        why += f"({metadata['uid']}). The object might have been deleted and then recreated"
        raise statuses.conflict(PODS, metadata["name"], why)
    if version and version != metadata["resourceVersion"]:
        why = f"the ResourceVersion in the precondition ({version}) does not match the "
        why += f"ResourceVersion in record ({metadata['resourceVersion']}). "
        why += "The object might have been modified"
        raise statuses.conflict(PODS, metadata["name"], why)


async def _mark(writes: Writes, call: Call, options: Mapping) -> dict:
    """Set the condition DisruptionTarget; the options for what the Pod has become."""
    pod = await _present(writes, call)
    _check(pod["metadata"], options.get("preconditions") or {})
    status = dict(pod.get("status") or {})
    status["conditions"] = conditions.updated(
        status.get("conditions"),
        "DisruptionTarget",
        "True",
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
        writes.clock.timestamp(),
    )
    if status == pod.get("status"):
        return dict(options)
    fresh = {**pod, "metadata": dict(pod["metadata"]), "status": status}
    item = await writes.state.commit(PODS, call.target.key, fresh)
    given = options.get("preconditions") or {}
    if "resourceVersion" not in given:
        return dict(options)
    version = item.obj["metadata"]["resourceVersion"]
    return {**options, "preconditions": {**given, "resourceVersion": version}}
