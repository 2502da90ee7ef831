"""Rules of Jobs and CronJobs.

Source: k8s.io/kubernetes pkg/apis/batch/validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from zoneinfo import ZoneInfo

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, duplicate, invalid, required, unsupported
from labkit.apiserver.validate_apps import fits
from labkit.apiserver.validate_pod import validate_template
from labkit.apiserver.validate_values import immutable, label_selector, non_negative
from labkit.kube import cron, selectors

CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
LEGACY_UID, LEGACY_NAME = "controller-uid", "job-name"

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MODES = ("NonIndexed", "Indexed")
_MAX_INDEXED = 100_000
_RESTARTS = ("OnFailure", "Never")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_FIXED = (
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)
_DIRECTIVES = ("nodeSelector", "tolerations", "schedulingGates")
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_MAX_CRON_NAME = 52
_ZONE_PART = re.compile(r"(?!-)[A-Za-z.\-_0-9+]{1,14}")


def job(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Job."""
    spec = obj.get("spec") or {}
    errors = _generated(obj, spec) + _job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        wrong = label_selector(selector, "spec.selector")
        parsed = None if wrong else selectors.from_label_selector(selector)
        errors += wrong or fits(parsed, spec, "spec.template")
    return errors + _hostname(obj["metadata"].get("name", ""), spec)


def _generated(obj: Mapping, spec: Mapping) -> list[FieldError]:
    """Labels and selector are the generated ones, unless the selector is said to be manual."""
    selector, metadata = spec.get("selector"), obj["metadata"]
    if spec.get("manualSelector") or selector is None:
        return []
    path, errors = "spec.template.metadata", []
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    expected = {
        LEGACY_UID: metadata.get("uid", ""),
        LEGACY_NAME: metadata.get("name", ""),
        CONTROLLER_UID: metadata.get("uid", ""),
        JOB_NAME: metadata.get("name", ""),
    }
    for key, value in expected.items():
        if key not in labels:
            errors.append(required(f"{path}.labels[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            errors.append(invalid(f"{path}.labels[{key}]", labels[key], f"must be '{value}'"))
    if not label_selector(selector, "spec.selector") and not selectors.matches(
        selectors.from_label_selector(selector), expected
    ):
        errors.append(invalid("spec.selector", selector, "`selector` not auto-generated"))
    return errors


def _hostname(name: str, spec: Mapping) -> list[FieldError]:
    """Pods of an indexed Job are called after it and their index."""
    if spec.get("completionMode") != "Indexed" or not spec.get("completions"):
        return []
    longest = f"{name}-{spec['completions'] - 1}"
    if not names.dns_label(longest):
        return []
    why = f"will not able to create pod with invalid DNS label: {longest}"
    return [invalid("metadata.name", name, why)]


def _job_spec(spec: Mapping, path: str) -> list[FieldError]:
    errors = [e for name in _COUNTS for e in non_negative(spec.get(name), f"{path}.{name}")]
    errors += _completion(spec, path)
    policy = spec.get("podFailurePolicy")
    for index, rule in enumerate((policy or {}).get("rules") or ()):
        errors += _failure_rule(rule, f"{path}.podFailurePolicy.rules[{index}]", spec)
    replacement = spec.get("podReplacementPolicy")
    allowed = _REPLACEMENTS if policy is None else ("Failed",)
    if replacement is not None and replacement not in allowed:
        errors.append(unsupported(f"{path}.podReplacementPolicy", replacement, allowed))
    errors += validate_template(spec.get("template") or {}, f"{path}.template")
    return errors + _restart(spec, f"{path}.template.spec.restartPolicy")


def _completion(spec: Mapping, path: str) -> list[FieldError]:
    mode, errors = spec.get("completionMode", "NonIndexed"), []
    limited = "maxFailedIndexes" in spec
    if limited and "backoffLimitPerIndex" not in spec:
        why = "when maxFailedIndexes is specified"
        errors.append(required(f"{path}.backoffLimitPerIndex", why))
    if mode not in _MODES:
        errors.append(unsupported(f"{path}.completionMode", mode, _MODES))
    elif mode == "Indexed":
        errors += _indexed(spec, path)
    else:
        errors += [
            invalid(f"{path}.{name}", spec[name], "requires indexed completion mode")
            for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy")
            if name in spec
        ]
    return errors


def _indexed(spec: Mapping, path: str) -> list[FieldError]:
    completions, parallelism, errors = spec.get("completions"), spec.get("parallelism", 0), []
    if completions is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism > _MAX_INDEXED:
        why = f"must be less than or equal to {_MAX_INDEXED} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", parallelism, why))
    failed = spec.get("maxFailedIndexes")
    if completions is not None and failed is not None and failed > completions:
        why = "must be less than or equal to completions"
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, why))
    if "successPolicy" in spec and not spec["successPolicy"].get("rules"):
        why = "at least one rules must be specified when the successPolicy is specified"
        errors.append(required(f"{path}.successPolicy.rules", why))
    return errors


def _failure_rule(rule: Mapping, path: str, spec: Mapping) -> list[FieldError]:
    action, codes, errors = rule.get("action"), rule.get("onExitCodes"), []
    if not action:
        shown = " ".join(f'"{one}"' for one in _ACTIONS)
        errors.append(required(f"{path}.action", f"valid values: [{shown}]"))
    elif action not in _ACTIONS:
        errors.append(unsupported(f"{path}.action", action, _ACTIONS))
    elif action == "FailIndex" and "backoffLimitPerIndex" not in spec:
        why = "requires the backoffLimitPerIndex to be set"
        errors.append(invalid(f"{path}.action", action, why))
    if codes is not None:
        errors += _exit_codes(codes, f"{path}.onExitCodes")
    if (codes is None) == (not rule.get("onPodConditions")):
        which = "one of" if codes is None else "both"
        rest = "is required" if codes is None else "is not supported"
        why = f"specifying {which} OnExitCodes and OnPodConditions {rest}"
        errors.append(FieldError("FieldValueInvalid", path, f"Invalid value: {why}"))
    return errors


def _exit_codes(codes: Mapping, path: str) -> list[FieldError]:
    operator, values, errors = codes.get("operator"), codes.get("values") or [], []
    if not operator:
        errors.append(required(f"{path}.operator", 'valid values: ["In" "NotIn"]'))
    elif operator not in _OPERATORS:
        errors.append(unsupported(f"{path}.operator", operator, _OPERATORS))
    if not values:
        errors.append(invalid(f"{path}.values", values, "at least one value is required"))
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            why = "must not be 0 for the In operator"
            errors.append(invalid(f"{path}.values[{index}]", value, why))
        if value in values[:index]:
            errors.append(duplicate(f"{path}.values[{index}]", value))
    if values != sorted(values):
        errors.append(invalid(f"{path}.values", values, "must be ordered"))
    return errors


def _restart(spec: Mapping, path: str) -> list[FieldError]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy") or "Always"
    if policy == "Always":
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in _RESTARTS:
        return [unsupported(path, policy, _RESTARTS)]
    if "podFailurePolicy" in spec and policy != "Never":
        why = 'only "Never" is supported when podFailurePolicy is specified'
        return [invalid(path, policy, why)]
    return []


def job_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """What a Job does never changes; how many Pods do it at once may."""
    spec, before = obj["spec"], old["spec"]
    errors = _completions_update(spec, before)
    errors += immutable(spec.get("selector"), before.get("selector"), "spec.selector")
    template, was = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        was = _redirected(was, template)
    errors += immutable(template, was, "spec.template")
    for name in _FIXED:
        errors += immutable(spec.get(name), before.get(name), f"spec.{name}")
    return errors


def _completions_update(spec: Mapping, before: Mapping) -> list[FieldError]:
    completions, path = spec.get("completions"), "spec.completions"
    if spec.get("completionMode") != "Indexed":
        return immutable(completions, before.get("completions"), path)
    if completions in (None, before.get("completions"), spec.get("parallelism")):
        return []
    return [invalid(path, completions, "can only be modified in tandem with spec.parallelism")]


def _redirected(template: Mapping, wanted: Mapping) -> dict:
    """The old template with the new one's wishes where to run: free while nothing has started."""
    spec, new = dict(template.get("spec") or {}), wanted.get("spec") or {}
    _take(spec, new, _DIRECTIVES)
    affinity = dict(spec.get("affinity") or {})
    _take(affinity, new.get("affinity") or {}, ("nodeAffinity",))
    spec["affinity"] = affinity
    if not affinity and not new.get("affinity"):
        _take(spec, new, ("affinity",))
    metadata = dict(template.get("metadata") or {})
    _take(metadata, wanted.get("metadata") or {}, ("labels", "annotations"))
    return {**template, "metadata": metadata, "spec": spec}


def _take(target: dict, source: Mapping, keys: tuple[str, ...]) -> None:
    for key in keys:
        target.pop(key, None)
        if key in source:
            target[key] = source[key]


def cron_job(obj: Mapping) -> list[FieldError]:
    """What is wrong with a CronJob."""
    spec = obj.get("spec") or {}
    errors = _schedule(spec.get("schedule", ""))
    errors += _time_zone(spec.get("timeZone"))
    policy, path = spec.get("concurrencyPolicy"), "spec.concurrencyPolicy"
    if policy not in _CONCURRENCY:
        errors.append(unsupported(path, policy, _CONCURRENCY))
    for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        errors += non_negative(spec.get(name), f"spec.{name}")
    template, path = (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec"
    errors += _job_spec(template, path)
    if template.get("selector") is not None:
        why = "`selector` will be auto-generated"
        errors.append(invalid(f"{path}.selector", template["selector"], why))
    if template.get("manualSelector"):
        errors.append(unsupported(f"{path}.manualSelector", True, ("nil", "false")))
    return errors


def cron_job_name(name: str) -> str | None:
    """A CronJob's Jobs get eleven characters more."""
    if len(name) > _MAX_CRON_NAME:
        return f"must be no more than {_MAX_CRON_NAME} characters"
    return names.dns_subdomain(name)


def _schedule(text: str) -> list[FieldError]:
    path, errors = "spec.schedule", []
    if not text:
        return [required(path)]
    try:
        cron.parse(text)
    except ValueError as error:
        errors.append(invalid(path, text, str(error)))
    if "TZ" in text:
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        return [invalid(path, text, why)]
    return errors


def _time_zone(name: str | None) -> list[FieldError]:
    path = "spec.timeZone"
    if name is None:
        return []
    if not name:
        return [invalid(path, name, "timeZone must be nil or non-empty string")]
    if name.lower() == "local":
        where = "https://www.iana.org/time-zones"
        return [
            invalid(path, name, f"timeZone must be an explicit time zone as defined in {where}")
        ]
    return [] if _is_zone(name) else [invalid(path, name, f"unknown time zone {name}")]


@lru_cache(maxsize=256)
def _is_zone(name: str) -> bool:
    parts = name.split("/")
    if any(part in (".", "..") or not _ZONE_PART.fullmatch(part) for part in parts):
        return False
    try:
        ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError of its own
        return False
    except KeyError:
        return False
    return True
