from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import UsageError
from labkit.load import Profile, noisy, ramp, sine, spike, step
from labkit.load.profile import check

RATES = st.floats(0, 200)
PROFILES = st.lists(st.builds(ramp, RATES, RATES, st.floats(0.1, 5)), min_size=1, max_size=4).map(
    lambda parts: Profile(tuple(piece for part in parts for piece in part.pieces))
)


def test_a_step_sends_evenly_from_its_very_start():
    assert list(step(4, 1).arrivals()) == [0, 0.25, 0.5, 0.75]


def test_a_ramp_from_zero_sends_at_the_square_roots():
    # ∫ 2t = t², so request k leaves at √k.
    times = list(ramp(0, 8, 4).arrivals())
    assert times == pytest.approx([math.sqrt(k) for k in range(16)])


def test_a_ramp_down_mirrors_a_ramp_up():
    up, down = list(ramp(0, 8, 4).arrivals()), list(ramp(8, 0, 4).arrivals())
    assert down[1:] == pytest.approx([4 - t for t in reversed(up[1:])])


@pytest.mark.parametrize(
    ("t", "rate"),
    [(-1, 0), (0, 10), (4.9, 10), (5, 100), (6.9, 100), (7, 10), (19.9, 10), (20, 0)],
)
def test_a_spike_has_its_peak_for_its_width(t: float, rate: float):
    assert spike(base=10, peak=100, at=5, width=2, seconds=20).rate(t) == rate


def test_a_spike_may_start_at_once_and_last_to_the_end():
    assert len(spike(10, 20, 0, 5, 5).pieces) == 1


def test_plus_puts_one_profile_after_another():
    profile = step(10, 2) + step(0, 3) + ramp(10, 20, 1)
    assert profile.duration == 6
    assert [profile.rate(t) for t in (1, 3, 5.5)] == [10, 0, 15]
    assert profile.requests == 20 + 0 + 15


def test_nothing_is_sent_during_a_pause():
    times = list((step(10, 2) + step(0, 3) + step(10, 1)).arrivals())
    assert not [t for t in times if 2 <= t < 5]
    assert times[20] == 5


def test_no_request_is_lost_where_two_pieces_join():
    assert len(list((step(0.5, 3) + step(0.5, 3)).arrivals())) == 3


def test_a_sine_goes_from_its_low_to_its_high_and_back_in_each_period():
    wave = sine(low=10, high=50, period=60, seconds=150)
    assert [wave.rate(t) for t in (0, 15, 30, 45, 60, 90)] == pytest.approx(
        [10, 30, 50, 30, 10, 50]
    )
    assert wave.duration == 150
    # Two whole periods at their mean, and half a one.
    assert wave.requests == pytest.approx(150 * 30, rel=1e-9)
    assert str(wave) == "10⇄50/s every 60 s for 150 s"


def test_noise_keeps_the_mean_and_varies_by_its_spread():
    shaken = noisy(step(100, 3000), 0.2, seed=4)
    rates = [piece.start for piece in shaken.pieces]
    mean = sum(rates) / len(rates)
    assert len(rates) == 3000
    assert mean == pytest.approx(100, rel=0.02)
    spread = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))
    assert spread == pytest.approx(20, rel=0.05)


def test_the_same_seed_makes_the_same_noise_and_another_seed_another():
    wave = sine(10, 50, 7.5, 30) + step(0, 2.5)
    assert noisy(wave, 0.3, seed=1) == noisy(wave, 0.3, seed=1) != noisy(wave, 0.3, seed=2)


def test_a_factor_of_noise_holds_for_its_time_and_keeps_the_shape_of_what_it_shakes():
    shaken = noisy(step(10, 3) + ramp(10, 40, 3), 0.5, every=2, seed=1)
    assert [piece.seconds for piece in shaken.pieces] == [2, 1, 1, 2]
    assert shaken.pieces[1].end == shaken.pieces[2].start
    assert shaken.pieces[2].end == pytest.approx(2 * shaken.pieces[2].start)
    assert shaken.duration == 6


def test_noise_never_asks_for_more_than_can_be_sent():
    assert noisy(step(5000, 50), 1.0).peak == 5000


@given(PROFILES, st.floats(0, 1), st.floats(0.3, 4))
def test_noise_of_nothing_changes_nothing(profile: Profile, share: float, every: float):
    same, t = noisy(profile, 0.0, every), share * profile.duration
    assert same.duration == pytest.approx(profile.duration)
    assert same.due(t) == pytest.approx(profile.due(t), abs=1e-6)


@given(PROFILES, st.floats(0, 1))
def test_what_is_due_is_the_integral_of_the_rate(profile: Profile, share: float):
    t = share * profile.duration
    n = 400
    sums = sum(profile.rate((k + 0.5) * t / n) for k in range(n)) * t / n
    assert profile.due(t) == pytest.approx(sums, abs=200 * 4 * t / n + 1e-6)


def test_a_profile_reads_like_what_it_does():
    profile = step(50, 30) + ramp(50, 200, 60)
    assert str(profile) == "50/s for 30 s, then 50→200/s for 60 s"
    assert repr(profile) == f"<Profile {profile}: 90 s, 9000 requests>"


@given(PROFILES)
def test_arrivals_ascend_within_the_duration_and_are_as_many_as_the_integral(profile: Profile):
    times = list(profile.arrivals())
    assert times == sorted(times)
    assert all(0 <= t <= profile.duration + 1e-9 for t in times)
    assert abs(len(times) - math.ceil(profile.requests)) <= 1


@given(st.integers(0, 1000))
def test_a_seed_gives_the_same_poisson_arrivals_again(seed: int):
    profile = step(20, 2)
    assert list(profile.arrivals(seed)) == list(profile.arrivals(seed))


def test_poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process():
    times = list(step(1000, 20).arrivals(seed=1))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(1 / 1000, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda: step(-1, 10),
        lambda: step(5001, 10),
        lambda: step(math.nan, 10),
        lambda: step("50", 10),
        lambda: step(50, 0),
        lambda: step(50, math.inf),
        lambda: ramp(10, -5, 10),
        lambda: spike(10, 20, at=8, width=5, seconds=10),
        lambda: sine(10, -5, 60, 60),
        lambda: sine(10, 50, 0, 60),
        lambda: noisy(step(10, 10), 3),
        lambda: noisy(step(10, 10), 0.1, every=0),
        lambda: check(step(0, 10)),
        lambda: check(step(1, 3601)),
        lambda: check(50),
    ],
    ids=[
        "negative",
        "absurd",
        "nan",
        "text",
        "no-time",
        "forever",
        "ramp-below-zero",
        "spike-outside",
        "sine-below-zero",
        "sine-without-period",
        "noise-absurd",
        "noise-without-time",
        "nothing",
        "over-an-hour",
        "no-profile",
    ],
)
def test_a_profile_that_cannot_be_sent_is_refused_in_three_sentences(make):
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.what
    assert caught.value.why
    assert caught.value.fix.startswith("Write for example ")
