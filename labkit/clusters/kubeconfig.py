"""The kubeconfig of an embedded cluster: its address, its CA, the admin's certificate.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files".
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from labkit.clusters.paths import context_name
from labkit.clusters.pki import CertificateAuthority, write_private

ADMIN = "admin"


def write(path: Path, cluster: str, server: str, authority: CertificateAuthority) -> None:
    """Write the admin's kubeconfig (0600), with everything inline so that it can be copied."""
    name = context_name(cluster)
    entry = {"server": server, "certificate-authority-data": _text(authority.certificate("ca"))}
    user = {
        "client-certificate-data": _text(authority.certificate(ADMIN)),
        "client-key-data": _text(authority.key(ADMIN)),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": entry}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }
    # JSON is YAML, and needs no parser when the cluster starts.
    write_private(path, json.dumps(config, indent=2).encode() + b"\n")


def _text(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
