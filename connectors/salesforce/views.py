"""Salesforce's list views, by their own queries and never by what they display (reference section 8.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import SavedView, ViewTerms
from connectors.errors import NeedsAttention, Rejected
from connectors.http import Answer, unreadable
from connectors.salesforce import query, view_terms
from connectors.salesforce.client import VERSIONS, SalesforceClient
from connectors.salesforce.codec import SYSTEM, full_id
from connectors.text import clean


class ListViews:
    """The list views of one connection."""

    def __init__(self, client: SalesforceClient) -> None:
        self._client = client

    def all(self, object_type: str) -> list[SavedView]:
        """Returns the views that our user may see, over all pages."""
        link = f"{self._client.root}/sobjects/{query.name(object_type)}/listviews"
        views: list[SavedView] = []
        seen: set[str] = set()
        while link:
            seen.add(link)
            answer = self._client.get(link, template="/sobjects/{object}/listviews")
            rows, following = _page(answer)
            found = [_view(row) for row in rows]
            if None in found or following in seen:
                raise unreadable(SYSTEM, answer, is_read=True)
            views += [view for view in found if view is not None]
            link = following
        return views

    def query_of(self, object_type: str, view_id: str) -> str:
        """Returns a query for the ids of the records in the view. Raises Rejected for a view that none can be told of."""
        answer, described = self._describe(object_type, view_id)
        said = described.get("query")
        if not isinstance(said, str):
            raise unreadable(SYSTEM, answer, is_read=True)
        return query.of_view(said, object_type)

    def terms_of(self, object_type: str, view_id: str) -> ViewTerms:
        """Returns what the view asks for, so that it can be evaluated for others."""
        try:
            return view_terms.terms_of(object_type, self._describe(object_type, view_id)[1])
        except NeedsAttention as error:
            if error.status != 404:
                raise
            return view_terms.gone(object_type)

    def _describe(self, object_type: str, view_id: str) -> tuple[Answer, Mapping[str, Any]]:
        id_ = full_id(view_id)
        if id_ is None:
            raise Rejected(f"{view_id[:40]!r} is no list view", system=SYSTEM)
        path = f"{self._client.root}/sobjects/{query.name(object_type)}/listviews/{id_}/describe"
        answer = self._client.get(path, template="/sobjects/{object}/listviews/{id}/describe")
        if not isinstance(answer.data, dict):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer, answer.data


def _page(answer: Answer) -> tuple[list[Any], str]:
    """Returns the rows of a page and where the next one is, "" at the end."""
    data = answer.data if isinstance(answer.data, dict) else {}
    rows, is_done, following = data.get("listviews"), data.get("done"), data.get("nextRecordsUrl")
    leads_on = isinstance(following, str) and following.startswith(VERSIONS)
    if not isinstance(rows, list) or not isinstance(is_done, bool) or (not is_done and not leads_on):
        raise unreadable(SYSTEM, answer, is_read=True)
    return rows, "" if is_done else str(following)


def _view(row: Any) -> SavedView | None:
    id_ = row.get("id") if isinstance(row, Mapping) else None
    full = full_id(id_) if isinstance(id_, str) else None
    if full is None:
        return None
    title = clean(str(row.get("label") or row.get("developerName") or full))[0]
    return SavedView(full, title[:200], row.get("soqlCompatible") is True)
