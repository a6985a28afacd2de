"""A mailbox whose sync ends for good, and that is added again: nothing is deleted, and nothing is made twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from connectors.oauth import Tokens
from reconciliation.engine.connections import mailbox_tokens
from reconciliation.engine.staff import at_work
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import AuditEntry, Binding, Case, Connection, LookAgain, Mailbox, Run, SyncPass
from reconciliation.services.mailbox_directory import directory_read, mailbox_left, mailboxes_add
from reconciliation.services.mailbox_ending import ending_of, mailbox_end, mailboxes_end
from reconciliation.services.mailbox_first import mailbox_start
from reconciliation.services.mailbox_import import ADD, read
from reconciliation.services.mailbox_links import link_send
from reconciliation.services.mailbox_overview import complete, mailboxes_listed
from reconciliation.services.mailbox_states import mailbox_resume, mailbox_sync_now
from reconciliation.services.mailboxes import MailboxRefused, mailbox_add
from tests.boxes import FOLDER, Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    made = boxes(request.param)
    Connection.objects.filter(system="google").update(settings={"flow": "service_account", "pause": 0, "directory_user": made.mine})
    yield made


@pytest.fixture
def olga() -> User:
    return User.objects.create_superuser("olga")


def lived(box: Boxes) -> Mailbox:
    """Two contacts in agreement, a question, a user who signs in, tokens of its own. Returns the mailbox."""
    box.contact("Lind", "bo@acme.example")
    box.contact("Moss", "mo@acme.example")
    box.run()
    box.put(FOLDER, surname="Berg", emails=["bo@acme.example"])
    box.run()
    own = User.objects.create(username=box.mine)
    Mailbox.objects.filter(address=box.mine).update(user=own, secrets={"refresh_token": "x"}, link_digest="d", settings={"view": "mine"})
    return Mailbox.objects.get(address=box.mine)


def test_ending_deletes_nothing_and_forgets_tokens_sign_in_and_what_waits(box: Boxes, olga: User) -> None:
    mailbox = lived(box)
    held = len(box.folder())
    facts = ending_of([mailbox.pk])
    assert (facts.contacts, facts.issues) == (2, 1) and "Nothing is deleted." in facts.facts[0]

    mailbox_end(mailbox, olga, "She moved to another company")

    assert (mailbox.state, mailbox.state_by, mailbox.state_reason) == ("ended", "olga", "She moved to another company")
    assert (mailbox.secrets, mailbox.link_digest, mailbox.user, mailbox.settings) == ({}, "", None, {})
    assert not User.objects.get(username=box.mine).is_active
    assert Case.objects.get().state == "closed" and not LookAgain.objects.filter(sync_pass__mailbox=mailbox).exists()
    assert len(box.folder()) == held and len(box.contacts()) == 2 and Binding.objects.filter(is_tombstone=False).count() == 2
    assert AuditEntry.objects.get(action="end mailbox").subject == box.mine
    for act in (mailbox_resume, mailbox_sync_now, link_send):
        with pytest.raises(MailboxRefused):
            act(mailbox, olga)
    with pytest.raises(MailboxRefused, match="ended already"):
        mailbox_end(mailbox, olga)
    with pytest.raises(MailboxRefused, match="None of them"):
        ending_of([mailbox.pk])


def test_staff_who_use_the_mailbox_keep_their_account_and_one_that_is_refused_stops_no_other(box: Boxes, olga: User) -> None:
    mailbox = lived(box)
    Mailbox.objects.filter(pk=mailbox.pk).update(user=olga)

    done = mailboxes_end(list(Mailbox.objects.values_list("pk", flat=True)), olga)
    again = mailboxes_end([mailbox.pk], olga)

    olga.refresh_from_db()
    assert olga.is_active and (done.changed, done.refused) == (2, [])
    assert again.changed == 0 and "ended already" in again.refused[0]


def test_added_again_it_begins_with_a_preview_and_makes_nothing_twice(box: Boxes, olga: User) -> None:
    mailbox = lived(box)
    before = box.rows()
    mailbox_end(mailbox, olga)
    assert read(f"address\n{box.mine}", mailbox.connection).rows[0].will == ADD
    assert {p.address: p.mailbox for p in directory_read(mailbox.connection, wiring=box.wiring).people}[box.mine] is None

    done = mailboxes_add(mailbox.connection, [box.mine], olga, wiring=box.wiring)

    mailbox.refresh_from_db()
    assert (done.changed, done.refused) == (1, []) and Mailbox.objects.count() == 2
    assert (mailbox.state, mailbox.crm_user_id, mailbox.settings) == ("new", box.users[box.mine], {})
    child = SyncPass.objects.get(mailbox=mailbox)
    assert not child.is_on and child.switched_on_at is None
    box.contact("New", "ne@acme.example")
    box.passes[box.mine] = child
    box.set(contacts=True)
    assert box.run().state == "held" and len(box.rows()) == len(before) == 3  # a plan, over a sandbox, too
    plan = box.run(kind=Run.Kind.PREVIEW)
    assert (plan.created, len(box.rows())) == (1, len(before)), box.events(plan)  # what lies in the folder is linked, and not made again

    Run.objects.filter(pk=plan.pk).update(started_at=timezone.now())  # it was made by another clock
    plan.refresh_from_db()
    mailbox_start(child.mailbox, plan, olga)
    box.passes[box.mine] = SyncPass.objects.get(pk=child.pk)
    run = box.run()

    assert run.created == 1 and sorted(row["surname"] for row in box.folder()) == ["Berg", "Lind", "Moss", "New"]
    assert len(box.contacts()) == 3 and Case.objects.get(state="open").kind == "exists"
    assert (box.run().created, box.runs[-1].updated) == (0, 0)


def test_one_address_added_singly_begins_anew_too(box: Boxes, olga: User) -> None:
    mailbox = lived(box)
    mailbox_end(mailbox, olga)

    again = mailbox_add(mailbox.connection, box.mine.upper(), olga)

    assert (again.pk, again.state, again.is_planned_first) == (mailbox.pk, "new", True)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))[-1] == "mailbox.added"


def test_a_run_under_way_brings_no_tokens_back(box: Boxes, olga: User) -> None:
    mailbox = lived(box)
    store = mailbox_tokens(mailbox.connection_id, mailbox.address)
    mailbox_end(mailbox, olga)

    store.save(Tokens("access", "renewed"))

    mailbox.refresh_from_db()
    assert mailbox.secrets == {}
    Mailbox.objects.filter(pk=mailbox.pk).update(secrets={"refresh_token": "left behind"})
    assert mailbox_add(mailbox.connection, box.mine, olga).secrets == {}


def test_a_mailbox_may_end_and_begin_many_times_and_its_user_signs_in_each_time(box: Boxes, olga: User, settings: Any) -> None:
    settings.MAIL_IS_CONFIGURED, settings.SITE_URL = True, "http://x"
    mailbox, names = Mailbox.objects.get(address=box.mine), []
    for _ in range(3):
        link_send(mailbox, olga)
        names.append(mailbox.user.username)
        mailbox_end(mailbox, olga)
        mailbox = mailbox_add(mailbox.connection, box.mine, olga)

    assert len(set(names)) == 3


def test_only_an_admin_ends_and_an_operator_keeps_the_account(box: Boxes, olga: User) -> None:
    operator = User.objects.create(username="oper")
    operator.groups.add(Group.objects.get(name="operator"))
    mailbox = Mailbox.objects.get(address=box.mine)
    Mailbox.objects.filter(pk=mailbox.pk).update(user=operator)
    assert ending_of([mailbox.pk]).facts[0].startswith("It holds no contacts yet.")

    with pytest.raises(MailboxRefused, match="Only an admin"):
        mailbox_end(mailbox, operator)
    mailbox_end(mailbox, olga)

    operator.refresh_from_db()
    assert operator.is_active and not mailbox_left(mailbox, "gone") and Mailbox.objects.get(pk=mailbox.pk).is_ended


def test_one_address_in_two_systems_is_said_though_the_users_differ(box: Boxes) -> None:
    google = Connection.objects.create(name="Other", system="google", base_url="http://127.0.0.1:9", is_sandbox=True)
    Mailbox.objects.create(connection=google, address=box.mine, crm_user_id="005other")

    rows = complete(list(mailboxes_listed().filter(address=box.mine)), [box.parent])

    assert all("has the same address, and another Salesforce user." in row.shares for row in rows) and len(rows) == 2


def test_what_was_thrown_away_while_nothing_was_synced_is_deleted_nowhere(box: Boxes, olga: User) -> None:
    """Deleting is allowed for all: what its user does with contacts that are personal by then is no business of Salesforce."""
    rules = {"mailbox_settings": {"deletion": {"value": "allowed"}, "contacts": {"value": True}}}
    SyncPass.objects.filter(pk=box.parent.pk).update(settings=rules)
    mailbox = lived(box)
    mailbox_end(mailbox, olga)
    for row in box.rows():
        box.drop(row["id"])
    mailboxes_add(mailbox.connection, [box.mine], olga, wiring=box.wiring)
    child = SyncPass.objects.get(mailbox=mailbox)
    SyncPass.objects.filter(pk=child.pk).update(is_on=True, switched_on_at=box.clock())
    box.passes[box.mine] = SyncPass.objects.get(pk=child.pk)

    for _ in range(3):
        box.run()

    assert len(box.contacts()) == 2 and not Case.objects.filter(state="open").exists()


def test_nothing_is_written_for_an_ended_mailbox_whatever_waits(box: Boxes, olga: User) -> None:
    box.contact("Lind", "bo@acme.example")
    box.run()
    mailbox = Mailbox.objects.get(address=box.mine)
    mailbox_end(mailbox, olga)
    box.contact("Late", "la@acme.example")

    run = box.run()

    assert (run.kind, run.state) == ("preview", "held") and "was ended" in run.note and len(box.rows()) == 1
    with pytest.raises(WritesStopped, match="was ended"), at_work(box.passes[box.mine], by="olga", what="Undo.", wiring=box.wiring):
        raise AssertionError("no work is begun")
