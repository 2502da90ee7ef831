"""What the instructions of a Dockerfile do: from a base image, step by step, to a new one.

State is a configuration, a tree of files and a history; each step changes them, and `image` is the
result so far.  As in Docker's classic builder, values of ENV and ARG are put into all but CMD and
ENTRYPOINT; ENTRYPOINT forgets a CMD of the base; COPY follows links inside of its context only.

There are no intermediate images: a step is quick, so nothing is cached.
"""

from __future__ import annotations

import copy
import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from labkit.engine import words
from labkit.engine.blobs import Blobs
from labkit.engine.contexts import Context, CopyError, Member
from labkit.engine.dockerfile import UNSUPPORTED, Instruction
from labkit.engine.environment import IMAGE_PATH
from labkit.engine.errors import BadParameter
from labkit.engine.image import EMPTY_CONFIG, Image
from labkit.engine.trees import Entry, Tree, TreeError

SHELL = ["/bin/sh", "-c"]
# Build arguments that need no ARG, for the CLI sends them by itself.
# fmt: off
PROXIES = frozenset({
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy",
    "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy",
})
# fmt: on
_NOTED = "/bin/sh -c #(nop) "  # how the classic builder marks what is no command
_CHMOD = (
    "the --chmod option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn "
    "how to build images with BuildKit enabled"
)
_PORTS = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


class BuildError(Exception):
    """A step that fails; `str(error)` is what the build's stream ends with."""


class Builder:
    """One build.  `args` are the build arguments; None is one without a value."""

    def __init__(
        self, context: Context, blobs: Blobs, args: Mapping[str, str | None], name: str
    ) -> None:
        self.notes: list[str] = []  # what the last step has to say
        self._context, self._blobs, self._args, self._name = context, blobs, args, name
        self._config: dict[str, Any] = {}
        self._tree = Tree()
        self._history: list[dict[str, Any]] = []
        self._globals: dict[str, str] = {}  # of ARGs before FROM
        self._declared: dict[str, str] = {}  # of ARGs since
        self._named: set[str] = set(PROXIES)
        self._own_command = False
        self.begun = False  # there was a FROM
        self._layer = ""

    def base(self, instruction: Instruction) -> str:
        """The name in a FROM.  Raises BuildError."""
        if self.begun:
            raise self._unsupported(instruction, "Build each stage as an image of its own.")
        return self._expand(instruction.arguments()[0], self._globals)

    def begin(self, base: Image | None) -> None:
        """Go on from this image; None is `scratch`."""
        self.begun = True
        self._config = copy.deepcopy(base.config if base else EMPTY_CONFIG)
        if not self._config["Env"]:
            self._config["Env"] = [f"PATH={IMAGE_PATH}"]
        self._tree = Tree(base.files.entries if base else {})
        self._history = list(base.history) if base else []
        self._layer = self._tree.digest()

    def unused_arguments(self) -> list[str]:
        """Build arguments that no ARG named."""
        return sorted(set(self._args) - self._named)

    def image(self, created: float) -> Image:
        """The result so far."""
        return Image.of(self._config, self._tree, self._history, created, layer=self._layer)

    @property
    def empty(self) -> bool:
        """Whether there is nothing yet that could be an image."""
        return not self._history

    def run(self, instruction: Instruction, created: float) -> None:
        """Do one step.  Raises BuildError, BadParameter."""
        self.notes = []
        word = instruction.word
        if word in UNSUPPORTED:
            raise self._unsupported(instruction, UNSUPPORTED[word])
        before = self._tree.size
        try:
            done = getattr(self, f"_{word.lower()}")(instruction)
        except TreeError as error:
            raise BuildError(f"failed to copy files: {error}") from None
        except CopyError as error:
            raise BuildError(f"COPY failed: {error}") from None
        if self.begun:
            self._note(done, created, max(0, self._tree.size - before))

    def add_labels(self, labels: Mapping[str, str], created: float) -> None:
        """The labels of `docker build --label`, as one step more."""
        self._note(self._labelled(dict(sorted(labels.items()))), created, 0)

    def _note(self, done: str, created: float, size: int) -> None:
        step = {"created": created, "created_by": _NOTED + done, "size": size}
        self._history.append(step)

    def _unsupported(self, instruction: Instruction, advice: str) -> BuildError:
        word = "a second FROM" if instruction.word == "FROM" else instruction.word
        return BuildError(
            f"{self._name} line {instruction.line}: {word} is not supported: {advice}"
        )

    # Values

    def _values(self) -> dict[str, str]:
        own = dict(item.split("=", 1) for item in self._config["Env"])
        return {**self._declared, **own}

    def _expand(self, word: str, values: Mapping[str, str] | None = None) -> str:
        try:
            return words.expand(word, self._values() if values is None else values)
        except ValueError as error:
            raise BuildError(str(error)) from None

    def _arg(self, instruction: Instruction) -> str:
        for word in words.split(instruction.rest):
            name, given, default = word.partition("=")
            values = self._values() if self.begun else self._globals
            value = self._expand(default, values) if given else self._globals.get(name)
            if self._args.get(name) is not None:
                value = self._args[name]
            self._named.add(name)
            if value is not None:
                (self._declared if self.begun else self._globals)[name] = value
        return f" ARG {instruction.rest}"

    # Configuration

    def _env(self, instruction: Instruction) -> str:
        values = self._values()
        pairs = [
            (self._expand(key, values), self._expand(value, values))
            for key, value in instruction.pairs()
        ]
        env = dict(item.split("=", 1) for item in self._config["Env"]) | dict(pairs)
        self._config["Env"] = [f"{key}={value}" for key, value in env.items()]
        return " ENV " + " ".join(f"{key}={value}" for key, value in pairs)

    def _label(self, instruction: Instruction) -> str:
        pairs = [(self._expand(key), self._expand(value)) for key, value in instruction.pairs()]
        return self._labelled(dict(pairs))

    def _labelled(self, labels: Mapping[str, str]) -> str:
        self._config["Labels"] = {**self._config["Labels"], **labels}
        return " LABEL " + " ".join(f"{key}={value}" for key, value in labels.items())

    def _maintainer(self, instruction: Instruction) -> str:
        return self._labelled({"maintainer": instruction.rest})

    def _user(self, instruction: Instruction) -> str:
        self._config["User"] = self._expand(instruction.rest)
        return f" USER {self._config['User']}"

    def _workdir(self, instruction: Instruction) -> str:
        given = self._expand(instruction.rest)
        path = given if given.startswith("/") else self._absolute(given)
        self._config["WorkingDir"] = path
        self._tree.make_directory(self._tree.resolve(path))
        self._layer = self._tree.digest()
        return f"WORKDIR {path}"

    def _expose(self, instruction: Instruction) -> str:
        ports = " ".join(self._expand(word) for word in instruction.rest.split()).split()
        for port in ports:
            self._config["ExposedPorts"] |= {one: {} for one in _exposed(port)}
        return f" EXPOSE {' '.join(ports)}"

    def _cmd(self, instruction: Instruction) -> str:
        self._config["Cmd"] = _command(instruction)
        self._own_command = True
        return f" CMD {_shown(self._config['Cmd'])}"

    def _entrypoint(self, instruction: Instruction) -> str:
        self._config["Entrypoint"] = _command(instruction)
        if not self._own_command:
            self._config["Cmd"] = None
        return f" ENTRYPOINT {_shown(self._config['Entrypoint'])}"

    # Files

    def _absolute(self, path: str) -> str:
        return posixpath.normpath(posixpath.join("/", self._config["WorkingDir"], path))

    def _copy(self, instruction: Instruction) -> str:
        if "from" in instruction.flags:
            raise self._unsupported(instruction, "COPY --from: there is one stage only.")
        if "chmod" in instruction.flags:
            raise BuildError(_CHMOD)
        if "chown" in instruction.flags:
            self.notes.append("[Warning] --chown has no effect: all files are yours")
        *sources, target = [self._expand(word) for word in instruction.arguments()]
        if any(re.match(r"https?://", source) for source in sources):
            raise CopyError("source can't be a URL for COPY")
        found = [path for source in sources for path in self._context.select(source)]
        if not found:
            raise CopyError("no source files were specified")
        if len(found) > 1 and not target.endswith("/"):
            raise BuildError(
                "When using COPY with more than one source file, the destination must be a "
                "directory and end with a /"
            )
        digests = [self._copy_one(path, target) for path in found]
        self._layer = self._tree.digest()
        return f"COPY {_together(digests)} in {target} "

    def _copy_one(self, source: str, target: str) -> str:
        """`file:HASH` or `dir:HASH`, as the history names what was copied."""
        place = self._tree.resolve(self._absolute(target))
        origin = self._context.resolve(source)
        member = self._context.members[origin]
        if member.open is not None:
            if target.endswith("/") or self._tree.is_directory(place):
                place = posixpath.join(place, posixpath.basename(source))
            entry = self._store(member)
            self._tree.put(place, entry)
            return f"file:{entry.digest}"
        self._tree.make_directory(place)
        placed = [self._put(place, name, below) for name, below in self._context.below(origin)]
        text = json.dumps(placed)
        return f"dir:{hashlib.sha256(text.encode()).hexdigest()}"

    def _put(self, place: str, name: str, member: Member) -> tuple[str, Entry]:
        entry = self._store(member)
        self._tree.put(posixpath.join(place, name), entry)
        return name, entry

    def _store(self, member: Member) -> Entry:
        if member.open is None:
            return Entry(member.mode, target=member.target)
        if member.path is not None:
            digest, size = self._blobs.lend(member.path)
        else:
            with member.open() as file:
                digest, size = self._blobs.add(file)
        return Entry(member.mode, size, digest)


def _command(instruction: Instruction) -> list[str]:
    """The exec form as it is, the shell form with a shell before it."""
    strings = instruction.strings()
    if strings is None:
        return [*SHELL, instruction.rest] if instruction.rest else []
    return strings


def _shown(command: list[str]) -> str:
    return "[" + " ".join(json.dumps(word) for word in command) + "]"


def _together(digests: list[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return "multi:" + hashlib.sha256("".join(digests).encode()).hexdigest()


def _exposed(text: str) -> list[str]:
    """`80`, `80/udp`, `8000-8002` → `80/tcp` and so on.  Raises BadParameter."""
    match = _PORTS.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if not 0 <= first <= last <= 65535:
        raise BadParameter(f"Invalid containerPort: {text.partition('/')[0]}")
    return [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]
