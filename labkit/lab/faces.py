"""How a lab shows itself: its cluster and nodes, as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from labkit.kube import conditions


def node_row(node: Mapping) -> dict[str, str]:
    """What `kubectl get nodes` says of a node, and its capacity."""
    status, meta = node["status"], node["metadata"]
    addresses = {entry["type"]: entry["address"] for entry in status.get("addresses") or ()}
    return {
        "node": meta["name"],
        "status": "Ready" if conditions.is_true(node, "Ready") else "NotReady",
        "address": addresses.get("InternalIP", ""),
        "pods": node["spec"].get("podCIDR", ""),
        "cpu": status["capacity"]["cpu"],
        "kubelet": status["nodeInfo"]["kubeletVersion"],
    }


def text(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """The title, and a line for each row."""
    lines = [
        f"  {row['node']:<16} {row['status']:<9} {row['address']:<12} {row['pods']}" for row in rows
    ]
    return "\n".join([title, *lines])


def markup(name: str, server: str, context: str, rows: Sequence[Mapping[str, str]]) -> str:
    """The same as HTML."""
    head = "".join(f"<th style='text-align:left'>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>"
        + "".join(f"<td style='text-align:left'>{html.escape(v)}</td>" for v in row.values())
        + "</tr>"
        for row in rows
    )
    return (
        f"<p>The cluster <b>{html.escape(name)}</b> at <code>{html.escape(server)}</code>, "
        f"context <code>{html.escape(context)}</code></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def link(service: str, url: str) -> str:
    """A link that opens `url` in a new tab, through Jupyter where the page is Jupyter's."""
    port = url.split("/")[2].rpartition(":")[2]
    path = url.split("/", 3)[3]
    # The page that shows this cell knows under which address Jupyter is reached; we do not.
    script = (
        "const lab = JSON.parse(document.getElementById('jupyter-config-data')?.textContent "
        "|| '{}').baseUrl || '/'; "
        f"window.open(location.origin + lab + 'proxy/{port}/{path}', '_blank'); return false;"
    )
    label = html.escape(f"Open {service} in a new tab")
    return f'<a href="{url}" target="_blank" onclick="{html.escape(script)}">{label}</a>'
