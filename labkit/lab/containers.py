"""The containers of the engine in the form of objects, for checks of what was run by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def described(client: Any) -> list[dict]:
    """All containers that `client`, of the Docker SDK, knows; also those that have ended."""
    return [_described(one.attrs) for one in client.containers.list(all=True, ignore_removed=True)]


def _described(attrs: Mapping) -> dict:
    config = attrs["Config"]
    pairs = (pair.partition("=") for pair in config["Env"] or ())
    networks = attrs["NetworkSettings"]["Networks"] or {}
    addresses = (one.get("IPAddress") for one in networks.values())
    return {
        "kind": "Container",
        "metadata": {"name": attrs["Name"].lstrip("/"), "labels": config["Labels"] or {}},
        "spec": {
            "image": config["Image"],
            "env": {key: text for key, _, text in pairs},
            "restartPolicy": attrs["HostConfig"]["RestartPolicy"]["Name"] or "no",
        },
        "status": {
            "state": attrs["State"]["Status"],
            "address": next(filter(None, addresses), ""),
        },
    }
