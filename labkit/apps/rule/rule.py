"""The to-do items, one of the three services of the application: web, rule, user.

    GET  /api/rule       all items, and the rest of `collection.py`
    GET  /healthz        and what else all applications answer: `application.py`

An item is {"id": 1, "title": "Run a Pod", "done": false, "owner": 2}; `owner` is the id of a user.
Whether there is such a user is not asked: this service knows of no other one.  Each request costs
`REQUEST_CPU_MS` of CPU (default 5).  A new version begins with an edit of `VERSION` below.
"""

import server
from application import App
from collection import Collection, flag, number, text

VERSION = "v1"
FIRST = (("Build an image", 1), ("Run a Pod", 2), ("Watch it scale", 0))


class Rule(App):
    """The items."""

    title, version, cpu = "rule", VERSION, "5"

    def __init__(self, *settings):
        super().__init__(*settings)
        fields = {"title": text("title"), "done": flag("done"), "owner": number("owner")}
        first = [{"title": title, "owner": owner} for title, owner in FIRST]
        self.items = Collection("/api/rule", "an item", fields, first)

    def serve(self, method, path, body):
        if self.items.serves(path):
            return self.worked(method, lambda: self.items.answer(method, path, body))
        return super().serve(method, path, body)


if __name__ == "__main__":
    server.run(Rule, 3001)
