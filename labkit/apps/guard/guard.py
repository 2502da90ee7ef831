"""Stands on a Docker host for one cluster, as root, for as long as the cluster's daemon lives.

The daemon is an ordinary process, perhaps of an ordinary user; its containers are children of
dockerd and would outlive it.  So the daemon starts this program in a container with the host's
network, and it connects back to the daemon's socket.  That connection is the lifeline:

1. What an earlier life of the cluster left behind (containers, network) is removed.
2. The cluster's addresses for Services and nodes become this machine's own ("AnyIP": a route of
   type `local` to the loopback interface), so that the Service proxy can listen there and
   containers reach it through their default gateway.
3. Sockets that the daemon passes (SCM_RIGHTS) are bound to ports that an ordinary user may not have
   (53, 80, 443).
4. When the connection closes, however the daemon died, everything is removed again.

Without a daemon to connect to, steps 1 and 4 are all there is: that is how leftovers are removed
by hand.

A cluster's addresses go with its number, which is another cluster's as soon as the daemon is dead.
So there is a lock on them: who listens on the abstract socket `labkit-<number>` has it.

`LABKIT_GUARD` is JSON: `label` of the containers and the network (`key=value`), `self`, the label
of this container, the cluster's `number` and its `ranges` of addresses.  A packet of the
daemon is a socket and its `["10.96.0.10", 53]`, answered with `{"errno": 0}`.

It imports nothing of labkit and needs Python 3.9.
"""

import errno
import http.client
import ipaddress
import json
import os
import socket
import struct
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

DAEMON, DOCKER = "/cluster/guard.sock", "/var/run/docker.sock"
PACKET = 4096
TRIES = 20  # rounds of removal; what is being created while its owner dies appears later
PAUSE = 0.2  # seconds between them
LOCK_TRIES = 150  # how often, with the same pause, the last owner of the addresses is waited for

# rtnetlink(7)
_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_REQUEST, _ACK, _CREATE, _REPLACE = 0x1, 0x4, 0x400, 0x100
_LOCAL_TABLE, _STATIC, _HOST_SCOPE, _LOCAL = 255, 4, 254, 2
_DESTINATION, _DEVICE = 1, 4
_MESSAGE, _ROUTE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=8BI"), struct.Struct("=HH")


class Docker(http.client.HTTPConnection):
    """The Docker Engine API on its unix socket; a connection for each request."""

    def __init__(self):
        super().__init__("docker", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(DOCKER)


def ask(method, path, **query):
    """(status, decoded body) of one request."""
    docker = Docker()
    try:
        docker.request(method, f"{path}?{urllib.parse.urlencode(query)}")
        response = docker.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body.strip() else None
    finally:
        docker.close()


def remove_all(label):
    """Remove every container and network with the label; True when there is none any more."""
    filters = json.dumps({"label": [label]})
    with ThreadPoolExecutor(8) as pool:
        for _ in range(TRIES):
            containers = ask("GET", "/containers/json", all="1", filters=filters)[1]
            list(pool.map(lambda one: remove(f"/containers/{one['Id']}"), containers))
            networks = ask("GET", "/networks", filters=filters)[1]
            list(pool.map(lambda one: remove(f"/networks/{one['Id']}"), networks))
            if not containers and not networks:
                return True
            time.sleep(PAUSE)
    return False


def remove(path):
    """DELETE one thing; one that is gone is as good."""
    status, body = ask("DELETE", path, force="1", v="1")
    if status not in (200, 204, 404, 409):
        print(f"not removed: {path}: {body}", file=sys.stderr)


def lock(number, tries):
    """A socket that is the lock on a cluster number's addresses; None if it is not to be had."""
    sock = socket.socket(socket.AF_UNIX)
    for _ in range(tries):
        try:
            sock.bind(f"\0labkit-{number}")
            return sock
        except OSError:
            time.sleep(PAUSE)
    sock.close()
    return None


def route(kind, network):
    """Add or delete the local route to `network`; it may be so already."""
    attributes = _attribute(_DESTINATION, network.network_address.packed)
    attributes += _attribute(_DEVICE, struct.pack("=I", socket.if_nametoindex("lo")))
    header = (socket.AF_INET, network.prefixlen, 0, 0, _LOCAL_TABLE, _STATIC, _HOST_SCOPE, _LOCAL)
    body = _ROUTE.pack(*header, 0) + attributes
    flags = _REQUEST | _ACK | (_CREATE | _REPLACE if kind == _NEW_ROUTE else 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(_MESSAGE.pack(_MESSAGE.size + len(body), kind, flags, 1, 0) + body)
        code = -struct.unpack_from("=i", netlink.recv(PACKET), _MESSAGE.size)[0]
    if code and not (kind == _DELETE_ROUTE and code == errno.ESRCH):
        raise OSError(code, f"route to {network}: {os.strerror(code)}")


def _attribute(kind, data):
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data


def serve(daemon):
    """Bind the sockets that the daemon passes, until it closes the connection or dies."""
    while True:
        try:
            packet, descriptors, _, _ = socket.recv_fds(daemon, PACKET, 1)
        except OSError:
            return
        if not packet:
            return
        code = 0
        with socket.socket(fileno=descriptors[0]) as sock:
            try:
                sock.bind(tuple(json.loads(packet)))
            except OSError as error:
                code = error.errno
        daemon.send(json.dumps({"errno": code}).encode())


def main():
    """The program; its exit code."""
    wanted = json.loads(os.environ["LABKIT_GUARD"])
    ranges = [ipaddress.ip_network(text) for text in wanted["ranges"]]
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        daemon.connect(DAEMON)
    except OSError:
        daemon = None
    clean = remove_all(wanted["label"])
    owner = lock(wanted["number"], LOCK_TRIES if daemon else 1)
    if owner is None and daemon is not None:
        sys.exit(f"the addresses {wanted['ranges']} are another cluster's")
    if daemon is not None:
        for one in ranges:
            route(_NEW_ROUTE, one)
        daemon.send(b'{"ready": true}')
        serve(daemon)
        clean = remove_all(wanted["label"])
    if owner is not None:
        for one in ranges:
            route(_DELETE_ROUTE, one)
    if clean:
        remove_all(wanted["self"])  # this very container
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
