import pytest

from labkit.widgets.map_state import Objects, PodState, map_state, pod_seen
from tests.widgets import objects
from tests.widgets.objects import NOW


@pytest.mark.parametrize(
    ("said", "seen", "status"),
    [
        ("Ready", PodState.READY, "Running"),
        ("Not ready", PodState.NOT_READY, "Running"),
        ("Pending", PodState.PENDING, "Pending"),
        ("ContainerCreating", PodState.PENDING, "ContainerCreating"),
        ("Terminating", PodState.TERMINATING, "Terminating"),
        ("CrashLoopBackOff", PodState.FAILING, "CrashLoopBackOff"),
        ("ImagePullBackOff", PodState.FAILING, "ImagePullBackOff"),
        ("ErrImagePull", PodState.FAILING, "ErrImagePull"),
        ("CreateContainerConfigError", PodState.FAILING, "CreateContainerConfigError"),
        ("Failed", PodState.FAILING, "Failed"),
        ("Completed", PodState.COMPLETED, "Succeeded"),
    ],
)
def test_a_pod_has_one_of_six_states_and_kubectls_word(said, seen, status):
    found = pod_seen(objects.pod("web", "lab-worker", said), NOW)
    assert (found.state, found.status) == (seen, status)


def test_an_init_container_that_fails_is_a_failure_and_one_that_runs_is_none():
    pod = objects.pod("web", "lab-worker", "Pending")
    pod["spec"]["initContainers"] = [{"name": "first"}]

    def with_reason(reason: str) -> PodState:
        waiting = [{"name": "first", "ready": False, "state": {"waiting": {"reason": reason}}}]
        pod["status"]["initContainerStatuses"] = waiting
        return pod_seen(pod, NOW).state

    assert with_reason("CrashLoopBackOff") is PodState.FAILING
    assert with_reason("PodInitializing") is PodState.PENDING


def test_a_node_counts_the_requests_of_all_namespaces_and_of_none_that_has_ended():
    pods = [
        objects.pod("a", "n", "Ready"),
        objects.pod("b", "n", "Ready", namespace="kube-system"),
        objects.pod("c", "n", "Completed"),
        objects.pod("d", "other", "Ready"),
    ]
    (node, other) = map_state(Objects((objects.node("n"),), tuple(pods)), NOW).nodes
    assert (node.cpu.requested, node.cpu.allocatable) == (pytest.approx(0.2), 2.0)
    assert node.memory.part == pytest.approx(128 / 4096)
    assert [pod.name for pod in node.pods] == ["a", "c"], "what is the cluster's own is not shown"
    assert (other.name, other.ready) == ("other", False), "a node that is gone still has its Pods"


def test_a_pod_without_a_node_stands_apart():
    state = map_state(Objects((objects.node("n"),), (objects.pod("a"),)), NOW)
    assert [node.name for node in state.nodes] == ["n", ""]
    assert state.count(PodState.READY) == 1


def test_one_namespace_can_be_chosen_and_the_clusters_own_is_one_of_them():
    pods = (objects.pod("a", "n"), objects.pod("b", "n", namespace="kube-system"))
    seen = Objects((objects.node("n"),), pods, (objects.service("web"),))
    assert [pod.name for pod in map_state(seen, NOW, "kube-system").pods] == ["b"]
    assert map_state(seen, NOW, "kube-system").services == ()
    assert map_state(seen, NOW).namespaces == ("default", "kube-system")


def test_a_service_knows_its_endpoints_and_which_are_ready():
    seen = Objects(
        services=(objects.service("web", 30080),),
        slices=(
            objects.slice_("web", ["127.244.1.2"], ["127.244.1.3"]),
            objects.slice_("x", ["y"]),
        ),
    )
    (service,) = map_state(seen, NOW).services
    assert (service.type, service.ports) == ("NodePort", (":3001 → 30080",))
    assert (service.ready, service.all) == (("127.244.1.2",), ("127.244.1.2", "127.244.1.3"))


def test_nodes_come_in_the_order_of_their_numbers():
    names = ["w10", "w2", "w", "virtual"]
    state = map_state(Objects(tuple(map(objects.node, names))), NOW)
    assert [node.name for node in state.nodes] == ["virtual", "w", "w2", "w10"]
