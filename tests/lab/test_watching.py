"""Who watches meanwhile has the load in the recording, from its beginning."""

from __future__ import annotations

from types import SimpleNamespace

from labkit.lab.watching import Watching


class Recording:
    """In place of a `Recorder`: keeps the rows that it is given."""

    deployment = "web"

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.load_second = self.rows.append

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def until(self, *args: object, **options: object) -> None:
        pass


def test_a_watch_knows_what_running_loads_have_sent_before_it_began():
    first, second, over = {"time": 1.0}, {"time": 2.0}, {"time": 0.0}
    watching, recording = Watching(), Recording()
    watching._loads = [
        SimpleNamespace(running=False, seconds=[over], stop=lambda: None),
        SimpleNamespace(running=True, seconds=[first, second], stop=lambda: None),
    ]
    watching.watch(recording, None, 1)
    assert recording.rows == [first, second]
