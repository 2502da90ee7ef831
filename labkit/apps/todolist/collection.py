"""A list of things with numbers, over HTTP.

    GET  /api/rule       all of them      POST    /api/rule       {"title": ...} -> 201
    GET  /api/rule/ID    one              PUT, DELETE /api/rule/ID

It lives in the memory of this process: two replicas have two lists, which is a lesson.
"""

import json
import threading

from application import Refused, allow, as_json

MAX_TEXT = 200
NEEDED = object()  # in the place of a default


class Field:
    """What a thing may have: its default (or NEEDED), which values are right, and that in words."""

    def __init__(self, default, allowed, words):
        self.default, self.allowed, self.words = default, allowed, words


def text(name):
    """A text that must be given."""

    def allowed(value):
        return isinstance(value, str) and value.strip() and len(value) <= MAX_TEXT

    return Field(NEEDED, allowed, f"a {name} is a text of 1 to {MAX_TEXT} characters")


def flag(name):
    """True or false; false where it is not given."""
    return Field(False, lambda value: isinstance(value, bool), f"{name} is true or false")


def number(name):
    """The number of another thing; 0 for none."""
    words = f"{name} is a number, 0 for none"
    return Field(0, lambda value: type(value) is int and value >= 0, words)


class Collection:
    """Things at `path`, each with an id and the `fields`, in the order of creation.

    `one` is what messages call one of them: "an item".
    """

    def __init__(self, path, one, fields, first):
        self.path, self.one, self.fields = path, one, fields
        self.noun = one.split()[-1]
        self._lock = threading.Lock()
        self._things, self._last = {}, 0
        for given in first:
            self._add(given)

    def serves(self, path):
        """Whether a request to `path` is for this."""
        return path == self.path or path.startswith(self.path + "/")

    def answer(self, method, path, body):
        """The answer to a request.  Raises Refused."""
        wanted = path[len(self.path) + 1 :]
        if not wanted:
            return self._all(method, body)
        if not wanted.isdecimal():
            raise Refused(404, f"there is no {self.noun} {wanted}")
        with self._lock:
            return self._one(method, int(wanted), body)

    def _all(self, method, body):
        if method == "POST":
            thing = self._add(self._given(body, new=True))
            return as_json(201, thing, Location=f"{self.path}/{thing['id']}")
        allow(method, "GET", "POST")
        with self._lock:
            return as_json(200, list(self._things.values()))

    def _one(self, method, wanted, body):
        given = self._given(body, new=False) if method == "PUT" else {}
        allow(method, "GET", "PUT", "DELETE")
        if wanted not in self._things:
            raise Refused(404, f"there is no {self.noun} {wanted}")
        if method == "DELETE":
            del self._things[wanted]
            return 204, None, b"", {}
        self._things[wanted] = {**self._things[wanted], **given}
        return as_json(200, self._things[wanted])

    def _add(self, given):
        defaults = {
            name: field.default
            for name, field in self.fields.items()
            if field.default is not NEEDED
        }
        with self._lock:
            self._last += 1
            thing = {"id": self._last, **defaults, **given}
            ordered = {name: thing[name] for name in ("id", *self.fields)}
            return self._things.setdefault(self._last, ordered)

    def _given(self, body, *, new):
        """The fields in a request's JSON.  Raises Refused."""
        first = next(iter(self.fields))
        try:
            given = json.loads(body)
        except ValueError:
            raise Refused(400, "the body is not JSON") from None
        if not isinstance(given, dict):
            raise Refused(400, f'the body is not a JSON object like {{"{first}": "..."}}')
        for name, field in self.fields.items():
            if new and field.default is NEEDED and name not in given:
                raise Refused(400, f"{self.one} needs a {name}")
            if name in given and not field.allowed(given[name]):
                raise Refused(400, field.words)
        return {name: given[name] for name in self.fields if name in given}
