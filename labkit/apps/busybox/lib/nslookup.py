"""`nslookup NAME [SERVER]`, printing as busybox' does; A records only."""

import os
import sys

import resolver


def main(words):
    """Run, and exit with 0 if the name has an address."""
    if not words:
        sys.exit("Usage: nslookup HOST [DNS_SERVER]")
    root = os.environ.get("CONTAINER_ROOT", "")
    with open(f"{root}/etc/resolv.conf") as file:
        config = resolver.Config(file.read())
    if len(words) > 1:
        config.servers = [words[1]]
    if not config.servers:
        sys.exit("nslookup: no name server in /etc/resolv.conf")
    server = f"{config.servers[0]}:{config.options['port']}"
    sys.stdout.write(f"Server:\t\t{config.servers[0]}\nAddress:\t{server}\n\n")
    sys.exit(report(config, words[0], server))


def report(config, name, server):
    """Print what is found; the exit status."""
    code = None
    for full in config.candidates(name):
        code, addresses = resolver.query(config, full)
        if addresses:
            for address in addresses:
                sys.stdout.write(f"Name:\t{full}\nAddress: {address}\n")
            sys.stdout.write("\n")
            return 0
    if code is None:
        sys.stdout.write(";; connection timed out; no servers could be reached\n\n")
    elif code == resolver.NXDOMAIN:
        sys.stdout.write(f"** server can't find {name}: NXDOMAIN\n\n")
    else:
        sys.stdout.write(f"*** Can't find {name}: No answer\n\n")
    return 1
