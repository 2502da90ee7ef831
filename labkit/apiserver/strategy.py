"""How one kind of object behaves: the hooks that the verbs call, as a table row of functions.

Source: k8s.io/apiserver registry/rest (RESTCreateStrategy, RESTUpdateStrategy,
RESTDeleteStrategy).  Each hook is pure but for `allocate`, which may reserve addresses and ports.
Hooks receive the server's own fresh copy and may change it; `old` is shared and read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.apiserver.fields import FieldError


def nothing(*_: object) -> None:
    """The hook of a kind that needs none."""


def no_errors(*_: object) -> list[FieldError]:
    """The validation of a kind whose schema says everything."""
    return []


def no_warnings(*_: object) -> list[str]:
    """The advice of a kind that has none to give."""
    return []


@dataclass(frozen=True)
class Strategy:
    """The behaviour of a kind beyond what all objects share.

    `default(obj)` fills in what upstream's defaulting functions do.  `prepare(obj, old)` runs
    before validation (`old` is None on create).  `validate(obj)` and, as the case may be,
    `validate_create(obj)` or `validate_update(obj, old)` return what is wrong,
    `validate_status(obj, old)` with an object whose status alone is new.  `warn(obj, old)` says
    what is right but unwise.  `canonicalize(obj)` runs on what will be stored, after validation.
    `fields` are the paths that field selectors know besides `metadata.name` and
    `metadata.namespace`; `index` is the one that lists and watches look up instead of scanning.
    """

    default: Callable[[dict], None] = nothing
    default_status: Callable[[dict], None] = nothing  # the same for updates of status
    prepare: Callable[[dict, Mapping | None], None] = nothing
    validate: Callable[[Mapping], list[FieldError]] = no_errors
    validate_create: Callable[[Mapping], list[FieldError]] = no_errors
    validate_update: Callable[[Mapping, Mapping], list[FieldError]] = no_errors
    validate_status: Callable[[Mapping, Mapping], list[FieldError]] = no_errors
    warn: Callable[[Mapping, Mapping | None], list[str]] = no_warnings
    canonicalize: Callable[[dict], None] = nothing
    validate_name: Callable[[str], str | None] | None = None  # None: an RFC 1123 subdomain
    generation: tuple[tuple[str, ...], ...] = ()  # paths whose changes metadata.generation counts
    status_annotations: bool = False  # an update of status may change the annotations, too
    initial_status: Mapping | None = None  # of a new object; None keeps what was sent
    graceful: bool = False  # deletion waits for a grace period (Pods)
    dependents: str = ""  # of a deletion that says nothing: Orphan, or Unsupported for ever
    orphaning: str = ""  # the warning that goes with a deletion that says nothing and orphans
    cleanup: str = ""  # a finalizer that a deletion begins with
    returns_deleted: bool = False  # delete answers with the object, not with a Status
    fields: tuple[str, ...] = ()
    index: str = ""
    any_finalizer: bool = False  # finalizers need no domain
    needs_version: bool = False  # PUT has to say which resourceVersion it replaces
    create_on_update: bool = False  # PUT of an object that does not exist creates it
