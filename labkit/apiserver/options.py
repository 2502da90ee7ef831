"""What a request's parameters say about how to list, watch, write or delete.

Parameters are read as Go's parameter codec reads them (any word but `0` and `false` is true) and
then checked as a whole.  Unknown parameters are ignored, and of a repeated one the last counts.

Source: k8s.io/apimachinery apis/meta/internalversion (SetListOptionsDefaults),
internalversion/validation (ValidateListOptions), apis/meta/v1/validation (ValidateDeleteOptions,
ValidateCreateOptions, ValidatePatchOptions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.apiserver import fields, statuses
from labkit.apiserver.fields import FieldError
from labkit.client.errors import ApiError
from labkit.kube.resources import Resource

EXACT, NOT_OLDER = "Exact", "NotOlderThan"
POLICIES = ("Foreground", "Background", "Orphan")
_FIELD_MANAGER_LENGTH = 128
_VALIDATION = ("", "Ignore", "Strict", "Warn")


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Of a list or a watch.  `initial` is sendInitialEvents; None where the client left it out."""

    version: str = ""
    match: str = ""
    limit: int = 0
    token: str = ""
    bookmarks: bool = False
    initial: bool | None = None
    timeout: int = 0

    @property
    def revision(self) -> int:
        """`version` as a number; 0 where any will do.  Raises ApiError 400."""
        return revision(self.version)


_DEFAULT = ListOptions()


def truth(text: str) -> bool:
    """A boolean parameter that was given."""
    return text != "0" and text.lower() != "false"


_DIGITS = 20  # of numbers of 64 bits; Python itself refuses to read thousands


def integer(params: Mapping[str, str], name: str) -> int | None:
    """An integer parameter.  Raises ApiError 400."""
    text = params.get(name)
    if text is None:
        return None
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdecimal()):
        raise statuses.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(digits.lstrip("0")) > _DIGITS or not -(2**63) <= int(text) < 2**63:
        raise statuses.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def revision(text: str) -> int:
    """A resource version as a number; 0 where it is left out.  Raises ApiError 400."""
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        wrong = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    elif len(text.lstrip("0")) > _DIGITS or int(text) >= 2**64:
        wrong = f'strconv.ParseUint: parsing "{text}": value out of range'
    else:
        return int(text)
    cause = fields.invalid("resourceVersion", text, wrong)
    raise statuses.bad_request(f"invalid resource version: {cause}")


def is_watch(params: Mapping[str, str]) -> bool:
    """Whether a GET of a collection asks for a watch."""
    return "watch" in params and truth(params["watch"])


def listing(params: Mapping[str, str]) -> ListOptions:
    """The options of a list or a watch.  Raises ApiError 400, 422."""
    if not params:
        return _DEFAULT
    version, match = params.get("resourceVersion", ""), params.get("resourceVersionMatch", "")
    found = ListOptions(
        version=version,
        match=match,
        limit=max(integer(params, "limit") or 0, 0),
        token=params.get("continue", ""),
        bookmarks=truth(params.get("allowWatchBookmarks", "false")),
        initial=truth(params["sendInitialEvents"]) if "sendInitialEvents" in params else None,
        timeout=max(integer(params, "timeoutSeconds") or 0, 0),
    )
    errors = _watch_errors(found) if is_watch(params) else _list_errors(found)
    if errors:
        raise _invalid("ListOptions", errors)
    return found


def _list_errors(options: ListOptions) -> list[FieldError]:
    errors, path = [], "resourceVersionMatch"
    if options.match:
        if not options.version:
            why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            errors.append(fields.forbidden(path, why))
        if options.token:
            why = "resourceVersionMatch is forbidden when continue is provided"
            errors.append(fields.forbidden(path, why))
        if options.match not in (EXACT, NOT_OLDER):
            errors.append(_unsupported(path, options.match, (EXACT, NOT_OLDER, "")))
        if options.match == EXACT and options.version == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            errors.append(fields.forbidden(path, why))
    if options.initial is not None:
        why = "sendInitialEvents is forbidden for list"
        errors.append(fields.forbidden("sendInitialEvents", why))
    return errors


def _watch_errors(options: ListOptions) -> list[FieldError]:
    errors, path = [], "resourceVersionMatch"
    if options.initial is not None and options.match != NOT_OLDER:
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        errors.append(fields.forbidden(path, why))
    if options.match:
        if options.initial is None:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            errors.append(fields.forbidden(path, why))
        if options.match != NOT_OLDER:
            errors.append(_unsupported(path, options.match, (NOT_OLDER,)))
        if options.token:
            why = "resourceVersionMatch is forbidden when continue is provided"
            errors.append(fields.forbidden(path, why))
    return errors


def writing(params: Mapping[str, str], method: str, *, apply: bool = False) -> bool:
    """Check the options of a create, an update or a patch; whether it is a dry run.

    Raises ApiError 422.
    """
    if not params and not apply:
        return False
    errors: list[FieldError] = []
    if apply and not params.get("fieldManager"):
        errors.append(fields.required("fieldManager", "is required for apply patch"))
    if method == "PATCH" and not apply and "force" in params:
        errors.append(fields.forbidden("force", "may not be specified for non-apply patch"))
    errors += _field_manager_errors(params.get("fieldManager", ""))
    dry_run = [params["dryRun"]] if "dryRun" in params else []
    errors += _dry_run_errors(dry_run)
    mode = params.get("fieldValidation", "")
    if mode not in _VALIDATION:
        errors.append(_unsupported("fieldValidation", mode, _VALIDATION))
    if errors:
        kind = {"POST": "Create", "PUT": "Update", "PATCH": "Patch"}.get(method, "Create")
        raise _invalid(f"{kind}Options", errors)
    return bool(dry_run)


def _field_manager_errors(manager: str) -> list[FieldError]:
    errors = []
    if len(manager.encode()) > _FIELD_MANAGER_LENGTH:
        errors.append(fields.too_long("fieldManager", _FIELD_MANAGER_LENGTH))
    for at, letter in enumerate(manager):
        if not letter.isprintable():
            why = f"invalid character U+{ord(letter):04X} (at position {at})"
            errors.append(fields.invalid("fieldManager", manager, why))
    return errors


def _dry_run_errors(values: list) -> list[FieldError]:
    if all(value == "All" for value in values):
        return []
    return [_unsupported("dryRun", values, ("All",))]


def deleting(params: Mapping[str, str], body: object) -> dict:
    """DeleteOptions: the body's, or where there is none the parameters'.  Raises ApiError 400, 422.

    `orphanDependents` and `dryRun` keep their own form, as they have in the body.
    """
    if body is None:
        found: dict = {}
        if (grace := integer(params, "gracePeriodSeconds")) is not None:
            found["gracePeriodSeconds"] = grace
        if params.get("propagationPolicy"):
            found["propagationPolicy"] = params["propagationPolicy"]
        if "orphanDependents" in params:
            found["orphanDependents"] = truth(params["orphanDependents"])
        if "dryRun" in params:
            found["dryRun"] = [params["dryRun"]]
    else:
        found = _delete_options(body)
    errors = _delete_errors(found)
    if errors:
        raise _invalid("DeleteOptions", errors)
    return found


_DELETE_TYPES = {
    "gracePeriodSeconds": int,
    "propagationPolicy": str,
    "orphanDependents": bool,
    "dryRun": list,
    "preconditions": dict,
}
_GO = {
    int: "int64",
    str: "v1.DeletionPropagation",
    bool: "bool",
    list: "[]string",
    dict: "v1.Preconditions",
}
_JSON = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


def _delete_options(body: object) -> dict:
    if not isinstance(body, Mapping):
        raise statuses.bad_request(
            f"couldn't get version/kind; json parse error: json: cannot unmarshal "
            f"{_JSON.get(body.__class__, 'null')} into Go value of type "
            'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
            'Kind string "json:\\"kind,omitempty\\"" }'
        )
    kind = body.get("kind") or "DeleteOptions"
    if kind != "DeleteOptions":
        version = body.get("apiVersion") or "meta.k8s.io/v1"
        raise statuses.bad_request(
            f'no kind "{kind}" is registered for version "{version}" in scheme "meta.k8s.io"'
        )
    found = {name: value for name, value in body.items() if value is not None}
    for name, type in _DELETE_TYPES.items():
        value = found.get(name)
        if value is not None and value.__class__ is not type:
            raise statuses.bad_request(
                f"json: cannot unmarshal {_JSON.get(value.__class__, 'null')} into Go struct field "
                f"DeleteOptions.{name} of type {_GO[type]}"
            )
    return found


def _delete_errors(options: Mapping) -> list[FieldError]:
    errors, policy = [], options.get("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(fields.invalid("propagationPolicy", policy, why))
    if policy is not None and policy not in POLICIES:
        errors.append(_unsupported("propagationPolicy", policy, (*POLICIES, "nil")))
    return errors + _dry_run_errors(options.get("dryRun") or [])


def _unsupported(path: str, value: object, choices: tuple[str, ...]) -> FieldError:
    """As `fields.unsupported`, with the choices in upstream's order."""
    return fields.unsupported(path, value, choices, in_order=True)


def _invalid(kind: str, errors: list[FieldError]) -> ApiError:
    return statuses.invalid(Resource("meta.k8s.io", "v1", kind.lower(), kind), "", errors)
