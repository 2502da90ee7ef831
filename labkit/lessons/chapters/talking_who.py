"""03 · Talking to it: which cluster, by the text of a kubeconfig; who trusts whom, a prediction."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

import yaml

from labkit.lessons.exercise import Exercise, Wrong
from labkit.lessons.world import World


def _short(answer: Any) -> str:
    return "nothing" if answer is None else textwrap.shorten(repr(answer), 60)


# -- a context -------------------------------------------------------------------------------

#: The chapter's second cluster, and the name of its cluster, user and context in a kubeconfig.
PROD = "labkit-prod"
CONTEXT, NAMESPACE = "prod-system", "kube-system"
_CONTEXTS = "kubectl config get-contexts"


def _config(world: World) -> Mapping:
    """The answer as a kubeconfig; {} for anything else."""
    try:
        found = yaml.safe_load(world.answer)
    except (AttributeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _entries(config: Mapping) -> dict[str, Mapping]:
    return {one["name"]: one.get("context") or {} for one in config.get("contexts") or ()}


def _no_kubeconfig(world: World) -> str | None:
    return None if _entries(_config(world)) else _short(world.answer)


def _no_context(world: World) -> str | None:
    found = _entries(_config(world))
    return None if CONTEXT in found else ", ".join(sorted(found))


def _field(world: World, key: str, wanted: str) -> str | None:
    found = _entries(_config(world))[CONTEXT].get(key) or "none"
    return None if found == wanted else f"{key}: {found}"


def _current_is_prod(world: World) -> str | None:
    config = _config(world)
    current = config.get("current-context") or ""
    cluster = _entries(config).get(current, {}).get("cluster")
    return f"current-context: {current}" if cluster == PROD else None


SYSTEM = Exercise(
    "context",
    f"The context {CONTEXT} leads to {NAMESPACE} in prod, and is not the current one",
    wrong=(
        Wrong(
            "no-kubeconfig",
            _no_kubeconfig,
            expected="the text of your kubeconfig",
            hint='The check reads the file that you changed: `lab.check("context", '
            "both.read_text())`.",
            look="both.read_text()",
        ),
        Wrong(
            "no-context",
            _no_context,
            expected=f"a context named {CONTEXT}",
            hint="`kubectl config set-context NAME` adds a line to the file. No cluster is asked.",
            look=_CONTEXTS,
        ),
        Wrong(
            "other-cluster",
            lambda world: _field(world, "cluster", PROD),
            expected=f"cluster: {PROD}",
            hint="Under this name one would believe to be in prod. `--cluster` names an entry of "
            "the list `clusters`.",
            look=_CONTEXTS,
        ),
        Wrong(
            "other-user",
            lambda world: _field(world, "user", PROD),
            expected=f"user: {PROD}",
            hint="Each cluster knows its own users. Whose credentials does prod accept?",
            look="kubectl config get-users",
        ),
        Wrong(
            "other-namespace",
            lambda world: _field(world, "namespace", NAMESPACE),
            expected=f"namespace: {NAMESPACE}",
            hint="Without a namespace a context means `default`.",
            look=_CONTEXTS,
        ),
        Wrong(
            "current",
            _current_is_prod,
            expected="a current context of the other cluster",
            hint="A context can be used without being the current one: `kubectl --context NAME`. "
            "`use-context` changes what every later command means.",
            look="kubectl config current-context",
        ),
    ),
    right="It is used when its name is typed, and never by accident.",
)


# -- who trusts whom: a prediction -----------------------------------------------------------

_SHOWN = ("nothing", "prod's", "lab's")
_TRUSTED = ("anybody", "prod's authority", "lab's authority")
_CUT = "no answer"
_ANSWERS = (200, 401, _CUT)

Got = Callable[[World], str | None]


def _no_table(world: World) -> str | None:
    answer = world.answer
    whole = (
        isinstance(answer, Mapping)
        and set(answer) == set(_SHOWN)
        and all(isinstance(row, list | tuple) and len(row) == 3 for row in answer.values())
    )
    return None if whole else _short(answer)


def _other_word(world: World) -> str | None:
    for row, (place, found) in _cells(world, _SHOWN, range(3)):
        if found not in _ANSWERS:
            return _spoken(row, place, found)
    return None


def _cells(
    world: World, rows: Iterable[str], columns: Iterable[int]
) -> Iterator[tuple[str, tuple[int, Any]]]:
    for row, column in product(rows, columns):
        yield row, (column, world.answer[row][column])


def _spoken(row: str, column: int, found: Any) -> str:
    shown = "no certificate" if row == "nothing" else f"{row} certificate"
    return f"{found} for {shown}, trusting {_TRUSTED[column]}"


def _differs(rows: tuple[str, ...], columns: tuple[int, ...], wanted: int | str) -> Got:
    def got(world: World) -> str | None:
        for row, (column, found) in _cells(world, rows, columns):
            if found != wanted:
                return _spoken(row, column, found)
        return None

    return got


_TABLE = "prediction"
TRUST = Exercise(
    "trust",
    "You know what comes of all nine requests",
    wrong=(
        Wrong(
            "no-table",
            _no_table,
            expected="a dict with three rows of three",
            hint="Copy the template, and give it to the check: `lab.check("
            f'"trust", {_TABLE})`. The rows are what you show, the columns whom you trust.',
            look=_TABLE,
        ),
        Wrong(
            "other-word",
            _other_word,
            expected='200, 401 or "no answer" in each place',
            hint="200: here you are. 401: I do not know you. No answer: one of the two hangs up "
            "before it comes.",
            look=_TABLE,
        ),
        Wrong(
            "wrong-server",
            _differs(_SHOWN, (2,), _CUT),
            expected="no answer: it is not lab's authority that signed prod's certificate",
            hint="The server shows its certificate first. Who checks it, and what does the one who "
            "checks do if a stranger has signed it?",
            look=_TABLE,
        ),
        Wrong(
            "nobody-in",
            _differs(("nothing",), (0, 1), 401),
            expected="401: the server cannot know who that is",
            hint="The connection is encrypted, and the server may be well known to you. Has it "
            "been told who you are?",
            look=_TABLE,
        ),
        Wrong(
            "admin-out",
            _differs(("prod's",), (0, 1), 200),
            expected="200: prod knows its own administrator",
            hint="Whether you have checked the server is your business. It does not change whom "
            "the server sees.",
            look=_TABLE,
        ),
        Wrong(
            "stranger-in",
            _differs(("lab's",), (0, 1), _CUT),
            expected="no answer: prod hangs up",
            hint="The names on it are the right ones. But anybody can write a name: which key "
            "signed it, and whose signature does prod accept?",
            look="pd.DataFrame(cards).T",
        ),
    ),
    right="Two questions that do not depend on each other: do I know you, and do you know me?",
)
