"""Pages that list passes or runs, with 200 mailboxes: they are summed, with a way to the page of mailboxes."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation import jobs
from reconciliation.models import Case, ConflictField, PassLease, Run, SyncPass
from tests.admin.test_pages import log_in, with_session
from tests.boxes import Boxes, boxes
from tests.services.test_mailbox_jobs import more

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
MANY = 200


@pytest.fixture
def box() -> Boxes:
    """A run and a conflict in each of 200 mailboxes, all at work."""
    box, now = boxes(), timezone.now()
    more(box, MANY)
    children = list(SyncPass.objects.filter(name__startswith="contacts:x"))
    common = {"kind": "scheduled", "started_at": now, "seen": 3, "created": 1}
    states = ["interrupted", *["finished"] * (MANY - 1)]
    Run.objects.bulk_create(Run(sync_pass=p, state=state, **common) for p, state in zip(children, states, strict=True))
    Run.objects.create(sync_pass=children[0], kind="staff", state="finished", started_at=now - timedelta(days=2), note="Forced by olga.")
    PassLease.objects.bulk_create(PassLease(name=f"pass:{p.name}", holder="x", expires_at=now + timedelta(hours=1)) for p in children)
    cases = Case.objects.bulk_create(
        Case(sync_pass=p, kind="conflict", crm_type="Contact", crm_id=f"003{p.pk}", peer_id=str(p.pk), name="Lind", opened_at=now)
        for p in children
    )
    fields = {"crm_field": "Title", "peer_field": "jobTitle", "crm_value": "A", "peer_value": "B"}
    ConflictField.objects.bulk_create(ConflictField(case=case, **fields) for case in cases)
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True, next_due_at=now - timedelta(days=30))
    return box


def main(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode())).partition("<main")[2]


def test_no_page_over_passes_or_runs_lists_every_mailbox_and_each_leads_to_them(box: Boxes, client: Client) -> None:
    log_in(client, "admin")
    with_session(client)

    for where in ("/", "/runs/", "/schedule/", "/coverage/", "/conflicts/bulk/", "/record-types/", "/mappings/", "/errors/"):
        with CaptureQueriesContext(connection) as queries:
            page = main(client.get(where))
        assert len(queries) <= 12, (where, len(queries))
        assert len(re.findall("contacts:x|p[0-9]+@example", page)) <= 2, where
        if where in ("/", "/runs/", "/schedule/"):
            assert 'href="/mailboxes/' in page, where


def test_runs_over_mailboxes_are_a_sum_and_can_be_listed(box: Boxes, client: Client) -> None:
    log_in(client, "viewer")

    page = main(client.get("/runs/"))
    assert "200 runs</a> over 200" in page and "600 seen, 200 created" in page and "1 did not come to the end" in page
    assert page.count('href="/runs/') == 1 + page.count('href="/runs/export.csv')  # what a person did in a mailbox stands there
    each = main(client.get("/runs/?of=mailboxes"))
    assert each.count("<tr>") > 40 and "200 runs</a>" not in each
    assert "Interrupted" in main(client.get("/runs/?of=mailboxes&state=interrupted"))
    assert main(client.get("/runs/?mailbox=p1@")).count('<td><a href="/runs/') == 1


def test_the_schedule_counts_mailboxes_at_work_and_calls_their_pass_never_late(box: Boxes, client: Client) -> None:
    log_in(client, "admin")

    page = main(client.get("/schedule/"))

    assert "200 <a" in page and "are gone over at this moment" in page and "waits for its turn" not in page


def test_one_field_is_decided_for_all_mailboxes_each_by_itself(box: Boxes, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user = log_in(client, "operator")
    page = main(client.get("/conflicts/bulk/"))
    assert page.count("?pass=contacts&field=jobTitle&take=crm") == 1 and "the mailbox’s…" in page.lower()
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "ask_for", lambda *arguments: asked.append(arguments))

    page = main(client.get("/conflicts/bulk/?pass=contacts&field=jobTitle&take=crm"))
    keys = re.findall(r'name="key" value="([^"]+)"', page)
    assert len(keys) == MANY and "p1@example.test" in page
    said = jobs.settle_conflicts("contacts", keys[:3], "crm", user.pk)

    assert said == "3 mailboxes asked for"
    assert [len(own) for _, _, own, *_ in asked] == [1, 1, 1] and len({name for _, name, *_ in asked}) == 3
