"""The kubelet: makes the Pods of one Node run on a container engine.

It speaks to the API server through `labkit.client` and to containers through the Docker Engine API
only, so that a real dockerd does as well as the embedded engine.  Reading order:

- `view`, `decide`, `status`: the heart, pure.  From one Pod, its containers and a few facts to the
  next step (a `Plan`) and the status to report.
- `backoff`, `instances`, `env`, `container_config`: the values these speak of, pure too.
- `pod_state`, `pod_worker`, `starting`, `stopping`: carry out one Pod's steps; `hooks` are what
  containers ask for on the way, `last_words` what they leave.
- `volume_content`, `volumes`: what volumes hold and where they are, pure but for the files.
  `volume_manager` sets them up and refreshes them, with `tokens` and the `atomic_writer`.
- `images`, `probes` (`probe_actions`, `grpc_health`), `sources`, `status_manager`: what goes on in
  the background for Pods.
- `admission`, `eviction`: which Pods the node takes, and which it ends (`eviction_manager`).
- `runtime`: everything that is done through the Docker Engine API.  `pleg` follows its events;
  `ipam`: Pods' addresses, where nodes share a Docker network.
- `node_status`, `node`: the Node object, its Lease, its network.
- `stats`, `telemetry`, `server`: the HTTPS server with logs and metrics.
- `streaming`: its exec, attach and port-forward.  `commands` is a talk between a client
  (`channels`) and a container (`conversation`); `forwarding` carries TCP connections.
- `virtual`, `elastic`: what sets a virtual node apart.
- `settings`, `kubelet`: the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.kubelet.settings import KubeletSettings

if TYPE_CHECKING:
    from labkit.kubelet.kubelet import Kubelet

__all__ = ["Kubelet", "KubeletSettings"]


def __getattr__(name: str) -> object:
    """`Kubelet`, when it is asked for: the rest of the package is wanted without its weight."""
    if name != "Kubelet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labkit.kubelet.kubelet import Kubelet

    return Kubelet
