"""What a person is told about a store that cannot be used, and the way back to its last backup.

The store itself (labkit.apiserver.store_backup) makes the backups and puts one in its place; here
are only the words, and the guard that nobody restores below a running cluster.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.apiserver import store_backup
from labkit.apiserver.store import StoreDamaged, StoreFull
from labkit.client import ApiError
from labkit.clusters.paths import ClusterDir
from labkit.errors import ClusterError


@contextlib.contextmanager
def explained(directory: ClusterDir) -> Iterator[None]:
    """Raises ClusterError in the place of what a start meets that can only be helped by hand."""
    try:
        yield
    except StoreDamaged as error:
        raise damaged(directory, error) from error
    except OSError as error:
        if not isinstance(error, StoreFull) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise no_room(directory, str(error)) from error
    except ApiError as error:
        if error.reason != "InsufficientStorage":
            raise
        raise no_room(directory, str(error)) from error


def damaged(directory: ClusterDir, error: StoreDamaged) -> ClusterError:
    """The error for a store that does not hold what was written to it."""
    what = f"The store {error.path} is damaged: {error.detail}."
    backup = store_backup.newest_sound(error.path)
    if backup is None:
        return ClusterError(
            what,
            "It has no backup that can be read.",
            f"Start anew, without its objects: labkit down --name {directory.name} --delete",
        )
    return ClusterError(
        what,
        f"Its last sound backup is {backup.name}, of {_when(backup)}.",
        "Go back to that (the damaged files are kept beside it): "
        f"labkit up --name {directory.name} --restore-backup",
    )


def no_room(directory: ClusterDir, message: str) -> ClusterError:
    """The error for a cluster that cannot write what it must write to start."""
    return ClusterError(
        f"The cluster {directory.name} cannot start: {message.partition('. ')[0]}.",
        "It has to write what starting changes.",
        f"Free some space there, then: labkit up --name {directory.name}",
    )


def restore(directory: ClusterDir) -> str:
    """Put the newest sound backup in the store's place; what was done, in a sentence.

    The cluster must be down.  Raises ClusterError where there is no sound backup.
    """
    backup = store_backup.newest_sound(directory.store)
    if backup is None:
        raise ClusterError(
            f"{directory.store} has no backup that can be read.",
            "The first one is made right after a cluster's first start.",
            f"Start the cluster as it is: labkit up --name {directory.name}",
        )
    when = _when(backup)
    store_backup.restore(directory.store, time.time())
    return f"objects of {when} restored"


def _when(backup: Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(backup.stat().st_mtime))
