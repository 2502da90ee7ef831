"""Against a real server: the numbers that come out are those that went in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap

import psutil
import pytest

from labkit import load
from labkit.errors import LabkitError, UsageError
from labkit.load import Load, ramp, run, start, step
from labkit.load.tally import COLUMNS


def test_a_healthy_server_completes_all_that_is_offered(server):
    rows = []
    frame = run(f"{server.url}fast", step(50, 2), on_second=rows.append)
    assert tuple(frame.columns) == COLUMNS
    assert [row["second"] for row in rows] == list(frame["second"])
    assert list(frame["offered"][:2]) == [50, 50]
    assert frame["completed"].sum() == 100
    summary = frame.attrs["summary"]
    assert (summary["total"], summary["errors"], summary["unfinished"]) == (100, 0, 0)
    assert summary["served_by"] == {"pod-a": 100}
    assert server.agents == {"labkit-load": 100}


def test_each_second_offers_what_the_profile_says(server):
    frame = run(f"{server.url}fast", ramp(0, 60, 2) + step(0, 1) + step(30, 1))
    assert list(frame["offered"][:4]) == [15, 45, 0, 30]


def test_latency_is_that_of_the_server(server):
    frame = run(f"{server.url}slow", step(20, 2))
    summary = frame.attrs["summary"]
    assert summary["completed"] == 40
    assert 100 <= summary["p50"] < 1000
    assert frame["p50"].dropna().ge(100).all()


def test_a_stall_of_the_server_is_seen_by_every_request_that_was_due(server):
    # A closed loop would show one slow request: the others would have been sent after the stall.
    frame = run(f"{server.url}stall", step(50, 1))
    summary = frame.attrs["summary"]
    assert summary["completed"] == 50
    assert summary["p99"] > 900
    assert summary["p50"] > 300  # all fell due during the stall and waited half of it on average


def test_a_new_connection_is_opened_for_each_request(server):
    run(f"{server.url}fast", step(30, 1))
    assert server.connections == 30 + 1  # and one that asks whether anybody is there


def test_keep_alive_reuses_connections(server):
    run(f"{server.url}fast", step(30, 1), keep_alive=True)
    assert server.connections < 10


@pytest.mark.parametrize(
    ("path", "options", "kind"),
    [
        ("broken", {}, "HTTP 503"),
        ("missing", {}, "HTTP 404"),
        ("close", {}, "closed"),
        ("never", {"timeout": 0.2}, "timeout"),
    ],
)
def test_what_goes_wrong_is_counted_by_its_kind(server, path, options, kind):
    frame = run(f"{server.url}{path}", step(20, 1), **options)
    assert frame.attrs["summary"]["errors_by_kind"] == {kind: 20}
    assert frame["errors"].sum() == 20
    assert frame["p99"].isna().all()


def test_errors_name_the_pod_that_made_them(server):
    frame = run(f"{server.url}broken", step(10, 1))
    assert frame.attrs["summary"]["served_by"] == {"pod-b": 10}


def test_a_server_that_goes_away_refuses(server):
    with start(f"{server.url}fast", step(20, 3)) as running:
        next(running.follow())
        server.stop()
        summary = running.result().attrs["summary"]
    assert summary["total"] == 60
    assert summary["errors_by_kind"].get("refused", 0) > 0
    assert summary["completed"] + summary["errors"] == 60


def test_a_request_too_many_in_flight_is_dropped(server):
    frame = run(f"{server.url}never", step(50, 1), timeout=2, connections=10)
    assert frame.attrs["summary"]["errors_by_kind"] == {"dropped": 40, "timeout": 10}


def test_a_background_load_is_stopped_at_the_end_of_its_block(server):
    with start(f"{server.url}never", step(20, 600)) as running:
        next(running.follow())
        assert running.running
    assert not running.running
    frame = running.result()
    assert frame.attrs["summary"]["interrupted"]
    assert frame.attrs["summary"]["unfinished"] == frame["offered"].sum()


def test_a_load_can_be_looked_at_while_it_runs(server):
    with start(f"{server.url}fast", step(20, 600)) as running:
        next(running.follow())
        assert running.frame()["offered"][0] == 20
        assert running.seconds[0]["completed"] > 0
        assert "running" in repr(running)
    assert "ended" in repr(running)


def test_a_worker_that_is_killed_is_reported(server):
    with start(f"{server.url}fast", step(20, 600)) as running:
        next(running.follow())
        (worker,) = [child for child in psutil.Process().children() if _is_worker(child)]
        worker.kill()
        with pytest.raises(LabkitError, match="ended by itself"):
            running.result()
        assert running.frame()["offered"][0] == 20


def test_a_callback_that_fails_ends_the_load(server):
    with pytest.raises(ZeroDivisionError):
        run(f"{server.url}fast", step(20, 600), on_second=lambda row: 1 / 0)
    assert not [child for child in psutil.Process().children() if _is_worker(child)]


def test_a_callback_that_fails_in_the_background_is_reported_by_the_result(server):
    running = start(f"{server.url}fast", step(20, 600), on_second=lambda row: 1 / 0)
    with running, pytest.raises(ZeroDivisionError):
        running.result()


SCRIPT = """
    import sys
    from labkit.load import run, step
    frame = run(sys.argv[1], step(20, 600), on_second=lambda row: print("second", flush=True))
    import psutil
    print(len(frame) > 0, frame.attrs["summary"]["interrupted"], psutil.Process().children())
"""


def _script(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_an_interrupt_keeps_the_seconds_so_far_and_leaves_nothing_behind(server):
    with _script(f"{server.url}fast") as owner:
        assert owner.stdout.readline() == "second\n"
        owner.send_signal(signal.SIGINT)
        output, _ = owner.communicate(timeout=30)
    *_, said, state = (text for text in output.splitlines() if text != "second")
    assert said.startswith("Interrupted: ")
    assert state == "True True []"
    assert owner.returncode == 0


def test_the_worker_dies_with_its_owner(server):
    with _script(f"{server.url}never") as owner:
        assert owner.stdout.readline() == "second\n"
        (worker,) = psutil.Process(owner.pid).children()
        owner.kill()
        owner.wait(10)
    _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive


def _is_worker(process: psutil.Process) -> bool:
    return "labkit.load.worker" in process.cmdline()


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("ftp://127.0.0.1/", "http://127.0.0.1:8080/"),
        ("http://", "http://127.0.0.1:8080/"),
        ("http://127.0.0.1:http/", "http://127.0.0.1:8080/"),
        ("", "http://127.0.0.1:8080/"),
    ],
    ids=["no-scheme", "ftp", "no-host", "port-by-name", "empty"],
)
def test_what_is_no_url_is_refused_with_one_that_is(url, part):
    with pytest.raises(UsageError) as caught:
        Load(url, step(1, 1))
    assert part in caught.value.fix


def test_an_address_where_nobody_listens_is_refused_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UsageError, match=f"Nobody answers at http://127.0.0.1:{port}/"):
        run(f"http://127.0.0.1:{port}/", step(1, 1))


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": 61}, {"connections": 0}])
def test_limits_without_sense_are_refused(options):
    with pytest.raises(UsageError):
        Load("http://127.0.0.1:8080/", step(1, 1), **options)


def test_a_load_is_good_for_one_run(server):
    with start(f"{server.url}fast", step(20, 600)) as running, pytest.raises(UsageError):
        running.start()


def test_a_load_that_was_not_started_has_no_result():
    with pytest.raises(UsageError, match=r"labkit\.load\.start"):
        load.Load("http://127.0.0.1:8080/", step(1, 1)).result()


def test_python_s_own_modules_win_over_files_beside_the_notebook(server, tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert os.listdir() == ["random.py"]
    assert run(f"{server.url}fast", step(10, 1)).attrs["summary"]["completed"] == 10
