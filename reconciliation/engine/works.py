"""Which engine carries which pass: the one place that knows all kinds of passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.errors import ConnectorError
from reconciliation.engine import (
    activity_recovery,
    activity_sweep,
    activity_terms,
    cases,
    email_recovery,
    email_sweep,
    email_terms,
    item_sweep,
    item_terms,
    mailbox_sweep,
    mailbox_terms,
    organisation_sweep,
    pair_recovery,
    pair_sweep,
    recovery,
    task_sweep,
)
from reconciliation.engine.context import Order, RunContext
from reconciliation.engine.executor import Side
from reconciliation.engine.wiring import Wiring
from reconciliation.models import SyncPass
from reconciliation.models.work_left import WorkLeft

Ended = tuple[str, str]  # the state a run ends in, and a note


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of pass. `terms` holds what does not change while a run is under way."""

    terms: Callable[[SyncPass, Side, Side, Wiring], Any]
    open: Callable[[RunContext], None]  # before anything else of a run, or of a person's decision
    recover: Callable[[RunContext, WorkLeft], None]
    retry_owed: Callable[[RunContext], None]
    sweep: Callable[[RunContext, Order], Ended]
    apply: Callable[[RunContext, int], Ended]
    on_trouble: Callable[[RunContext, ConnectorError], None]


def _late_write_backs(context: RunContext, error: ConnectorError) -> None:
    if error.system == context.crm.connector.system:
        cases.open_late_write_backs(context)


def _nothing_to_open(context: RunContext) -> None:
    """Most passes find their ground as it is."""


ORGANISATIONS = Work(
    organisation_sweep.terms_of,
    _nothing_to_open,
    recovery.recover,
    organisation_sweep.retry_owed,
    organisation_sweep.sweep,
    organisation_sweep.apply,
    _late_write_backs,
)
PAIRS = Work(
    pair_sweep.terms_of,
    _nothing_to_open,
    pair_recovery.recover,
    pair_sweep.retry_owed,
    pair_sweep.sweep,
    pair_sweep.apply,
    lambda context, error: None,  # nothing is flagged in a CRM of a two-way pass
)
CONTACTS = Work(
    mailbox_terms.terms_of,
    mailbox_sweep.open_mailbox,
    pair_recovery.recover,
    mailbox_sweep.retry_owed,
    mailbox_sweep.sweep,
    mailbox_sweep.apply,
    lambda context, error: None,
)
EVENTS = Work(
    item_terms.terms_of,
    item_sweep.open_mailbox,
    pair_recovery.recover,
    item_sweep.retry_owed,
    item_sweep.sweep,
    item_sweep.apply,
    lambda context, error: None,
)
TASKS = Work(
    item_terms.terms_of,
    task_sweep.open_mailbox,
    pair_recovery.recover,
    task_sweep.retry_owed,
    task_sweep.sweep,
    task_sweep.apply,
    lambda context, error: None,
)
ACTIVITIES = Work(
    activity_terms.terms_of,
    _nothing_to_open,
    activity_recovery.recover,
    _nothing_to_open,  # what waits is taken up by the sweep
    activity_sweep.sweep,
    activity_sweep.apply,
    lambda context, error: None,
)
EMAILS = Work(
    email_terms.terms_of,
    email_sweep.open_mailbox,
    email_recovery.recover,
    email_sweep.retry_owed,
    email_sweep.sweep,
    email_sweep.apply,
    lambda context, error: None,
)
_WORKS = {"prospects": PAIRS, "accounts": PAIRS, "contacts": CONTACTS, "events": EVENTS, "tasks": TASKS, "emails": EMAILS}
_WORKS |= {"outreach-activities": ACTIVITIES}


def work_of(sync_pass: SyncPass) -> Work:
    """Returns how this pass is carried."""
    return _WORKS.get(sync_pass.kind, ORGANISATIONS)
