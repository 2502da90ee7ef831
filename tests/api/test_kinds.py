"""Every kind: defaults, rows for people, what may not change, status, generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.api.conftest import MERGE, Wire, refused, until
from tests.api.kinds import KINDS, SELECTOR, Kind, spec, template

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
Create = Callable[[Kind], tuple[str, dict]]

each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def collection(ns: str, kind: Kind) -> str:
    """The path of a kind's collection in a namespace, or in the cluster."""
    root = "/api/v1" if kind.group == "v1" else f"/apis/{kind.group}"
    namespace = f"/namespaces/{ns.rpartition('/')[2]}" if kind.namespaced else ""
    return f"{root}{namespace}/{kind.plural}"


@pytest.fixture
def create(wire: Wire, ns: str) -> Iterator[Create]:
    """Creates a kind's small object: its path, and the answer."""
    made: list[str] = []

    def create_one(kind: Kind) -> tuple[str, dict]:
        name = ns.rpartition("/")[2]
        metadata = {"name": name, **kind.body.get("metadata", {})}
        body = {"apiVersion": kind.group, "kind": kind.kind, **kind.body, "metadata": metadata}
        path = f"{collection(ns, kind)}/{name}"
        answer = wire.ok("POST", collection(ns, kind), body)
        made.append(path)
        return path, answer

    yield create_one
    for path in made:
        wire.delete(path)


def assert_part(found: object, expected: object, path: str = "") -> None:
    """`found` has all that `expected` has; lists are of equal length."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), f"{path}: {found!r}"
        for key, value in expected.items():
            assert key in found, f"{path}.{key} is missing: {found!r}"
            assert_part(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        assert len(found) == len(expected), path
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_part(one, other, f"{path}[{index}]")
    else:
        assert found == expected, path


@each
def test_what_is_left_open_is_filled_in(create: Create, kind: Kind):
    _, made = create(kind)
    assert (made["apiVersion"], made["kind"]) == (kind.group, kind.kind)
    assert_part(made, kind.made)


@each
def test_the_server_makes_the_rows_that_people_see(wire: Wire, create: Create, kind: Kind):
    path, _ = create(kind)
    table = wire.ok("GET", path, headers={"Accept": TABLE})
    columns = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert row.pop("Name") == path.rpartition("/")[2]
    assert_part(row, kind.row)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        pytest.param(kind, change, words, id=f"{kind.kind}: {words}")
        for kind in KINDS
        for change, words in kind.fixed
    ],
)
def test_what_may_not_be_is_refused(wire: Wire, create: Create, kind: Kind, change, words):
    path, _ = create(kind)
    before = wire.ok("GET", path).get("spec")
    status = refused(wire.patch(path, change), 422, "Invalid", words)
    assert status["details"]["kind"] == kind.kind
    assert wire.ok("GET", path).get("spec") == before


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.status], ids=lambda kind: kind.kind
)
def test_status_changes_through_its_subresource_alone(wire: Wire, create: Create, kind: Kind):
    path, made = create(kind)
    generation = made["metadata"].get("generation")
    through_main = wire.ok("PATCH", path, {"status": kind.status}, type=MERGE)
    with pytest.raises(AssertionError):
        assert_part(through_main.get("status", {}), kind.status)
    change = {"status": kind.status, "spec": {"nonsense": 1}}
    changed = wire.ok("PATCH", f"{path}/status", change, type=MERGE)
    assert_part(changed["status"], kind.status)
    if kind.kind != "Deployment":  # whose controller annotates it, which counts
        assert changed["metadata"].get("generation") == generation


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("StatefulSet", {"replicas": -1}, "must be greater than or equal to 0"),
        ("StatefulSet", {"replicas": 1, "readyReplicas": 2}, "cannot be greater than status.repl"),
        ("ReplicationController", {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2},
         "cannot be greater than readyReplicas"),
        ("DaemonSet", {"numberReady": -1}, "must be greater than or equal to 0"),
        ("PodDisruptionBudget", {"expectedPods": -1}, "must be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_a_status_that_cannot_be_is_refused(wire: Wire, create: Create, name, status, words):
    path, _ = create(by_kind(name))
    refused(wire.patch(f"{path}/status", {"status": status}), 422, "Invalid", words)


def by_kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.kind == name)


def test_a_job_selects_its_own_pods_by_its_uid(create: Create):
    _, made = create(by_kind("Job"))
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    generated = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "test", **generated}


def test_a_job_with_a_selector_of_its_own_says_that_it_means_it(wire: Wire, ns: str, in_group):
    path = f"{in_group('batch/v1')}/jobs"
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "own"}}
    job = spec(suspend=True, selector=SELECTOR, template=template(restartPolicy="Never"))
    answer = wire.post(path, {**body, **job})
    refused(answer, 422, "Invalid", "`selector` not auto-generated")
    job["spec"]["manualSelector"] = True
    made = wire.ok("POST", path, {**body, **job})
    assert made["spec"]["selector"] == SELECTOR


def test_a_job_that_is_deleted_without_a_word_leaves_its_pods(wire: Wire, create: Create):
    path, made = create(by_kind("Job"))
    pods = path.partition("/jobs/")[0].replace("/apis/batch/v1", "/api/v1") + "/pods"
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": made["metadata"]["name"]}
    owner |= {"uid": made["metadata"]["uid"]}
    spec = template(restartPolicy="Never")["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    wire.ok("POST", pods, {**pod, "metadata": {"name": "left", "ownerReferences": [owner]}})
    answer = wire.delete(path)
    assert answer.status_code == 200
    assert "child pods are preserved by default when jobs are deleted" in answer.headers["Warning"]
    until(lambda: wire.get(path).status_code == 404, what="the Job is gone")
    assert not wire.ok("GET", f"{pods}/left")["metadata"].get("ownerReferences")


def test_a_job_runs_to_an_end(wire: Wire, in_group):
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "forever"}}
    answer = wire.post(f"{in_group('batch/v1')}/jobs", {**body, **spec(template=template())})
    why = 'Required value: valid values: "OnFailure", "Never"'
    refused(answer, 422, "Invalid", f"spec.template.spec.restartPolicy: {why}")


def test_an_indexed_job_changes_completions_and_parallelism_together(wire: Wire, in_group):
    path = f"{in_group('batch/v1')}/jobs"
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "indexed"}}
    job = spec(suspend=True, completionMode="Indexed", template=template(restartPolicy="Never"))
    answer = wire.post(path, {**body, "spec": {**job["spec"], "parallelism": 1}})
    why = "Required value: when completion mode is Indexed"
    refused(answer, 422, "Invalid", f"spec.completions: {why}")
    job["spec"] |= {"completions": 2, "parallelism": 2}
    wire.ok("POST", path, {**body, **job})
    answer = wire.patch(f"{path}/indexed", spec(completions=3))
    refused(answer, 422, "Invalid", "can only be modified in tandem with spec.parallelism")
    changed = wire.patch(f"{path}/indexed", spec(completions=3, parallelism=3))
    assert (changed.status_code, changed.json()["metadata"]["generation"]) == (200, 2)


@pytest.mark.parametrize("name", ["ReplicationController", "StatefulSet", "Deployment"])
def test_what_has_replicas_is_scaled_through_a_scale(wire: Wire, create: Create, name: str):
    path, _ = create(by_kind(name))
    scale = wire.ok("GET", f"{path}/scale")
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"].get("replicas", 0) == 0
    assert scale["status"]["selector"] == "app=test"
    wanted = {**scale, "metadata": {"name": scale["metadata"]["name"]}, "spec": {"replicas": 2}}
    wire.ok("PUT", f"{path}/scale", wanted)
    found = wire.ok("GET", path)
    assert found["spec"]["replicas"] == 2
    assert found["metadata"]["generation"] >= 2
    wire.ok("PATCH", f"{path}/scale", spec(replicas=0), type=MERGE)


def test_a_daemon_set_counts_the_changes_of_its_template(wire: Wire, create: Create):
    path, _ = create(by_kind("DaemonSet"))
    count = "deprecated.daemonset.template.generation"
    change = spec(template={"spec": {"terminationGracePeriodSeconds": 5}})
    changed = wire.patch(path, change).json()
    assert (changed["metadata"]["generation"], changed["metadata"]["annotations"][count]) == (
        2,
        "2",
    )
    changed = wire.patch(path, spec(minReadySeconds=1)).json()
    assert (changed["metadata"]["generation"], changed["metadata"]["annotations"][count]) == (
        3,
        "2",
    )


def test_jobs_and_replication_controllers_are_found_by_their_status(wire: Wire, create: Create):
    path, _ = create(by_kind("Job"))
    jobs = path.rpartition("/")[0]
    assert len(wire.ok("GET", jobs, fieldSelector="status.successful=0")["items"]) == 1
    assert wire.ok("GET", jobs, fieldSelector="status.successful=1")["items"] == []
    path, _ = create(by_kind("ReplicationController"))
    controllers = path.rpartition("/")[0]
    assert len(wire.ok("GET", controllers, fieldSelector="status.replicas=0")["items"]) == 1
    refused(
        wire.get(controllers, fieldSelector="spec.replicas=0"),
        400,
        "BadRequest",
        "spec.replicas",
    )


@pytest.mark.parametrize(
    ("group", "plural", "short", "categories"),
    [
        ("apps/v1", "statefulsets", ["sts"], ["all"]),
        ("apps/v1", "daemonsets", ["ds"], ["all"]),
        ("batch/v1", "jobs", None, ["all"]),
        ("batch/v1", "cronjobs", ["cj"], ["all"]),
        ("networking.k8s.io/v1", "ingresses", ["ing"], None),
        ("networking.k8s.io/v1", "networkpolicies", ["netpol"], None),
        ("policy/v1", "poddisruptionbudgets", ["pdb"], None),
        ("scheduling.k8s.io/v1", "priorityclasses", ["pc"], None),
        ("storage.k8s.io/v1", "storageclasses", ["sc"], None),
        ("v1", "replicationcontrollers", ["rc"], ["all"]),
        ("v1", "resourcequotas", ["quota"], None),
        ("v1", "limitranges", ["limits"], None),
        ("v1", "persistentvolumes", ["pv"], None),
        ("v1", "persistentvolumeclaims", ["pvc"], None),
    ],
)
def test_kinds_have_short_names_and_categories(wire: Wire, group, plural, short, categories):
    found = wire.ok("GET", "/api/v1" if group == "v1" else f"/apis/{group}")["resources"]
    entry = next(one for one in found if one["name"] == plural)
    assert (entry.get("shortNames"), entry.get("categories")) == (short, categories)
