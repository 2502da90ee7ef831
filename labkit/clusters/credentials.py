"""The certificates and keys of a cluster, as those use them who need not make any.

Source: Kubernetes documentation, "PKI certificates and requirements".  Who makes them is
`labkit.clusters.pki`, which is apart because a library as large as a part of the cluster comes
with it.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path


class Credentials:
    """The files of one `pki/` directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def certificate(self, name: str) -> Path:
        """The path of a certificate (PEM)."""
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The path of a private key (PEM, 0600)."""
        return self.directory / f"{name}.key"

    def signing_key(self, name: str) -> bytes:
        """The private key (PEM) of what signs other things than certificates."""
        return self.key(name).read_bytes()

    def server_context(self, name: str, *, clients: ssl.VerifyMode) -> ssl.SSLContext:
        """TLS for a server; `clients` says whether clients must show a certificate of this CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate(name), self.key(name))
        context.load_verify_locations(self.certificate("ca"))
        context.verify_mode = clients
        return context

    def client_context(self, name: str) -> ssl.SSLContext:
        """TLS for a client that shows certificate `name` and trusts this CA alone."""
        context = ssl.create_default_context(cafile=str(self.certificate("ca")))
        context.load_cert_chain(self.certificate(name), self.key(name))
        return context


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step; it is 0600 from its first byte."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
