"""How endpoints are packed into EndpointSlices."""

import pytest

from labkit.controllers.backends import Port
from labkit.controllers.slices import Group, changes

HTTP = Group("IPv4", (Port("http", "TCP", 80),))
NONE = Group("IPv4", ())


def endpoints(*numbers):
    return [
        {"addresses": [f"127.244.1.{n}"], "targetRef": {"uid": str(n)}, "conditions": {}}
        for n in numbers
    ]


def a_slice(name, *numbers, group=HTTP):
    return {
        "metadata": {"name": name},
        "addressType": group.address_type,
        "ports": [port.as_dict() for port in group.ports],
        "endpoints": endpoints(*numbers),
    }


def names(found):
    updates = {
        slice_["metadata"]["name"]: [int(each["targetRef"]["uid"]) for each in content]
        for slice_, content in found.update
    }
    created = [len(content) for _, content in found.create]
    return [created, updates, [slice_["metadata"]["name"] for slice_ in found.delete]]


@pytest.mark.parametrize(
    ("desired", "existing", "expected"),
    [
        pytest.param({HTTP: endpoints(1, 2)}, [], [[2], {}, []], id="the first slice"),
        pytest.param({HTTP: endpoints(1)}, [a_slice("a", 1)], [[], {}, []], id="nothing to do"),
        pytest.param({HTTP: endpoints(1, 2, 3, 4)}, [], [[3, 1], {}, []], id="more than fit"),
        pytest.param(
            {HTTP: endpoints(1, 2, 4)}, [a_slice("a", 1, 2, 3)],
            [[], {"a": [1, 2, 4]}, []], id="one goes, one comes: one slice is written",
        ),
        pytest.param(
            {HTTP: endpoints(1, 2, 3, 4)}, [a_slice("a", 1), a_slice("b", 2, 3)],
            [[], {"b": [2, 3, 4]}, []], id="the fullest with room is filled",
        ),
        pytest.param(
            {HTTP: endpoints(1)}, [a_slice("a", 1), a_slice("b", 2)],
            [[], {}, ["b"]], id="an empty slice goes",
        ),
        pytest.param({NONE: []}, [], [[0], {}, []], id="no endpoints: one empty slice"),
        pytest.param(
            {NONE: []}, [a_slice("a", 1)], [[0], {}, ["a"]], id="the last endpoint goes",
        ),
        pytest.param(
            {NONE: []}, [a_slice("e", group=NONE)], [[], {}, []], id="the empty slice stays",
        ),
        pytest.param(
            {HTTP: endpoints(1)}, [a_slice("e", group=NONE)], [[1], {}, ["e"]],
            id="the first endpoint replaces the empty slice",
        ),
    ],
)  # fmt: skip
def test_slices_change_as_little_as_possible(desired, existing, expected):
    assert names(changes(desired, existing, most=3)) == expected
