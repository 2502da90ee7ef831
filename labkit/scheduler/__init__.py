"""The scheduler: which node a Pod runs on.

Reading order, pure first:

- `podview`, `nodeinfo`: a Pod and a node as the scheduler sees them.
- `filters`: which nodes can take a Pod; `scores`, `spread`: which of them is best.
- `table`, `placement`: filters and scores over all nodes, remembered for Pods that are alike.
- `explain`, `messages`: the same for people.
- `cache`: the cluster with what was decided but is not in the API yet.
- `queue`: the Pods that wait.
- `scheduler`: the shell that watches and binds.
"""

from labkit.scheduler.explain import NodeVerdict, explain
from labkit.scheduler.nodeinfo import node_info
from labkit.scheduler.scheduler import Scheduler

__all__ = ["NodeVerdict", "Scheduler", "explain", "node_info"]
