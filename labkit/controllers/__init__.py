"""The controllers: loops that make the world as the API says it should be.

Each is one file with `reconcile(key)`; what it decides is in pure functions beside it.

Reading order:

- `informers`: the frame, a `labkit.client.Controller` on watches that all controllers share.
- `replicaset`: so many Pods.  With `expectations`, `batches`, `claims`, `pod_ranking`,
  `replica_status`.
- `replicationcontroller`: the same for ReplicationControllers.
- `deployment`: from one template to the next.  With `rollout`, `revisions`, `deployment_status`.
- `statefulset`: Pods with names, an order, and storage.  With `statefulset_decision`,
  `statefulset_pods`, and `history`: the templates that were.
- `daemonset`: a Pod on each Node.  With `daemon_decision`, `history`.
- `job`: Pods that run to their end.  With `job_survey`, `job_decision`, `job_pods`, `job_indexes`,
  `job_status`.  `cronjob`: Jobs on a schedule.  With `cronjob_decision`.  `ttlafterfinished`.
- `persistentvolume`: claims find volumes.  With `volume_decision`.  `localpath` makes volumes,
  `volumeprotection` keeps those in use.
- `endpointslice`, `endpoints`: who stands behind a Service.  With `backends`, `slices`.
- `podautoscaler`: how many replicas there should be.
- `nodelifecycle`, `tainteviction`, `nodeipam`: what becomes of nodes.  With `node_health`.
- `disruption`: how many Pods may be evicted.  `resourcequota`: what a namespace uses.
- `garbagecollector`, `podgc`, `namespace`, `serviceaccount`: what is cleaned up, what is always
  there.
- `manager`: all of them in one process; `telemetry`: what their queues tell of themselves.
"""
