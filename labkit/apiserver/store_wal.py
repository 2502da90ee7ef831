"""Whether SQLite's write-ahead log still holds all that was ever committed to it.

When SQLite opens a log it reads up to the first frame that is not valid, and calls the rest the
unfinished end of a write that was cut off.  Mostly that is what it is.  But if a byte in the middle
has changed, acknowledged writes come after it, and they would be gone without a word.

The two can be told apart.  A transaction is written after the one before it has reached the disk;
so where a whole transaction is followed by more frames of the same generation (equal salts), it was
durable, and an invalid frame in it or before it is damage.  An invalid frame in the very last
transaction says nothing: a machine that lost its power leaves such a thing, as does damage.

The file is read before SQLite opens it and is not touched.

Source: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from operator import mul
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_MAGIC, _MASK = 0x377F0682, 0xFFFFFFFF  # the magic's last bit is set where words are big-endian


class _Frame(NamedTuple):
    ours: bool  # of the present generation
    commits: bool
    valid: bool  # as far as SQLite would read, if all before were


def damage(path: Path) -> str | None:
    """What is wrong with the log at `path`, or None.  Raises OSError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _damage(file)
    except FileNotFoundError:
        return None


def _damage(file: BinaryIO) -> str | None:
    start = file.read(_HEADER.size)
    if len(start) < _HEADER.size or not any(start):
        return None  # nothing was ever committed to it
    magic, _, page_size, _, *salts, first, second = _HEADER.unpack(start)
    if magic & ~1 != _MAGIC or page_size < 512:
        return "its header is not that of a write-ahead log"
    sums = _Sums(24, magic & 1), _Sums(8, magic & 1), _Sums(page_size, magic & 1)
    if sums[0](start[:24], (0, 0)) != (first, second):
        return "its header does not match its checksum"
    return _judged(_frames(file, page_size, tuple(salts), (first, second), sums))


def _frames(file: BinaryIO, page_size: int, salts: tuple, seed: tuple, sums: tuple) -> Iterator:
    while len(content := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        _, committed, first, second, *check = _FRAME.unpack_from(content)
        ours = (first, second) == salts
        valid = ours and sums[2](content[24:], sums[1](content[:8], seed)) == tuple(check)
        yield _Frame(ours, bool(committed), valid)
        seed = tuple(check)


def _judged(frames: Iterator[_Frame]) -> str | None:
    bad = followed = 0
    for number, frame in enumerate(frames, 1):
        if not bad and not frame.valid:
            bad = number
        if not bad or not frame.ours:
            continue
        if followed:
            return f"frame {bad} is not valid, and acknowledged writes come after it"
        followed = frame.commits
    return None


class _Sums:
    """The checksum of `size` bytes, given that of what was before.

    The format's s0 += x0 + s1, s1 += x1 + s0 is one sequence, t(n) = t(n-1) + t(n-2) + x(n); hence
    a sum of words times Fibonacci numbers, which is many times faster than the loop.
    """

    def __init__(self, size: int, big_endian: int) -> None:
        self._swap = bool(big_endian) == (sys.byteorder == "little")
        words = size // 4
        fibonacci = [0, 1]
        while len(fibonacci) < words + 2:
            fibonacci.append((fibonacci[-1] + fibonacci[-2]) & _MASK)
        self._first, self._second = fibonacci[words - 1 :: -1], fibonacci[words:0:-1]
        self._before = fibonacci[words - 1 : words + 2]

    def __call__(self, content: bytes, before: tuple[int, int]) -> tuple[int, int]:
        words = array("I", content)
        if self._swap:
            words.byteswap()
        low, middle, high = self._before
        first = sum(map(mul, self._first, words)) + before[0] * low + before[1] * middle
        second = sum(map(mul, self._second, words)) + before[0] * middle + before[1] * high
        return first & _MASK, second & _MASK
