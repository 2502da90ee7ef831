"""From a container of a Pod to the body of `POST /containers/create`: pure functions.

The sandbox owns what all containers of a Pod share: address, hostname, DNS configuration, host
ports.  The others join its network (`NetworkMode: container:<sandbox>`); the Docker Engine refuses
them a DNS configuration or a hostname of their own.

Source: dockershim (helpers for HostConfig), kubelet kuberuntime_container_linux.go (CPU shares and
quota), network/dns.  Left out: OOM score, cgroup parents, seccomp and AppArmor profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.kube import quantity
from labkit.kubelet import instances as inst
from labkit.kubelet.env import expand

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
_CPU_PERIOD = 100_000  # microseconds
_MIN_SHARES, _MIN_QUOTA = 2, 1000
_HOSTNAME_LENGTH = 63


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """Where Pods ask for names; `server` is None where there is no cluster DNS."""

    server: str | None
    port: int
    domain: str


@dataclass(frozen=True, slots=True)
class NodePlace:
    """What every container of a node has in common: its labels and its Docker network.

    `ip` is the node's, at which host ports are published.
    """

    labels: Mapping[str, str]
    network: str
    dns: ClusterDns
    ip: str = ""


def sandbox_config(pod: Mapping, attempt: int, place: NodePlace, address: str = "") -> dict:
    """The body that creates a Pod's sandbox, with the `address` that it is to have, if any."""
    on_host = bool(pod["spec"].get("hostNetwork"))
    host = {
        "NetworkMode": "host" if on_host else place.network,
        **_dns(pod, place.dns),
        **_hosts(pod),
        **_security(pod["spec"].get("securityContext") or {}, sandbox=True),
    }
    config = {
        "Image": PAUSE_IMAGE,
        "Labels": inst.labels(pod, inst.SANDBOX, attempt, place.labels, ""),
        "HostConfig": host,
    }
    if not on_host:
        config["Hostname"] = hostname(pod)
        exposed, host["PortBindings"] = _host_ports(pod, place.ip)
        config["ExposedPorts"] = exposed
        if address:
            endpoint = {"IPAMConfig": {"IPv4Address": address}}
            config["NetworkingConfig"] = {"EndpointsConfig": {place.network: endpoint}}
    return config


def app_config(
    pod: Mapping, container: Mapping, attempt: int, place: NodePlace, sandbox_id: str,
    env: Mapping[str, str], binds: Sequence[str] = (),
) -> dict:  # fmt: skip
    """The body that creates one container of a Pod in its sandbox; `binds` are its mounts."""
    name = container["name"]
    config = {
        "Image": container["image"],
        "Env": [f"{key}={value}" for key, value in env.items()],
        "Labels": {
            **inst.labels(pod, name, attempt, place.labels, sandbox_id),
            inst.HASH: inst.hash_of(container),
            **inst.message_labels(container),
        },
        "HostConfig": {
            "NetworkMode": f"container:{sandbox_id}",
            **resources(container.get("resources") or {}),
            **({"Binds": list(binds)} if binds else {}),
            **_security(
                {
                    **(pod["spec"].get("securityContext") or {}),
                    **(container.get("securityContext") or {}),
                }
            ),
        },
    }
    if container.get("command"):
        config["Entrypoint"] = [expand(word, env) for word in container["command"]]
    if container.get("args"):
        config["Cmd"] = [expand(word, env) for word in container["args"]]
    if container.get("workingDir"):
        config["WorkingDir"] = container["workingDir"]
    return config | _terminal(container) | _user(pod, container)


def hostname(pod: Mapping) -> str:
    """The hostname inside the Pod: spec.hostname or the Pod's name, cut to 63 letters."""
    name = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return name[:_HOSTNAME_LENGTH].rstrip("-.")


def resources(spec: Mapping) -> dict:
    """`resources` as HostConfig: limits as hard limits, the CPU request as relative shares."""
    limits = spec.get("limits") or {}
    requests = {**limits, **(spec.get("requests") or {})}
    shares = quantity.milli_value(requests.get("cpu", "0")) * 1024 // 1000
    result: dict = {"CpuShares": max(_MIN_SHARES, shares)}
    if "cpu" in limits:
        quota = quantity.milli_value(limits["cpu"]) * _CPU_PERIOD // 1000
        result |= {"CpuPeriod": _CPU_PERIOD, "CpuQuota": max(_MIN_QUOTA, quota)}
    if "memory" in limits:
        memory = quantity.value(limits["memory"])
        # No swap: a limit on memory and swap together that equals the memory's.
        result |= {"Memory": memory, "MemorySwap": memory}
    return result


def _dns(pod: Mapping, dns: ClusterDns) -> dict:
    """dnsPolicy and dnsConfig as HostConfig's Dns, DnsSearch and DnsOptions."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    if policy.startswith("ClusterFirst") and dns.server:
        namespace = pod["metadata"]["namespace"]
        servers = [dns.server]
        search = [f"{namespace}.svc.{dns.domain}", f"svc.{dns.domain}", dns.domain]
        options = ["ndots:5"] + ([f"port:{dns.port}"] if dns.port != 53 else [])
    extra = spec.get("dnsConfig") or {}
    servers += extra.get("nameservers") or []
    search += extra.get("searches") or []
    options += [_dns_option(one) for one in extra.get("options") or ()]
    result = {"Dns": servers, "DnsSearch": search, "DnsOptions": options}
    return {key: value for key, value in result.items() if value}


def _hosts(pod: Mapping) -> dict:
    """hostAliases as HostConfig's ExtraHosts; they have no effect on the host's network."""
    aliases = pod["spec"].get("hostAliases") or ()
    extra = [f"{name}:{one['ip']}" for one in aliases for name in one.get("hostnames") or ()]
    return {"ExtraHosts": extra} if extra and not pod["spec"].get("hostNetwork") else {}


def _dns_option(option: Mapping) -> str:
    return f"{option['name']}:{option['value']}" if option.get("value") else option["name"]


def _host_ports(pod: Mapping, node_ip: str) -> tuple[dict, dict]:
    """Published at the node's own address, for other nodes are on this machine too."""
    exposed: dict[str, dict] = {}
    bindings: dict[str, list] = {}
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                key = f"{port['containerPort']}/{(port.get('protocol') or 'TCP').lower()}"
                where = {"HostPort": str(port["hostPort"]), "HostIp": port.get("hostIP") or node_ip}
                exposed[key] = {}
                bindings.setdefault(key, []).append(where)
    return exposed, bindings


def _security(context: Mapping, *, sandbox: bool = False) -> dict:
    result: dict = {}
    if context.get("privileged"):
        result["Privileged"] = True
    if context.get("readOnlyRootFilesystem") and not sandbox:
        result["ReadonlyRootfs"] = True
    capabilities = context.get("capabilities") or {}
    for field, key in (("add", "CapAdd"), ("drop", "CapDrop")):
        if capabilities.get(field):
            result[key] = list(capabilities[field])
    if context.get("allowPrivilegeEscalation") is False:
        result["SecurityOpt"] = ["no-new-privileges"]
    return result


def _user(pod: Mapping, container: Mapping) -> dict:
    context = {
        **(pod["spec"].get("securityContext") or {}),
        **(container.get("securityContext") or {}),
    }
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if user is None:
        return {}
    return {"User": str(user) if group is None else f"{user}:{group}"}


def _terminal(container: Mapping) -> dict:
    return {
        key: True
        for field, key in (("tty", "Tty"), ("stdin", "OpenStdin"), ("stdinOnce", "StdinOnce"))
        if container.get(field)
    }
