"""Is this a Pod that could run?  Rules of Pods and Pod templates, and of changes to Pods.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePodSpec, ValidatePodUpdate).  Left out:
rules for fields that nothing here acts upon (SELinux, ephemeral volumes, resource claims, ...).
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import meta, names, pod_scheduling, validate_placement
from labkit.apiserver.fields import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    required,
    unsupported,
)
from labkit.apiserver.validate_container import validate_containers
from labkit.apiserver.validate_values import non_negative

_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
_MAX_DEADLINE = 2**31 - 1
_CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def validate(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Pod."""
    return validate_spec(obj.get("spec") or {}, "spec")


def validate_template(template: Mapping, path: str) -> list[FieldError]:
    """What is wrong with a Pod template at `path`."""
    metadata = template.get("metadata") or {}
    errors = meta.validate_labels(metadata.get("labels"), f"{path}.metadata.labels")
    return errors + validate_spec(template.get("spec") or {}, f"{path}.spec")


def validate_spec(spec: Mapping, path: str) -> list[FieldError]:
    """What is wrong with a Pod's spec at `path`."""
    volumes = spec.get("volumes") or ()
    errors = _volumes(volumes, f"{path}.volumes") if volumes else []
    errors += validate_containers(spec, path)
    errors += _choices(spec, path)
    errors += _numbers(spec, path)
    errors += _names(spec, path)
    if spec.get("nodeSelector"):
        errors += meta.validate_labels(spec["nodeSelector"], f"{path}.nodeSelector")
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        errors += _toleration(toleration, f"{path}.tolerations[{index}]")
    for index, one in enumerate(spec.get("topologySpreadConstraints") or ()):
        errors += _spread(one, f"{path}.topologySpreadConstraints[{index}]")
    if spec.get("affinity"):
        errors += validate_placement.affinity(spec["affinity"], f"{path}.affinity")
    if spec.get("hostAliases"):
        errors += validate_placement.host_aliases(spec["hostAliases"], f"{path}.hostAliases")
    if spec.get("dnsConfig") or spec.get("dnsPolicy") == "None":
        errors += validate_placement.dns(spec, path)
    return errors


def _choices(spec: Mapping, path: str) -> list[FieldError]:
    errors = []
    for name, valid in (("restartPolicy", _RESTART), ("dnsPolicy", _DNS)):
        value = spec.get(name)
        if not value:
            errors.append(required(f"{path}.{name}"))
        elif value not in valid:
            errors.append(unsupported(f"{path}.{name}", value, valid))
    return errors


def _numbers(spec: Mapping, path: str) -> list[FieldError]:
    name = f"{path}.terminationGracePeriodSeconds"
    errors = non_negative(spec.get("terminationGracePeriodSeconds"), name)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_DEADLINE:
        why = f"must be between 1 and {_MAX_DEADLINE}, inclusive"
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline, why))
    return errors


def _names(spec: Mapping, path: str) -> list[FieldError]:
    errors = []
    for name, rule in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
    ):
        if spec.get(name) and (wrong := rule(spec[name])):
            errors.append(invalid(f"{path}.{name}", spec[name], wrong))
    return errors


def _volumes(volumes: list[Mapping], path: str) -> list[FieldError]:
    errors, seen = [], set()
    for index, volume in enumerate(volumes):
        here, name = f"{path}[{index}]", volume.get("name", "")
        if not name:
            errors.append(required(f"{here}.name"))
        elif wrong := names.dns_label(name):
            errors.append(invalid(f"{here}.name", name, wrong))
        elif name in seen:
            errors.append(duplicate(f"{here}.name", name))
        seen.add(name)
        sources = [key for key in volume if key != "name"]
        if not sources:
            errors.append(required(here, "must specify a volume type"))
        for extra in sources[1:]:
            errors.append(forbidden(f"{here}.{extra}", "may not specify more than 1 volume type"))
        errors += _volume_source(volume, here)
    return errors


def _volume_source(volume: Mapping, path: str) -> list[FieldError]:
    for source, name in (
        ("configMap", "name"),
        ("secret", "secretName"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
    ):
        if source in volume and not volume[source].get(name):
            return [required(f"{path}.{source}.{name}")]
    return []


def _toleration(one: Mapping, path: str) -> list[FieldError]:
    errors, operator = [], one.get("operator") or "Equal"
    if one.get("key"):
        if wrong := names.qualified_name(one["key"]):
            errors.append(invalid(f"{path}.key", one["key"], wrong))
    elif operator != "Exists":
        why = "operator must be Exists when `key` is empty, which means "
        errors.append(
            invalid(f"{path}.operator", operator, why + '"match all values and all keys"')
        )
    if one.get("tolerationSeconds") is not None and one.get("effect") != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        errors.append(invalid(f"{path}.effect", one.get("effect", ""), why))
    if operator not in ("Equal", "Exists"):
        errors.append(unsupported(f"{path}.operator", operator, ("Equal", "Exists")))
    elif operator == "Exists" and one.get("value"):
        why = "value must be empty when `operator` is 'Exists'"
        errors.append(invalid(f"{path}.operator", one["value"], why))
    if one.get("effect") and one["effect"] not in _EFFECTS:
        errors.append(unsupported(f"{path}.effect", one["effect"], _EFFECTS))
    return errors


def _spread(one: Mapping, path: str) -> list[FieldError]:
    errors = []
    if one.get("maxSkew", 0) <= 0:
        why = "must be greater than zero"
        errors.append(invalid(f"{path}.maxSkew", one.get("maxSkew", 0), why))
    if not one.get("topologyKey"):
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    if one.get("whenUnsatisfiable") not in _UNSATISFIABLE:
        value = one.get("whenUnsatisfiable", "")
        errors.append(unsupported(f"{path}.whenUnsatisfiable", value, _UNSATISFIABLE))
    return errors


def validate_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """What a change of a Pod may not change: almost everything in its spec."""
    if obj["spec"] == old["spec"]:
        return []
    errors = []
    before, after = old["spec"].get("tolerations") or [], obj["spec"].get("tolerations") or []
    if any(_without_seconds(one) not in map(_without_seconds, after) for one in before):
        why = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(forbidden("spec.tolerations", why))
    deadline, was = (
        one["spec"].get("activeDeadlineSeconds") for one in (obj, old)
    )  # fmt: skip
    if was is not None and (deadline is None or deadline > was):
        why = f"must be less than or equal to previous value {was}" if deadline else (
            "must not update from a positive integer to nil value"
        )  # fmt: skip
        errors.append(invalid("spec.activeDeadlineSeconds", deadline, why))
    errors += pod_scheduling.validate_update(obj["spec"], old["spec"])
    gated = bool(old["spec"].get("schedulingGates"))
    if _fixed(obj["spec"], gated) != _fixed(old["spec"], gated):
        errors.append(forbidden("spec", _CHANGEABLE))
    return errors


def _without_seconds(toleration: Mapping) -> dict:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _fixed(spec: Mapping, gated: bool) -> dict:
    """The part of a Pod's spec that never changes; some does while it has scheduling gates."""
    kept = {
        key: value
        for key, value in pod_scheduling.without(spec, gated).items()
        if key not in ("activeDeadlineSeconds", "tolerations")
    }
    for name in ("containers", "initContainers"):
        kept[name] = [
            {key: value for key, value in one.items() if key != "image"}
            for one in spec.get(name) or ()
        ]
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        kept["terminationGracePeriodSeconds"] = 1
    return kept
