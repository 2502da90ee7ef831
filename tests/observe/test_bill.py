"""The bill of virtual nodes, read from their annotations."""

from labkit.kubelet.virtual import ON_DEMAND, PRICES, Bill, VirtualNode
from labkit.observe.bill import bill


def node(name, labels=None, annotations=None):
    return {"metadata": {"name": name, "labels": labels or {}, "annotations": annotations}}


def test_a_bill_has_a_row_for_every_virtual_node():
    now = [0.0]
    kept = Bill(PRICES[ON_DEMAND], lambda: now[0])
    kept.seen({"metadata": {"uid": "u"}, "spec": {"containers": []}}, True)
    now[0] = 3600.0
    virtual = node("lab-virtual", VirtualNode(ON_DEMAND).labels, kept.annotations())
    found = bill([node("lab-worker"), virtual])
    assert list(found.index) == ["lab-virtual"]
    row = found.loc["lab-virtual"]
    assert (row.capacity_type, row.pod_seconds) == ("on-demand", 3600.0)
    assert row.cost == round(0.04048 / 4 + 0.004445 / 2, 9)


def test_without_virtual_nodes_it_is_empty():
    assert bill([node("lab-worker")]).empty
