"""A Kopf operator on ConfigMaps: it writes down what it handles, one line each.

Run with `kopf run`; the environment variable HANDLED names the file.
"""

from __future__ import annotations

import json
import os

import kopf

_LABELS = {"handled": "yes"}
_lines = open(os.environ["HANDLED"], "a", buffering=1)  # noqa: SIM115 (for the process's life)


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: object) -> None:
    settings.posting.enabled = False
    settings.networking.error_backoffs = [0.2, 0.5, 1, 1, 2, 2, 5, 5]


def _write(handler: str, body: kopf.Body) -> None:
    meta = body["metadata"]
    entry = [handler, meta["name"], meta["uid"], meta["resourceVersion"], body["data"]["n"]]
    _lines.write(json.dumps(entry) + "\n")


@kopf.on.create("", "v1", "configmaps", labels=_LABELS)
def created(body: kopf.Body, **_: object) -> None:
    _write("create", body)


@kopf.on.update("", "v1", "configmaps", labels=_LABELS, field="data")
def updated(body: kopf.Body, **_: object) -> None:
    _write("update", body)


@kopf.on.event("", "v1", "configmaps")
def seen(body: kopf.Body, type: str | None, **_: object) -> None:
    """Every event, of a list (type None) or a watch."""
    _write(f"event {type}", body)
