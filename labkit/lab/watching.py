"""Load and recording, as a notebook uses them: started in one line, shown by one cell.

    load = lab.load("myapp", labkit.step(25, 30), path="api/rule")
    lab.watch("myapp", until=lambda now: not load.running and now.replicas_ready == 1)

The load runs in a process of its own.  Whoever watches meanwhile has it in the recording; the cell
that watches shows the figure, and when it is interrupted the load ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from labkit.errors import UsageError
from labkit.load import Load, Profile, start

if TYPE_CHECKING:
    import pandas as pd
    from kubernetes.client import ApiClient

    from labkit.observe import Recorder


class Watching:
    """The loads that a notebook has started, and who records them."""

    def __init__(self) -> None:
        self._loads: list[Load] = []
        self._recorder: Recorder | None = None

    def load(self, url: str, profile: Profile, **options: Any) -> Load:
        """Start a load in the background.  Raises UsageError."""
        found = start(url, profile, on_second=self._second, **options)
        self._loads = [*(load for load in self._loads if load.running), found]
        return found

    def _second(self, row: Mapping[str, Any]) -> None:
        if self._recorder is not None:
            self._recorder.load_second(row)

    def _so_far(self) -> list[Mapping[str, Any]]:
        """What the loads that run have sent before anybody watched."""
        return [row for load in self._loads if load.running for row in load.seconds]

    @property
    def loaded(self) -> bool:
        """Whether a load is running."""
        return any(load.running for load in self._loads)

    def stop(self) -> None:
        """End all loads.  Safe to repeat."""
        for load in self._loads:
            load.stop()

    def watch(
        self,
        recorder: Recorder,
        until: Callable[[pd.Series], bool] | None,
        timeout: float,
        **figure: Any,
    ) -> Recorder:
        """Record and show until `until` holds, or the loads are over.  See `Lab.watch`."""
        if until is None and not self.loaded:
            raise UsageError(
                "There is nothing to wait for.",
                "Without a load that is running, only you know when to stop watching.",
                "Try: lab.watch('myapp', until=lambda now: now.replicas_ready == 3)",
            )
        self._recorder = recorder
        for row in self._so_far():
            recorder.load_second(row)
        try:
            with recorder:
                _show(recorder, until or (lambda now: not self.loaded), timeout, **figure)
        except BaseException:
            self.stop()
            raise
        finally:
            self._recorder = None
        return recorder


def _show(
    recorder: Recorder, until: Callable[[pd.Series], bool], timeout: float, **figure: Any
) -> None:
    from labkit.observe import LiveFigure
    from labkit.observe.notebook import in_jupyter

    what = f"the end of lab.watch: the condition, for deployment/{recorder.deployment}"
    if not in_jupyter():
        recorder.until(until, timeout, what=what)
        return
    with LiveFigure(recorder, **figure) as live:
        recorder.until(until, timeout, what=what, progress=live)


def recorder(api: ApiClient, deployment: str, namespace: str) -> Recorder:
    """A recorder of `myapp` or `deployment/myapp`.  Raises UsageError."""
    from labkit.observe import Recorder

    kind, slash, plain = deployment.rpartition("/")
    if slash and kind not in ("deployment", "deployments", "deploy", "deployment.apps"):
        raise UsageError(
            f"A {kind} cannot be watched.",
            "The figure shows a Deployment, its autoscaler and its Pods.",
            f"Try: lab.watch({plain!r})",
        )
    return Recorder(api, plain, namespace)
