"""VolumeBinding: a Pod goes where its volumes are, or can be."""

import pytest

from labkit.scheduler.messages import failed_scheduling
from labkit.scheduler.placement import Decision
from labkit.scheduler.volumes import Storage, volumes_of
from tests.scheduler.objects import info, pod

ZONE = "topology.kubernetes.io/zone"
BOUND = {"pv.kubernetes.io/bind-completed": "yes"}


def claim(name="data", kind="late", volume=None, size="1Gi", phase="Pending", **annotations):
    spec = {
        "storageClassName": kind, "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }  # fmt: skip
    if volume:
        spec["volumeName"], annotations = volume, BOUND
    meta = {"name": name, "namespace": "default", "annotations": annotations}
    return {"metadata": meta, "spec": spec, "status": {"phase": phase}}


def volume(name, kind="late", size="1Gi", zone=None, owner=None):
    spec = {"storageClassName": kind, "accessModes": ["ReadWriteOnce"]}
    spec["capacity"] = {"storage": size}
    if zone:
        needs = [{"key": ZONE, "operator": "In", "values": [zone]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": needs}]}}
    if owner:
        spec["claimRef"] = {"namespace": "default", "name": owner}
    return {"metadata": {"name": name}, "spec": spec}


CLASSES = [
    {"metadata": {"name": "now"}, "provisioner": "p"},
    {"metadata": {"name": "late"}, "provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer"},
    {"metadata": {"name": "local"}, "provisioner": "kubernetes.io/no-provisioner",
     "volumeBindingMode": "WaitForFirstConsumer"},
    {"metadata": {"name": "zoned"}, "provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer",
     "allowedTopologies": [{"matchLabelExpressions": [{"key": ZONE, "values": ["b"]}]}]},
]  # fmt: skip


def volumes(claims, volumes=(), taken=None, used=("data",), **spec):
    storage = Storage(
        {f"default/{each['metadata']['name']}": each for each in claims},
        {each["metadata"]["name"]: each for each in volumes},
        {each["metadata"]["name"]: each for each in CLASSES},
        taken or {},
    )
    mounted = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in used]
    return volumes_of(pod(volumes=mounted, **spec), storage)


NODES = [info("a", labels={ZONE: "a"}), info("b", labels={ZONE: "b"})]
ELSEWHERE = "node(s) didn't match PersistentVolume's node affinity"
NONE = "node(s) didn't find available persistent volumes to bind"


@pytest.mark.parametrize(
    ("claims", "there", "reasons"),
    [
        pytest.param([claim(volume="v")], [volume("v")], [None, None], id="bound, anywhere"),
        pytest.param([claim(volume="v")], [volume("v", zone="b")], [ELSEWHERE, None],
                     id="bound in a zone"),
        pytest.param([claim(volume="v")], [],
                     ["node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"]
                     * 2, id="bound to nothing"),
        pytest.param([claim()], [], [None, None], id="to be made anywhere"),
        pytest.param([claim(kind="zoned")], [], [NONE, None], id="to be made in one zone"),
        pytest.param([claim(kind="local")], [volume("v", "local", zone="b")], [NONE, None],
                     id="a local volume in one zone"),
        pytest.param([claim(kind="local", size="2Gi")], [volume("v", "local")], [NONE, NONE],
                     id="too small a volume"),
        pytest.param([claim(kind="local")], [volume("v", "local", owner="theirs")], [NONE, NONE],
                     id="somebody else's volume"),
        pytest.param([claim(**{"volume.kubernetes.io/selected-node": "b"})], [], [NONE, None],
                     id="a node was chosen before"),
    ],
)  # fmt: skip
def test_nodes_that_can_have_the_volumes(claims, there, reasons):
    asked = volumes(claims, there)
    found = [asked.refusal(node) for node in NODES]
    assert [each and each.reasons[0] for each in found] == reasons


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        pytest.param([], 'persistentvolumeclaim "data" not found', id="missing"),
        pytest.param([claim(kind="now")], "pod has unbound immediate PersistentVolumeClaims",
                     id="to be bound before"),
        pytest.param([claim(kind="none")], "pod has unbound immediate PersistentVolumeClaims",
                     id="of no class"),
        pytest.param([claim(phase="Lost", volume="v")],
                     'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"',
                     id="lost"),
    ],
)  # fmt: skip
def test_claims_that_no_node_can_have(claims, words):
    decision = Decision(None, {}, 0, 3, volumes(claims).blocked)
    assert failed_scheduling(decision) == f"0/3 nodes are available: {words}."


def test_an_ephemeral_volume_waits_for_its_claim():
    template = [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}}]
    found = volumes_of(pod("web", volumes=template), Storage({}, {}, {}, {}))
    assert found.blocked.reasons == (
        'waiting for ephemeral volume controller to create the persistentvolumeclaim "web-tmp"',
    )


def test_the_smallest_volume_that_is_large_enough_is_chosen_once():
    there = [volume("big", "local", "9Gi"), volume("small", "local"), volume("fit", "local", "2Gi")]
    claims = [claim("data", "local", size="2Gi"), claim("log", "local")]
    asked = volumes(claims, there, used=("data", "log"))
    assert asked.choose(NODES[0]) == {"log": "small", "data": "fit"}


def test_a_volume_that_is_promised_to_another_claim_is_not_chosen():
    there = [volume("v", "local")]
    assert volumes([claim(kind="local")], there, {"v": "default/log"}).choose(NODES[0]) is None
    assert volumes([claim(kind="local")], there, {"v": "default/data"}).choose(NODES[0])


def test_a_claim_may_select_its_volume_by_labels():
    fast = volume("fast", "local")
    fast["metadata"]["labels"] = {"speed": "high"}
    asks = claim(kind="local")
    asks["spec"]["selector"] = {"matchLabels": {"speed": "high"}}
    assert volumes([asks], [volume("a", "local"), fast]).choose(NODES[0]) == {"data": "fast"}
    assert volumes([asks], [volume("a", "local")]).choose(NODES[0]) is None
