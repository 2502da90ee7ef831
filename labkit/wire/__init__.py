"""What several servers here need of HTTP beyond requests and answers.

Read in this order: `hijack` (a connection that has stopped to speak HTTP), `upgrade` (asking
another server for one), `relay` (the headers of what is passed on), `spdy` (many streams over one
connection).
"""
