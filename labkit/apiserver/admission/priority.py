"""Priority: a Pod's priority as a number.

Source: k8s.io/kubernetes plugin/pkg/admission/priority.
"""

from __future__ import annotations

from labkit.apiserver.admission.attributes import Attributes


def admit(a: Attributes) -> None:
    """Without a PriorityClass a Pod has priority 0 and may preempt what has less."""
    if a.pod_spec is not None:
        a.pod_spec.setdefault("priority", 0)
        a.pod_spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
