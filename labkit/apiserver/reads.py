"""The verbs that change nothing: get, list, watch.

Reads come from memory and are never older than the last write that was answered.  A list is a
snapshot: its resourceVersion is the revision to watch from, and the pages of one list (`limit`,
`continue`) show one revision, which the watch window turns back to.

Source: Kubernetes API concepts, "Efficient detection of changes", "Retrieving large results sets
in chunks", "Resource versions", "Streaming lists".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import islice

import orjson

from labkit.apiserver import convert, fields, statuses
from labkit.apiserver.collection import Collection
from labkit.apiserver.request import Encoded, Result, WatchEvent
from labkit.apiserver.selection import Selection, select
from labkit.apiserver.state import State
from labkit.apiserver.target import Target
from labkit.apiserver.watch import ADDED, Watcher, bookmark
from labkit.kube.resources import Resource

_LIST_OPTIONS = Resource("meta.k8s.io", "v1", "listoptions", "ListOptions")
_TRUE = ("true", "1", "True", "TRUE", "t", "T")


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
        head, items = self[1]
        return b"%s,%s%s]}" % (head, b'"items":[', b",".join([item.json for item in items]))


def is_watch(params: Mapping[str, str]) -> bool:
    """Whether a GET of a collection asks for a watch."""
    return params.get("watch", "") in _TRUE


def get(state: State, target: Target, params: Mapping[str, str]) -> Result:
    """One object.  Raises ApiError 404."""
    _revision(state, params)
    item = state.of(target.row.storage).items.get(target.key)
    if item is None:
        raise statuses.not_found(target.row.resource, target.name)
    return Result(200, convert.served(target.row, item))


def list_(state: State, target: Target, params: Mapping[str, str]) -> Result:
    """A list, or one page of it.  Raises ApiError 400, 410, 504."""
    selection = select(target.row, target.namespace, params)
    collection = state.of(target.row.storage)
    limit = _number(params, "limit")
    token = params.get("continue", "")
    revision, after = _decode(token) if token else (_at(state, params), "")
    if revision > state.revision:
        raise statuses.too_large(revision, state.revision)
    page, more = _page(collection, selection, state, revision, after, limit)
    metadata: dict = {"resourceVersion": str(revision or state.revision)}
    if more:
        metadata["continue"] = _encode(revision or state.revision, page[-1][0])
        if not selection.selective:
            metadata["remainingItemCount"] = more
    resource = target.row.resource
    head = {"kind": resource.kind + "List", "apiVersion": resource.api_version}
    items = [convert.served(target.row, item) for _, item in page]
    return Result(200, EncodedList.of({**head, "metadata": metadata}, items))


def _page(
    collection: Collection,
    selection: Selection,
    state: State,
    revision: int,
    after: str,
    limit: int,
) -> tuple[list[tuple[str, Encoded]], int]:
    """The items of one page and how many come after it; revision 0 is the present."""
    if revision and revision < state.revision:
        if revision < collection.floor:
            raise statuses.continue_expired(_encode(0, after))
        found = collection.at(revision, selection)
    else:
        found = collection.select(selection)
    if after:
        found = (pair for pair in found if pair[0] > after)
    if not limit:
        return list(found), 0
    page = list(islice(found, limit))
    return page, sum(1 for _ in found)


def _at(state: State, params: Mapping[str, str]) -> int:
    """The exact revision that a list asks for; 0 for the present, which is never too old."""
    asked = _revision(state, params)
    match = params.get("resourceVersionMatch", "")
    if match not in ("", "Exact", "NotOlderThan"):
        choices = ("Exact", "NotOlderThan")
        raise _invalid_options([fields.unsupported("resourceVersionMatch", match, choices)])
    if match and not params.get("resourceVersion"):
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise _invalid_options([fields.forbidden("resourceVersionMatch", why)])
    return asked if match == "Exact" else 0


def watch(state: State, target: Target, params: Mapping[str, str]) -> tuple[Watcher, int]:
    """Events from a revision on, and after how many seconds they shall end (0: never).

    Raises ApiError 400, 410, 422, 504.
    """
    selection = select(target.row, target.namespace, params)
    if target.name:
        selection = Selection(target.namespace, target.name, selection.labels, selection.fields)
    revision = _revision(state, params)
    initial = params.get("sendInitialEvents", "") in _TRUE
    if "sendInitialEvents" in params and params.get("resourceVersionMatch") != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _invalid_options([fields.forbidden("resourceVersionMatch", why)])
    resource = target.row.resource
    watcher = Watcher(
        selection,
        (resource.api_version, resource.kind),
        bookmarks=params.get("allowWatchBookmarks", "") in _TRUE,
        convert=convert.converter(target.row),
    )
    collection = state.of(target.row.storage)
    if initial or (not revision and "sendInitialEvents" not in params):
        present = collection.select(selection)
        watcher.start_with([WatchEvent(ADDED, item) for _, item in present])
        if initial and watcher.bookmarks:
            watcher.start_with([bookmark(*watcher.type, state.revision, initial=True)])
    elif revision:
        watcher.replay(collection.since(revision))
    collection.watch(watcher)
    return watcher, _number(params, "timeoutSeconds")


def _revision(state: State, params: Mapping[str, str]) -> int:
    """The parameter `resourceVersion`, 0 if unset; never one of the future."""
    text = params.get("resourceVersion", "")
    if not text:
        return 0
    if not text.isdecimal():
        message = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise _invalid_options([fields.invalid("resourceVersion", text, message)])
    if int(text) > state.revision:
        raise statuses.too_large(int(text), state.revision)
    return int(text)


def _number(params: Mapping[str, str], name: str) -> int:
    text = params.get(name, "")
    if text and not text.isdecimal():
        raise statuses.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text or 0)


def _invalid_options(errors: list[fields.FieldError]):
    return statuses.invalid(_LIST_OPTIONS, "", errors)


def _encode(revision: int, after: str) -> str:
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": after})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _decode(token: str) -> tuple[int, str]:
    """(revision, last key) of a continue token; revision 0 goes on in the present."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(found["rv"]), str(found["start"])
    except (ValueError, KeyError, TypeError):
        raise statuses.bad_request("continue key is not valid") from None
