"""Rules of containers: names, images, ports, environment, mounts, resources, probes.

Source: k8s.io/kubernetes pkg/apis/core/validation (validateContainers, validateProbe,
ValidateContainerResourceRequirements).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    required,
    unsupported,
)
from labkit.apiserver.validate_values import (
    NOT_NEGATIVE,
    non_negative,
    port_number,
    port_or_name,
)
from labkit.kube.quantity import parse_quantity

_PULL = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_SCHEMES = ("HTTP", "HTTPS")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold")
_MESSAGES = ("File", "FallbackToLogsOnError")
_MAX_ID = 2**31 - 1
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_VALUE_SOURCES = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
)


def validate_containers(spec: Mapping, path: str) -> list[FieldError]:
    """What is wrong with the containers of a Pod's spec at `path`."""
    containers = spec.get("containers") or ()
    errors = [] if containers else [required(f"{path}.containers")]
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    seen: set[str] = set()
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            here = f"{path}.{field}[{index}]"
            errors += _name(container.get("name", ""), here, seen)
            errors += _container(container, here, volumes)
            if field == "initContainers" and container.get("restartPolicy") != "Always":
                errors += _no_probes(container, here)
    return errors


def _name(name: str, path: str, seen: set[str]) -> list[FieldError]:
    if not name:
        return [required(f"{path}.name")]
    if wrong := names.dns_label(name):
        return [invalid(f"{path}.name", name, wrong)]
    if name in seen:
        return [duplicate(f"{path}.name", name)]
    seen.add(name)
    return []


def _no_probes(container: Mapping, path: str) -> list[FieldError]:
    why = "must not be set for init containers without restartPolicy=Always"
    found = [name for name in (*_PROBES, "lifecycle") if container.get(name)]
    return [forbidden(f"{path}.{name}", why) for name in found]


def _container(container: Mapping, path: str, volumes: set) -> list[FieldError]:
    errors = _image(container, path)
    if container.get("ports"):
        errors += _ports(container["ports"], f"{path}.ports")
    if container.get("env"):
        errors += _env(container["env"], f"{path}.env")
    if container.get("volumeMounts"):
        errors += _mounts(container["volumeMounts"], f"{path}.volumeMounts", volumes)
    if container.get("resources"):
        errors += _resources(container["resources"], f"{path}.resources")
    for name in _PROBES:
        if name in container:
            errors += _probe(container[name], f"{path}.{name}", ready=name == "readinessProbe")
    if container.get("envFrom"):
        errors += _env_from(container["envFrom"], f"{path}.envFrom")
    if container.get("lifecycle"):
        errors += _lifecycle(container["lifecycle"], f"{path}.lifecycle")
    if container.get("securityContext"):
        errors += _security(container["securityContext"], f"{path}.securityContext")
    policy = container.get("terminationMessagePolicy", "File")
    if policy not in _MESSAGES:
        errors.append(unsupported(f"{path}.terminationMessagePolicy", policy, _MESSAGES))
    return errors


def _env_from(sources: Iterable[Mapping], path: str) -> list[FieldError]:
    errors = []
    for index, source in enumerate(sources):
        here = f"{path}[{index}]"
        given = [name for name in ("configMapRef", "secretRef") if name in source]
        if not given:
            why = "must specify one of: `configMapRef` or `secretRef`"
            errors.append(invalid(here, "", why))
        elif len(given) > 1:
            why = "may not have more than one field specified at a time"
            errors.append(invalid(here, "", why))
        errors += [required(f"{here}.{n}.name") for n in given if not source[n].get("name")]
        if source.get("prefix") and (wrong := names.env_name(source["prefix"])):
            errors.append(invalid(f"{here}.prefix", source["prefix"], wrong))
    return errors


def _lifecycle(lifecycle: Mapping, path: str) -> list[FieldError]:
    errors = []
    for name in ("postStart", "preStop"):
        if name in lifecycle:
            errors += _one_handler(lifecycle[name], f"{path}.{name}", (*_HANDLERS[:3], "sleep"))
    return errors


def _security(context: Mapping, path: str) -> list[FieldError]:
    errors = [
        invalid(f"{path}.{name}", context[name], f"must be between 0 and {_MAX_ID}, inclusive")
        for name in ("runAsUser", "runAsGroup")
        if not 0 <= context.get(name, 0) <= _MAX_ID
    ]
    if context.get("allowPrivilegeEscalation") is False and context.get("privileged"):
        why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        errors.append(invalid(path, context, why))
    return errors


def _image(container: Mapping, path: str) -> list[FieldError]:
    image, errors = container.get("image", ""), []
    if not image:
        errors.append(required(f"{path}.image"))
    elif image != image.strip():
        why = "must not have leading or trailing whitespace"
        errors.append(invalid(f"{path}.image", image, why))
    policy = container.get("imagePullPolicy")
    if policy not in _PULL:
        errors.append(unsupported(f"{path}.imagePullPolicy", policy, _PULL))
    return errors


def _ports(ports: Iterable[Mapping], path: str) -> list[FieldError]:
    errors, seen = [], set()
    for index, port in enumerate(ports):
        here, name = f"{path}[{index}]", port.get("name")
        if name:
            if wrong := names.port_name(name):
                errors.append(invalid(f"{here}.name", name, wrong))
            elif name in seen:
                errors.append(duplicate(f"{here}.name", name))
            seen.add(name)
        if not port.get("containerPort"):
            errors.append(required(f"{here}.containerPort"))
        else:
            errors += port_number(port["containerPort"], f"{here}.containerPort")
        if port.get("hostPort"):
            errors += port_number(port["hostPort"], f"{here}.hostPort")
        if port.get("protocol", "TCP") not in _PROTOCOLS:
            errors.append(unsupported(f"{here}.protocol", port["protocol"], _PROTOCOLS))
    return errors


def _env(variables: Iterable[Mapping], path: str) -> list[FieldError]:
    errors = []
    for index, one in enumerate(variables):
        here, name, source = f"{path}[{index}]", one.get("name", ""), one.get("valueFrom")
        if not name:
            errors.append(required(f"{here}.name"))
        elif wrong := names.env_name(name):
            errors.append(invalid(f"{here}.name", name, wrong))
        if source is None:
            continue
        if not source:
            errors.append(invalid(f"{here}.valueFrom", "", _VALUE_SOURCES))
        elif one.get("value"):
            why = "may not be specified when `value` is not empty"
            errors.append(invalid(f"{here}.valueFrom", "", why))
        elif len(source) > 1:
            why = "may not have more than one field specified at a time"
            errors.append(invalid(f"{here}.valueFrom", "", why))
    return errors


def _mounts(mounts: Iterable[Mapping], path: str, volumes: set) -> list[FieldError]:
    errors, seen = [], set()
    for index, mount in enumerate(mounts):
        here, name, where = f"{path}[{index}]", mount.get("name"), mount.get("mountPath")
        if not name:
            errors.append(required(f"{here}.name"))
        elif name not in volumes:
            errors.append(FieldError("FieldValueNotFound", f"{here}.name", f'Not found: "{name}"'))
        if not where:
            errors.append(required(f"{here}.mountPath"))
        elif where in seen:
            errors.append(invalid(f"{here}.mountPath", where, "must be unique"))
        seen.add(where)
    return errors


def _resources(resources: Mapping, path: str) -> list[FieldError]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    errors = []
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, text in amounts.items():
            errors += _resource(name, text, f"{path}.{part}[{name}]")
    for name, text in requests.items():
        if name in limits and parse_quantity(text) > parse_quantity(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            errors.append(invalid(f"{path}.requests", text, why))
    return errors


def _resource(name: str, text: str, path: str) -> list[FieldError]:
    errors = []
    if "/" not in name and name not in _RESOURCES and not name.startswith("hugepages-"):
        why = "must be a standard resource type or fully qualified"
        errors.append(invalid(path, name, why))
        errors.append(invalid(path, name, "must be a standard resource for containers"))
    elif wrong := names.qualified_name(name):
        errors.append(invalid(path, name, wrong))
    if parse_quantity(text) < 0:
        errors.append(invalid(path, text, NOT_NEGATIVE))
    return errors


def _probe(probe: Mapping, path: str, *, ready: bool) -> list[FieldError]:
    errors = _one_handler(probe, path, _HANDLERS)
    for name in _PROBE_NUMBERS:
        errors += non_negative(probe.get(name), f"{path}.{name}")
    success = probe.get("successThreshold", 1)
    if ready:
        errors += non_negative(success, f"{path}.successThreshold")
    elif success != 1:
        errors.append(invalid(f"{path}.successThreshold", success, "must be 1"))
    return errors


def _one_handler(parent: Mapping, path: str, kinds: Iterable[str]) -> list[FieldError]:
    handlers = [name for name in kinds if name in parent]
    errors = [] if handlers else [required(path, "must specify a handler type")]
    for extra in handlers[1:]:
        errors.append(forbidden(f"{path}.{extra}", "may not specify more than 1 handler type"))
    for name in handlers[:1]:
        errors += _handler(name, parent[name], f"{path}.{name}")
    return errors


def _handler(name: str, handler: Mapping, path: str) -> list[FieldError]:
    if name == "sleep":
        return []
    if name == "exec":
        return [] if handler.get("command") else [required(f"{path}.command")]
    errors = port_or_name(handler.get("port"), f"{path}.port")
    if name == "httpGet":
        if not handler.get("path"):
            errors.append(required(f"{path}.path"))
        if handler.get("scheme") not in _SCHEMES:
            errors.append(unsupported(f"{path}.scheme", handler.get("scheme"), _SCHEMES))
    return errors
