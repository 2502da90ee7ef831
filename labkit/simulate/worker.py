"""A process that plays scenarios for a sweep: `python -m labkit.simulate.worker`.

    stdin    a pickled `Order` for each play; its end means stop
    stdout   a pickled `Answer` to each

Started anew and not forked, so it works from a notebook with all its threads, and from a script
that does not ask whether it is `__main__`.  What it needs is imported once, for all that it plays.
It is killed when whoever started it ends, however that was.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import traceback

from labkit.errors import LabkitError
from labkit.observe.score import scores
from labkit.simulate.simulation import Simulation
from labkit.simulate.workers import Answer, Order

_PR_SET_PDEATHSIG = 1


def play(order: Order) -> Answer:
    """The scores of one scenario."""
    try:
        found = Simulation(order.scenario).run()
        return Answer(scores(found, order.objective_ms, order.prices).to_dict())
    except LabkitError as error:
        return Answer(refused=(error.what, error.why, error.fix))
    except Exception:
        return Answer(failed=traceback.format_exc())


def main(parent: int) -> None:
    """Answer until there are no more orders."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            return
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a stray print must not get between the answers
    while True:
        try:
            order = pickle.load(orders)
        except EOFError:
            return
        pickle.dump(play(order), answers)
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
