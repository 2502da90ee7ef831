"""The group events.k8s.io: the core group's Events under newer names.

Source: k8s.io/kubernetes pkg/registry/events.
"""

from __future__ import annotations

from labkit.apiserver.groups.core import EVENT
from labkit.apiserver.registration import row
from labkit.kube import resources

ROWS = (row(resources.EVENTS_V1, EVENT, short="ev", storage=resources.EVENTS),)
