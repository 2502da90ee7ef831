"""Who asks, and whether this server is who they meant to ask.

A verified client certificate *is* an identity: common name → user, organisations → groups.  Who
shows none is anonymous and may only see whether the server is well.  A request whose Host names
another server is refused, so that no web page can reach this one through a DNS name of its own
(DNS rebinding).

Source: Kubernetes documentation, "Authenticating" (X.509 client certificates).
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping

from cryptography import x509

from labkit.apiserver.request import ANONYMOUS, User

_AUTHENTICATED = "system:authenticated"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_OPEN_PATHS = ("/healthz", "/livez", "/readyz")


def user_of(certificate: Mapping | None, der: bytes | None = None) -> User:
    """The identity in a peer certificate (`ssl.SSLSocket.getpeercert()`), or the anonymous one.

    `der` is the certificate itself, whose fingerprint tells this credential from others.
    """
    if not certificate:
        return ANONYMOUS
    attributes = [pair for rdn in certificate.get("subject", ()) for pair in rdn]
    names = [value for key, value in attributes if key == "commonName"]
    groups = [value for key, value in attributes if key == "organizationName"]
    if not names or not names[-1]:
        return ANONYMOUS
    extra = {_CREDENTIAL: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)} if der else {}
    return User(names[-1], (*groups, _AUTHENTICATED), extra=extra)


def is_open(path: str) -> bool:
    """Whether the anonymous may ask for `path`."""
    return path == "/version" or path.startswith(_OPEN_PATHS)


def host_name(header: str) -> str:
    """The host of a Host header, without its port and without brackets."""
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    return name.strip("[]").lower()


def server_names(context: ssl.SSLContext) -> frozenset[str]:
    """The names and addresses in the certificate that a server context shows.

    An `SSLContext` does not tell which certificate it was given, so this asks as a client would:
    by a handshake, in memory.
    """
    certificate = x509.load_der_x509_certificate(_shown_certificate(context))
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value).lower() for name in found.value)


def _shown_certificate(context: ssl.SSLContext) -> bytes:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    client = anyone.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    while True:
        try:
            client.do_handshake()
            return client.getpeercert(binary_form=True) or b""
        except ssl.SSLWantReadError:
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                pass
