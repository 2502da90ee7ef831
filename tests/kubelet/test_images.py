"""Images of containers: policies, pulls, and what is told about them."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiodocker import Docker

from labkit.kube.resources import PODS, SECRETS
from labkit.kubelet import images, mirrors
from tests.conftest import DOCKER_SOCKET
from tests.kubelet.conftest import IMAGE, RUNS_ON, Lab, container, is_ready, shell, waits_for

NOWHERE = "registry.invalid/no/such:1"


@pytest.mark.parametrize(
    ("image", "policy", "expected"),
    [
        ("web", None, "Always"),
        ("web:latest", None, "Always"),
        ("web:1", None, "IfNotPresent"),
        ("host:5000/web", None, "Always"),
        ("host:5000/web:1", None, "IfNotPresent"),
        ("web@sha256:0123", None, "IfNotPresent"),
        ("web:latest", "Never", "Never"),
    ],
)
def test_the_policy_depends_on_the_tag(image: str, policy: str | None, expected: str):
    spec = {"image": image} | ({"imagePullPolicy": policy} if policy else {})
    assert images.pull_policy(spec) == expected


def config(registry: str, **auth: str) -> dict:
    text = json.dumps({"auths": {registry: auth}}).encode()
    return {"data": {".dockerconfigjson": base64.b64encode(text).decode()}}


ENCODED = base64.b64encode(b"user:pass:word").decode()


@pytest.mark.parametrize(
    ("secret", "image", "login"),
    [
        (config("r.io", username="u", password="p"), "r.io/a/b:1", ("u", "p")),
        (config("https://r.io/v1/", auth=ENCODED), "r.io/a", ("user", "pass:word")),
        (config("other.io", username="u", password="p"), "r.io/a", None),
        ({"data": {}}, "r.io/a", None),
        ({"data": {".dockerconfigjson": "!"}}, "r.io/a", None),
    ],
    ids=["plain", "encoded", "another registry", "empty", "broken"],
)
def test_credentials_are_those_of_the_registry(secret: dict, image: str, login: tuple | None):
    found = images.credentials([secret], image)
    assert (found and (found["username"], found["password"])) == login


async def test_an_absent_image_is_pulled_once_for_all_who_want_it(embedded: Lab):
    await embedded.kubelet()
    for name in ("one", "two", "three"):
        await embedded.create({"containers": [shell(RUNS_ON)]}, name)
    for name in ("one", "two", "three"):
        await embedded.until(is_ready, name)
    events = await embedded.events()
    pulled = [event for event in events if event.startswith("Pulled: ")]
    assert len(pulled) == 3
    assert events.count(f'Pulling: Pulling image "{IMAGE}"') == sum(
        event.startswith(f'Pulled: Successfully pulled image "{IMAGE}" in ') for event in pulled
    )


async def test_an_image_that_cannot_be_pulled_backs_off(embedded: Lab):
    await embedded.kubelet()
    await embedded.create({"containers": [{**shell(""), "image": NOWHERE}]})
    pod = await embedded.until(waits_for("ErrImagePull"))
    assert "pull access denied" in container(pod)["state"]["waiting"]["message"]
    assert pod["status"]["phase"] == "Pending"
    embedded.clock.step(2)
    pod = await embedded.until(waits_for("ImagePullBackOff"))
    assert container(pod)["state"]["waiting"]["message"].startswith(
        f'Back-off pulling image "{NOWHERE}": ErrImagePull: '
    )
    embedded.clock.step(10)
    await embedded.until(waits_for("ErrImagePull"))
    events = await embedded.events()
    assert f'BackOff: Back-off pulling image "{NOWHERE}"' in events
    assert "Failed: Error: ErrImagePull" in events
    assert "Failed: Error: ImagePullBackOff" in events


async def test_a_pod_can_be_deleted_while_its_image_is_missing(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [{**shell(""), "image": NOWHERE}]})
    await lab.until(waits_for("ErrImagePull"))
    await lab.client.delete(PODS, "web", "default")
    await lab.until(lambda pod: pod is None)


async def test_an_image_that_must_not_be_pulled_is_waited_for(lab: Lab):
    await lab.kubelet()
    one = {**shell(""), "image": NOWHERE, "imagePullPolicy": "Never"}
    await lab.create({"containers": [one]})
    pod = await lab.until(waits_for("ErrImageNeverPull"))
    assert container(pod)["state"]["waiting"]["message"] == (
        f'Container image "{NOWHERE}" is not present with pull policy of Never'
    )


async def test_a_name_that_is_no_image_name_is_refused(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [{**shell(""), "image": "Not An Image"}]})
    await lab.until(waits_for("InvalidImageName"))


async def test_a_missing_pull_secret_is_told_and_prevents_nothing(lab: Lab):
    await lab.kubelet()
    secrets = [{"name": "regcred"}]
    await lab.create({"containers": [shell(RUNS_ON)], "imagePullSecrets": secrets})
    await lab.until(is_ready)
    told = [event for event in await lab.events() if "FailedToRetrieve" in event]
    assert told == [
        "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (regcred); "
        "attempting to pull the image may not succeed."
    ]


async def test_a_pull_secret_that_exists_is_not_complained_of(lab: Lab):
    await lab.kubelet()
    meta = {"metadata": {"name": "regcred", "namespace": "default"}}
    await lab.client.create(SECRETS, {**meta, **config("r.io", username="u", password="p")})
    secrets = [{"name": "regcred"}]
    await lab.create({"containers": [shell(RUNS_ON)], "imagePullSecrets": secrets})
    await lab.until(is_ready)
    assert not [event for event in await lab.events() if "FailedToRetrieve" in event]


@asynccontextmanager
async def tagged(lab: Lab, name: str) -> AsyncIterator[str]:
    """Gives the test's image one more name, as a build would; its id."""
    repository, _, tag = name.partition(":")
    async with Docker(url=lab.docker_url) as docker:
        if lab.docker_url != f"unix://{DOCKER_SOCKET}":
            await docker.images.pull(IMAGE)
        await docker.images.tag(IMAGE, repository, tag=tag)
        yield (await docker.images.inspect(name))["Id"]
        await docker.images.delete(name, force=True)


async def test_an_image_is_taken_from_its_mirror_and_says_so(lab: Lab):
    await lab.kubelet(image_mirrors=(mirrors.parse(f"registry.invalid/no/such={IMAGE}"),))
    async with tagged(lab, f"{lab.node}:same") as image_id:
        await lab.create({"containers": [{**shell(RUNS_ON), "image": NOWHERE}]})
        pod = await lab.until(is_ready)
    assert container(pod)["image"] == NOWHERE
    assert container(pod)["imageID"] == f"docker://{image_id}"
    assert (
        f'ImageMirrored: Image "{NOWHERE}" is taken from "{IMAGE}" '
        f"(mirror registry.invalid/no/such={IMAGE})"
    ) in await lab.events()


async def test_a_mirror_without_the_tag_gives_its_latest(embedded: Lab):
    await embedded.kubelet(image_mirrors=(mirrors.parse("nginx=busybox"),))
    await embedded.create({"containers": [{**shell(RUNS_ON), "image": "nginx:1.14.2"}]}, "one")
    await embedded.until(is_ready, "one")
    await embedded.create({"containers": [{**shell(RUNS_ON), "image": "nginx:1.36"}]}, "two")
    await embedded.until(is_ready, "two")
    events = await embedded.events()
    taken = [event.partition(" (")[0] for event in events if event.startswith("ImageMirrored")]
    assert taken == [
        'ImageMirrored: Image "nginx:1.14.2" is taken from "busybox:latest"',
        'ImageMirrored: Image "nginx:1.36" is taken from "busybox:1.36"',
    ]


async def test_a_mirror_that_has_nothing_is_named_in_the_error(lab: Lab):
    await lab.kubelet(image_mirrors=(mirrors.parse("nginx=registry.invalid/nothing:1"),))
    await lab.create({"containers": [{**shell(""), "image": "nginx:1"}]})
    pod = await lab.until(waits_for("ErrImagePull"))
    message = container(pod)["state"]["waiting"]["message"]
    assert message.startswith('from mirror "registry.invalid/nothing:1": ')


async def test_an_image_that_was_built_is_found_while_the_pull_backs_off(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [{**shell(RUNS_ON), "image": f"{lab.node}:v2"}]})
    await lab.until(waits_for("ErrImagePull"))
    async with tagged(lab, f"{lab.node}:v2"):
        lab.clock.step(2)
        await lab.until(is_ready)


async def test_always_pulls_also_what_is_here(lab: Lab):
    await lab.kubelet()
    one = {**shell(RUNS_ON), "image": lab.node}  # without a tag: the policy is Always
    async with tagged(lab, f"{lab.node}:latest"):
        await lab.create({"containers": [one]}, "always")
        await lab.until(waits_for("ErrImagePull"), "always")
        await lab.create({"containers": [{**one, "imagePullPolicy": "IfNotPresent"}]}, "here")
        await lab.until(is_ready, "here")
    there = "already present on machine and can be accessed by the pod"
    assert f'Pulled: Container image "{lab.node}" {there}' in await lab.events()
