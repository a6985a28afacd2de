"""How much of Workbooks is in Outreach: our own counts at once, those of Workbooks when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.contract import All, Condition, Op, Page, Position, Record, Test
from reconciliation.core.eligibility import PluginColumns, switched_on
from reconciliation.engine.wiring import Wiring
from reconciliation.models import CoverageCount, SyncPass
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.services.audit import audit
from reconciliation.store import organisation_columns

ROWS_A_PAGE = 50
# What can be counted and listed in Workbooks itself, in the words of the page.
LISTS = {
    "organisations": "Organisations in Workbooks",
    "ticked": "Ticked: Sync to Outreach",
    "waiting": "Ticked and unflagged, without an Outreach Id",
    "duplicate": "Flagged: Outreach Duplicate",
    "error": "Flagged: Outreach Sync Error",
    "without_id": "Without an Outreach Id",
}


def condition_of(show: str, columns: PluginColumns) -> Condition:
    """Returns what Workbooks is asked for. Raises KeyError for a list that does not exist."""
    everything = Test("id", Op.GT, "0")
    return {
        "organisations": everything,
        "ticked": Test(columns.sync, Op.TRUE),
        "waiting": All((*switched_on(columns), Test(columns.peer_id, Op.BLANK))),
        "duplicate": Test(columns.duplicate, Op.TRUE),
        "error": Test(columns.error, Op.TRUE),
        "without_id": Test(columns.peer_id, Op.BLANK),
    }[show]


def coverage_count(sync_pass: SyncPass, user: AbstractBaseUser, *, wiring: Wiring | None = None) -> CoverageCount:
    """Asks Workbooks for the counts, one small call each, and keeps them. Raises ConnectorError."""
    columns = organisation_columns(sync_pass)
    crm = (wiring or Wiring()).open_connector(sync_pass.crm)
    try:
        counts = {show: crm.count(ORGANISATION, condition_of(show, columns)) for show in LISTS}
    finally:
        crm.close()
    counts["in_outreach"] = counts["organisations"] - counts["without_id"]
    now = timezone.now()
    row, _ = CoverageCount.objects.update_or_create(
        sync_pass=sync_pass, defaults={"counts": counts, "counted_at": now, "counted_by": user.get_username()}
    )
    audit(user, "count in Workbooks", sync_pass.title)
    return row


@dataclass(frozen=True, slots=True)
class Slice:
    """Where a live list goes on: behind this instant and id."""

    updated_at: datetime
    id: str


def live_rows(sync_pass: SyncPass, show: str, *, wiring: Wiring | None = None) -> Iterator[Record]:
    """Yields every organisation of a list as Workbooks has them now, 100 a call. Raises ConnectorError on the way."""
    columns = organisation_columns(sync_pass)
    crm = (wiring or Wiring()).open_connector(sync_pass.crm)
    try:
        for found in crm.scan(ORGANISATION, where=condition_of(show, columns), columns=["name", *columns.names]):
            yield from found.records
    finally:
        crm.close()


def live_list(sync_pass: SyncPass, show: str, after: Slice | None = None, *, wiring: Wiring | None = None) -> Page:
    """Returns a page of organisations as Workbooks has them now, oldest edit first. Raises ConnectorError."""
    columns = organisation_columns(sync_pass)
    position = Position(after.updated_at, after.id) if after is not None else None
    crm = (wiring or Wiring()).open_connector(sync_pass.crm)
    try:
        return crm.changes(
            ORGANISATION, where=condition_of(show, columns), columns=["name", *columns.names], position=position, page_size=ROWS_A_PAGE
        )
    finally:
        crm.close()
