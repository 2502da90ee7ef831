"""The verbs that make and change objects: create, update, patch.

A write is evaluated at one instant against the newest durable object (`State.settled`), so a patch
never conflicts with another; only a resourceVersion that the caller sends can.  The order is
upstream's: decode, defaults, admission, preparation, validation, admission, storage.

Source: k8s.io/apiserver registry/generic/registry (Store), registry/rest (BeforeCreate,
BeforeUpdate).  Left out: admission webhooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import orjson

from labkit.apiserver import (
    convert,
    decode,
    escalation,
    fields,
    meta,
    node_restriction,
    patching,
    statuses,
    tracking,
)
from labkit.apiserver.admission import (
    CREATE,
    UPDATE,
    Admission,
    Attributes,
    DefaultTolerationSeconds,
)
from labkit.apiserver.allocation import Allocator
from labkit.apiserver.authorizer import Authorizer, creation
from labkit.apiserver.registration import Registration
from labkit.apiserver.request import Encoded, Result
from labkit.apiserver.state import State
from labkit.apiserver.target import Call, Target
from labkit.clock import Clock
from labkit.kube.names import generated
from labkit.kube.resources import NAMESPACES

_GENERATE_ATTEMPTS = 8  # as upstream since 1.30: five letters collide among 10,000 Pods

Make = Callable[[Encoded], dict]  # from the served form of what is, what shall be


class Writes:
    """Evaluates writes and commits them to `state`; `find` knows what else is served."""

    def __init__(
        self,
        state: State,
        clock: Clock,
        allocator: Allocator,
        find: tracking.Find,
        tolerations: DefaultTolerationSeconds | None = None,
    ) -> None:
        self.state, self.clock, self.allocator, self.find = state, clock, allocator, find
        self.admission = Admission(state, clock, tolerations)
        self.authorizer = Authorizer(state)

    async def create(self, call: Call) -> Result:
        """A new object: 201.  Raises ApiError 400, 403, 404 (namespace), 409, 422."""
        obj = decode.body(call)
        _match_path(obj, call.target)
        call.warnings.extend(meta.single_owners(obj))
        return await self._create(call, obj)

    async def _create(self, call: Call, obj: dict) -> Result:
        row, now = call.target.row, self.clock.timestamp()
        if obj["metadata"].get("resourceVersion") not in (None, "", "0"):
            raise statuses.bad_request("resourceVersion should not be set on objects to be created")
        wants_name = not obj["metadata"].get("name") and obj["metadata"].get("generateName")
        obj, owners = convert.stored(row, obj), obj["metadata"].get("managedFields")
        meta.begin(obj, row.strategy, now)
        _start_status(obj, row)
        row.strategy.default(obj)
        tracking.created(call, self.find, obj, owners, now)
        node_restriction.check(call, None, obj)
        attributes = Attributes(self.state, row, CREATE, obj, dry_run=call.dry_run)
        await self.admission.prepare(attributes)
        self.admission.mutate(attributes)
        with self.allocator.reserve(row, obj, None):
            row.strategy.prepare(obj, None)
            call.warnings.extend(row.strategy.warn(obj, None))
            _refuse(row, obj, [*self._wrong(row, obj), *row.strategy.validate_create(obj)])
            escalation.refuse(self.authorizer, call.user, row.resource, obj, None)
            await self.admission.validate(attributes)
            key = await self._free_key(row, obj, generate=bool(wants_name))
            item = await self._store(call, key, obj)
        return Result(201, convert.served(row, item), tuple(call.warnings))

    async def _free_key(self, row: Registration, obj: dict, *, generate: bool) -> str:
        """The key of a new object that nothing else has.  Raises ApiError 409."""
        items = self.state.of(row.storage).items
        metadata = obj["metadata"]
        for _ in range(_GENERATE_ATTEMPTS):
            key = _key(metadata)
            await self.state.settled(row.storage, key)
            if key not in items:
                return key
            if not generate:
                break
            metadata["name"] = generated(metadata["generateName"])
        there = items[key].obj["metadata"]
        raise statuses.already_exists(
            row.resource,
            there["name"],
            generated=bool(metadata.get("generateName")),
            leaving="deletionTimestamp" in there,
        )

    async def update(self, call: Call) -> Result:
        """Replace an object by the request's body.  Raises ApiError 400, 404, 409, 422."""
        body = decode.body(call)
        _match_path(body, call.target)
        _match_name(body, call.target)
        call.warnings.extend(meta.single_owners(body))
        row, key = call.target.row, call.target.key
        if row.strategy.create_on_update and not body["metadata"].get("resourceVersion"):
            await self.state.settled(row.storage, key)
            if key not in self.state.of(row.storage).items:
                self.authorizer.demand(call.user, creation(row.resource, call.target.namespace))
                return await self.create(call)

        def make(served: Encoded) -> dict:
            _check_uid(body, served.obj, call.target)
            return {**body, "metadata": dict(body["metadata"])}

        return await self.change(call, make)

    async def patch(self, call: Call) -> Result:
        """Patch an object.  Raises ApiError 400, 404, 409, 415, 422."""
        if tracking.is_apply(call):
            return await self._apply(call)
        patch, repeated = patching.understand(call), patching.strict_errors(call)

        def make(served: Encoded) -> dict:
            obj = patch(_patchable(call, served))
            obj = decode.patched(call, obj, repeated)
            _match_path(obj, call.target)
            _match_name(obj, call.target)
            call.warnings.extend(meta.single_owners(obj, patched=True))
            return obj

        return await self.change(call, make)

    async def _apply(self, call: Call) -> Result:
        """Merge a configuration into an object, or make it: 200 or 201.  Raises as `patch`."""
        target, row = call.target, call.target.row
        config = patching.configuration(call, row.resource)

        def make(served: Encoded | None) -> dict:
            live = served.obj if served else None
            found = tracking.applied(call, self.find, live, config, self.clock.timestamp())
            decode.demand_strict_patch(call)
            obj = decode.patched(call, orjson.loads(orjson.dumps(found.obj)), call.repeated)
            _match_path(obj, target)
            _match_name(obj, target)
            obj["metadata"]["managedFields"] = found.entries
            return obj

        await self.state.settled(row.storage, target.key)
        if target.subresource or target.key in self.state.of(row.storage).items:
            return await self.change(call, make)
        obj = make(None)
        self.authorizer.demand(call.user, creation(row.resource, target.namespace))
        if obj["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {obj['metadata']['uid']}, "
            why += "and no existing object was found"
            raise statuses.conflict(row.resource, target.name, why)
        return await self._create(call, obj)

    async def change(self, call: Call, make: Make) -> Result:
        """Replace an object by `make(object)`, evaluated at one instant."""
        target, row = call.target, call.target.row
        await self.state.settled(row.storage, target.key)
        existing = self.existing(target)
        obj = make(convert.served(row, existing))
        _check_preconditions(obj, existing.obj, target)
        obj, owners = convert.stored(row, obj), obj["metadata"].get("managedFields")
        now = self.clock.timestamp()
        if target.subresource == "status":
            obj = _with_status(existing.obj, obj, row.strategy.status_annotations)
            row.strategy.default_status(obj)
            tracking.updated(call, self.find, existing.obj, obj, owners, now)
            tracking.keep_times(obj, existing.obj)
            _refuse(row, obj, row.strategy.validate_status(obj, existing.obj))
            return await self.replace(call, existing, obj)
        meta.carry_over(obj, existing.obj)
        if "status" in row.subresources:
            _keep_status(obj, existing.obj)
        row.strategy.default(obj)
        tracking.updated(call, self.find, existing.obj, obj, owners, now)
        attributes = Attributes(self.state, row, UPDATE, obj, existing.obj, call.dry_run)
        self.admission.mutate(attributes)
        with self.allocator.reserve(row, obj, existing.obj):
            row.strategy.prepare(obj, existing.obj)
            call.warnings.extend(row.strategy.warn(obj, existing.obj))
            meta.bump_generation(obj, existing.obj, row.strategy)
            tracking.keep_times(obj, existing.obj)
            if obj == existing.obj:
                return Result(200, convert.served(row, existing), tuple(call.warnings))
            errors = meta.validate_update(obj, existing.obj)
            errors += row.strategy.validate_update(obj, existing.obj)
            _refuse(row, obj, [*self._wrong(row, obj), *errors])
            escalation.refuse(self.authorizer, call.user, row.resource, obj, existing.obj)
            if await self.admission.validate(attributes):
                await self.state.settled(row.storage, target.key)
                if self.existing(target) is not existing:
                    return await self.change(call, make)
            return await self.replace(call, existing, obj)

    async def replace(self, call: Call, existing: Encoded, obj: dict) -> Result:
        """Store a complete successor of `existing`; without a difference nothing happens."""
        if obj == existing.obj:
            return Result(200, convert.served(call.target.row, existing), tuple(call.warnings))
        node_restriction.check(call, existing.obj, obj)
        row, key = call.target.row, call.target.key
        if may_go(obj):
            # Watches see what was there; who took the last finalizer away sees what he made of it.
            last = {**existing.obj, "metadata": dict(existing.obj["metadata"])}
            await self._store(call, key, last, deleted=True)
            item = Encoded(obj, orjson.dumps(obj))
        else:
            item = await self._store(call, key, obj)
        return Result(200, convert.served(row, item), tuple(call.warnings))

    def existing(self, target: Target) -> Encoded:
        """The stored object.  Raises ApiError 404."""
        item = self.state.of(target.row.storage).items.get(target.key)
        if item is None:
            raise statuses.not_found(target.row.resource, target.name)
        return item

    async def _store(self, call: Call, key: str, obj: dict, *, deleted: bool = False) -> Encoded:
        call.target.row.strategy.canonicalize(obj)
        if call.dry_run:
            return Encoded(obj, orjson.dumps(obj))
        return await self.state.commit(call.target.row.storage, key, obj, deleted=deleted)

    def _wrong(self, row: Registration, obj: Mapping) -> list[fields.FieldError]:
        errors = meta.validate(obj, row.strategy, row.resource.namespaced)
        return errors + row.strategy.validate(obj)


def _patchable(call: Call, served: Encoded) -> dict:
    """A copy of what a patch is about: of an object, or of its status alone if that is all.

    Status is what is patched most by far, and the rest of its object would only be ignored.
    """
    whole, target = served.obj, call.target
    body = call.body if isinstance(call.body, dict) else None
    if target.subresource != "status" or body is None or list(body) != ["status"]:
        return orjson.loads(served.json)
    status = orjson.loads(orjson.dumps(whole["status"])) if "status" in whole else {}
    head = {"apiVersion": whole["apiVersion"], "kind": whole["kind"]}
    kept = {key: whole["metadata"][key] for key in ("name", "resourceVersion")}
    return {**head, "metadata": kept, "status": status}


def may_go(obj: Mapping) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if obj["kind"] == NAMESPACES.kind and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _key(metadata: Mapping) -> str:
    namespace, name = metadata.get("namespace"), metadata.get("name", "")
    return f"{namespace}/{name}" if namespace else name


def _refuse(row: Registration, obj: Mapping, errors: list[fields.FieldError]) -> None:
    if errors:
        raise statuses.invalid(row.resource, obj["metadata"].get("name", ""), errors)


def _match_path(obj: dict, target: Target) -> None:
    """The object is in the path's namespace, and says so."""
    metadata = obj["metadata"]
    if not target.row.resource.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.get("namespace") not in (None, "", target.namespace):
        raise statuses.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = target.namespace


def _match_name(obj: dict, target: Target) -> None:
    name = obj["metadata"].get("name")
    if not name:
        raise statuses.bad_request(
            f"the name of the object ({target.name} based on URL) was undeterminable: name must be "
            "provided"
        )
    if name != target.name:
        raise statuses.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )


def _check_preconditions(obj: Mapping, old: Mapping, target: Target) -> None:
    """A resourceVersion that comes with an update must be the stored object's.

    Some kinds demand that it comes.  Raises ApiError 409, 422.
    """
    sent, resource = obj["metadata"].get("resourceVersion"), target.row.resource
    if sent in (None, "", "0"):
        if target.row.strategy.needs_version:
            why = "must be specified for an update"
            missing = fields.invalid("metadata.resourceVersion", 0, why)
            raise statuses.invalid(replace(resource, kind=resource.plural), target.name, [missing])
    elif sent != old["metadata"]["resourceVersion"]:
        raise statuses.conflict(resource, target.name)


def _check_uid(obj: Mapping, old: Mapping, target: Target) -> None:
    """A uid in the body of an update says which incarnation is meant.  Raises ApiError 409."""
    sent, stored = obj["metadata"].get("uid"), old["metadata"]["uid"]
    if sent not in (None, "", stored):
        key = f"/registry/{target.row.resource.plural}/{target.key}"
        why = f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, "
        why += f"AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, "
        why += f"UID in object meta: {stored}"
        raise statuses.conflict(target.row.resource, target.name, why)


def _start_status(obj: dict, row: Registration) -> None:
    if row.strategy.initial_status is not None:
        obj["status"] = dict(row.strategy.initial_status)


def _with_status(old: Mapping, obj: Mapping, annotations: bool) -> dict:
    """The stored object with nothing new but its status, and perhaps its annotations."""
    result = {**old, "metadata": dict(old["metadata"])}
    if annotations and "annotations" in obj["metadata"]:
        result["metadata"]["annotations"] = obj["metadata"]["annotations"]
    result.pop("status", None)
    if "status" in obj:
        result["status"] = obj["status"]
    return result


def _keep_status(obj: dict, old: Mapping) -> None:
    obj.pop("status", None)
    if "status" in old:
        obj["status"] = old["status"]
