"""Which names a definition gets, and what its conditions say of it.

Within a group, the plural, singular and short names of all definitions are different, and so are
their kinds.  A definition whose names are free is established: it is served.  Once established it
stays so; a later conflict leaves it with the names that it has.

Source: k8s.io/apiextensions-apiserver pkg/controller/status (naming_controller.go),
pkg/controller/establish, pkg/controller/apiapproval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.apiserver.custom.definition import APPROVED
from labkit.kube import conditions

_REASONS = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def status(definition: Mapping, others: Iterable[Mapping], now: str) -> dict:
    """The status that a definition should have beside the `others` of its group."""
    names, conflict = accepted(definition, others)
    before = definition.get("status") or {}
    found = before.get("conditions")
    if conflict:
        found = conditions.updated(found, "NamesAccepted", "False", *conflict, now)
    else:
        found = conditions.updated(
            found, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now
        )
    if not conflict:
        found = conditions.updated(
            found, "Established", "True", "InitialNamesAccepted",
            "the initial names have been accepted", now,
        )  # fmt: skip
    elif conditions.get(definition, "Established") is None:
        found = conditions.updated(
            found, "Established", "False", "NotAccepted", "not all names are accepted", now
        )
    return {**before, "conditions": _approval(definition, found, now), "acceptedNames": names}


def accepted(definition: Mapping, others: Iterable[Mapping]) -> tuple[dict, tuple[str, str] | None]:
    """The names that it gets, and (reason, message) of what it does not get."""
    wanted = definition["spec"]["names"]
    present = dict((definition.get("status") or {}).get("acceptedNames") or {})
    taken, kinds = _taken(others)
    names, conflict = dict(present), None
    for key in ("plural", "singular", "shortNames", "kind", "listKind"):
        used = kinds if key in ("kind", "listKind") else taken
        if key == "shortNames":
            mine = present.get(key) or ()
            clashes = [n for n in wanted.get(key) or () if n not in mine and n in used]
        else:
            asked = wanted.get(key, "")
            clashes = [asked] if asked != present.get(key) and asked in used else []
        if clashes:
            reason = _REASONS.get(key, "ShortNamesConflict")
            conflict = reason, _aggregate([f'"{name}" is already in use' for name in clashes])
        elif wanted.get(key):
            names[key] = wanted[key]
        else:
            names.pop(key, None)
    names.pop("categories", None)
    return names | ({"categories": c} if (c := wanted.get("categories")) else {}), conflict


def _aggregate(errors: list[str]) -> str:
    return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"


def _taken(others: Iterable[Mapping]) -> tuple[set[str], set[str]]:
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())}
        kinds |= {names.get("kind"), names.get("listKind")}
    return resources - {None, ""}, kinds - {None, ""}


def _approval(definition: Mapping, found: list[dict], now: str) -> list[dict]:
    """Groups of the Kubernetes community say whether it has approved them."""
    group = "." + definition["spec"]["group"]
    if not group.endswith((".k8s.io", ".kubernetes.io")):
        return found
    said = (definition["metadata"].get("annotations") or {}).get(APPROVED, "")
    if said.startswith("unapproved"):
        status, reason, message = "False", "UnapprovedAnnotation", f'not approved: "{said}"'
    else:
        status, reason, message = "True", "ApprovedAnnotation", f"approved in {said}"
    kind = "KubernetesAPIApprovalPolicyConformant"
    return conditions.updated(found, kind, status, reason, message, now)
