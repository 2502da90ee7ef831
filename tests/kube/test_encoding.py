"""JSON that is kept takes no more memory than its length."""

import tracemalloc

import orjson
import pytest

from labkit.kube.encoding import compact


@pytest.mark.parametrize("length", [10, 1000, 10_000])
def test_what_is_kept_is_as_large_as_its_text(length):
    given = {"text": "x" * length}
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [compact(given) for _ in range(100)]
        each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    assert each < len(kept[0]) + 100


def test_it_says_what_orjson_says():
    given = {"b": [1, 2.5, None], "a": "é"}
    assert compact(given) == orjson.dumps(given)
    sorted_ = orjson.OPT_SORT_KEYS
    assert compact(given, sorted_) == orjson.dumps(given, option=sorted_)
