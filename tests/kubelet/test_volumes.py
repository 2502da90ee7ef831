"""Which volumes a kubelet mounts, and where containers see them."""

from __future__ import annotations

from labkit.kubelet import volumes


def pod(*given: dict) -> dict:
    return {"spec": {"volumes": list(given)}}


HOST = {"name": "root", "hostPath": {"path": "/srv"}}
TOKEN = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def test_host_paths_are_bind_mounts():
    mounts = [
        {"name": "root", "mountPath": "/host"},
        {"name": "root", "mountPath": "/data", "subPath": "data", "readOnly": True},
        {"name": "token", "mountPath": "/var/run/secrets"},
    ]
    container = {"volumeMounts": mounts}
    assert volumes.binds(pod(HOST, TOKEN), container) == ["/srv:/host", "/srv/data:/data:ro"]


def test_what_cannot_be_mounted_is_named():
    assert volumes.unsupported(pod(HOST, TOKEN)) == ""
    message = volumes.unsupported(pod(HOST, {"name": "scratch", "emptyDir": {}}))
    assert 'MountVolume.SetUp failed for volume "scratch"' in message
    assert "emptyDir" in message
