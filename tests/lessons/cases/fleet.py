from tests.lessons.objects import container

CHAPTER = "01-fleet"


def rules(count: int = 4, **options: str) -> list[dict]:
    return [
        container(f"rule-{n}", address=f"127.248.0.{n}", **options) for n in range(1, 1 + count)
    ]


def web(*numbers: int, name: str = "web-1") -> dict:
    urls = ",".join(f"http://127.248.0.{n}:3001" for n in numbers)
    return container(name, env={"RULE_URL": urls} if urls else {})


USERS = [container(f"user-{n}", image="user:v2") for n in (1, 2, 3)]
CASES = {
    "restart-policy": {
        "right": rules(3, policy="unless-stopped"),
        "no-rule": USERS,
        "no-policy": [*rules(2, policy="always"), container("rule-3")],
        "only-on-failure": rules(3, policy="on-failure"),
        "not-running": [*rules(2, policy="always"), *rules(1, policy="always", state="exited")],
    },
    "user-v2": {
        "right": USERS,
        "no-user": rules(),
        "old-version": [*USERS[:2], container("user-3")],
        "too-few": USERS[:2],
        "not-running": [*USERS[:2], container("user-3", image="user:v2", state="exited")],
    },
    "fourth-rule": {
        "right": rules(image="rule:v2"),
        "no-container": rules(3),
        "other-image": rules(),
        "no-label": [*rules(3), container("rule-4", image="rule:v2", labels={})],
        "not-running": [*rules(3), container("rule-4", image="rule:v2", state="created")],
    },
    "route-to-all": {
        "right": [*rules(), web(1, 2, 3, 4)],
        "fewer-rules": [*rules(3), web(1, 2, 3)],
        "no-web": [*rules(), web(1, 2, 3, 4, name="web-2")],
        "no-url": [*rules(), web()],
        "dead-address": [*rules(), web(1, 2, 3, 4, 9)],
        "left-out": [*rules(), web(1, 2, 3)],
    },
}
