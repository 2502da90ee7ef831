"""`Lab`: the one object of a notebook.

`lab = labkit.Lab("04-deploy")` gets the cluster, or makes it, deletes what chapters left in it, and
points `kubectl` and `docker` of this notebook at it.  Everything it does may be repeated, and says
what it did.  It keeps nothing of its own about the cluster: what it shows, it has just asked the
API for.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.client import Client
from labkit.client.sync import Portal
from labkit.clusters import contexts, manage, paths, settings
from labkit.clusters.contexts import ForeignCluster
from labkit.errors import ClusterError, UsageError, WaitTimeout
from labkit.kube import conditions, kinds, resources
from labkit.lab import containers, faces, kubectl, magics, manifests, reach, target
from labkit.lab.clients import Clients
from labkit.lab.objects import Objects, spoken
from labkit.lab.ownership import Ownership
from labkit.lab.watching import Watching, recorder

if TYPE_CHECKING:
    import pandas as pd

    from labkit.lessons import Outcome, Progress
    from labkit.load import Load, Profile
    from labkit.observe import Recorder
    from labkit.widgets.autoscaling import Autoscaling
    from labkit.widgets.cluster_map import ClusterMap
    from labkit.widgets.scheduling import Placement

T = TypeVar("T")


class Lab(Clients):
    """A cluster, as a notebook uses it.

    `chapter` is the name of the notebook, such as `04-deploy`: what chapters have made is deleted
    first, and its exercises can be checked.  Without it nothing is deleted, so that a notebook of
    your own can stand beside a chapter.

    `name`, `nodes` and `virtual_nodes` are those of `labkit up`.  Settings are flags with
    underscores (`horizontal_pod_autoscaler_sync_period="2s"`); a cluster that is up with other
    settings is restarted with them, which takes a second and keeps its objects.  `parts` says
    whether the parts of the cluster share one process ("together") or have one each ("separate").

    With `LABKIT_CONTEXT` in the environment it is the cluster of that kubeconfig context instead,
    taken as it is.
    """

    def __init__(
        self,
        chapter: str | None = None,
        *,
        name: str = paths.DEFAULT_NAME,
        nodes: int | None = None,
        virtual_nodes: Sequence[str] = (),
        parts: str | None = None,
        **settings: str,
    ) -> None:
        self.chapter = _checked(chapter)
        self.cluster = target.reach(target.Wish(name, nodes, virtual_nodes, parts, settings))
        contexts.adopt(self.cluster.environment())
        foreign = isinstance(self.cluster, ForeignCluster)
        self.namespace = self.cluster.namespace if foreign else "default"
        client = self._connect()
        self._portal = Portal()
        self._objects = Objects(client, self.namespace)
        self._ownership = Ownership(self._objects, chapter, strict=foreign)
        self._watching, self._proxy = Watching(), reach.ApiProxy()
        # A notebook makes a Lab each time its first cell runs; the one before gives back its own.
        weakref.finalize(self, _close, self._portal, client, self._watching, self._proxy)
        magics.register(self)
        if chapter:
            self._delete(all_chapters=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a conversation with the API server.  Raises ClusterError for no answer."""
        try:
            return self._portal.run(work)
        except OSError as error:
            raise ClusterError(
                f"The API server at {self.cluster.server} does not answer: {error}.",
                "The cluster was probably stopped since this notebook's first cell.",
                "See what is up (labkit status in a terminal), and run the first cell again.",
            ) from None

    # -- making and deleting ------------------------------------------------------------------

    def kubectl(self, command: str, *, input: str | None = None) -> None:
        """Run `kubectl COMMAND` and print what it says; `%kubectl COMMAND` does the same.

        What it creates is remembered for `reset`.  Raises UsageError with kubectl's own message
        where it fails, or where there is no kubectl.
        """
        arguments = kubectl.words(command)
        done = kubectl.run(arguments, input=input)
        if names := kubectl.made(done.lines):
            namespace = kubectl.namespace_of(arguments)
            self._run(self._ownership.note((name, namespace) for name in names))
        if done.error:
            raise done.error

    def apply(self, manifest: str) -> None:
        """`kubectl apply` a manifest, given as YAML text or as the name of a file.

        What it creates is remembered for `reset`.  Raises UsageError.
        """
        text = manifests.text(manifest)
        self._run(self._ownership.take_known(manifests.names(text)))
        try:
            self.kubectl("apply -f -", input=text)
        finally:
            self._run(self._ownership.note())

    def reset(self, *names: str, cluster: bool = False) -> None:
        """Delete what this chapter made, and all that it owns; wait for the end.

        That is what `lab.apply`, `%%manifest` and `%kubectl` created, and the objects that are
        named here (`pod/hello`): name what `!kubectl` cells make.  What does not exist needs no
        deleting.  Raises UsageError for a name that somebody else's object has, in a cluster that
        is not the lab's own.

        With `cluster` it is the whole cluster that goes, with all that is in it: for a chapter that
        has made one of its own.
        """
        if cluster:
            return self._remove()
        wanted = [(name, "") for name in names]
        self._run(self._ownership.take(wanted))
        gone = self._delete(all_chapters=False)
        self._run(self._ownership.take(wanted))
        if not gone:
            print("Nothing to delete.")

    def _remove(self) -> None:
        """Take the cluster down and delete what it has kept, if it is there."""
        name = target.own(self.cluster, "lab.reset(cluster=True)").name
        self._watching.stop()
        if manage.info(name):
            manage.down(name, delete=True)
            print(f"Deleted the cluster {name}.")
        else:
            print("Nothing to delete.")

    def _delete(self, *, all_chapters: bool) -> bool:
        """Delete what is recorded; whether there was anything."""
        self._watching.stop()
        gone = self._run(self._ownership.delete(all_chapters=all_chapters))
        for one in reversed(gone):  # the first that was made is the last to go
            self._until(one.name, lambda seen: not seen, "is gone", 60, one.namespace)
        if gone:
            print(f"Deleted {spoken(one.name for one in gone)}.")
        return bool(gone)

    # -- looking and waiting ------------------------------------------------------------------

    def get(self, name: str) -> dict:
        """The object `kind/name` of the current namespace as the API has it.  Raises ApiError."""
        return self._run(self._objects.get(name))

    def wait(
        self,
        name: str,
        condition: str | Callable[[dict], object] = "Ready",
        timeout: float = 60,
    ) -> None:
        """Wait until `kind/name` has `condition`: a condition's type, or a function of the object.

        The object, or the part of it that the function looks at, may not exist yet.  Raises
        WaitTimeout with the state last seen.
        """
        begun = time.monotonic()
        if callable(condition):
            goal, meets = "meets the condition", kinds.tolerant(condition)
        else:
            goal, meets = f"is {condition}", lambda seen: conditions.is_true(seen, condition)
        self._until(name, meets, goal, timeout)
        seconds = time.monotonic() - begun
        print(f"{name} {goal}" + (f" after {seconds:.1f} s." if seconds >= 0.05 else "."))

    def _until(
        self,
        name: str,
        meets: Callable[[dict], object],
        goal: str,
        timeout: float,
        namespace: str = "",
    ) -> None:
        last = self._run(self._objects.follow(name, meets, timeout, namespace))
        if not meets(last):
            fix = f"Look closer: !kubectl describe {name}"
            raise WaitTimeout(f"the moment when {name} {goal}", timeout, kinds.state(last), fix)

    def load(self, where: str, profile: Profile, *, path: str = "/", **options: Any) -> Load:
        """Send load (`labkit.step`, `ramp`, `spike`) in the background; `lab.watch` shows it.

        `where` is a Service, an Ingress (`ingress/web`) or a URL.  `options` are those of
        `labkit.load.start`: seed, timeout, connections, keep_alive.  The load ends by itself, with
        `.stop()`, or with the kernel.  Raises UsageError.
        """
        _ = self.api, recorder(self.api, "x", "x")  # what a watch will need takes a second to load
        url = where if "://" in where else self.url(where) + path.lstrip("/")
        return self._watching.load(url, profile, **options)

    def watch(
        self,
        deployment: str,
        *,
        until: Callable[[pd.Series], bool] | None = None,
        timeout: float = 120,
        objective_ms: float | None = None,
    ) -> Recorder:
        """Show a Deployment, its autoscaler, its Pods and the load until `until` holds.

        `until` is a function of the newest row (see `Recorder.frame`): `lambda now:
        now.replicas_ready == 3`.  Without it, until the loads of `lab.load` are over.
        `objective_ms` is the latency that p99 should stay under.  Returns the recording: `.frame()`
        and `.events`.  Raises WaitTimeout after `timeout` seconds; an interrupt ends the load too.
        """
        recording = recorder(self.api, deployment, self.namespace)
        options = {"objective_ms": objective_ms, "tolerance": self._tolerance()}
        return self._watching.watch(recording, until, timeout, **options)

    def _tolerance(self) -> float:
        given = getattr(self.cluster, "settings", {})
        return settings.complete(given)["horizontal_pod_autoscaler_tolerance"]

    def bill(self):
        """What virtual nodes have cost until now: a DataFrame, one row per node, in dollars."""
        from labkit.observe.bill import bill

        return bill(self._run(self._objects.client.list(resources.NODES))["items"])

    def explain_scheduling(self, pod: str | Mapping) -> Placement:
        """Why a Pod is where it is, or nowhere: every filter and score of every node, with reasons.

        `pod` is the name of a Pod, whether it waits or runs (`"web"`, `"pod/web"`); what has a
        template (`"deployment/web"`: where would one more go?); or a manifest of one that does not
        exist yet, as YAML text or a dict.  The answer shows itself, with sliders for what the Pod
        requests; `.frame` is a DataFrame of it.
        """
        from labkit.scheduler.question import question
        from labkit.widgets.scheduling import Placement

        if isinstance(pod, str) and "\n" in pod.strip():
            given = manifests.documents(pod)[0]
        elif isinstance(pod, str):
            given = self.get(pod if "/" in pod else f"pod/{pod}")
        else:
            given = pod
        return Placement(self._run(question(self._objects.client, given)))

    # -- live views ---------------------------------------------------------------------------

    def map(self, namespace: str = "") -> ClusterMap:
        """Nodes, Pods by state, Services and their traffic, live for half an hour.

        `namespace` chooses what is shown of Pods and Services, without one all but the cluster's
        own.
        """
        from labkit.widgets.cluster_map import ClusterMap

        return ClusterMap(self._connect, namespace=namespace)

    def autoscaling(self, deployment: str, url: str = "") -> Autoscaling:
        """A Deployment and its autoscaler, live, with a load to start and to change.

        The load goes to `url`, without one to the Service of the same name.  Raises UsageError.
        """
        from labkit.widgets.autoscaling import Autoscaling

        return Autoscaling(self.api, deployment, url or self.url(deployment), self.namespace)

    # -- reaching -----------------------------------------------------------------------------

    def url(self, service: str) -> str:
        """The URL of a Service of type NodePort, or of an Ingress (`ingress/web`), as this machine
        reaches it.  Raises UsageError."""
        foreign = isinstance(self.cluster, ForeignCluster)
        if service.startswith("ingress/"):
            ingress = self.get(service)
            return reach.published_url(ingress) if foreign else self._ingress_url(ingress)
        found = self.get(f"service/{service}")
        port = reach.node_port(found)
        if not foreign:
            return f"http://127.0.0.1:{port}/"
        address = reach.answering(reach.node_addresses(self._nodes()), port)
        return f"http://{address}:{port}/" if address else self._proxy.service_url(found)

    def _ingress_url(self, ingress: Mapping) -> str:
        client = self._objects.client
        controller = client.get(resources.SERVICES, "ingress-controller", "kube-system")
        port = self._run(controller)["spec"]["ports"][0]["nodePort"]
        return reach.ingress_url(ingress, port)

    def open(self, service: str):
        """A link to a Service, or to a URL at 127.0.0.1, in the learner's browser: through
        Jupyter where it runs there."""
        from IPython.display import HTML

        return HTML(faces.link(service, service if "://" in service else self.url(service)))

    # -- exercises ----------------------------------------------------------------------------

    def check(self, exercise: str, answer: Any = None) -> Outcome:
        """Look at the cluster, or at `answer`, and say whether an exercise is solved.

        The answer shows itself: what was expected, what is there, a hint and where to look.  Of
        another chapter: `04-deploy/replicas`.  Raises UsageError for an unknown exercise.
        """
        from labkit import lessons

        return lessons.check(self.chapter, exercise, self._list, self.namespace, answer=answer)

    def progress(self) -> Progress:
        """The chapters and their exercises, and which of them you have solved."""
        from labkit import lessons

        return lessons.progress()

    def _list(self, resource: resources.Resource, namespace: str | None) -> list[dict]:
        if resource.version == "docker":
            return containers.described(self.docker)
        return self._run(self._objects.client.list(resource, namespace))["items"]

    # -- what a notebook shows ----------------------------------------------------------------

    def _nodes(self) -> list[dict]:
        return self._list(resources.NODES, None)

    def __repr__(self) -> str:
        cluster = self.cluster
        title = f"The cluster {cluster.name}: {cluster.server}, context {cluster.context}"
        return faces.text(title, [faces.node_row(node) for node in self._nodes()])

    def _repr_html_(self) -> str:
        rows = [faces.node_row(node) for node in self._nodes()]
        return faces.markup(self.cluster.name, self.cluster.server, self.cluster.context, rows)


def _checked(chapter: str | None) -> str | None:
    """The chapter's name, if it can be one."""
    if chapter is None or manifests.is_key(chapter):
        return chapter
    raise UsageError(
        f"{chapter!r} cannot be a chapter's name.",
        "It has letters, digits, dashes, dots and underscores, as the notebook's file has.",
        'Try: lab = labkit.Lab("04-deploy")',
    )


def _close(portal: Portal, client: Client, watching: Watching, proxy: reach.ApiProxy) -> None:
    watching.stop()
    proxy.close()
    portal.run(client.close())
    portal.close()
