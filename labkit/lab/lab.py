"""`Lab`: the one object of a notebook.

`lab = labkit.Lab()` gets the cluster, or makes it, and points `kubectl` and `docker` of this
notebook at it.  Everything it does may be repeated, and says what it did.  It keeps nothing of its
own about the cluster: what it shows, it has just asked the API for.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import shlex
import shutil
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from labkit.client import ApiError, Client, kubeconfig
from labkit.client.sync import Portal
from labkit.clusters import manage, paths
from labkit.errors import UsageError, WaitTimeout
from labkit.kube import conditions, kinds, resources


class Lab:
    """A cluster, as a notebook uses it.

    `name`, `nodes` and `virtual_nodes` are those of `labkit up`.  Settings are flags with
    underscores (`horizontal_pod_autoscaler_sync_period="2s"`); a cluster that is up with other
    settings is restarted with them, which takes a second and keeps its objects.  `parts` says
    whether the parts of the cluster share one process ("together") or have one each ("separate").
    """

    def __init__(
        self,
        *,
        name: str = paths.DEFAULT_NAME,
        nodes: int | None = None,
        virtual_nodes: Sequence[str] = (),
        parts: str | None = None,
        **settings: str,
    ) -> None:
        self._portal = Portal()
        self._owned: tuple[str, ...] = ()
        flags = {key.replace("_", "-"): text for key, text in settings.items()}
        self.cluster = _ensure(name, nodes, virtual_nodes, parts, flags)
        os.environ.update(self.cluster.environment())
        self._client = Client(kubeconfig.transport(self.cluster.kubeconfig))
        # A notebook makes a Lab each time its first cell runs; the one before gives back its own.
        weakref.finalize(self, _close, self._portal, self._client)

    # -- the clients --------------------------------------------------------------------------

    @cached_property
    def api(self):
        """The official client's `ApiClient` (package `kubernetes`) for this cluster."""
        from kubernetes import config

        return config.new_client_from_config(str(self.cluster.kubeconfig))

    @cached_property
    def core(self):
        """The official client's `CoreV1Api`: Pods, Services, nodes, ..."""
        from kubernetes import client

        return client.CoreV1Api(self.api)

    @cached_property
    def apps(self):
        """The official client's `AppsV1Api`: Deployments and ReplicaSets."""
        from kubernetes import client

        return client.AppsV1Api(self.api)

    @cached_property
    def docker(self):
        """The Docker SDK's client for the container engine under the nodes."""
        import docker

        return docker.DockerClient(base_url=self.cluster.docker_host)

    @property
    def parts(self):
        """The parts of a cluster of separate parts, to stop and start: see `clusters.parts`.

        Raises ClusterError where all of them share one process.
        """
        from labkit.clusters.parts import Parts

        return Parts(self.cluster.name)

    # -- doing things -------------------------------------------------------------------------

    def kubectl(self, command: str, *, input: str | None = None) -> None:
        """Run `kubectl COMMAND` and print what it says.

        Raises UsageError with kubectl's own message where it fails, or where there is no kubectl.
        """
        if not shutil.which("kubectl"):
            raise UsageError(
                "There is no kubectl on this machine's PATH.",
                "The lab's conda environment brings it; a plain Python environment does not.",
                "Install it: https://kubernetes.io/docs/tasks/tools/",
            )
        done = subprocess.run(
            ["kubectl", *shlex.split(command)],
            input=input,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise UsageError(f"kubectl {command}\n{(done.stderr or done.stdout).strip()}")
        print((done.stdout + done.stderr).rstrip())

    def apply(self, manifest: str) -> None:
        """`kubectl apply` a manifest given as YAML text."""
        self.kubectl("apply -f -", input=manifest)

    def reset(self, *names: str) -> None:
        """Delete the named objects (`deployment/myapp`) and all that they own; wait for the end.

        Without names: those of the last call.  What does not exist needs no deleting.
        """
        self._owned = names or self._owned
        gone = [name for name in self._owned if self._portal.run(self._delete(name))]
        for name in gone:
            self._until(name, lambda seen: not seen, "is gone", timeout=60)
        print(f"Deleted {', '.join(gone)}." if gone else "Nothing to delete.")

    def get(self, name: str) -> dict:
        """The object `kind/name` of the current namespace as the API has it.  Raises ApiError."""
        resource, plain = kinds.parse(name)
        return self._portal.run(self._client.get(resource, plain, kinds.namespace(resource)))

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

    def _until(self, name: str, meets: Callable[[dict], object], goal: str, timeout: float) -> None:
        last = self._portal.run(self._watch(name, meets, timeout))
        if not meets(last):
            fix = f"Look closer: !kubectl describe {name}"
            raise WaitTimeout(f"the moment when {name} {goal}", timeout, kinds.state(last), fix)

    async def _watch(self, name: str, meets: Callable[[dict], object], timeout: float) -> dict:
        """The object's state that `meets`, or the last one before `timeout`; {} for none."""
        resource, plain = kinds.parse(name)
        scope = {"namespace": kinds.namespace(resource), "field_selector": f"metadata.name={plain}"}
        last: dict = {}
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.list(resource, **scope)
                last = answer["items"][0] if answer["items"] else {}
                revision = answer["metadata"]["resourceVersion"]
                while not meets(last):
                    events = self._client.watch(resource, resource_version=revision, **scope)
                    async with contextlib.aclosing(events):
                        async for event in events:
                            revision = event["object"]["metadata"]["resourceVersion"]
                            if event["type"] != "BOOKMARK":
                                last = {} if event["type"] == "DELETED" else event["object"]
                            if meets(last):
                                break
        except TimeoutError:
            pass
        return last

    async def _delete(self, name: str) -> bool:
        resource, plain = kinds.parse(name)
        namespace = kinds.namespace(resource)
        try:
            # Foreground: the object goes last, after the Pods that it owns.
            await self._client.delete(resource, plain, namespace, propagation_policy="Foreground")
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return True

    def bill(self):
        """What virtual nodes have cost until now: a DataFrame, one row per node, in dollars."""
        from labkit.observe.bill import bill

        return bill(self._portal.run(self._client.list(resources.NODES))["items"])

    def explain_scheduling(self, pod: str | Mapping):
        """Why a Pod is where it is, or nowhere: every filter and score of every node, with reasons.

        `pod` is the name of a Pod, whether it waits or runs (`"web"`, `"pod/web"`); what has a
        template (`"deployment/web"`: where would one more go?); or a manifest of one that does not
        exist yet, as YAML text or a dict.  The answer shows itself; `.frame` is a DataFrame of it.
        """
        from labkit.scheduler.question import ask

        if isinstance(pod, str) and "\n" in pod.strip():
            import yaml

            given = yaml.safe_load(pod)
        elif isinstance(pod, str):
            given = self.get(pod if "/" in pod else f"pod/{pod}")
        else:
            given = pod
        return self._portal.run(ask(self._client, given))

    def url(self, service: str) -> str:
        """The URL of a Service of type NodePort, or of an Ingress (`ingress/web`), as this machine
        reaches it.  Raises UsageError."""
        if service.startswith("ingress/"):
            return self._ingress_url(service)
        ports = self.get(f"service/{service}")["spec"]["ports"]
        node_port = ports[0].get("nodePort")
        if node_port is None:
            raise UsageError(
                f"The Service {service} has no node port.",
                "Only a Service of type NodePort can be reached at a port of the machine.",
                f'Try: !kubectl patch service {service} -p \'{{"spec": {{"type": "NodePort"}}}}\'',
            )
        return f"http://127.0.0.1:{node_port}/"

    def _ingress_url(self, name: str) -> str:
        rules = self.get(name)["spec"].get("rules") or [{}]
        controller = self._client.get(resources.SERVICES, "ingress-controller", "kube-system")
        port = self._portal.run(controller)["spec"]["ports"][0]["nodePort"]
        host = rules[0].get("host", "127.0.0.1")
        if host.endswith(".localhost") or host == "127.0.0.1":
            return f"http://{host}:{port}/"
        raise UsageError(
            f"No browser finds the host {host} of {name} on this machine.",
            "Only the Ingress controller knows it; names that end in .localhost are known to all.",
            f"Try: !curl -H 'Host: {host}' http://127.0.0.1:{port}/",
        )

    def open(self, service: str):
        """A link to a Service in the learner's browser, through Jupyter where it runs there."""
        from IPython.display import HTML

        url = self.url(service)
        port = url.rstrip("/").rpartition(":")[2]
        # The page that shows this cell knows under which address Jupyter is reached; we do not.
        script = (
            "const lab = JSON.parse(document.getElementById('jupyter-config-data')?.textContent "
            "|| '{}').baseUrl || '/'; "
            f"window.open(location.origin + lab + 'proxy/{port}/', '_blank'); return false;"
        )
        label = html.escape(f"Open {service} in a new tab")
        return HTML(f'<a href="{url}" target="_blank" onclick="{html.escape(script)}">{label}</a>')

    # -- what a notebook shows ----------------------------------------------------------------

    def _nodes(self) -> list[dict[str, str]]:
        """One row per node, as `kubectl get nodes` has them."""
        answer = self._portal.run(self._client.list(resources.NODES))
        return [_node_row(node) for node in answer["items"]]

    def __repr__(self) -> str:
        cluster = self.cluster
        lines = [f"The cluster {cluster.name}: {cluster.server}, context {cluster.context}"]
        lines += [
            f"  {row['node']:<16} {row['status']:<9} {row['address']:<12} {row['pods']}"
            for row in self._nodes()
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = self._nodes()
        head = "".join(f"<th style='text-align:left'>{html.escape(key)}</th>" for key in rows[0])
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(v)}</td>" for v in row.values())
            + "</tr>"
            for row in rows
        )
        cluster = self.cluster
        return (
            f"<p>The cluster <b>{html.escape(cluster.name)}</b> at "
            f"<code>{html.escape(cluster.server)}</code>, context "
            f"<code>{html.escape(cluster.context)}</code></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _ensure(
    name: str,
    nodes: int | None,
    virtual_nodes: Sequence[str],
    parts: str | None,
    flags: Mapping[str, str],
) -> manage.ClusterInfo:
    """The cluster, up, with at least these settings; says what was done."""
    begun, found = time.monotonic(), manage.info(name)
    merged = {**(found.settings if found else {}), **flags}
    wanted_nodes = nodes or (found.nodes if found else manage.DEFAULT_NODES)
    types = tuple(sorted({*virtual_nodes, *(found.virtual_nodes if found else ())}))
    before = found is not None and found.running
    if before and (found.nodes, found.virtual_nodes, found.settings, found.parts) != (
        wanted_nodes,
        types,
        merged,
        parts or found.parts,
    ):
        manage.down(name)
        verb = "was restarted with other settings, its objects kept"
    else:
        verb = "was up already" if before else "is up"
    cluster = manage.up(name, wanted_nodes, merged, parts=parts, virtual_node_types=types)
    after = "" if verb == "was up already" else f" after {time.monotonic() - begun:.1f} s"
    print(f"The cluster {name} {verb}{after}.")
    return cluster


def _close(portal: Portal, client: Client) -> None:
    portal.run(client.close())
    portal.close()


def _node_row(node: Mapping) -> dict[str, str]:
    status = node["status"]
    address = next(a["address"] for a in status["addresses"] if a["type"] == "InternalIP")
    return {
        "node": node["metadata"]["name"],
        "status": "Ready" if conditions.is_true(node, "Ready") else "NotReady",
        "address": address,
        "pods": node["spec"].get("podCIDR", ""),
        "cpu": status["capacity"]["cpu"],
        "kubelet": status["nodeInfo"]["kubeletVersion"],
    }
