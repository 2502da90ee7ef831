"""The verbs that change nothing: get, list, watch.

Reads come from memory and are never older than the last write that was answered.  A list is a
snapshot: its resourceVersion is the revision to watch from, and the pages of one list (`limit`,
`continue`) show one revision, which the watch window turns back to.

A watch that cannot begin where it was asked to says so by an event of type ERROR, as every server
with a watch cache does; only a request that cannot be understood is refused outright.

Source: Kubernetes API concepts, "Efficient detection of changes", "Retrieving large results sets
in chunks", "Resource versions", "Streaming lists"; k8s.io/apiserver storage (ValidateListOptions,
DecodeContinue) and storage/cacher.  Left out: waiting for a revision of the future (upstream waits
three seconds before it says 504).
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Mapping
from itertools import islice

import orjson

from labkit.apiserver import convert, options, statuses
from labkit.apiserver.audience import past
from labkit.apiserver.collection import Collection
from labkit.apiserver.options import ListOptions
from labkit.apiserver.request import Encoded, Result, WatchEvent
from labkit.apiserver.selection import Selection, select
from labkit.apiserver.state import State
from labkit.apiserver.target import Target
from labkit.apiserver.watch import ADDED, Watcher, bookmark
from labkit.client.errors import ApiError

_LATEST = -1  # the revision in a continue token that goes on in the present
_PIECE = 64  # items
_TOKEN_VERSION = "meta.k8s.io/v1"


class EncodedList(Encoded):
    """A list whose JSON is joined from that of its items when somebody asks for it."""

    __slots__ = ()

    @classmethod
    def of(cls, obj: dict, items: list[Encoded]) -> EncodedList:
        """`obj` is the list without its items."""
        head = orjson.dumps(obj)[:-1]
        obj["items"] = [item.obj for item in items]
        return cls(obj, (head, items))

    @property
    def json(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> list[bytes]:
        """The JSON in parts of some hundred kilobytes, so that nobody needs room for it twice."""
        head, items = self[1]
        texts = [item.json for item in items]
        pieces = [b'%s,"items":[%s' % (head, b",".join(texts[:_PIECE]))]
        for start in range(_PIECE, len(texts), _PIECE):
            pieces.append(b",".join((b"", *texts[start : start + _PIECE])))
        pieces[-1] += b"]}"
        return pieces


def get(state: State, target: Target, params: Mapping[str, str]) -> Result:
    """One object.  Raises ApiError 400, 404, 504."""
    if params:
        _not_future(state, options.revision(params.get("resourceVersion", "")))
    item = state.of(target.row.storage).items.get(target.key)
    if item is None:
        raise statuses.not_found(target.row.resource, target.name)
    return Result(200, convert.served(target.row, item))


def list_(state: State, target: Target, params: Mapping[str, str]) -> Result:
    """A list, or one page of it.  Raises ApiError 400, 410, 422, 504."""
    wanted = options.listing(params)
    selection = select(target.row, target.namespace, params)
    collection = state.of(target.row.storage)
    revision, after = _start(wanted)
    _not_future(state, max(revision, wanted.revision))
    limit = 0 if wanted.version == "0" and not wanted.token else wanted.limit
    try:
        page, more = _page(collection, selection, state, revision, after, limit)
    except ApiError as error:
        raise _too_old(after) if error.expired else error from None
    metadata: dict = {"resourceVersion": str(revision or state.revision)}
    if more:
        metadata["continue"] = _encode(revision or state.revision, page[-1][0] + "\0")
        if not selection.selective:
            metadata["remainingItemCount"] = more
    resource = target.row.resource
    head = {"kind": resource.kind + "List", "apiVersion": resource.api_version}
    items = [convert.served(target.row, item) for _, item in page]
    return Result(200, EncodedList.of({**head, "metadata": metadata}, items))


def _start(wanted: ListOptions) -> tuple[int, str]:
    """(revision to show, key to begin with); revision 0 is the present, which is never too old.

    Raises ApiError 400.
    """
    if wanted.token:
        found = _decode(wanted.token)
        if wanted.version not in ("", "0"):
            raise statuses.bad_request(
                "specifying resource version is not allowed when using continue"
            )
        return found
    exact = wanted.match == options.EXACT or (not wanted.match and wanted.limit)
    return (wanted.revision if exact else 0), ""


def _page(
    collection: Collection,
    selection: Selection,
    state: State,
    revision: int,
    after: str,
    limit: int,
) -> tuple[list[tuple[str, Encoded]], int]:
    """The items of one page and how many come after it (with selectors: whether any do).

    Revision 0 is the present.  Raises ApiError 410.
    """
    if revision and revision < state.revision:
        found = collection.at(revision, selection)
    else:
        found = collection.select(selection)
    if after:
        found = (pair for pair in found if pair[0] >= after)
    if not limit:
        return list(found), 0
    page = list(islice(found, limit))
    # To evaluate selectors on all that remains would make every page cost as much as the list.
    rest = islice(found, 1) if selection.selective else found
    return page, sum(1 for _ in rest)


def _too_old(after: str) -> ApiError:
    """410 of a list; if it was being continued, with a token that goes on inconsistently."""
    if after:
        return statuses.continue_expired(_encode(_LATEST, after))
    return statuses.expired("The resourceVersion for the provided list is too old.")


def watch(state: State, target: Target, params: Mapping[str, str]) -> tuple[Watcher, int]:
    """Events from a revision on, and after how many seconds they shall end (0: never).

    Raises ApiError 400, 422.
    """
    wanted = options.listing(params)
    selection = select(target.row, target.namespace, params)
    if target.name:
        selection = _only(selection, target)
    resource = target.row.resource
    watcher = Watcher(
        selection,
        (resource.api_version, resource.kind),
        bookmarks=wanted.bookmarks,
        convert=convert.converter(target.row),
    )
    try:
        _begin(state, state.of(target.row.storage), watcher, wanted)
    except ApiError as error:
        if error.code not in (410, 504):
            raise
        watcher.fail(error)
    return watcher, wanted.timeout


def _only(selection: Selection, target: Target) -> Selection:
    """The selection of a watch of one object.  Raises ApiError 400."""
    if selection.fields and selection.name != target.name:
        raise statuses.bad_request("fieldSelector metadata.name doesn't match requested name")
    return Selection(target.namespace, target.name, selection.labels, selection.fields)


def _begin(state: State, collection: Collection, watcher: Watcher, wanted: ListOptions) -> None:
    """Queue what a watch starts with, and let it follow.  Raises ApiError 400, 410, 504."""
    revision = wanted.revision
    _not_future(state, revision)
    initial = wanted.initial
    if initial is None:
        # The old form of the same wish: without a revision a watch begins with what is there.
        initial = not revision
    if initial:
        present = collection.select(watcher.selection)
        watcher.start_with([WatchEvent(ADDED, item) for _, item in present])
        if watcher.bookmarks:
            watcher.start_with([bookmark(*watcher.type, state.revision, initial=True)])
    elif revision:
        watcher.start_with(past(watcher.selection, collection.since(revision)))
    collection.watch(watcher)


def _not_future(state: State, revision: int) -> None:
    if revision > state.revision:
        raise statuses.too_large(revision, state.revision)


def _encode(revision: int, start: str) -> str:
    token = orjson.dumps({"v": _TOKEN_VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _decode(token: str) -> tuple[int, str]:
    """(revision, first key) of a continue token; revision 0 goes on in the present."""
    wrong = "continue key is not valid"
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start = found.get("v", ""), found.get("rv", 0), found.get("start", "")
        if not (isinstance(revision, int) and isinstance(start, str)):
            raise ValueError("the parts of the token have the wrong types")
    except (ValueError, binascii.Error, AttributeError) as error:
        raise statuses.bad_request(f"invalid continue token: {wrong}: {error}") from None
    if version != _TOKEN_VERSION:
        wrong += f": server does not recognize this encoded version {version}"
    elif not revision:
        wrong += f": incorrect encoded start resourceVersion (version {_TOKEN_VERSION})"
    elif not start:
        wrong += f": encoded start key empty (version {_TOKEN_VERSION})"
    elif posixpath.normpath("/" + start.lstrip("/")) != "/" + start.removeprefix("/"):
        wrong += f": {start}"
    else:
        return max(revision, 0), start
    raise statuses.bad_request(f"invalid continue token: {wrong}")
