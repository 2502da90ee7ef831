"""Health checks: by tables, and alike on both engines."""

from __future__ import annotations

import pytest

from labkit.engine import health
from labkit.engine.health import Health
from tests.engine.conftest import Lab, until
from tests.engine.test_docker_sdk import FOREVER, refused
from tests.engine.test_lifecycle import actions

SECOND = 10**9


@pytest.mark.parametrize(
    ("config", "codes", "statuses"),
    [
        ({}, [1, 1, 1], ["starting", "starting", "unhealthy"]),
        ({}, [0, 1, 1, 1, 0], ["healthy", "healthy", "healthy", "unhealthy", "healthy"]),
        ({"Retries": 1}, [1], ["unhealthy"]),
        ({}, [1, 1, 0, 1, 1], ["starting", "starting", "healthy", "healthy", "healthy"]),
        ({"Retries": 1, "StartPeriod": 2 * SECOND}, [1, 1, 1], ["starting"] * 2 + ["unhealthy"]),
        ({"Retries": 1, "StartPeriod": 9 * SECOND}, [0, 1], ["healthy", "unhealthy"]),
    ],
)
def test_checks_make_a_status(config, codes, statuses) -> None:
    """One check a second, from the container's start on."""
    seen, found = Health(config), []
    for age, code in enumerate(codes):
        seen.judge(code, age)
        found.append(seen.status)
    assert found == statuses


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, []),
        ({"Test": []}, []),
        ({"Test": ["NONE"]}, []),
        ({"Test": ["CMD", "a", "b"]}, ["a", "b"]),
        ({"Test": ["CMD-SHELL", "a b"]}, ["/bin/sh", "-c", "a b"]),
    ],
)
def test_a_check_is_a_command(config, words) -> None:
    assert health.command(config) == words


def test_health_follows_a_check(lab: Lab) -> None:
    check = {
        "Test": ["CMD-SHELL", "echo looked; test -f well"],
        "Interval": SECOND // 5,
        "Timeout": 10 * SECOND,
        "Retries": 2,
    }
    container = lab.run(FOREVER, working_dir="/tmp/w", healthcheck=check)

    def status() -> str:
        return lab.api.inspect_container(container.id)["State"]["Health"]["Status"]

    def listed(health: str) -> bool:
        filters = {"health": health, "id": container.id}
        return bool(lab.client.containers.list(filters=filters))

    until(lambda: status() == "unhealthy", "two failures", 40)
    assert listed("unhealthy")
    container.exec_run(["touch", "well"], workdir="/tmp/w")
    until(lambda: status() == "healthy", "a success", 40)
    assert listed("healthy")
    assert not listed("none")
    seen = lab.api.inspect_container(container.id)["State"]["Health"]
    assert seen["FailingStreak"] == 0
    assert (seen["Log"][-1]["ExitCode"], seen["Log"][-1]["Output"]) == (0, "looked\n")
    assert len(seen["Log"]) <= 5
    (row,) = lab.api.containers(filters={"id": container.id})
    assert row["Status"].endswith("(healthy)")
    changes = [a for a in actions(lab, container) if a.startswith("health_status")]
    assert changes == ["health_status: unhealthy", "health_status: healthy"]
    container.kill()
    assert status() == "unhealthy"


def test_a_check_that_takes_too_long_has_failed(lab: Lab) -> None:
    check = {"Test": ["CMD", "sleep", "30"], "Interval": SECOND // 5, "Timeout": SECOND // 2}
    container = lab.run(FOREVER, healthcheck=check)

    def log() -> list[dict]:
        return lab.api.inspect_container(container.id)["State"]["Health"]["Log"]

    until(log, "the first check has ended", 40)
    assert log()[0]["ExitCode"] == -1
    assert log()[0]["Output"].startswith("Health check exceeded timeout (")


def test_a_check_without_sense_is_refused(lab: Lab) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 1000}
    assert refused(lab.create, "true", healthcheck=check) == (
        400,
        "Interval in Healthcheck cannot be less than 1ms",
    )
