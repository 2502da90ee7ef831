"""Rules of where a Pod may run and whom it knows there: affinity, DNS, host names.

Source: k8s.io/kubernetes pkg/apis/core/validation (validateAffinity, ValidateNodeSelector,
validatePodDNSConfig, ValidateHostAliases).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, forbidden, invalid, required
from labkit.apiserver.validate_values import is_address, label_selector

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_MAX_SERVERS = 3


def affinity(value: Mapping, path: str) -> list[FieldError]:
    """A Pod's `affinity`."""
    errors, node = [], value.get("nodeAffinity") or {}
    if _REQUIRED in node:
        errors += _node_selector(node[_REQUIRED], f"{path}.nodeAffinity.{_REQUIRED}")
    for index, term in enumerate(node.get(_PREFERRED) or ()):
        here = f"{path}.nodeAffinity.{_PREFERRED}[{index}]"
        errors += _weight(term, here) + _node_term(
            term.get("preference") or {}, f"{here}.preference"
        )
    for kind in ("podAffinity", "podAntiAffinity"):
        errors += _pod_affinity(value.get(kind) or {}, f"{path}.{kind}")
    return errors


def _weight(term: Mapping, path: str) -> list[FieldError]:
    weight = term.get("weight", 0)
    if 1 <= weight <= 100:
        return []
    return [invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _node_selector(selector: Mapping, path: str) -> list[FieldError]:
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        why = "must have at least one node selector term"
        return [required(f"{path}.nodeSelectorTerms", why)]
    return [
        error
        for index, term in enumerate(terms)
        for error in _node_term(term, f"{path}.nodeSelectorTerms[{index}]")
    ]


def _node_term(term: Mapping, path: str) -> list[FieldError]:
    errors = []
    for index, one in enumerate(term.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{index}]"
        errors += _node_values(one, here)
        if wrong := names.qualified_name(one.get("key", "")):
            errors.append(invalid(f"{here}.key", one.get("key", ""), wrong))
    for index, one in enumerate(term.get("matchFields") or ()):
        here = f"{path}.matchFields[{index}]"
        if one.get("operator") not in ("In", "NotIn"):
            why = "not a valid selector operator"
            errors.append(invalid(f"{here}.operator", one.get("operator", ""), why))
        elif len(one.get("values") or ()) != 1:
            why = (
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
            errors.append(required(f"{here}.values", why))
        if one.get("key") != "metadata.name":
            why = "not a valid field selector key"
            errors.append(invalid(f"{here}.key", one.get("key", ""), why))
    return errors


def _node_values(one: Mapping, path: str) -> list[FieldError]:
    operator, values = one.get("operator", ""), one.get("values") or ()
    match operator:
        case "In" | "NotIn":
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            return [] if values else [required(f"{path}.values", why)]
        case "Exists" | "DoesNotExist":
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            return [forbidden(f"{path}.values", why)] if values else []
        case "Gt" | "Lt":
            why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            return [] if len(values) == 1 else [required(f"{path}.values", why)]
    return [invalid(f"{path}.operator", operator, "not a valid selector operator")]


def _pod_affinity(value: Mapping, path: str) -> list[FieldError]:
    errors = []
    for index, term in enumerate(value.get(_REQUIRED) or ()):
        errors += _pod_term(term, f"{path}.{_REQUIRED}[{index}]")
    for index, weighted in enumerate(value.get(_PREFERRED) or ()):
        here, term = f"{path}.{_PREFERRED}[{index}]", weighted.get("podAffinityTerm") or {}
        errors += _weight(weighted, here) + _pod_term(term, f"{here}.podAffinityTerm")
    return errors


def _pod_term(term: Mapping, path: str) -> list[FieldError]:
    errors, key = [], term.get("topologyKey", "")
    for name in ("labelSelector", "namespaceSelector"):
        errors += label_selector(term.get(name) or {}, f"{path}.{name}")
    for index, namespace in enumerate(term.get("namespaces") or ()):
        if wrong := names.dns_label(namespace):
            errors.append(invalid(f"{path}.namespaces[{index}]", namespace, wrong))
    if not key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    elif wrong := names.qualified_name(key):
        errors.append(invalid(f"{path}.topologyKey", key, wrong))
    return errors


def dns(spec: Mapping, path: str) -> list[FieldError]:
    """A Pod's `dnsConfig`, on which the policy None depends."""
    config, here = spec.get("dnsConfig"), f"{path}.dnsConfig"
    servers = (config or {}).get("nameservers") or ()
    errors = []
    if spec.get("dnsPolicy") == "None" and config is None:
        why = "must provide `dnsConfig` when `dnsPolicy` is None"
        errors.append(required(here, why))
    elif spec.get("dnsPolicy") == "None" and not servers:
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.append(required(f"{here}.nameservers", why))
    if len(servers) > _MAX_SERVERS:
        why = f"must not have more than {_MAX_SERVERS} nameservers"
        errors.append(invalid(f"{here}.nameservers", servers, why))
    errors += _addresses(servers, f"{here}.nameservers")
    for index, option in enumerate((config or {}).get("options") or ()):
        if not option.get("name"):
            errors.append(required(f"{here}.options[{index}]", "must not be empty"))
    return errors


def _addresses(values: Iterable[str], path: str) -> list[FieldError]:
    why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    bad = ((index, value) for index, value in enumerate(values) if not is_address(value))
    return [invalid(f"{path}[{index}]", value, why) for index, value in bad]


def host_aliases(aliases: Iterable[Mapping], path: str) -> list[FieldError]:
    """Names that a Pod's /etc/hosts has besides its own."""
    errors = []
    for index, alias in enumerate(aliases):
        if not is_address(alias.get("ip", "")):
            why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            errors.append(invalid(f"{path}[{index}].ip", alias.get("ip", ""), why))
        for host in alias.get("hostnames") or ():
            if wrong := names.dns_subdomain(host):
                errors.append(invalid(f"{path}[{index}].hostnames", host, wrong))
    return errors
