"""The set-up checklist where only Salesforce and mail systems are connected (S1.3, C33)."""

from __future__ import annotations

import html
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.models import Connection, Mailbox, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.setup_steps import is_set_up, setup_pass, setup_steps
from reconciliation.services.steps import Step
from reconciliation.services.switch_on import pass_switch_off, pass_switch_on
from tests.admin.test_pages import log_in, with_session
from tests.boxes import Boxes, boxes, connect_google

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box() -> Iterator[Boxes]:
    box = boxes("microsoft")
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)
    Connection.objects.update(is_sandbox=False, state=Connection.State.OK)
    SyncPass.objects.exclude(parent=None).update(is_on=False, switched_on_at=None)
    yield box


def states() -> dict[str, str]:
    return {step.key: step.state for step in setup_steps(setup_pass())}


def step(key: str) -> Step:
    return next(s for s in setup_steps(setup_pass()) if s.key == key)


def test_what_is_missing_fits_what_is_connected(box: Boxes) -> None:
    SyncPass.objects.exclude(parent=None).delete()
    SyncPass.objects.all().delete()
    Mailbox.objects.all().delete()
    Connection.objects.filter(system="salesforce").delete()

    assert step("connect").missing == ("Salesforce is not connected yet: mailboxes take their contacts from it.",)
    assert list(states()) == ["connect", "mapping", "mailboxes", "contacts", "on", "started"]
    Connection.objects.create(name="WB", system="workbooks", base_url="https://wb.example", state="ok")
    assert step("connect").missing == ("Workbooks goes with Outreach, mailboxes go with Salesforce: connect one of the two.",)


def test_the_way_of_mailboxes_from_connected_to_started(box: Boxes) -> None:
    asked = " ".join([line for s in setup_steps(setup_pass()) for line in (s.title, s.sentence, s.who, *s.missing)])
    assert "Outreach" not in asked and "Microsoft 365 administrator" in asked
    assert states() == {"connect": "done", "mapping": "done", "mailboxes": "done", "contacts": "to do", "on": "later", "started": "later"}
    Mailbox.objects.filter(address=box.theirs).update(crm_user_id="")
    assert "1 mailbox has no Salesforce user" in step("mailboxes").missing[0] and step("mailboxes").is_done

    SyncPass.objects.filter(pk=box.parent.pk).update(settings={"mailbox_settings": {"contacts": {"value": True}}})
    assert (states()["contacts"], states()["on"]) == ("done", "to do")
    olga = User.objects.create(username="olga")
    assert setup_pass() == box.parent
    pass_switch_on(box.parent, olga)
    assert (states()["on"], states()["started"]) == ("done", "to do")
    assert is_set_up(list(SyncPass.objects.whole()), Connection.objects.all())
    SyncPass.objects.filter(pk=box.passes[box.mine].pk).update(is_on=True, switched_on_at=timezone.now())
    assert set(states().values()) == {"done"} and step("started").missing == ("1 mailbox waits to be started.",)


def test_a_pass_over_started_mailboxes_is_switched_off_and_on_again(box: Boxes) -> None:
    SyncPass.objects.exclude(parent=None).update(is_on=True)
    for switch in (pass_switch_on, pass_switch_off, pass_switch_on):
        switch(SyncPass.objects.get(pk=box.parent.pk), None)

    assert SyncPass.objects.get(pk=box.parent.pk).is_on


def test_the_page_names_both_mail_systems_and_asks_for_neither_outreach_nor_organisations(box: Boxes, client: Client) -> None:
    google = connect_google(box.world)
    Connection.objects.filter(pk=google.pk).update(is_sandbox=False, state=Connection.State.OK)
    log_in(client, "admin")
    with_session(client)

    with CaptureQueriesContext(connection) as queries:
        page = html.unescape(client.get("/setup/").content.decode()).partition("<main")[2]

    assert len(queries) <= 12, "\n".join(q["sql"].partition(" FROM ")[2][:130] for q in queries)
    assert "Salesforce and Microsoft 365 and Google answer" in page and "Contacts switch" in page
    assert "Outreach" not in page and "organisation" not in page
