"""The spawner's loop: requests from the engine, processes that end, limits to be looked at.

Requests and reports are `marshal`led tuples in datagrams (both ends are the same interpreter; json
would need 1 MB and 15 ms more).  Requests:

    ("run", number, group, argv, env, cwd, limits)
                        with descriptors: standard output, error and, if it is to have one, input;
                        or one terminal for all.  `limits` as below begin a new life of the group;
                        None: one more process in it
    ("kill", pid, signal)
    ("limit", group, limits)       (bytes of memory, CPU nanoseconds, in so many); 0: no limit
    ("pause" | "unpause" | "figures", number, group)

Reports:

    ("started", number, pid)      or      ("failed", number, errno)
    ("exited", pid, status)       status as a shell's $?: 128 + n if killed by signal n
    ("oom", group, None)          comes before the group's "exited"
    ("done", number, result)      answers what has a number; of "figures": see Limits.figures

Invariants: `main` holds exactly the processes started here and not yet reaped, with their group
(a container).  A process handed to the spawner whose group has no main process left is killed.
A process belongs to the group of its session's leader, else to that of its environment's
`CONTAINER_ROOT`.

Left out compared with containerd's shim: namespaces, cgroups and seccomp.  Nothing here
isolates a process from another of the same user.
"""

import _socket
import array
import marshal
import os
import select
import signal
import sys
import time

from . import procfs
from .limits import Limits

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MAX_REQUEST = 256 << 10  # the kernel's default bound on one datagram is below this
# What Python sets to "ignore" and a program expects at its default (signal(7): kept over exec).
RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)
now = time.monotonic_ns


def load_prctl():
    """prctl(2), or a function that does nothing where the C library cannot be loaded."""
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return lambda *_: -1


class Spawner:
    def __init__(self, engine):
        self.engine = engine
        self.me = os.getpid()
        self.main = {}  # pid -> group (the container's CONTAINER_ROOT)
        self.owners = {}  # pid -> group of processes that were handed over
        self.limits = Limits(self.main, self.kin, lambda group: self.report("oom", group, None))
        self.prctl = load_prctl()

    def serve(self):
        """Answer until the engine is gone."""
        self.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self.engine, select.POLLIN)
        poll.register(wake, select.POLLIN)
        due = None
        while True:
            for descriptor, _ in poll.poll(None if due is None else max(0, due - now()) / 1e6):
                if descriptor == wake:
                    os.read(wake, 4096)
                    self.reap()
                elif not self.receive():
                    return
            due = self.limits.look(now())

    def receive(self):
        """Do one request; false at end-of-file."""
        room = _socket.CMSG_SPACE(3 * array.array("i").itemsize)
        data, ancillary, _, _ = self.engine.recvmsg(MAX_REQUEST, room, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        descriptors = array.array("i")
        for _, _, payload in ancillary:
            descriptors.frombytes(payload)
        kind, *words = marshal.loads(data)
        if kind == "run":
            self.run(descriptors, *words)
        elif kind == "kill":
            if words[0] in self.main:
                procfs.send_signal(*words)
        elif kind == "limit":
            group, limits = words
            self.limits.set(group, *limits, now())
        else:
            number, group = words
            self.report("done", number, getattr(self.limits, kind)(group, now()))
        return True

    def report(self, *message):
        self.engine.send(marshal.dumps(message))

    def run(self, descriptors, number, group, argv, env, cwd, limits):
        """Fork and exec; tell the engine the process's id, or the errno of what failed."""
        failure, fail = os.pipe()  # closed by a successful exec: then nothing can be read
        pid = os.fork()
        if pid == 0:
            self.become(fail, descriptors, argv, env, cwd)
        os.close(fail)
        for descriptor in descriptors:
            os.close(descriptor)
        error = os.read(failure, 16)
        os.close(failure)
        if error:
            os.waitpid(pid, 0)
            self.report("failed", number, int(error))
            return
        self.main[pid] = group
        if limits is None:
            self.limits.started(group, now())
        else:
            self.limits.forget(group)
            if any(limits):
                self.limits.set(group, *limits, now())
        self.report("started", number, pid)

    def become(self, fail, descriptors, argv, env, cwd):
        """In the child: turn into the container's process.  Does not return."""
        try:
            signal.set_wakeup_fd(-1)
            for number in RESTORED:
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            self.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self.me:
                os._exit(137)
            if len(descriptors) == 1:
                os.login_tty(descriptors[0])
            else:
                out, err, *given = descriptors
                source = given[0] if given else os.open(os.devnull, os.O_RDONLY)
                for descriptor, target in ((source, 0), (out, 1), (err, 2)):
                    os.dup2(descriptor, target)
            os.chdir(cwd)
            os.execve(argv[0], argv[1:], env)
        except OSError as error:
            os.write(fail, str(error.errno).encode())
        finally:
            os._exit(127)

    def reap(self):
        """Report the main processes that have ended, and kill what they leave behind."""
        reaped, ended = False, []
        while True:
            try:
                pid, status, usage = os.wait3(os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            reaped = True
            group = self.main.pop(pid, None)
            if group is not None:
                code = os.waitstatus_to_exitcode(status)
                ended.append((pid, code if code >= 0 else 128 - code))
            group = group or self.owners.pop(pid, None)
            self.limits.reaped(group, int((usage.ru_utime + usage.ru_stime) * 1e9))
            if group not in self.main.values():
                self.limits.forget(group)
        if reaped:  # else a child was stopped or continued
            self.sweep()
        for pid, code in ended:
            self.report("exited", pid, code)

    def sweep(self):
        """Kill the trees of handed-over processes whose container has no main process left."""
        alive = set(self.main.values())
        procfs.kill_trees([pid for pid, group in self.orphans() if group not in alive])

    def kin(self, group):
        """The processes of a group that were handed over to this process."""
        return [pid for pid, owner in self.orphans() if owner == group]

    def orphans(self):
        """(id, group) of each process that was handed over and has not ended."""
        found = [pid for pid in procfs.children_of(self.me) if pid not in self.main]
        self.owners = {pid: self.owners.get(pid) or self.owner(pid) for pid in found}
        return self.owners.items()

    def owner(self, pid):
        try:
            return self.main.get(os.getsid(pid)) or procfs.root_of(pid)
        except ProcessLookupError:
            return None

    def end(self):
        """Kill everything below this process and wait until it is gone."""
        signal.set_wakeup_fd(-1)
        while True:
            procfs.kill_trees(procfs.children_of(self.me))
            try:
                os.wait()
            except ChildProcessError:
                return


def main():
    """Serve the engine at the other end of standard input; at its end, end everything."""
    spawner = Spawner(_socket.socket(fileno=os.dup(0)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        spawner.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the engine has gone while a report was on its way
    finally:
        spawner.end()
