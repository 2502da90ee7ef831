"""RBAC's rules as values: what a rule allows, which rules cover which, and how rules are spelled.

All pure.  A rule is a PolicyRule as the API has it; `Grants` is what some rules allow together, in
a form in which a question costs a few dictionary look-ups, however many rules there are.

Source: k8s.io/component-helpers auth/rbac/validation (Covers, BreakdownRule) and k8s.io/kubernetes
pkg/apis/rbac/v1 (evaluation helpers, CompactString).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from labkit.apiserver.attributes import Attributes
from labkit.apiserver.request import User
from labkit.kube import serviceaccounts

ALL = "*"
MASTERS = "system:masters"
_PARTS = (
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("nonResourceURLs", "NonResourceURLs"),
    ("resourceNames", "ResourceNames"),
    ("verbs", "Verbs"),
)


class _Allowance(NamedTuple):
    """What one rule allows on one resource or path; no `names` means any name."""

    verbs: frozenset[str]
    names: frozenset[str]
    reason: str

    def covers(self, verb: str, name: str) -> bool:
        return (ALL in self.verbs or verb in self.verbs) and (not self.names or name in self.names)


class Grants:
    """What a list of (rule, reason) allows."""

    def __init__(self, rules: Iterable[tuple[Mapping, str]]) -> None:
        self._resources: dict[tuple[str, str], list[_Allowance]] = {}
        self._paths: list[tuple[str, _Allowance]] = []
        for rule, reason in rules:
            verbs = frozenset(rule.get("verbs") or ())
            allowance = _Allowance(verbs, frozenset(rule.get("resourceNames") or ()), reason)
            for pair in product(rule.get("apiGroups") or (), rule.get("resources") or ()):
                self._resources.setdefault(pair, []).append(allowance)
            for url in rule.get("nonResourceURLs") or ():
                self._paths.append((url, allowance))

    def allows(self, wanted: Attributes) -> str | None:
        """The reason why `wanted` is allowed, None if it is not."""
        if not wanted.resource:
            return self._allows_path(wanted.verb, wanted.path)
        for group in (wanted.group, ALL):
            for resource in _spellings(wanted.resource, wanted.subresource):
                for allowance in self._resources.get((group, resource), ()):
                    if allowance.covers(wanted.verb, wanted.name):
                        return allowance.reason
        return None

    def _allows_path(self, verb: str, path: str) -> str | None:
        for url, allowance in self._paths:
            if _url_covers(url, path) and allowance.covers(verb, ""):
                return allowance.reason
        return None


def _spellings(resource: str, subresource: str) -> tuple[str, ...]:
    """How a rule may name a resource."""
    if subresource:
        return (f"{resource}/{subresource}", f"{ALL}/{subresource}", ALL)
    return (resource, ALL)


def _url_covers(rule: str, path: str) -> bool:
    return rule == path or (rule.endswith(ALL) and path.startswith(rule.rstrip(ALL)))


def applies(subjects: Iterable[Mapping], user: User, namespace: str) -> Mapping | None:
    """The first subject of a binding in `namespace` that the user is, or None."""
    for subject in subjects:
        if _is(subject, user, namespace):
            return subject
    return None


def _is(subject: Mapping, user: User, namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return subject["name"] == user.name
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            home = subject.get("namespace") or namespace
            return bool(home) and serviceaccounts.username(home, subject["name"]) == user.name
    return False


# -- what covers what ------------------------------------------------------------------------------


def missing(owned: Sequence[Mapping], wanted: Iterable[Mapping]) -> list[Mapping]:
    """The simplest parts of `wanted` that no rule of `owned` covers by itself."""
    found = []
    for rule in wanted:
        for part in _simple(rule):
            if not any(_covers(one, part) for one in owned) and part not in found:
                found.append(part)
    return found


def _simple(rule: Mapping) -> Iterator[dict]:
    """A rule as rules of one verb on one resource, name or path each."""
    verbs = rule.get("verbs") or ()
    names = [[name] for name in rule.get("resourceNames") or ()] or [[]]
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    for group, resource, verb, name in product(groups, resources, verbs, names):
        part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        yield {**part, "resourceNames": name} if name else part
    for url, verb in product(rule.get("nonResourceURLs") or (), verbs):
        yield {"nonResourceURLs": [url], "verbs": [verb]}


def _covers(owned: Mapping, part: Mapping) -> bool:
    if not _has(owned.get("verbs"), part["verbs"][0]):
        return False
    if "nonResourceURLs" in part:
        urls = owned.get("nonResourceURLs") or ()
        return any(_url_covers(url, part["nonResourceURLs"][0]) for url in urls)
    names, resource = owned.get("resourceNames") or (), part["resources"][0]
    if names and not (part.get("resourceNames") and part["resourceNames"][0] in names):
        return False
    listed = owned.get("resources") or ()
    any_parent = ALL + resource[resource.index("/") :] if "/" in resource else resource
    return _has(owned.get("apiGroups"), part["apiGroups"][0]) and (
        _has(listed, resource) or any_parent in listed
    )


def _has(listed: Iterable[str] | None, value: str) -> bool:
    return bool(listed) and (ALL in listed or value in listed)


def described(rules: Iterable[Mapping]) -> list[str]:
    """Rules in Kubernetes' short spelling, the verbs of one resource together, in order."""
    together: dict[tuple, dict] = {}
    for rule in rules:
        key = tuple(tuple(rule.get(field) or ()) for field, _ in _PARTS[:-1])
        if key in together:
            together[key]["verbs"] = [*together[key]["verbs"], *rule["verbs"]]
        else:
            together[key] = dict(rule)
    return sorted({_spelled(rule) for rule in together.values()})


def _spelled(rule: Mapping) -> str:
    parts = [f"{label}:{quoted(rule[field])}" for field, label in _PARTS if rule.get(field)]
    return "{" + ", ".join(parts) + "}"


def quoted(values: Iterable[str]) -> str:
    """A list of strings as Go's %q prints it: `["a" "b"]`."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
