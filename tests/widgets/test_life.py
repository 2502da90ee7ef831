"""What opens a view, what ends it, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from labkit.widgets import stage, view
from labkit.widgets.background import Background, Pace, once
from labkit.widgets.panel import WIDGET, Panel
from labkit.widgets.runs import Newest
from labkit.widgets.stage import STAGE
from labkit.widgets.view import View
from tests.serving import until


class Clockwork(View):
    """A view that counts, in a thread of its own."""

    kind = "clockwork"

    def __init__(self, seconds: float = 60.0) -> None:
        super().__init__()
        self.count, self._seconds = 0, seconds

    def text(self) -> str:
        return f"count {self.count}"

    def html(self) -> str:
        return f"<b>{self.count}</b>"

    def make_panel(self) -> Panel:
        return Panel(title="Clockwork")

    def begin(self) -> None:
        panel = self.panel
        self.background = Background("clock", lambda: self._tick(panel), self._seconds, self.end)
        self.background.start()

    def finish(self) -> None:
        self.background.stop()

    async def _tick(self, panel: Panel) -> None:
        while True:
            self.count += 1
            panel.words = str(self.count)
            await asyncio.sleep(0.01)


class Handle:
    """What IPython gives for a display with an id."""

    def __init__(self) -> None:
        self.shown: list[dict] = []

    def update(self, data: dict, raw: bool) -> None:
        self.shown.append(data)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("labkit ")]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front end with a person before it."""
    monkeypatch.setattr(view, "somebody_is_there", lambda: True)


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    STAGE.end("the test ended")
    assert threads() == []


def opened(made: View) -> Handle:
    made._handle = handle = Handle()
    made.open()
    return handle


def test_a_view_has_three_faces(there):
    made = Clockwork()
    bundle = made._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", WIDGET]
    assert bundle[WIDGET]["model_id"] == made.panel.model_id
    assert repr(made).startswith("count ")


def test_where_nobody_is_there_it_is_static_and_nothing_runs():
    made = Clockwork()
    assert list(made._repr_mimebundle_()) == ["text/plain", "text/html"]
    assert not made.is_open


def test_a_view_ends_in_a_static_frame_of_its_last_state():
    made = Clockwork()
    handle = opened(made)
    until(lambda: made.count > 3, 10, "it ticks")
    made.end("stopped")
    (last,) = handle.shown
    assert set(last) == {"text/plain", "text/html"}
    assert last["text/plain"] == f"count {made.count}"
    assert "Stopped: run the cell again" in last["text/html"]
    assert threads() == []
    made.end("once more")
    assert len(handle.shown) == 1


def test_a_view_ends_by_itself_after_its_time():
    made = Clockwork(seconds=0.1)
    handle = opened(made)
    until(lambda: not made.is_open, 10, "its time is over")
    until(lambda: threads() == [], 10, "its thread has ended")
    assert "Stopped after" in handle.shown[0]["text/html"]


def test_a_view_that_fails_says_so():
    class Broken(Clockwork):
        async def _tick(self, panel: Panel) -> None:
            raise ValueError("no such thing")

    made = Broken()
    handle = opened(made)
    until(lambda: handle.shown, 10, "it ends")
    assert "Failed: no such thing" in handle.shown[0]["text/html"]


def test_a_second_view_of_a_kind_ends_the_first():
    first, second = Clockwork(), Clockwork()
    opened(first)
    opened(second)
    assert (first.is_open, second.is_open) == (False, True)
    assert threads() == ["labkit clock"]


def test_an_ended_view_can_be_opened_again():
    made = Clockwork()
    opened(made)
    made.end()
    before = made.count
    opened(made)
    until(lambda: made.count > before, 10, "it goes on")


def test_running_its_cell_again_ends_a_view_and_running_another_one_does_not(monkeypatch):
    monkeypatch.setattr(stage, "_cell", lambda: "cell-7")
    made = Clockwork()
    opened(made)
    STAGE._before(SimpleNamespace(cell_id="cell-8"))
    assert made.is_open
    STAGE._before(SimpleNamespace(cell_id="cell-7"))
    assert not made.is_open


def test_an_interrupt_ends_all_views_and_an_error_none():
    made = Clockwork()
    opened(made)
    STAGE._after(SimpleNamespace(error_in_exec=ValueError()))
    assert made.is_open
    STAGE._after(SimpleNamespace(error_in_exec=KeyboardInterrupt()))
    assert not made.is_open


async def test_what_happens_often_is_drawn_seldom():
    pace, drawn = Pace(every=0.05), 0
    for _ in range(3):
        for _ in range(100):
            pace.news()
        await pace.wait()
        drawn += 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await pace.wait()
    assert drawn == 3


def test_once_gives_the_result_or_the_error_and_no_thread():
    async def work(value: int) -> float:
        await asyncio.sleep(0)
        return 1 / value

    assert once(lambda: work(2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        once(lambda: work(0))


def test_of_many_that_are_asked_for_the_newest_is_done():
    started, go = threading.Event(), threading.Event()
    worked, done = [], []

    def work(wanted: int, stale) -> int | None:
        worked.append(wanted)
        started.set()
        go.wait(10)
        return None if stale() else wanted

    runs = Newest(work, lambda asked, found: done.append((asked, found)))
    runs.ask(0)
    assert started.wait(10)
    for wanted in range(1, 50):
        runs.ask(wanted)
    go.set()
    until(lambda: done and threads() == [], 10, "the newest is done")
    assert (worked, done) == ([0, 49], [(49, 49)])
    runs.close()
    runs.ask(50)
    assert threads() == []


def test_work_that_fails_is_told_and_the_next_one_is_done():
    done = []
    runs = Newest(lambda wanted, _: 1 / wanted, lambda asked, found: done.append(found))
    runs.ask(0)
    until(lambda: done, 10, "it failed")
    runs.ask(2)
    until(lambda: len(done) == 2, 10, "it worked")
    runs.close()
    assert isinstance(done[0], ZeroDivisionError)
    assert done[1] == 0.5
