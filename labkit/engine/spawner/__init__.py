"""The spawner: the one small process that is the parent of every container's processes.

Run as `python -I -S labkit/engine/spawner/__main__.py`, with a socket to the engine as its standard
input; it imports nothing but the standard library, and of that as little as it can.  It is a child
of its own for three reasons:

* Lifeline.  When the engine ends, however it ends, the kernel closes its end of the socket.  The
  spawner reads end-of-file, kills everything below it and exits.  It is the *subreaper* of its
  descendants (prctl(2)), so that processes whose parent has died, and that have called setsid(2),
  are handed to it and cannot get away.  Should the spawner itself be killed, each container's main
  process dies with it (PR_SET_PDEATHSIG).
* Speed.  To fork this process (8 MB, one thread) costs the engine nothing and takes a millisecond.
* Limits.  It is always awake in time, whatever the engine's loop is busy with, so it is who looks
  at what containers use, and stops or kills those that use more than they may.

The modules in reading order:

    serve         requests and reports, fork and exec, reaping
    limits        memory limits, CPU limits and pause, of each container
    bandwidth     the arithmetic of a CPU limit
    procfs        what /proc and the CPU clocks say about processes
"""
