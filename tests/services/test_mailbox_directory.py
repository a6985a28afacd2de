"""Joiners: people of the directory, their Salesforce users, groups, the test of a mailbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.contract import Record, Ref
from reconciliation.core.mailbox_people import match_user
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.models import AuditEntry, Connection, Mailbox, MailboxGroup, SyncPass
from reconciliation.services.mailbox_directory import directory_read, mailbox_choose_user, mailboxes_add, mailboxes_look_after
from reconciliation.services.mailbox_groups import group_assign, group_remove, group_save
from reconciliation.services.mailbox_test import mailbox_test
from reconciliation.services.mailboxes import MailboxRefused
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box() -> Boxes:
    return boxes()


def peer(box: Boxes) -> Connection:
    return Connection.objects.get(system=box.system)


def row(address: str) -> Mailbox:
    return Mailbox.objects.get(address=address)


def joiner(box: Boxes, address: str, *, user: bool = True, **values: Any) -> str:
    """Makes a person at the mail system, and the Salesforce user of the same address."""
    box.mail.create_record("user", {"mail" if box.system == "microsoft" else "email": address})
    if not user:
        return ""
    alias = address.partition("@")[0][:8]
    given = {"Username": f"{alias}{len(values)}@crm.test", "LastName": alias, "Email": address.upper(), "Alias": alias, **values}
    return str(box.world.salesforce.create_record("User", given)["Id"])


@pytest.mark.parametrize(
    ("users", "found", "says"),
    [
        ([("1", "ann@x.test", True)], "1", ""),
        ([("1", "ANN@X.test", True), ("2", "ann@x.test", False), ("3", "other@x.test", True)], "1", ""),
        ([("1", "ann@x.test", False)], "", "is inactive"),
        ([("1", "ann@x.test", True), ("2", "Ann@x.test", True)], "", "2 active Salesforce users"),
        ([], "", "No Salesforce user has the address"),
    ],
)
def test_a_mailbox_belongs_to_the_one_active_user_of_its_address(users: list[Any], found: str, says: str) -> None:
    """C18, C34: exactly one, whatever the case; several or none leave it open, with a sentence."""
    records = [Record(Ref("salesforce", "User", id_), {"Email": email, "Name": f"N{id_}", "IsActive": on}) for id_, email, on in users]

    match = match_user(" Ann@x.test", records)

    assert (match.user_id, says in match.says) == (found, True) and bool(match.says) == bool(says)


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_the_directory_says_what_is_known_of_each_person(system: str) -> None:
    box = boxes(system)
    if system == "google":
        Connection.objects.filter(system=system).update(settings={**peer(box).settings, "directory_user": box.mine})
    cleo = joiner(box, "cleo@example.test")
    joiner(box, "dan@example.test", user=False)

    people = {person.address: person for person in directory_read(peer(box), wiring=box.wiring).people}

    assert list(people) == sorted(people) and {box.mine, box.theirs, "cleo@example.test", "dan@example.test"} <= people.keys()
    assert people[box.mine].mailbox == row(box.mine) and people[box.mine].crm_user_id == box.users[box.mine]
    assert (people["cleo@example.test"].mailbox, people["cleo@example.test"].crm_user_id) == (None, cleo)
    assert people["dan@example.test"].says.startswith("No Salesforce user has the address dan@example.test")
    with pytest.raises(MailboxRefused, match="leads to no mailboxes"):
        directory_read(box.parent.crm, wiring=box.wiring)


def test_a_user_that_a_file_names_counts_as_chosen(box: Boxes) -> None:
    cleo = joiner(box, "cleo@example.test")

    mailboxes_add(peer(box), ["eve@example.test"], None, crm_emails={"eve@example.test": "cleo@example.test"}, wiring=box.wiring)

    assert (row("eve@example.test").crm_user_id, row("eve@example.test").crm_user_chosen) == (cleo, True)


def test_people_become_mailboxes_with_their_users_and_the_settings_of_their_group(box: Boxes) -> None:
    group = group_save(None, "Sales", {"contacts": True, "deletion": "allowed"}, None)
    cleo = joiner(box, "cleo@example.test")

    done = mailboxes_add(
        peer(box),
        ["Cleo@Example.test", "cleo@example.test", "dan@example.test", "no address", box.mine.upper()],
        None,
        group,
        wiring=box.wiring,
    )

    assert done.changed == 2
    assert sorted(done.refused) == [f"{box.mine.upper()} is a mailbox here already.", "“no address” is no e-mail address."]
    made = row("Cleo@Example.test")
    assert (made.state, made.crm_user_id, made.crm_user_chosen, made.group) == ("new", cleo, False, group)
    assert {n: e.value for n, e in effective_of(box.parent, made).items()}["deletion"] == "allowed"
    assert row("dan@example.test").match_says.startswith("No Salesforce user has the address dan@example.test")
    assert AuditEntry.objects.get(action="mailboxes.added").subject == "2 mailboxes"


def test_salesforce_that_is_down_keeps_nobody_from_joining_and_the_daily_look_matches_later(box: Boxes) -> None:
    cleo = joiner(box, "cleo@example.test")
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce"})

    assert mailboxes_add(peer(box), ["cleo@example.test"], None, wiring=box.wiring).changed == 1

    assert row("cleo@example.test").match_says.startswith("Salesforce could not be asked")
    box.world.faults.clear()
    assert mailboxes_look_after(wiring=box.wiring).matched == 1
    assert (row("cleo@example.test").crm_user_id, row("cleo@example.test").match_says) == (cleo, "")


def test_what_staff_chose_no_match_changes(box: Boxes) -> None:
    box.world.salesforce.update_record("User", box.users[box.theirs], {"Email": "elsewhere@example.test"})
    Mailbox.objects.filter(address=box.theirs).update(crm_user_id="", crm_user_chosen=False)

    mailbox_choose_user(row(box.theirs), box.users[box.mine], None, wiring=box.wiring)

    chosen = row(box.theirs)
    assert (chosen.crm_user_id, chosen.crm_user_chosen, chosen.crm_user_name) == (box.users[box.mine], True, "Ann User")
    box.world.salesforce.update_record("User", box.users[box.theirs], {"Email": box.theirs})
    assert mailboxes_look_after(wiring=box.wiring).matched == 0 and row(box.theirs).crm_user_id == box.users[box.mine]
    mailbox_choose_user(
        row(box.theirs), "elsewhere@EXAMPLE.test".replace("elsewhere", box.theirs.partition("@")[0]), None, wiring=box.wiring
    )
    assert row(box.theirs).crm_user_id == box.users[box.theirs]
    mailbox_choose_user(row(box.theirs), "", None, wiring=box.wiring)
    assert (row(box.theirs).crm_user_chosen, row(box.theirs).crm_user_id) == (False, box.users[box.theirs])
    box.world.salesforce.update_record("User", box.users[box.mine], {"IsActive": False})
    for wrong in (box.users[box.mine], "005000000000000AAA", "nobody@example.test"):
        with pytest.raises(MailboxRefused, match="Nothing was changed"):
            mailbox_choose_user(row(box.theirs), wrong, None, wiring=box.wiring)
    assert row(box.theirs).crm_user_id == box.users[box.theirs]


def test_groups_are_saved_assigned_and_removed(box: Boxes) -> None:
    olga = User.objects.create(username="olga")
    with pytest.raises(MailboxRefused, match="cannot be 'sometimes'"):
        group_save(None, "Sales", {"deletion": "sometimes"}, olga)
    with pytest.raises(MailboxRefused, match="name"):
        group_save(None, "  ", {}, olga)
    sales = group_save(None, " Sales  team ", {"contacts": True}, olga)
    with pytest.raises(MailboxRefused, match="already"):
        group_save(None, "SALES TEAM", {}, olga)
    later = timezone.now() + timedelta(minutes=20)
    SyncPass.objects.filter(parent=box.parent).update(next_due_at=later)

    done = group_assign([row(box.mine).pk], sales, olga)

    assert done.changed == 1 and effective_of(box.parent, row(box.mine))["contacts"].value is True
    assert box.passes[box.mine].mailbox.passes.get().next_due_at < later  # what was switched on begins at the next tick
    assert group_assign([row(box.mine).pk], sales, olga).changed == 0
    group_save(sales, "Sales", {}, olga)
    assert effective_of(box.parent, row(box.mine))["contacts"].value is False
    group_remove(MailboxGroup.objects.get(), olga)
    assert row(box.mine).group is None
    actions = list(AuditEntry.objects.filter(username="olga").order_by("pk").values_list("action", flat=True))
    assert actions == ["save mailbox group", "assign mailbox group", "save mailbox group", "remove mailbox group"]


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_the_test_of_a_mailbox_tries_everything_and_writes_nothing(system: str) -> None:
    box = boxes(system)

    lines = mailbox_test(row(box.mine), None, wiring=box.wiring)

    said = {line.name: line.sentence for line in lines}
    assert all(line.is_ok for line in lines), said
    assert "the first run makes it" in said["Folder"] and " User is known and active" in said["Salesforce user"]
    assert said["View"] == "All contacts that the user owns."
    stored = row(box.mine)
    assert [line["name"] for line in stored.checks] == [line.name for line in lines] and stored.tested_at is not None
    assert not box.rows() and not stored.folder_id
    with pytest.raises(MailboxRefused):
        mailbox_test(stored, User.objects.create(username="eve"), wiring=box.wiring)


def test_the_test_of_a_mailbox_says_what_to_do(box: Boxes) -> None:
    user = next(u for u in box.mail.list_records("user") if u["mail"] == box.mine)
    box.mail.update_record("user", box.mail.find_id("user", user["id"]), {"state": "denied"})
    box.world.salesforce.update_record("User", box.users[box.mine], {"IsActive": False})
    box.set(view="00B000000000000AAA")

    lines = [line for line in mailbox_test(row(box.mine), None, wiring=box.wiring) if not line.is_ok]

    names = {line.name for line in lines}
    assert {"Read contacts", "Salesforce user", "View"} <= names
    assert all(line.remedy or line.sentence for line in lines)
    Mailbox.objects.update(crm_user_id="", match_says="")
    assert any("Nobody is known" in line.sentence for line in mailbox_test(row(box.mine), None, wiring=box.wiring))
    Connection.objects.filter(system="microsoft").update(base_url="http://127.0.0.1:9")
    assert not mailbox_test(row(box.mine), None)[0].is_ok
