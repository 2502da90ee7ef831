"""Rows of what keeps Pods running, of what limits that, and of Scales.

Source: the functions of the same names in pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, Column, Printer, wide
from labkit.kube import objects

_TEMPLATE = (wide("Containers"), wide("Images"), wide("Selector"))


def _deployment(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        format.age(obj, now),
        *format.containers(spec["template"]),
        format.selector(spec.get("selector")),
    ]


def _replica_set(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        format.age(obj, now),
        *format.containers(spec.get("template") or {}),
        format.selector(spec.get("selector")) or NONE,
    ]


def _scale(obj: Mapping, now: float) -> list:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    name = obj["metadata"]["name"]
    return [name, spec.get("replicas", 0), status.get("replicas", 0), format.age(obj, now)]


def _controller(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        format.age(obj, now),
        *format.containers(spec.get("template") or {}),
        format.labels(spec.get("selector")),
    ]


def _stateful_set(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        format.age(obj, now),
        *format.containers(spec["template"]),
    ]


def _daemon_set(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    template = spec["template"]
    return [
        obj["metadata"]["name"],
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        format.labels((template.get("spec") or {}).get("nodeSelector")),
        format.age(obj, now),
        *format.containers(template),
        format.selector(spec.get("selector")) or NONE,
    ]


def _revision(obj: Mapping, now: float) -> list:
    owner = objects.controller_of(obj)
    name = NONE
    if owner:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = f"{owner['kind']}.{group}" if group else owner["kind"]
        name = f"{kind.lower()}/{owner['name']}"
    return [obj["metadata"]["name"], name, obj.get("revision", 0), format.age(obj, now)]


def _pod_template(obj: Mapping, now: float) -> list:
    template = obj.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    return [obj["metadata"]["name"], *format.containers(template), format.labels(labels)]


def _disruption_budget(obj: Mapping, now: float) -> list:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        status.get("disruptionsAllowed", 0),
        format.age(obj, now),
    ]


DEPLOYMENT = Printer(
    (NAME, Column("Ready"), Column("Up-to-date"), Column("Available"), AGE, *_TEMPLATE), _deployment
)
_REPLICAS = (
    NAME,
    Column("Desired", "integer"),
    Column("Current", "integer"),
    Column("Ready", "integer"),
    AGE,
    *_TEMPLATE,
)
REPLICA_SET = Printer(_REPLICAS, _replica_set)
REPLICATION_CONTROLLER = Printer(_REPLICAS, _controller)
STATEFUL_SET = Printer((NAME, Column("Ready"), AGE, *_TEMPLATE[:2]), _stateful_set)
DAEMON_SET = Printer(
    (
        NAME,
        Column("Desired", "integer"),
        Column("Current", "integer"),
        Column("Ready", "integer"),
        Column("Up-to-date", "integer"),
        Column("Available", "integer"),
        Column("Node Selector"),
        AGE,
        *_TEMPLATE,
    ),
    _daemon_set,
)
CONTROLLER_REVISION = Printer((NAME, Column("Controller"), Column("Revision"), AGE), _revision)
POD_TEMPLATE = Printer(
    (NAME, Column("Containers"), Column("Images"), Column("Pod Labels")), _pod_template
)
POD_DISRUPTION_BUDGET = Printer(
    (
        NAME,
        Column("Min Available"),
        Column("Max Unavailable"),
        Column("Allowed Disruptions", "integer"),
        AGE,
    ),
    _disruption_budget,
)
SCALE = Printer(
    (Column("Name"), Column("Desired", "integer"), Column("Available", "integer"), AGE), _scale
)
