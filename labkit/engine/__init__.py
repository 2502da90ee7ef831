"""The embedded container engine: the Docker Engine API over processes of this user.

Real clients (docker SDK and CLI, aiodocker) work with it unchanged; a kubelet of the lab cannot
tell it from dockerd.  A container here is a group of processes with its own loopback address,
environment, working directory, root directory, log and limits.  **It is no isolation boundary**:
it can see and do what the user can.  docs/engine.md says what is real and what is not.

The modules in reading order:

    engine            Engine, the one object to start and stop
    server            HTTP: versions, errors, streams, hijacked connections
    container_routes, attach_routes, archive_routes, other_routes      requests to calls
    runtime           which containers there are, and how their processes are started
    lifecycle         what can be done with containers, and in which order things happen
    restarts          restart policies
    containers        a container's state and how the API shows it
    creation          from a request to a container: checks and defaults
    environment       what a process finds: variables, program, /etc files
    execs, health     further processes in a container; health checks
    processes         the engine's end of the spawner: start, signal, reap
    pipes, feed       standard input and output, terminals, and who holds up whom
    spawner           the parent of all containers' processes: lifeline and limits (a package)
    logs              what containers wrote
    resources         which limits a container has
    accounting, stats, top, host        CPU, memory and processes
    archive           a container's files: docker cp and export
    image_routes, images, image, image_removal, references      what can be run
    registry, catalogue, image_store, blobs      where images come from, and how they are kept
    build_routes, dockerfile, dockerignore, words, contexts, builder, trees
                      from a Dockerfile to an image
    image_archive     docker save and load
    connector, networks, ports          addresses and published ports
    events, filters, selection, errors, timestamps      the API's small change
"""

from labkit.engine.engine import Engine

__all__ = ["Engine"]
