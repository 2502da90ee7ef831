"""Open-loop HTTP load: requests leave on schedule, whatever the answers do.

    profile.py   how much load, when: `step`, `ramp`, `spike`, `sine`, joined with `+`; pure
    trace.py     the same from a CSV file
    tally.py     what is counted in each second, and its percentiles; pure
    worker.py    the process that sends the requests
    handle.py    `Load`, `run` and `start`: the notebook's side of that process
    cli.py       `labkit load`

A closed-loop tester (a thread that waits for an answer before it asks again) slows down together
with the service it measures, and so hides the very stall one looks for ("coordinated omission",
Gil Tene).  Here every request has a scheduled time that depends on nothing but the profile, and
its latency is counted from that time.

Left out compared with wrk2, vegeta or k6: methods other than GET, request bodies, HTTP/2,
redirects, and more than one process.
"""

from labkit.load.handle import Load, run, start
from labkit.load.profile import Profile, noisy, ramp, sine, spike, step
from labkit.load.trace import trace

__all__ = [
    "Load", "Profile", "noisy", "ramp", "run", "sine", "spike", "start", "step", "trace",
]  # fmt: skip
