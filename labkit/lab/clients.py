"""Other clients of the same cluster: the official one, Docker's, and that of separate parts."""

from __future__ import annotations

from functools import cached_property

from labkit.client import Client, kubeconfig
from labkit.clusters import manage
from labkit.clusters.contexts import ForeignCluster
from labkit.lab import target


class Clients:
    """The clients of `cluster`, each made when it is first asked for."""

    cluster: manage.ClusterInfo | ForeignCluster

    @cached_property
    def api(self):
        """The official client's `ApiClient` (package `kubernetes`) for this cluster."""
        from labkit.client.official import config

        return config.new_client_from_config(str(self.cluster.kubeconfig))

    @cached_property
    def core(self):
        """The official client's `CoreV1Api`: Pods, Services, nodes, ..."""
        from labkit.client.official import client

        return client.CoreV1Api(self.api)

    @cached_property
    def apps(self):
        """The official client's `AppsV1Api`: Deployments and ReplicaSets."""
        from labkit.client.official import client

        return client.AppsV1Api(self.api)

    @cached_property
    def docker(self):
        """The Docker SDK's client for the container engine under the nodes."""
        import docker

        host = target.own(self.cluster, "lab.docker").docker_host
        return docker.DockerClient(base_url=host)

    @property
    def parts(self):
        """The parts of a cluster of separate parts, to stop and start: see `clusters.parts`.

        Raises ClusterError where all of them share one process.
        """
        from labkit.clusters.parts import Parts

        return Parts(target.own(self.cluster, "lab.parts").name)

    def _connect(self) -> Client:
        """A client of its own for whoever outlives a cell; close it."""
        if isinstance(self.cluster, ForeignCluster):
            return self.cluster.client()
        return Client(kubeconfig.transport(self.cluster.kubeconfig))
