"""What to do next about one Pod: a pure function from a `View` to a `Plan`.

The whole life of a Pod is in `plan`, read from top to bottom:

1. A Pod that is deleted, evicted, has ended, or ran past its deadline: stop its containers,
   sidecars after the others and in reverse order, the sandbox last; when nothing runs, it is
   `finished`.
2. All containers have ended for good (restartPolicy): stop sidecars and sandbox likewise.
3. Volumes that cannot be set up: wait.  No sandbox: stop what is left from an earlier one, then
   make a new one.
4. Init containers, one after the other.
5. Containers: start those that never ran, one after the other's postStart hook, stop those whose
   probes failed, start again those that ended, not before their back-off.
6. Ephemeral containers, once and never again, whatever the others do.

A plan says only the next step; the worker carries it out and asks again until nothing is left.
Source: kubelet's kuberuntime (computePodActions, doBackOff).  Left out: restartPolicyRules,
resizing in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from labkit.kube import pods, times
from labkit.kubelet import backoff
from labkit.kubelet import instances as inst
from labkit.kubelet.instances import EXITED, RUNNING, SANDBOX, Instance
from labkit.kubelet.view import Blocked, View, grace_period, is_sidecar, restarts

CRASH_LOOP = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop one container: SIGTERM, and SIGKILL after `grace` seconds.

    Both wait, within that time, until no container named in `after` runs.
    """

    instance: Instance
    grace: int
    message: str = ""  # of the Killing Event; empty for a sandbox, which has none
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step.  `again` is after how many seconds to look again without being woken."""

    kill: tuple[Kill, ...] = ()
    sandbox: int | None = None  # make a sandbox with this attempt number
    start: tuple[Mapping, ...] = ()  # containers (of the spec) to start, in this order
    waiting: Mapping[str, Blocked] = field(default_factory=dict)  # by container name
    ending: bool = False  # nothing is started any more
    finished: bool = False  # nothing runs, nothing will
    deadline_exceeded: bool = False
    again: float | None = None


def plan(view: View) -> Plan:
    """The next step towards what the Pod's spec asks for."""
    late = deadline_exceeded(view)
    if view.deleting or pods.is_terminal(view.pod) or late or view.facts.evicted:
        return _terminate(view, late)
    if has_ended(view):
        return _terminate(view, late)
    if view.facts.unmounted is not None:
        return _with_deadline(view, Plan(again=view.facts.unmounted - view.now))
    if not view.sandbox_ready:
        return _with_sandbox(view)
    return _with_deadline(view, _containers(view))


def deadline_exceeded(view: View) -> bool:
    """Whether the Pod has been active for longer than spec.activeDeadlineSeconds."""
    left = _until_deadline(view)
    return left is not None and left <= 0


def _until_deadline(view: View) -> float | None:
    seconds, start = view.spec.get("activeDeadlineSeconds"), view.status.get("startTime")
    if seconds is None or not start:
        return None
    return times.parse(start) + seconds - view.now


def _with_deadline(view: View, step: Plan) -> Plan:
    left = _until_deadline(view)
    return step if left is None else _sooner(step, left)


def _sooner(step: Plan, seconds: float) -> Plan:
    return replace(step, again=seconds if step.again is None else min(step.again, seconds))


def has_ended(view: View) -> bool:
    """Whether all containers have ended for good, or an init container has failed for good."""
    for container in view.init_containers:
        run = view.run(container["name"])
        if run and not is_sidecar(container) and run.exit_code and _is_over(view, container):
            return True
    return all(_is_over(view, container) for container in view.containers)


def _is_over(view: View, container: Mapping) -> bool:
    run = view.run(container["name"])
    return run is not None and run.state == EXITED and not restarts(view.spec, container, run)


def _terminate(view: View, late: bool) -> Plan:
    running = [one for one in view.instances if one.state == RUNNING]
    grace, evicted = grace_period(view.pod), view.facts.evicted
    if evicted:
        grace = min(grace, evicted.grace) if view.deleting else evicted.grace
    victims = [one for one in running if not one.is_sandbox] or running
    kills = tuple(replace(_stop(one, grace), after=_before(view, one)) for one in victims)
    return Plan(kill=kills, ending=True, finished=not kills, deadline_exceeded=late)


def _before(view: View, one: Instance) -> frozenset[str]:
    """The running containers that a sidecar outlives: the ordinary ones, and later sidecars."""
    sidecars = [each["name"] for each in view.init_containers if is_sidecar(each)]
    if one.name not in sidecars:
        return frozenset()
    later = sidecars[sidecars.index(one.name) + 1 :]
    served = {*later, *(each["name"] for each in view.containers)}
    return frozenset(each.name for each in view.instances if each.state == RUNNING) & served


def _stop(one: Instance, grace: int) -> Kill:
    # A sandbox has nothing to finish.
    return Kill(one, 0) if one.is_sandbox else Kill(one, grace, f"Stopping container {one.name}")


def _with_sandbox(view: View) -> Plan:
    grace = grace_period(view.pod)
    stale = [one for one in view.instances if one.state == RUNNING]
    if stale:
        return Plan(kill=tuple(_stop(one, grace) for one in stale))
    wait = _blocked(view, SANDBOX)
    if wait:
        return Plan(waiting={SANDBOX: wait}, again=wait.until - view.now)
    attempt = view.sandbox.attempt + 1 if view.sandbox else 0
    # What will be started into the sandbox is known already: images can be looked after meanwhile.
    ahead = _containers(view)
    return Plan(sandbox=attempt, start=ahead.start, waiting=ahead.waiting)


def _containers(view: View) -> Plan:
    """Steps 4 to 6."""
    steps = _Steps(view)
    for container in view.ephemeral_containers:
        steps.look_at_ephemeral(container)
    for container in view.init_containers:
        steps.look_at(container)
        if _stands_in_the_way(view, container):
            return steps.plan()
    for container in view.containers:
        steps.look_at(container)
        if steps.is_hooked(container):
            break  # the others are started when the hook is done
    return steps.plan()


def _stands_in_the_way(view: View, container: Mapping) -> bool:
    # Once the Pod's containers have run, a dead sidecar holds nobody up.
    begun = any(_is_current(view, view.run(one["name"])) for one in view.containers)
    return container["name"] in view.incomplete() and not begun


def _is_current(view: View, run: Instance | None) -> bool:
    return run is not None and view.sandbox is not None and run.sandbox_id == view.sandbox.id


class _Steps:
    """Collects what is to be done about containers, one after the other."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.kill: list[Kill] = []
        self.start: list[Mapping] = []
        self.waiting: dict[str, Blocked] = {}

    def plan(self) -> Plan:
        again = _earliest(one.until - self.view.now for one in self.waiting.values())
        return Plan(tuple(self.kill), None, tuple(self.start), self.waiting, again=again)

    def look_at(self, container: Mapping) -> None:
        run = self.view.run(container["name"])
        if run is None or run.state == EXITED:
            self._start_or_wait(container, run)
        elif run.state == RUNNING:
            self._keep_or_kill(container, run)
        else:
            self.start.append(container)  # created by a kubelet that ended before the start

    def is_hooked(self, container: Mapping) -> bool:
        """Whether a container runs its postStart hook, or will as soon as it is started."""
        if self.start and self.start[-1] is container:
            return "postStart" in (container.get("lifecycle") or {})
        run = self.view.run(container["name"])
        return run is not None and run.id in self.view.facts.hooked

    def look_at_ephemeral(self, container: Mapping) -> None:
        run = self.view.run(container["name"])
        if run is None:
            self._start_or_wait(container, None)
        elif run.state not in (RUNNING, EXITED):
            self.start.append(container)

    def _start_or_wait(self, container: Mapping, run: Instance | None) -> None:
        if run and not self._runs_again(container, run):
            return
        name = container["name"]
        wait = _blocked(self.view, name) or (run and self._crash_loop(container, run))
        if wait:
            self.waiting[name] = wait
        else:
            self.start.append(container)

    def _runs_again(self, container: Mapping, run: Instance) -> bool:
        if container in self.view.init_containers and not is_sidecar(container):
            # Done is done; otherwise the Pod's policy speaks, and Never has ended the Pod.
            return run.exit_code != 0
        return restarts(self.view.spec, container, run)

    def _crash_loop(self, container: Mapping, run: Instance) -> Blocked | None:
        name = container["name"]
        entry = self.view.facts.back_offs.get(name)
        left = backoff.remaining(entry, run.finished, self.view.now)
        if not left:
            return None
        message = f"back-off {go_duration(entry.delay)} restarting failed container={name}"
        return Blocked(
            CRASH_LOOP, f"{message} pod={full_name(self.view.pod)}", left + self.view.now
        )

    def _keep_or_kill(self, container: Mapping, run: Instance) -> None:
        name, failed = container["name"], self.view.probed(container, run).failed
        grace = grace_period(self.view.pod)
        if self._is_another(container, run):
            message = f"Container {name} definition changed, will be restarted"
            self.kill.append(Kill(run, grace, message))
        elif failed:
            own = (container.get(f"{failed}Probe") or {}).get("terminationGracePeriodSeconds")
            message = f"Container {name} failed {failed} probe, will be restarted"
            self.kill.append(Kill(run, grace if own is None else own, message))

    def _is_another(self, container: Mapping, run: Instance) -> bool:
        """Whether the Pod's container was given another image since `run` began."""
        known = (run.labels or {}).get(inst.HASH)
        if known in (None, inst.hash_of(container)):
            return False
        return self.view.spec.get("restartPolicy") != "Never"


def _blocked(view: View, name: str) -> Blocked | None:
    wait = view.facts.blocked.get(name)
    return wait if wait and wait.until > view.now else None


def _earliest(seconds: Iterable[float]) -> float | None:
    """The smallest; None if all wait for something else than time."""
    return min((one for one in seconds if math.isfinite(one)), default=None)


def full_name(pod: Mapping) -> str:
    """`name_namespace(uid)`, as kubelet's messages name a Pod (format.Pod)."""
    meta = pod["metadata"]
    return f"{meta['name']}_{meta['namespace']}({meta['uid']})"


def go_duration(seconds: float) -> str:
    """`12ms`, `1.5s`, `2m40s`: a duration as Go's time.Duration prints it, to the millisecond."""
    millis = round(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
