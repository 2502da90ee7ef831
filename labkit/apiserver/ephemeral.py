"""The subresource `ephemeralcontainers`: containers that join a Pod while it runs (kubectl debug).

They can be added, and neither changed nor removed; the kubelet starts each once.

Source: k8s.io/kubernetes pkg/registry/core/pod/storage (EphemeralContainersREST) and
pkg/apis/core/validation (ValidatePodEphemeralContainersUpdate, validateEphemeralContainers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from labkit.apiserver import defaults_pod, fields, names, patching, statuses
from labkit.apiserver.fields import FieldError
from labkit.apiserver.patching import Patch
from labkit.apiserver.request import Result
from labkit.apiserver.target import Call
from labkit.apiserver.writes import Writes
from labkit.kube.resources import PODS

_FIELD = "ephemeralContainers"
_FORBIDDEN = (
    "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy",
)  # fmt: skip


async def put(writes: Writes, call: Call) -> Result:
    """Take over `spec.ephemeralContainers` of the body.  Raises ApiError 400, 404, 409, 422."""
    return await _set(writes, call, lambda _: call.body)


async def patch(writes: Writes, call: Call) -> Result:
    """Patch `spec.ephemeralContainers`.  Raises ApiError 400, 404, 409, 415, 422."""
    return await _set(writes, call, patching.understand(call))


async def _set(writes: Writes, call: Call, change: Patch) -> Result:
    target = call.target
    await writes.state.settled(PODS, target.key)
    existing = writes.existing(target)
    sent = change(orjson.loads(existing.json))
    spec = sent.get("spec") if isinstance(sent, Mapping) else None
    if not isinstance(spec, Mapping):
        raise statuses.bad_request("the request's body is not a Pod")
    version = (sent.get("metadata") or {}).get("resourceVersion")
    if version and version != existing.obj["metadata"]["resourceVersion"]:
        raise statuses.conflict(PODS, target.name)
    wanted = _defaulted(spec.get(_FIELD) or [])
    if errors := list(_wrong(wanted, existing.obj["spec"])):
        raise statuses.invalid(PODS, target.name, errors)
    pod = {**existing.obj, "spec": {**existing.obj["spec"], _FIELD: wanted}}
    pod["metadata"] = dict(pod["metadata"])
    if pod != existing.obj:
        pod["metadata"]["generation"] = pod["metadata"].get("generation", 0) + 1
    return await writes.replace(call, existing, pod)


def _defaulted(containers: list[dict]) -> list[dict]:
    # They have the defaults of any container.
    defaults_pod.pod_spec({"containers": containers})
    return containers


def _wrong(wanted: list[dict], spec: Mapping) -> Iterator[FieldError]:
    path = f"spec.{_FIELD}"
    by_name = {one.get("name"): one for one in wanted}
    for old in spec.get(_FIELD) or ():
        new, name = by_name.get(old["name"]), old["name"]
        if new != old:
            what = "removed" if new is None else "changed"
            why = f'existing ephemeral containers "{name}" may not be {what}\n'
            yield fields.forbidden(path, why)
    taken = {one["name"] for one in _others(spec)}
    for index, container in enumerate(wanted):
        yield from _wrong_container(container, f"{path}[{index}]", taken, spec)
        taken.add(container.get("name"))


def _others(spec: Mapping) -> Iterator[Mapping]:
    yield from spec["containers"]
    yield from spec.get("initContainers") or ()


def _wrong_container(
    container: Mapping, path: str, taken: set[str], spec: Mapping
) -> Iterator[FieldError]:
    name = container.get("name") or ""
    if not name:
        yield fields.required(f"{path}.name")
    elif wrong := names.dns_label(name):
        yield fields.invalid(f"{path}.name", name, wrong)
    if name in taken:
        yield fields.duplicate(f"{path}.name", name)
    if not container.get("image"):
        yield fields.required(f"{path}.image")
    for field in _FORBIDDEN:
        if container.get(field):
            yield fields.forbidden(f"{path}.{field}", "cannot be set for an Ephemeral Container")
    if container.get("resources"):
        yield fields.forbidden(f"{path}.resources", "cannot be set for an Ephemeral Container")
    aim = container.get("targetContainerName")
    if aim and aim not in {one["name"] for one in _others(spec)}:
        yield fields.not_found(f"{path}.targetContainerName", aim)
