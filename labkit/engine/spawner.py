"""The spawner: the one small process that is the parent of every container's processes.

Run as `python -I -S spawner.py`, with a socket to the engine as its standard input.  It is a child
of its own for two reasons:

* Lifeline.  When the engine ends, however it ends, the kernel closes its end of the socket.  The
  spawner reads end-of-file, kills everything below it and exits.  It is the *subreaper* of its
  descendants (prctl(2)), so that processes whose parent has died, and that have called setsid(2),
  are handed to it and cannot get away.  Should the spawner itself be killed, each container's main
  process dies with it (PR_SET_PDEATHSIG).
* Speed.  To fork this process (8 MB, one thread) costs the engine nothing and takes a millisecond.

Requests and reports are `marshal`led tuples in datagrams (both ends are the same interpreter; json
would need 1 MB and 15 ms more).  Requests:

    ("run", number, group, argv, env, cwd)     with descriptors: standard output, error and, if it
                                               is to have one, input; or one terminal for all
    ("kill", pid, signal)

Reports:

    ("started", number, pid)      or      ("failed", number, errno)
    ("exited", pid, status)       status as a shell's $?: 128 + n if killed by signal n

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

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MAX_REQUEST = 256 << 10  # the kernel's default bound on one datagram is below this
MARKER = b"CONTAINER_ROOT="
# What Python sets to "ignore" and a program expects at its default (signal(7): kept over exec).
RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)


def load_prctl():
    """prctl(2), or a function that does nothing where the C library cannot be loaded."""
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return lambda *_: -1


def children_of(pid):
    """The ids of the direct children of `pid`, of all its threads."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        found = []
        for task in tasks:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
        return found
    except OSError:
        return [child for child, parent in parents() if parent == pid]


def parents():
    """(id, parent's id) of every visible process: for kernels without /proc/*/children."""
    pairs = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    pairs.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
            except OSError:
                continue
    return pairs


def descendants_of(pid):
    """Children, grandchildren and so on, parents first."""
    found = children_of(pid)
    for child in found:
        found += children_of(child)
    return found


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_tree(pid):
    """Kill `pid` and what descends from it; who is forked meanwhile is met by the next sweep."""
    for victim in [pid, *descendants_of(pid)]:
        send_signal(victim, signal.SIGKILL)


def root_of(pid):
    """The CONTAINER_ROOT that `pid` was started with, or None."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for item in file.read().split(b"\0"):
                if item.startswith(MARKER):
                    return os.fsdecode(item[len(MARKER) :])
    except OSError:
        pass
    return None


class Spawner:
    def __init__(self, engine):
        self.engine = engine
        self.me = os.getpid()
        self.main = {}  # pid -> group (the container's CONTAINER_ROOT)
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
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == wake:
                    os.read(wake, 4096)
                    self.reap()
                elif not self.receive():
                    return

    def receive(self):
        """Do one request; false at end-of-file."""
        room = _socket.CMSG_SPACE(3 * array.array("i").itemsize)
        data, ancillary, _, _ = self.engine.recvmsg(MAX_REQUEST, room, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        descriptors = array.array("i")
        for _, _, payload in ancillary:
            descriptors.frombytes(payload)
        request = marshal.loads(data)
        if request[0] == "run":
            self.run(descriptors, *request[1:])
        elif request[1] in self.main:
            send_signal(*request[1:])
        return True

    def report(self, *message):
        self.engine.send(marshal.dumps(message))

    def run(self, descriptors, number, group, argv, env, cwd):
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
        else:
            self.main[pid] = group
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
        ended = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.main:
                del self.main[pid]
                code = os.waitstatus_to_exitcode(status)
                ended.append((pid, code if code >= 0 else 128 - code))
        self.sweep()
        for pid, code in ended:
            self.report("exited", pid, code)

    def sweep(self):
        """Kill the trees of handed-over processes whose container has no main process left."""
        for pid in children_of(self.me):
            if pid not in self.main and not self.has_owner(pid):
                kill_tree(pid)

    def has_owner(self, pid):
        try:
            return os.getsid(pid) in self.main or root_of(pid) in self.main.values()
        except ProcessLookupError:
            return True  # gone meanwhile: nobody to kill

    def end(self):
        """Kill everything below this process and wait until it is gone."""
        signal.set_wakeup_fd(-1)
        while True:
            for pid in descendants_of(self.me):
                send_signal(pid, signal.SIGKILL)
            try:
                os.wait()
            except ChildProcessError:
                return


if __name__ == "__main__":
    spawner = Spawner(_socket.socket(fileno=os.dup(0)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        spawner.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the engine has gone while a report was on its way
    finally:
        spawner.end()
