"""03 · Talking to it: which cluster, who asks, what they may do, and a controller of one's own."""

from __future__ import annotations

from labkit.lessons.chapters.talking_what import LOOK, RECONCILE
from labkit.lessons.chapters.talking_who import SYSTEM, TRUST
from labkit.lessons.exercise import Chapter

CHAPTER = Chapter("03-talking", "Talking to it", (SYSTEM, TRUST, LOOK, RECONCILE))
