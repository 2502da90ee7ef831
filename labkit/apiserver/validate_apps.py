"""Rules of what keeps Pods running: the kinds of apps, and ReplicationControllers.

A StatefulSet's template is looked at no further than its labels: the volumes that its containers
mount come from its claims.

Source: k8s.io/kubernetes pkg/apis/apps/validation; for ReplicationControllers
pkg/apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import meta
from labkit.apiserver.fields import FieldError, forbidden, invalid, required, unsupported
from labkit.apiserver.validate_pod import validate_template
from labkit.apiserver.validate_values import (
    immutable,
    int_or_percent,
    label_selector,
    non_negative,
    not_above_all,
    percent_of,
)
from labkit.kube import selectors

_STRATEGIES = ("Recreate", "RollingUpdate")
_UPDATES = ("RollingUpdate", "OnDelete")
_MANAGEMENT = ("OrderedReady", "Parallel")
_RETENTION = ("Retain", "Delete")
_CHANGEABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_TEMPLATE = "spec.template"


def deployment(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Deployment."""
    spec = obj.get("spec") or {}
    errors = _scaled(spec)
    errors += _strategy(spec.get("strategy") or {}, "spec.strategy")
    errors += _counts(spec, "minReadySeconds", "revisionHistoryLimit")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        errors += non_negative(deadline, "spec.progressDeadlineSeconds")
        if deadline <= spec.get("minReadySeconds", 0):
            why = "must be greater than minReadySeconds"
            errors.append(invalid("spec.progressDeadlineSeconds", deadline, why))
    return errors


def replica_set(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ReplicaSet."""
    spec = obj.get("spec") or {}
    return _scaled(spec) + _counts(spec, "minReadySeconds")


def selector_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """The selector of a Deployment, ReplicaSet or DaemonSet never changes."""
    return immutable(obj["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")


def _counts(spec: Mapping, *names: str) -> list[FieldError]:
    return [error for name in names for error in non_negative(spec.get(name), f"spec.{name}")]


def _scaled(spec: Mapping) -> list[FieldError]:
    """Replicas, selector and template, and that the last two fit."""
    errors = non_negative(spec.get("replicas"), "spec.replicas")
    errors += _selector(spec, "empty selector is invalid for deployment")
    errors += validate_template(spec.get("template") or {}, _TEMPLATE)
    return errors + _runs_forever(spec, "ReplicaSet")


def _selector(spec: Mapping, empty: str) -> list[FieldError]:
    """There is a selector, and it selects what the template makes."""
    selector = spec.get("selector")
    if selector is None:
        return [required("spec.selector")]
    errors = label_selector(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return [*errors, invalid("spec.selector", selector, empty)]
    return errors or fits(selectors.from_label_selector(selector), spec, _TEMPLATE)


def fits(selector: selectors.Selector, spec: Mapping, path: str) -> list[FieldError]:
    """That a selector selects the Pods of a spec's template."""
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if selectors.matches(selector, labels):
        return []
    why = "`selector` does not match template `labels`"
    return [invalid(f"{path}.metadata.labels", labels, why)]


def _runs_forever(spec: Mapping, kind: str) -> list[FieldError]:
    """A template whose Pods are started again whenever they end."""
    inner = (spec.get("template") or {}).get("spec") or {}
    policy, errors = inner.get("restartPolicy", "Always"), []
    if policy != "Always":
        errors.append(unsupported(f"{_TEMPLATE}.spec.restartPolicy", policy, ("Always",)))
    if inner.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(forbidden(f"{_TEMPLATE}.spec.activeDeadlineSeconds", why))
    return errors


def _strategy(strategy: Mapping, path: str) -> list[FieldError]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in _STRATEGIES:
        return [unsupported(f"{path}.type", kind, _STRATEGIES)]
    if kind == "Recreate":
        why = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden(f"{path}.rollingUpdate", why)] if rolling is not None else []
    unavailable, surge = _rolling(rolling or {})
    errors = _rolling_counts(rolling or {}, f"{path}.rollingUpdate")
    if _is_zero(unavailable) and _is_zero(surge):
        why = "may not be 0 when `maxSurge` is 0"
        errors.append(invalid(f"{path}.rollingUpdate.maxUnavailable", unavailable, why))
    return errors


def _rolling(rolling: Mapping) -> tuple[int | str | None, int | str | None]:
    return rolling.get("maxUnavailable"), rolling.get("maxSurge")


def _rolling_counts(rolling: Mapping, path: str) -> list[FieldError]:
    unavailable, surge = _rolling(rolling)
    errors = int_or_percent(unavailable, f"{path}.maxUnavailable")
    errors += int_or_percent(surge, f"{path}.maxSurge")
    return errors + not_above_all(unavailable, f"{path}.maxUnavailable")


def _is_zero(value: int | str | None) -> bool:
    return not value or percent_of(value) == 0


def daemon_set(obj: Mapping) -> list[FieldError]:
    """What is wrong with a DaemonSet."""
    spec = obj.get("spec") or {}
    errors = _selector(spec, "empty selector is invalid for daemonset")
    errors += validate_template(spec.get("template") or {}, _TEMPLATE)
    errors += _runs_forever(spec, "DaemonSet")
    errors += _counts(spec, "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in _UPDATES:
        return [*errors, unsupported("spec.updateStrategy.type", strategy.get("type"), _UPDATES)]
    if strategy["type"] == "RollingUpdate":
        errors += _daemon_rolling(strategy.get("rollingUpdate") or {})
    return errors


def _daemon_rolling(rolling: Mapping) -> list[FieldError]:
    path = "spec.updateStrategy.rollingUpdate"
    unavailable, surge = _rolling(rolling)
    errors = _rolling_counts(rolling, path)
    if not _is_zero(unavailable) and not _is_zero(surge):
        why = "may not be set when maxUnavailable is non-zero"
        errors.append(invalid(f"{path}.maxSurge", surge, why))
    if _is_zero(unavailable) and _is_zero(surge):
        errors.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return errors


def stateful_set(obj: Mapping) -> list[FieldError]:
    """What is wrong with a StatefulSet."""
    spec = obj.get("spec") or {}
    management = spec.get("podManagementPolicy")
    errors = []
    if management not in _MANAGEMENT:
        why = "must be 'OrderedReady' or 'Parallel'"
        errors.append(invalid("spec.podManagementPolicy", management, why))
    errors += _update_strategy(spec.get("updateStrategy") or {})
    for name, value in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
        if value not in _RETENTION:
            path = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
            errors.append(unsupported(path, value, _RETENTION))
    errors += _counts(spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    errors += non_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
    errors += _selector(spec, "empty selector is invalid for statefulset")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    errors += meta.validate_labels(labels, f"{_TEMPLATE}.labels")
    return errors + _runs_forever(spec, "StatefulSet")


def _update_strategy(strategy: Mapping) -> list[FieldError]:
    path, kind, rolling = "spec.updateStrategy", strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in _UPDATES:
        return [invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    if kind == "OnDelete" and rolling is not None:
        why = "only allowed for updateStrategy 'RollingUpdate'"
        return [invalid(f"{path}.rollingUpdate", rolling, why)]
    return non_negative((rolling or {}).get("partition"), f"{path}.rollingUpdate.partition")


def stateful_set_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """Of a StatefulSet's spec little changes: its Pods keep their identity and their claims."""
    before, after = (
        {key: value for key, value in one["spec"].items() if key not in _CHANGEABLE}
        for one in (old, obj)
    )
    if before == after:
        return []
    names = ", ".join(f"'{name}'" for name in _CHANGEABLE[:-1])
    why = f"updates to statefulset spec for fields other than {names} and "
    return [forbidden("spec", f"{why}'{_CHANGEABLE[-1]}' are forbidden")]


def controller_revision(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ControllerRevision."""
    errors = [] if "data" in obj else [required("data", "data is mandatory")]
    return errors + non_negative(obj.get("revision"), "revision")


def controller_revision_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A ControllerRevision is a record: its data never changes."""
    return immutable(obj.get("data"), old.get("data"), "data")


def replication_controller(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ReplicationController."""
    spec = obj.get("spec") or {}
    errors = _counts(spec, "minReadySeconds", "replicas")
    if not spec.get("selector"):
        errors.append(required("spec.selector"))
    if spec.get("template") is None:
        return [*errors, required(_TEMPLATE)]
    errors += fits(_equality(spec.get("selector")), spec, _TEMPLATE)
    errors += validate_template(spec["template"], _TEMPLATE)
    return errors + _runs_forever(spec, "ReplicationController")


def _equality(selector: Mapping | None) -> selectors.Selector:
    """A ReplicationController's selector is a plain map of labels."""
    return selectors.from_label_selector({"matchLabels": selector or {}}) or ()
