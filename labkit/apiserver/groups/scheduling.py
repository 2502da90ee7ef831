"""The group scheduling.k8s.io: which Pods go first.

Source: k8s.io/kubernetes pkg/registry/scheduling.
"""

from __future__ import annotations

from labkit.apiserver import defaults, validate_policy
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

PRIORITY_CLASS = Strategy(
    default=defaults.priority_class,
    validate=validate_policy.priority_class,
    validate_update=validate_policy.priority_class_update,
    generation=(("value",),),  # which never changes: the generation is and stays 1
)

ROWS = (row(resources.PRIORITY_CLASSES, PRIORITY_CLASS, short="pc"),)
