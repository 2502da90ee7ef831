"""`wget` with busybox' options, words and exit codes; HTTP only.

Options: -q, -O FILE (`-`: standard output), -S, -T SECONDS, --spider, --post-data, --header.
It starts in a few milliseconds, for loops that call it again and again: it imports `_socket`, the C
half of `socket`, because the other half takes longer than a request.
"""

import _socket
import sys

import resolver

USAGE = """Usage: wget [-qS] [--spider] [-O FILE] [-T SEC] [--header STR] [--post-data STR] URL

Retrieve files via HTTP"""
MAX_REDIRECTS = 20
WITH_VALUE = {
    "-O": "out", "--output-document": "out", "-T": "timeout", "--timeout": "timeout",
    "--post-data": "post", "--header": "header",
}  # fmt: skip
FLAGS = {"-q": "quiet", "--quiet": "quiet", "--spider": "spider", "-S": "show"}


class Failed(Exception):
    """What wget prints before it exits with 1."""


def parse_arguments(words):
    """Options as a dictionary, with `header` a list and `url` the last word."""
    options = {"header": [], "timeout": "900"}
    words = list(words)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word in FLAGS:
            options[FLAGS[word]] = True
        elif name in WITH_VALUE:
            keep(options, WITH_VALUE[name], value if equals else next_of(words, word))
        elif len(word) > 2 and word[0] == "-" and word[1] != "-":
            words = split(word) + words
        elif word.startswith("-"):
            raise Failed(f"wget: unrecognized option '{word}'\n{USAGE}")
        else:
            options["url"] = word
    if "url" not in options:
        raise Failed(USAGE)
    return options


def split(word):
    """`-qO-` is `-q -O -`: a letter with a value takes the rest of the word."""
    first, rest = word[:2], word[2:]
    return [first, rest if first in WITH_VALUE else "-" + rest]


def next_of(words, option):
    if not words:
        raise Failed(f"wget: option requires an argument -- '{option.lstrip('-')}'\n{USAGE}")
    return words.pop(0)


def keep(options, key, value):
    if key == "header":
        options[key].append(value)
    else:
        options[key] = value


def parse_url(url):
    """(host, port, path) of an http URL; without a scheme it is one too, as for busybox."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        rest = url
    elif scheme != "http":
        raise Failed(f"wget: not an http or ftp url: {url}")
    place, slash, path = rest.partition("/")
    host, _, port = place.partition(":")
    return host, int(port or 80), slash + path or "/"


def connect(host, port, place, options):
    """A connected socket.  Raises Failed in busybox' words."""
    addresses = resolver.resolve(host)
    if not addresses:
        raise Failed(f"wget: bad address '{place}'")
    if not options.get("quiet"):
        say(f"Connecting to {place} ({addresses[0]}:{port})")
    error = None
    for address in addresses:
        link = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        link.settimeout(float(options["timeout"]))
        resolver.send_as_container(link, address)
        try:
            link.connect((address, port))
            return link
        except TimeoutError:
            raise Failed("wget: download timed out") from None
        except OSError as failure:
            error = failure
    raise Failed(f"wget: can't connect to remote host ({addresses[0]}): {error.strerror}")


def request(path, place, options):
    """The bytes of the request."""
    body = options.get("post")
    lines = [
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        f"Host: {place}",
        "User-Agent: Wget",
        "Connection: close",
        *options["header"],
    ]
    if body is not None:
        lines += [
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body.encode())}",
        ]
    return "\r\n".join([*lines, "", body or ""]).encode()


class Reader:
    """Buffered reading of a response."""

    def __init__(self, link):
        self.link, self.buffer = link, b""

    def more(self):
        data = self.link.recv(65536)
        self.buffer += data
        return bool(data)

    def line(self):
        """The next line without its end; b"" at the end of the input."""
        while b"\n" not in self.buffer and self.more():
            pass
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def take(self, count):
        """`count` bytes in pieces, or all that come if it is None."""
        while count is None or count > 0:
            if not self.buffer and not self.more():
                if count:
                    raise Failed("wget: connection closed prematurely")
                return
            piece = self.buffer if count is None else self.buffer[:count]
            self.buffer = self.buffer[len(piece) :]
            count = None if count is None else count - len(piece)
            yield piece

    def chunks(self):
        """The pieces of a body with Transfer-Encoding: chunked."""
        while size := int(self.line().partition(b";")[0] or b"0", 16):
            yield from self.take(size)
            self.line()


def head(reader):
    """(status line, headers) of a response."""
    status = reader.line().decode("latin-1")
    if not status.startswith("HTTP/"):
        raise Failed("wget: error getting response")
    headers = {}
    while line := reader.line().decode("latin-1"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return status, headers


def fetch(url, options):
    """Follow redirects to the response: (reader, status line, headers)."""
    for _ in range(MAX_REDIRECTS):
        host, port, path = parse_url(url)
        place = url.partition("://")[2].partition("/")[0] or host
        link = connect(host, port, place, options)
        link.sendall(request(path, place, options))
        reader = Reader(link)
        status, headers = head(reader)
        code = status.split()[1]
        if options.get("show"):
            say(f"  {status}")
        if code[0] == "3" and "location" in headers:
            target = headers["location"]
            url = target if "://" in target else f"http://{place}/{target.lstrip('/')}"
            continue
        if code[0] != "2":
            raise Failed(f"wget: server returned error: {status}")
        return reader, headers
    raise Failed("wget: too many redirections")


def save(reader, headers, options):
    """Write the body where -O says."""
    name = options.get("out") or options["url"].rpartition("/")[2] or "index.html"
    try:
        mode = "wb" if "out" in options else "xb"
        out = sys.stdout.buffer if name == "-" else open(name, mode)  # noqa: SIM115
    except OSError as error:
        raise Failed(f"wget: can't open '{name}': {error.strerror}") from None
    quiet = options.get("quiet")
    if not quiet:
        say("writing to stdout" if name == "-" else f"saving to '{name}'")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        pieces = reader.chunks()
    else:
        length = headers.get("content-length")
        pieces = reader.take(int(length) if length else None)
    total = 0
    for piece in pieces:
        out.write(piece)
        total += len(piece)
    out.flush()
    if not quiet:
        say(f"{name:20.20} 100% |{'*' * 32}| {total:5}  0:00:00 ETA")
        say("written to stdout" if name == "-" else f"'{name}' saved")


def say(text):
    sys.stderr.write(text + "\n")


def main(words):
    """Run, and exit with busybox' status."""
    try:
        options = parse_arguments(words)
        reader, headers = fetch(options["url"], options)
        if options.get("spider"):
            if not options.get("quiet"):
                say("remote file exists")
        else:
            save(reader, headers, options)
    except Failed as failure:
        say(str(failure))
        sys.exit(1)
    except TimeoutError:
        say("wget: download timed out")
        sys.exit(1)
    except OSError as error:
        say(f"wget: error getting response: {error.strerror}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
