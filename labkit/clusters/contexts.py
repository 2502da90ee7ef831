"""A cluster that is not the lab's own, by the name of its kubeconfig context.

`LABKIT_CONTEXT=kind-kind` makes the notebooks drive that cluster.  All that talks to it from a
notebook (kubectl in cells, the official client, the lab) gets a kubeconfig with this one context in
it, copied out of the files that kubectl would read: so no cell can reach another cluster that
happens to be current there.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files" (which files
are read, how they are merged, what relative paths mean).
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from labkit.client import Client, kubeconfig
from labkit.client.http import HttpTransport
from labkit.clusters import paths
from labkit.clusters.credentials import write_private
from labkit.errors import UsageError

VARIABLE = "LABKIT_CONTEXT"
_DEFAULT = "~/.kube/config"
_before = ""  # the KUBECONFIG of this notebook, before a Lab put its cluster's in its place
_KINDS = ("contexts", "clusters", "users")
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_PLUGINS = ("exec", "auth-provider")


@dataclass(frozen=True)
class ForeignCluster:
    """A cluster by its context: where it is, and the kubeconfig that holds this context alone."""

    context: str
    server: str
    namespace: str
    kubeconfig: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.context

    def environment(self) -> dict[str, str]:
        """The variables under which kubectl finds this cluster."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def client(self) -> Client:
        """An API client.  Credential plugins are run by the official client."""
        user = json.loads(self.kubeconfig.read_text())["users"]
        if any(user and user[0]["user"].get(plugin) for plugin in _PLUGINS):
            return Client(_transport_by_plugin(self.kubeconfig))
        return Client(kubeconfig.transport(self.kubeconfig))


def find(context: str) -> ForeignCluster:
    """The cluster of a context in the files that kubectl reads.  Raises UsageError."""
    found = [_merged(files) for files in _places()]
    config = next((one for one in found if _named(one, "contexts", context) is not None), None)
    if config is None:
        known = sorted({entry["name"] for one in found for entry in one["contexts"]})
        raise UsageError(
            f"There is no context {context!r} in any kubeconfig here.",
            f"There is {', '.join(known) or 'none'}; {VARIABLE} says which one is wanted.",
            "See them: kubectl config get-contexts --kubeconfig ~/.kube/config",
        )
    chosen = _named(config, "contexts", context)
    cluster = _named(config, "clusters", chosen.get("cluster")) or {}
    if not cluster.get("server"):
        raise UsageError(
            f"The context {context!r} names no cluster with an address.",
            "Its kubeconfig is incomplete.",
            f"Look at it: kubectl config view --minify --context {context}",
        )
    path = _write(config, context, chosen)
    return ForeignCluster(context, cluster["server"], chosen.get("namespace") or "default", path)


def adopt(environment: Mapping[str, str]) -> None:
    """Make `environment` this notebook's, and remember the KUBECONFIG that it had."""
    global _before
    given = os.environ.get("KUBECONFIG", "")
    if given and paths.home() not in Path(given.partition(os.pathsep)[0]).expanduser().parents:
        _before = given
    os.environ.update(environment)


def _places() -> Iterator[list[Path]]:
    """Where contexts are looked for: `$KUBECONFIG` as kubectl does, then the default file.

    kubectl takes the first alone; but a terminal of the lab's has a KUBECONFIG for the lab's own
    cluster, and whoever names a context of another one does not mean that file.  A copy that was
    made here before may be out of date and does not count.
    """
    for given in (os.environ.get("KUBECONFIG", ""), _before, _DEFAULT):
        files = [Path(text).expanduser() for text in given.split(os.pathsep) if text]
        yield [path for path in files if path.parent != _copies()]


def _copies() -> Path:
    """The directory of the kubeconfigs that are made here."""
    return paths.home() / ".contexts"  # the dot keeps it apart from clusters, whose names have none


def _merged(files: list[Path]) -> dict[str, list[dict]]:
    """All entries of these files; of two with one name the first counts."""
    merged: dict[str, list[dict]] = {kind: [] for kind in _KINDS}
    for path in files:
        config = _read(path)
        for kind in _KINDS:
            for entry in config.get(kind) or ():
                if _named(merged, kind, entry["name"]) is None:
                    content = _absolute(entry.get(kind[:-1]) or {}, path.parent)
                    merged[kind].append({"name": entry["name"], kind[:-1]: content})
    return merged


def _read(path: Path) -> Mapping:
    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}  # kubectl, too, passes over files that are not there
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The kubeconfig {path} cannot be read.", f"{error}.", f"Look at it: less {path}"
        ) from None
    return config if isinstance(config, Mapping) else {}


def _absolute(entry: Mapping, directory: Path) -> dict:
    """`entry` with paths that do not depend on where the file is."""
    return {
        key: str((directory / value).resolve()) if key in _FILES and value else value
        for key, value in entry.items()
    }


def _named(config: Mapping[str, list[dict]], kind: str, name: str | None) -> dict | None:
    for entry in config[kind]:
        if entry["name"] == name:
            return entry[kind[:-1]]
    return None


def _write(config: Mapping[str, list[dict]], context: str, chosen: Mapping) -> Path:
    """The kubeconfig with this context alone, readable by its owner alone."""
    wanted = {"contexts": context, "clusters": chosen["cluster"], "users": chosen.get("user")}
    alone = {
        kind: [entry for entry in config[kind] if entry["name"] == name]
        for kind, name in wanted.items()
    }
    directory = _copies()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in context)
    path = directory / f"{safe}.kubeconfig"
    text = {"apiVersion": "v1", "kind": "Config", "current-context": context, **alone}
    write_private(path, json.dumps(text, indent=2, default=str).encode() + b"\n")
    return path


def _transport_by_plugin(path: Path) -> HttpTransport:
    """With the credentials that a plugin gives now; they last as long as that plugin says."""
    from labkit.client.official import client, config

    found = client.Configuration()
    config.load_kube_config(config_file=str(path), client_configuration=found)
    context = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if not found.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if found.cert_file:
        context.load_cert_chain(found.cert_file, found.key_file)
    given = found.auth_settings().values()
    headers = {entry["key"]: entry["value"] for entry in given if entry["in"] == "header"}
    return HttpTransport(found.host, context, headers=headers)
