"""Rules of Ingresses, IngressClasses and NetworkPolicies.

Source: k8s.io/kubernetes pkg/apis/networking/validation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, forbidden, invalid, required, unsupported
from labkit.apiserver.validate_values import (
    domain_prefixed,
    immutable,
    is_address,
    label_selector,
    port_number,
    port_or_name,
)

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SEQUENCES, _SUFFIXES = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_SCOPES = ("Cluster", "Namespace")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_POLICY_TYPES = ("Ingress", "Egress")


def ingress(obj: Mapping) -> list[FieldError]:
    """What is wrong with an Ingress."""
    spec = obj.get("spec") or {}
    rules, backend, errors = spec.get("rules") or [], spec.get("defaultBackend"), []
    if not rules and backend is None:
        why = "either `defaultBackend` or `rules` must be specified"
        errors.append(invalid("spec", rules, why))
    if backend is not None:
        errors += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        errors += _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        errors += _tls(tls, f"spec.tls[{index}]")
    name = spec.get("ingressClassName")
    if name is not None and (wrong := names.dns_subdomain(name)):
        errors.append(invalid("spec.ingressClassName", name, wrong))
    return errors


def ingress_create(obj: Mapping) -> list[FieldError]:
    """A new Ingress names its class in one way, or twice the same."""
    annotation = (obj["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
    name = (obj.get("spec") or {}).get("ingressClassName")
    if annotation is None or name is None or annotation == name:
        return []
    why = "must match `ingressClassName` when both are specified"
    return [invalid(f"annotations.{_CLASS_ANNOTATION}", annotation, why)]


def _tls(tls: Mapping, path: str) -> list[FieldError]:
    errors = []
    for index, host in enumerate(tls.get("hosts") or ()):
        errors += _host(host, f"{path}.hosts[{index}]")
    secret = tls.get("secretName")
    if secret and (wrong := names.dns_subdomain(secret)):
        errors.append(invalid(f"{path}.secretName", secret, wrong))
    return errors


def _host(host: str, path: str) -> list[FieldError]:
    rule = names.wildcard_subdomain if "*" in host else names.dns_subdomain
    wrong = rule(host)
    return [invalid(path, host, wrong)] if wrong else []


def _rule(rule: Mapping, path: str) -> list[FieldError]:
    host, http, errors = rule.get("host"), rule.get("http"), []
    if host and is_address(host):
        why = "must be a DNS name, not an IP address"
        errors.append(invalid(f"{path}.host", host, why))
    elif host:
        errors += _host(host, f"{path}.host")
    if http is None:
        return errors
    if not http.get("paths"):
        errors.append(required(f"{path}.http.paths"))
    for index, one in enumerate(http.get("paths") or ()):
        errors += _path(one, f"{path}.http.paths[{index}]")
    return errors


def _path(one: Mapping, path: str) -> list[FieldError]:
    kind, where, errors = one.get("pathType"), one.get("path") or "", []
    if kind is None:
        errors.append(required(f"{path}.pathType", "pathType must be specified"))
    elif kind not in _PATH_TYPES:
        errors.append(unsupported(f"{path}.pathType", kind, _PATH_TYPES))
    elif not where.startswith("/") and (where or kind != "ImplementationSpecific"):
        errors.append(invalid(f"{path}.path", where, "must be an absolute path"))
    if kind in ("Exact", "Prefix") and where:
        bad = [f"must not contain '{part}'" for part in _SEQUENCES if part in where]
        bad += [f"cannot end with '{part}'" for part in _SUFFIXES if where.endswith(part)]
        errors += [invalid(f"{path}.path", where, why) for why in bad]
    return errors + _backend(one.get("backend") or {}, f"{path}.backend")


def _backend(backend: Mapping, path: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [
            required(f"{path}.resource.{name}")
            for name in ("kind", "name")
            if not resource.get(name)
        ]
    if service is None:
        return [invalid(path, "", "resource or service backend is required")]
    return _service(service, path)


def _service(service: Mapping, path: str) -> list[FieldError]:
    name, port, errors = service.get("name"), service.get("port") or {}, []
    if not name:
        errors.append(required(f"{path}.service.name"))
    elif wrong := names.dns_label(name):
        errors.append(invalid(f"{path}.service.name", name, wrong))
    if port.get("name") and port.get("number"):
        errors.append(invalid(path, "", "cannot set both port name & port number"))
    elif port.get("name"):
        errors += port_or_name(port["name"], f"{path}.service.port.name")
    elif port.get("number"):
        errors += port_number(port["number"], f"{path}.service.port.number")
    else:
        errors.append(required(path, "port name or number is required"))
    return errors


def ingress_class(obj: Mapping) -> list[FieldError]:
    """What is wrong with an IngressClass."""
    spec = obj.get("spec") or {}
    errors = domain_prefixed(spec.get("controller") or "", "spec.controller")
    parameters, path = spec.get("parameters"), "spec.parameters"
    if parameters is None:
        return errors
    errors += [
        required(f"{path}.{name}", f"{name} is required")
        for name in ("kind", "name")
        if not parameters.get(name)
    ]
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in _SCOPES:
        errors.append(unsupported(f"{path}.scope", scope, _SCOPES))
    elif scope == "Namespace" and not namespace:
        why = "`parameters.scope` is set to 'Namespace'"
        errors.append(required(f"{path}.namespace", why))
    elif scope == "Cluster" and namespace is not None:
        errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return errors


def ingress_class_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """An IngressClass keeps its controller."""
    before, after = ((one.get("spec") or {}).get("controller") for one in (old, obj))
    return immutable(after, before, "spec.controller")


def network_policy(obj: Mapping) -> list[FieldError]:
    """What is wrong with a NetworkPolicy."""
    spec = obj.get("spec") or {}
    errors = label_selector(spec.get("podSelector") or {}, "spec.podSelector")
    for way, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(way) or ()):
            path = f"spec.{way}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                errors += _policy_port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or ()):
                errors += _peer(peer, f"{path}.{peers}[{number}]")
    kinds = spec.get("policyTypes") or []
    if len(kinds) > len(_POLICY_TYPES):
        why = "may not specify more than two policyTypes"
        return [*errors, invalid("spec.policyTypes", kinds, why)]
    for index, kind in enumerate(kinds):
        if kind not in _POLICY_TYPES:
            errors.append(unsupported(f"spec.policyTypes[{index}]", kind, _POLICY_TYPES))
    return errors


def _policy_port(port: Mapping, path: str) -> list[FieldError]:
    number, end, errors = port.get("port"), port.get("endPort"), []
    if port.get("protocol", "TCP") not in _PROTOCOLS:
        errors.append(unsupported(f"{path}.protocol", port["protocol"], _PROTOCOLS))
    if number is not None:
        errors += port_or_name(number, f"{path}.port")
    if end is None:
        return errors
    if not isinstance(number, int):
        what = "not specified" if number is None else "non-numeric"
        why = f"may not be specified when `port` is {what}"
        return [*errors, invalid(f"{path}.endPort", end, why)]
    if end < number:
        why = "must be greater than or equal to `port`"
        errors.append(invalid(f"{path}.endPort", end, why))
    return errors + port_number(end, f"{path}.endPort")


def _peer(peer: Mapping, path: str) -> list[FieldError]:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if name in peer]
    errors = []
    for name in given:
        if name == "ipBlock":
            errors += _block(peer[name], f"{path}.{name}")
        else:
            errors += label_selector(peer[name], f"{path}.{name}")
    if not given:
        errors.append(required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return errors


def _block(block: Mapping, path: str) -> list[FieldError]:
    if not block.get("cidr"):
        return [required(f"{path}.cidr")]
    whole, errors = _network(block["cidr"], f"{path}.cidr")
    for index, text in enumerate(block.get("except") or ()):
        part, wrong = _network(text, f"{path}.except[{index}]")
        errors += wrong
        if whole and part and not _is_inside(part, whole):
            why = "must be a strict subset of `cidr`"
            errors.append(invalid(f"{path}.except[{index}]", text, why))
    return errors


def _network(text: str, path: str) -> tuple[object, list[FieldError]]:
    try:
        return ipaddress.ip_network(text, strict=False), []
    except ValueError:
        why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        return None, [invalid(path, text, why)]


def _is_inside(part, whole) -> bool:
    if part.version != whole.version or part.prefixlen <= whole.prefixlen:
        return False
    return part.subnet_of(whole)
