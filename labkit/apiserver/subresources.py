"""Subresources: scale, binding, finalize.

Source: k8s.io/kubernetes pkg/registry/apps (ScaleREST), pkg/registry/core/pod/storage
(BindingREST), pkg/registry/core/namespace/storage (FinalizeREST).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from labkit.apiserver import convert, decode, fields, patching, scale_fields, statuses, tracking
from labkit.apiserver.registration import row
from labkit.apiserver.registry import own
from labkit.apiserver.request import Encoded, Result
from labkit.apiserver.strategy import Strategy
from labkit.apiserver.target import Call, Target
from labkit.apiserver.watch import encode
from labkit.apiserver.writes import Writes
from labkit.kube import conditions, selectors
from labkit.kube.objects import is_deleting
from labkit.kube.pods import node_name
from labkit.kube.resources import PODS, REPLICATION_CONTROLLERS, Resource

_BINDINGS = Resource("", "v1", "pods/binding", "Binding")
_SCALES = Resource("autoscaling", "v1", "scales", "Scale")
_BINDING, _SCALE = row(_BINDINGS, Strategy()), row(_SCALES, Strategy())
_CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def scale_of(obj: Mapping) -> dict:
    """The autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    selector = obj["spec"].get("selector")
    if obj["kind"] == REPLICATION_CONTROLLERS.kind:
        selector = {"matchLabels": selector}
    selector = selectors.format_selector(selectors.from_label_selector(selector) or ())
    present = (obj.get("status") or {}).get("replicas", 0)
    return _scale(obj["metadata"], obj["spec"].get("replicas", 1), present, selector)


def _scale(metadata: Mapping, wanted: int, present: int, selector: str) -> dict:
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": wanted},
        "status": {"replicas": present, "selector": selector},
    }


def _of(target: Target, obj: Mapping) -> dict:
    """The Scale of a target's served object.  Raises ApiError 500 where it has no replicas."""
    if not target.row.custom:
        return scale_of(obj)
    paths = target.row.custom.scale
    if (wanted := paths.wanted(obj)) is None:
        raise statuses.internal(f'the spec replicas field "{paths.spec}" does not exist')
    return _scale(obj["metadata"], wanted, paths.present(obj), paths.labels(obj))


def get_scale(writes: Writes, target: Target) -> Result:
    """The Scale of an object.  Raises ApiError 404, 500."""
    served = convert.served(target.row, writes.existing(target))
    return Result(200, encode(_of(target, served.obj)))


async def put_scale(writes: Writes, call: Call) -> Result:
    """Set `spec.replicas` through a Scale.  Raises ApiError 400, 404, 409, 422."""
    scale = decode.other(call, _SCALE)
    return await _set_scale(writes, call, lambda _: scale)


async def patch_scale(writes: Writes, call: Call) -> Result:
    """Patch the Scale of an object.  Raises ApiError 400, 404, 409, 415, 422."""
    if tracking.is_apply(call):
        return await _apply_scale(writes, call)
    return await _set_scale(writes, call, patching.understand(call))


async def _apply_scale(writes: Writes, call: Call) -> Result:
    config = patching.configuration(call, _SCALES)

    def make(served: Encoded) -> dict:
        scale, now = _of(call.target, served.obj), writes.clock.timestamp()
        path = _replicas_path(call.target)
        scale, owners = scale_fields.applied(call, served.obj, scale, config, now, path)
        obj = _scaled(served, scale, call.target)
        obj["metadata"]["managedFields"] = owners
        return obj

    result = await writes.change(call, make)
    return Result(result.code, encode(_of(call.target, result.body.obj)), result.warnings)


async def _set_scale(writes: Writes, call: Call, patch) -> Result:
    def make(served: Encoded) -> dict:
        return _scaled(served, patch(_wanted(call.target, served.obj)), call.target)

    result = await writes.change(call, make)
    return Result(result.code, encode(_of(call.target, result.body.obj)), result.warnings)


def _wanted(target: Target, obj: Mapping) -> dict:
    """The Scale that a request changes; it may give a custom resource its first replicas."""
    custom = target.row.custom
    if custom and custom.scale.wanted(obj) is None:
        return _scale(obj["metadata"], 0, custom.scale.present(obj), custom.scale.labels(obj))
    return _of(target, obj)


def _replicas_path(target: Target) -> tuple[str, ...]:
    """Where an object has the replicas of its Scale, as managed fields spell it."""
    path = target.row.custom.scale.spec if target.row.custom else ".spec.replicas"
    return tuple(f"f:{part}" for part in path[1:].split("."))


def _scaled(served: Encoded, scale: object, target: Target) -> dict:
    """The object with the replicas of a Scale."""
    replicas = _replicas(scale, target.name)
    obj = orjson.loads(served.json)
    if target.row.custom:
        target.row.custom.scale.set(obj, replicas)
    else:
        obj["spec"]["replicas"] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    obj["metadata"]["resourceVersion"] = version or obj["metadata"]["resourceVersion"]
    return obj


def _replicas(scale: object, name: str) -> int:
    if not (isinstance(scale, dict) and _has_parts(scale)):
        raise statuses.bad_request("the request's body is not a Scale")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise statuses.bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal '
            f"{'string' if isinstance(replicas, str) else 'value'} into Go struct field "
            "ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        why = "must be greater than or equal to 0"
        raise statuses.invalid(_SCALES, name, [fields.invalid("spec.replicas", replicas, why)])
    return replicas


def _has_parts(scale: Mapping) -> bool:
    return all(isinstance(scale.get(part) or {}, Mapping) for part in ("metadata", "spec"))


async def bind(writes: Writes, call: Call) -> Result:
    """Give a Pod to a node: 201.  Raises ApiError 400, 404, 409."""
    target = call.target
    await writes.state.settled(PODS, target.key)
    existing = writes.existing(target)
    body = decode.other(call, _BINDING)
    node = (body.get("target") or {}).get("name")
    if not node:
        raise statuses.invalid(_BINDINGS, target.name, [fields.required("target.name")])
    _refuse_binding(target.name, existing.obj)
    uid = (body.get("metadata") or {}).get("uid")
    if uid and uid != existing.obj["metadata"]["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
        raise statuses.conflict(PODS, target.name, why + existing.obj["metadata"]["uid"])
    if not call.dry_run:
        obj = _bound(existing.obj, node, writes.clock.timestamp())
        await writes.state.commit(PODS, target.key, obj)
    return Result(201, _CREATED)


async def bind_named(writes: Writes, call: Call) -> Result:
    """`bind` the Pod whose name the Binding has.  Raises ApiError 400, 404, 409."""
    name = decode.body(call)["metadata"].get("name")
    if not name:
        raise statuses.bad_request("Name parameter required.")
    pod = Target(own(PODS), call.target.namespace, name)
    return await bind(writes, replace(call, target=pod))


def _refuse_binding(name: str, pod: Mapping) -> None:
    if is_deleting(pod):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise statuses.conflict(_BINDINGS, name, why)
    if node_name(pod):
        why = f'pod {name} is already assigned to node "{node_name(pod)}"'
        raise statuses.conflict(_BINDINGS, name, why)
    if pod["spec"].get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
        raise statuses.conflict(_BINDINGS, name, why)


def _bound(pod: Mapping, node: str, now: str) -> dict:
    status = dict(pod.get("status") or {})
    status.pop("nominatedNodeName", None)
    status["conditions"] = conditions.updated(
        [one for one in status.get("conditions") or () if one["type"] != "PodScheduled"],
        "PodScheduled", "True", "", "", now,
    )  # fmt: skip
    spec = {**pod["spec"], "nodeName": node}
    return {**pod, "metadata": dict(pod["metadata"]), "spec": spec, "status": status}


async def finalize(writes: Writes, call: Call) -> Result:
    """Replace a Namespace's `spec.finalizers`; with the last one it goes."""
    target = call.target
    await writes.state.settled(target.row.storage, target.key)
    existing = writes.existing(target)
    body = decode.body(call)
    version = (body.get("metadata") or {}).get("resourceVersion")
    if version and version != existing.obj["metadata"]["resourceVersion"]:
        raise statuses.conflict(target.row.resource, target.name)
    finalizers = (body.get("spec") or {}).get("finalizers") or []
    spec = {"finalizers": finalizers} if finalizers else {}
    metadata = dict(existing.obj["metadata"])
    return await writes.replace(
        call, existing, {**existing.obj, "metadata": metadata, "spec": spec}
    )
