"""Settings by their paths: what they reach, and what is said of a slip."""

from __future__ import annotations

import pytest
import yaml

from labkit.errors import UsageError
from labkit.simulate import Scenario
from labkit.simulate.cli import LESSON
from labkit.simulate.paths import vary

TEXT = LESSON.read_text()


def manifest(scenario, kind):
    return next(one for one in scenario.manifests if one["kind"] == kind)


def deployment(scenario):
    return manifest(scenario, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def autoscaler(scenario):
    return manifest(scenario, "HorizontalPodAutoscaler")["spec"]


PATHS = {
    "seed": (7, lambda found: found.seed),
    "minutes": (7, lambda found: found.seconds / 60),
    "application.cpu_ms": (7, lambda found: found.application.cpu_ms),
    "start.median": (7, lambda found: found.start.median),
    "nodes.count": (7, lambda found: found.nodes.count),
    "settings.metric_resolution": (7, lambda found: found.settings["metric_resolution"]),
    "HorizontalPodAutoscaler.spec.minReplicas": (7, lambda found: autoscaler(found)["minReplicas"]),
    "hpa/myapp.spec.minReplicas": (7, lambda found: autoscaler(found)["minReplicas"]),
    "hpa.spec.metrics.0.resource.target.averageUtilization": (
        7,
        lambda found: autoscaler(found)["metrics"][0]["resource"]["target"]["averageUtilization"],
    ),
    "hpa.spec.behavior.scaleDown.stabilizationWindowSeconds": (
        7,
        lambda found: autoscaler(found)["behavior"]["scaleDown"]["stabilizationWindowSeconds"],
    ),
    "Deployment.spec.template.spec.containers.myapp.resources.requests.cpu": (
        "7",
        lambda found: deployment(found)["resources"]["requests"]["cpu"],
    ),
    r"deploy.metadata.labels.example\.org/team": (
        "seven",
        lambda found: manifest(found, "Deployment")["metadata"]["labels"]["example.org/team"],
    ),
}


@pytest.mark.parametrize("given", [TEXT, LESSON, Scenario.read(TEXT)], ids=["text", "path", "read"])
@pytest.mark.parametrize("path", PATHS)
def test_a_path_sets_what_it_names_and_nothing_else(path, given):
    value, reached = PATHS[path]
    assert reached(vary(given, {path: value})) == value
    assert vary(given, {}) == Scenario.read(TEXT)


def test_a_whole_part_is_said_as_in_yaml_whatever_the_scenario_is_given_as():
    parts = {
        "load": [{"rate": 3, "seconds": 9}],
        "noise": {"spread": 0.2, "every": 10},
        "start": 4,
        "virtual_nodes": ["spot"],
        "cluster_autoscaler": {"max": 3},
        "faults": [{"at": 5, "kind": "pod-deleted"}],
    }
    varied = vary(Scenario.read(TEXT), parts)
    assert varied == vary(TEXT, parts)
    assert vary(varied, {"faults": varied.faults, "load": varied.load}) == varied


def test_the_load_of_a_scenarios_text_is_reached_by_the_number_of_its_piece():
    assert vary(TEXT, {"load.1.rate": 33}).load.peak == 33


def test_a_trace_beside_the_scenarios_file_is_found_from_anywhere(tmp_path):
    (tmp_path / "rates.csv").write_text("t,rate\n0,5\n60,9\n120,9\n")
    given = yaml.safe_load(TEXT) | {"load": [{"trace": "rates.csv"}], "minutes": 2}
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(given))
    assert vary(tmp_path / "scenario.yaml", {"seed": 3}).load.peak == 9


def test_several_settings_are_set_together():
    found = vary(TEXT, {"seed": 5, "hpa.spec.minReplicas": 2, "hpa.spec.maxReplicas": 9})
    spec = autoscaler(found)
    assert (found.seed, spec["minReplicas"], spec["maxReplicas"]) == (5, 2, 9)


def test_none_takes_away_what_is_there():
    found = vary(TEXT, {"Deployment.spec.template.spec.containers.myapp.resources.limits": None})
    assert deployment(found)["resources"] == {"requests": {"cpu": "200m"}}
    assert "minReplicas" not in autoscaler(vary(TEXT, {"hpa.spec.minReplicas": None}))


SLIPS = {
    "aplication.cpu_ms": r"There is no 'aplication' in the scenario.*Did you mean application\?",
    "Ingress.spec": "There is no 'Ingress'.*of manifests Deployment/myapp, HorizontalPodAutosc",
    "hpa/web.spec": "There is no 'hpa/web' in the scenario",
    "application.cpu": "no 'cpu' in application.*cpu_ms",
    "hpa.spec.minReplica": r"hpa.spec has no 'minReplica'.*Did you mean minReplicas\?",
    "hpa.spec.behavior.scaleDown.window": "hpa.spec.behavior.scaleDown has no 'window'.*policies",
    "hpa.spec.metrics.1.resource": r"hpa.spec.metrics has no '1'. There is 0\.",
    "hpa.spec.minReplicas.x": "hpa.spec.minReplicas is 1. Nothing is in it",
    "hpa.spec.behavior.scaleUp.policies.0.value": "policies is an empty list",
    "deploy.spec.template.spec.containers.web.image": "has no 'web'. There are 0, myapp",
    "load.9.rate": "load has no '9'. There are 0, 1, 2",
}


@pytest.mark.parametrize(("path", "message"), SLIPS.items(), ids=SLIPS)
def test_a_path_that_leads_nowhere_says_how_far_it_came_and_what_there_is(path, message):
    with pytest.raises(UsageError, match=message):
        vary(TEXT, {path: 1})


def test_a_kind_that_is_there_twice_needs_a_name():
    given = yaml.safe_load(TEXT)
    given["manifests"] += "---\n" + given["manifests"].split("---")[1].replace("myapp", "other")
    with pytest.raises(UsageError, match=r"2 manifests that 'hpa' can mean.*/myapp or Horizontal"):
        vary(given, {"hpa.spec.minReplicas": 2})
    assert autoscaler(vary(given, {"hpa/myapp.spec.minReplicas": 2}))["minReplicas"] == 2
