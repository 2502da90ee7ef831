"""The volume by which a Pod's programs call the API: a token, the authority, the namespace.

Every container finds it at /var/run/secrets/kubernetes.io/serviceaccount, unless something else is
mounted there, or the Pod or its ServiceAccount says `automountServiceAccountToken: false`.

Source: k8s.io/kubernetes plugin/pkg/admission/serviceaccount (mountServiceAccountToken,
TokenVolumeSource).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit.kube.names import generated

PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_PREFIX = "kube-api-access-"
_SECONDS = 3607  # upstream's own: an hour, and recognisable
_MODE = 0o644


def add(spec: dict, account: Mapping) -> None:
    """Give the containers of a Pod's spec the token volume of its ServiceAccount."""
    if not _is_wanted(spec, account):
        return
    without = [one for one in _containers(spec) if not _has_mount(one)]
    if not without:
        return
    name = _present(spec) or generated(_PREFIX)
    for container in without:
        mount = {"name": name, "readOnly": True, "mountPath": PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    if not _present(spec):
        spec["volumes"] = [*(spec.get("volumes") or ()), _volume(name)]


def _is_wanted(spec: Mapping, account: Mapping) -> bool:
    for given in (spec, account):
        if given.get("automountServiceAccountToken") is not None:
            return given["automountServiceAccountToken"]
    return True


def _containers(spec: Mapping) -> Iterator[dict]:
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _has_mount(container: Mapping) -> bool:
    return any(one.get("mountPath") == PATH for one in container.get("volumeMounts") or ())


def _present(spec: Mapping) -> str:
    """The name of a token volume that the Pod brings itself, as one made from another Pod does."""
    names = (one.get("name", "") for one in spec.get("volumes") or ())
    return next((name for name in names if name.startswith(_PREFIX)), "")


def _volume(name: str) -> dict:
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _SECONDS, "path": "token"}},
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
            ],
            "defaultMode": _MODE,
        },
    }
