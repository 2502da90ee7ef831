"""The HorizontalPodAutoscaler controller: how many replicas a workload should have.

Reading order, from the arithmetic to the wire:

- `settings`: the flags of kube-controller-manager and their defaults.
- `words`: a decision as people read it.
- `metrics`: samples in milli, and the ratio of usage to target.
- `pods`: which Pods count, and what they request.
- `replica_calculator`: the replicas that one metric asks for.
- `behavior`: stabilization, policies and bounds.
- `spec`, `observation`, `proposal`, `decision`: one look at one HPA, as a pure function.
- `scale_target`, `metrics_client`: the scale subresource and the metrics APIs.
- `controller`: the loop around it.
"""

from labkit.controllers.podautoscaler.controller import HorizontalPodAutoscalerController
from labkit.controllers.podautoscaler.decision import Decision
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration

__all__ = ["Decision", "HPAControllerConfiguration", "HorizontalPodAutoscalerController"]
