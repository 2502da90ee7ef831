"""Links in pages that come through a proxy: what points to the server's root must not leave it.

A program behind `/api/v1/namespaces/default/services/web/proxy/` knows nothing of that path.  So
its redirects and the links of its HTML pages that begin with `/` get the path put in front.

Source: k8s.io/apimachinery pkg/util/proxy/transport.go.  Left out: pages that are compressed,
which do not come, since none are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit, urlunsplit

_ATTRIBUTES: dict[str, str] = {
    "a": "href",
    "applet": "codebase",
    "area": "href",
    "audio": "src",
    "base": "href",
    "blockquote": "cite",
    "body": "background",
    "button": "formaction",
    "command": "icon",
    "del": "cite",
    "embed": "src",
    "form": "action",
    "frame": "longdesc src",
    "head": "profile",
    "html": "manifest",
    "iframe": "longdesc src",
    "img": "longdesc src usemap",
    "input": "src usemap formaction",
    "ins": "cite",
    "link": "href",
    "object": "classid codebase data usemap",
    "q": "cite",
    "script": "src",
    "source": "src",
    "video": "poster src",
}
# Atomic and bounded, so that no page can make them slow.
_TAG = re.compile(rb"""<([a-zA-Z]+)((?>[^"'<>]++|"[^"]{0,8192}+"|'[^']{0,8192}+')*+)>""")
_ATTRIBUTE = re.compile(rb"""(\s)([a-zA-Z]+)(\s*=\s*["']?)(/[^\s"'<>]*)""")


def link(target: str, prefix: str, hosts: Collection[str]) -> str:
    """A link as it must be for a client of the proxy at the path `prefix`.

    `hosts` are the names under which the program knows itself.
    """
    try:
        parts = urlsplit(target)
    except ValueError:
        return target
    elsewhere = parts.netloc and parts.netloc not in hosts
    if elsewhere or not parts.path.startswith("/"):
        return target
    path = parts.path if parts.path.startswith(prefix) else prefix.rstrip("/") + parts.path
    return urlunsplit(parts._replace(scheme="", netloc="", path=path))


def page(content: bytes, prefix: str, hosts: Collection[str]) -> bytes:
    """An HTML page with its links so changed."""

    def tag(found: re.Match[bytes]) -> bytes:
        names = _ATTRIBUTES.get(found[1].decode().lower(), "").split()
        if not names:
            return found[0]
        return b"<%b%b>" % (found[1], _ATTRIBUTE.sub(attribute(names), found[2]))

    def attribute(names: list[str]):
        def changed(found: re.Match[bytes]) -> bytes:
            if found[2].decode().lower() not in names:
                return found[0]
            target = link(found[4].decode("latin-1"), prefix, hosts).encode("latin-1")
            return b"%b%b%b%b" % (found[1], found[2], found[3], target)

        return changed

    return _TAG.sub(tag, content)
