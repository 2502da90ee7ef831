"""JSONPath as printer columns use it, and the cells made with it."""

from __future__ import annotations

import pytest

from labkit.apiserver.custom import columns, jsonpath

OBJECT = {
    "metadata": {
        "name": "x",
        "annotations": {"a.b/c": "slash"},
        "creationTimestamp": "2024-01-01T00:00:00Z",
    },
    "spec": {"n": 3, "on": True, "list": [{"a": 1}, {"a": 2}], "empty": None, "text": "t"},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [3]),
        (".spec.missing", []),
        (".spec.list[1].a", [2]),
        (".spec.list[-1].a", [2]),
        (".spec.list[7].a", []),
        (".spec.list[*].a", [1, 2]),
        (".spec.list[0:1].a", [1]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Gone')].status", []),
        (".spec.list[?(@.a>1)].a", [2]),
        (r".metadata.annotations.a\.b/c", ["slash"]),
        (".metadata.annotations['a.b/c']", ["slash"]),
        ("..a", [1, 2]),
        (".", [OBJECT]),
    ],
)
def test_paths_lead_to_values(path, found):
    assert jsonpath.find(path, OBJECT) == found


@pytest.mark.parametrize("path", ["spec", ".spec[", ".spec.list[?(nothing)]", ".a b"])
def test_what_is_no_path_is_an_error(path):
    with pytest.raises(jsonpath.PathError):
        jsonpath.parse(path)


@pytest.mark.parametrize(
    ("type", "path", "cell"),
    [
        ("integer", ".spec.n", 3),
        ("integer", ".spec.text", None),
        ("number", ".spec.n", 3),
        ("boolean", ".spec.on", True),
        ("string", ".spec.text", "t"),
        ("string", ".spec.n", "3"),
        ("string", ".spec.list", '[{"a":1},{"a":2}]'),
        ("string", ".spec.missing", None),
        ("date", ".metadata.creationTimestamp", "60s"),
        ("date", ".spec.text", "<invalid>"),
    ],
)
def test_cells_have_the_type_of_their_column(type, path, cell):
    printer = columns.printer([{"name": "Cell", "type": type, "jsonPath": path}])
    assert printer.cells(OBJECT, 1704067260.0) == ["x", cell]


def test_without_columns_there_is_an_age():
    assert [column.name for column in columns.printer([]).columns] == ["Name", "Age"]
