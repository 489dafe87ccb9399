"""Checksums of logs and journals, made right again after their bytes were changed.

Without it nearly every change would be thrown away at the checksum, and what lies behind it never be tried.
Written apart from the reader that is tested.
"""

from __future__ import annotations

from struct import iter_unpack, pack, pack_into, unpack_from

__all__ = ["reseal_journal", "reseal_wal"]

_MAGIC = bytes.fromhex("d9d505f920a163d7")


def reseal_wal(data: bytes, *, salt: bytes | None = None) -> bytes:
    """Give a log with right checksums of the header and each frame, and with one salt for all of them."""
    if len(data) < 32:
        return data
    made = bytearray(data)
    size = int.from_bytes(made[8:12], "big")
    if size not in {1 << power for power in range(9, 17)}:
        return data
    order = ">" if made[3] & 1 else "<"
    if salt is not None:
        made[16:24] = salt
    seed = _summed(made[:24], (0, 0), order)
    pack_into(">2I", made, 24, *seed)
    for at in range(32, len(made) - 23 - size, 24 + size):
        made[at + 8 : at + 16] = made[16:24]
        seed = _summed(made[at : at + 8] + made[at + 24 : at + 24 + size], seed, order)
        pack_into(">2I", made, at + 16, *seed)
    return bytes(made)


def _summed(data: bytes | bytearray, seed: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = seed
    for one, other in iter_unpack(f"{order}2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def reseal_journal(data: bytes, *, nonce: int | None = None) -> bytes:
    """Give a journal with right checksums of all records; `nonce`, where given, goes into all headers."""
    made = bytearray(data)
    at = 0
    while at + 512 <= len(made) and made[at : at + 8] == _MAGIC:
        count, start, _, sector, size = unpack_from(">5I", made, at + 8)
        if size not in {1 << power for power in range(9, 17)} or not 32 <= sector <= 65536:
            break
        if nonce is not None:
            start = nonce
            made[at + 12 : at + 16] = pack(">I", nonce)
            made[at + 28 : at + sector] = bytes(min(sector, len(made) - at) - 28)
        at += sector
        held = max(len(made) - at, 0) // (size + 8)
        for _ in range(min(count, held) if count else held):
            _seal_record(made, at, size, start)
            at += size + 8
        at = -(-at // sector) * sector
    if nonce is not None and 0 < at <= len(made) - 16:
        # a header without its first words: what follows it was not synced yet
        made[at + 12 : at + 16] = pack(">I", nonce)
    return bytes(made)


def _seal_record(made: bytearray, at: int, size: int, nonce: int) -> None:
    total = nonce + sum(made[at + 4 + place] for place in range(size - 200, 0, -200))
    pack_into(">I", made, at + 4 + size, total & 0xFFFFFFFF)
