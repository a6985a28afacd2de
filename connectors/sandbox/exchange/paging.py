"""Pages of lists: where a call wants one to begin, and what of it comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.refusal import Refused
from connectors.sandbox.exchange.soap import attribute, child, choice, m, number, t

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page:
    """From where on and how many; `most` None: all. `is_from_end`: counted from the end of the list."""

    offset: int = 0
    most: int | None = None
    is_from_end: bool = False


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    """A part of a list: its rows, how many there are in all, and where the next part begins (None: there is none)."""

    rows: list[Row]
    total: int
    behind: int | None

    def root(self, name: str, elements: list[Element]) -> Element:
        offset = {} if self.behind is None else {"IndexedPagingOffset": str(self.behind)}
        is_last = "true" if self.behind is None else "false"
        return m("RootFolder", t(name, *elements), **offset, TotalItemsInView=str(self.total), IncludesLastItemInRange=is_last)


def read_page(operation: Element, name: str) -> Page:
    """Returns the page that a call wants. Raises Faulted."""
    view = child(operation, name)
    if view is None:
        return Page()
    offset = number(attribute(view, "Offset"), "Offset")
    given = view.get("MaxEntriesReturned")
    most = None if given is None else number(given, "MaxEntriesReturned", least=1)
    return Page(offset, most, choice(view, "BasePoint", ("Beginning", "End")) == "End")


def paged(rows: Sequence[Row], page: Page, *, most: int | None) -> Part[Row]:
    """Returns a page of rows; the policy's `most` bounds it. Raises Refused for a list above it that is asked for as a whole."""
    if most is not None and page.most is None and len(rows) > most:
        told = f"The number of items in the folder exceeds the policy's limit of {most}; ask for pages."
        raise Refused("ErrorExceededFindCountLimit", told)
    size = min(each for each in (page.most, most, len(rows)) if each is not None)
    if page.is_from_end:
        end = max(0, len(rows) - page.offset)
        begin = max(0, end - size)
        return Part(list(rows[begin:end]), len(rows), page.offset + size if begin else None)
    end = page.offset + size
    return Part(list(rows[page.offset : end]), len(rows), end if end < len(rows) else None)
