"""The API server below HTTP: one `handle` for every request, whoever carries it.

    Request → target (path) → verb → Result | Watch, or ApiError

The server owns the store, the state in memory and a few housekeeping tasks.  HTTP and the in-memory
transport call `handle`; other parts may take over whole groups with `aggregate`.

What arrives here may be done already: over the network everything passes `gate` first, and the
parts in this process may do everything.

Source: k8s.io/kube-apiserver.  Left out: admission webhooks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from labkit.apiserver import (
    bootstrap,
    deletion,
    discovery,
    ephemeral,
    options,
    reads,
    statuses,
    subresources,
    target,
)
from labkit.apiserver.admission import DefaultTolerationSeconds
from labkit.apiserver.allocation import Allocator
from labkit.apiserver.custom.serving import CustomResources
from labkit.apiserver.eviction import evict
from labkit.apiserver.housekeeping import Housekeeping
from labkit.apiserver.registry import Registry
from labkit.apiserver.request import Request, Result, User, Watch
from labkit.apiserver.reviews import Reviews
from labkit.apiserver.state import State
from labkit.apiserver.store import Store
from labkit.apiserver.target import Call, Paths, Target
from labkit.apiserver.tokens import Tokens
from labkit.apiserver.transport import MemoryTransport
from labkit.apiserver.watch import Watcher, bookmark
from labkit.apiserver.writes import Writes
from labkit.clock import Clock
from labkit.kube import jwt
from labkit.kube.resources import BINDINGS, NAMESPACES

AggregatedHandler = Callable[[str, Mapping[str, str]], Awaitable[dict]]
_Verb = Callable[[Writes, Call], Awaitable[Result]]
NODE_PORTS = (30000, 32767)
_READABLE = ("", "status", "ephemeralcontainers")  # subresources that are read as the object


class APIServer:
    """Serves the kinds of `registry` from `store`.

    `service_cidr` is where Services get their addresses, `node_port_range` (both ends included)
    where they get node ports; `advertise` is the address and port under which Pods reach the API
    through the Service `kubernetes`.  `port_free(port)` tells whether a node port that is about to
    be given out is free on the machine.  `service_account_key` (PEM) signs ServiceAccounts' tokens;
    without it they are good only until the server stops.  `tolerations` says for how long Pods stay
    on a node that is gone.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        service_cidr: str,
        node_port_range: tuple[int, int] = NODE_PORTS,
        advertise: tuple[str, int] = ("127.0.0.1", 6443),
        port_free: Callable[[int], bool] = lambda port: True,
        service_account_key: bytes = b"",
        tolerations: DefaultTolerationSeconds | None = None,
    ) -> None:
        self.clock = clock
        self.registry = Registry()
        self.parse = Paths(self.registry).parse
        self.state = State(store)
        self.allocator = Allocator(self.state, service_cidr, node_port_range, port_free)
        self.writes = Writes(self.state, clock, self.allocator, self.registry.find, tolerations)
        self.authorizer = self.writes.authorizer
        self.tokens = Tokens(self.state, clock, jwt.Key(service_account_key or jwt.new_key()))
        self._reviews = Reviews(self.state, self.authorizer, self.tokens)
        self.aggregated: dict[tuple[str, str], AggregatedHandler] = {}
        self.advertise = advertise
        self._housekeeping = Housekeeping(self.state, clock)
        self._custom = CustomResources(self.registry, self.writes, self._housekeeping.spawn)
        self._started = False

    async def start(self) -> None:
        """Open the store and make what every cluster has.  Raises OSError, sqlite3.Error."""
        await self.state.open()
        await bootstrap.ensure(self.writes, self.allocator.first, self.advertise)
        for group, version in self.aggregated:
            await bootstrap.ensure_api_service(self.writes, group, version, local=False)
        self._custom.start()
        self._started = True
        self._housekeeping.start()

    async def stop(self) -> None:
        """End all watches, finish all writes, close the store.  Safe to repeat."""
        self._started = False
        await self._housekeeping.stop()
        await self.state.close()

    def aggregate(self, group: str, version: str, handler: AggregatedHandler) -> None:
        """Let `handler(path, params)` answer the GETs of a group: a dict, or raises ApiError."""
        self.aggregated[group, version] = handler
        if self._started:
            coroutine = bootstrap.ensure_api_service(self.writes, group, version, local=False)
            self._housekeeping.spawn(coroutine)

    def transport(self, user: User, user_agent: str = "") -> MemoryTransport:
        """The way for a client in the same process, which owns fields as `user_agent`."""
        return MemoryTransport(self.handle, user, user_agent)

    async def handle(self, request: Request) -> Result | Watch:
        """Answer one request.

        Raises ApiError with the Status to send, ConnectionError when the server has stopped.
        """
        if not self._started:
            raise ConnectionRefusedError("the API server is not running")
        if self.aggregated and (handler := self._aggregated(request.path)):
            if request.method != "GET":
                raise statuses.no_such_path()
            return Result(200, await handler(request.path, request.params))
        if request.method == "GET" and (found := self._resource_list(request.path)):
            return Result(200, found)
        where = self.parse(request.path)
        if self._reviews.concern(where):
            return self._reviews.answer(where, request)
        if request.method == "GET" and not where.row.ephemeral:
            answer = self._read(where, request)
        else:
            verb = _verb(request.method, where)
            answer = await verb(self.writes, target.call(where, request))
        return _warning(where, answer) if where.row.custom else answer

    def _resource_list(self, path: str) -> dict | None:
        """What is served at `/api/v1` or `/apis/group/version`, for clients in this process."""
        if path.count("/") != (3 if path.startswith("/apis/") else 2):
            return None
        groups = {one.path: one for one in discovery.served(self.registry.rows)}
        return discovery.resource_list(groups[path]) if path in groups else None

    def _aggregated(self, path: str) -> AggregatedHandler | None:
        parts = path.split("/", 4)
        if len(parts) < 4 or parts[1] != "apis":
            return None
        return self.aggregated.get((parts[2], parts[3]))

    def _read(self, where: Target, request: Request) -> Result | Watch:
        if where.subresource == "scale":
            return subresources.get_scale(self.writes, where)
        if where.subresource not in _READABLE:
            raise statuses.method_not_allowed()
        if where.name:
            return reads.get(self.state, where, request.params)
        if request.params and options.is_watch(request.params):
            return self._watch(where, request)
        return reads.list_(self.state, where, request.params)

    def _watch(self, where: Target, request: Request) -> Watch:
        watcher, seconds = reads.watch(self.state, where, request.params)
        if seconds and not watcher.ended:
            timer = self._housekeeping.spawn(self._end_later(watcher, seconds))
            watcher.on_end.append(lambda _: timer.cancel())
        return Watch(watcher)

    async def _end_later(self, watcher: Watcher, seconds: int) -> None:
        await self.clock.sleep(seconds)
        if watcher.bookmarks:
            watcher.push(bookmark(*watcher.type, self.state.revision))
        watcher.end()


def _warning(where: Target, answer: Result | Watch) -> Result | Watch:
    """The answer, with what is always to be said of a custom resource's deprecated version."""
    warnings = where.row.custom.warnings
    if not warnings or isinstance(answer, Watch):
        return answer
    return replace(answer, warnings=(*warnings, *answer.warnings))


def _verb(method: str, where: Target) -> _Verb:
    """The function for a method; what it is on depends on how far the path goes."""
    depth = where.subresource or ("object" if where.name else "collection")
    resource = where.row.resource
    verbs = _BINDING_VERBS if resource == BINDINGS else _VERBS
    verb = verbs.get((method, depth))
    everywhere = resource.namespaced and not where.namespace
    all_namespaces = resource == NAMESPACES and (method, depth) == ("DELETE", "collection")
    if verb is None or everywhere or all_namespaces:
        raise statuses.method_not_allowed()
    return verb


_VERBS: dict[tuple[str, str], _Verb] = {
    ("POST", "collection"): Writes.create,
    ("PUT", "object"): Writes.update,
    ("PUT", "status"): Writes.update,
    ("PATCH", "object"): Writes.patch,
    ("PATCH", "status"): Writes.patch,
    ("DELETE", "object"): deletion.delete,
    ("DELETE", "collection"): deletion.delete_collection,
    ("PUT", "scale"): subresources.put_scale,
    ("PATCH", "scale"): subresources.patch_scale,
    ("POST", "binding"): subresources.bind,
    ("POST", "eviction"): evict,
    ("PUT", "ephemeralcontainers"): ephemeral.put,
    ("PATCH", "ephemeralcontainers"): ephemeral.patch,
    ("PUT", "finalize"): subresources.finalize,
}
_BINDING_VERBS: dict[tuple[str, str], _Verb] = {("POST", "collection"): subresources.bind_named}
