"""The ClusterRoles and ClusterRoleBindings that every cluster has: what they say, as values.

`admin`, `edit` and `view` hold no rules of their own: a controller gathers those of the roles that
their selectors find, so that whoever brings a custom resource can add its rules to them.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy; Kubernetes documentation,
"Default roles and role bindings".  Each `system:controller:*` is bound to the controller's
ServiceAccount, as upstream, and to the user `system:kube-controller-manager`, which is the identity
of all controllers here, as of upstream's without `--use-service-account-credentials`.  Left out:
roles for what is not served (certificate signing, dynamic resource allocation).
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.apiserver import controller_roles
from labkit.apiserver.validate_rbac import GROUP
from labkit.kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES

AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_CONTROLLER = "system:controller:"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}

_READ = "get list watch"
_WRITE = "create delete deletecollection patch update"
_READ_WRITE = "create delete deletecollection get list patch update watch"
_HEALTH = "/healthz /livez /readyz /version /version/"


def _rule(verbs: str, groups: str, resources: str, names: str = "") -> dict:
    """A rule from words; `core` stands for the core group."""
    found = {
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return {**found, "resourceNames": names.split()} if names else found


def _urls(urls: str, verbs: str = "get") -> dict:
    return {"nonResourceURLs": urls.split(), "verbs": verbs.split()}


def _leading(name: str) -> tuple[dict, dict]:
    """The rules of who may lead its kind by the Lease `name`."""
    lease = ("coordination.k8s.io", "leases")
    return _rule("create", *lease), _rule("get update", *lease, name)


_EVENTS = _rule("create patch update", "core events.k8s.io", "events")
_DELEGATION = (
    _rule("create", "authentication.k8s.io", "tokenreviews"),
    _rule("create", "authorization.k8s.io", "subjectaccessreviews"),
)

_VIEW = (
    _rule(
        _READ,
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services "
        "services/status",
    ),
    _rule(
        _READ,
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status "
        "replicationcontrollers/status resourcequotas resourcequotas/status",
    ),
    _rule(_READ, "core", "namespaces"),
    _rule(_READ, "discovery.k8s.io", "endpointslices"),
    _rule(
        _READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
        "deployments/status replicasets replicasets/scale replicasets/status statefulsets "
        "statefulsets/scale statefulsets/status",
    ),
    _rule(_READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    _rule(_READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    _rule(
        _READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses "
        "ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "
        "replicationcontrollers/scale",
    ),
    _rule(_READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    _rule(_READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
)
_EDIT = (
    _rule(
        _READ,
        "core",
        "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
    ),
    _rule("impersonate", "core", "serviceaccounts"),
    _rule(_WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    _rule("create", "core", "pods/eviction"),
    _rule(
        _WRITE,
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers "
        "replicationcontrollers/scale secrets serviceaccounts services services/proxy",
    ),
    _rule("create", "core", "serviceaccounts/token"),
    _rule(
        _WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets "
        "replicasets/scale statefulsets statefulsets/scale",
    ),
    _rule(_WRITE, "autoscaling", "horizontalpodautoscalers"),
    _rule(_WRITE, "batch", "cronjobs jobs"),
    _rule(
        _WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies "
        "replicasets replicasets/scale replicationcontrollers/scale",
    ),
    _rule(_WRITE, "policy", "poddisruptionbudgets"),
    _rule(_WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    _rule(_READ_WRITE, "coordination.k8s.io", "leases"),
)
_ADMIN = (
    _rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule(_READ_WRITE, GROUP, "rolebindings roles"),
)
NODE_RULES = (
    _rule("create", "authentication.k8s.io", "tokenreviews"),
    _rule("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    _rule(_READ, "core", "services"),
    _rule("create get list patch update watch", "core", "nodes"),
    _rule("patch update", "core", "nodes/status pods/status"),
    _rule("create delete get list watch", "core", "pods"),
    _rule("create", "core", "pods/eviction serviceaccounts/token"),
    _rule(_READ, "core", "configmaps secrets"),
    _rule("get", "core", "endpoints persistentvolumeclaims persistentvolumes"),
    _rule("create delete get patch update", "coordination.k8s.io", "leases"),
    _EVENTS,
)
_SCHEDULER = (
    _EVENTS,
    *_leading("kube-scheduler"),
    _rule(_READ, "core", "namespaces nodes replicationcontrollers services"),
    _rule(_READ, "core", "persistentvolumeclaims persistentvolumes"),
    _rule("delete get list watch", "core", "pods"),
    _rule("create", "core", "bindings pods/binding"),
    _rule("patch update", "core", "pods/status"),
    _rule(_READ, "apps extensions", "replicasets"),
    _rule(_READ, "apps", "statefulsets"),
    _rule(_READ, "policy", "poddisruptionbudgets"),
    _rule(_READ, "storage.k8s.io", "csidrivers csinodes csistoragecapacities storageclasses"),
    *_DELEGATION,
)
_CONTROLLER_MANAGER = (
    _EVENTS,
    *_leading("kube-controller-manager"),
    _rule("create", "core", "secrets serviceaccounts serviceaccounts/token"),
    _rule("delete", "core", "secrets"),
    _rule("get", "core", "configmaps namespaces secrets serviceaccounts"),
    _rule("update", "core", "secrets serviceaccounts"),
    _rule("list watch", "*", "*"),
    *_DELEGATION,
)


def _role(name: str, *rules: dict, aggregate_to: str = "") -> dict:
    labels = {**_LABELS, **({f"{_AGGREGATE}{aggregate_to}": "true"} if aggregate_to else {})}
    return {
        "apiVersion": CLUSTER_ROLES.api_version,
        "kind": CLUSTER_ROLES.kind,
        "metadata": {"name": name, "labels": labels, "annotations": {AUTO_UPDATE: "true"}},
        "rules": list(rules),
    }


def _aggregate(name: str, aggregate_to: str = "") -> dict:
    """A role whose rules are those of all roles that say that they belong to it."""
    selector = {"matchLabels": {f"{_AGGREGATE}{name}": "true"}}
    role = _role(name, aggregate_to=aggregate_to)
    del role["rules"]
    return {**role, "aggregationRule": {"clusterRoleSelectors": [selector]}}


def _binding(name: str, *subjects: dict) -> dict:
    return {
        "apiVersion": CLUSTER_ROLE_BINDINGS.api_version,
        "kind": CLUSTER_ROLE_BINDINGS.kind,
        "metadata": {"name": name, "labels": _LABELS, "annotations": {AUTO_UPDATE: "true"}},
        "roleRef": {"apiGroup": GROUP, "kind": CLUSTER_ROLES.kind, "name": name},
        "subjects": list(subjects),
    }


def _groups(*names: str) -> Iterable[dict]:
    return ({"kind": "Group", "apiGroup": GROUP, "name": name} for name in names)


def _user(name: str) -> dict:
    return {"kind": "User", "apiGroup": GROUP, "name": name}


def _account(name: str) -> dict:
    return {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}


_PROXIER = (
    _rule("list watch", "core", "endpoints services"),
    _rule(_READ, "core", "nodes"),
    _rule("list watch", "discovery.k8s.io", "endpointslices"),
    _EVENTS,
)

CLUSTER_ROLES_BY_DEFAULT: tuple[dict, ...] = (
    _role("cluster-admin", _rule("*", "*", "*"), _urls("*", "*")),
    _aggregate("admin"),
    _aggregate("edit", aggregate_to="admin"),
    _aggregate("view", aggregate_to="edit"),
    _role("system:aggregate-to-admin", *_ADMIN, aggregate_to="admin"),
    _role("system:aggregate-to-edit", *_EDIT, aggregate_to="edit"),
    _role("system:aggregate-to-view", *_VIEW, aggregate_to="view"),
    _role("system:auth-delegator", *_DELEGATION),
    _role(
        "system:basic-user",
        _rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        _rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ),
    _role("system:discovery", _urls(f"/api /api/* /apis /apis/* /openapi /openapi/* {_HEALTH}")),
    _role("system:kube-aggregator", _rule(_READ, "core", "endpoints services")),
    _role("system:kube-controller-manager", *_CONTROLLER_MANAGER),
    _role(
        "system:kube-dns",
        _rule("list watch", "core", "endpoints services"),
        _rule("list watch", "discovery.k8s.io", "endpointslices"),
    ),
    _role("system:kube-scheduler", *_SCHEDULER),
    _role(
        "system:kubelet-api-admin",
        _rule(_READ, "core", "nodes"),
        _rule("proxy", "core", "nodes"),
        _rule("*", "core", "nodes/log nodes/metrics nodes/proxy nodes/stats"),
    ),
    _role(
        "system:monitoring",
        _urls("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),
    ),
    _role("system:node", *NODE_RULES),
    _role("system:node-proxier", *_PROXIER),
    _role("system:public-info-viewer", _urls(_HEALTH)),
    _role(
        "system:service-account-issuer-discovery",
        _urls("/.well-known/openid-configuration /openid/v1/jwks"),
    ),
    _role(
        "system:volume-scheduler",
        _rule("get list patch update watch", "core", "persistentvolumes"),
        _rule(_READ, "storage.k8s.io", "storageclasses"),
        _rule("get list patch update watch", "core", "persistentvolumeclaims"),
    ),
    *(
        _role(f"{_CONTROLLER}{name}", *(_rule(*words) for words in rules))
        for name, rules in controller_roles.RULES.items()
    ),
)
CLUSTER_ROLE_BINDINGS_BY_DEFAULT: tuple[dict, ...] = (
    _binding("cluster-admin", *_groups("system:masters")),
    _binding("system:basic-user", *_groups("system:authenticated")),
    _binding("system:discovery", *_groups("system:authenticated")),
    _binding("system:kube-controller-manager", _user("system:kube-controller-manager")),
    _binding("system:kube-dns", _account("kube-dns")),
    _binding("system:kube-scheduler", _user("system:kube-scheduler")),
    _binding("system:monitoring", *_groups("system:monitoring")),
    # Nodes have an authorizer of their own.
    _binding("system:node"),
    _binding("system:node-proxier", _user("system:kube-proxy")),
    _binding(
        "system:public-info-viewer",
        *_groups("system:authenticated", "system:unauthenticated"),
    ),
    _binding(
        "system:service-account-issuer-discovery",
        *_groups("system:serviceaccounts"),
    ),
    _binding("system:volume-scheduler", _user("system:kube-scheduler")),
    *(
        _binding(f"{_CONTROLLER}{name}", _account(name), _user("system:kube-controller-manager"))
        for name in controller_roles.RULES
    ),
)
