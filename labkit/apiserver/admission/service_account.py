"""ServiceAccount: every Pod runs as one.

Source: k8s.io/kubernetes plugin/pkg/admission/serviceaccount.  Left out: the projected token
volume, for containers here do not call the API with their Pod's identity.
"""

from __future__ import annotations

from labkit.apiserver.admission.attributes import Attributes


def admit(a: Attributes) -> None:
    """Name the namespace's default ServiceAccount where the Pod names none."""
    spec = a.pod_spec
    if spec is None:
        return
    spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
