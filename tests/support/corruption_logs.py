"""Damage to the write-ahead log and to the rollback journal, and such files of another time."""

from __future__ import annotations

import struct

from support.corruption import Damage, TrackedFile, kind
from support.corruption_bases import make_base
from support.corruption_format import journal_records, log_frames, log_sum

LOGGED = ("own-wal", "app-wal", "app-wal-1024")
HOT = ("app-hot", "app-hot-1024")


def _frames(damage: Damage) -> list[tuple[int, int, int]]:
    return list(log_frames(damage.base.files["wal"]))


def _superseded(damage: Damage) -> list[tuple[int, int, int]]:
    """Give the frames whose page stands in a later one."""
    frames = _frames(damage)
    last = {frame[0]: place for place, frame in enumerate(frames)}
    return [frame for place, frame in enumerate(frames) if last[frame[0]] > place and not frame[2]]


def _newest(damage: Damage) -> list[tuple[int, int, int]]:
    """Give the frames that hold the newest version of a table's leaf and end no transaction."""
    last = {frame[0]: frame for frame in _frames(damage)}
    return [last[page] for page in damage.pages("table-leaf") if page in last and not last[page][2]]


def _rewind(damage: Damage, commits: int) -> None:
    """Say that the files now prove no more than the first commits of the log."""
    later = {(table, key, row.values) for table, key, row in damage.rows()}
    damage.truth = damage.base.state(commits)
    now = {(table, key, row.values) for table, key, row in damage.rows()}
    damage.past = (damage.past | later) - now


def _log(damage: Damage) -> TrackedFile:
    return damage.files["wal"]


@kind("wal", *LOGGED)
def log_header_zeroed(damage: Damage) -> None:
    _log(damage).put(0, bytes(32))


@kind("wal", *LOGGED)
def log_header_garbage(damage: Damage) -> None:
    _log(damage).put(0, damage.rng.randbytes(32))


@kind("wal", *LOGGED)
def log_header_flipped(damage: Damage) -> None:
    _log(damage).flip(damage.rng.randrange(32), 1 << damage.rng.randrange(8))


@kind("wal", *LOGGED)
def log_salts_wrong(damage: Damage) -> None:
    _log(damage).put(16, damage.rng.randbytes(8))


@kind("wal", *LOGGED)
def log_byte_order_wrong(damage: Damage) -> None:
    _log(damage).flip(3, 1)


@kind("wal", *LOGGED)
def log_page_size_wrong(damage: Damage) -> None:
    _log(damage).put(8, struct.pack(">I", 8192))


@kind("wal", *LOGGED)
def log_early_frame_bad(damage: Damage) -> None:
    at = damage.rng.choice(_superseded(damage)[:8])[1]
    _log(damage).put(at + damage.rng.randrange(damage.size - 40), damage.rng.randbytes(40))


@kind("wal", *LOGGED)
def log_early_frame_zeroed(damage: Damage) -> None:
    at = damage.rng.choice(_superseded(damage)[:8])[1]
    _log(damage).put(at - 24, bytes(24 + damage.size))


@kind("wal", *LOGGED)
def log_frame_flipped(damage: Damage) -> None:
    at = damage.rng.choice(_newest(damage))[1]
    _log(damage).flip(at + damage.rng.randrange(damage.size), 1 << damage.rng.randrange(8))


@kind("wal", *LOGGED)
def log_frame_half_gone(damage: Damage) -> None:
    at = damage.rng.choice(_newest(damage))[1]
    _log(damage).put(at + damage.size // 2, bytes(damage.size // 2))


@kind("wal", *LOGGED)
def log_frame_number_wrong(damage: Damage) -> None:
    at = damage.rng.choice(_superseded(damage))[1]
    _log(damage).put(at - 24, struct.pack(">I", damage.rng.randint(2, 90000)))


@kind("wal", *LOGGED)
def log_frame_salts_wrong(damage: Damage) -> None:
    _log(damage).put(damage.rng.choice(_superseded(damage))[1] - 16, damage.rng.randbytes(8))


@kind("wal", *LOGGED)
def log_frame_checksum_wrong(damage: Damage) -> None:
    _log(damage).put(damage.rng.choice(_newest(damage))[1] - 8, damage.rng.randbytes(8))


@kind("wal", *LOGGED)
def log_frame_heads_flipped(damage: Damage) -> None:
    for _, at, _ in damage.rng.sample(_superseded(damage), 3):
        _log(damage).flip(at - 24 + damage.rng.randrange(4, 24), 1 << damage.rng.randrange(8))


def _commits_before(damage: Damage, length: int) -> int:
    return sum(1 for _, at, after in _frames(damage) if after and at + damage.size <= length)


@kind("wal", *LOGGED)
def log_truncated_within_frame(damage: Damage) -> None:
    length = damage.rng.randrange(len(_log(damage)) // 3, len(_log(damage))) | 1
    _log(damage).resize(length)
    _rewind(damage, _commits_before(damage, length))


@kind("wal", *LOGGED)
def log_truncated_after_commit(damage: Damage) -> None:
    ends = [at + damage.size for _, at, after in _frames(damage) if after]
    length = damage.rng.choice(ends[:-1])
    _log(damage).resize(length)
    _rewind(damage, _commits_before(damage, length))


@kind("wal", *LOGGED)
def log_missing(damage: Damage) -> None:
    del damage.files["wal"]
    _rewind(damage, 0)


@kind("wal", *LOGGED)
def log_emptied(damage: Damage) -> None:
    _log(damage).resize(0)
    _rewind(damage, 0)


@kind("wal", *LOGGED)
def log_tail_garbage(damage: Damage) -> None:
    _log(damage).insert(len(_log(damage)), damage.rng.randbytes(3 * (24 + damage.size) + 11))


@kind("wal", *LOGGED)
def log_tail_uncommitted(damage: Damage) -> None:
    """Frames with right salts and checksums whose transaction never ended: the same page with other rows."""
    log = _log(damage)
    data = bytes(log.data)
    big = bool(data[3] & 1)
    for page in damage.choose("table-leaf", count=4):
        held = bytearray(damage.truth.store.page(page))
        held[-9:-5] = b"ZZZZ"
        head = struct.pack(">II", page, 0)
        last = len(log) - 24 - damage.size
        seed = struct.unpack(">II", log.data[last + 16 : last + 24])
        total = log_sum(head + bytes(held), (seed[0], seed[1]), big=big)
        log.insert(len(log), head + data[16:24] + struct.pack(">II", *total) + bytes(held))


@kind("wal", *LOGGED)
def log_frame_missing(damage: Damage) -> None:
    _log(damage).cut(damage.rng.choice(_superseded(damage))[1] - 24, 24 + damage.size)


@kind("wal", *LOGGED)
def log_shifted(damage: Damage) -> None:
    at = damage.rng.choice(_superseded(damage))[1]
    _log(damage).insert(at + damage.rng.randrange(damage.size), damage.rng.randbytes(16))


@kind("wal", *LOGGED)
def log_not_announced(damage: Damage) -> None:
    damage.main.put(18, b"\1\1")


@kind("wal", *LOGGED)
def replaced_page_zeroed(damage: Damage) -> None:
    """The main file's version of pages that the log holds anew is gone: nothing is lost."""
    for _, at, _ in damage.rng.sample(_newest(damage), 3):
        number = int.from_bytes(_log(damage).data[at - 24 : at - 20], "big")
        if damage.at(number) < len(damage.main):
            damage.put(number, 0, bytes(damage.size))


@kind("wal", *LOGGED)
def leaf_zeroed_beside_log(damage: Damage) -> None:
    logged = {number for number, _, _ in _frames(damage)}
    only = [page for page in damage.pages("table-leaf") if page not in logged]
    damage.put(damage.rng.choice(only), 0, bytes(damage.size))


@kind("wal", *LOGGED)
def first_page_zeroed_beside_log(damage: Damage) -> None:
    damage.put(1, 0, bytes(damage.size))


@kind("wal", *LOGGED)
def main_file_emptied(damage: Damage) -> None:
    damage.main.resize(0)


@kind("wal", "app-old-log")
def log_stale(damage: Damage) -> None:
    damage.files["wal"] = TrackedFile("", damage.base.spare["wal"])


@kind("wal", "own", "app-4096")
def log_of_another(damage: Damage) -> None:
    other = make_base("app-wal" if damage.base.name == "own" else "own-wal")
    damage.files["wal"] = TrackedFile("", other.files["wal"])


def _journal(damage: Damage) -> TrackedFile:
    return damage.files["journal"]


def _records(damage: Damage) -> list[tuple[int, int]]:
    """Give the records of leaves of tables: page number and where its bytes begin."""
    leaves = {*damage.pages("table-leaf")}
    return [
        record for record in journal_records(damage.base.files["journal"], damage.size) if record[0] in leaves
    ]


def _take_either(damage: Damage) -> None:
    """Excuse the rows that the open transaction touched: nothing is left that says it was not committed."""
    truth = {(table, key, row.values) for table, key, row in damage.rows()}
    damage.excused |= {(table, key) for table, key, _ in truth ^ damage.base.open_rows}


@kind("journal", *HOT)
def journal_header_zeroed(damage: Damage) -> None:
    _journal(damage).put(0, bytes(28))


@kind("journal", *HOT)
def journal_header_garbage(damage: Damage) -> None:
    _journal(damage).put(0, damage.rng.randbytes(28))


@kind("journal", *HOT)
def journal_magic_flipped(damage: Damage) -> None:
    _journal(damage).flip(damage.rng.randrange(8), 1 << damage.rng.randrange(8))


@kind("journal", *HOT)
def journal_nonce_wrong(damage: Damage) -> None:
    _journal(damage).put(12, damage.rng.randbytes(4))


@kind("journal", *HOT)
def journal_count_wrong(damage: Damage) -> None:
    _journal(damage).put(8, struct.pack(">I", damage.rng.choice((0, 1, 2))))


@kind("journal", *HOT)
def journal_page_count_wrong(damage: Damage) -> None:
    _journal(damage).put(
        16, struct.pack(">I", damage.rng.choice((0, 3, damage.truth.store.count // 2, 99999)))
    )


@kind("journal", *HOT)
def journal_page_size_wrong(damage: Damage) -> None:
    _journal(damage).put(24, struct.pack(">I", 8192))


@kind("journal", *HOT)
def journal_record_flipped(damage: Damage) -> None:
    at = damage.rng.choice(_records(damage))[1]
    _journal(damage).flip(at + damage.rng.randrange(damage.size), 1 << damage.rng.randrange(8))


@kind("journal", *HOT)
def journal_record_zeroed(damage: Damage) -> None:
    _journal(damage).put(damage.rng.choice(_records(damage))[1] - 4, bytes(damage.size + 8))


@kind("journal", *HOT)
def journal_checksum_wrong(damage: Damage) -> None:
    _journal(damage).put(damage.rng.choice(_records(damage))[1] + damage.size, damage.rng.randbytes(4))


@kind("journal", *HOT)
def journal_number_wrong(damage: Damage) -> None:
    _journal(damage).put(damage.rng.choice(_records(damage))[1] - 4, struct.pack(">I", 0x7FFFFFF1))


@kind("journal", *HOT)
def journal_truncated(damage: Damage) -> None:
    _journal(damage).resize(len(_journal(damage)) * damage.rng.randint(50, 95) // 100)
    _take_either(damage)


@kind("journal", *HOT)
def journal_missing(damage: Damage) -> None:
    del damage.files["journal"]
    _take_either(damage)


@kind("journal", *HOT)
def kept_page_zeroed(damage: Damage) -> None:
    """Pages of the main file that the journal puts back are gone: nothing is lost."""
    for number, _ in damage.rng.sample(_records(damage), 3):
        damage.put(number, 0, bytes(damage.size))


@kind("journal", *HOT)
def leaf_zeroed_beside_journal(damage: Damage) -> None:
    kept = {number for number, _ in journal_records(damage.base.files["journal"], damage.size)}
    only = [page for page in damage.pages("table-leaf") if page not in kept]
    damage.put(damage.rng.choice(only), 0, bytes(damage.size))


@kind("journal", "app-old-log")
def journal_of_a_commit(damage: Damage) -> None:
    damage.files["journal"] = TrackedFile("", damage.base.spare["journal"])
