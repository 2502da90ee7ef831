"""Objects as people name them."""

import pytest

from labkit.errors import UsageError
from labkit.kube import kinds, resources


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("deployment/web", resources.DEPLOYMENTS),
        ("Deploy/web", resources.DEPLOYMENTS),
        ("sts/web", resources.STATEFUL_SETS),
        ("no/web", resources.NODES),
    ],
)
def test_a_kind_may_be_short(name, resource):
    assert kinds.parse(name) == (resource, "web")


@pytest.mark.parametrize("name", ["web", "deployment/", "/web", "depoyment/web"])
def test_what_names_no_object_is_refused(name):
    with pytest.raises(UsageError, match="names no object"):
        kinds.parse(name)


def test_a_state_is_told_in_a_few_words():
    ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    assert kinds.state({}) == "there is no such object"
    assert kinds.state({"metadata": {}}) == "it exists"
    pod = {"status": {"phase": "Running", "conditions": [ready]}}
    assert kinds.state(pod) == "Running, Ready=False (ContainersNotReady)"


def test_a_field_that_is_not_there_yet_means_not_yet():
    meets = kinds.tolerant(lambda one: one["status"]["ready"] == 3)
    assert [meets(one) for one in ({}, {"status": {}}, {"status": {"ready": 3}})] == [
        False,
        False,
        True,
    ]
