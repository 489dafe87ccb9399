"""The part of a text that shows best what was found in it, with the words marked, on both engines alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from datalayer.domains.search.words import Query, list_words, words_in

__all__ = ["marked", "snippet"]

# beyond this much of a text no better place is looked for
_LOOKED_AT = 200_000
_GAP = "…"

Span = tuple[int, int]


def marked(text: str, query: Query, marks: tuple[str, str]) -> str:
    """Give a text with the words of the query between marks."""
    is_hit = query.matcher()
    return _with_marks(text, [m.span() for m in words_in(text) if is_hit(m[0].lower())], marks)


def snippet(text: str, query: Query, marks: tuple[str, str], *, words: int) -> str:
    """Give at most so many words of a text: where most different words of the query stand close together."""
    text = text[:_LOOKED_AT]
    is_hit = query.matcher()
    found = [word.lower() for word in list_words(text)]
    hits = [(place, word) for place, word in enumerate(found) if is_hit(word)]
    if not found:
        return text[:_LOOKED_AT].strip()
    first, last = _window(hits, len(found), words)
    # where words stand is looked up for those alone that are shown
    spans = [word.span() for word in islice(words_in(text), first, last)]
    start = 0 if first == 0 else spans[0][0]
    end = len(text) if last == len(found) else spans[-1][1]
    found_spans = [spans[place - first] for place, _ in hits if first <= place < last]
    inside = [(begin - start, finish - start) for begin, finish in found_spans]
    shown = _with_marks(text[start:end], inside, marks)
    return f"{_GAP if start else ''}{shown.strip()}{_GAP if end < len(text) else ''}"


def _window(hits: Sequence[tuple[int, str]], count: int, size: int) -> Span:
    """Give the words from and to which is shown: most different hits, then most hits, then the first."""
    best, place = (0, 0), 0
    inside: deque[tuple[int, str]] = deque()
    for hit in hits:
        inside.append(hit)
        while inside[0][0] <= hit[0] - size:
            inside.popleft()
        worth = (len({word for _, word in inside}), len(inside))
        if worth > best:
            best, place = worth, inside[0][0]
    # a few words before the first one found
    first = max(0, min(place - size // 6, count - size))
    return first, min(count, first + size)


def _with_marks(text: str, spans: Sequence[Span], marks: tuple[str, str]) -> str:
    parts: list[str] = []
    place = 0
    for start, end in spans:
        parts += [text[place:start], marks[0], text[start:end], marks[1]]
        place = end
    return "".join([*parts, text[place:]])
