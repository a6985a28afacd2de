"""The body of an event: how it is written, and how it reads as HTML, which is the default, or as text, which a call prefers."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

PREVIEW = 255
_HEAD = '<html>\r\n<head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">\r\n</head>\r\n<body>\r\n'
_FOOT = "\r\n</body>\r\n</html>\r\n"
_BREAKS = {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table"}
_HIDDEN = {"head", "style", "script", "title"}


def as_html(body: dict[str, Any]) -> str:
    """Returns a body as a whole page; what is none yet is put into one, as the store does."""
    content = str(body["content"])
    if not content:
        return ""
    if body["contentType"] == "text":
        content = html.escape(content, quote=False).replace("\r\n", "\n").replace("\n", "<br>\r\n")
    return content if re.match(r"\s*(?:<!doctype[^>]*>\s*)?<html\b", content, re.IGNORECASE) else f"{_HEAD}{content}{_FOOT}"


def as_text(body: dict[str, Any]) -> str:
    content = str(body["content"])
    if body["contentType"] == "text":
        return content
    reader = _Text()
    reader.feed(content)
    reader.close()
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(reader.parts).replace("\xa0", " "))
    return re.sub(r"\n{3,}", "\n\n", text).strip().replace("\n", "\r\n")


def preview(body: dict[str, Any]) -> str:
    return as_text(body)[:PREVIEW]


class _Text(HTMLParser):
    """Collects the text of a page, lines apart where blocks are."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        if tag in _BREAKS:
            self._break(twice=tag == "br")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN and self._hidden > 0
        if tag in _BREAKS - {"br"}:
            self._break()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))

    def _break(self, *, twice: bool = False) -> None:
        if twice or (self.parts and not self.parts[-1].endswith("\n")):
            self.parts.append("\n")
