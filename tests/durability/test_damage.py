"""A file that does not hold what was written to it says so, and stays as it is."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from labkit.apiserver import store_backup
from labkit.apiserver.state import State
from labkit.apiserver.store import Contents, Record, StoreDamaged
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.client import ApiError
from labkit.kube.resources import CONFIG_MAPS, PODS
from tests.serving import until

RECORDS = 300


def opened(path: Path) -> Contents:
    """What a store holds; it is closed again."""
    store = SQLiteStore(path)
    try:
        return store.open()
    finally:
        store.close()


async def fill(store: SQLiteStore, count: int, start: int = 0) -> None:
    """Append records in several transactions."""
    for number in range(start + 1, start + count + 1):
        value = b'{"metadata":{"name":"%d"},"data":"%s"}' % (number, b"x" * (number % 700))
        future = store.append(Record(number, "configmaps", f"default/{number}", False, value))
        if number % 5 == 0:
            await future
    await future


@pytest.fixture
async def closed(tmp_path: Path) -> Path:
    """A store that was closed as it should be."""
    store = SQLiteStore(tmp_path / "state.db")
    store.open()
    await fill(store, RECORDS)
    store.trim("configmaps", 20, range(1, 20))
    await asyncio.to_thread(store.close)
    return tmp_path / "state.db"


@pytest.fixture
async def killed(tmp_path: Path) -> Path:
    """A store as its files were while it ran, most of it in the write-ahead log."""
    store = SQLiteStore(tmp_path / "live.db")
    store.open()
    await fill(store, RECORDS)
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"state.db{suffix}")
    await asyncio.to_thread(store.close)
    return tmp_path / "state.db"


def flip(path: Path, position: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_bit_flips_either_all_is_there_or_the_file_is_called_damaged(closed, seed):
    good, content = opened(closed), closed.read_bytes()
    chance, noticed = random.Random(seed), 0
    for _ in range(60):
        closed.write_bytes(content)
        flip(closed, chance.randrange(len(content)), chance.randrange(8))
        try:
            assert opened(closed) == good
        except StoreDamaged:
            noticed += 1
    assert noticed > 20


@pytest.mark.parametrize("seed", range(2))
def test_a_bit_that_flips_in_the_write_ahead_log_takes_nothing_away_unnoticed(killed, seed):
    log = killed.with_name("state.db-wal")
    content, base = log.read_bytes(), killed.read_bytes()
    last_transaction = RECORDS - 5
    chance, noticed = random.Random(seed), 0
    for _ in range(40):
        killed.write_bytes(base)
        log.write_bytes(content)
        flip(log, chance.randrange(len(content)), chance.randrange(8))
        spoilt = log.read_bytes()
        try:
            assert opened(killed).revision >= last_transaction
        except StoreDamaged:
            assert log.read_bytes() == spoilt
            noticed += 1
    assert noticed > 20


def test_the_end_of_a_write_that_was_cut_off_is_no_damage(killed):
    log = killed.with_name("state.db-wal")
    content, base = log.read_bytes(), killed.read_bytes()
    for cut in (1, 24, 4119, 4121):
        killed.write_bytes(base)
        log.write_bytes(content[:-cut])
        assert RECORDS - 5 <= opened(killed).revision < RECORDS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"not a database" + content[14:],
        lambda content: content[:4096] + b"\0" * 4096 + content[8192:],
        lambda content: b"",
    ],
    ids=["truncated", "garbage at its beginning", "a page of zeros", "empty"],
)
def test_a_spoilt_file_is_called_damaged_and_is_not_touched(closed, spoil):
    spoilt = spoil(closed.read_bytes())
    closed.write_bytes(spoilt)
    with pytest.raises(StoreDamaged):
        opened(closed)
    assert closed.read_bytes() == spoilt


def test_a_store_that_is_gone_is_not_begun_anew_over_its_backup(closed):
    closed.unlink()
    with pytest.raises(StoreDamaged, match=r"empty or gone, state\.db\.backup is not"):
        opened(closed)


def test_a_store_that_is_older_than_its_backup_has_lost_something(closed):
    before = closed.read_bytes()
    _write_one(closed, RECORDS + 1)
    closed.write_bytes(before)
    with pytest.raises(StoreDamaged, match=f"ends at revision {RECORDS}, its backup at"):
        opened(closed)


def test_a_store_has_two_backups_that_only_its_owner_can_read(closed):
    newer, before = store_backup.paths(closed)
    assert opened(newer).records == opened(closed).records
    assert not before.exists()
    _write_one(closed, RECORDS + 1)
    assert store_backup.revision(newer) == RECORDS + 1
    assert store_backup.revision(before) == RECORDS
    for path in (closed, newer, before):
        assert path.stat().st_mode & 0o777 == 0o600


def _write_one(path: Path, revision: int) -> None:
    async def write() -> None:
        store = SQLiteStore(path)
        store.open()
        await store.append(Record(revision, "pods", f"default/{revision}", False, b"{}"))
        await asyncio.to_thread(store.close)

    asyncio.run(write())


def test_a_store_that_has_not_changed_is_not_backed_up_again(closed):
    newer, before = store_backup.paths(closed)
    made = newer.stat()
    opened(closed)
    assert newer.stat().st_mtime_ns == made.st_mtime_ns
    assert not before.exists()


async def test_a_backup_that_is_asked_for_is_made_while_writes_go_on(tmp_path):
    store, path = SQLiteStore(tmp_path / "state.db"), tmp_path / "state.db"
    store.open()
    await fill(store, RECORDS)
    store.back_up()
    writing = asyncio.create_task(fill(store, RECORDS, RECORDS))
    await writing
    newer = store_backup.paths(path)[0]
    await asyncio.to_thread(until, lambda: store_backup.revision(newer) >= RECORDS, 20, "a backup")
    copied = opened(newer).records
    assert [record.revision for record in copied] == list(range(1, len(copied) + 1))
    await asyncio.to_thread(store.close)


def test_what_is_restored_is_the_newest_backup_that_is_sound(closed):
    _write_one(closed, RECORDS + 1)
    newer, _ = store_backup.paths(closed)
    newer.write_bytes(b"spoilt" * 1000)
    damaged = b"damaged" * 1000
    closed.write_bytes(damaged)
    (aside,) = store_backup.restore(closed, 0.0)
    assert aside.name == "state.db.damaged-19700101-000000"
    assert aside.read_bytes() == damaged
    assert opened(closed).records[-1].revision == RECORDS


def test_without_a_sound_backup_nothing_is_restored(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"damaged" * 1000)
    with pytest.raises(FileNotFoundError):
        store_backup.restore(path, 0.0)
    assert path.read_bytes() == b"damaged" * 1000


async def test_after_a_restore_revisions_go_on_and_watches_of_the_lost_time_list_again(tmp_path):
    path = tmp_path / "state.db"
    state = State(SQLiteStore(path))
    await state.open()
    await state.commit(CONFIG_MAPS, "default/kept", {"metadata": {"name": "kept"}})
    await state.close()
    state = State(SQLiteStore(path))
    await state.open()
    lost = await state.commit(PODS, "default/lost", {"metadata": {"name": "lost"}})
    seen = int(lost.obj["metadata"]["resourceVersion"])
    # Killed here: the backup is the one of the start.
    backup = store_backup.paths(path)[0].read_bytes()
    await state.close()
    store_backup.paths(path)[0].write_bytes(backup)
    store_backup.restore(path, 0.0)

    state = State(SQLiteStore(path))
    await state.open()
    assert list(state.of(CONFIG_MAPS).items) == ["default/kept"]
    for resource in (CONFIG_MAPS, PODS):
        with pytest.raises(ApiError) as caught:
            state.of(resource).since(seen)
        assert caught.value.reason == "Expired"
    item = await state.commit(PODS, "default/lost", {"metadata": {"name": "lost"}})
    assert int(item.obj["metadata"]["resourceVersion"]) > seen
    await state.close()
