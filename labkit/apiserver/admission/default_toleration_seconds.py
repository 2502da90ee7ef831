"""DefaultTolerationSeconds: how long Pods stay on a node that is not ready or not reachable.

Source: k8s.io/kubernetes plugin/pkg/admission/defaulttolerationseconds, with its default of five
minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.taints import NOT_READY, UNREACHABLE


@dataclass(frozen=True)
class DefaultTolerationSeconds:
    """The API server's flags `--default-*-toleration-seconds`."""

    not_ready: int = 300
    unreachable: int = 300

    def admit(self, a: Attributes) -> None:
        """Let the Pod tolerate both taints for a while, unless it says something of them itself."""
        spec = a.pod_spec
        if spec is None:
            return
        own = spec.get("tolerations") or []
        added = [
            {
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }
            for taint, seconds in ((NOT_READY, self.not_ready), (UNREACHABLE, self.unreachable))
            if not any(_tolerates(toleration, taint) for toleration in own)
        ]
        spec["tolerations"] = [*own, *added]


def _tolerates(toleration: Mapping, taint: str) -> bool:
    return toleration.get("key") in (taint, None, "") and toleration.get("effect") in (
        "NoExecute",
        None,
        "",
    )
