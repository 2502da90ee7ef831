"""The controllers: loops that make the world as the API says it should be.

Each is one file with `reconcile(key)`; what it decides is in pure functions beside it.

Reading order:

- `informers`: the frame, a `labkit.client.Controller` on watches that all controllers share.
- `replicaset`: so many Pods.  With `expectations`, `batches`, `claims`, `pod_ranking`,
  `replica_status`.
- `replicationcontroller`: the same for ReplicationControllers.
- `job`: Pods that run to their end.  With `job_decision`.  `cronjob`: Jobs on a schedule.
- `deployment`: from one template to the next.  With `rollout`, `revisions`, `deployment_status`.
- `endpointslice`, `endpoints`: who stands behind a Service.  With `backends`, `slices`.
- `podautoscaler`: how many replicas there should be.
- `nodelifecycle`, `tainteviction`, `nodeipam`: what becomes of nodes.  With `node_health`.
- `disruption`: how many Pods may be evicted.  `resourcequota`: what a namespace uses.
- `garbagecollector`, `podgc`, `namespace`, `serviceaccount`: what is cleaned up, what is always
  there.
- `manager`: all of them in one process.
"""
