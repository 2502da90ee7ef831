"""What a Pod's claims stand for."""

from __future__ import annotations

import pytest

from labkit.kubelet import claims
from labkit.kubelet.volume_content import VolumeError
from labkit.kubelet.volumes import PodDirectory

VOLUME = {"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}


class Sources:
    """The objects that a test gives."""

    def __init__(self, claim: dict | None, volume: dict | None) -> None:
        self._objects = {"PersistentVolumeClaim": claim, "PersistentVolume": volume}

    async def fetch(self, kind: str, namespace: str, name: str) -> dict | None:
        return self._objects[kind]


def claim(phase: str = "Bound", **metadata: object) -> dict:
    return {
        "metadata": {"name": "disk", "uid": "1", **metadata},
        "spec": {"volumeName": "pv"},
        "status": {"phase": phase},
    }


def volume(uid: str = "1", **source: object) -> dict:
    return {"metadata": {"name": "pv"}, "spec": {"claimRef": {"uid": uid}, **source}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"hostPath": {"path": "/d", "type": "DirectoryOrCreate"}},
            {"path": "/d", "type": "DirectoryOrCreate"},
        ),
        ({"local": {"path": "/d"}}, {"path": "/d", "type": "Directory"}),
    ],
)
async def test_a_claim_stands_for_the_directory_of_its_volume(source, expected):
    found = await claims.host_path(Sources(claim(), volume(**source)), "default", VOLUME)
    assert found == {"name": "data", "hostPath": expected, "readOnly": False}


async def test_a_claim_may_be_had_for_reading_alone(tmp_path):
    source = {"claimName": "disk", "readOnly": True}
    sources = Sources(claim(), volume(hostPath={"path": "/d"}))
    found = await claims.host_path(
        sources, "default", {"name": "data", "persistentVolumeClaim": source}
    )
    pod = {"metadata": {"uid": "1"}, "spec": {"volumes": [found]}}
    container = {"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    assert PodDirectory(tmp_path, pod).binds(container, {}, 0) == ["/d:/data:ro"]


@pytest.mark.parametrize(
    ("given", "held", "why"),
    [
        (
            None,
            None,
            'failed to fetch PVC from API server: persistentvolumeclaims "disk" not found',
        ),
        (claim("Pending"), None, "PVC is not bound"),
        (claim(deletionTimestamp="2026-01-01T00:00:00Z"), None, "PVC is being deleted"),
        (claim(), None, "PV pv is not bound to it"),
        (claim(), volume("2"), "PV pv is not bound to it"),
    ],
)
async def test_why_a_claim_stands_for_nothing(given, held, why):
    with pytest.raises(VolumeError) as caught:
        await claims.host_path(Sources(given, held), "default", VOLUME)
    assert str(caught.value) == f"error processing PVC default/disk: {why}"


async def test_a_volume_without_a_driver_says_so():
    with pytest.raises(VolumeError, match="needs a driver"):
        await claims.host_path(Sources(claim(), volume(nfs={})), "default", VOLUME)
