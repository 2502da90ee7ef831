"""03 · Talking to it: what a colleague may do, and what a controller has left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

from labkit.kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from labkit.lessons.exercise import Exercise, Wrong
from labkit.lessons.world import World

# -- rights for a colleague ------------------------------------------------------------------

ACCOUNT = "colleague"
_READ = ("get", "list", "watch")
#: What the colleague needs, as (verb, API group, resource).
NEEDED = (
    *product(_READ, ("",), ("pods",)),
    *product(_READ, ("apps",), ("replicasets",)),
    ("get", "", "pods/log"),
)
_HARMLESS = {*NEEDED, *product(_READ, ("",), ("pods/log",))}
_BINDINGS = "kubectl get rolebindings -o wide"
_ROLES = "kubectl describe roles"


def _is_colleague(subject: Mapping, namespace: str) -> bool:
    name, kind = subject.get("name"), subject.get("kind")
    if kind == "ServiceAccount":
        return name == ACCOUNT and subject.get("namespace", namespace) == namespace
    return kind == "User" and name == f"system:serviceaccount:{namespace}:{ACCOUNT}"


def _bindings(world: World) -> list[dict]:
    """The bindings that name the colleague."""
    found = [*world.list(ROLE_BINDINGS), *world.list(CLUSTER_ROLE_BINDINGS)]
    return [
        one
        for one in found
        if any(_is_colleague(who, world.namespace) for who in one.get("subjects") or ())
    ]


def _role(world: World, binding: Mapping) -> dict:
    """The Role or ClusterRole that a binding gives; {} where there is none."""
    given = binding["roleRef"]
    roles = world.list(CLUSTER_ROLES if given["kind"] == "ClusterRole" else ROLES)
    return next((one for one in roles if one["metadata"]["name"] == given["name"]), {})


def _title(binding: Mapping) -> str:
    given = binding["roleRef"]
    return f"the binding {binding['metadata']['name']} → {given['kind']} {given['name']}"


def _granted(role: Mapping) -> set[tuple[str, str, str]]:
    return {
        right
        for rule in role.get("rules") or ()
        for right in product(
            rule.get("verbs") or (), rule.get("apiGroups") or (), rule.get("resources") or ()
        )
    }


def _no_account(world: World) -> str | None:
    found = world.names("serviceaccounts")
    return None if world.get(f"serviceaccount/{ACCOUNT}") else f"the ServiceAccounts {found}"


def _not_bound(world: World) -> str | None:
    return None if _bindings(world) else "no binding that names it"


def _no_role(world: World) -> str | None:
    lost = [_title(one) for one in _bindings(world) if not _role(world, one)]
    return f"{lost[0]}, which does not exist" if lost else None


def _too_much(world: World) -> str | None:
    for binding in _bindings(world):
        for verb, group, resource in sorted(_granted(_role(world, binding)) - _HARMLESS):
            if not _strayed(verb, group, resource):
                return f"{_title(binding)}, which allows: {verb} {resource}"
    return None


def _strayed(verb: str, group: str, resource: str) -> bool:
    """Whether it is what is needed, in an API group where there is no such thing."""
    return any((verb, resource) == (v, r) and group not in (g, "*") for v, g, r in NEEDED)


def _missing(world: World) -> list[tuple[str, str, str]]:
    rights = set().union(*(_granted(_role(world, one)) for one in _bindings(world)))
    return [one for one in NEEDED if one not in rights]


def _other_group(world: World) -> str | None:
    rights = set().union(*(_granted(_role(world, one)) for one in _bindings(world)))
    for _, group, resource in _missing(world):
        others = {g for _, g, r in rights if r == resource and g != group}
        if others:
            return f'{resource} in the API group "{sorted(others)[0]}"'
    return None


def _too_little(world: World) -> str | None:
    found = [f"{verb} {resource}" for verb, _, resource in _missing(world)]
    return f"may not: {', '.join(found)}" if found else None


LOOK = Exercise(
    "look",
    "The colleague may look at Pods, their logs and ReplicaSets, and no more",
    wrong=(
        Wrong(
            "no-account",
            _no_account,
            expected=f"a ServiceAccount named {ACCOUNT}",
            hint="`kubectl create serviceaccount NAME` makes one; the rights come after that.",
            look="kubectl get serviceaccounts",
        ),
        Wrong(
            "not-bound",
            _not_bound,
            expected=f"a RoleBinding for {ACCOUNT}",
            hint="A Role by itself gives nobody anything. `kubectl create rolebinding` has "
            "`--role` and `--serviceaccount=NAMESPACE:NAME`.",
            look=_BINDINGS,
        ),
        Wrong(
            "no-role",
            _no_role,
            expected="bindings to Roles that exist",
            hint="A binding may name a Role that nobody has made yet, and then gives nothing. "
            "Compare the names.",
            look="kubectl get roles,rolebindings",
        ),
        Wrong(
            "too-much",
            _too_much,
            expected="get, list and watch, on these three alone",
            hint="RBAC only adds: a second binding takes nothing away. Delete the binding that "
            "gives too much, or the rule that does.",
            look=_BINDINGS,
        ),
        Wrong(
            "other-group",
            _other_group,
            expected='pods and pods/log in the API group "", replicasets in "apps"',
            hint="A rule counts in its own API group. With kubectl the group follows a dot: "
            "`--resource=replicasets.apps`.",
            look=_ROLES,
        ),
        Wrong(
            "too-little",
            _too_little,
            expected="get, list and watch; for pods/log get",
            hint="`kubectl get pods` lists, `kubectl get pods -w` watches, `kubectl logs` gets "
            "`pods/log`: each is a right of its own.",
            look=_ROLES,
        ),
    ),
    right="No word about Secrets was needed: what no rule allows is forbidden.",
)


# -- a controller ----------------------------------------------------------------------------

PUBLIC, MADE = {"public": "yes"}, {"made-by": "publisher"}
STRANGER = "docs"
_SERVICES = "kubectl get services --show-labels"


def _wanted(world: World) -> set[str]:
    return {one["metadata"]["name"] for one in world.list("replicasets", PUBLIC)}


def _made(world: World) -> set[str]:
    return {one["metadata"]["name"] for one in world.list("services", MADE)}


def _names(found: Iterable[str]) -> str:
    return ", ".join(sorted(found)) or "none"


def _nothing_wanted(world: World) -> str | None:
    found = _wanted(world)
    return None if found == {"shop", "news"} else f"the ReplicaSets {_names(found)}"


def _stranger_gone(world: World) -> str | None:
    return None if world.get(f"service/{STRANGER}") else f"the Services {world.names('services')}"


def _some_missing(world: World) -> str | None:
    lost = _wanted(world) - _made(world)
    return f"no Service for {_names(lost)}" if lost else None


def _some_left(world: World) -> str | None:
    left = _made(world) - _wanted(world)
    return f"a Service {_names(left)}, and no such ReplicaSet" if left else None


RECONCILE = Exercise(
    "reconcile",
    "Each public ReplicaSet has its Service, and no other Service is yours",
    wrong=(
        Wrong(
            "nothing-wanted",
            _nothing_wanted,
            expected="the public ReplicaSets shop and news",
            hint="Run the cells above again: they make shop and news, and take blog away.",
            look="kubectl get replicasets -l public=yes",
        ),
        Wrong(
            "stranger-gone",
            _stranger_gone,
            expected=f"the Service {STRANGER}, which is not yours",
            hint=f"You have deleted somebody else's Service. Which Services does `made()` name? "
            f"Make {STRANGER} again before the next attempt.",
            look=_SERVICES,
        ),
        Wrong(
            "some-missing",
            _some_missing,
            expected="a Service for each",
            hint="What is wanted and not there has to be made: a difference of two sets, "
            "`wanted() - made()`. Have you called `reconcile()`?",
            look=_SERVICES,
        ),
        Wrong(
            "some-left",
            _some_left,
            expected="no Service without its ReplicaSet",
            hint="The other difference: what is there and not wanted. No event tells of it any "
            "more, so it has to be looked for.",
            look=_SERVICES,
        ),
    ),
    right="It asked how things are, not what has happened, so being away did no harm.",
)
