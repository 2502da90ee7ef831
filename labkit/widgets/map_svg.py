"""The map as SVG, in two layers: what stands, and the traffic above it.

The layers change at different times, so each is sent only when it has changed.  A Pod's state has a
colour (Okabe and Ito's) and a shape; the colours of text and boxes are the page's.
"""

from __future__ import annotations

import html
import math
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from labkit.widgets.map_layout import WIDTH, Box, Layout
from labkit.widgets.map_state import NodeSeen, PodSeen, PodState, ServiceSeen
from labkit.widgets.traffic import Traffic

COLOURS = {
    PodState.READY: "#0072B2",
    PodState.NOT_READY: "#56B4E9",
    PodState.PENDING: "#E69F00",
    PodState.TERMINATING: "#CC79A7",
    PodState.FAILING: "#D55E00",
    PodState.COMPLETED: "#8A8A8A",
}
_SHAPES = {
    PodState.READY: '<circle r="5" fill="COLOUR"/>',
    PodState.NOT_READY: (
        '<circle r="5" fill="none" stroke="COLOUR" stroke-width="1.5"/>'
        '<path d="M0 -5a5 5 0 0 1 0 10z" fill="COLOUR"/>'
    ),
    PodState.PENDING: (
        '<circle r="4.5" fill="none" stroke="COLOUR" stroke-width="2" stroke-dasharray="3 2"/>'
    ),
    PodState.TERMINATING: '<path d="M-5 -4h10l-5 9z" fill="COLOUR"/>',
    PodState.FAILING: (
        '<path d="M-4 -4l8 8m0 -8l-8 8" stroke="COLOUR" stroke-width="3" stroke-linecap="round"/>'
    ),
    PodState.COMPLETED: '<rect x="-4.5" y="-4.5" width="9" height="9" fill="COLOUR"/>',
}
_LIGHT = "--lk-ink:#1f1f1f;--lk-quiet:#616161;--lk-card:#ffffff;--lk-soft:#f2f2f2;--lk-line:#bdbdbd"
_DARK = "--lk-ink:#e8e8e8;--lk-quiet:#a8a8a8;--lk-card:#111111;--lk-soft:#212121;--lk-line:#616161"
_CSS = Path(__file__).with_name("map.css").read_text()
_BAR = 166.0
# Widths of letters of 11 px in the widest font that is usual (DejaVu Sans); names are cut by it.
_LETTER = 7.0
_WIDTHS = (
    dict.fromkeys("ijl.,:'|", 3.6) | dict.fromkeys("ftr-/ ", 4.7) | dict.fromkeys("mwMW…", 11.0)
)


def standing(plan: Layout, note: str) -> str:
    """Nodes, Pods, Services and the legend with a `note`."""
    parts = [
        *(_node(node, box) for node, box in plan.nodes),
        *(_service(service, box) for service, box in plan.services),
        *(_pod(pod, box) for pod, box in plan.pods),
        _legend(plan.legend, note),
    ]
    return _svg(plan, "".join(parts))


def moving(plan: Layout, traffic: Traffic) -> str:
    """The traffic: arrows, and its amount at each Pod and Service."""
    services = {service.key: box for service, box in plan.services}
    parts = [*_to_nodes(plan, traffic, services), *_to_services(plan, traffic, services)]
    for pod, box in plan.pods:
        if rate := traffic.to_address(pod.address):
            parts.append(_rate(box.right - 6, box.y + 29, rate, "end"))
    return _svg(plan, "".join(parts)) if parts else ""


def image(plan: Layout, note: str, traffic: Traffic) -> str:
    """Both layers as the URL of an image that is light or dark as its page is."""
    style = f"svg{{{_LIGHT}}}@media(prefers-color-scheme:dark){{svg{{{_DARK}}}}}{_CSS}"
    back = '<rect width="100%" height="100%" style="fill:var(--lk-card)"/>'
    layers = _inside(standing(plan, note)) + _inside(moving(plan, traffic))
    text = _svg(plan, f"<style>{style}</style>{back}{layers}")
    return "data:image/svg+xml;base64," + b64encode(text.encode()).decode()


def _svg(plan: Layout, inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-map" '
        f'viewBox="0 0 {WIDTH:g} {plan.height:g}">{inside}</svg>'
    )


def _inside(svg: str) -> str:
    return svg[svg.index(">") + 1 : svg.rindex("<")] if svg else ""


# -- what stands -------------------------------------------------------------------------------


def _node(node: NodeSeen, box: Box) -> str:
    if not node.name:
        name = _text(box.x + 10, box.y + 20, "no node yet", "name big")
        dashed = _rect(box, "node down edge", 6)
        return _group("node/", "Pods that have no node yet", dashed, name)
    words = "Ready" if node.ready else "NotReady"
    words += ", cordoned" if node.cordoned else ""
    cpu = f"CPU {in_cores(node.cpu.requested)} of {in_cores(node.cpu.allocatable)} requested"
    memory = f"memory {in_bytes(node.memory.requested)} of {in_bytes(node.memory.allocatable)}"
    return _group(
        f"node/{node.name}",
        f"Node {node.name}: {words}; {cpu}, {memory}; {len(node.pods)} Pods shown",
        _rect(box, "node edge" + ("" if node.ready else " down"), 6),
        _text(box.x + 10, box.y + 20, _cut(node.name, 125), "name big"),
        _text(box.x + 10, box.y + 35, words, "quiet"),
        _bar(box.x + 170, box.y + 12, cpu, node.cpu.part),
        _bar(box.x + 352, box.y + 12, memory, node.memory.part),
    )


def _bar(x: float, y: float, words: str, part: float) -> str:
    def bar(kind: str, width: float) -> str:
        place = f'x="{x:g}" y="{y + 14:g}" width="{width:.1f}" height="5" rx="2"'
        return f'<rect class="{kind}" {place}/>'

    return _text(x, y + 8, words, "quiet") + bar("track", _BAR) + bar("used", _BAR * part)


def _service(service: ServiceSeen, box: Box) -> str:
    ready = f"{len(service.ready)}/{len(service.all)} ready"
    ports = ", ".join(service.ports)
    return _group(
        f"service/{service.key}",
        f"Service {service.key}: {service.type} {ports}; endpoints: {ready}",
        _rect(box, "service edge", 16),
        _text(box.x + 14, box.y + 20, _cut(service.name, 108), "name big"),
        _text(box.x + 14, box.y + 37, _cut(ports, 98), "quiet"),
        _text(box.right - 12, box.y + 37, ready, "quiet", "end"),
    )


def _pod(pod: PodSeen, box: Box) -> str:
    colour = COLOURS[pod.state]
    dash = ' stroke-dasharray="4 3"' if pod.state is PodState.PENDING else ""
    words = f"Pod {pod.key}: {pod.state.value}"
    words += f" ({pod.status})" if pod.status not in (pod.state.value, "Running") else ""
    words += f"; {pod.ready} containers ready, {pod.restarts} restarts"
    words += f"; {pod.address} on {pod.node}" if pod.address else ""
    tile = (
        f'<rect class="tile edge" x="{box.x:g}" y="{box.y:g}" width="{box.w:g}" '
        f'height="{box.h:g}" rx="4" stroke="{colour}"{dash}/>'
    )
    return _group(
        f"pod/{pod.key}",
        words,
        tile,
        glyph(pod.state, box.x + 12, box.y + 11),
        _text(box.x + 22, box.y + 15, _cut(pod.name, box.w - 26), ""),
        _text(box.x + 8, box.y + 29, _cut(_word(pod), box.w - 12), "quiet"),
    )


def _word(pod: PodSeen) -> str:
    return "Running 0/1" if pod.state is PodState.NOT_READY and pod.ready == "0/1" else pod.status


def glyph(state: PodState, x: float, y: float) -> str:
    """The shape of a state, 12 wide, around a point."""
    shape = _SHAPES[state].replace("COLOUR", COLOURS[state])
    return f'<g transform="translate({x:g} {y:g})">{shape}</g>'


def _legend(box: Box, note: str) -> str:
    parts, x = [], box.x + 8
    for state in PodState:
        parts.append(glyph(state, x, box.y + 12))
        parts.append(_text(x + 10, box.y + 16, state.value, "quiet"))
        x += 32 + _width(state.value)
    return "".join(parts) + _text(box.right, box.y + 16, note, "quiet", "end")


# -- what moves --------------------------------------------------------------------------------


def _to_nodes(plan: Layout, traffic: Traffic, services: dict[str, Box]) -> Iterable[str]:
    """An arrow from each Service to each node with Pods that it sends connections to."""
    node_of = {pod.address: pod.node for pod, _ in plan.pods if pod.address}
    boxes = {node.name: box for node, box in plan.nodes}
    sums: dict[tuple[str, str], float] = {}
    for (service, address), rate in traffic.to_endpoints.items():
        node = node_of.get(address)
        if service in services and node in boxes:
            sums[service, node] = sums.get((service, node), 0.0) + rate
    for (service, node), rate in sorted(sums.items()):
        yield _arrow(services[service].right, services[service].middle, boxes[node].x,
                     boxes[node].middle, rate)  # fmt: skip


def _to_services(plan: Layout, traffic: Traffic, services: dict[str, Box]) -> Iterable[str]:
    """An arrow from outside to each Service; from a Service whose Pods ask another one, to that."""
    address_of = {address: s.key for s, _ in plan.services for address in s.all}
    for key, box in services.items():
        if total := traffic.to_service(key):
            yield _rate(box.right - 12, box.y + 20, total, "end")
        inside: dict[str, float] = {}
        for (service, client), rate in traffic.from_clients.items():
            if service == key and (asking := address_of.get(client)) in services:
                inside[asking] = inside.get(asking, 0.0) + rate
        outside = total - sum(inside.values())
        if outside > 0.05:
            yield _arrow(6, box.middle, box.x, box.middle, outside)
        for asking, rate in sorted(inside.items()):
            yield _arc(services[asking], box, rate)


def _arrow(x1: float, y1: float, x2: float, y2: float, rate: float) -> str:
    middle, tip = (x1 + x2) / 2, x2 - 7
    return (
        f'<path class="flow" stroke-width="{_thick(rate):.1f}" '
        f'd="M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {tip:g} {y2:g}"/>'
        f'<path class="head" d="M{x2 - 9:g} {y2 - 6:g}l9 6l-9 6z"/>'
    )


def _arc(asking: Box, asked: Box, rate: float) -> str:
    """To the left of the Services, from one to another (or to itself)."""
    x, bend = asking.x, 30.0
    y1, y2 = asking.middle - 10, asked.middle + 10
    return (
        f'<path class="flow" stroke-width="{_thick(rate):.1f}" '
        f'd="M{x:g} {y1:g}C{x - bend:g} {y1:g} {x - bend:g} {y2:g} {x - 7:g} {y2:g}"/>'
        f'<path class="head" d="M{x - 9:g} {y2 - 6:g}l9 6l-9 6z"/>'
        + _rate(x - bend, (y1 + y2) / 2 + 4, rate, "end")
    )


def _thick(rate: float) -> float:
    return min(6.0, 1.2 + 0.8 * math.log2(1 + rate))


def _rate(x: float, y: float, rate: float, anchor: str) -> str:
    return _text(x, y, per_second(rate), "rate", anchor)


def per_second(rate: float) -> str:
    """`12/s`, `0.4/s`."""
    return f"{rate:.0f}/s" if rate >= 1 else f"{rate:.1f}/s"


# -- pieces ------------------------------------------------------------------------------------


def _group(key: str, label: str, *parts: str) -> str:
    label = html.escape(label, quote=True)
    return f'<g data-key="{html.escape(key)}" role="img" aria-label="{label}">{"".join(parts)}</g>'


def _rect(box: Box, kind: str, radius: float) -> str:
    return (
        f'<rect class="{kind}" x="{box.x:g}" y="{box.y:g}" width="{box.w:g}" height="{box.h:g}" '
        f'rx="{radius:g}"/>'
    )


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:g}" y="{y:g}"{where}>{html.escape(words)}</text>'


def _width(text: str) -> float:
    return sum(_WIDTHS.get(letter, _LETTER) for letter in text)


def _cut(text: str, room: float) -> str:
    """`text`, of 11 px, with its middle left out where it is wider than `room`: Pods are told apart
    by their ends."""
    if _width(text) <= room:
        return text
    end = text[-5:]
    head = text[: len(text) - 6]
    while head and _width(f"{head}…{end}") > room:
        head = head[:-1]
    return f"{head}…{end}"


def in_cores(cores: float) -> str:
    return f"{cores:g}" if cores == int(cores) else f"{cores * 1000:.0f}m"


def in_bytes(amount: float) -> str:
    gib = amount / 2**30
    if gib >= 1:
        return f"{gib:.1f}".removesuffix(".0") + "Gi"
    return f"{amount / 2**20:.0f}Mi" if amount else "0"
