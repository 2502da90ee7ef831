"""The Deployment controller: from one Pod template to the next without an outage.

reconcile: claim the ReplicaSets that the selector matches, find or create the one of the present
template, take one step of the rollout (`rollout`), write the status (`deployment_status`).  A step
changes ReplicaSets only; the changes of their status wake this controller again for the next step.
Pods are looked at in one case: Recreate waits until the old ones are gone.

Source: kube-controller-manager's deployment controller; documentation "Deployments".  Left out:
`spec.rollbackTo` (removed with extensions/v1beta1; `kubectl rollout undo` writes the old template).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.client.errors import status_error
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import deployment_status, revisions, rollout
from labkit.controllers.claims import claim
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.replicaset import (
    BY_CONTROLLER,
    ORPHANS,
    controller_uid,
    is_terminating_namespace,
    orphan_namespace,
)
from labkit.kube import objects, pods, selectors
from labkit.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS


class DeploymentController(SharingController):
    """Rolls every Deployment out, and keeps its status."""

    name = "deployment-controller"
    workers = 5  # --concurrent-deployment-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._deployments = self.watch(DEPLOYMENTS)
        self._deployments.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self._sets = self.watch(REPLICA_SETS, self._keys_of_set)
        self._sets.add_index(BY_CONTROLLER, controller_uid)
        self._sets.add_index(ORPHANS, orphan_namespace)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self.on_change(self._pods, self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        """Take one step of the Deployment's rollout and write its status."""
        deployment = self._deployments.store.get(key)
        if deployment is None:
            return None
        if not deployment["spec"].get("selector"):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self.events.event(deployment, WARNING, "SelectingAll", message)
            return None
        owned = await claim(
            self.client, REPLICA_SETS, DEPLOYMENTS, deployment, self._candidates(deployment)
        )
        if objects.is_deleting(deployment):
            new, old = revisions.split(deployment, owned)
            return await self._write_counts(deployment, new, old)
        if conditions := deployment_status.pause_condition(deployment, self.clock.timestamp()):
            status = {**(deployment.get("status") or {}), "conditions": conditions}
            deployment = await self._update_status(deployment, status)
        if deployment["spec"].get("paused") or _was_scaled(deployment, owned):
            return await self._sync(deployment, owned)
        if deployment["spec"].get("strategy", {}).get("type") == "Recreate":
            return await self._recreate(deployment, owned)
        return await self._roll(deployment, owned)

    # The ways of a rollout.

    async def _sync(self, deployment: Mapping, owned: list[Mapping]) -> float | None:
        """Scale what there is in proportion, without going on with the rollout."""
        new, old = revisions.split(deployment, owned)
        if new:
            deployment, new = await self._renumbered(deployment, new, old)
        await self._scale_proportionally(deployment, new, old)
        if deployment["spec"].get("paused"):
            await self._clean_up(deployment, old)
        return await self._write_counts(deployment, new, old)

    async def _roll(self, deployment: Mapping, owned: list[Mapping]) -> float | None:
        """RollingUpdate: grow the new ReplicaSet, or shrink the old ones, within the bounds."""
        deployment, new, old = await self._new_and_old(deployment, owned)
        goal = rollout.plan(deployment["spec"])
        size = revisions.size(new)
        target = rollout.new_size(goal, size, [size, *map(revisions.size, old)])
        if target != size.replicas:
            new = await self._scale(deployment, new, target)
        else:
            shrink = rollout.shrink_old(goal, size, [revisions.size(each) for each in old])
            old = [await self._scale_to(deployment, each, shrink) for each in old]
        return await self._finish(deployment, new, old)

    async def _recreate(self, deployment: Mapping, owned: list[Mapping]) -> float | None:
        """Recreate: all old Pods are gone before the first new one is made."""
        new, old = revisions.split(deployment, owned)
        running = [each for each in old if rollout.replicas_of(each["spec"])]
        if running:
            down = {each["metadata"]["name"]: 0 for each in running}
            old = [await self._scale_to(deployment, each, down) for each in old]
            return await self._finish(deployment, new, old)
        if self._old_pods_run(old):
            return await self._finish(deployment, new, old)
        deployment, new, old = await self._new_and_old(deployment, owned)
        goal = rollout.plan(deployment["spec"])
        new = await self._scale(deployment, new, goal.replicas)
        return await self._finish(deployment, new, old)

    async def _finish(
        self, deployment: Mapping, new: Mapping | None, old: list[Mapping]
    ) -> float | None:
        now = self.clock.timestamp()
        status = deployment_status.rollout_status(deployment, new, _all(new, old), now)
        if deployment_status.is_complete(deployment, status):
            await self._clean_up(deployment, old)
        if status != deployment.get("status"):
            await self._update_status(deployment, status)
        return deployment_status.next_check(deployment, status, now)

    # The ReplicaSet of the present template.

    async def _new_and_old(
        self, deployment: Mapping, owned: list[Mapping]
    ) -> tuple[Mapping, Mapping, list[Mapping]]:
        new, old = revisions.split(deployment, owned)
        if new is None:
            deployment, new = await self._create_new(deployment, old)
        else:
            deployment, new = await self._renumbered(deployment, new, old)
        return deployment, new, old

    async def _create_new(self, deployment: Mapping, old: list[Mapping]) -> tuple[Mapping, Mapping]:
        goal = rollout.plan(deployment["spec"])
        recreate = deployment["spec"].get("strategy", {}).get("type") == "Recreate"
        replicas = rollout.new_size(goal, rollout.Size("", 0), map(revisions.size, old), recreate)
        number = revisions.next_revision(old)
        draft = revisions.new_replica_set(deployment, replicas, goal, number)
        name = draft["metadata"]["name"]
        try:
            new = await self.client.create(REPLICA_SETS, draft)
        except ApiError as error:
            new = await self._not_created(deployment, draft, error)
        else:
            self._tell_scaled(deployment, name, 0, replicas)
        message = f'Created new replica set "{name}"'
        deployment = await self._numbered(deployment, new, "NewReplicaSetCreated", message)
        return deployment, new

    async def _not_created(self, deployment: Mapping, draft: Mapping, error: ApiError) -> Mapping:
        """The existing ReplicaSet, if it is ours after all; else say why there is none."""
        name, namespace = draft["metadata"]["name"], draft["metadata"]["namespace"]
        if error.already_exists:
            found = await self.client.get(REPLICA_SETS, name, namespace)
            owner = objects.controller_of(found)
            template = deployment["spec"]["template"]
            if (
                owner
                and owner["uid"] == deployment["metadata"]["uid"]
                and revisions.same_template(found["spec"]["template"], template)
            ):
                return found  # the cache has not seen it yet
            status = dict(deployment.get("status") or {})
            status["collisionCount"] = (status.get("collisionCount") or 0) + 1
            await self._update_status(deployment, status)
            raise status_error(409, "Conflict", f"hash collision: {name} is another template's")
        if not is_terminating_namespace(error):
            message = f'Failed to create new replica set "{name}": {error}'
            await self._tell_not_created(deployment, message)
        raise error

    async def _tell_not_created(self, deployment: Mapping, message: str) -> None:
        self.events.event(deployment, WARNING, "ReplicaSetCreateError", message)
        if not deployment_status.has_deadline(deployment):
            return
        status = dict(deployment.get("status") or {})
        status["conditions"] = deployment_status.with_condition(
            status.get("conditions"), deployment_status.PROGRESSING, "False",
            "ReplicaSetCreateError", message, self.clock.timestamp(),
        )  # fmt: skip
        if status != deployment.get("status"):
            await self._update_status(deployment, status)

    async def _renumbered(
        self, deployment: Mapping, new: Mapping, old: list[Mapping]
    ) -> tuple[Mapping, Mapping]:
        """Give the ReplicaSet of the present template the newest number and the annotations."""
        wanted = revisions.as_revision(deployment, new, revisions.next_revision(old))
        wait = deployment["spec"].get("minReadySeconds") or 0
        present = new["spec"].get("minReadySeconds") or 0
        if wanted != revisions.annotations(new) or wait != present:
            fresh = {
                **new,
                "metadata": {**new["metadata"], "annotations": wanted},
                "spec": {**new["spec"], "minReadySeconds": wait},
            }
            new = await self.client.update(REPLICA_SETS, fresh)
        message = f'Found new replica set "{new["metadata"]["name"]}"'
        deployment = await self._numbered(deployment, new, "FoundNewReplicaSet", message)
        return deployment, new

    async def _numbered(
        self, deployment: Mapping, new: Mapping, reason: str, message: str
    ) -> Mapping:
        """The Deployment with its ReplicaSet's revision and, if it has none, a Progressing."""
        number = str(revisions.revision(new))
        if revisions.annotations(deployment).get(revisions.REVISION) != number:
            meta = deployment["metadata"]
            patch = {
                "metadata": {
                    "annotations": {revisions.REVISION: number},
                    "resourceVersion": meta["resourceVersion"],
                }
            }
            deployment = await self.client.patch(
                DEPLOYMENTS, meta["name"], patch, meta["namespace"]
            )
        status = dict(deployment.get("status") or {})
        present = status.get("conditions") or []
        found = any(each["type"] == deployment_status.PROGRESSING for each in present)
        created = reason == "NewReplicaSetCreated"
        if not deployment_status.has_deadline(deployment) or (found and not created):
            return deployment
        status["conditions"] = deployment_status.with_condition(
            present, deployment_status.PROGRESSING, "True", reason, message, self.clock.timestamp()
        )
        return await self._update_status(deployment, status)

    # What is done to ReplicaSets.

    async def _scale_to(
        self, deployment: Mapping, replica_set: Mapping, sizes: Mapping[str, int]
    ) -> Mapping:
        replicas = sizes.get(replica_set["metadata"]["name"])
        if replicas is None:
            return replica_set
        return await self._scale(deployment, replica_set, replicas)

    async def _scale(self, deployment: Mapping, replica_set: Mapping, replicas: int) -> Mapping:
        """Set the size, and the annotations that tell for which size of the Deployment it is."""
        before = rollout.replicas_of(replica_set["spec"])
        goal = rollout.plan(deployment["spec"])
        annotations = {**revisions.annotations(replica_set), **revisions.sizes(goal)}
        if replicas == before and annotations == revisions.annotations(replica_set):
            return replica_set
        fresh = {
            **replica_set,
            "metadata": {**replica_set["metadata"], "annotations": annotations},
            "spec": {**replica_set["spec"], "replicas": replicas},
        }
        scaled = await self.client.update(REPLICA_SETS, fresh)
        self._tell_scaled(deployment, replica_set["metadata"]["name"], before, replicas)
        return scaled

    def _tell_scaled(self, deployment: Mapping, name: str, before: int, after: int) -> None:
        if before == after:
            return
        word = "up" if after > before else "down"
        message = f"Scaled {word} replica set {name} from {before} to {after}"
        self.events.event(deployment, NORMAL, "ScalingReplicaSet", message)

    async def _scale_proportionally(
        self, deployment: Mapping, new: Mapping | None, old: list[Mapping]
    ) -> None:
        everything = _all(new, old)
        active = [each for each in everything if rollout.replicas_of(each["spec"])]
        goal = rollout.plan(deployment["spec"])
        if len(active) <= 1:
            if only := active[0] if active else _latest(new, old):
                await self._scale(deployment, only, goal.replicas)
        elif new and _is_saturated(new, goal.replicas):
            for each in active:
                await self._scale(deployment, each, goal.replicas if each is new else 0)
        elif deployment["spec"].get("strategy", {}).get("type") != "Recreate":
            present = (deployment.get("status") or {}).get("replicas") or 0
            sizes = rollout.proportional(goal, [revisions.size(each) for each in active], present)
            for each in active:
                await self._scale_to(deployment, each, sizes)

    async def _clean_up(self, deployment: Mapping, old: list[Mapping]) -> None:
        for each in revisions.obsolete(deployment, old):
            meta = each["metadata"]
            try:
                await self.client.delete(
                    REPLICA_SETS, meta["name"], meta["namespace"], uid=meta["uid"]
                )
            except ApiError as error:
                if not error.not_found:
                    raise

    # The status.

    async def _write_counts(
        self, deployment: Mapping, new: Mapping | None, old: list[Mapping]
    ) -> None:
        everything = _all(new, old)
        status = deployment_status.counts(deployment, new, everything, self.clock.timestamp())
        if status != deployment.get("status"):
            await self._update_status(deployment, status)

    async def _update_status(self, deployment: Mapping, status: Mapping) -> Mapping:
        return await self.client.update(DEPLOYMENTS, {**deployment, "status": status}, "status")

    # What there is, and what changes.

    def _candidates(self, deployment: Mapping) -> list[Mapping]:
        meta = deployment["metadata"]
        owned = self._sets.by_index(BY_CONTROLLER, meta["uid"])
        return owned + self._sets.by_index(ORPHANS, meta["namespace"])

    def _old_pods_run(self, old: Iterable[Mapping]) -> bool:
        """Whether a Pod of an old ReplicaSet still runs, though it may be terminating."""
        return any(
            not pods.is_terminal(pod)
            for each in old
            for pod in self._pods.by_index(BY_CONTROLLER, each["metadata"]["uid"])
        ) or any((each.get("status") or {}).get("replicas") for each in old)

    def _keys_of_set(self, replica_set: Mapping) -> Iterable[str]:
        namespace = replica_set["metadata"]["namespace"]
        if owner := objects.controller_of(replica_set):
            return (f"{namespace}/{owner['name']}",) if owner["kind"] == "Deployment" else ()
        labels = objects.labels(replica_set)
        return [
            objects.key(deployment)
            for deployment in self._deployments.by_index("namespace", namespace)
            if selectors.matches(
                selectors.from_label_selector(deployment["spec"].get("selector")), labels
            )
        ]

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """A Pod that has gone may be the last one that a Recreate waits for."""
        if new is not None and not pods.is_terminal(new):
            return
        owner = objects.controller_of(new or old)
        if owner is None or owner["kind"] != "ReplicaSet":
            return
        replica_set = self._sets.get(owner["name"], (new or old)["metadata"]["namespace"])
        for key in self._keys_of_set(replica_set) if replica_set else ():
            deployment = self._deployments.store.get(key)
            if deployment and deployment["spec"].get("strategy", {}).get("type") == "Recreate":
                self.queue.add(key)


def _all(new: Mapping | None, old: list[Mapping]) -> list[Mapping]:
    return [*old, new] if new else old


def _latest(new: Mapping | None, old: list[Mapping]) -> Mapping | None:
    return new or (revisions.oldest_first(old)[-1] if old else None)


def _was_scaled(deployment: Mapping, owned: Iterable[Mapping]) -> bool:
    """Whether the Deployment's size changed since its ReplicaSets were scaled last."""
    replicas = rollout.plan(deployment["spec"]).replicas
    return any(
        revisions.DESIRED in revisions.annotations(each)
        and revisions.number(each, revisions.DESIRED) != replicas
        for each in owned
        if rollout.replicas_of(each["spec"])
    )


def _is_saturated(new: Mapping, replicas: int) -> bool:
    """Whether the new ReplicaSet has all Pods, all available (IsSaturated)."""
    status = new.get("status") or {}
    return (
        rollout.replicas_of(new["spec"]) == replicas
        and revisions.number(new, revisions.DESIRED) == replicas
        and (status.get("availableReplicas") or 0) == replicas
    )
