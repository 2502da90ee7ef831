"""Whatever writers and watchers do at once, and whenever the server is killed: a plain model
explains what they saw.

`LABKIT_TEST_HISTORIES` says how many histories are played.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.durability import history, model
from tests.durability.history import Act, History, Plan, Watching
from tests.durability.model import Bookmark, Epoch, Seen

HISTORIES = int(os.environ.get("LABKIT_TEST_HISTORIES", "200"))


def _act(number: int) -> Act:
    parts = []
    for choices in (
        history.KINDS,
        ("configmaps", "configmaps", "configmaps", "secrets"),
        ("default", "default", "default", "kube-public"),
        history.NAMES,
        history.GROUPS,
        (0, 0, 1, 3),
    ):
        number, choice = divmod(number, len(choices))
        parts.append(choices[choice])
    return Act(*parts)


ACTS = st.integers(0, 8 * 4 * 4 * 2 * 2 * 4 - 1).map(_act)
WATCHERS = st.builds(
    Watching,
    resource=st.sampled_from(tuple(history.RESOURCES)),
    namespace=st.sampled_from(("", *history.NAMESPACES)),
    group=st.sampled_from(("", *history.GROUPS)),
    streaming=st.booleans(),
    patience=st.sampled_from((0, 1, 3, 10)),
)
PLANS = st.builds(
    Plan,
    window=st.sampled_from((history.WIDE, 16, 4)),
    writers=st.lists(st.lists(ACTS, min_size=5, max_size=20), min_size=2, max_size=4),
    watchers=st.lists(WATCHERS, min_size=1, max_size=4),
    kills=st.lists(st.integers(1, 20), max_size=3),
    cut=st.floats(0, 1),
    linger=st.integers(0, 30),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store after a server's first start."""
    directory = tmp_path_factory.mktemp("template")
    return history.first_start(directory)


@pytest.mark.timeout(900)
def test_a_plain_model_explains_every_history(template: bytes):
    @settings(
        max_examples=HISTORIES,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(PLANS)
    def explained(plan: Plan) -> None:
        with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
            found = history.play(plan, Path(directory), template, patch)
        check(found)

    explained()


def check(found: History) -> None:
    """Raises AssertionError if the model cannot explain a history."""
    model.check_log(found.log)
    states = model.Model(found.log)
    model.check_operations(states, found.operations)
    for epoch in found.epochs:
        model.check_epoch(states, epoch)


@pytest.fixture
def found(template: bytes, tmp_path: Path) -> History:
    """A history of one writer, who changes one object, and one watcher, who sees all."""
    kinds = ("create", "patch", "replace", "delete", "create", "patch")
    acts = [Act(kind, "configmaps", "default", "x", "a", 0) for kind in kinds]
    plan = Plan(history.WIDE, [acts], [Watching("configmaps", "", "", False, 0)], [], 0.0, 0)
    with pytest.MonkeyPatch.context() as patch:
        found = history.play(plan, tmp_path, template, patch)
    check(found)
    return found


def _events(epoch: Epoch) -> list[int]:
    return [place for place, step in enumerate(epoch.steps) if isinstance(step, Seen)]


def _swap(epoch: Epoch) -> None:
    first, second, *_ = _events(epoch)
    epoch.steps[first], epoch.steps[second] = epoch.steps[second], epoch.steps[first]


def _repeat(epoch: Epoch) -> None:
    first, *_ = _events(epoch)
    epoch.steps.insert(first, epoch.steps[first])


def _halve(epoch: Epoch) -> None:
    first, *_ = _events(epoch)
    step = epoch.steps[first]
    epoch.steps[first] = step._replace(obj={**step.obj, "data": {}})


def _drop(epoch: Epoch) -> None:
    del epoch.steps[_events(epoch)[1]]


def _end_early(epoch: Epoch) -> None:
    del epoch.steps[_events(epoch)[-1] :]


def _promise_too_much(epoch: Epoch) -> None:
    second = _events(epoch)[1]
    epoch.steps.insert(second, Bookmark(epoch.steps[second].revision))


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (_swap, "ordered"),
        (_repeat, "unique"),
        (_halve, "atomic"),
        (_drop, "reliable"),
        (_end_early, "resumable"),
        (_promise_too_much, "bookmarkable"),
    ],
)
def test_the_model_notices_a_watch_that_is_not(found, spoil, wrong):
    (epoch,) = found.epochs
    spoil(epoch)
    with pytest.raises(AssertionError, match=wrong):
        check(found)


def test_the_model_notices_an_acknowledged_write_that_is_gone(found):
    with pytest.raises(AssertionError, match="lost"):
        check(found._replace(log=found.log[:-1], epochs=[]))


def test_the_model_notices_a_write_that_nobody_asked_for(found):
    with pytest.raises(AssertionError, match="nobody asked"):
        check(found._replace(operations=found.operations[1:]))
