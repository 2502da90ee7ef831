"""The scheduler: which node a Pod runs on.

Reading order, pure first:

- `podview`, `affinity`, `nodeinfo`: a Pod, its terms about other Pods, and a node, as the scheduler
  sees them.
- `filters`: which nodes can take a Pod; `scores`: which of them is best.
- `spread`, `neighbours`, `volumes`, `needs`: filters and scores that look further than one node.
- `cache`: the cluster with what was decided but is not in the API yet.
- `table`, `placement`: filters and scores over all nodes, remembered for Pods that are alike.
- `preemption`: whose place a more important Pod may take.
- `messages`: what people read in Events; `explain`, `reasons`, `explanation`, `question`: every
  filter and score of every node with its reason, for any cluster whose API can be read.
- `queue`, `hints`: the Pods that wait, and which change could help which of them; `telemetry`:
  how many, and how long it takes.
- `scheduler`, `binder`: the shell that watches and binds.
"""

from labkit.scheduler.explain import NodeVerdict, explain
from labkit.scheduler.nodeinfo import node_info
from labkit.scheduler.scheduler import Scheduler

__all__ = ["NodeVerdict", "Scheduler", "explain", "node_info"]
