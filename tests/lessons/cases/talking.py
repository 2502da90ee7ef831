import yaml

from labkit.lessons import World
from tests.lessons.objects import deployment, meta, service

CHAPTER, CUT = "03-talking", "no answer"
SYSTEM = {"cluster": "labkit-prod", "user": "labkit-prod", "namespace": "kube-system"}


def kubeconfig(current: str = "labkit-lab", **contexts: dict) -> World:
    entries = {
        "labkit-lab": {"cluster": "labkit-lab", "user": "labkit-lab"},
        "labkit-prod": {"cluster": "labkit-prod", "user": "labkit-prod"},
        **{name.replace("_", "-"): context for name, context in contexts.items()},
    }
    listed = [{"name": name, "context": context} for name, context in entries.items()]
    return World.of([], answer=yaml.safe_dump({"current-context": current, "contexts": listed}))


def predicted(**rows: list) -> World:
    right = {"nothing": [401, 401, CUT], "prod": [200, 200, CUT], "lab": [CUT, CUT, CUT]}
    named = {"prod": "prod's", "lab": "lab's"}
    return World.of([], answer={named.get(key, key): row for key, row in {**right, **rows}.items()})


def account() -> dict:
    return {"kind": "ServiceAccount", "metadata": meta("colleague")}


def binding(role: str, kind: str = "Role", subject: str = "colleague") -> dict:
    return {
        "kind": "RoleBinding",
        "metadata": meta(role),
        "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": subject, "namespace": "default"}],
    }


def rule(verbs: str, resources: str, group: str = "") -> dict:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


def role(*rules: dict, name: str = "look", kind: str = "Role") -> dict:
    return {"kind": kind, "metadata": meta(name), "rules": [*rules]}


READ = "get list watch"
PODS, SETS = rule(READ, "pods pods/log"), rule(READ, "replicasets", "apps")
BOUND = [account(), binding("look")]


def replicaset(name: str, public: bool = True) -> dict:
    found = {**deployment(name), "kind": "ReplicaSet"}
    found["metadata"] = meta(name, {"public": "yes"} if public else {})
    return found


def made(name: str) -> dict:
    found = service(name)
    found["metadata"] = meta(name, {"made-by": "publisher"})
    return found


SETS_THERE = [replicaset("shop"), replicaset("news"), replicaset("web", public=False)]
DOCS = service("docs")

CASES = {
    "context": {
        "right": kubeconfig(prod_system=SYSTEM),
        "no-kubeconfig": World.of([], answer="/tmp/config"),
        "no-context": kubeconfig(),
        "other-cluster": kubeconfig(prod_system={**SYSTEM, "cluster": "labkit-lab"}),
        "other-user": kubeconfig(prod_system={**SYSTEM, "user": "labkit-lab"}),
        "other-namespace": kubeconfig(
            prod_system={"cluster": "labkit-prod", "user": "labkit-prod"}
        ),
        "current": kubeconfig("prod-system", prod_system=SYSTEM),
    },
    "trust": {
        "right": predicted(),
        "no-table": World.of([], answer={"nothing": [401, 401, CUT]}),
        "other-word": predicted(lab=[401, 403, CUT]),
        "wrong-server": predicted(prod=[200, 200, 401]),
        "nobody-in": predicted(nothing=[200, 200, CUT]),
        "admin-out": predicted(prod=[401, 200, CUT]),
        "stranger-in": predicted(lab=[200, 200, CUT]),
    },
    "look": {
        "right": [*BOUND, role(PODS, SETS)],
        "no-account": [binding("look"), role(PODS, SETS)],
        "not-bound": [account(), role(PODS, SETS), binding("look", subject="default")],
        "no-role": [*BOUND, role(PODS, SETS, name="looking")],
        "too-much": [
            *BOUND,
            role(PODS, SETS),
            binding("edit", "ClusterRole"),
            role(rule("*", "*", "*"), name="edit", kind="ClusterRole"),
        ],
        "other-group": [*BOUND, role(rule(READ, "pods pods/log replicasets"))],
        "too-little": [*BOUND, role(rule("get list", "pods pods/log"), SETS)],
    },
    "reconcile": {
        "right": [*SETS_THERE, DOCS, made("shop"), made("news")],
        "nothing-wanted": [DOCS],
        "stranger-gone": [*SETS_THERE, made("shop"), made("news")],
        "some-missing": [*SETS_THERE, DOCS, made("shop")],
        "some-left": [*SETS_THERE, DOCS, made("shop"), made("news"), made("blog")],
    },
}
