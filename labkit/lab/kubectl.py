"""kubectl, as a notebook runs it: its lines appear as it prints them, and its errors are ours.

What kubectl says it has created is told to the caller, who may want to delete it one day.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.clusters.kubectl import find
from labkit.errors import UsageError

#: What kubectl prints after the name of an object that was not there before.
_MADE = re.compile(r"^(\S+/\S+) (?:created|exposed|autoscaled)$")
_SHELL = {"|", ">", ">>", "<", "&&", "||", ";", "2>&1", "&"}
#: What to do about an error that speaks so.
_FIXES = {
    "NotFound": "See what there is: kubectl get all",
    "AlreadyExists": "Delete it first, or change it: kubectl apply",
    "was refused": "Is the cluster up? labkit status",
    "Unable to connect": "Is the cluster up? labkit status",
}


def words(command: str) -> list[str]:
    """The arguments in a line, as a shell splits them.  Raises UsageError."""
    try:
        found = shlex.split(command, comments=True)
    except ValueError as error:
        raise UsageError(
            f"This command cannot be split into words: {error}.",
            "A quotation mark is probably open.",
            "Close it, or write the word without quotation marks.",
        ) from None
    if found[:1] == ["kubectl"]:
        found = found[1:]
    if signs := [word for word in found if word in _SHELL]:
        raise UsageError(
            f"The sign {signs[0]} belongs to the shell, and no shell reads this line.",
            "%kubectl and lab.kubectl hand all of it to kubectl.",
            f"For pipes and files write: !kubectl {command.strip()}",
        )
    return found


@dataclass(frozen=True)
class Done:
    """What kubectl printed, and the error that it ended with, if it did."""

    lines: Sequence[str]
    error: UsageError | None


def run(arguments: Sequence[str], *, input: str | None = None) -> Done:
    """Run kubectl and print each line when it comes.  An interrupt ends kubectl.

    Raises UsageError where there is no kubectl.
    """
    with subprocess.Popen(
        [find(), *arguments],
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            if input is not None:
                _write(process, input)
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                print(lines[-1])
        except BaseException:
            process.terminate()
            raise
    return Done(lines, _failed(arguments, lines) if process.returncode else None)


def made(lines: Iterable[str]) -> list[str]:
    """The names of what kubectl says it created: `deployment.apps/myapp`."""
    return [found[1] for line in lines if (found := _MADE.match(line.strip()))]


def namespace_of(arguments: Sequence[str]) -> str:
    """The namespace that a command names (`-n x`, `--namespace=x`), or ""."""
    for index, word in enumerate(arguments):
        if word == "--":
            break
        if word in ("-n", "--namespace"):
            return "".join(arguments[index + 1 : index + 2])
        for start in ("--namespace=", "-n="):
            if word.startswith(start):
                return word.removeprefix(start)
    return ""


def _write(process: subprocess.Popen, text: str) -> None:
    try:
        process.stdin.write(text)
        process.stdin.close()
    except BrokenPipeError:  # kubectl did not want it; it says why
        pass


def _failed(arguments: Sequence[str], lines: Sequence[str]) -> UsageError:
    """All that kubectl said is in the output already; this is the line that matters."""
    command = shlex.join(arguments)
    spoken = [line for line in lines if line.strip()] or ["nothing"]
    said = next((line for line in spoken if line.lower().startswith("error")), spoken[-1])
    topic = next((word for word in arguments if not word.startswith("-")), "")
    help_ = f"Its help: kubectl {topic} --help".replace("  ", " ")
    fix = next((fix for sign, fix in _FIXES.items() if sign in said), help_)
    return UsageError(f"kubectl {command} failed.", f"It said: {said}", fix)
