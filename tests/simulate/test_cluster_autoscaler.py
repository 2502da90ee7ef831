"""Machines that come and go in a simulation: when, why, and what they cost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labkit.cli import main
from labkit.errors import UsageError
from labkit.kube import conditions
from labkit.kube.resources import NODES, PODS
from labkit.observe.sample import COLUMNS
from labkit.simulate import Scenario, Simulation

# One machine for five Pods; the load of an hour wants eight for twenty minutes.
WAVE = Path(__file__).with_name("wave.yaml")


def wave(**changes):
    """The scenario with other parts; `pod`, `more` change the Pods' spec and add manifests."""
    given = yaml.safe_load(WAVE.read_text())
    manifests = list(yaml.safe_load_all(given["manifests"]))
    template = manifests[0]["spec"]["template"]
    template["spec"] |= changes.pop("pod", {})
    template["metadata"] |= changes.pop("meta", {})
    given["manifests"] = [*changes.pop("more", []), *manifests]
    return Scenario.read(given | changes)


@pytest.fixture(scope="module")
def played():
    return Simulation(wave()).run()


def happened(recording, reason):
    events = recording.events
    return events[events.reason == reason]


def objects(simulation, resource):
    return simulation._loop.run(simulation._cluster.client.list(resource))["items"]


def test_machines_are_ordered_for_pods_that_fit_nowhere(played):
    said = happened(played, "TriggeredScaleUp")
    assert said.message.iloc[0] == "pod triggered scale-up: [{workers 0->1 (max: 5)}]"
    assert said.t.iloc[0] > 300
    assert played.bill.index.tolist() == ["node-1", "workers-1"]


def test_a_machine_takes_ninety_seconds_and_is_paid_for_meanwhile(played):
    ordered = played.bill.loc["workers-1", "from"]
    nodes = played.costs.set_index("t")
    assert nodes.nodes[ordered + 1] == 2
    assert nodes.nodes_ready[ordered + 89] == 1
    assert nodes.nodes_ready[ordered + 91] == 2
    frame = played.frame.set_index("t")
    assert frame.replicas_ready[: ordered + 90].max() == 5
    assert frame.replicas_ready[ordered + 120] == 8


def test_a_machine_goes_ten_minutes_after_it_was_last_needed(played):
    frame = played.frame
    few = frame.t[(frame.t > 1500) & (frame.replicas_spec == 2)].iloc[0]
    marked, removed = (
        happened(played, "ScaleDown").pipe(lambda said: said[said.object == "Node/workers-1"]).t
    )
    assert few + 600 < marked <= few + 600 + 20
    assert 5 <= removed - marked < 60
    assert played.frame.replicas_ready.iloc[-1] == 2


def test_the_bill_is_time_times_price(played):
    bill, costs = played.bill, played.costs
    assert bill.cost["node-1"] == pytest.approx(0.085)
    assert bill.cost["workers-1"] == pytest.approx(bill.seconds["workers-1"] / 3600 * 0.085)
    assert costs.cost.iloc[-1] == pytest.approx(bill.cost.sum())
    assert costs.rate.sum() / 3600 == pytest.approx(bill.cost.sum(), rel=0.001)


def test_what_is_recorded_second_by_second_has_the_columns_of_a_live_recording(played):
    assert tuple(played.frame.columns) == tuple(COLUMNS)


def test_a_group_keeps_its_minimum_and_has_it_from_the_beginning():
    group = {"min": 1, "max": 3, "start": 90, "labels": {"pool": "x"}}
    with Simulation(wave(cluster_autoscaler=group, nodes={"count": 1, "cpu": "2"})) as simulation:
        simulation.advance(300)
        there = {each["metadata"]["name"]: each for each in objects(simulation, NODES)}
        assert there.keys() == {"node-1", "workers-1"}
        assert there["workers-1"]["metadata"]["labels"]["pool"] == "x"
        simulation.advance(3300)
        assert [each["metadata"]["name"] for each in objects(simulation, NODES)] == list(there)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            {"meta": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}},
            id="a Pod says that it must not be evicted",
        ),
        pytest.param(
            {
                "more": [
                    {
                        "apiVersion": "policy/v1",
                        "kind": "PodDisruptionBudget",
                        "metadata": {"name": "web"},
                        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}},
                    }
                ]
            },
            id="a budget allows no disruption",
        ),
    ],
)
def test_a_machine_stays_while_a_pod_on_it_may_not_be_evicted(change):
    found = Simulation(wave(**change)).run()
    last = found.costs.iloc[-1]
    assert (last.nodes_ready, found.frame.replicas_spec.iloc[-1]) == (2, 2)
    assert happened(found, "ScaleDown").empty


def test_a_pod_that_no_machine_can_take_is_told_why():
    big = [{"name": "web", "image": "web", "resources": {"requests": {"cpu": "3"}}}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "big"},
        "spec": {"containers": big},
    }
    with Simulation(wave(more=[pod])) as simulation:
        simulation.advance(60)
        said = happened(simulation.recording(), "NotTriggerScaleUp")
    assert said.message.tolist() == ["pod didn't trigger scale-up: 1 Insufficient cpu"]
    assert said.object.tolist() == ["Pod/big"]


def spare(count):
    """Pods that only keep room, for others to take (upstream's FAQ, overprovisioning)."""
    container = {"name": "pause", "image": "pause", "resources": {"requests": {"cpu": "500m"}}}
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "spare"},
            "value": -5,
        },
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "spare"},
            "spec": {
                "replicas": count,
                "selector": {"matchLabels": {"app": "spare"}},
                "template": {
                    "metadata": {"labels": {"app": "spare"}},
                    "spec": {"priorityClassName": "spare", "containers": [container]},
                },
            },
        },
    ]


def test_pods_that_keep_room_are_replaced_at_once_and_machines_are_ordered_for_them(played):
    found = Simulation(wave(more=spare(6))).run()

    def eight(recording):
        return recording.frame.t[recording.frame.replicas_ready >= 8].iloc[0]

    assert eight(found) < eight(played) - 60
    assert {name.split("-")[0] for name in happened(found, "TriggeredScaleUp").object} == {
        "Pod/spare"
    }


def test_a_machine_that_is_lost_is_given_back_in_the_end():
    faults = [{"at": 400, "kind": "node-lost"}]
    group = {"min": 0, "max": 3, "start": 90, "scale_down_unready_time": 300}
    scenario = wave(faults=faults, cluster_autoscaler=group, load=[{"rate": 100, "seconds": 3600}])
    with Simulation(scenario) as simulation:
        simulation.advance(3600)
        there = objects(simulation, NODES)
        pods = objects(simulation, PODS)
        bill = simulation.recording().bill
    assert bill.to["workers-1"] < 3000
    assert "workers-1" not in [each["metadata"]["name"] for each in there]
    assert all(conditions.is_true(each, "Ready") for each in there)
    assert not [pod for pod in pods if pod["spec"].get("nodeName") == "workers-1"]


SCRIPT = """
import sys
from pathlib import Path
from labkit.simulate import Scenario, Simulation
found = Simulation(Scenario.read(Path(sys.argv[1])).with_seed(int(sys.argv[2]))).run()
for table in (found.frame, found.events, found.bill, found.costs):
    print(table.to_csv())
"""


def in_another_process(seed, hashes):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(WAVE), str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hashes},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        timeout=120,
    ).stdout


def test_the_same_seed_gives_the_same_bytes():
    assert in_another_process(3, "1") == in_another_process(3, "2")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"maximum": 3}, "There is no 'maximum' in cluster_autoscaler."),
        ({"min": 4, "max": 3}, "The group workers cannot have 4 to 3 nodes."),
        ({"groups": [{}, {}]}, "Two node groups have the same name."),
    ],
)
def test_a_slip_is_named(given, message):
    with pytest.raises(UsageError) as caught:
        wave(cluster_autoscaler=given)
    assert str(caught.value).startswith(message)


def test_the_command_prints_orders_and_the_bill(tmp_path, capsys):
    path = tmp_path / "wave.yaml"
    path.write_text(WAVE.read_text().replace("minutes: 60", "minutes: 7"))
    assert main(["simulate", str(path)]) == 0
    *lines, played, cost = capsys.readouterr().out.splitlines()
    orders = [line for line in lines if "triggered scale-up" in line]
    assert orders[0].endswith("and 2 more: pod triggered scale-up: [{workers 0->1 (max: 5)}]")
    assert played.startswith("0:07:00 of a wave in ")
    assert cost == "the nodes cost $0.012: 1 fixed $0.010, 1 autoscaled $0.002"
