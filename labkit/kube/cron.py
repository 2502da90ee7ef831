"""Schedules of CronJobs: five fields of Unix cron, or a word like `@daily`.

A field is a list (`,`) of `*`, numbers, names or ranges (`-`), each with a step (`/`).  Where days
of the month and of the week are both restricted, a day that fits either is meant; hence the stars
are remembered.  Messages are those of the parser that Kubernetes uses.

Source: github.com/robfig/cron/v3 (ParseStandard); crontab(5).  Left out: `TZ=` before the fields,
which Kubernetes refuses in favour of `spec.timeZone`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class _Field(NamedTuple):
    least: int
    most: int
    names: tuple[str, ...] = ()  # of the values from `least` on


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS))
_FIELDS += (_Field(0, 6, _WEEKDAYS),)
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


class Schedule(NamedTuple):
    """The values that each field allows; `every` is the seconds of `@every`, else 0."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False
    any_weekday: bool = False
    every: float = 0


def parse(text: str) -> Schedule:
    """The schedule that `text` describes.  Raises ValueError with what is wrong."""
    if not text:
        raise ValueError("empty spec string")
    if text.startswith(_EVERY):
        return Schedule(every=_seconds(text.removeprefix(_EVERY)))
    if text.startswith("@") and text not in _WORDS:
        raise ValueError(f"unrecognized descriptor: {text}")
    parts = _WORDS.get(text, text).split()
    if len(parts) != len(_FIELDS):
        count = f"expected exactly {len(_FIELDS)} fields, found {len(parts)}"
        raise ValueError(f"{count}: [{' '.join(parts)}]")
    values = [_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    return Schedule(*values, _is_star(parts[2]), _is_star(parts[4]))


def _values(text: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        if part:
            found |= _range(part, field)
    return frozenset(found)


def _is_star(text: str) -> bool:
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def _range(text: str, field: _Field) -> set[int]:
    span, *steps = text.split("/")
    low, *high = span.split("-")
    if low in ("*", "?"):
        start, end = field.least, field.most
    else:
        if len(high) > 1:
            raise ValueError(f"too many hyphens: {text}")
        start = _number(low, field)
        end = _number(high[0], field) if high else start
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _integer(steps[0]) if steps else 1
    if steps and not high:
        end = field.most
    _check(start, end, step, field, text)
    return set(range(start, end + 1, step))


def _check(start: int, end: int, step: int, field: _Field, text: str) -> None:
    if start < field.least:
        why = f"beginning of range ({start}) below minimum ({field.least})"
    elif end > field.most:
        why = f"end of range ({end}) above maximum ({field.most})"
    elif start > end:
        why = f"beginning of range ({start}) beyond end of range ({end})"
    elif step == 0:
        why = "step of range should be a positive number"
    else:
        return
    raise ValueError(f"{why}: {text}")


def _number(text: str, field: _Field) -> int:
    if text.lower() in field.names:
        return field.least + field.names.index(text.lower())
    return _integer(text)


def _integer(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text):
        why = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise ValueError(f"failed to parse int from {text}: {why}")
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(rf"({_DURATION.pattern})+", text):
        why = f'time: invalid duration "{text}"'
        raise ValueError(f"failed to parse duration {_EVERY}{text}: {why}")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


_YEARS = 5  # a schedule without a time in so many years has none (the 30th of February)


def following(schedule: Schedule, moment: datetime) -> datetime | None:
    """The first time of a schedule after `moment`, in its time zone; None where there is none.

    Where clocks are put forward, times that they skip are skipped; where they are put back, times
    that come twice are meant twice.
    """
    zone, last = moment.tzinfo, moment.year + _YEARS
    now = moment.astimezone(UTC)
    if schedule.every:
        every = timedelta(seconds=max(1, int(schedule.every)))
        return (now.replace(microsecond=0) + every).astimezone(zone)
    time = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while (local := time.astimezone(zone)).year <= last:
        if local.month not in schedule.months:
            time = _midnight((local.replace(day=1) + timedelta(days=32)).replace(day=1), time)
        elif not _is_day(schedule, local):
            time = _midnight(local + timedelta(days=1), time)
        elif local.hour not in schedule.hours:
            time += timedelta(minutes=60 - local.minute)
        elif local.minute not in schedule.minutes:
            time += timedelta(minutes=1)
        else:
            return local
    return None


def _midnight(day: datetime, after: datetime) -> datetime:
    """The beginning of a day in its zone, as UTC; later than `after` wherever clocks are put."""
    start = day.replace(hour=0, minute=0, fold=0).astimezone(UTC)
    return start if start > after else after + timedelta(hours=1)


def _is_day(schedule: Schedule, time: datetime) -> bool:
    day, weekday = time.day in schedule.days, time.isoweekday() % 7 in schedule.weekdays
    if schedule.any_day or schedule.any_weekday:
        return day and weekday
    return day or weekday
