"""Where a cluster comes from.

Reading order:

- `paths`, `addresses`, `settings`: what lies on disk, which loopback addresses a cluster has, flags
  with upstream's names.
- `pki`, `credentials`, `kubeconfig`, `identities`: who may talk to it, and as whom.
- `assembly`, `bootstrap`: what each part is given, what is done through the API at the start.
- `embedded`: all parts in one process.
- `roster`, `part`, `forkserver`, `children`, `supervise`, `aggregation`: a process for each part.
  `control` and `parts`: how they are told to stop and to start.
- `engines`, `docker_engine` and others: a real Docker daemon under the nodes; `image_options`,
  `virtual_nodes`: options of `labkit up`.
- `daemon`, `manage`, `status`: the process that is a cluster; up, down and status from outside.
- `contexts`: a cluster that is not ours, by its kubeconfig context.  `kubectl`, `doctor`: what this
  machine has and lacks.
"""
