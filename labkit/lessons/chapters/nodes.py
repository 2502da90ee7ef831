"""05 · Nodes: what a Pod asks of a node, who chooses one, and what happens when it goes."""

from __future__ import annotations

from labkit.lessons.chapters.nodes_places import DRAIN, SPOT, SPREAD
from labkit.lessons.chapters.nodes_web import LIMIT, REQUEST
from labkit.lessons.exercise import Chapter

CHAPTER = Chapter("05-nodes", "Nodes", (REQUEST, LIMIT, SPREAD, DRAIN, SPOT))
