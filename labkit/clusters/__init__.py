"""Where a cluster comes from.

Reading order: `paths` (what lies on disk), `addresses` (which loopback addresses a cluster has),
`settings` (flags with upstream's names), `pki`, `credentials`, `kubeconfig` and `identities` (who
may talk to it, and as whom), `assembly` (what each part is given), `bootstrap` (what is done
through the API at the start), `embedded` (all parts in one process), `daemon` (that process),
`manage` (up, down and status, seen from outside).
"""
