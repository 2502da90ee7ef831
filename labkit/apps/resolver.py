"""Names to addresses in a container of the lab: hosts file, then DNS.

The C library reads the host's /etc/resolv.conf, and a container of the embedded engine is a
process without a root directory of its own.  So programs in the lab's images ask here: this module
reads `$CONTAINER_ROOT/etc/hosts` and `$CONTAINER_ROOT/etc/resolv.conf` and asks the name server
named there.  Where CONTAINER_ROOT is not set (a real container) it knows no names, and callers fall
back to the system's resolver.

resolv.conf(5): `nameserver`, `search`, `options ndots:N timeout:N attempts:N`; and `port:N`, our
extension, because an ordinary user cannot listen on port 53.  An answer that does not fit into a
datagram is asked for again over TCP.  Left out: AAAA, caching.

It imports nothing that takes long to import: `wget` in a loop starts with it every time.
"""

import _socket
import os

A, IN, OPT, NXDOMAIN = 1, 1, 41, 3
SERVFAIL, REFUSED = 2, 5  # another server may know more
IP_BIND_ADDRESS_NO_PORT = 24  # the port is chosen by connect, of those free for its destination
UDP_BYTES = 4096  # announced with EDNS0, for Services with many addresses


class Config:
    """The directives of a resolv.conf."""

    def __init__(self, text):
        self.servers, self.search = [], []
        self.options = {"ndots": 1, "timeout": 5, "attempts": 2, "port": 53}
        for line in text.splitlines():
            word, *rest = line.split("#")[0].split() or [""]
            if word == "nameserver" and rest:
                self.servers.append(rest[0])
            elif word == "search":
                self.search = rest
            elif word == "options":
                self._set(rest)

    def _set(self, options):
        for option in options:
            key, _, value = option.partition(":")
            if key in self.options and value.isdigit():
                self.options[key] = int(value)

    def candidates(self, name):
        """The full names to try for `name`, in order (the search rule of resolv.conf(5))."""
        if name.endswith("."):
            return [name[:-1]]
        longer = [f"{name}.{domain}" for domain in self.search]
        if name.count(".") >= self.options["ndots"]:
            return [name, *longer]
        return [*longer, name]


def read(path):
    """The text of a file below CONTAINER_ROOT; "" without one."""
    root = os.environ.get("CONTAINER_ROOT")
    if not root:
        return ""
    try:
        with open(root + path) as file:
            return file.read()
    except OSError:
        return ""


def from_hosts(name, text):
    """The IPv4 addresses of `name` in the text of a hosts file."""
    found = []
    for line in text.splitlines():
        address, *names = line.split("#")[0].split() or [""]
        if name in names and "." in address:
            found.append(address)
    return found


def question(number, name):
    """A DNS query for the A records of `name` (RFC 1035, with an OPT record of RFC 6891)."""
    header = number.to_bytes(2, "big") + bytes((1, 0, 0, 1, 0, 0, 0, 0, 0, 1))
    labels = b"".join(bytes((len(part),)) + part for part in name.encode().split(b"."))
    option = b"\0" + OPT.to_bytes(2, "big") + UDP_BYTES.to_bytes(2, "big") + bytes(6)
    return header + labels + bytes((0, 0, A, 0, IN)) + option


def answer(number, data):
    """(response code, addresses) of a DNS response; ValueError if it is not one to `number`."""
    if len(data) < 12 or int.from_bytes(data[:2], "big") != number or not data[2] & 0x80:
        raise ValueError("not an answer to the question")
    place = 12
    for _ in range(int.from_bytes(data[4:6], "big")):
        place = skip_name(data, place) + 4
    addresses = []
    for _ in range(int.from_bytes(data[6:8], "big")):
        place = skip_name(data, place)
        kind = int.from_bytes(data[place : place + 2], "big")
        length = int.from_bytes(data[place + 8 : place + 10], "big")
        place += 10
        if place + length > len(data):
            raise ValueError("the answer is cut short")
        if kind == A and length == 4:
            addresses.append(".".join(map(str, data[place : place + 4])))
        place += length
    return data[3] & 15, addresses


def skip_name(data, place):
    """The place after a name, which ends with a zero label or with a pointer."""
    while True:
        length = data[place]
        if length >= 0xC0:
            return place + 2
        place += length + 1
        if length == 0:
            return place


def ask(server, port, name, timeout):
    """One question to one server: (response code, addresses).  OSError, ValueError."""
    number = int.from_bytes(os.urandom(2), "big")
    message = question(number, name)
    data = exchange(server, port, message, timeout)
    if len(data) > 2 and data[2] & 2:  # TC: there is more
        data = exchange_over_tcp(server, port, message, timeout)
    return answer(number, data)


def exchange(server, port, message, timeout):
    """The response to a query over UDP."""
    asking = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        asking.settimeout(timeout)
        asking.connect((server, port))
        asking.send(message)
        return asking.recv(UDP_BYTES)
    finally:
        asking.close()


def exchange_over_tcp(server, port, message, timeout):
    """The response to a query over TCP, where each goes after its length."""
    asking = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        asking.settimeout(timeout)
        asking.connect((server, port))
        asking.sendall(len(message).to_bytes(2, "big") + message)
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            more = asking.recv(65536)
            if not more:
                raise ValueError("the answer is cut short")
            data += more
        return data[2:]
    finally:
        asking.close()


def query(config, name):
    """(response code, addresses) from the first server that knows; (None, []) if none answers."""
    options = config.options
    for _ in range(options["attempts"]):
        refusal = None
        for server in config.servers:
            try:
                code, addresses = ask(server, options["port"], name, options["timeout"])
            except (OSError, ValueError, IndexError):
                continue
            if code not in (SERVFAIL, REFUSED):
                return code, addresses
            refusal = code
        if refusal is not None:
            return refusal, []
    return None, []


def lookup(name):
    """(full name, IPv4 addresses) of `name`; no addresses if the container's DNS knows none."""
    addresses = from_hosts(name, read("/etc/hosts"))
    if addresses:
        return name, addresses
    config = Config(read("/etc/resolv.conf"))
    for full in config.candidates(name):
        if all(0 < len(label) < 64 for label in full.encode().split(b".")):
            _, addresses = query(config, full)
            if addresses:
                return full, addresses
    return name, []


def resolve(name):
    """IPv4 addresses of `name`: its own if it is one, the container's DNS, then the system's."""
    try:
        _socket.inet_aton(name)
        return [name]
    except OSError:
        pass
    found = lookup(name)[1]
    if found:
        return found
    try:
        infos = _socket.getaddrinfo(name, None, _socket.AF_INET, _socket.SOCK_STREAM)
    except OSError:
        return []
    return [info[4][0] for info in infos]


def send_as_container(link, address):
    """Let a socket that will connect to `address` have the container's address, as in a network
    namespace of its own: the system's choice for all loopback addresses is 127.0.0.1."""
    own = os.environ.get("HOST", "") if os.environ.get("CONTAINER_ROOT") else ""
    if own.startswith("127.") and address.startswith("127."):
        try:
            link.setsockopt(_socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            link.bind((own, 0))
        except OSError:
            pass  # 127.0.0.1 it is, then


def install():
    """Let `socket.getaddrinfo` answer for the names that the container's DNS knows."""
    if not os.environ.get("CONTAINER_ROOT"):
        return
    import socket

    system = socket.getaddrinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        name = host.decode() if isinstance(host, bytes) else host
        known = family in (0, socket.AF_INET) and name and not flags & socket.AI_NUMERICHOST
        addresses = lookup(name)[1] if known else []
        if not addresses:
            return system(host, port, family, type, proto, flags)
        return [
            info
            for address in addresses
            for info in system(address, port, socket.AF_INET, type, proto, flags)
        ]

    socket.getaddrinfo = getaddrinfo
