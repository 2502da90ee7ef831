"""Numbers as a person writes them."""

from __future__ import annotations

import math


def milliseconds(value: float) -> str:
    """0.8 → `0.8 ms`, 61.2 → `61 ms`, 1900 → `1.9 s`: two significant digits, no false third."""
    if math.isnan(value):
        return "unknown"
    value = _two_digits(value)
    return f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s"


def seconds(value: float) -> str:
    """14.3 → `14 s`, 125 → `2 min 5 s`, 0.4 → `under 1 s`."""
    whole = round(value)
    if whole < 1:
        return "under 1 s"
    minutes, rest = divmod(whole, 60)
    if whole < 120:
        return f"{whole} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def pods(count: float) -> str:
    """1 → `1 Pod`, 3 → `3 Pods`."""
    return f"{count:.0f} {'Pod' if count == 1 else 'Pods'}"


def per_second(value: float) -> str:
    """48.7 → `49/s`, 3.25 → `3.2/s`."""
    return f"{value:.0f}/s" if value >= 10 else f"{value:.2g}/s"


def percent(share: float) -> str:
    """0.031 → `3 %`, 0.004 → `0.4 %`: never `0 %` for what is not nothing."""
    value = share * 100
    return f"{value:.0f} %" if value >= 1 else f"{value:.1g} %"


def dollars(value: float) -> str:
    """0.01487 → `$0.0149`, 12.5 → `$12.50`: three significant digits, and cents where there are."""
    if value >= 1 or value == 0:
        return f"${value:,.2f}"
    return f"${float(f'{value:.3g}'):.{2 - math.floor(math.log10(value))}f}"


def _two_digits(value: float) -> float:
    if value <= 0:
        return 0.0
    return round(value, 1 - math.floor(math.log10(value)))
