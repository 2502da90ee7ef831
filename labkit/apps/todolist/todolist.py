"""A to-do list over HTTP, the application that the lessons deploy.

    GET  /               a page to use it with
    GET  /api/rule       all items, and the rest of `collection.py`
    GET  /healthz        and what else all applications answer: `application.py`

Each request to /api/rule costs `REQUEST_CPU_MS` of CPU (default 5).  Items live in the memory of
this process.  A new version of this application begins with an edit of `VERSION` below.
"""

import os

import server
from application import App, only_get
from collection import Collection, flag, text

VERSION = "v1"
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "index.html")
FIRST = ("Build an image", "Run a Pod", "Watch it scale")


class Todolist(App):
    """The page and its items."""

    title, version = "todolist", VERSION

    def __init__(self, *settings):
        super().__init__(*settings)
        fields = {"title": text("title"), "done": flag("done")}
        first = [{"title": title} for title in FIRST]
        self.items = Collection("/api/rule", "an item", fields, first)

    def serve(self, method, path, body):
        if path == "/":
            return only_get(method, "text/html; charset=utf-8", self.html(PAGE))
        if self.items.serves(path):
            return self.worked(method, lambda: self.items.answer(method, path, body))
        return super().serve(method, path, body)


if __name__ == "__main__":
    server.run(Todolist, 3001)
