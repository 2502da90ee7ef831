"""Tables: the rows and columns that `kubectl get` prints, made by the server.

kubectl asks with `Accept: application/json;as=Table;v=v1;g=meta.k8s.io` and prints what it gets;
columns of priority 1 appear only with `-o wide`.  A `Printer` is the columns of one kind and a pure
function (object, now in Unix seconds) → cells.

Reading order: `format` (ages, selectors, lists of addresses), `pods`, `workloads`, `batch`,
`autoscaling`, `network`, `storage`, `cluster`, `rbac`, `printers` (which kind has which), `render`
(objects and lists → a metav1.Table).

Source: k8s.io/kubernetes pkg/printers/internalversion, kube-aggregator pkg/registry/apiservice,
metrics-server pkg/api/table.  Left out: the columns' descriptions, which no client prints.
"""

from labkit.apiserver.tables.render import Include, table

__all__ = ["Include", "table"]
