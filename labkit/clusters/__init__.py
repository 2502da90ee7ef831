"""Where a cluster comes from.

Reading order: `paths` (what lies on disk), `addresses` (which loopback addresses a cluster has),
`settings` (flags with upstream's names), `pki` and `kubeconfig` (who may talk to it), `embedded`
(all parts composed in one process), `daemon` (that process), `manage` (up, down and status, seen
from outside).
"""
