"""HTML as a strict reader sees it: every element closed in order, nothing that asks the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Page", "read_page"]

_VOID = {"meta", "br", "hr", "img", "link", "input"}
_LEADS_AWAY = {"src", "href", "srcset", "action", "poster", "data", "xlink:href", "background", "formaction"}


@dataclass
class Page:
    """What a page holds: its visible text by element, and what is wrong with it."""

    mistakes: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    styles: str = ""

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs)
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack[-1] != tag:
            self.page.mistakes.append(f"</{tag}> at {self.getpos()} within {self.stack[-3:]}")
            return
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "style":
            self.page.styles += data
        elif data.strip():
            self.page.texts.append(data)

    def _open(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append(tag)
        if tag == "script":
            self.page.mistakes.append("a script")
        for name, value in attrs:
            if name == "id":
                self.page.ids.append(value or "")
            if name.startswith("on"):
                self.page.mistakes.append(f"{tag} {name}")
            if name in _LEADS_AWAY and not (value or "").startswith("#"):
                self.page.mistakes.append(f"{tag} {name}={value}")
            if name == "href":
                self.page.anchors.append((value or "").removeprefix("#"))


def read_page(text: str) -> Page:
    """Read a page; `mistakes` is empty for one that is well formed and stands alone."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    page = reader.page
    page.mistakes += [f"<{tag}> is never closed" for tag in reader.stack]
    page.mistakes += [f"#{name} leads nowhere" for name in page.anchors if name not in page.ids]
    page.mistakes += [f"style has {word}" for word in ("url(", "@import") if word in page.styles]
    return page
