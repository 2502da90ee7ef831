"""Time-lapse: the cluster's own control plane on a virtual clock.

An hour of autoscaling passes in a second, because nobody waits: API server, controllers and
scheduler are those of the live cluster, and only the clock, the nodes and the application are
models.  In reading order:

    loop         an event loop that goes to the next moment at once
    nodes        Pods that start and end after a while: all kubelets
    application  requests, and Pods that are queues
    scenario     what is simulated, as YAML
    cluster      the parts, put together
    faults       what goes wrong
    simulation   what is played and recorded
    decisions    why the autoscalers did what they did
    story        what happened, as lines for a terminal
    paths        settings of a scenario by their paths: `vary`
    machines     node groups for a cluster autoscaler; `virtual_nodes`; `prices`: what both cost
    sweeps       a grid of settings → a table of scores; played by `workers`
    calibration  the models, fitted to a recording of a live cluster; with `estimates`, `rhythm`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.simulate.calibration import STAIRCASE, Agreement, Fit, agreement, fit
    from labkit.simulate.paths import vary
    from labkit.simulate.scenario import Scenario
    from labkit.simulate.simulation import Recording, Simulation
    from labkit.simulate.sweeps import sweep

__all__ = [
    "STAIRCASE",
    "Agreement",
    "Fit",
    "Recording",
    "Scenario",
    "Simulation",
    "agreement",
    "fit",
    "sweep",
    "vary",
]

_PLACES = {
    "STAIRCASE": "calibration",
    "Agreement": "calibration",
    "Fit": "calibration",
    "agreement": "calibration",
    "fit": "calibration",
    "Scenario": "scenario",
    "Recording": "simulation",
    "Simulation": "simulation",
    "sweep": "sweeps",
    "vary": "paths",
}


def __getattr__(name: str) -> object:
    """The names above, when they are asked for: `labkit --help` needs none of them."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"labkit.simulate.{_PLACES[name]}"), name)
