"""01 · A fleet of containers by hand: what the container engine is to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import CONTAINERS, World

_ALL = "engine.containers.list(all=True)"
_RULE_PORT = 3001
_FOREVER = ("always", "unless-stopped")


def _fleet(world: World, service: str) -> list[dict]:
    return world.list(CONTAINERS, {"fleet": service})


def _running(world: World, service: str) -> list[dict]:
    return [one for one in _fleet(world, service) if _runs(one)]


def _named(world: World, name: str) -> dict:
    found = (one for one in world.list(CONTAINERS) if _name(one) == name)
    return next(found, {})


def _name(one: dict) -> str:
    return one["metadata"]["name"]


def _runs(one: dict) -> bool:
    return one["status"]["state"] == "running"


def _names(found: Iterable[dict]) -> str:
    """`rule-1, rule-2`, or `none`."""
    return ", ".join(sorted(map(_name, found))) or "none"


def _image(one: dict) -> str:
    return one["spec"]["image"].rpartition("/")[2]


def _stopped(service: str) -> Callable[[World], str | None]:
    def got(world: World) -> str | None:
        states = [f"{_name(o)}: {o['status']['state']}" for o in _fleet(world, service)]
        return None if len(_running(world, service)) == len(states) else ", ".join(sorted(states))

    return got


# -- a restart policy for all ----------------------------------------------------------------


def _no_rule(world: World) -> str | None:
    return None if _fleet(world, "rule") else "no container with the label fleet=rule"


def _policies(world: World, wrong: Callable[[str], bool]) -> str | None:
    found = {_name(one): one["spec"]["restartPolicy"] for one in _fleet(world, "rule")}
    bad = [f"{name}: {policy}" for name, policy in sorted(found.items()) if wrong(policy)]
    return ", ".join(bad) or None


RESTART = Exercise(
    "restart-policy",
    "Every rule is started again when its program ends",
    wrong=(
        Wrong(
            "no-rule",
            _no_rule,
            expected="containers with the label fleet=rule",
            hint="Run the cells above first: they run three replicas of rule.",
            look=_ALL,
        ),
        Wrong(
            "no-policy",
            lambda world: _policies(world, lambda policy: policy == "no"),
            expected="a restart policy for each of them",
            hint="A loop over the containers reaches all. The method is `update`, and the policy a "
            "dictionary with a `Name`.",
            look='engine.containers.get("rule-1").attrs["HostConfig"]["RestartPolicy"]',
        ),
        Wrong(
            "only-on-failure",
            lambda world: _policies(world, lambda policy: policy not in _FOREVER),
            expected="a policy for every end, also a peaceful one",
            hint="`on-failure` leaves a program alone that ended with 0, and a server should not "
            "end at all. Which policy asks for no reason?",
            look='engine.containers.get("rule-1").attrs["HostConfig"]["RestartPolicy"]',
        ),
        Wrong(
            "not-running",
            _stopped("rule"),
            expected="containers that run",
            hint="A policy is for the next end. One that has ended already has to be started by "
            "you.",
            look=_ALL,
        ),
    ),
    right="The engine looks after crashes now. A lost machine or a changed address is still yours.",
)


# -- user in version 2 -----------------------------------------------------------------------


def _no_user(world: World) -> str | None:
    return None if _fleet(world, "user") else "no container with the label fleet=user"


def _old_user(world: World) -> str | None:
    found = {_name(one): _image(one) for one in _fleet(world, "user")}
    old = [f"{name}: {image}" for name, image in sorted(found.items()) if image != "user:v2"]
    return ", ".join(old) or None


def _too_few(world: World) -> str | None:
    found = _fleet(world, "user")
    return None if len(found) >= 3 else _names(found)


USER = Exercise(
    "user-v2",
    "Three replicas of user run version v2",
    wrong=(
        Wrong(
            "no-user",
            _no_user,
            expected="containers with the label fleet=user",
            hint="Without the label the fleet does not know them. `run` puts it on.",
            look=_ALL,
        ),
        Wrong(
            "old-version",
            _old_user,
            expected="the image user:v2 for each of them",
            hint="A new image changes no container that runs. Replace each: `run` does it, and "
            "takes the version after the number.",
            look=_ALL,
        ),
        Wrong(
            "too-few",
            _too_few,
            expected="user-1, user-2 and user-3",
            hint="The new ones take the places of the old ones, one for one.",
            look=_ALL,
        ),
        Wrong(
            "not-running",
            _stopped("user"),
            expected="containers that run",
            hint="One has ended at once. Its logs say why; perhaps the change in its program is "
            "no Python.",
            look='print(engine.containers.get("user-1").logs().decode())',
        ),
    ),
    right="And did you tell the webs where the new ones are? `visit('/api/user')` shows it.",
)


# -- a fourth rule ---------------------------------------------------------------------------


def _no_fourth(world: World) -> str | None:
    return None if _named(world, "rule-4") else _names(_fleet(world, "rule"))


def _other_image(world: World) -> str | None:
    image = _image(_named(world, "rule-4"))
    return None if image == "rule:v2" else image


def _no_label(world: World) -> str | None:
    labels = _named(world, "rule-4")["metadata"]["labels"]
    return None if labels.get("fleet") == "rule" else f"the labels {labels or 'none'}"


def _fourth_stopped(world: World) -> str | None:
    fourth = _named(world, "rule-4")
    return None if _runs(fourth) else fourth["status"]["state"]


FOURTH = Exercise(
    "fourth-rule",
    "A fourth replica of rule runs",
    wrong=(
        Wrong(
            "no-container",
            _no_fourth,
            expected="a container named rule-4",
            hint="The number is the third thing that `run` takes.",
            look=_ALL,
        ),
        Wrong(
            "other-image",
            _other_image,
            expected="the image rule:v2",
            hint="Replicas are equal. This one is of another version than those beside it.",
            look='engine.containers.get("rule-4").image',
        ),
        Wrong(
            "no-label",
            _no_label,
            expected="the label fleet=rule",
            hint="It runs, and neither `urls` nor `sweep` knows of it: both look for the label.",
            look='engine.containers.get("rule-4").labels',
        ),
        Wrong(
            "not-running",
            _fourth_stopped,
            expected="a container that runs",
            hint="It was made and has ended, or was never started. Its logs may say why.",
            look='print(engine.containers.get("rule-4").logs().decode())',
        ),
    ),
    right="It runs. Whether it has any work is another question.",
)


# -- the way to all of them ------------------------------------------------------------------


def _no_web(world: World) -> str | None:
    return None if _named(world, "web-1") else _names(_fleet(world, "web"))


def _told(world: World) -> list[str]:
    """What RULE_URL of web-1 lists."""
    text = _named(world, "web-1")["spec"]["env"].get("RULE_URL", "")
    return text.replace(",", " ").split()


def _url(one: dict) -> str:
    return f"http://{one['status']['address']}:{_RULE_PORT}"


def _told_nothing(world: World) -> str | None:
    return None if _told(world) else "no RULE_URL"


def _dead_address(world: World) -> str | None:
    known = {_url(one) for one in _running(world, "rule")}
    dead = [url for url in _told(world) if url.rstrip("/") not in known]
    return ", ".join(dead) or None


def _left_out(world: World) -> str | None:
    told = {url.rstrip("/") for url in _told(world)}
    missing = [one for one in _running(world, "rule") if _url(one) not in told]
    return f"without {_names(missing)}" if missing else None


def _three_alone(world: World) -> str | None:
    found = _running(world, "rule")
    return None if len(found) >= 4 else _names(found)


ROUTE = Exercise(
    "route-to-all",
    "All four replicas of rule are known to web-1",
    wrong=(
        Wrong(
            "fewer-rules",
            _three_alone,
            expected="four replicas of rule that run",
            hint="Solve exercise 3 first: there must be something to route to.",
            look=_ALL,
        ),
        Wrong(
            "no-web",
            _no_web,
            expected="a container named web-1",
            hint="It was removed and nothing took its place.",
            look=_ALL,
        ),
        Wrong(
            "no-url",
            _told_nothing,
            expected="RULE_URL in its environment",
            hint="What stands behind the number in `run` becomes the environment: `RULE_URL=...`.",
            look='engine.containers.get("web-1").attrs["Config"]["Env"]',
        ),
        Wrong(
            "dead-address",
            _dead_address,
            expected="only addresses where a rule listens",
            hint="Some are of yesterday, or lack `http://` or the port. Look all up anew: `urls`.",
            look='urls("exercise", "rule")',
        ),
        Wrong(
            "left-out",
            _left_out,
            expected="an address for each replica",
            hint="The environment is read at the start, so a web that is older than a replica "
            "cannot know it. Replace web-1.",
            look='engine.containers.get("web-1").attrs["Config"]["Env"]',
        ),
    ),
    right="web-1 sends a quarter to each. The other two webs still know three.",
)

CHAPTER = Chapter("01-fleet", "A fleet of containers by hand", (RESTART, USER, FOURTH, ROUTE))
