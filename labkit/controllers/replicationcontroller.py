"""The replication controller: the ReplicaSet of Kubernetes' first years.

A ReplicationController is a ReplicaSet whose selector knows equality only; one controller's code
serves both.

Source: kube-controller-manager's replicationcontroller controller, which wraps the ReplicaSet
controller likewise.
"""

from __future__ import annotations

from labkit.controllers.replicaset import ReplicaSetController
from labkit.kube.resources import REPLICATION_CONTROLLERS


class ReplicationManager(ReplicaSetController):
    """Keeps every ReplicationController at its number of Pods."""

    name = "replicationcontroller-controller"
    resource = REPLICATION_CONTROLLERS
