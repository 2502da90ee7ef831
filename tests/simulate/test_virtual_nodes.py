"""Virtual nodes in a simulation: the live ones' delays, prices and reclaims."""

from pathlib import Path

import pytest
import yaml

from labkit.errors import UsageError
from labkit.kube.resources import EVENTS, PODS
from labkit.kubelet.virtual import PRICES, SPOT, cost
from labkit.observe.bill import bill as live_bill
from labkit.simulate import Scenario, Simulation

WAVE = Path(__file__).with_name("wave.yaml")
RATHER_A_MACHINE = {
    "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "preference": {
                    "matchExpressions": [
                        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}
                    ]
                },
            }
        ]
    }
}
TOLERATES = [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}]


def wave(*virtual):
    """The scenario whose Pods may go to virtual nodes where no machine has room."""
    given = yaml.safe_load(WAVE.read_text())
    del given["cluster_autoscaler"]
    manifests = list(yaml.safe_load_all(given["manifests"]))
    manifests[0]["spec"]["template"]["spec"] |= {
        "affinity": RATHER_A_MACHINE,
        "tolerations": TOLERATES,
    }
    return Scenario.read(given | {"manifests": manifests, "virtual_nodes": list(virtual)})


@pytest.fixture(scope="module")
def simulation():
    with Simulation(wave("on-demand")) as found:
        found.advance(900)
        yield found


def listed(simulation, resource):
    return simulation._loop.run(simulation._cluster.client.list(resource))["items"]


def test_pods_without_room_on_a_machine_start_on_an_instance_after_its_delay(simulation):
    there = [pod for pod in listed(simulation, PODS) if pod["spec"]["nodeName"] == "virtual"]
    events = [each for each in listed(simulation, EVENTS) if each["reason"] == "Provisioning"]
    assert len(there) == len(events) == 3
    frame = simulation.recording().frame
    wanted, ready = (
        frame.t[frame[column] == 8].iloc[0] for column in ("replicas_spec", "replicas_ready")
    )
    assert 10 < ready - wanted < 20


def test_a_pod_costs_what_it_requests_while_it_runs(simulation):
    bill = simulation.recording().bill
    pods = [pod for pod in listed(simulation, PODS) if pod["spec"]["nodeName"] == "virtual"]
    hourly = cost(pods[0], PRICES["on-demand"], 3600)
    row = bill.loc["virtual"]
    assert (row.kind, row.capacity_type) == ("virtual", "on-demand")
    assert row.cost == pytest.approx(row.pod_seconds / 3600 * hourly)
    assert 0 < row.pod_seconds < 3 * 600
    assert set(bill.columns) & set(live_bill([]).columns) == {
        "capacity_type",
        "pod_seconds",
        "cost",
    }


def test_costs_follow_the_number_of_instances(simulation):
    costs = simulation.recording().costs
    assert costs.instances.iloc[-1] == 3
    assert costs.instances[costs.t == 100].item() == 0
    assert costs.rate.iloc[-1] > costs.rate.iloc[0]


def test_spot_instances_are_taken_back_after_a_notice_and_replaced():
    spot = {"capacity_type": SPOT, "reclaim_interval": 300, "reclaim_notice": 60}
    with Simulation(wave(spot)) as simulation:
        simulation.advance(1400)
        pods, events = listed(simulation, PODS), listed(simulation, EVENTS)
        frame, bill = simulation.recording().frame, simulation.recording().bill
    told = [each for each in events if each["reason"] == "SpotToBeReleased"]
    failed = [pod for pod in pods if pod["status"].get("reason") == "BidFailed"]
    assert told[0]["message"] == "Spot container instance will be released in 60 seconds"
    assert failed
    assert {pod["status"]["phase"] for pod in failed} == {"Failed"}
    assert {pod["metadata"]["name"] for pod in failed} <= {
        each["involvedObject"]["name"] for each in told
    }
    # Others came in their place, a start's delay later.
    later = frame[frame.t > 600].replicas_ready
    assert later.min() == 7
    assert later.iloc[-1] == 8
    assert bill.loc["spot", "cost"] < bill.loc["node-1", "cost"]


def test_there_is_no_other_kind():
    with pytest.raises(UsageError, match="There is no virtual node 'reserved'"):
        wave("reserved")
