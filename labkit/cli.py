"""`labkit`: up, down, status, doctor, env, kubectl, images, parts, load, simulate.

Commands print what they did; errors go to stderr in up to three sentences, with exit code 1 (2 for
a command that cannot be understood).  Modules are imported by the command that needs them, so that
`labkit env` is quick enough for a shell's start file.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time

from labkit.clusters import engines, manage, paths, settings
from labkit.errors import ClusterError, LabkitError, UsageError


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["kubectl"]:  # all that follows is kubectl's own, "--" and "-h" too
            return _kubectl(arguments[1:])
        options = _parser().parse_args(arguments)
        return options.func(options)
    except LabkitError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labkit: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labkit", description="A Kubernetes cluster in a second, to learn on."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_up(commands)
    _add_down(commands)
    status = commands.add_parser("status", help="show the clusters and their nodes")
    status.add_argument("--name", help="only this cluster")
    status.set_defaults(func=_status)
    env = commands.add_parser(
        "env",
        help="print KUBECONFIG and DOCKER_HOST for the shell",
        description='Use it so: eval "$(labkit env)"',
    )
    _name(env)
    env.set_defaults(func=_env)
    commands.add_parser(
        "kubectl", help="run kubectl with the cluster's kubeconfig: labkit kubectl get pods"
    )
    images = commands.add_parser(
        "images",
        help="build the course's images on a real Docker daemon, for another cluster",
        description="Have todolist, web, rule and user on the Docker daemon of DOCKER_HOST, or "
        "of this machine: to load them into kind or minikube, or to push them to a registry.",
    )
    images.set_defaults(func=_images)
    doctor = commands.add_parser("doctor", help="say whether this machine can run the lab")
    doctor.set_defaults(func=_doctor)
    _add_parts(commands)
    _add_load(commands)
    _add_simulate(commands)
    return parser


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", default=paths.DEFAULT_NAME, help="the cluster's name (%(default)s)"
    )


def _add_up(commands) -> None:
    up = commands.add_parser(
        "up",
        help="start a cluster",
        description="Start a cluster, or go on with one that was stopped. What is not given is as "
        "it was the last time.",
    )
    _name(up)
    up.add_argument("--nodes", type=int, help=f"how many nodes ({manage.DEFAULT_NODES})")
    up.add_argument(
        "--parts",
        choices=(settings.TOGETHER, settings.SEPARATE),
        help="run all parts of the cluster in one process, or each in its own "
        f"({settings.TOGETHER})",
    )
    up.add_argument(
        "--image-mirror",
        metavar="FROM=TO",
        action="append",
        help="take images whose names begin with FROM from TO: nginx=todolist, "
        "registry.example.com/team=docker.io/library; may be given several times",
    )
    up.add_argument(
        "--pre-pull",
        metavar="IMAGE",
        action="append",
        help="have this image on every node when the cluster is up; may be given several times",
    )
    up.add_argument(
        "--virtual-node",
        metavar="TYPE",
        action="append",
        help="add a virtual node whose instances are billed by the second: on-demand or spot; may "
        "be given twice",
    )
    up.add_argument(
        "--engine",
        choices=engines.ENGINES,
        help="what runs the containers: the lab's own engine, or the Docker daemon of this machine "
        "(embedded, or $LABKIT_ENGINE)",
    )
    group = up.add_argument_group("settings, with upstream's names and defaults")
    for flag, default in settings.DEFAULTS.items():
        group.add_argument(f"--{flag}", metavar=default, dest=f"flag:{flag}")
    up.add_argument(
        "--restore-backup",
        action="store_true",
        help="first go back to the last backup of the objects; what was there is kept beside it",
    )
    up.set_defaults(func=_up)


def _add_down(commands) -> None:
    down = commands.add_parser("down", help="stop a cluster; its objects are kept")
    _name(down)
    down.add_argument("--delete", action="store_true", help="remove its objects and files too")
    down.set_defaults(func=_down)


def _add_parts(commands) -> None:
    parts = commands.add_parser(
        "parts",
        help="list, start, stop, kill and run the parts of a cluster",
        description="The parts of a cluster that was started with --parts separate. A part that "
        "was killed is started again; one that was stopped is not, and can be run in the "
        "terminal.",
    )
    _name(parts)
    deeds = ("list", "start", "stop", "kill", "run")
    parts.add_argument("do", nargs="?", choices=deeds, default="list")
    parts.add_argument("part", nargs="*", help="such as kube-scheduler or kubelet/lab-worker2")
    parts.set_defaults(func=_parts)


def _add_load(commands) -> None:
    from labkit.load import cli

    cli.add_parser(commands)


def _add_simulate(commands) -> None:
    from labkit.simulate import cli

    cli.add_parser(commands)


def _up(options: argparse.Namespace) -> int:
    begun = time.monotonic()
    before = manage.info(options.name)
    flags = {
        name.removeprefix("flag:"): text
        for name, text in vars(options).items()
        if name.startswith("flag:") and text is not None
    }
    found = manage.up(
        options.name,
        options.nodes,
        flags or None,
        _Progress(begun),
        parts=options.parts,
        image_mirrors=options.image_mirror,
        pre_pull=options.pre_pull,
        engine=options.engine,
        virtual_node_types=options.virtual_node,
        restore_backup=options.restore_backup,
    )
    if before and before.running:
        print(f"The cluster {found.name} is up already.")
    else:
        print(f"The cluster {found.name} is up after {time.monotonic() - begun:.2f} s.")
    print(f"  server      {found.server}")
    print(f"  context     {found.context}  (in {found.kubeconfig})")
    name = "" if found.name == paths.DEFAULT_NAME else f" --name {found.name}"
    print(f'For kubectl and docker in this terminal: eval "$(labkit env{name})"')
    return 0


class _Progress:
    """One line a step, with the time since the beginning."""

    def __init__(self, begun: float) -> None:
        self._begun = begun

    def __call__(self, step: str) -> None:
        print(f"  ✓ {step:<42} {time.monotonic() - self._begun:5.2f} s", flush=True)


def _down(options: argparse.Namespace) -> int:
    for sentence in manage.down(options.name, delete=options.delete):
        print(sentence)
    return 0


def _env(options: argparse.Namespace) -> int:
    found = manage.info(options.name)
    if found is None:
        raise manage.no_such_cluster(options.name)
    for key, value in found.environment().items():
        print(f"export {key}={shlex.quote(value)}")
    return 0


def _kubectl(arguments: list[str]) -> int:
    """Becomes kubectl, so that terminals, pipes and signals are its own."""
    from labkit.clusters import kubectl

    path = kubectl.find()
    environment = {**os.environ, **_cluster_of_notebooks().environment()}
    sys.stdout.flush()
    os.execve(path, ["kubectl", *arguments], environment)


def _cluster_of_notebooks():
    """The cluster that `labkit.Lab()` would drive.  Raises LabkitError."""
    from labkit.clusters import contexts

    if context := os.environ.get(contexts.VARIABLE):
        return contexts.find(context)
    found = manage.info(paths.DEFAULT_NAME)
    if found is None:
        raise manage.no_such_cluster(paths.DEFAULT_NAME)
    if not found.running:
        raise ClusterError(
            f"The cluster {found.name} is down.",
            "Its objects are kept, but nobody answers.",
            "Go on with it: labkit up",
        )
    return found


def _images(options: argparse.Namespace) -> int:
    import asyncio

    from labkit.clusters import docker_engine, docker_images

    url = engines.docker_host()
    asyncio.run(docker_engine.build_images(url, print))
    print(f"On {url}: {' '.join(name for image in docker_images.COURSE for name in image.names)}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from labkit.clusters.doctor import doctor

    report = doctor()
    print(report)
    return 0 if report.ok else 1


def _parts(options: argparse.Namespace) -> int:
    from labkit.clusters.parts import Parts

    parts = Parts(options.name)
    if options.do != "list" and not options.part:
        raise UsageError(
            f"labkit parts {options.do} needs the name of a part.",
            f"There are {', '.join(parts)}.",
            f"Try: labkit parts {options.do} kube-scheduler",
        )
    if options.do == "run":
        return parts[options.part[0]].run()
    for part in [parts[name] for name in options.part]:
        if options.do != "list":
            getattr(part, options.do)()
    print(parts)
    return 0


def _status(options: argparse.Namespace) -> int:
    from labkit.clusters import status

    print(status.text([options.name] if options.name else None))
    return 0
