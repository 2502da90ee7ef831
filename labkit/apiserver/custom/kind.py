"""One version of a custom resource: all that the verbs need to know of it.

Kubernetes' own kinds have Go types and strategies; a custom one has its definition.  From one
version of it come the row of the registry, the strategy, and the hooks in place of Kubernetes'
schemas (`CustomKind`).

Objects are kept in the definition's storage version.  Versions have the same fields under
conversion `None`, so a conversion changes `apiVersion`, drops what the other version does not
specify and fills in what it has defaults for.  What was stored before the definition's last change
passes through the same on each reading; what was stored since is served as it is.

Source: k8s.io/apiextensions-apiserver pkg/apiserver (customresource_handler.go) and
pkg/registry/customresource.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property

import orjson

from labkit.apiserver import fields
from labkit.apiserver.custom import columns, embedded, listtype, rules, structural, versions
from labkit.apiserver.custom.apply import type_of
from labkit.apiserver.custom.rules import Rules
from labkit.apiserver.custom.scale import ScalePaths
from labkit.apiserver.custom.values import Validator
from labkit.apiserver.fields import FieldError
from labkit.apiserver.registration import Registration
from labkit.apiserver.request import Encoded
from labkit.apiserver.strategy import Strategy
from labkit.kube import schema as kube_schema
from labkit.kube.resources import Resource

_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class CustomKind:
    """One version of a definition.  `since` is the revision of the definition's last change."""

    def __init__(self, definition: Mapping, version: Mapping, storage: Mapping, since: int) -> None:
        spec = definition["spec"]
        self.definition, self.version = definition, version
        self.api_version = f"{spec['group']}/{version['name']}"
        self.schema = schema_of(version)
        self.printer = columns.printer(version.get("additionalPrinterColumns") or ())
        self.terminating = bool(definition["metadata"].get("deletionTimestamp"))
        self.warnings = versions.deprecation(spec, version)
        subresources = version.get("subresources") or {}
        self.has_status = subresources.get("status") is not None
        self.scale = ScalePaths.of(subresources.get("scale"))
        self._storage_version = f"{spec['group']}/{storage['name']}"
        self._storage_schema = schema_of(storage)
        self._since = since
        self._validator = Validator(self.schema)
        status = structural.child(self.schema, "status") or {}
        self._status_validator = Validator(status, "status")
        self._rules = Rules(self.schema)
        self._embeds, self._lists = embedded.occur(self.schema), listtype.occur(self.schema)
        self._has_defaults = structural.has_defaults(self.schema)

    @cached_property
    def type(self) -> kube_schema.Type:
        """The type for server-side apply."""
        return type_of(self.schema)

    # From requests to objects.

    def decode(self, obj: dict) -> tuple[dict, list[str]]:
        """The object without unknown fields and useless nulls, and the former.

        Raises DecodeError where `metadata` is none.
        """
        metadata, unknown = obj.get("metadata") or {}, []
        if not kube_schema.accepts(OBJECT_META, metadata):
            metadata, unknown = kube_schema.decode(OBJECT_META, metadata)
        obj["metadata"] = metadata
        pruned = structural.prune(obj, self.schema)
        structural.drop_nulls(obj, self.schema)
        return obj, [*(f"metadata.{path}" for path in unknown), *pruned]

    def default(self, obj: dict) -> None:
        """Fill in the schema's defaults."""
        if self._has_defaults:
            structural.default(obj, self.schema)

    def prepare(self, obj: dict, old: Mapping | None) -> None:
        """Count changes besides `metadata`; a new object has no status if that is a subresource."""
        if old is None:
            if self.has_status:
                obj.pop("status", None)
            obj["metadata"]["generation"] = 1
        elif _content(obj) != _content(old):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    # From objects to errors.

    def validate(self, obj: Mapping) -> list[FieldError]:
        """What is wrong with a whole object."""
        errors = self._type_errors(obj) or self._validator.errors(obj)
        if self.scale:
            errors += self.scale.validate(obj)
        if self._embeds:
            errors += embedded.validate(obj, self.schema)
        return errors + (listtype.validate(obj, self.schema) if self._lists else [])

    def validate_rules(self, obj: Mapping, old: Mapping | None = None) -> list[FieldError]:
        """What the schema's expressions have against an object and what it was before."""
        if not self._rules:
            return []
        if rules.blocks(self.validate(obj)):
            return [rules.UNCHECKED]
        return list(self._rules.errors(obj, old))

    def validate_status(self, obj: Mapping, old: Mapping) -> list[FieldError]:
        """What is wrong with an object whose status alone is new."""
        errors = self._status_validator.errors(obj["status"]) if "status" in obj else []
        return errors or self.validate_rules(obj, old)

    def _type_errors(self, obj: Mapping) -> list[FieldError]:
        kind = self.definition["spec"]["names"]["kind"]
        if obj["kind"] != kind:
            return [fields.invalid("kind", obj["kind"], f"must be {kind}")]
        return []

    # Between versions.

    def served(self, item: Encoded) -> Encoded:
        """A stored object in this version; the very same one where that is how it is kept."""
        obj = item.obj
        version = obj["metadata"].get("resourceVersion")  # a dry run may have none
        current = version is None or int(version) > self._since
        if current and obj["apiVersion"] == self.api_version:
            return item
        fresh = orjson.loads(item.json)
        fresh["apiVersion"] = self.api_version
        _conform(fresh, self.schema)
        return Encoded(fresh, orjson.dumps(fresh))

    def stored(self, obj: dict) -> dict:
        """The object (given away) marked with the version in which it is kept."""
        obj["apiVersion"] = self._storage_version
        return obj

    def refresh(self, obj: dict) -> None:
        """Bring an object of which the status alone is new to the storage version of today."""
        if int(obj["metadata"]["resourceVersion"]) <= self._since:
            obj |= deepcopy({key: value for key, value in obj.items() if key != "metadata"})
            _conform(obj, self._storage_schema)
        obj["apiVersion"] = self._storage_version
        self.default(obj)

    def canonicalize(self, obj: dict) -> None:
        """Make a valid object one of the storage version."""
        if self.api_version != self._storage_version:
            _conform(obj, self._storage_schema)

    def strategy(self) -> Strategy:
        """The behaviour of this version's row."""
        return Strategy(
            default=self.default,
            default_status=self.refresh,
            prepare=self.prepare,
            validate=self.validate,
            validate_create=self.validate_rules,
            validate_update=self.validate_rules,
            validate_status=self.validate_status,
            canonicalize=self.canonicalize,
            any_finalizer=True,
            warn=_finalizer_warnings,
            needs_version=True,
            generation=(("spec",),),
            fields=tuple(
                one["jsonPath"].removeprefix(".")
                for one in self.version.get("selectableFields") or ()
            ),
        )


def _finalizer_warnings(obj: Mapping, old: Mapping | None) -> list[str]:
    before = (old or {"metadata": {}})["metadata"].get("finalizers") or ()
    bare = set(obj["metadata"].get("finalizers") or ()) - set(before)
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name '
        + ("including a path (/) " if "." in name else "")
        + "to avoid accidental conflicts with other finalizer writers"
        for name in sorted(bare)
        if "/" not in name and name not in _STANDARD_FINALIZERS
    ]


def _conform(obj: dict, schema: Mapping) -> None:
    structural.prune(obj, schema)
    structural.drop_nulls(obj, schema)
    structural.default(obj, schema)


def _content(obj: Mapping) -> dict:
    return {k: v for k, v in obj.items() if k not in ("metadata", "apiVersion", "kind")}


def schema_of(version: Mapping) -> Mapping:
    """The structural schema of a version; an empty one keeps whatever comes."""
    found = (version.get("schema") or {}).get("openAPIV3Schema")
    return found or {structural.PRESERVE: True}


def rows(definition: Mapping, since: int) -> list[Registration]:
    """The rows of all served versions of an established definition."""
    spec, accepted = definition["spec"], definition["status"]["acceptedNames"]
    storage = next(version for version in spec["versions"] if version["storage"])
    found = [version for version in spec["versions"] if version.get("served")]
    found.sort(key=lambda version: versions.priority(version["name"]), reverse=True)
    return [_row(spec, accepted, version, storage, definition, since) for version in found]


def storage_row(definition: Mapping) -> Registration:
    """The row of the storage version, served or not."""
    spec = definition["spec"]
    storage = next(version for version in spec["versions"] if version["storage"])
    return _row(spec, spec["names"], storage, storage, definition, 0)


def _row(
    spec: Mapping,
    accepted: Mapping,
    version: Mapping,
    storage: Mapping,
    definition: Mapping,
    since: int,
) -> Registration:
    kind = CustomKind(definition, version, storage, since)
    subresources = [("status", kind.has_status), ("scale", kind.scale is not None)]
    return Registration(
        resource=_resource(spec, accepted, version),
        singular=accepted.get("singular") or "",
        definition=published_name(spec["group"], version["name"], accepted["kind"]),
        strategy=kind.strategy(),
        storage=_resource(spec, accepted, storage),
        short_names=tuple(accepted.get("shortNames") or ()),
        categories=tuple(accepted.get("categories") or ()),
        subresources=tuple(name for name, there in subresources if there),
        custom=kind,
    )


def _resource(spec: Mapping, accepted: Mapping, version: Mapping) -> Resource:
    namespaced = spec["scope"] == "Namespaced"
    return Resource(
        spec["group"], version["name"], spec["names"]["plural"], accepted["kind"], namespaced
    )


def published_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's OpenAPI schema: `com.example.stable.v1.CronTab`."""
    return ".".join([*reversed(group.split(".")), version, kind])
