"""The users, one of the three services of the application: web, rule, user.

    GET  /api/user       all users, and the rest of `collection.py`
    GET  /healthz        and what else all applications answer: `application.py`

A user is {"id": 1, "name": "Ada"}.  Each request costs `REQUEST_CPU_MS` of CPU (default 2).  A new
version begins with an edit of `VERSION` below.
"""

import server
from application import App
from collection import Collection, text

VERSION = "v1"
FIRST = ("Ada", "Grace", "Alan")


class User(App):
    """The users."""

    title, version, cpu = "user", VERSION, "2"

    def __init__(self, *settings):
        super().__init__(*settings)
        first = [{"name": name} for name in FIRST]
        self.users = Collection("/api/user", "a user", {"name": text("name")}, first)

    def serve(self, method, path, body):
        if self.users.serves(path):
            return self.worked(method, lambda: self.users.answer(method, path, body))
        return super().serve(method, path, body)


if __name__ == "__main__":
    server.run(User, 3002)
