"""`Placement`: where a Pod would go, and where if it requested more or less.

The cluster is read once; the sliders ask the scheduler's own filters and scores about it, so they
need no API server and change nothing.
"""

from __future__ import annotations

import copy
import html
from collections.abc import Mapping
from typing import Any

from labkit.kube import resourcelist
from labkit.kube.quantity import parse_quantity
from labkit.kube.resources import NODES
from labkit.scheduler.explanation import Explanation
from labkit.scheduler.question import Question
from labkit.widgets.panel import Panel, button, slider
from labkit.widgets.scheduling_table import COLUMNS, table
from labkit.widgets.view import View

_MIB = 2**20


class Placement(View):
    """An explanation (`frame`, `nodes`, `best` are its own) that can be asked "and if?"."""

    kind = "placement"

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question
        self._begun = requests(question.pod)
        self.explanation: Explanation = question.answer()

    @property
    def frame(self):
        """All filters and scores of all nodes as a pandas DataFrame."""
        return self.explanation.frame

    @property
    def nodes(self):
        """The verdicts on all nodes, the best one first."""
        return self.explanation.nodes

    @property
    def best(self) -> list[str]:
        """The nodes among which the scheduler would draw; none where none is possible."""
        return self.explanation.best

    def what_if(self, cpu: float, memory: float) -> Explanation:
        """The explanation if the Pod requested so much (millicores, MiB)."""
        pod = with_requests(self._question.pod, cpu, memory)
        return self._question._replace(pod=pod).answer()

    # -- faces ------------------------------------------------------------------------------------

    def text(self) -> str:
        return repr(self.explanation)

    def html(self) -> str:
        return self.explanation._repr_html_()

    def make_panel(self) -> Panel:
        cpu, memory = map(round, self._begun)
        panel = Panel(
            title="Scheduling explained: node by node",
            controls=[
                slider("cpu", "The Pod requests CPU", cpu, 0, self._beyond("cpu", 1e-3), 50, "m"),
                slider("memory", "and memory", memory, 0, self._beyond("memory", _MIB), 32, "MiB"),
                button("back", "As it is"),
            ],
            values={"cpu": cpu, "memory": memory},
        )
        panel.on_values(lambda values: self._turn(panel, values))
        panel.on_press(lambda _: setattr(panel, "values", {"cpu": cpu, "memory": memory}))
        self._show(panel)
        return panel

    # -- life -------------------------------------------------------------------------------------

    def _beyond(self, resource: str, unit: float) -> float:
        """A quarter more than the largest node has: the slider reaches what fits nowhere."""
        amounts = [
            parse_quantity(((node.get("status") or {}).get("allocatable") or {}).get(resource, "0"))
            for node in self._question.stores[NODES].values()
        ]
        return round(1.25 * float(max(amounts, default=0)) / unit)

    def _turn(self, panel: Panel, values: Mapping[str, Any]) -> None:
        self.explanation = self.what_if(values["cpu"], values["memory"])
        self._show(panel)

    def _show(self, panel: Panel) -> None:
        found = self.explanation
        more = len(found.nodes) - COLUMNS
        with panel.hold_sync():
            panel.words = "".join(f"<p>{html.escape(line)}</p>" for line in found.summary())
            panel.picture = table(found)
            panel.note = f"{more} more nodes are in .frame" if more > 0 else ""


def requests(pod: Mapping) -> tuple[float, float]:
    """What a whole Pod requests: millicores and MiB."""
    total = resourcelist.pod_requests(pod["spec"])
    cpu, memory = (parse_quantity(total.get(name, "0")) for name in ("cpu", "memory"))
    return float(cpu * 1000), float(memory / _MIB)


def with_requests(pod: Mapping, cpu: float, memory: float) -> dict:
    """The Pod if all of it requested so much: its first container takes the difference."""
    changed = copy.deepcopy(dict(pod))
    before = requests(pod)
    first = changed["spec"]["containers"][0]
    mine = requests({"spec": {"containers": [first]}})
    amounts = (mine[0] + cpu - before[0], mine[1] + memory - before[1])
    wanted = dict(resourcelist.of_container(first, "requests"))
    for name, amount, unit in zip(("cpu", "memory"), amounts, ("m", "Mi"), strict=True):
        wanted.pop(name, None)
        # No request at all is another thing than one of zero: the scores assume a little then.
        if round(amount) > 0:
            wanted[name] = f"{round(amount)}{unit}"
    first["resources"] = {**(first.get("resources") or {}), "requests": wanted}
    return changed
