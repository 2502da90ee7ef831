"""What was ordered and not seen yet."""

from labkit.clock import Clock
from labkit.controllers.expectations import TIMEOUT, Expectations


class HandClock(Clock):
    """Time that moves by hand."""

    time = 0.0

    def monotonic(self) -> float:
        return self.time


def test_nothing_expected_is_satisfied():
    assert Expectations(HandClock()).satisfied("a")


def test_creations_are_awaited_one_by_one():
    expectations = Expectations(HandClock())
    expectations.expect_creations("a", 2)
    expectations.creations_observed("a")
    assert not expectations.satisfied("a")
    expectations.creations_observed("a")
    assert expectations.satisfied("a")


def test_a_deletion_that_is_seen_twice_counts_once():
    expectations = Expectations(HandClock())
    expectations.expect_deletions("a", ["u1", "u2"])
    expectations.deletion_observed("a", "u1")
    expectations.deletion_observed("a", "u1")
    assert not expectations.satisfied("a")
    expectations.deletion_observed("a", "u2")
    assert expectations.satisfied("a")


def test_more_observed_than_expected_is_no_debt():
    expectations = Expectations(HandClock())
    expectations.creations_observed("a", 5)
    expectations.expect_creations("a", 1)
    assert not expectations.satisfied("a")


def test_a_lost_event_blocks_for_five_minutes_only():
    clock = HandClock()
    expectations = Expectations(clock)
    expectations.expect_creations("a", 1)
    clock.time = TIMEOUT - 1
    assert not expectations.satisfied("a")
    assert expectations.expires_in("a") == 1
    clock.time = TIMEOUT
    assert expectations.satisfied("a")
    expectations.expect_creations("a", 1)
    expectations.creations_observed("a")
    assert expectations.satisfied("a"), "the expired expectation is not carried over"


def test_keys_do_not_know_of_each_other():
    expectations = Expectations(HandClock())
    expectations.expect_creations("a", 1)
    assert expectations.satisfied("b")
    expectations.forget("a")
    assert expectations.satisfied("a")
