"""Rules of Services, ConfigMaps, Secrets, EndpointSlices, Events, Leases, Nodes.

Source: k8s.io/kubernetes pkg/apis/core/validation, pkg/apis/discovery/validation and
pkg/apis/coordination/validation.  One rule is different: endpoints may have loopback addresses,
because loopback addresses are the network here.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import meta, names
from labkit.apiserver.fields import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    required,
    too_long,
    unsupported,
)
from labkit.apiserver.validate_values import (
    IMMUTABLE,
    NOT_NEGATIVE,
    is_address,
    port_number,
    port_or_name,
)

_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_AFFINITIES = ("ClientIP", "None")
_MAX_DATA = 1024 * 1024  # bytes
_ADDRESS_TYPES = ("IPv4", "IPv6", "FQDN")
_MAX_ENDPOINTS = 1000
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MAX_AFFINITY = 86400  # seconds


def service(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Service."""
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or ()
    errors = []
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        errors.append(required("spec.ports"))
    if kind not in _TYPES:
        errors.append(unsupported("spec.type", kind, _TYPES))
    if kind == "ExternalName":
        errors += _external_name(spec)
    if kind == "LoadBalancer" and spec.get("clusterIP") == "None":
        why = "may not be set to 'None' for LoadBalancer services"
        errors.append(invalid("spec.clusterIPs[0]", "None", why))
    errors += _service_ports(ports, kind)
    if spec.get("selector"):
        errors += meta.validate_labels(spec["selector"], "spec.selector")
    errors += _affinity(spec)
    return errors


def _external_name(spec: Mapping) -> list[FieldError]:
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [required("spec.externalName")]
    wrong = names.dns_subdomain(name)
    return [invalid("spec.externalName", name, wrong)] if wrong else []


def _affinity(spec: Mapping) -> list[FieldError]:
    affinity = spec.get("sessionAffinity")
    if affinity not in _AFFINITIES:
        return [unsupported("spec.sessionAffinity", affinity, _AFFINITIES)]
    config = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
    if affinity == "ClientIP" and config is not None and not 0 < config <= _MAX_AFFINITY:
        return [invalid(path, config, f"must be greater than 0 and less than {_MAX_AFFINITY}")]
    if affinity == "None" and spec.get("sessionAffinityConfig"):
        why = "must not be set when session affinity is None"
        return [forbidden("spec.sessionAffinityConfig", why)]
    return []


def _service_ports(ports: list[Mapping], kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen_names, seen_ports = set(), set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name")
        if not name:
            if len(ports) > 1:
                errors.append(required(f"{path}.name"))
        elif wrong := names.dns_label(name):
            errors.append(invalid(f"{path}.name", name, wrong))
        elif name in seen_names:
            errors.append(duplicate(f"{path}.name", name))
        seen_names.add(name)
        errors += _service_port(port, path, kind)
        same = (port.get("protocol"), port.get("port"))
        if same in seen_ports:
            shown = {"protocol": same[0], "port": same[1]}
            errors.append(duplicate(path, shown))
        seen_ports.add(same)
    return errors


def _service_port(port: Mapping, path: str, kind: str) -> list[FieldError]:
    errors = port_number(port.get("port", 0), f"{path}.port")
    if port.get("protocol") not in _PROTOCOLS:
        errors.append(unsupported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS))
    if port.get("targetPort") != port.get("port"):
        errors += port_or_name(port.get("targetPort"), f"{path}.targetPort")
    if port.get("nodePort") and kind in ("ClusterIP", "ExternalName"):
        why = f"may not be used when `type` is '{kind}'"
        errors.append(forbidden(f"{path}.nodePort", why))
    return errors


def service_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A Service keeps its address, unless it becomes an ExternalName."""
    before, after = old["spec"].get("clusterIP"), obj["spec"].get("clusterIP")
    kinds = (old["spec"].get("type"), obj["spec"].get("type"))
    if "ExternalName" in kinds or not before or before == after:
        return []
    shown = obj["spec"].get("clusterIPs") or ([after] if after else [])
    return [invalid("spec.clusterIPs[0]", shown, "may not change once set")]


def config_map(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ConfigMap."""
    errors = _data(obj.get("data"), "data") + _data(obj.get("binaryData"), "binaryData")
    for key in (obj.get("data") or {}).keys() & (obj.get("binaryData") or {}).keys():
        errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    sizes = [*(obj.get("data") or {}).values(), *(obj.get("binaryData") or {}).values()]
    if sum(map(len, sizes)) > _MAX_DATA:
        errors.append(too_long("", _MAX_DATA))
    return errors


def secret(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Secret."""
    errors = _data(obj.get("data"), "data")
    if sum(map(len, (obj.get("data") or {}).values())) * 3 // 4 > _MAX_DATA:
        errors.append(too_long("data", _MAX_DATA))
    return errors


def _data(data: Mapping | None, path: str) -> list[FieldError]:
    wrong = ((key, names.config_key(key)) for key in data or ())
    return [invalid(f"{path}[{key}]", key, why) for key, why in wrong if why]


def immutable_data(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A ConfigMap or Secret marked `immutable` keeps its data and its mark."""
    errors = []
    if old.get("immutable"):
        why = "field is immutable when `immutable` is set"
        for name in ("immutable", "data", "binaryData"):
            if (obj.get(name) or None) != (old.get(name) or None):
                errors.append(forbidden(name, why))
    return errors


def secret_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A Secret keeps its type."""
    errors = immutable_data(obj, old)
    if obj.get("type") != old.get("type"):
        errors.append(invalid("type", obj.get("type"), IMMUTABLE))
    return errors


def endpoints(obj: Mapping) -> list[FieldError]:
    """What is wrong with Endpoints."""
    errors = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        path, kinds = f"subsets[{index}]", ("addresses", "notReadyAddresses")
        if not any(subset.get(kind) for kind in kinds):
            why = "must specify `addresses` or `notReadyAddresses`"
            errors.append(required(path, why))
        for kind in kinds:
            for number, address in enumerate(subset.get(kind) or ()):
                errors += _endpoint_address(address.get("ip", ""), f"{path}.{kind}[{number}].ip")
        ports = subset.get("ports") or ()
        for number, port in enumerate(ports):
            errors += _endpoint_port(port, f"{path}.ports[{number}]", named=len(ports) > 1)
    return errors


def _endpoint_address(address: str, path: str) -> list[FieldError]:
    if is_address(address):
        return []
    why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return [invalid(path, address, why)]


def _endpoint_port(port: Mapping, path: str, *, named: bool) -> list[FieldError]:
    name, errors = port.get("name"), []
    if named and not name:
        errors.append(required(f"{path}.name"))
    elif name and (wrong := names.dns_label(name)):
        errors.append(invalid(f"{path}.name", name, wrong))
    errors += port_number(port.get("port", 0), f"{path}.port")
    if port.get("protocol") not in _PROTOCOLS:
        errors.append(unsupported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS))
    return errors


def endpoint_slice(obj: Mapping) -> list[FieldError]:
    """What is wrong with an EndpointSlice."""
    kind, endpoints = obj.get("addressType", ""), obj.get("endpoints") or ()
    if not kind:
        return [required("addressType")]
    if kind not in _ADDRESS_TYPES:
        return [unsupported("addressType", kind, _ADDRESS_TYPES)]
    errors = []
    if len(endpoints) > _MAX_ENDPOINTS:
        detail = f"must have at most {_MAX_ENDPOINTS} items"
        errors.append(
            FieldError("FieldValueTooMany", "endpoints", f"Too many: {len(endpoints)}: {detail}")
        )
    for index, endpoint in enumerate(endpoints):
        path, addresses = f"endpoints[{index}].addresses", endpoint.get("addresses") or ()
        if not addresses:
            errors.append(required(path, "must contain at least 1 address"))
        for number, address in enumerate(addresses):
            if kind != "FQDN" and not is_address(address, 4 if kind == "IPv4" else 6):
                why = f"must be an {kind} address"
                errors.append(invalid(f"{path}[{number}]", address, why))
    return errors


def endpoint_slice_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """An EndpointSlice keeps its address type."""
    if obj.get("addressType") == old.get("addressType"):
        return []
    return [invalid("addressType", obj.get("addressType"), IMMUTABLE)]


def event(obj: Mapping) -> list[FieldError]:
    """An Event is in the namespace of what it is about (cluster-wide things: `default`)."""
    about = (obj.get("involvedObject") or {}).get("namespace") or ""
    here = obj["metadata"].get("namespace")
    if about == here or (not about and here in ("default", "kube-system")):
        return []
    return [invalid("involvedObject.namespace", about, "does not match event.namespace")]


def lease(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Lease."""
    spec = obj.get("spec") or {}
    seconds, errors = spec.get("leaseDurationSeconds"), []
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if (spec.get("leaseTransitions") or 0) < 0:
        path = "spec.leaseTransitions"
        errors.append(invalid(path, spec["leaseTransitions"], NOT_NEGATIVE))
    return errors


def node(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Node: its taints."""
    errors, seen = [], set()
    for index, taint in enumerate((obj.get("spec") or {}).get("taints") or ()):
        path, key, effect = f"spec.taints[{index}]", taint.get("key", ""), taint.get("effect")
        if wrong := names.qualified_name(key):
            errors.append(invalid(f"{path}.key", key, wrong))
        if wrong := names.label_value(taint.get("value", "")):
            errors.append(invalid(f"{path}.value", taint["value"], wrong))
        if not effect:
            errors.append(required(f"{path}.effect"))
        elif effect not in _EFFECTS:
            errors.append(unsupported(f"{path}.effect", effect, _EFFECTS))
        if (key, effect) in seen:
            errors.append(duplicate(path, taint))
        seen.add((key, effect))
    return errors
