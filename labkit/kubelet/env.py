"""The environment variables of a container: a pure function of values already fetched.

Order and precedence are kubelet's: Service variables first, then envFrom, then env, later ones
winning; `$(NAME)` in an env value sees what was defined before it.  A name that is missing raises
`ConfigError`, whose words are those of kubelet's CreateContainerConfigError.

Source: kubelet makeEnvironmentVariables, third_party/forked/golang/expansion, envvars.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from labkit.errors import LabkitError
from labkit.kube import quantity

#: Looks up (kind, name): the `data` of a ConfigMap or Secret of the Pod's namespace, as text; None
#: where there is no such object.
Lookup = Callable[[str, str], Mapping[str, str] | None]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_MASTER_SERVICES = (("default", "kubernetes"),)


class ConfigError(LabkitError):
    """A container cannot be configured: what it refers to does not exist."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` → its value; `$$` → `$`; a name that is not known stays as it is written."""

    def replace(match: re.Match) -> str:
        name = match[1]
        return "$" if name is None else values.get(name, match[0])

    return _REFERENCE.sub(replace, text)


def references(container: Mapping) -> set[tuple[str, str]]:
    """The (kind, name) of the ConfigMaps and Secrets that the container's variables come from."""
    found = set()
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                found.add((kind, source[field]["name"]))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field in source:
                found.add((kind, source[field]["name"]))
    return found


def plain_data(obj: Mapping) -> dict[str, str]:
    """The `data` of a ConfigMap or Secret as text."""
    data = obj.get("data") or {}
    if obj.get("kind") == "Secret":
        return {key: base64.b64decode(text).decode(errors="replace") for key, text in data.items()}
    return dict(data)


def environment(
    pod: Mapping, container: Mapping, lookup: Lookup, services: Mapping[str, str],
    allocatable: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """The container's variables.  `pod` must carry the status to be (podIP, hostIP).

    `allocatable` is the Node's: the value of limits that the container does not set.
    Raises ConfigError.
    """
    values = dict(services)
    for source in container.get("envFrom") or ():
        values |= _from_source(pod, source, lookup)
    for variable in container.get("env") or ():
        value = _value(pod, container, variable, values, lookup, allocatable)
        if value is not None:
            values[variable["name"]] = value
    return values


def _from_source(pod: Mapping, source: Mapping, lookup: Lookup) -> dict[str, str]:
    kind, reference = ("ConfigMap", source.get("configMapRef"))
    if reference is None:
        kind, reference = "Secret", source.get("secretRef") or {}
    data = lookup(kind, reference["name"])
    if data is None:
        if reference.get("optional"):
            return {}
        raise _no_object(kind, reference["name"])
    prefix = source.get("prefix") or ""
    return {prefix + key: text for key, text in data.items()}


def _value(
    pod: Mapping, container: Mapping, variable: Mapping, known: Mapping, lookup: Lookup,
    allocatable: Mapping[str, str],
) -> str | None:  # fmt: skip
    source = variable.get("valueFrom")
    if not source:
        return expand(str(variable.get("value") or ""), known)
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_value(pod, container, source["resourceFieldRef"], allocatable)
    if "configMapKeyRef" in source:
        return _key_value(pod, "ConfigMap", source["configMapKeyRef"], lookup)
    if "secretKeyRef" in source:
        return _key_value(pod, "Secret", source["secretKeyRef"], lookup)
    raise ConfigError(f"environment variable {variable['name']} has a source that is not known")


def _key_value(pod: Mapping, kind: str, reference: Mapping, lookup: Lookup) -> str | None:
    name, key = reference["name"], reference["key"]
    data = lookup(kind, name)
    if data is not None and key in data:
        return data[key]
    if reference.get("optional"):
        return None
    if data is None:
        raise _no_object(kind, name)
    where = f"{pod['metadata']['namespace']}/{name}"
    raise ConfigError(f"couldn't find key {key} in {kind} {where}")


def _no_object(kind: str, name: str) -> ConfigError:
    return ConfigError(f'{kind.lower()} "{name}" not found')


_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


def field_value(pod: Mapping, path: str) -> str:
    """The value of a downward API field (`metadata.name`, `status.podIP`, ...); ConfigError."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    match = _SUBSCRIPT.fullmatch(path)
    if match:
        return (meta.get(match[1]) or {}).get(match[2], "")
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
        "status.hostIP": status.get("hostIP"),
        "status.hostIPs": _addresses(status.get("hostIPs")),
        "status.podIP": status.get("podIP"),
        "status.podIPs": _addresses(status.get("podIPs")),
    }
    if path not in fields:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return fields[path] or ""


def _addresses(entries: Iterable[Mapping] | None) -> str:
    return ",".join(entry["ip"] for entry in entries or ())


def resource_value(
    pod: Mapping, container: Mapping, reference: Mapping, allocatable: Mapping[str, str]
) -> str:
    """The value of a resourceFieldRef (`limits.cpu`, ...), in units of its divisor; ConfigError.

    It is about `container` where it names no other one.
    """
    name = reference.get("containerName") or container["name"]
    everyone = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    source = next((one for one in everyone if one["name"] == name), None)
    if source is None:
        raise ConfigError(f"container {name} not found")
    kind, _, resource = reference["resource"].partition(".")
    given = ((source.get("resources") or {}).get(kind) or {}).get(resource)
    if given is None:
        given = allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = quantity.parse_quantity(reference.get("divisor") or "1") or Fraction(1)
    amount = quantity.parse_quantity(given) / divisor
    return str(-(-amount.numerator // amount.denominator))  # rounded up


def service_variables(
    services: Iterable[Mapping], namespace: str, *, links: bool
) -> dict[str, str]:
    """Docker-link variables of the namespace's Services and of `kubernetes` (always).

    `links` is the Pod's enableServiceLinks.  Headless Services have none.
    """
    values: dict[str, str] = {}
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        master = (meta["namespace"], meta["name"]) in _MASTER_SERVICES
        wanted = master or (links and meta["namespace"] == namespace)
        if wanted and spec.get("clusterIP") not in (None, "", "None") and spec.get("ports"):
            values |= _service(meta["name"], spec)
    return values


def _service(name: str, spec: Mapping) -> dict[str, str]:
    prefix, host = name.upper().replace("-", "_"), spec["clusterIP"]
    first = str(spec["ports"][0]["port"])
    values = {f"{prefix}_SERVICE_HOST": host, f"{prefix}_SERVICE_PORT": first}
    for port in spec["ports"]:
        if port.get("name"):
            label = port["name"].upper().replace("-", "_")
            values[f"{prefix}_SERVICE_PORT_{label}"] = str(port["port"])
    for index, port in enumerate(spec["ports"]):
        number, protocol = str(port["port"]), port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{number}"
        if index == 0:
            values[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{number}_{protocol.upper()}"
        values |= {
            link: url,
            f"{link}_PROTO": protocol.lower(),
            f"{link}_PORT": number,
            f"{link}_ADDR": host,
        }
    return values
