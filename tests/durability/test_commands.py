"""What a person is told whose cluster has a damaged store or a full disk, and the way back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.client import Client, kubeconfig
from labkit.clusters import manage
from labkit.kube.resources import CONFIG_MAPS
from tests.durability.small_disk import SmallDisk


def labkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "labkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


async def make(name: str) -> None:
    """A ConfigMap in the cluster `lab`."""
    client = Client(kubeconfig.transport(manage.info("lab").kubeconfig))
    await client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "default")
    await client.close()


async def names() -> set[str]:
    """The ConfigMaps of the cluster `lab`."""
    client = Client(kubeconfig.transport(manage.info("lab").kubeconfig))
    listed = await client.list(CONFIG_MAPS, "default")
    await client.close()
    return {item["metadata"]["name"] for item in listed["items"]}


async def test_a_damaged_store_is_named_and_its_last_backup_brings_the_objects_back(labkit_home):
    manage.up("lab", 1)
    await make("kept")
    manage.down("lab")
    store = labkit_home / "lab" / "state.db"
    damaged = store.read_bytes().replace(b'"kept"', b'"lost"')
    store.write_bytes(damaged)

    refused = labkit("up")
    assert refused.returncode == 1
    assert f"The store {store} is damaged" in refused.stderr
    assert "Its last sound backup is state.db.backup" in refused.stderr
    assert "labkit up --name lab --restore-backup" in refused.stderr
    assert store.read_bytes() == damaged

    restored = labkit("up", "--restore-backup")
    assert restored.returncode == 0, restored.stderr
    assert "restored" in restored.stdout
    assert "kept" in await names()
    (aside,) = store.parent.glob("state.db.damaged-*")
    assert aside.read_bytes() == damaged


def test_a_damaged_store_without_a_backup_says_that_there_is_none(labkit_home: Path):
    manage.up("lab", 1)
    manage.down("lab")
    for file in (labkit_home / "lab").glob("state.db*"):
        file.write_bytes(b"spoilt" * 1000)
    refused = labkit("up")
    assert "It has no backup that can be read." in refused.stderr
    assert "labkit down --name lab --delete" in refused.stderr
    refused = labkit("up", "--restore-backup")
    assert refused.returncode == 1
    assert "has no backup that can be read" in refused.stderr


def test_a_backup_is_not_restored_below_a_running_cluster(labkit_home: Path):
    manage.up("lab", 1)
    refused = labkit("up", "--restore-backup")
    assert refused.returncode == 1
    assert "The cluster lab is up." in refused.stderr


def test_a_cluster_that_cannot_start_for_want_of_room_says_so(
    small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LABKIT_HOME", str(small_disk.path))
    assert labkit("up", "--nodes", "1").returncode == 0
    assert labkit("down").returncode == 0
    for left in (0, 16 << 10):
        small_disk.fill(left)
        refused = labkit("up")
        assert refused.returncode == 1
        assert "Free some space" in refused.stderr
        assert "Traceback" not in refused.stderr
        small_disk.free()
    assert labkit("up").returncode == 0
    assert labkit("down", "--delete").returncode == 0
