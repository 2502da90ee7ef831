"""Rules of APIServices.

Source: k8s.io/kube-aggregator pkg/apis/apiregistration/validation.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, forbidden, invalid, required
from labkit.apiserver.validate_values import port_number

_GROUP_PRIORITY, _VERSION_PRIORITY = 20000, 1000


def api_service(obj: Mapping) -> list[FieldError]:
    """What is wrong with an APIService."""
    spec, errors = obj.get("spec") or {}, []
    group, version = spec.get("group", ""), spec.get("version", "")
    if obj["metadata"].get("name") != f"{version}.{group}":
        why = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
        errors.append(invalid("metadata.name", obj["metadata"].get("name", ""), why))
    if group and (wrong := names.dns_subdomain(group)):
        errors.append(invalid("spec.group", group, wrong))
    if wrong := names.dns_label_1035(version):
        errors.append(invalid("spec.version", version, wrong))
    errors += _priority(
        spec.get("groupPriorityMinimum", 0), "groupPriorityMinimum", _GROUP_PRIORITY
    )
    errors += _priority(spec.get("versionPriority", 0), "versionPriority", _VERSION_PRIORITY)
    service = spec.get("service")
    if service is not None:
        return errors + _service(service, spec)
    if spec.get("caBundle"):
        errors.append(forbidden("spec.caBundle", "local APIServices may not have a caBundle"))
    if spec.get("insecureSkipTLSVerify"):
        why = "local APIServices may not have insecureSkipTLSVerify"
        errors.append(forbidden("spec.insecureSkipTLSVerify", why))
    return errors


def _priority(value: int, name: str, most: int) -> list[FieldError]:
    if 0 < value <= most:
        return []
    return [invalid(f"spec.{name}", value, f"must be positive and less than {most}")]


def _service(service: Mapping, spec: Mapping) -> list[FieldError]:
    path = "spec.service"
    errors = [required(f"{path}.{n}") for n in ("namespace", "name") if not service.get(n)]
    errors += port_number(service.get("port", 443), f"{path}.port")
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        why = "may not be true if caBundle is present"
        errors.append(invalid("spec.insecureSkipTLSVerify", True, why))
    return errors
