"""Text that never collides.

`spread` is the one idea: labels wish to be at certain places on a line, none may be closer to its
neighbour than a gap, and together they move as little as possible.  Neighbours that collide become
a block which is centred on the mean of its wishes; blocks that then collide merge (the pool
adjacent violators algorithm, the exact least-squares answer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spread(wishes: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places for labels: at least `gap` apart and within [low, high] if they fit at all."""
    if not wishes:
        return []
    order = sorted(range(len(wishes)), key=lambda index: wishes[index])
    gap = min(gap, (high - low) / max(1, len(wishes) - 1))
    # Minus the gaps before it, each label may be where it likes as long as the order is kept.
    top = high - gap * (len(wishes) - 1)
    level = _monotone([wishes[index] - gap * place for place, index in enumerate(order)])
    places = [0.0] * len(wishes)
    for place, index in enumerate(order):
        places[index] = min(max(level[place], low), top) + gap * place
    return places


def _monotone(values: Sequence[float]) -> list[float]:
    blocks: list[tuple[float, int]] = []  # mean, size
    for value in values:
        mean, size = value, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    return [mean for mean, size in blocks for _ in range(size)]


@dataclass(frozen=True)
class Label:
    """A text that names a line at its end, at the data point (x, y)."""

    x: float
    y: float
    text: str
    color: str | tuple[float, float, float]


def name_lines(axes: Axes, labels: Sequence[Label], *, size: float = 9.0) -> None:
    """Write each label to the right of its point, moved up or down until none covers another."""
    labels = [label for label in labels if label.x == label.x and label.y == label.y]
    if not labels:
        return
    height = axes.get_window_extent().height
    points = axes.figure.dpi / 72
    wishes = [_fraction(axes, label) * height for label in labels]
    places = spread(
        wishes, size * 1.35 * points, size * 0.75 * points, height - size * 0.3 * points
    )
    for label, place, wish in zip(labels, places, wishes, strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(7, (place - wish) / points),
            textcoords="offset points",
            color=label.color,
            fontsize=size,
            va="center",
            annotation_clip=False,
            zorder=10,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8},
        )


def shortened(paths: Sequence[str]) -> list[str]:
    """The ends of dotted paths, as much of them as is needed to tell them apart."""
    parts = [path.split(".") for path in paths]
    for length in range(1, max(map(len, parts), default=0)):
        ends = [".".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(ends):
            return ends
    return list(paths)


def _fraction(axes: Axes, label: Label) -> float:
    """Where the label's point is between the bottom (0) and the top (1) of the axes."""
    shown = axes.transData.transform((label.x, label.y))
    return float(axes.transAxes.inverted().transform(shown)[1])
