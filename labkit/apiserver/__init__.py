"""The API server: everything in the cluster is an object here, and every part talks only to it.

Reading order, from the outside in:

- `request`: one request without its transport; what answers it.
- `core`: the server, its life, and `handle`, which routes a request to a verb.
- `target`: paths; `options`: parameters.  `registry`, `registration`: what is served, by `groups`;
  `strategy`: how each kind behaves.
- `reads` (get, list, watch), `writes` (create, update, patch), `deletion`, `subresources`,
  `eviction`, `ephemeral`.
- On the way of a write: `decode` and `patching` (from bodies to objects), `defaults` and
  `defaults_*`, `admission` (limit ranges, priority, quotas and more), `allocation` (addresses and
  ports of Services), `meta`, `names` and `validate_*` (what is refused, as `fields` and `statuses`
  word it), `convert` and `convert_autoscaling` (versions).
- `state`: every object in memory; `collection` and `watch`: lists, recent history, watchers;
  `selection`: label and field selectors.
- `store`, `store_sqlite`: what is durable.
- `bootstrap`, `housekeeping`: what the server makes and does by itself.
- `transport`: the client's seam in memory.
- Who may do what: `attributes`, `rbac`, `authorizer`, `node_authorizer`, `node_restriction`,
  `escalation`, `default_roles`, `controller_roles`, `reconcile_roles`, `validate_rbac`; `reviews`
  and `tokens`.
- At the door: `gate`, `auth`, `impersonation`, `audit`, `telemetry`.
- Over HTTPS: `http`, `bodies`, `protobuf`, `negotiation`, `answers`, `compression`, `streams`,
  `tables`; `pages`, `discovery`, `openapi`.
- Connections to Pods and nodes: `connect`, `kubelets`, `logs`, `tunnel` (exec, attach,
  port-forward), `proxying`, `rewriting`.
"""
