"""All controllers in one process, as kube-controller-manager runs them.

They share nothing but informers (one watch for each resource, however many controllers look at it)
and the API; any of them could run alone, and does in tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.client import Client, Controller
from labkit.client.telemetry import Address, Bind, MetricsPage
from labkit.clock import Clock
from labkit.controllers.clusterroleaggregation import ClusterRoleAggregation
from labkit.controllers.cronjob import CronJobController
from labkit.controllers.daemonset import DaemonSetController
from labkit.controllers.deployment import DeploymentController
from labkit.controllers.disruption import DisruptionController
from labkit.controllers.endpoints import EndpointsController
from labkit.controllers.endpointslice import EndpointSliceController
from labkit.controllers.endpointslicemirroring import EndpointSliceMirroringController
from labkit.controllers.garbagecollector import GarbageCollector
from labkit.controllers.informers import InformerFactory
from labkit.controllers.job import JobController
from labkit.controllers.localpath import LocalPathProvisioner
from labkit.controllers.namespace import NamespaceController
from labkit.controllers.nodeipam import NodeIPAMController
from labkit.controllers.nodelifecycle import NodeLifecycleController, NodeLifecycleSettings
from labkit.controllers.persistentvolume import PersistentVolumeController
from labkit.controllers.podautoscaler.controller import HorizontalPodAutoscalerController
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.controllers.podgc import PodGCController
from labkit.controllers.replicaset import ReplicaSetController
from labkit.controllers.replicationcontroller import ReplicationManager
from labkit.controllers.resourcequota import ResourceQuotaController
from labkit.controllers.serviceaccount import (
    RootCACertificatePublisher,
    ServiceAccountController,
)
from labkit.controllers.serviceaccounttoken import TokensController
from labkit.controllers.statefulset import StatefulSetController
from labkit.controllers.tainteviction import TaintEvictionController
from labkit.controllers.telemetry import ManagerMetrics
from labkit.controllers.ttlafterfinished import TTLAfterFinishedController
from labkit.controllers.volumeprotection import ClaimProtection, VolumeProtection
from labkit.kube import resources as known
from labkit.kube.jwt import Key
from labkit.kube.resources import Resource

RESOURCES: tuple[Resource, ...] = (
    known.PODS,
    known.REPLICA_SETS,
    known.DEPLOYMENTS,
    known.HORIZONTAL_POD_AUTOSCALERS,
    known.SERVICES,
    known.ENDPOINTS,
    known.ENDPOINT_SLICES,
    known.CONFIG_MAPS,
    known.SECRETS,
    known.SERVICE_ACCOUNTS,
    known.LEASES,
    known.EVENTS,
    known.NODES,
    known.NAMESPACES,
    known.ROLES,
    known.ROLE_BINDINGS,
    known.CLUSTER_ROLES,
    known.CLUSTER_ROLE_BINDINGS,
    known.REPLICATION_CONTROLLERS,
    known.RESOURCE_QUOTAS,
    known.LIMIT_RANGES,
    known.POD_TEMPLATES,
    known.PERSISTENT_VOLUME_CLAIMS,
    known.PERSISTENT_VOLUMES,
    known.STATEFUL_SETS,
    known.DAEMON_SETS,
    known.CONTROLLER_REVISIONS,
    known.JOBS,
    known.CRON_JOBS,
    known.INGRESSES,
    known.INGRESS_CLASSES,
    known.NETWORK_POLICIES,
    known.POD_DISRUPTION_BUDGETS,
    known.PRIORITY_CLASSES,
    known.STORAGE_CLASSES,
    known.CSI_DRIVERS,
    known.CSI_NODES,
    known.CSI_STORAGE_CAPACITIES,
    known.VOLUME_ATTACHMENTS,
    known.RUNTIME_CLASSES,
    known.CUSTOM_RESOURCE_DEFINITIONS,
)
# What is never anybody's dependent or owner, but numerous: upstream ignores Events too.
_UNCOLLECTED = (known.EVENTS, known.LEASES)


@dataclass(frozen=True)
class ControllerManagerSettings(NodeLifecycleSettings, HPAControllerConfiguration):
    """Flags of kube-controller-manager in snake case, with its defaults."""

    max_endpoints_per_slice: int = 100
    terminated_pod_gc_threshold: int = 12500


class ControllerManager:
    """Starts and stops all controllers; `stop` may be repeated.

    `pod_cidr(n)` is the range of addresses of the n-th node (from 1), `root_ca` the certificate of
    the cluster's authority (PEM) for the ConfigMaps kube-root-ca.crt, `service_account_key` (PEM)
    signs the tokens in Secrets, below `volumes` are the directories of provisioned volumes; without
    one of these, the controller that needs it is not run.
    `resources` is what namespaces are emptied of and the garbage collector watches; custom
    resources are added as they are defined.  `page` is where the metrics are served, if anywhere:
    an address, and how it is taken.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        settings: ControllerManagerSettings | None = None,
        *,
        pod_cidr: Callable[[int], str] | None = None,
        root_ca: str = "",
        service_account_key: bytes = b"",
        volumes: Path | None = None,
        resources: Iterable[Resource] = RESOURCES,
        page: tuple[Address, Bind] | None = None,
    ) -> None:
        self.client, self.clock = client, clock
        self.settings = settings or ControllerManagerSettings()
        self.informers = InformerFactory(client, clock)
        self.controllers: dict[str, Controller] = {
            controller.name: controller
            for controller in self._make(pod_cidr, root_ca, volumes, tuple(resources))
        }
        if service_account_key:
            key = Key(service_account_key)
            tokens = TokensController(client, clock, key, root_ca, self.informers)
            self.controllers[tokens.name] = tokens
        self._page: MetricsPage | None = None
        if page:
            metrics = ManagerMetrics(self.controllers.values())
            self._page = MetricsPage(page[0], metrics.text, page[1])

    def _make(
        self,
        pod_cidr: Callable[[int], str] | None,
        root_ca: str,
        volumes: Path | None,
        resources: tuple[Resource, ...],
    ) -> Iterable[Controller]:
        client, clock, shared, settings = self.client, self.clock, self.informers, self.settings
        collected = [resource for resource in resources if resource not in _UNCOLLECTED]
        yield DeploymentController(client, clock, shared)
        yield ReplicaSetController(client, clock, shared)
        yield ReplicationManager(client, clock, shared)
        yield StatefulSetController(client, clock, shared)
        yield DaemonSetController(client, clock, shared)
        yield JobController(client, clock, shared)
        yield TTLAfterFinishedController(client, clock, shared)
        yield CronJobController(client, clock, shared)
        yield EndpointSliceController(client, clock, shared, settings.max_endpoints_per_slice)
        yield EndpointsController(client, clock, shared)
        yield EndpointSliceMirroringController(client, clock, shared)
        yield HorizontalPodAutoscalerController(client, clock, settings, shared)
        yield NamespaceController(client, clock, resources, shared)
        yield ServiceAccountController(client, clock, shared)
        yield ClusterRoleAggregation(client, clock, shared)
        yield NodeLifecycleController(client, clock, settings, shared)
        yield TaintEvictionController(client, clock, shared)
        yield PodGCController(client, clock, settings.terminated_pod_gc_threshold, shared)
        yield GarbageCollector(client, clock, collected, shared)
        yield DisruptionController(client, clock, shared)
        yield ResourceQuotaController(client, clock, collected, shared)
        yield PersistentVolumeController(client, clock, shared)
        yield ClaimProtection(client, clock, shared)
        yield VolumeProtection(client, clock, shared)
        if volumes:
            yield LocalPathProvisioner(client, clock, volumes, shared)
        if pod_cidr:
            yield NodeIPAMController(client, clock, pod_cidr, shared)
        if root_ca:
            yield RootCACertificatePublisher(client, clock, root_ca, shared)

    async def start(self) -> None:
        """Return once all caches have synced and all workers run."""
        await asyncio.gather(*(each.start() for each in self.controllers.values()))
        if self._page:
            await self._page.start()

    async def stop(self) -> None:
        """End all controllers and watches."""
        if self._page:
            await self._page.stop()
        await asyncio.gather(*(each.stop() for each in self.controllers.values()))
        await self.informers.stop()
