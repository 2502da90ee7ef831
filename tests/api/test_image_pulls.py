"""Pods whose image cannot be had, as every kubelet tells of them."""

from __future__ import annotations

import pytest

from tests.api import pods
from tests.api.conftest import Wire, until

NOWHERE = "registry.invalid/no/such:1"


def state(wire: Wire, path: str) -> dict:
    """For what the first container waits."""
    statuses = wire.ok("GET", path)["status"].get("containerStatuses") or [{"state": {}}]
    return statuses[0]["state"].get("waiting") or {}


def told(wire: Wire, ns: str, name: str) -> set[tuple[str, str]]:
    """(reason, message) of the Pod's Events."""
    selector = f"involvedObject.name={name}"
    items = wire.ok("GET", f"{ns}/events?fieldSelector={selector}")["items"]
    return {(item["reason"], item["message"]) for item in items}


def test_an_image_that_cannot_be_pulled_is_tried_again_and_again(wire: Wire, ns: str):
    wire.ok("POST", f"{ns}/pods", pods.pod("web", {"name": "web", "image": NOWHERE}))
    path = f"{ns}/pods/web"
    until(lambda: state(wire, path).get("reason") == "ErrImagePull", 60, "the pull has failed")
    until(lambda: state(wire, path).get("reason") == "ImagePullBackOff", 60, "it backs off")
    assert state(wire, path)["message"].startswith(f'Back-off pulling image "{NOWHERE}"')
    assert wire.ok("GET", path)["status"]["phase"] == "Pending"
    expected = {
        ("Pulling", f'Pulling image "{NOWHERE}"'),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", f'Back-off pulling image "{NOWHERE}"'),
        ("Failed", "Error: ImagePullBackOff"),
    }
    until(lambda: expected <= told(wire, ns, "web"), 20, "the Events")
    failed = [message for reason, message in told(wire, ns, "web") if reason == "Failed"]
    assert any(message.startswith(f'Failed to pull image "{NOWHERE}": ') for message in failed)


@pytest.mark.parametrize(
    ("image", "policy", "reason", "event"),
    [
        (
            NOWHERE,
            "Never",
            "ErrImageNeverPull",
            (
                "ErrImageNeverPull",
                f'Container image "{NOWHERE}" is not present with pull policy of Never',
            ),
        ),
        ("No/Image", "IfNotPresent", "InvalidImageName", ("Failed", "Error: InvalidImageName")),
    ],
)
def test_an_image_that_is_not_pulled_is_waited_for(wire, ns, image, policy, reason, event):
    web = {"name": "web", "image": image, "imagePullPolicy": policy}
    wire.ok("POST", f"{ns}/pods", pods.pod("web", web))
    path = f"{ns}/pods/web"
    until(lambda: state(wire, path).get("reason") == reason, 60, f"it waits: {reason}")
    until(lambda: event in told(wire, ns, "web"), 20, "the Event")


@pytest.mark.parametrize(
    ("image", "policy"),
    [("web", "Always"), ("web:latest", "Always"), ("web:1", "IfNotPresent")],
)
def test_the_policy_is_completed_by_the_tag(wire: Wire, ns: str, image: str, policy: str):
    web = pods.pod("web", {"name": "web", "image": image})
    made = wire.ok("POST", f"{ns}/pods?dryRun=All", web)
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy
