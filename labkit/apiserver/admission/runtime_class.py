"""RuntimeClass: what a Pod's RuntimeClass adds to it.

Source: k8s.io/kubernetes plugin/pkg/admission/runtimeclass, with its messages.
"""

from __future__ import annotations

from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.resources import RUNTIME_CLASSES


def admit(a: Attributes) -> None:
    """Add overhead, node selector and tolerations of the class.  Raises ApiError 403."""
    spec = a.pod_spec
    if spec is None or not spec.get("runtimeClassName"):
        return
    name = spec["runtimeClassName"]
    item = a.state.of(RUNTIME_CLASSES).items.get(name)
    if item is None:
        raise a.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
    overhead = (item.obj.get("overhead") or {}).get("podFixed")
    if overhead:
        if spec.get("overhead", overhead) != overhead:
            raise a.forbidden(
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
            )
        spec["overhead"] = dict(overhead)
    elif spec.get("overhead"):
        raise a.forbidden(
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        )
    scheduling = item.obj.get("scheduling") or {}
    if selector := scheduling.get("nodeSelector"):
        _select(a, spec, selector)
    if tolerations := scheduling.get("tolerations"):
        present = spec.get("tolerations") or []
        spec["tolerations"] = [*present, *(one for one in tolerations if one not in present)]


def _select(a: Attributes, spec: dict, selector: dict[str, str]) -> None:
    wanted = spec.get("nodeSelector") or {}
    for key, value in selector.items():
        if wanted.get(key, value) != value:
            raise a.forbidden(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {wanted[key]}"
            )
    spec["nodeSelector"] = {**wanted, **selector}
