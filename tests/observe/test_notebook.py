"""In a real Jupyter kernel: what a learner's notebook does, and what is left in its outputs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jupyter_client import KernelManager

from labkit.observe import LiveFigure
from tests.observe.recordings import scaling

SETUP = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.observe import objects
from labkit.observe import LiveFigure, Recorder, hpa_timeline
from labkit.observe.sample import Answers

class Script:
    ready = 0
    def read(self):
        self.ready += 1
        return Answers(deployment=objects.deployment(9, self.ready))

recorder = Recorder(None, "web", interval=0.1, source=Script()).start()
"""


class Kernel:
    """A kernel, and what its cells put out."""

    def __init__(self) -> None:
        self.manager = KernelManager()
        # Not the kernel of some installed kernelspec, but one of this very Python.
        self.manager.kernel_cmd = [
            sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
        ]  # fmt: skip
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str, interrupt_at: str | None = None) -> list[dict]:
        """Run a cell; interrupt it when its output contains `interrupt_at`."""
        messages: list[dict] = []

        def hook(message: dict) -> None:
            messages.append(message)
            if interrupt_at and interrupt_at in message["content"].get("text", ""):
                self.manager.interrupt_kernel()

        self.client.execute_interactive(code, output_hook=hook, timeout=60)
        kinds = ("stream", "display_data", "update_display_data", "execute_result", "error")
        return [
            {"kind": each["msg_type"], **each["content"]}
            for each in messages
            if each["msg_type"] in kinds
        ]

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
    assert kernel.run(SETUP) == []
    yield kernel
    kernel.close()


def test_a_figure_is_shown_once_as_picture_and_text(kernel):
    code = "from tests.observe.recordings import scaling\nhpa_timeline(scaling())"
    (shown,) = kernel.run(code)
    assert shown["kind"] == "execute_result"
    assert shown["data"]["text/plain"].startswith("1 → 3 Pods 20 s after the load began")
    assert shown["data"]["image/png"].startswith("iVBOR")
    assert shown["metadata"]["image/png"] == {"width": 900}


def test_waiting_updates_one_display(kernel):
    code = "end = recorder.frame().t.iloc[-1] + 1\nrecorder.until(lambda now: now.t > end, 30).t"
    first, *others, result = kernel.run(code)
    assert first["kind"] == "display_data"
    assert {other["kind"] for other in others} == {"update_display_data"}
    assert others[-1]["data"]["text/plain"].endswith("of 9 Pods ready")
    assert result["kind"] == "execute_result"


def test_a_live_figure_is_one_display_that_ends_in_a_sharp_picture(kernel):
    code = """
with LiveFigure(recorder, every=0.1) as live:
    start = recorder.frame().t.iloc[-1]
    print("prints go elsewhere")
    recorder.until(lambda now: now.t > start + 2, 30, progress=live)
"""
    outputs = kernel.run(code)
    figures = [output for output in outputs if output["kind"] != "stream"]
    assert [output["text"] for output in outputs if output["kind"] == "stream"] == [
        "prints go elsewhere\n"
    ]
    assert figures[0]["kind"] == "display_data"
    assert {output["kind"] for output in figures[1:]} == {"update_display_data"}
    assert len({output["transient"]["display_id"] for output in figures}) == 1
    assert len(figures[-1]["data"]["image/png"]) > len(figures[-2]["data"]["image/png"])


def test_a_load_runs_beside_the_kernel_s_own_loop_and_an_interrupt_keeps_its_seconds(kernel):
    code = """
import http.server, threading, psutil
from labkit.load import run, step
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
server.RequestHandlerClass.log_message = lambda *args: None
server.handle_error = lambda *args: None  # for the requests that the interrupt ends
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d/" % server.server_address[1]
frame = run(url, step(20, 600), on_second=lambda row: print("a second"))
print(len(frame) > 0, frame.attrs["summary"]["interrupted"], psutil.Process().children())
"""
    outputs = kernel.run(code, interrupt_at="a second")
    text = "".join(output["text"] for output in outputs if output["kind"] == "stream")
    assert "Interrupted: " in text
    assert text.splitlines()[-1] == "True True []"
    assert not [output for output in outputs if output["kind"] == "error"]


def test_outside_jupyter_a_live_figure_does_nothing(capsys):
    class Untouchable:
        frame = property(lambda self: pytest.fail("it was drawn"))

    with LiveFigure(Untouchable()) as live:
        assert live() is None
    assert capsys.readouterr().out == ""


def test_outside_jupyter_the_figure_can_be_asked_for():
    class Recording:
        events = None

        def frame(self):
            return scaling()

    assert "3 Pods" in LiveFigure(Recording(), objective_ms=200).figure().facts
