"""The text of an HTML mail as a person reads it, line by line, without what it quotes and what it hides. Pure."""

from __future__ import annotations

import re
from html.parser import HTMLParser

MOST_HTML = 1_000_000  # characters; what is behind them is not read
BETWEEN_CELLS = "\t"  # the cells of a row stay one line, and stay apart
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_DECLARATION = re.compile(r"<[!?][^<>]{0,4000}>")
_NO_TAG = re.compile(r"<(?![a-zA-Z/][^<>]{0,4000}>)")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|mso-hide\s*:\s*all", re.IGNORECASE)
_QUOTE = re.compile(
    r"\b(?:gmail_quote|gmail_extra|yahoo_quoted|moz-cite-prefix|protonmail_quote|zmail_extra|tutanota_quote)\b", re.IGNORECASE
)
_BLOCKS = (
    "address article aside blockquote body center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr li main "
    "nav ol p pre section table tbody tfoot thead tr ul"
)
BLOCKS = frozenset(_BLOCKS.split())
_UNREAD = "head script style title template noscript blockquote select textarea svg object"
UNREAD = frozenset(_UNREAD.split())
_EMPTY = "area base br col embed hr img input link meta param source track wbr"
EMPTY = frozenset(_EMPTY.split())


def html_to_text(html: str) -> str:
    """Returns the text of an HTML mail: blocks and breaks are lines, cells of a table row are set apart by tabs, quoted mails,
    styles, scripts and hidden parts are left out. Raises nothing; reads the first million characters."""
    reader = _Reader()
    reader.feed(_harmless(html[:MOST_HTML]))
    reader.close()
    lines = (
        re.sub(r" ?\t[\t ]{0,4000}", BETWEEN_CELLS, re.sub(r"[ \xa0]{1,4000}", " ", line)).strip()
        for line in "".join(reader.parts).split("\n")
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def looks_like_html(text: str) -> bool:
    """Tells whether a body is HTML rather than text: tags of a mail stand in its beginning."""
    return re.search(r"(?i)<(?:html|body|div|p|br|table|span|head|!doctype)\b[^<>]{0,1000}>", text[:20_000]) is not None


def _harmless(html: str) -> str:
    """Returns HTML in which each "<" begins a whole tag: on unfinished ones a parser may look through the rest again and again."""
    return _NO_TAG.sub("&lt;", _DECLARATION.sub("", _COMMENT.sub("", html)))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unread = ""  # the tag whose contents are not read, and how deep we are in tags of its name
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.unread:
            self.depth += tag == self.unread
            return
        if tag not in EMPTY and (tag in UNREAD or _is_unread(attrs)):
            self.unread, self.depth = tag, 1
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.unread:
            self.depth -= tag == self.unread
            if self.depth:
                return
            self.unread = ""
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self.unread:
            self.parts.append(re.sub(r"[\r\n\t]+", " ", data))

    def _break(self, tag: str) -> None:
        if tag == "br" or tag in BLOCKS:
            self.parts.append("\n")
            if tag == "p":
                self.parts.append("\n")
        elif tag in ("td", "th"):
            self.parts.append(BETWEEN_CELLS)


def _is_unread(attrs: list[tuple[str, str | None]]) -> bool:
    said = {name: (value or "")[:500] for name, value in attrs}
    return (
        "hidden" in said
        or _HIDDEN.search(said.get("style", "")) is not None
        or _QUOTE.search(said.get("class", "")) is not None
        or said.get("id", "") in ("divRplyFwdMsg", "appendonsend")
    )
