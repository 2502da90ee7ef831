"""From a kubeconfig file to a transport: which server, which CA, as whom.

Understood are client certificates and CAs (inline or as files, relative to the kubeconfig), tokens
(inline or as a file), `tls-server-name`, `insecure-skip-tls-verify` and plain http.
Left out: credential plugins (`exec`, `auth-provider`), passwords, and the merging of several files.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files" and
"kubeconfig (v1)".
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from labkit.client.client import Client
from labkit.client.http import HttpTransport
from labkit.errors import UsageError

_SHOW = "Look at it: kubectl config view --kubeconfig {path}"


async def client_from_kubeconfig(path: str | Path, context: str | None = None) -> Client:
    """A client with the identity that a kubeconfig describes; see `transport`."""
    return Client(transport(path, context))


def transport(path: str | Path, context: str | None = None) -> HttpTransport:
    """The transport that `context` of the kubeconfig at `path` describes.

    Without `context`, the file's current one.  Raises UsageError where the file or the context
    cannot be used.
    """
    path = Path(path).expanduser()
    config = _read(path)
    name = context or config.get("current-context") or ""
    if not name:
        raise _error(
            path, f"The kubeconfig {path} names no current context.", "None was given either."
        )
    chosen = _entry(config, path, "context", name)
    cluster = _entry(config, path, "cluster", chosen.get("cluster") or "")
    user = _entry(config, path, "user", chosen["user"]) if chosen.get("user") else {}
    server = cluster.get("server")
    if not server:
        what = f"The cluster {chosen['cluster']!r} in {path} has no server."
        raise _error(path, what, "Its entry is incomplete.")
    return HttpTransport(
        server,
        _ssl_context(cluster, user, path) if server.startswith("https:") else None,
        headers=_headers(user, path),
        server_name=cluster.get("tls-server-name"),
    )


def _read(path: Path) -> Mapping:
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(
            f"The kubeconfig {path} cannot be read: {error.strerror}.",
            "The path is probably misspelt, or the cluster is not up.",
            "See which there are: ls ~/.kube",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _error(
            path, f"The kubeconfig {path} is not YAML: {error}.", "It is damaged."
        ) from None
    if not isinstance(config, Mapping):
        raise _error(path, f"The file {path} is no kubeconfig.", "It has no fields.")
    return config


def _entry(config: Mapping, path: Path, kind: str, name: str) -> Mapping:
    """The entry of that name in the list of contexts, clusters or users."""
    entries = {entry.get("name"): entry for entry in config.get(f"{kind}s") or ()}
    if name not in entries:
        known = ", ".join(repr(known) for known in entries) or "none"
        what = f"There is no {kind} {name!r} in {path}; there is {known}."
        raise _error(path, what, "The name is probably misspelt.")
    return entries[name].get(kind) or {}


def _error(path: Path, what: str, why: str) -> UsageError:
    return UsageError(what, why, _SHOW.format(path=path))


def _content(entry: Mapping, field: str, path: Path) -> bytes | None:
    """What `field` or `field`-data say: the bytes of a PEM file, None where neither is set."""
    if text := entry.get(f"{field}-data"):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            what = f"The field {field}-data in {path} is not base64: {error}."
            raise _error(path, what, "It was probably cut off when it was copied.") from None
    if file := entry.get(field):
        return _file(path, field, file)
    return None


def _file(path: Path, field: str, name: str) -> bytes:
    try:
        return (path.parent / name).read_bytes()
    except OSError as error:
        what = f"The {field} {name!r} of {path} cannot be read: {error.strerror}."
        raise _error(path, what, "The file was moved or is not yours to read.") from None


def _ssl_context(cluster: Mapping, user: Mapping, path: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", path)
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _load_identity(context, user, path)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        what = f"A certificate or key of {path} cannot be used: {error}."
        raise _error(path, what, "It is damaged, or key and certificate are no pair.") from None
    return context


def _load_identity(context: ssl.SSLContext, user: Mapping, path: Path) -> None:
    certificate = _content(user, "client-certificate", path)
    key = _content(user, "client-key", path)
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "client-key" if certificate else "client-certificate"
        raise _error(path, f"A user of {path} has no {missing}.", "Both belong together.")
    # OpenSSL reads identities from files only: this one lives for a moment, readable by us alone.
    descriptor, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(name, password="")
    finally:
        os.unlink(name)


def _headers(user: Mapping, path: Path) -> dict[str, str]:
    for field in ("exec", "auth-provider", "username"):
        if user.get(field):
            raise UsageError(
                f"The user of {path} signs in by {field!r}, which labkit does not do.",
                "Clouds use plugins that make tokens.",
                "Make a token and a context with it: kubectl config set-credentials me --token "
                '"$(kubectl create token default)"',
            )
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = _file(path, "tokenFile", user["tokenFile"]).decode().strip()
    return {"Authorization": f"Bearer {token}"} if token else {}
