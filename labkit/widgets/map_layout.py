"""Where everything on the map is.  Pure: a state in, boxes out.

Services are on the left, nodes below one another on the right with their Pods as tiles in them.
Traffic comes from the left: to a Service, and from there to the nodes of its endpoints.  Nothing
overlaps, whatever there is to show (a test looks at many states).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.widgets.map_state import MapState, NodeSeen, PodSeen, ServiceSeen

WIDTH = 900.0
_MARGIN = 4.0
_SERVICE_X, _SERVICE_W, _SERVICE_H, _SERVICE_GAP = 72.0, 204.0, 48.0, 14.0
_NODE_X = 356.0
_NODE_W = WIDTH - _NODE_X - _MARGIN
_HEADER, _PAD, _NODE_GAP = 44.0, 10.0, 12.0
_COLUMNS, _TILE_H, _TILE_GAP = 4, 36.0, 6.0
_TILE_W = (_NODE_W - 2 * _PAD - (_COLUMNS - 1) * _TILE_GAP) / _COLUMNS
_LEGEND_H = 26.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; y grows downwards."""

    x: float
    y: float
    w: float
    h: float

    @property
    def bottom(self) -> float:
        return self.y + self.h

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def middle(self) -> float:
        return self.y + self.h / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of everything; `legend` is below all else."""

    height: float
    nodes: tuple[tuple[NodeSeen, Box], ...]
    pods: tuple[tuple[PodSeen, Box], ...]
    services: tuple[tuple[ServiceSeen, Box], ...]
    legend: Box


def layout(state: MapState) -> Layout:
    """Places for all that `state` has."""
    nodes, tiles, y = [], [], _MARGIN
    for node in state.nodes:
        box = Box(_NODE_X, y, _NODE_W, _node_height(len(node.pods)))
        nodes.append((node, box))
        tiles += [(pod, _tile(box, place)) for place, pod in enumerate(node.pods)]
        y = box.bottom + _NODE_GAP
    services = _services(state, bottom=y - _NODE_GAP)
    below = max([y, *(box.bottom + _NODE_GAP for _, box in services)])
    legend = Box(_MARGIN, below, WIDTH - 2 * _MARGIN, _LEGEND_H)
    return Layout(legend.bottom + _MARGIN, tuple(nodes), tuple(tiles), tuple(services), legend)


def _node_height(pods: int) -> float:
    rows = max(1, math.ceil(pods / _COLUMNS))
    return _HEADER + rows * (_TILE_H + _TILE_GAP) - _TILE_GAP + _PAD


def _tile(node: Box, place: int) -> Box:
    row, column = divmod(place, _COLUMNS)
    x = node.x + _PAD + column * (_TILE_W + _TILE_GAP)
    return Box(x, node.y + _HEADER + row * (_TILE_H + _TILE_GAP), _TILE_W, _TILE_H)


def _services(state: MapState, bottom: float) -> list[tuple[ServiceSeen, Box]]:
    """In the middle of the height of the nodes, where there is room."""
    count = len(state.services)
    needed = count * (_SERVICE_H + _SERVICE_GAP) - _SERVICE_GAP
    y = max(_MARGIN, (_MARGIN + bottom - needed) / 2)
    return [
        (service, Box(_SERVICE_X, y + place * (_SERVICE_H + _SERVICE_GAP), _SERVICE_W, _SERVICE_H))
        for place, service in enumerate(state.services)
    ]
