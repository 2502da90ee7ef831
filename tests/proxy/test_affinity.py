"""What a Service port remembers of its clients."""

from labkit.proxy import affinity
from labkit.proxy.affinity import Affinity

A = ("127.244.1.2", 80)


class Hands:
    """A clock that is moved by hand."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_client_that_comes_back_in_time_goes_where_it_was():
    clock = Hands()
    known = Affinity(clock, seconds=10)
    assert known.endpoint("127.1.1.1") is None
    known.note("127.1.1.1", A)
    clock.seconds += 9
    assert known.endpoint("127.1.1.1") == A
    assert known.endpoint("127.1.1.2") is None


def test_the_time_counts_from_the_last_connection():
    clock = Hands()
    known = Affinity(clock, seconds=10)
    known.note("127.1.1.1", A)
    clock.seconds += 9
    known.note("127.1.1.1", A)
    clock.seconds += 9
    assert known.endpoint("127.1.1.1") == A
    clock.seconds += 1
    assert known.endpoint("127.1.1.1") is None


def test_of_too_many_clients_the_most_silent_one_is_forgotten(monkeypatch):
    monkeypatch.setattr(affinity, "_MOST", 2)
    known = Affinity(Hands(), seconds=10)
    for client in ("127.1.1.1", "127.1.1.2", "127.1.1.1", "127.1.1.3"):
        known.note(client, A)
    assert [known.endpoint(f"127.1.1.{number}") for number in (1, 2, 3)] == [A, None, A]
