"""Certificates: who is who in a cluster.

One CA signs everything.  A client certificate *is* an identity: its common name is the user, its
organisations are the groups (Kubernetes documentation, "PKI certificates and requirements").  Keys
are EC P-256 and readable by their owner alone (0600); certificates last a year.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labkit.clusters.credentials import Credentials, write_private
from labkit.kube import jwt

_LIFETIME = timedelta(days=365)
_CLOCK_SKEW = timedelta(minutes=5)
_RENEW_BEFORE = timedelta(days=30)


class CertificateAuthority(Credentials):
    """The files of one `pki/` directory; what is missing or runs out is made when asked for."""

    def __init__(self, directory: Path, now: float) -> None:
        super().__init__(directory)
        self._now = datetime.fromtimestamp(now, UTC)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._is_current("ca"):
            self._make_ca()
        self._key = serialization.load_pem_private_key(self.key("ca").read_bytes(), None)
        self._certificate = x509.load_pem_x509_certificate(self.certificate("ca").read_bytes())

    def client(self, name: str, user: str, *groups: str) -> None:
        """Make the certificate of a client: `user` in `groups`."""
        self._issue(name, _subject(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, name: str, user: str, hosts: tuple[str, ...], *groups: str) -> None:
        """Make the certificate of a server that answers under `hosts` (names and addresses)."""
        self._issue(name, _subject(user, groups), ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def signing_key(self, name: str) -> bytes:
        """The private key (PEM) of what signs other things than certificates, made if missing."""
        if not self.key(name).exists():
            write_private(self.key(name), jwt.new_key())
        return super().signing_key(name)

    def _is_current(self, name: str) -> bool:
        try:
            found = x509.load_pem_x509_certificate(self.certificate(name).read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        return self.key(name).exists() and found.not_valid_after_utc - self._now > _RENEW_BEFORE

    def _is_ours(self, name: str, subject: x509.Name, hosts: tuple[str, ...]) -> bool:
        if not self._is_current(name):
            return False
        found = x509.load_pem_x509_certificate(self.certificate(name).read_bytes())
        try:
            found.verify_directly_issued_by(self._certificate)
        except Exception:  # a certificate of an earlier CA, however it fails
            return False
        return found.subject == subject and _hosts(found) == set(hosts)

    def _make_ca(self) -> None:
        key, name = ec.generate_private_key(ec.SECP256R1()), _subject("kubernetes", ())
        builder = self._builder(name, name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        builder = builder.add_extension(_usage(signs=True), critical=True)
        self._write("ca", key, builder.sign(key, hashes.SHA256()))

    def _issue(self, name: str, subject, usage, hosts: tuple[str, ...]) -> None:
        if self._is_ours(name, subject, hosts):
            return
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, self._certificate.subject, key)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        self._write(name, key, builder.sign(self._key, hashes.SHA256()))

    def _builder(self, subject, issuer, key) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _CLOCK_SKEW)
            .not_valid_after(self._now + _LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )

    def _write(self, name: str, key, certificate: x509.Certificate) -> None:
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(self.key(name), text)
        self.certificate(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _subject(user: str, groups: tuple[str, ...]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hosts(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in found.value}
