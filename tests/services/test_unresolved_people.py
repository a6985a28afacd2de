"""What people decide about unknown addresses, made people, blocklists and own domains (S4.34, S4.37, C20)."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User

from connectors.errors import ConnectorError
from reconciliation.engine.linker import Linker
from reconciliation.engine.staff import Busy
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import AuditEntry, BlockedAddress, MadePerson, Operation, OwnDomain, Policy, Run, UnresolvedPerson
from reconciliation.services import blocklists, made_people, unresolved
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.forgetting import forget_ask, forget_carry_on, forget_confirm, forget_count
from tests.linked import linked_boxes, mail, meeting

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
SIGNED = "Hello,\n\nKind regards,\nZed Zimmer\nHead of Purchasing\nZeta Tools GmbH\n"


@pytest.fixture
def box():
    return linked_boxes()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def unknown(box, *addresses, **more):
    for n, address in enumerate(addresses):
        box.one(mail(f"m{n}", address, **more))
    return list(unresolved.unresolved_rows().order_by("pk"))


def mailbox_of(box, address=""):
    return box.boxes.passes[address or box.boxes.mine].mailbox


# --- making ---------------------------------------------------------------------------------------------------------------


def test_a_lead_is_made_of_an_unknown_address_with_what_its_mail_said(box, olga):
    rows = unknown(box, "zed@zeta-tools.example", name="Zed Zimmer", body=SIGNED)

    (made,) = unresolved.people_make(rows, "lead", olga, box.boxes.wiring)

    (lead,) = box.rows("Lead")
    assert (lead["LastName"], lead["Title"], lead["Company"]) == ("Zimmer", "Head of Purchasing", "Zeta Tools GmbH")
    assert (made.record_id, made.is_new) == (lead["Id"], True)
    row = UnresolvedPerson.objects.get()
    assert (row.state, row.crm_id, row.decided_by_name) == ("made", lead["Id"], "olga")
    assert (
        Operation.objects.get(object_type="Lead").origin["staff"] == "olga"
        and Run.objects.filter(kind="staff", note__startswith="Make a lead").exists()
    )


def test_many_are_made_at_once_a_shared_mailbox_too_and_who_is_known_by_now_is_found(box, olga):
    box.account("Zeta", "zeta.example")
    rows = unknown(box, "info@zeta.example", "yan@yota.example", "bo@beta.example")
    bo = box.contact("bo@beta.example")

    made = {m.address: m for m in unresolved.people_make(rows, "contact", olga, box.boxes.wiring)}

    assert made["bo@beta.example"].record_id == bo and not made["bo@beta.example"].is_new
    assert made["info@zeta.example"].is_new and made["yan@yota.example"].is_new
    states = dict(UnresolvedPerson.objects.values_list("address", "state"))
    assert states == {"info@zeta.example": "made", "yan@yota.example": "made", "bo@beta.example": "found"}
    assert {c["Email"] for c in box.rows("Contact")} == {"info@zeta.example", "yan@yota.example", "bo@beta.example"}


def test_what_salesforce_refuses_is_told_and_can_be_ordered_again_at_once(box, olga):
    rows = unknown(box, "zed@zeta.example", name="Zed Zimmer")
    rule = {"object": "Lead", "when": "LastName = 'Zimmer'", "message": "No Zimmers, please"}
    box.world.salesforce.set_switches({"validation_rules": [rule]})
    (refused,) = unresolved.people_make(rows, "lead", olga, box.boxes.wiring)
    box.world.salesforce.set_switches({"validation_rules": []})

    (made,) = unresolved.people_make(rows, "lead", olga, box.boxes.wiring)

    assert refused.reason == "Salesforce refused it: No Zimmers, please." and made.is_new


def test_a_blocked_address_is_not_made(box, olga):
    rows = unknown(box, "zed@zeta.example")
    blocklists.entries_add("zeta.example", olga)

    (made,) = unresolved.people_make(rows, "lead", olga, box.boxes.wiring)

    assert not made.record_id and "stands in the organisation's blocklist" in made.reason and not box.rows("Lead")


def test_whoever_was_deleted_in_salesforce_is_made_again_where_a_person_orders_it(box, olga):
    rows = unknown(box, "zed@zeta.example", name="Zed Zimmer")
    (first,) = unresolved.people_make(rows, "lead", olga, box.boxes.wiring)
    box.world.salesforce.delete_record("Lead", first.record_id)
    UnresolvedPerson.objects.update(state="open")

    (again,) = unresolved.people_make(list(unresolved.unresolved_rows()), "contact", olga, box.boxes.wiring)

    assert again.is_new and len(box.rows("Contact")) == 1 and not box.rows("Lead")


def test_whoever_was_made_before_counts_as_found(box, olga):
    rows = unknown(box, "zed@zeta.example", name="Zed Zimmer")
    (first,) = unresolved.people_make(rows, "lead", olga, box.boxes.wiring)
    box.world.salesforce.update_record("Lead", first.record_id, {"Email": "zed@new.example"})
    UnresolvedPerson.objects.update(state="open")

    (again,) = unresolved.people_make(list(unresolved.unresolved_rows()), "lead", olga, box.boxes.wiring)

    assert (again.record_id, again.is_new, UnresolvedPerson.objects.get().state) == (first.record_id, False, "found")


def test_an_order_about_people_who_are_all_decided_is_refused(box, olga):
    rows = unknown(box, "zed@zeta.example")
    unresolved.people_make(rows, "lead", olga, box.boxes.wiring)

    with pytest.raises(DecisionRefused, match="None of them waits"):
        unresolved.people_make(list(unresolved.unresolved_rows()), "lead", olga, box.boxes.wiring)


def test_stopped_writes_a_failing_salesforce_and_bad_orders_make_nobody(box, olga):
    rows = unknown(box, "zed@zeta.example")
    Policy.objects.update_or_create(pk=1, defaults={"writes_stopped_at": box.boxes.clock(), "writes_stopped_by": "ann"})
    with pytest.raises(WritesStopped):
        unresolved.people_make(rows, "lead", olga, box.boxes.wiring)
    Policy.objects.update(writes_stopped_at=None)
    with pytest.raises(DecisionRefused, match="Choose what"):
        unresolved.people_make(rows, "opportunity", olga, box.boxes.wiring)
    box.world.faults.add({"kind": "status", "status": 500, "system": "salesforce", "method": "*", "path": "*", "times": 50})
    with pytest.raises(ConnectorError):
        unresolved.people_make(rows, "lead", olga, box.boxes.wiring)
    box.world.faults.all.clear()

    assert not box.rows("Lead") and UnresolvedPerson.objects.get().state == "open"


# --- linking, ignoring, blocking ------------------------------------------------------------------------------------------


def test_an_address_is_linked_to_a_record_found_by_name_address_or_id_and_unlinked_again(box, olga):
    ada = box.contact("ada@acme.example", "Byrne", FirstName="Ada")
    (row,) = unknown(box, "ada@home.example")

    for text in ("ada@acme.example", "Ada Byrne", ada):
        assert [f.id for f in unresolved.people_found(text, box.boxes.wiring)] == [ada]
    unresolved.person_link(row, ada, olga, is_for_all=True, wiring=box.boxes.wiring)
    assert box.one(mail("m2", "ada@home.example"), address=box.boxes.theirs).links.who == ada
    row.refresh_from_db()
    assert unresolved.people_take_back([row], olga) == 1
    assert not box.one(mail("m3", "ada@home.example")).links.who


@pytest.mark.parametrize("id_", ["", "003", "00QAA0000000001YAA", "' OR 1=1", "001000000000001AAA"])
def test_what_is_no_record_is_not_linked(box, olga, id_):
    (row,) = unknown(box, "ada@home.example")

    with pytest.raises(DecisionRefused):
        unresolved.person_link(row, id_, olga, wiring=box.boxes.wiring)

    assert UnresolvedPerson.objects.get().state == "open"


def test_ignoring_and_taking_back(box, olga):
    rows = unknown(box, "zed@zeta.example", "yan@yota.example")

    assert unresolved.people_dismiss(rows, olga) == 2
    assert unresolved.people_dismiss(list(unresolved.unresolved_rows()), olga) == 0
    box.one(mail("m9", "zed@zeta.example"))
    assert {r.state for r in unresolved.unresolved_rows()} == {"dismissed"}
    assert unresolved.people_take_back(list(unresolved.unresolved_rows()), olga) == 2
    assert {r.state for r in unresolved.unresolved_rows()} == {"open"}


@pytest.mark.parametrize("is_for_all", [False, True])
def test_blocking_holds_for_the_mailbox_or_for_all_and_is_taken_back(box, olga, is_for_all):
    rows = unknown(box, "zed@zeta.example")

    assert unresolved.people_block(rows, olga, is_for_all=is_for_all) == 1
    entry = BlockedAddress.objects.get()
    assert (entry.entry, entry.mailbox) == ("zed@zeta.example", None if is_for_all else mailbox_of(box))
    assert not box.one(mail("m2", "zed@zeta.example")).links.unresolved
    theirs = box.one(mail("m3", "zed@zeta.example"), address=box.boxes.theirs)
    assert bool(theirs.links.unresolved) is not is_for_all

    unresolved.people_take_back(list(unresolved.unresolved_rows(mailbox_of(box))), olga)
    assert box.one(mail("m4", "zed@zeta.example")).links.unresolved == ("zed@zeta.example",)


def test_domains_of_addresses_are_blocked(box, olga):
    unresolved.people_block(unknown(box, "zed@zeta.example"), olga, is_for_all=True, domains=True)

    assert not box.one(mail("m2", "another@mail.zeta.example")).links.unresolved


# --- made people ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(box):
    """A lead that lacks all of its key fields."""
    box.set(resolve_mode="leads")
    box.one(mail("m1", "zed@gmail.com"))
    return MadePerson.objects.get()


def test_s4_34_whoever_is_incomplete_is_completed_on_the_page_and_leaves_the_list(box, olga, made):
    assert made_people.incomplete_rows().count() == 1

    wanted = {"FirstName": "Zed", "LastName": "Zimmer", "Company": "Zeta", "Email": "x@y.example"}
    written = made_people.made_person_complete(made, wanted, olga, box.boxes.wiring)

    (lead,) = box.rows("Lead")
    assert written == ["FirstName", "LastName", "Company"] and lead["Email"] == "zed@gmail.com"
    assert (lead["FirstName"], lead["LastName"], lead["Company"]) == ("Zed", "Zimmer", "Zeta")
    assert not made_people.incomplete_rows().exists()
    assert Operation.objects.filter(kind="update", state="confirmed").get().before["Company"] == "[not provided]"


def test_what_somebody_filled_meanwhile_is_kept(box, olga, made):
    box.world.salesforce.update_record("Lead", made.record_id, {"Company": "Their own"})

    written = made_people.made_person_complete(made, {"Company": "Zeta", "FirstName": "Zed"}, olga, box.boxes.wiring)

    assert written == ["FirstName"] and box.rows("Lead")[0]["Company"] == "Their own"
    made.refresh_from_db()
    assert made.lacks == ["LastName"]


def test_whoever_was_completed_in_salesforce_or_deleted_there_leaves_the_list(box, olga, made):
    box.one(mail("m2", "yan@gmail.com"))
    box.one(mail("m3", "una@gmail.com"))
    first, second, third = MadePerson.objects.order_by("pk")
    box.world.salesforce.update_record("Lead", first.record_id, {"FirstName": "Z", "LastName": "Zimmer", "Company": "Zeta"})
    box.world.salesforce.delete_record("Lead", second.record_id)
    box.calls()

    complete = made_people.made_people_look_again(list(made_people.incomplete_rows()), box.boxes.wiring)

    assert complete == 2 and list(made_people.incomplete_rows()) == [third]
    assert box.calls() == 1


def test_an_account_is_named_by_its_whole_name_or_id(box, olga):
    account = box.account("Zeta")
    box.account("Twins"), box.account("Twins")
    box.set(resolve_mode="contacts")
    box.one(mail("m1", "zed@gmail.com", name="Zed Zimmer"))
    row = MadePerson.objects.get()

    for bad in ("Nobody", "Twins", "001000000000000"):
        with pytest.raises(DecisionRefused):
            made_people.made_person_complete(row, {"AccountId": bad}, olga, box.boxes.wiring)
    made_people.made_person_complete(row, {"AccountId": "zeta"}, olga, box.boxes.wiring)

    assert box.rows("Contact")[0]["AccountId"] == account and not made_people.incomplete_rows().exists()


def test_complete_as_they_are_and_back(box, olga, made):
    assert made_people.made_people_done([made], olga) == 1 and not made_people.incomplete_rows().exists()
    assert made_people.made_people_not_done([made], olga) == 1 and made_people.incomplete_rows().exists()


def test_a_made_person_is_taken_back_and_not_made_again_by_itself(box, olga, made):
    made_people.made_person_take_back(made, olga, box.boxes.wiring)

    again = box.one(mail("m2", "zed@gmail.com"))

    assert not box.rows("Lead") and again.reasons == {"zed@gmail.com": "what was made of it was taken back by a person"}
    (row,) = unresolved.unresolved_rows()
    (ordered,) = unresolved.people_make([row], "lead", olga, box.boxes.wiring)
    assert ordered.is_new  # a person may


def test_whoever_was_edited_since_is_not_taken_back(box, olga, made):
    box.world.salesforce.update_record("Lead", made.record_id, {"LastName": "Zimmer"})

    with pytest.raises(DecisionRefused, match="Somebody edited it"):
        made_people.made_person_take_back(made, olga, box.boxes.wiring)

    assert box.rows("Lead")


def test_a_person_who_is_forgotten_stands_in_none_of_these_tables(box, olga):
    box.set(resolve_mode="leads")
    box.one(mail("m1", "zed@zeta-tools.example", name="Zed Zimmer", body=SIGNED))
    unknown(box, "zoe.zorn@zeta.example", name="Zoe Zorn")
    box.set(resolve_mode="off")
    box.one(
        mail("m8", "yan.young@yota.example", name="Yan Young", body="Regards,\nYan Young\nTel. +44 20 7946 0123\n", shown="From Yan Young")
    )
    blocklists.entries_add("yan.young@yota.example", olga)

    for who, name in (("zed@zeta-tools.example", "Zed Zimmer"), ("yan.young@yota.example", "Yan Young")):
        row = forget_ask(who, name, olga)
        forget_count(row.pk, wiring=box.boxes.wiring)
        forget_confirm(row, olga)
        assert forget_carry_on(row.pk)

    for model in (UnresolvedPerson, MadePerson, BlockedAddress, Operation):
        told = json.dumps(list(model.objects.values()), default=str).casefold()
        assert not [word for word in ("zed@zeta", "zimmer", "yan.young", "yan young", "7946") if word in told], model
    assert MadePerson.objects.filter(address__contains="zoe").exists()


@pytest.mark.parametrize(
    "text", ["x' OR Name LIKE '%", "x%", "_", "x\\' OR Id != '", "a@b.example' OR Email != '", "\x00", "003' OR Id != '"]
)
def test_what_is_searched_is_a_value_and_never_a_query(box, text):
    box.contact("ada@acme.example", "x")

    assert unresolved.people_found(text, box.boxes.wiring) == []


# --- blocklists -----------------------------------------------------------------------------------------------------------


def test_a_pasted_list_is_added_once_and_what_is_no_entry_is_told(olga):
    done = blocklists.entries_add("Ada@Rival.Example, @beta.example;*.gamma.example\nrubbish nonsense@ ru ada@rival.example", olga)
    again = blocklists.entries_add("beta.example new.example", olga)

    assert done.new == ("ada@rival.example", "beta.example", "gamma.example")
    assert set(done.refused) == {"rubbish", "nonsense@", "ru"}
    assert (again.new, again.known) == (("new.example",), ("beta.example",))
    assert blocklists.entries_add("ru", olga, allows_endings=True).new == ("ru",)
    assert AuditEntry.objects.filter(action="block addresses").count() == 3


@pytest.mark.parametrize("text", ["", "  , ;\n", " ".join(f"a{n}.example" for n in range(2_001)), "x" * 200_001])
def test_lists_that_are_empty_or_too_long_add_nothing(olga, text):
    if text.startswith("x"):
        assert blocklists.entries_add(text[:1_000], olga).new == ()
    else:
        with pytest.raises(DecisionRefused):
            blocklists.entries_add(text, olga)
    assert not BlockedAddress.objects.exists()


def test_removing_and_putting_back_touches_the_own_list_only(box, olga):
    mine = mailbox_of(box)
    blocklists.entries_add("a.example b.example", olga)
    blocklists.entries_add("a.example", olga, mine)
    ids = list(BlockedAddress.objects.values_list("pk", flat=True))

    assert blocklists.entries_remove(ids, olga, mine) == 1
    assert blocklists.entries_remove(ids, olga) == 2
    blocklists.entries_add("a.example", olga)
    assert blocklists.entries_put_back(ids, olga) == 1  # b.example: the other was added again
    assert blocklists.entries_put_back(ids, olga, mine) == 1
    assert BlockedAddress.objects.filter(removed_at=None).count() == 3


def test_c20_own_domains_come_from_mailboxes_and_users_and_a_person_may_say_no(box, olga):
    salesforce = box.world.salesforce
    for name, email, kind in (("a", "al@seller.example", "Standard"), ("b", "bo@gmail.com", "Standard")):
        given = {"Username": f"{name}@{name}.example", "LastName": name, "Email": email, "Alias": name, "UserType": kind}
        salesforce.create_record("User", given)

    new = blocklists.domains_look_up(olga, box.boxes.wiring)

    assert {"example.test", "seller.example"} <= set(new) and "gmail.com" not in new
    row = OwnDomain.objects.get(domain="seller.example")
    blocklists.domain_switch(row.pk, False, olga)
    assert "seller.example" not in blocklists.domains_look_up(olga, box.boxes.wiring)
    box.one(meeting("e1", "col@seller.example"))
    assert UnresolvedPerson.objects.get().address == "col@seller.example"
    blocklists.domain_switch(row.pk, True, olga)
    assert not box.one(meeting("e2", "col@seller.example")).links.unresolved


@pytest.mark.parametrize("text", ["", "gmail.com", "co.uk", "acme", "1.2.3.4", "x" * 300])
def test_what_is_no_domain_of_a_company_is_not_taken(olga, text):
    with pytest.raises(DecisionRefused):
        blocklists.domain_add(text, olga)


def test_two_lists_at_once_and_a_busy_pass_are_told(box, olga):
    rows = unknown(box, "zed@zeta.example")
    with box.run() as context, pytest.raises(Busy), pytest.MonkeyPatch.context() as patched:
        patched.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0.0)
        assert Linker(context, context.sync_pass.mailbox)
        unresolved.people_make(rows, "lead", olga, box.boxes.wiring)
    assert not box.rows("Lead")
