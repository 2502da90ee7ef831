"""Which backend a request is for: pure functions from Ingress objects to a table of routes.

A request is first for a host, then for a path.  The host is the rule's own name, else the wildcard
that covers its first label, else the rules without a host.  Among the host's paths the longest that
matches wins, of equally long ones `Exact` before `Prefix`; if none matches, the request is for the
default backend: the host's, if an Ingress of the host has one, else that of an Ingress without
rules.  Of equal paths the one of the oldest Ingress stays.

`Prefix` compares path elements and ignores a slash at the end.  `ImplementationSpecific` compares
letters, as nginx does.  In an Ingress with `rewrite-target` or `use-regex` a path with letters that
mean something in regular expressions is one, from the path's beginning, upper and lower case alike.

Source: Kubernetes documentation, "Ingress" (Path types, Multiple matches, Hostname wildcards);
ingress-nginx, "Rewrite", "Ingress Path Matching" and "TLS/HTTPS".  There, one Ingress with a
regular expression makes all paths of its host regular expressions; here only its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.kube import objects

ANNOTATIONS = "nginx.ingress.kubernetes.io/"
ANY_HOST = ""
EXACT, PREFIX, SPECIFIC = "Exact", "Prefix", "ImplementationSpecific"
_ORDER = {EXACT: 0, PREFIX: 1, SPECIFIC: 2}
_SPECIAL = re.compile(r"[][()^$*+?|\\{}]")
_CAPTURE = re.compile(r"\$(\d)")


class Backend(NamedTuple):
    """A port of a Service, by its name or number."""

    namespace: str
    service: str
    port: str | int


@dataclass(frozen=True, slots=True)
class Location:
    """One path of one rule; `secure` says that plain HTTP is sent to HTTPS."""

    ingress: str  # namespace/name
    host: str
    path: str
    kind: str
    backend: Backend | None  # None: a resource, which nobody here serves
    pattern: re.Pattern[str] | None = None
    rewrite: str = ""
    secure: bool = False

    def matches(self, path: str) -> bool:
        """Whether a request's (decoded) path is this location's."""
        if self.pattern is not None:
            return self.pattern.match(path) is not None
        if self.kind == EXACT:
            return path == self.path
        if self.kind == SPECIFIC:
            return path.startswith(self.path)
        prefix = self.path.rstrip("/")
        return path == prefix or path.startswith(f"{prefix}/")

    def rewritten(self, path: str) -> str:
        """The path with which a request is passed on."""
        if not self.rewrite:
            return path
        found = self.pattern.match(path) if self.pattern is not None else None
        groups = found.groups("") if found else ()

        def group(capture: re.Match[str]) -> str:
            number = int(capture[1])
            return groups[number - 1] if 0 < number <= len(groups) else ""

        target = _CAPTURE.sub(group, self.rewrite)
        return target if target.startswith("/") else f"/{target}"


@dataclass(slots=True)
class Host:
    """The locations of one host, the first match first, and where all else goes."""

    locations: list[Location] = field(default_factory=list)
    default: Location | None = None


@dataclass(slots=True)
class Table:
    """All routes."""

    hosts: dict[str, Host] = field(default_factory=dict)
    default: Location | None = None
    secrets: dict[str, str] = field(default_factory=dict)  # host → namespace/name
    wrong: list[tuple[str, str]] = field(default_factory=list)  # (Ingress, message)

    def find(self, authority: str, path: str) -> Location | None:
        """The location for a request; `authority` is its Host header."""
        host = self.host(authority)
        for location in host.locations if host else ():
            if location.matches(path):
                return location
        return (host.default if host else None) or self.default

    def host(self, authority: str) -> Host | None:
        """The rules for a name; those for any host where there are no others."""
        keys = covering(hostname(authority))
        return next((self.hosts[key] for key in keys if key in self.hosts), None)

    def secret(self, name: str) -> str:
        """The Secret with the certificate for a name; empty if there is none."""
        return next((self.secrets[key] for key in covering(name) if key in self.secrets), "")


def covering(name: str) -> tuple[str, str, str]:
    """The hosts of rules that cover a name, the closest first: itself, a wildcard, any host."""
    return name, f"*.{name.partition('.')[2]}", ANY_HOST


def hostname(authority: str) -> str:
    """`Shop.example.org:8080` → `shop.example.org`."""
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdigit() else authority).lower().rstrip(".")


def table(ingresses: Iterable[Mapping]) -> Table:
    """The routes of these Ingresses, whichever order they come in."""
    found = Table()
    for ingress in sorted(ingresses, key=_age):
        _add(found, ingress)
    for host in found.hosts.values():
        # The sort keeps the older of equal ones first.
        host.locations.sort(key=lambda one: (-len(one.path.rstrip("/")), _ORDER[one.kind]))
    return found


def _age(ingress: Mapping) -> tuple[str, str]:
    return ingress["metadata"].get("creationTimestamp") or "", objects.key(ingress)


def _add(found: Table, ingress: Mapping) -> None:
    spec, key = ingress.get("spec") or {}, objects.key(ingress)
    hosts = [rule.get("host") or ANY_HOST for rule in spec.get("rules") or ()]
    for tls in spec.get("tls") or ():
        for name in tls.get("hosts") or hosts:
            if tls.get("secretName"):
                secret = f"{ingress['metadata']['namespace']}/{tls['secretName']}"
                found.secrets.setdefault(name, secret)
    if spec.get("defaultBackend") is not None:
        _add_default(found, ingress, spec["defaultBackend"], hosts)
    for name, rule in zip(hosts, spec.get("rules") or (), strict=True):
        host = found.hosts.setdefault(name, Host())
        for path in (rule.get("http") or {}).get("paths") or ():
            try:
                host.locations.append(_location(ingress, name, path))
            except re.error as error:
                found.wrong.append((key, f"{path['path']} is no regular expression: {error}"))


def _add_default(found: Table, ingress: Mapping, default: Mapping, hosts: list[str]) -> None:
    for name in hosts:
        host = found.hosts.setdefault(name, Host())
        if host.default is None:
            host.default = _location(ingress, name, {"path": "/", "backend": default})
    if not hosts and found.default is None:
        found.default = _location(ingress, ANY_HOST, {"path": "/", "backend": default})


def _location(ingress: Mapping, host: str, path: Mapping) -> Location:
    """Raises re.error."""
    text, kind = path.get("path") or "/", path.get("pathType") or SPECIFIC
    rewrite = _annotation(ingress, "rewrite-target")
    pattern = None
    if kind != EXACT and _SPECIAL.search(text) and (rewrite or _is_on(ingress, "use-regex")):
        pattern = re.compile(text, re.IGNORECASE)
    return Location(
        objects.key(ingress),
        host,
        text,
        kind,
        _backend(ingress, path.get("backend") or {}),
        pattern,
        rewrite,
        _is_secure(ingress, host),
    )


def _backend(ingress: Mapping, backend: Mapping) -> Backend | None:
    service = backend.get("service")
    if service is None:
        return None
    port = service.get("port") or {}
    number = port.get("name") or port.get("number") or 0
    return Backend(ingress["metadata"]["namespace"], service["name"], number)


def _is_secure(ingress: Mapping, host: str) -> bool:
    if _is_on(ingress, "force-ssl-redirect"):
        return True
    encrypted = any(one in covering(host) for one in _with_tls(ingress))
    return encrypted and _annotation(ingress, "ssl-redirect") != "false"


def _with_tls(ingress: Mapping) -> Iterator[str]:
    spec = ingress.get("spec") or {}
    hosts = [rule.get("host") or ANY_HOST for rule in spec.get("rules") or ()]
    for tls in spec.get("tls") or ():
        yield from tls.get("hosts") or hosts


def _annotation(ingress: Mapping, name: str) -> str:
    return (ingress["metadata"].get("annotations") or {}).get(ANNOTATIONS + name, "")


def _is_on(ingress: Mapping, name: str) -> bool:
    return _annotation(ingress, name) == "true"


def is_ours(ingress: Mapping, classes: Iterable[Mapping], controller: str) -> bool:
    """Whether an Ingress is of a class that `controller` serves."""
    name = (ingress.get("spec") or {}).get("ingressClassName")
    if name is None:
        name = (ingress["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class")
    return any(
        one["metadata"]["name"] == name and (one.get("spec") or {}).get("controller") == controller
        for one in classes
    )
