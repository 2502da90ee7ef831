"""What goes wrong in a simulation, and what the cluster makes of it."""

import dataclasses

import pytest

from labkit.kube import conditions
from labkit.kube.resources import PODS
from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON
from labkit.simulate.nodes import Delay
from labkit.simulate.scenario import Fault


@pytest.fixture(scope="module")
def lesson():
    plain = Scenario.read(LESSON)
    return dataclasses.replace(plain, start=Delay(5.0), settings={"node_monitor_grace_period": 50})


def pods(simulation):
    """The Pods as the API has them now, the oldest first."""
    listed = simulation._loop.run(simulation._cluster.client.list(PODS, "default"))["items"]
    return sorted(listed, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]))


def ready(frame, begin, end):
    return frame.set_index("t").replicas_ready.loc[begin:end].tolist()


def test_a_container_that_is_killed_starts_again_in_its_pod(lesson):
    fault = Fault(at=60, kind="container-killed")
    with Simulation(dataclasses.replace(lesson, faults=[fault])) as simulation:
        simulation.advance(60)
        (before,) = pods(simulation)
        simulation.advance(2)
        (dead,) = pods(simulation)
        simulation.advance(10)
        (after,) = pods(simulation)
        found = simulation.recording()
    assert before["metadata"]["uid"] == dead["metadata"]["uid"] == after["metadata"]["uid"]
    assert not conditions.is_true(dead, "Ready")
    assert conditions.get(dead, "Ready")["reason"] == "ContainersNotReady"
    (status,) = dead["status"]["containerStatuses"]
    assert (status["ready"], status["restartCount"]) == (False, 0)
    assert status["state"]["terminated"]["exitCode"] == 137
    (status,) = after["status"]["containerStatuses"]
    assert conditions.is_true(after, "Ready")
    assert (status["ready"], status["restartCount"]) == (True, 1)
    assert status["lastState"]["terminated"]["exitCode"] == 137
    # Nobody answers until it is Ready again, five seconds later.
    assert ready(found.frame, 58, 70) == [1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert found.frame.set_index("t").errors.loc[61:70].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    (mark,) = found.events[found.events.reason == "mark"].itertuples()
    assert (mark.t, mark.message) == (
        60,
        f"the container of {before['metadata']['name']} is killed",
    )


def test_a_container_that_dies_again_waits_for_its_back_off(lesson):
    deaths = [Fault(at=at, kind="container-killed") for at in (60, 80, 120)]
    with Simulation(dataclasses.replace(lesson, faults=deaths)) as simulation:
        simulation.advance(82)
        (waiting,) = pods(simulation)
        simulation.advance(100)
        frame = simulation.recording().frame
    (status,) = waiting["status"]["containerStatuses"]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 137
    down = frame[frame.replicas_ready == 0].t
    # At once, then after 10 s, then after 20 s; and 5 s to start each time.
    assert [sum(down.between(*span)) for span in ((60, 79), (80, 119), (120, 180))] == [5, 15, 25]


def test_a_pod_that_is_deleted_is_replaced_by_another(lesson):
    fault = Fault(at=60, kind="pod-deleted")
    with Simulation(dataclasses.replace(lesson, faults=[fault])) as simulation:
        simulation.advance(60)
        (before,) = pods(simulation)
        simulation.advance(20)
        (after,) = pods(simulation)
    assert before["metadata"]["uid"] != after["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_pods_that_start_while_images_come_slowly_take_longer(lesson):
    slow = Fault(at=100, kind="image-pull-slow", seconds=60, factor=8)
    frame = Simulation(dataclasses.replace(lesson, faults=[slow], seconds=300)).run().frame
    scaled, arrived = (
        frame[frame[column] == 3].t.min() for column in ("replicas_spec", "replicas_ready")
    )
    assert 100 < scaled < 160
    assert arrived - scaled == pytest.approx(40, abs=1.5)


def test_the_samples_of_a_killed_container_are_not_those_of_its_successor(lesson):
    death = Fault(at=600, kind="container-killed")
    scenario = dataclasses.replace(lesson, faults=[death], seconds=700)
    frame = Simulation(scenario).run().frame
    # A counter of CPU time that begins anew must not be taken for work, nor for its contrary.
    steady = frame[frame.t.between(400, 700)].cpu_milli_total
    assert steady.min() > 100
    assert steady.max() < 300


def test_what_cannot_be_struck_is_told(lesson):
    many = [Fault(at=50 + n, kind="node-lost") for n in range(4)]
    many.append(Fault(at=60, kind="pod-deleted"))
    events = Simulation(dataclasses.replace(lesson, faults=many, seconds=70)).run().events
    assert events[events.reason == "mark"].message.tolist() == [
        "node-3 is lost",
        "node-2 is lost",
        "node-1 is lost",
        "no node is left to be lost",
        "pod-deleted: no Pod is Ready",
    ]
