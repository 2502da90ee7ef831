"""Kubeconfigs of an embedded cluster: its address, its CA, a client's certificate.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files".
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from labkit.clusters.credentials import Credentials, write_private
from labkit.clusters.paths import context_name

ADMIN = "admin"


def write(
    path: Path,
    cluster: str,
    server: str,
    credentials: Credentials,
    identity: str = ADMIN,
) -> None:
    """Write a kubeconfig (0600), with everything inline so that it can be copied.

    `identity` is the name of a client's certificate.
    """
    name = context_name(cluster)
    user = name if identity == ADMIN else identity
    entry = {"server": server, "certificate-authority-data": _text(credentials.certificate("ca"))}
    secrets = {
        "client-certificate-data": _text(credentials.certificate(identity)),
        "client-key-data": _text(credentials.key(identity)),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": entry}],
        "users": [{"name": user, "user": secrets}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
        "preferences": {},
    }
    # JSON is YAML, and needs no parser when the cluster starts.
    write_private(path, json.dumps(config, indent=2).encode() + b"\n")


def _text(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
