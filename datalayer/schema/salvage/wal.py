"""The write-ahead log: which of its frames still count, told by their salts and running checksums.

https://sqlite.org/walformat.html. Knows nothing of what the pages hold but a function that judges them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct

from datalayer.schema.salvage.outcome import Problem

__all__ = ["Frame", "WalContent", "read_wal", "wal_checksum", "wal_page_size"]

_HEADER = Struct(">8I")
_FRAME = Struct(">6I")
_MARK = Struct(">2I")
_MAGIC = 0x377F0682
_MOST_NUMBERS = 300_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: page `number`, database size in pages after a commit (else 0), its bytes, how it checked."""

    number: int
    commit: int
    page: bytes
    is_good: bool


@dataclass(frozen=True, slots=True)
class WalContent:
    """The pages of whole commits, newest last, and how many pages the database has after them."""

    pages: dict[int, bytes]
    page_count: int
    problems: tuple[Problem, ...]
    bad_frames: int = 0


def wal_checksum(data: bytes, seed: tuple[int, int], *, big: bool) -> tuple[int, int]:
    """Go on with the checksum of a log over a multiple of eight bytes."""
    first, second = seed
    words = _words(len(data) // 4, big).unpack(data)
    for place in range(0, len(words), 2):
        first = first + words[place] + second & 0xFFFFFFFF
        second = second + words[place + 1] + first & 0xFFFFFFFF
    return first, second


def _words(count: int, big: bool) -> Struct:
    return Struct(f"{'>' if big else '<'}{count}I")


def wal_page_size(data: bytes) -> int | None:
    """Give the page size that the header of a log tells, or None where it is none."""
    if len(data) < 32:
        return None
    size = int.from_bytes(data[8:12], "big")
    return size if size in (1 << power for power in range(9, 17)) else None


def read_wal(data: bytes, page_size: int, judge: Callable[[int, bytes], bool]) -> WalContent | None:
    """Read a log; None where it holds no commit. `judge` says whether bytes make sense as a page of a number.

    A damaged frame ends what SQLite would read; here later frames of the same salts still count, except that
    a commit one of whose pages is bad and never written again keeps that page as it was before.
    """
    if len(data) < 32 + 24 + page_size:
        return None
    raw = [data[at : at + 24 + page_size] for at in range(32, len(data) - 23 - page_size, 24 + page_size)]
    problems: list[Problem] = []
    header = _HEADER.unpack_from(data)
    seed: tuple[int, int] | None = wal_checksum(data[:24], (0, 0), big=bool(header[0] & 1))
    sound = header[0] & ~1 == _MAGIC and seed == header[6:8] and header[2] == page_size
    salts = (header[4], header[5])
    big = bool(header[0] & 1)
    if not sound:
        salts, big = _voted(raw)
        problems.append(Problem("wal-header", None, "the header of the write-ahead log is damaged"))
        seed = None
    raw = _cut(data, 24 + page_size, salts)
    frames = _frames(raw, salts, seed, big=big, judge=judge)
    return _content(frames, problems)


def _cut(data: bytes, size: int, salts: tuple[int, int]) -> list[bytes]:
    """Cut a log into frames, found again by their salts where bytes were inserted or are missing."""
    mark = _MARK.pack(*salts)
    frames: list[bytes] = []
    at = 32
    while at + size <= len(data):
        frames.append(data[at : at + size])
        at += size
        if data[at + 8 : at + 16] != mark:
            found = data.find(mark, at - size + 17)
            if found >= 0 and (found - 8 - at) % size:
                at = found - 8
    return frames


def _voted(raw: list[bytes]) -> tuple[tuple[int, int], bool]:
    """Give the salts that most frames bear, and the byte order in which most checksums are right."""
    votes = Counter(_FRAME.unpack_from(frame)[2:4] for frame in raw)
    most = max(votes.values())
    # the newest generation writes from the front: of equals the first counts
    salts = next(
        _FRAME.unpack_from(frame)[2:4] for frame in raw if votes[_FRAME.unpack_from(frame)[2:4]] == most
    )
    pairs = [
        (before, after)
        for before, after in pairwise(raw)
        if before[8:16] == after[8:16] and salts == _FRAME.unpack_from(after)[2:4]
    ][:8]
    right = {big: sum(_follows(before, after, big) for before, after in pairs) for big in (False, True)}
    return (int(salts[0]), int(salts[1])), right[True] > right[False]


def _follows(before: bytes, after: bytes, big: bool) -> bool:
    seed = _FRAME.unpack_from(before)[4:6]
    found = wal_checksum(after[:8] + after[24:], (seed[0], seed[1]), big=big)
    return found == _FRAME.unpack_from(after)[4:6]


def _frames(
    raw: list[bytes],
    salts: tuple[int, int],
    seed: tuple[int, int] | None,
    *,
    big: bool,
    judge: Callable[[int, bytes], bool],
) -> list[Frame | None]:
    """Give the frames of these salts in order, None where one is damaged beyond use."""
    last = max(
        (place for place, frame in enumerate(raw) if _FRAME.unpack_from(frame)[2:4] == salts), default=-1
    )
    frames: list[Frame | None] = []
    for place, frame in enumerate(raw[: last + 1]):
        number, commit, first, second, *stored = _FRAME.unpack_from(frame)
        page, before = frame[24:], seed
        checked = None if seed is None else wal_checksum(frame[:8] + page, seed, big=big) == tuple(stored)
        # the next frame's checksum goes on from the one stored here, right or not: so one bad frame costs one
        seed = (stored[0], stored[1]) if (first, second) == salts else None
        if (first, second) != salts:
            number = 0 if before is None or place == last else _lost_number(before, page, raw[place + 1], big)
            frames.append(Frame(number, 0, page, is_good=False) if number else None)
        elif checked or (number > 0 and judge(number, page)):
            frames.append(Frame(number, commit, page, checked is True))
        else:
            frames.append(None)
    return frames


def _lost_number(seed: tuple[int, int], page: bytes, following: bytes, big: bool) -> int:
    """Find the page number of a frame whose header is gone: the next frame tells it.

    Its checksum goes on from this one, and is linear in what it starts from, so trying a number costs little.
    Gives 0 where none is right.
    """
    data = page + following[:8] + following[24:]
    zero, one, other = (wal_checksum(data, start, big=big) for start in ((0, 0), (1, 0), (0, 1)))
    wanted = _FRAME.unpack_from(following)[4:6]
    for number in range(1, _MOST_NUMBERS):
        word = number if big else int.from_bytes(number.to_bytes(4, "big"), "little")
        first = seed[0] + word + seed[1]
        second = seed[1] + first
        found = tuple(
            (zero[side] + (one[side] - zero[side]) * first + (other[side] - zero[side]) * second) & 0xFFFFFFFF
            for side in (0, 1)
        )
        if found == wanted:
            return number
    return 0


def _content(frames: list[Frame | None], problems: list[Problem]) -> WalContent | None:
    last = max((place for place, frame in enumerate(frames) if frame and frame.commit), default=-1)
    if last < 0:
        return None
    bad = sum(1 for frame in frames[: last + 1] if frame is None or not frame.is_good)
    if bad:
        problems.append(Problem("wal-frame", None, f"{bad} frames of the write-ahead log are damaged"))
    pages: dict[int, bytes] = {}
    count = 0
    for frame in frames[: last + 1]:
        if frame is not None:
            pages[frame.number] = frame.page
            count = frame.commit or count
    return WalContent(pages, count, tuple(problems), bad)
