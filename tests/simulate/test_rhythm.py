"""When something periodic happens, found from samples that only show that it has."""

import numpy as np
import pytest

from labkit.simulate.rhythm import Rhythm, rhythm


def seen(ticks, interval, seconds, first=0.0):
    """Samples of a value that is another one after each tick."""
    times = np.arange(first, seconds, interval)
    return times, np.searchsorted(ticks, times, side="right").astype(float)[:, None]


@pytest.mark.parametrize("phase", [0.1, 0.55, 1.03, 1.97])
def test_samples_that_are_no_divisor_of_the_period_tell_a_clock_to_some_hundredths(phase):
    found = rhythm(*seen(phase + 2.0 * np.arange(120), 0.9, 200.0), 2.0)
    assert found.after(0.0) == pytest.approx(phase, abs=0.06)
    assert found.spread <= 0.06


def test_samples_in_step_with_the_clock_tell_no_more_than_their_interval_and_say_so():
    found = rhythm(*seen(0.3 + 2.0 * np.arange(120), 1.0, 200.0), 2.0)
    assert abs(found.after(0.0) - 0.3) <= found.spread
    assert found.spread == pytest.approx(0.5, abs=0.02)


def test_a_clock_that_is_slower_than_it_was_set_to_is_found_with_its_period():
    found = rhythm(*seen(0.7 + 2.013 * np.arange(120), 0.9, 220.0), 2.0, slow=0.03)
    assert found.period == pytest.approx(2.013, abs=0.002)
    assert found.after(0.0) == pytest.approx(0.7, abs=0.1)


def test_changes_of_another_cause_do_no_harm():
    ticks = np.sort(np.r_[0.4 + 2.0 * np.arange(100), 31.2, 63.1, 121.5])
    assert rhythm(*seen(ticks, 0.9, 190.0), 2.0).after(0.0) == pytest.approx(0.4, abs=0.06)


def test_a_value_that_is_unknown_for_a_while_has_not_changed():
    times, values = seen(0.4 + 2.0 * np.arange(100), 0.9, 190.0)
    values[values == 7.0] = np.nan
    assert rhythm(times, values, 2.0).after(0.0) == pytest.approx(0.4, abs=0.06)


def test_where_nothing_happens_the_phase_is_unknown():
    times = np.arange(0.0, 100.0, 0.9)
    assert rhythm(times, np.ones((len(times), 1)), 2.0) == Rhythm(0.0, 2.0, 1.0)


def test_ticks_are_counted_from_the_first_one():
    clock = Rhythm(first=112.5, period=2.0, spread=0.0)
    assert clock.after(0.0) == 0.5
    assert clock.after(0.5) == 0.5
    assert clock.until(5.0).tolist() == [0.5, 2.5, 4.5]
