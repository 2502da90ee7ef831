"""A chapter that has a cluster of its own, whose parts it may stop."""

from __future__ import annotations

from pathlib import Path

import pytest

import labkit
from labkit.clusters import manage
from labkit.errors import UsageError
from tests.conftest import tool


def _lab() -> labkit.Lab:
    return labkit.Lab("02-control-plane", name="own", nodes=1, parts="separate")


def test_parts_that_a_run_left_stopped_are_started_and_the_cluster_goes_at_the_end(
    labkit_home: Path, capsys: pytest.CaptureFixture
):
    tool("kubectl")
    lab = _lab()
    lab.parts["kube-scheduler"].stop()
    lab.parts["kube-apiserver"].stop()
    lab = _lab()
    assert "Started again: kube-apiserver, kube-scheduler." in capsys.readouterr().out
    lab.kubectl("get nodes")
    for _ in range(2):
        lab.reset(cluster=True)
    assert capsys.readouterr().out.endswith("Nothing to delete.\n")
    assert manage.info("own") is None
    assert not (labkit_home / "own").exists()


def test_a_cluster_that_is_not_the_labs_own_is_not_taken_down(foreign):
    lab = labkit.Lab("02-control-plane")
    with pytest.raises(UsageError, match="not ours"):
        lab.reset(cluster=True)
