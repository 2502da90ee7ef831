"""Which certificate a client is shown: that of the Secret for the name it asks for (SNI).

Contexts are kept as long as their Secret does not change.  A name without a Secret, a Secret that
is missing or holds no certificate, and a client that names nobody get the fake certificate, by the
name of which everybody knows ingress-nginx.

Source: Kubernetes documentation, "Ingress" (TLS); ingress-nginx, "Default SSL Certificate".
"""

from __future__ import annotations

import base64
import datetime
import logging
import os
import ssl
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

FAKE = "Kubernetes Ingress Controller Fake Certificate"
_LIFE = datetime.timedelta(days=365)


class Certificates:
    """Contexts for names; `secret_of(name)` is the Secret for a name, or None.  `now` is Unix
    time, for the fake certificate."""

    def __init__(self, secret_of: Callable[[str], Mapping | None], now: float) -> None:
        self._secret_of = secret_of
        self._known: dict[tuple[str, str], ssl.SSLContext | None] = {}
        self.context = _context(*fake(now))
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        secret = self._secret_of((name or "").lower())
        found = self._of(secret) if secret else None
        if found:
            connection.context = found

    def _of(self, secret: Mapping) -> ssl.SSLContext | None:
        meta = secret["metadata"]
        identity = (meta["uid"], meta["resourceVersion"])
        if identity not in self._known:
            self._known = {key: one for key, one in self._known.items() if key[0] != meta["uid"]}
            self._known[identity] = _read(secret)
        return self._known[identity]


def _read(secret: Mapping) -> ssl.SSLContext | None:
    data = secret.get("data") or {}
    try:
        return _context(*(base64.b64decode(data[name]) for name in ("tls.crt", "tls.key")))
    except (KeyError, ValueError, OSError) as error:  # ssl.SSLError is an OSError
        meta = secret["metadata"]
        log.warning("no certificate secret=%s/%s error=%s", meta["namespace"], meta["name"], error)
        return None


def _context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Raises ssl.SSLError for what is no certificate with its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL reads keys from files alone; this one is in memory and nowhere else.
    descriptor = os.memfd_create("ingress certificate")
    try:
        os.write(descriptor, certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def fake(now: float) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key (PEM)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme Co"),
            x509.NameAttribute(NameOID.COMMON_NAME, FAKE),
        ]
    )
    begin = datetime.datetime.fromtimestamp(now, datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - datetime.timedelta(minutes=5))
        .not_valid_after(begin + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ingress.local")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
