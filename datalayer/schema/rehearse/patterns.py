"""Texts that a pattern accepts: examples for GLOB, LIKE and regular expressions.

One example is enough for a row; what a pattern leaves open is chosen by the caller's random generator.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from random import Random

__all__ = ["glob_text", "like_text", "regex_text"]

_LETTERS = string.ascii_lowercase
_CLASSES = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.digits,
    "s": " ",
    "m": "",
    "M": "",
    "y": "",
    "A": "",
    "Z": "",
    "b": "",
}
_NAMED = {
    "alpha": string.ascii_lowercase,
    "digit": string.digits,
    "alnum": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "space": " ",
    "xdigit": "0123456789abcdef",
    "punct": "-_.",
}
_PRINTABLE = string.ascii_letters + string.digits + "-_.@ "


def glob_text(pattern: str, random: Random) -> str:
    """Give a text that SQLite's GLOB pattern matches."""
    made: list[str] = []
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "*":
            made.append("".join(random.choices(_LETTERS, k=random.choice((0, 3)))))
        elif sign == "?":
            made.append(random.choice(_LETTERS))
        elif sign == "[":
            end = pattern.find("]", place + 1 + (pattern[place : place + 1] == "^"))
            allowed = _members(pattern[place : end if end > 0 else len(pattern)])
            made.append(random.choice(allowed) if allowed else "")
            place = end + 1 if end > 0 else len(pattern)
        else:
            made.append(sign)
    return "".join(made)


def like_text(pattern: str, random: Random) -> str:
    """Give a text that a LIKE pattern without ESCAPE matches."""
    parts = {"%": lambda: "".join(random.choices(_LETTERS, k=random.choice((0, 3))))}
    return "".join(
        parts[sign]() if sign in parts else random.choice(_LETTERS) if sign == "_" else sign
        for sign in pattern
    )


def regex_text(pattern: str, random: Random) -> str:
    """Give a text that a regular expression of PostgreSQL's or Python's common subset matches.

    Look-ahead and back references are passed over, so the text may not match then: it is tried, not trusted.
    """
    return _Regex(pattern, random).alternatives()


def _members(text: str) -> str:
    """Give the characters of a bracket expression, without its brackets."""
    is_not = text[:1] in ("^", "!")
    body = text[1:] if is_not else text
    found: list[str] = []
    place = 0
    while place < len(body):
        if body.startswith("[:", place) and ":]" in body[place:]:
            end = body.index(":]", place)
            found.extend(_NAMED.get(body[place + 2 : end], ""))
            place = end + 2
        elif body[place] == "\\" and place + 1 < len(body):
            found.extend(_CLASSES.get(body[place + 1], body[place + 1]))
            place += 2
        elif body[place + 1 : place + 2] == "-" and place + 2 < len(body):
            first, last = ord(body[place]), ord(body[place + 2])
            found.extend(chr(code) for code in range(first, min(last, first + 256) + 1))
            place += 3
        else:
            found.append(body[place])
            place += 1
    return "".join(sign for sign in _PRINTABLE if sign not in found) if is_not else "".join(found)


@dataclass(slots=True)
class _Regex:
    """Reads a pattern from left to right and makes the text as it goes."""

    pattern: str
    random: Random
    place: int = 0

    def alternatives(self) -> str:
        choices = [self._sequence()]
        while self._peek() == "|":
            self.place += 1
            choices.append(self._sequence())
        return self.random.choice(choices)

    def _peek(self) -> str:
        return self.pattern[self.place : self.place + 1]

    def _sequence(self) -> str:
        made: list[str] = []
        while self._peek() not in ("", "|", ")"):
            start = self.place
            atom = self._atom()
            low, high = self._times()
            # each repetition is chosen anew: the atom is read again from where it began
            after = self.place
            texts: list[str] = []
            for _ in range(self.random.randint(low, high)):
                self.place = start
                texts.append(self._atom())
            self.place = after
            made.append("".join(texts) if (low, high) != (1, 1) else atom)
        return "".join(made)

    def _atom(self) -> str:
        sign = self._peek()
        self.place += 1
        if sign in "^$":
            return ""
        if sign == ".":
            return self.random.choice(_LETTERS)
        if sign == "\\":
            self.place += 1
            allowed = _CLASSES.get(self.pattern[self.place - 1 : self.place])
            if allowed is None:
                return self.pattern[self.place - 1 : self.place]
            return self.random.choice(allowed) if allowed else ""
        if sign == "[":
            return self._bracket()
        return self._group() if sign == "(" else sign

    def _bracket(self) -> str:
        start = self.place
        end = start + (self._peek() == "^")
        end += self.pattern[end : end + 1] == "]"
        while end < len(self.pattern) and self.pattern[end] != "]":
            if self.pattern.startswith("[:", end):
                end = self.pattern.find(":]", end) + 1
            end += 2 if self.pattern[end] == "\\" else 1
        self.place = end + 1
        allowed = _members(self.pattern[start:end])
        return self.random.choice(allowed) if allowed else ""

    def _group(self) -> str:
        is_look = self.pattern[self.place : self.place + 2] in ("?=", "?!", "?<")
        if self._peek() == "?":
            self.place += 2
        inside = self.alternatives()
        self.place += self._peek() == ")"
        return "" if is_look else inside

    def _times(self) -> tuple[int, int]:
        sign = self._peek()
        if sign in ("*", "+", "?") and sign:
            self.place += 1
            times = {"*": (0, 3), "+": (1, 4), "?": (0, 1)}[sign]
        elif sign == "{":
            end = self.pattern.find("}", self.place)
            low, comma, high = self.pattern[self.place + 1 : end].partition(",")
            self.place = end + 1
            least = int(low or 0)
            times = (least, int(high) if high else least + (3 if comma else 0))
        else:
            return 1, 1
        self.place += self._peek() == "?"
        return times
