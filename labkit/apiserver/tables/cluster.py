"""Rows of Nodes, Namespaces and what is in them beside Pods; of classes and of metrics.

Source: the functions of the same names in pkg/printers/internalversion/printers.go; kube-aggregator
pkg/registry/apiservice/storage; metrics-server pkg/api/table.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, UNKNOWN, Column, Printer, wide
from labkit.kube import conditions, objects, quantity

_ROLE_PREFIX, _ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def _node(obj: Mapping, now: float) -> list:
    status = obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        obj["metadata"]["name"],
        _node_status(obj),
        ",".join(sorted(_roles(obj))) or NONE,
        format.age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: Mapping) -> str:
    ready = conditions.get(obj, "Ready")
    status = "Unknown"
    if ready:
        status = "Ready" if ready["status"] == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if obj["spec"].get("unschedulable") else status


def _roles(obj: Mapping) -> set[str]:
    found = set()
    for key, value in objects.labels(obj).items():
        if key.startswith(_ROLE_PREFIX):
            found.add(key.removeprefix(_ROLE_PREFIX))
        elif key == _ROLE_LABEL:
            found.add(value)
    return found - {""}


def _address(status: Mapping, kind: str) -> str:
    for address in status.get("addresses") or ():
        if address.get("type") == kind:
            return address.get("address", "")
    return NONE


def _namespace(obj: Mapping, now: float) -> list:
    phase = (obj.get("status") or {}).get("phase", "")
    return [obj["metadata"]["name"], phase, format.age(obj, now)]


def _config_map(obj: Mapping, now: float) -> list:
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [obj["metadata"]["name"], count, format.age(obj, now)]


def _secret(obj: Mapping, now: float) -> list:
    count = len(obj.get("data") or ())
    return [obj["metadata"]["name"], obj.get("type", ""), count, format.age(obj, now)]


def _service_account(obj: Mapping, now: float) -> list:
    return [obj["metadata"]["name"], len(obj.get("secrets") or ()), format.age(obj, now)]


def _quota(obj: Mapping, now: float) -> list:
    """Used and hard of each resource; what begins with `limits.` has a column of its own."""
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    texts = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    limits = [text for name, text in texts.items() if name.startswith("limits.")]
    requests = [text for name, text in texts.items() if not name.startswith("limits.")]
    return [obj["metadata"]["name"], ", ".join(requests), ", ".join(limits), format.age(obj, now)]


def _priority_class(obj: Mapping, now: float) -> list:
    return [
        obj["metadata"]["name"],
        obj.get("value", 0),
        obj.get("globalDefault", False),
        format.age(obj, now),
        obj.get("preemptionPolicy", UNKNOWN),
    ]


def _runtime_class(obj: Mapping, now: float) -> list:
    return [obj["metadata"]["name"], obj.get("handler", ""), format.age(obj, now)]


def _lease(obj: Mapping, now: float) -> list:
    holder = (obj.get("spec") or {}).get("holderIdentity") or ""
    return [obj["metadata"]["name"], holder, format.age(obj, now)]


def _event(obj: Mapping, now: float) -> list:
    """Of either group: events.k8s.io has the same under other names."""
    series, about = obj.get("series") or {}, obj.get("involvedObject") or obj.get("regarding") or {}
    started = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp")
    ended = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    first = format.since(started or obj.get("eventTime"), now)
    last = format.since(ended, now) if ended else first
    if series:
        last = format.since(series.get("lastObservedTime"), now)
    kind = about.get("kind", "").lower()
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath", ""),
        _source(obj),
        (obj.get("message") or obj.get("note") or "").strip(),
        first,
        series.get("count", 0) if series else obj.get("count") or obj.get("deprecatedCount") or 1,
        obj["metadata"]["name"],
    ]


def _source(obj: Mapping) -> str:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    reporting = obj.get("reportingComponent") or obj.get("reportingController") or ""
    component = source.get("component") or reporting
    host = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _api_service(obj: Mapping, now: float) -> list:
    service = obj["spec"].get("service")
    where = "Local"
    if service:
        where = f"{service.get('namespace', '')}/{service.get('name', '')}"
    available = conditions.get(obj, "Available") or {}
    text = available.get("status", "Unknown")
    if available and text != "True":
        text += f" ({available.get('reason', '')})"
    return [obj["metadata"]["name"], where, text, format.age(obj, now)]


def _node_metrics(obj: Mapping, now: float) -> list:
    usage = obj["usage"]
    return [obj["metadata"]["name"], *(usage.get(name, "0") for name in _USAGE), obj["window"]]


def _pod_metrics(obj: Mapping, now: float) -> list:
    totals = [_total(obj["containers"], name) for name in _USAGE]
    return [obj["metadata"]["name"], *totals, obj["window"]]


def _total(containers: list[Mapping], name: str) -> str:
    used = [c["usage"][name] for c in containers if name in c["usage"]]
    if not used:
        return "0"
    total = sum(quantity.parse_quantity(text) for text in used)
    return quantity.format_quantity(total, quantity.quantity_format(used[0]))


NODE = Printer(
    (
        NAME,
        Column("Status"),
        Column("Roles"),
        AGE,
        Column("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ),
    _node,
)
NAMESPACE = Printer((NAME, Column("Status"), AGE), _namespace)
CONFIG_MAP = Printer((NAME, Column("Data"), AGE), _config_map)
SECRET = Printer((NAME, Column("Type"), Column("Data"), AGE), _secret)
SERVICE_ACCOUNT = Printer((NAME, Column("Secrets"), AGE), _service_account)
RESOURCE_QUOTA = Printer((NAME, Column("Request"), Column("Limit"), AGE), _quota)
PRIORITY_CLASS = Printer(
    (
        NAME,
        Column("Value", "integer"),
        Column("Global-Default", "boolean"),
        AGE,
        Column("PreemptionPolicy"),
    ),
    _priority_class,
)
RUNTIME_CLASS = Printer((NAME, Column("Handler"), AGE), _runtime_class)
LEASE = Printer((NAME, Column("Holder"), AGE), _lease)
EVENT = Printer(
    (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        wide("Subobject"),
        wide("Source"),
        Column("Message"),
        wide("First Seen"),
        wide("Count"),
        wide("Name", format="name"),
    ),
    _event,
)
API_SERVICE = Printer((NAME, Column("Service"), Column("Available"), AGE), _api_service)
_USAGE = ("cpu", "memory")
_USAGE_COLUMNS = (NAME, *(Column(name) for name in _USAGE), Column("Window"))
NODE_METRICS = Printer(_USAGE_COLUMNS, _node_metrics)
POD_METRICS = Printer(_USAGE_COLUMNS, _pod_metrics)
