"""The cases of Kubernetes' own autoscaler tests, read from outside the project, and their values.

The file is the environment's LABKIT_VECTORS or `../shared/vectors/hpa.json` beside the repository.
Times in it are relative to now: `{"secondsAgo": 60}`, `"zero"` (Go's zero time) or null.
"""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from labkit.controllers.podautoscaler.behavior import Recommendation, ScaleEvent
from labkit.controllers.podautoscaler.metrics import PodMetric
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.kube import times
from labkit.kube.quantity import format_quantity

NOW = 1_800_000_000.0
ZERO_TIME = "0001-01-01T00:00:00Z"
#: Upstream's test constants, not the shipped defaults.
SETTINGS = HPAControllerConfiguration(
    horizontal_pod_autoscaler_cpu_initialization_period=120.0,
    horizontal_pod_autoscaler_initial_readiness_delay=10.0,
)
_BESIDE = Path(__file__).parents[4] / "shared" / "vectors" / "hpa.json"
#: (group, name) of every case that a test of the imported modules takes.
COVERED: set[tuple[str, str]] = set()
PATH = Path(os.environ.get("LABKIT_VECTORS", _BESIDE))
ABSENT = f"Kubernetes' test cases are not at {PATH}; set LABKIT_VECTORS to that file"


@cache
def vectors() -> dict:
    """All groups of cases, or nothing where the file is absent."""
    return json.loads(PATH.read_text()) if PATH.exists() else {}


def cases(group: str, only: str = "", without: str = ""):
    """A parametrize decorator over one group, or over one case of it, or all but one.

    Where the file is absent there is a single case, which is skipped.
    """
    found = vectors().get(group)
    if found is None:
        skipped = pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))
        return pytest.mark.parametrize("case", [skipped])
    chosen = [case for case in found if only in ("", case["name"]) and case["name"] != without]
    COVERED.update((group, case["name"]) for case in chosen)
    return pytest.mark.parametrize("case", chosen, ids=[case["name"] for case in chosen])


def moment(value) -> float:
    """A time of the file as Unix seconds."""
    return times.parse(ZERO_TIME) if value == "zero" else NOW - value["secondsAgo"]


def timestamp(value) -> str | None:
    """A time of the file as the API spells it."""
    if value is None:
        return None
    return ZERO_TIME if value == "zero" else times.rfc3339(moment(value))


def milli(amount: int) -> str:
    """A quantity of so many thousandths."""
    whole, rest = divmod(amount, 1000)
    return format_quantity(whole) if rest == 0 and whole < 2**63 else f"{amount}m"


def pod(case: dict, labels: dict | None = None, namespace: str = "test-namespace") -> dict:
    """A Pod object from a case."""
    meta = {"name": case["name"], "namespace": namespace, "labels": labels or {}}
    if case.get("deleted"):
        meta["deletionTimestamp"] = times.rfc3339(NOW)
    status = {"phase": case.get("phase"), "startTime": timestamp(case.get("startTime"))}
    if ready := case.get("readyCondition"):
        status["conditions"] = [
            {
                "type": "Ready",
                "status": ready["status"],
                "lastTransitionTime": timestamp(ready["lastTransitionTime"]),
            }
        ]
    spec = {
        "containers": [_container(part) for part in case.get("containers", [])],
        "initContainers": [_container(part) for part in case.get("initContainers", [])],
        "resources": {"requests": _quantities(case.get("podLevelRequestsMilli", {}))},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}


def _container(case: dict) -> dict:
    return {
        "name": case["name"],
        "restartPolicy": case.get("restartPolicy"),
        "resources": {"requests": _quantities(case["requestsMilli"])},
    }


def _quantities(amounts: dict) -> dict:
    return {name: milli(amount) for name, amount in amounts.items()}


def pod_metrics(case: dict) -> dict:
    """A PodMetrics object from a case."""
    return {
        "metadata": {"name": case["pod"], "namespace": "test-namespace"},
        "timestamp": timestamp(case["timestamp"]),
        "window": f"{case['window']}s",
        "containers": [
            {"name": part["name"], "usage": _quantities(part["usageMilli"])}
            for part in case["containers"]
        ],
    }


def samples(case: dict) -> dict[str, PodMetric]:
    """PodMetricsInfo from a case's `metrics`."""
    return {
        name: PodMetric(metric["value"], moment(metric["timestamp"]), metric["window"])
        for name, metric in case.items()
    }


def recommendations(case: list) -> tuple[Recommendation, ...]:
    """A log of recommendations."""
    return tuple(Recommendation(entry["value"], moment(entry)) for entry in case)


def scale_events(case: list) -> tuple[ScaleEvent, ...]:
    """A log of scale events."""
    return tuple(ScaleEvent(entry["value"], moment(entry), entry["outdated"]) for entry in case)
