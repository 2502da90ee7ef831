"""Session affinity: which endpoint each client of a Service port had last.

A client is its address.  It keeps its endpoint as long as it comes back within the timeout, counted
from its last connection, and the endpoint serves.  All addresses of a port (cluster IP, node ports)
share one memory, as in kube-proxy's iptables mode (module `recent`).
"""

from __future__ import annotations

from labkit.clock import Clock
from labkit.proxy.rules import Address

_MOST = 10_000  # clients; the one that was silent longest is forgotten first


class Affinity:
    """The memory of one Service port; `seconds` is its timeout and may be changed."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self.seconds = clock, seconds
        # The most silent client first: whoever comes again moves to the end.
        self._last: dict[str, tuple[Address, float]] = {}

    def endpoint(self, client: str) -> Address | None:
        """The endpoint to which this client should go back."""
        endpoint, since = self._last.get(client, (None, 0.0))
        return endpoint if self._clock.monotonic() - since < self.seconds else None

    def note(self, client: str, endpoint: Address) -> None:
        """A connection of `client` went to `endpoint`."""
        self._last.pop(client, None)
        self._last[client] = endpoint, self._clock.monotonic()
        if len(self._last) > _MOST:
            del self._last[next(iter(self._last))]
