"""The condition DisruptionAllowed of a PodDisruptionBudget, which two parts keep.

The disruption controller sets it when it counts, the API server when an eviction takes the last
disruption.  Source: k8s.io/component-helpers apps/poddisruptionbudget.
"""

from __future__ import annotations

from collections.abc import Mapping

CONDITION = "DisruptionAllowed"


def with_condition(status: Mapping, now: str, reason: str = "", message: str = "") -> dict:
    """A budget's status with its condition set by `disruptionsAllowed` (or to a failure)."""
    allowed = not reason and status["disruptionsAllowed"] > 0
    fresh = {
        "type": CONDITION,
        "status": "True" if allowed else "False",
        "observedGeneration": status.get("observedGeneration", 0),
        "lastTransitionTime": now,
        "reason": reason or ("SufficientPods" if allowed else "InsufficientPods"),
        "message": message,
    }
    conditions = list(status.get("conditions") or ())
    for index, old in enumerate(conditions):
        if old["type"] == CONDITION:
            if old["status"] == fresh["status"]:
                fresh["lastTransitionTime"] = old["lastTransitionTime"]
            conditions[index] = fresh
            break
    else:
        conditions.append(fresh)
    return {**status, "conditions": conditions}
