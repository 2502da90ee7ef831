"""The volumes of a Pod: which this kubelet has, and how containers see them.

A `hostPath` is a bind mount.  The token of the Pod's ServiceAccount, which the API server adds to
every Pod, is accepted and not there: containers here do not call the API with their Pod's identity.

Source: kubelet's volumemanager and kuberuntime (makeMounts).  Left out: all other types, checks of
`hostPath.type`.
"""

from __future__ import annotations

from collections.abc import Mapping

_TOKEN_SOURCES = {"serviceAccountToken", "configMap", "downwardAPI"}


def unsupported(pod: Mapping) -> str:
    """Why this kubelet cannot mount the Pod's volumes, or an empty string."""
    volumes = pod["spec"].get("volumes") or ()
    bad = [one for one in volumes if not _is_token(one) and "hostPath" not in one]
    if not bad:
        return ""
    name = bad[0]["name"]
    kind = next((key for key in bad[0] if key != "name"), "emptyDir")
    return (
        f'MountVolume.SetUp failed for volume "{name}" : this kubelet mounts no volumes of type '
        f"{kind}. Containers here share the file system of the machine. "
        f"Remove the volume and its volumeMounts from the Pod, or use a real cluster."
    )


def _is_token(volume: Mapping) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return bool(sources) and all(set(one) <= _TOKEN_SOURCES for one in sources)


def binds(pod: Mapping, container: Mapping) -> list[str]:
    """The bind mounts of a container, as HostConfig.Binds has them."""
    paths = {
        volume["name"]: volume["hostPath"]["path"]
        for volume in pod["spec"].get("volumes") or ()
        if "hostPath" in volume
    }
    return [
        _bind(paths[mount["name"]], mount)
        for mount in container.get("volumeMounts") or ()
        if mount["name"] in paths
    ]


def _bind(path: str, mount: Mapping) -> str:
    if mount.get("subPath"):
        path = f"{path.rstrip('/')}/{mount['subPath']}"
    return f"{path}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}"
