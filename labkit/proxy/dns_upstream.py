"""Names outside of the cluster: the machine's own name servers are asked.

A question that is not the cluster's goes on as it is, over UDP, and over TCP where the answer does
not fit; so does the name to which an ExternalName Service leads.  Servers are asked one after the
other; when none answers, the client is told SERVFAIL.

Source: CoreDNS' plugin `forward` with `/etc/resolv.conf`, as kubeadm configures it.  Left out:
health checks and caching.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import dns.exception
import dns.message
import dns.rdataclass
import dns.rdatatype

log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")
_TIMEOUT = 2.0  # seconds for one server
_MOST_SERVERS = 3  # as resolv.conf(5) has it
_PORT = 53


def nameservers(path: Path = RESOLV_CONF) -> tuple[str, ...]:
    """The IPv4 name servers that a resolv.conf names."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ()
    words = (line.split() for line in lines)
    found = [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]
    return tuple(server for server in found if ":" not in server)[:_MOST_SERVERS]


class Upstream:
    """Asks `servers`, by their addresses."""

    def __init__(self, servers: Iterable[str], port: int = _PORT) -> None:
        self.servers, self._port = tuple(servers), port

    async def ask(self, name: str, kind: str) -> dns.message.Message | None:
        """The answer to one question; None where nobody gives one."""
        import dns.asyncquery

        query = dns.message.make_query(name, kind, use_edns=True)
        for server in self.servers:
            try:
                answer, _ = await dns.asyncquery.udp_with_fallback(
                    query, server, timeout=_TIMEOUT, port=self._port
                )
            except (OSError, dns.exception.DNSException) as error:
                log.debug("no answer server=%s name=%s error=%r", server, name, error)
                continue
            return answer
        return None
