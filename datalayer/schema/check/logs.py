"""A closer look at log and journal, for the full check: every frame and record, and what lies behind.

Bytes only. What SQLite passes over without harm is an information; what makes it lose or bring back pages
that it should not is an error. https://sqlite.org/walformat.html, https://sqlite.org/fileformat2.html
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from datalayer.schema.check.filebytes import read_at
from datalayer.schema.check.outline import SIZES, Outline
from datalayer.schema.finding import Finding
from datalayer.schema.salvage.header import MAGIC, read_stamps
from datalayer.schema.salvage.journal import page_sum
from datalayer.schema.salvage.pages import is_plausible
from datalayer.schema.salvage.wal import read_wal

__all__ = ["look_at_journal", "look_at_log"]

_FRAME = Struct(">6I")
_HEADER = Struct(">8s5I")
_LONG = Struct(">I")
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_UNCOUNTED = 0xFFFFFFFF
_MOST_SUMMED = 32 << 20
_NEAR = 1 << 16


def look_at_log(seen: Outline) -> Iterator[Finding]:
    """Compute the checksums of a whole log, up to 32 MiB of it, and tell what stands behind its last commit.

    Some 5 MiB a second. A bad frame makes SQLite pass over every commit behind it.
    """
    size = seen.stamps.page_size
    if not seen.wal_size or size not in SIZES or any(one.object == "-wal" for one in seen.findings):
        return
    data = _read(seen, "-wal", seen.wal_size)
    content = read_wal(data, size, lambda _, page: is_plausible(page, 0, size))
    reasons = [] if content is None else [problem.message for problem in content.problems]
    if _is_shifted(data, 24 + size):
        reasons.append("its frames do not stand where they should")
    name = f"{seen.path.name}-wal"
    if _read(seen, "-wal", 32) != data[:32]:
        # a log that was begun anew meanwhile is none to judge
        return
    if reasons:
        reason = "; ".join(reasons)
        message = f"{name} is damaged: {reason}; SQLite drops what follows: run `datalayer repair`"
        yield Finding("DL-C082", "error", None, "-wal", 1, message, "automatic")
        return
    for note in _behind(data, 24 + size, is_whole=seen.wal_size <= _MOST_SUMMED):
        message = f"{name} {note}; SQLite passes over that"
        yield Finding("DL-C086", "info", None, "-wal", 1, message, "none")
    yield from _replaced(seen, size, {} if content is None else content.pages)


def _read(seen: Outline, suffix: str, size: int) -> bytes:
    try:
        with seen.beside(suffix).open("rb") as file:
            return file.read(min(size, _MOST_SUMMED))
    except OSError:
        # gone since it was looked at
        return b""


def _is_shifted(data: bytes, step: int) -> bool:
    """Whether the salts of this log stand where no frame begins, as after bytes that came in or got lost."""
    mark, place = data[16:24], 32
    while (place := data.find(mark, place)) >= 0:
        if (place - 32 - 8) % step:
            return True
        place += 8
    return False


def _behind(data: bytes, step: int, *, is_whole: bool) -> Iterator[str]:
    """Say what stands behind the last commit of a log: an open transaction, bytes of no log, half a frame."""
    mark = data[16:24]
    frames = [_FRAME.unpack_from(data, at) for at in range(32, len(data) - step + 1, step)]
    own = [place for place in range(len(frames)) if data[(at := 40 + place * step) : at + 8] == mark]
    last = max((place for place in own if frames[place][1]), default=-1)
    if open_frames := sum(place > last for place in own):
        yield f"ends with {open_frames} frames of a transaction that did not end"
    salt = _LONG.unpack(mark[:4])[0]
    # each round of a log counts its first salt up by one, so those of older rounds are near
    strange = sum(not 0 <= salt - frame[2] < _NEAR for frame in frames[max(own, default=-1) + 1 :])
    if strange:
        yield f"holds {strange} frames behind its end that no log of this database wrote"
    rest = (len(data) - 32) % step
    if rest and is_whole and max(own, default=-1) == len(frames) - 1:
        yield f"ends within frame {len(frames) + 1}, as where a process ended while it wrote"


def _replaced(seen: Outline, size: int, pages: dict[int, bytes]) -> Iterator[Finding]:
    """Tell the pages of the main file that are zeros where the log has them anew."""
    gone: list[int] = []
    for number, page in sorted(pages.items()):
        at = (number - 1) * size
        if at + size <= seen.size and page.count(0) < size:
            held = read_at(seen.path, at, size)
            if held.count(0) == size:
                gone.append(number)
    if gone:
        listed = ", ".join(map(str, gone[:10]))
        message = f"pages of {seen.path.name} are zeros that its log holds anew, so nothing is lost: {listed}"
        yield Finding("DL-C086", "info", None, "-wal", len(gone), message, "none")


# -- rollback journal -----------------------------------------------------------------------------


def look_at_journal(seen: Outline) -> Finding | None:
    """Compute the checksums of a hot journal; None where it is as SQLite leaves it after a crash."""
    if not any(one.id == "DL-C080" for one in seen.findings) or not seen.journal_size:
        return None
    data = _read(seen, "-journal", seen.journal_size)
    size = seen.stamps.page_size
    if len(data) < 512 or size not in SIZES or seen.stamps.magic != MAGIC:
        return None
    reasons = list(dict.fromkeys(_reasons(seen, data, size)))
    if not reasons:
        return None
    reason = "; ".join(reasons)
    message = (
        f"{seen.path.name}-journal is damaged: {reason}; do not open the database: run `datalayer repair`"
    )
    return Finding("DL-C083", "error", None, "-journal", 1, message, "automatic")


def _reasons(seen: Outline, data: bytes, size: int) -> Iterator[str]:
    _, _, _, before, sector, _ = _HEADER.unpack_from(data)
    yield from _page_count(data, size, (before, sector))
    at = 0
    while at + sector <= len(data):
        magic, count, nonce, _, _, _ = _HEADER.unpack_from(data, at)
        if magic != _JOURNAL_MAGIC:
            return
        end = _next_header(data, at, sector)
        yield from _records(seen, data[at + sector : end], (count, nonce, before), size)
        at = end


def _next_header(data: bytes, at: int, sector: int) -> int:
    found = data.find(_JOURNAL_MAGIC, at + sector)
    while found >= 0 and found % sector:
        found = data.find(_JOURNAL_MAGIC, found + 1)
    return found if found >= 0 else len(data)


def _page_count(data: bytes, size: int, head: tuple[int, int]) -> Iterator[str]:
    """Compare the page count in the journal's header with the one on the first page that it keeps."""
    before, sector = head
    for at in range(sector, len(data) - size - 7, size + 8):
        if data[at : at + 4] == b"\0\0\0\1" and data[at + 4 : at + 20] == MAGIC:
            stamps = read_stamps(data[at + 4 : at + 104])
            if stamps.is_page_count_valid and stamps.page_count != before:
                yield f"its header tells of {before} pages, the page 1 that it keeps of {stamps.page_count}"
            return


def _records(seen: Outline, data: bytes, head: tuple[int, int, int], size: int) -> Iterator[str]:
    """Say what is wrong with the records behind one header."""
    count, nonce, before = head
    step = size + 8
    sums: list[int] = []
    for at in range(0, len(data) - step + 1, step):
        told = _LONG.unpack_from(data, at + step - 4)[0]
        sums.append((told - page_sum(data[at + 4 : at + 4 + size])) & 0xFFFFFFFF)
    right = [own == nonce for own in sums]
    if sums and not any(right):
        if len(sums) > 1 and sums[0] == sums[1]:
            yield f"its header gives the number {nonce} for checksums, its records {sums[0]}"
        return
    if count == 0:
        # not synced yet, so the main file cannot have been changed where it keeps a page
        places = [at * step for at, good in enumerate(right) if good]
        if any(_is_changed(seen, data[at : at + step], size) for at in places):
            yield "its header counts no records, and there are some"
        return
    counted = len(sums) if count == _UNCOUNTED else count
    if counted > len(sums):
        yield f"its header counts {count} records, and {len(sums)} are there"
    elif count != _UNCOUNTED and right[counted : counted + 1] == [True]:
        yield f"its header counts {count} records, and more follow"
    bad = sum(not good for good in right[:counted])
    if bad:
        yield f"the checksums of {bad} records are wrong"
    numbers = [_LONG.unpack_from(data, place * step)[0] for place in range(min(counted, len(sums)))]
    if wild := sum(not 1 <= number <= before for number in numbers):
        yield f"{wild} records are of pages that the database did not have"


def _is_changed(seen: Outline, record: bytes, size: int) -> bool:
    number = _LONG.unpack_from(record)[0]
    held = read_at(seen.path, (number - 1) * size, size)
    return len(held) == size and held != record[4 : 4 + size]
