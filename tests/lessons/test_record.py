"""What was solved is kept, whatever happens to the file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import lessons
from labkit.lessons import record

NOON = 1_790_000_000.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_an_exercise_that_was_solved_stays_so(home: Path):
    assert record.read() == {}
    record.add("04-deploy/replicas", False, NOON)
    record.add("04-deploy/replicas", True, NOON)
    record.add("04-deploy/replicas", False, NOON + 60)
    entry = record.read()["04-deploy/replicas"]
    assert entry == record.Entry(3, "2026-09-21T14:13:20Z")


def test_the_file_is_the_learners_alone(home: Path):
    record.add("04-deploy/replicas", True, NOON)
    assert stat.S_IMODE(record.path().stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": "x"}',
        '{"version": 1, "exercises": {"a": 3}}',
        "\x00" * 9,
    ],
)
def test_a_damaged_file_is_put_aside(home: Path, damage: str):
    home.mkdir()
    record.path().write_text(damage)
    assert record.read() == {}
    record.add("04-deploy/replicas", True, NOON)
    assert record.read()["04-deploy/replicas"].solved
    assert record.path().with_suffix(".damaged").read_text() == damage


def test_a_file_of_a_later_version_is_left_alone(home: Path):
    home.mkdir()
    later = '{"version": 2, "exercises": []}'
    record.path().write_text(later)
    with pytest.raises(record.Unkept, match="later version"):
        record.add("04-deploy/replicas", True, NOON)
    assert record.path().read_text() == later
    assert "later version" in repr(lessons.progress())


def test_a_check_answers_even_where_nothing_can_be_kept(home: Path):
    home.write_text("a file where the directory should be")
    outcome = lessons.check("04-deploy", "service", lambda resource, namespace: [], "default")
    assert not outcome
    assert "Progress is not kept" in repr(outcome)
    assert "0 of" in repr(lessons.progress())


def test_notebooks_that_write_at_once_lose_nothing(home: Path):
    code = (
        "import sys; from labkit.lessons import record\n"
        "for i in range(20): record.add(f'chapter/{sys.argv[1]}-{i}', True, 0)"
    )
    environment = {**os.environ, "LABKIT_HOME": str(home)}
    command = [sys.executable, "-c", code]
    writers = [subprocess.Popen([*command, name], env=environment) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(record.read()) == 60
    assert json.loads(record.path().read_text())["version"] == record.VERSION


def test_the_table_counts_what_is_solved_and_names_what_comes_next(home: Path):
    for chapter in lessons.chapters()[:1]:
        for exercise in chapter.exercises:
            record.add(f"{chapter.name}/{exercise.name}", True, NOON)
    record.add("04-deploy/replicas", False, NOON)
    table = lessons.progress()
    solved = len(lessons.chapters()[0].exercises)
    assert table.title.startswith(f"{solved} of {len(table.all)} exercises solved; next: ")
    signs = {f"{row.chapter}/{row.exercise}": row.sign for row in table.all}
    assert signs["00-start-here/first-pod"] == "✓"
    assert signs["04-deploy/replicas"] == "✗"
    assert signs["04-deploy/service"] == "○"
    bundle = table._repr_mimebundle_()
    assert "04-deploy" in bundle["text/plain"]
    assert "<table" in bundle["text/html"]
