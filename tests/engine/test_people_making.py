"""People are made of unknown addresses once each, whatever comes in between, and are linked at once (S4.31 to S4.41)."""

from __future__ import annotations

import pytest

from connectors.errors import ConnectorError
from reconciliation.core.linking_facts import Choice, Trigger
from reconciliation.core.linking_needs import Needs
from reconciliation.engine import executor, people_making
from reconciliation.engine.linker import Linker
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import MadePerson, Operation, Policy, UnresolvedPerson
from tests.linked import linked_boxes, mail, meeting

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LEADS = "/services/data/{v}/composite/sobjects/Lead/Sync_Key__c"
SIGNED = """Dear all,
see you on Monday.

Kind regards,
Zed Zimmer
Head of Purchasing
Zeta Tools GmbH
Tel. +49 30 1234567
"""


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def box():
    box = linked_boxes()
    box.set(resolve_mode="leads")
    return box


def test_s4_31_s4_32_s4_33_an_unknown_sender_becomes_a_lead_filled_from_the_signature_and_linked(box):
    linked = box.one(mail("m1", "zed@zeta-tools.example", box.boxes.mine, name="Zed Zimmer", body=SIGNED))

    (lead,) = box.rows("Lead")
    said = {name: lead[name] for name in ("FirstName", "LastName", "Title", "Company", "Phone", "Email", "OwnerId")}
    assert said == {
        "FirstName": "Zed",
        "LastName": "Zimmer",
        "Title": "Head of Purchasing",
        "Company": "Zeta Tools GmbH",
        "Phone": "+49 30 1234567",
        "Email": "zed@zeta-tools.example",
        "OwnerId": box.boxes.users[box.boxes.mine],
    }
    assert linked.links.who == lead["Id"] and not linked.links.unresolved
    assert [(m.object_type, m.id) for m in linked.made] == [("Lead", lead["Id"])]
    row = MadePerson.objects.get()
    assert (row.state, row.record_id, row.name, row.missing) == ("made", lead["Id"], "Zed Zimmer", "")
    assert row.item["id"] == "m1"


def test_s4_35_nobody_is_made_as_shipped(box):
    box.set(resolve_mode="off")

    linked = box.one(mail("m1", "zed@zeta.example"))

    assert linked.links.unresolved == ("zed@zeta.example",) and not box.rows("Lead") and not MadePerson.objects.exists()


def test_s4_34_what_is_missing_is_listed(box):
    box.one(mail("m1", "zed@gmail.com"))

    row = MadePerson.objects.get()
    assert row.lacks == ["FirstName", "LastName", "Company"]


def test_s4_36_person_accounts_are_made_through_the_account_and_linked_by_their_contact(box):
    box.world.salesforce.set_switches({"person_accounts": True})
    box.set(resolve_mode="person_accounts")

    linked = box.one(mail("m1", "zed@gmail.com", name="Zed Zimmer"))

    (account,) = box.rows("Account")
    assert (account["IsPersonAccount"], account["PersonEmail"]) == (True, "zed@gmail.com")
    assert (linked.links.who, linked.links.what) == (account["PersonContactId"], account["Id"])
    row = MadePerson.objects.get()
    assert (row.record_id, row.account_id, row.target_id) == (account["PersonContactId"], account["Id"], account["Id"])


def test_s4_39_s4_40_one_account_is_made_for_all_new_contacts_of_a_domain(box):
    box.set(resolve_mode="contacts", make_accounts=True)

    linked = box.one(meeting("e1", "Zed Zimmer <zed@zeta.co.uk>", "Zoe Zorn <zoe@zeta.co.uk>", "Gil Gray <gil@gmail.com>"))

    (account,) = box.rows("Account")
    assert (account["Name"], account["Website"]) == ("Zeta", "zeta.co.uk")
    contacts = {c["Email"]: c for c in box.rows("Contact")}
    assert {e: c["AccountId"] for e, c in contacts.items()} == {
        "zed@zeta.co.uk": account["Id"],
        "zoe@zeta.co.uk": account["Id"],
        "gil@gmail.com": None,
    }
    assert linked.links.what == account["Id"] and len(linked.links.others) == 2


def test_an_account_that_has_the_domain_is_taken_instead(box):
    account = box.account("The Zeta Company", "www.zeta.co.uk")
    box.set(resolve_mode="contacts", make_accounts=True)

    box.one(mail("m1", "zed@zeta.co.uk", name="Zed Zimmer"))

    assert [a["Id"] for a in box.rows("Account")] == [account]
    assert box.rows("Contact")[0]["AccountId"] == account


def test_d14_smart_makes_a_contact_where_the_domain_leads_to_one_account_else_a_lead(box):
    account = box.account("Zeta", "zeta.example")
    box.set(resolve_smart=True)

    box.one(meeting("e1", "Zed Zimmer <zed@zeta.example>", "Yan Young <yan@yota.example>"))

    assert [(c["Email"], c["AccountId"]) for c in box.rows("Contact")] == [("zed@zeta.example", account)]
    assert [lead["Email"] for lead in box.rows("Lead")] == ["yan@yota.example"]


def test_one_address_in_many_items_of_a_page_and_of_both_mailboxes_is_one_person(box):
    first = box.link(*(mail(f"m{n}", "zed+a@zeta.example", name="Zed Zimmer") for n in range(5)))
    other = box.one(mail("n1", "zed@zeta.example"), address=box.boxes.theirs)

    (lead,) = box.rows("Lead")
    assert {linked.links.who for linked in [*first, other]} == {lead["Id"]}


def test_making_costs_a_look_by_key_and_the_create_with_its_read(box):
    with box.linker() as linker:
        linker.links_of([mail(f"m{n}", f"z{n}@zeta{n}.example", name=f"Zed Z{'abcdefghij'[n]}") for n in range(3)])
        calls = box.called()

    assert calls["PATCH " + LEADS] == 1
    assert calls["GET /services/data/{v}/queryAll"] == 1
    assert sum(calls.values()) <= 7, calls  # contacts, leads, accounts of the domains, a description, look, create, read back


# --- never two ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["the intent", "the send"])
def test_after_a_crash_the_person_is_made_or_taken_up_and_never_twice(box, monkeypatch, after):
    real = executor._call

    def dying(connector, object_type, part):
        if after == "the send":
            real(connector, object_type, part)
        raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(executor, "_call", dying)
        box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))

    assert MadePerson.objects.get().state == "making"
    linked = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"), forward=3600)
    (lead,) = box.rows("Lead")
    assert linked.links.who == lead["Id"]
    assert MadePerson.objects.get().state == "made"
    assert not Operation.objects.filter(state__in=Operation.OPEN).exists()


def test_a_lost_answer_is_found_by_key_and_the_item_waits_for_it(box):
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "PATCH", "path": LEADS, "times": 1})

    with pytest.raises(ConnectorError):
        box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))

    linked = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))
    (lead,) = box.rows("Lead")
    assert linked.links.who == lead["Id"]
    assert MadePerson.objects.get().record_id == lead["Id"]


def test_a_create_that_never_arrived_is_made_again_once_it_cannot_turn_up_any_more(box):
    box.world.faults.add({"kind": "drop", "system": "salesforce", "method": "PATCH", "path": LEADS, "times": 1})

    with pytest.raises(ConnectorError):
        box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))
    soon = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"), forward=1)
    later = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"), forward=3600)

    (lead,) = box.rows("Lead")
    assert soon.waits == people_making.UNANSWERED and not soon.links.who
    assert later.links.who == lead["Id"] and not later.waits


def test_two_workers_at_one_address_make_one_person_and_the_second_waits(box):
    """The other mailbox's run meets the claim between the first one's intent and its answer."""
    seen = []
    with box.run(box.boxes.theirs) as other_context:
        other = Linker(other_context, other_context.sync_pass.mailbox)
        real = executor._call

        def meanwhile(connector, object_type, part):
            if not seen:
                seen.append(other.links_of([mail("n1", "zed@zeta.example", name="Zed Zimmer")])["n1"])
            return real(connector, object_type, part)

        with pytest.MonkeyPatch.context() as patched, box.linker(forward=0) as linker:
            patched.setattr(executor, "_call", meanwhile)
            mine = linker.links_of([mail("m1", "zed@zeta.example", name="Zed Zimmer")])["m1"]
        again = Linker(other_context, other_context.sync_pass.mailbox).links_of([mail("n1", "zed@zeta.example")])["n1"]

    (lead,) = box.rows("Lead")
    assert mine.links.who == lead["Id"] == again.links.who
    assert seen[0].waits in (people_making.BEING_MADE, people_making.UNANSWERED) and not seen[0].links.who


def test_two_workers_make_one_account(box):
    box.set(resolve_mode="contacts", make_accounts=True)
    seen = []
    with box.run(box.boxes.theirs) as other_context:
        other = Linker(other_context, other_context.sync_pass.mailbox)
        real = executor._call

        def meanwhile(connector, object_type, part):
            if not seen:
                seen.append(other.links_of([mail("n1", "zoe@zeta.example", name="Zoe Zorn")])["n1"])
            return real(connector, object_type, part)

        with pytest.MonkeyPatch.context() as patched, box.linker(forward=0) as linker:
            patched.setattr(executor, "_call", meanwhile)
            linker.links_of([mail("m1", "zed@zeta.example", name="Zed Zimmer")])
        later = Linker(other_context, other_context.sync_pass.mailbox).links_of([mail("n1", "zoe@zeta.example", name="Zoe Zorn")])["n1"]

    (account,) = box.rows("Account")
    assert seen[0].waits and later.links.what == account["Id"]
    assert {c["AccountId"] for c in box.rows("Contact")} == {account["Id"]}


def test_what_a_dead_run_of_another_mailbox_left_is_settled_by_whoever_needs_it(box, monkeypatch):
    real = executor._call

    def dying(connector, object_type, part):
        real(connector, object_type, part)
        raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(executor, "_call", dying)
        box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))
    box.world.salesforce.update_record("Lead", box.rows("Lead")[0]["Id"], {"Email": "new@zeta.example"})

    linked = box.one(mail("n1", "zed@zeta.example"), address=box.boxes.theirs, forward=3600)

    assert [lead["Id"] for lead in box.rows("Lead")] == [linked.links.who]


# --- what people did since ------------------------------------------------------------------------------------------------


def test_s4_41_whom_users_completed_is_followed_and_never_written_to(box):
    first = box.one(mail("m1", "zed@zeta.example"))
    lead = first.links.who
    completed = {"Email": "zed@new.example", "FirstName": "Zed", "LastName": "Zimmer", "Company": "Zeta plc"}
    box.world.salesforce.update_record("Lead", lead, completed)

    again = box.one(mail("m2", "zed@zeta.example", name="Zed Other"))

    assert again.links.who == lead
    assert {n: box.rows("Lead")[0][n] for n in completed} == completed


def test_a_restored_database_takes_up_what_it_forgot_and_writes_nothing(box):
    lead = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer")).links.who
    MadePerson.objects.all().delete()
    box.world.salesforce.update_record("Lead", lead, {"Email": "zed@new.example", "Title": "Buyer"})

    again = box.one(mail("m2", "zed@zeta.example", name="Zed Other"))

    (row,) = box.rows("Lead")
    assert again.links.who == lead and (row["LastName"], row["Title"], row["Email"]) == ("Zimmer", "Buyer", "zed@new.example")
    assert MadePerson.objects.get().record_id == lead


def test_who_was_deleted_in_salesforce_is_not_made_again(box):
    lead = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer")).links.who
    box.world.salesforce.delete_record("Lead", lead)

    again = box.one(mail("m2", "zed@zeta.example", name="Zed Zimmer"))

    assert not box.rows("Lead") and not again.links.who
    assert again.reasons == {"zed@zeta.example": "the lead that was made of it was deleted, or is not to be seen"}
    assert UnresolvedPerson.objects.get().reason == "the lead that was made of it was deleted, or is not to be seen"


def test_a_made_lead_that_was_converted_stands_for_its_contact(box):
    lead = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer")).links.who
    contact = box.contact("zed@new.example", "Zimmer")
    box.world.salesforce.update_record("Lead", lead, {"Email": "zed@new.example", "IsConverted": True, "ConvertedContactId": contact})

    assert box.one(mail("m2", "zed@zeta.example")).links.who == contact


# --- refusals and brakes --------------------------------------------------------------------------------------------------


def test_a_refused_create_stops_nobody_is_told_and_not_tried_in_every_run(box):
    rule = {"object": "Lead", "when": "LastName = 'Zimmer'", "message": "No Zimmers, please"}
    box.world.salesforce.set_switches({"validation_rules": [rule]})
    items = (mail("m1", "zed@zeta.example", name="Zed Zimmer"), mail("m2", "yan@yota.example", name="Yan Young"))

    refused, other = box.link(*items)
    box.calls()
    again, _ = box.link(*items)
    calls = box.called()
    box.world.salesforce.set_switches({"validation_rules": []})
    later = box.one(items[0], forward=90_000)

    assert refused.reasons["zed@zeta.example"] == "Salesforce refused it: No Zimmers, please" and not refused.waits
    assert other.links.who
    assert again.reasons == refused.reasons and not any("PATCH" in name for name in calls)
    assert later.links.who


def test_stop_all_writes_makes_nobody_and_leaves_no_claim_behind(box):
    with box.linker() as linker:
        Policy.objects.update_or_create(pk=1, defaults={"writes_stopped_at": box.boxes.clock(), "writes_stopped_by": "olga"})
        with pytest.raises(WritesStopped):
            linker.links_of([mail("m1", "zed@zeta.example", name="Zed Zimmer")])
    Policy.objects.update(writes_stopped_at=None)

    assert not box.rows("Lead")
    assert box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer")).links.who


def test_more_than_a_days_number_waits_for_a_person(box):
    box.set_more(most_made=3)

    linked = box.link(*(mail(f"m{n}", f"z{n}@zeta.example") for n in range(5)))

    assert len(box.rows("Lead")) == 3 and not any(one.waits for one in linked)
    told = UnresolvedPerson.objects.get(address="z4@zeta.example").reason
    assert told.startswith("3 people were made for this mailbox within a day")
    assert box.one(mail("m5", "z5@zeta.example"), forward=90_000).links.who


def test_who_is_ignored_is_not_made(box):
    box.set(resolve_mode="off")
    box.one(mail("m1", "zed@zeta.example"))
    UnresolvedPerson.objects.update(state="dismissed")
    box.set(resolve_mode="leads")

    linked = box.one(mail("m2", "zed@zeta.example"))

    assert linked.reasons == {"zed@zeta.example": "a person chose to ignore it"} and not box.rows("Lead")
    assert UnresolvedPerson.objects.get().state == "dismissed"


def test_a_plan_says_whom_it_would_make_and_writes_nothing(box):
    linked = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"), is_preview=True)

    assert [(m.object_type, m.id, m.address) for m in linked.made] == [("Lead", "", "zed@zeta.example")]
    assert not box.rows("Lead") and not MadePerson.objects.exists() and not UnresolvedPerson.objects.exists()


def test_where_a_person_chose_nobody_is_made(box):
    linked = box.one(mail("m1", "zed@zeta.example", choice=Choice(who="")))

    assert not box.rows("Lead") and not linked.made


def test_without_a_key_field_a_lost_create_is_found_among_what_we_made(box):
    connection = box.boxes.parent.crm
    connection.settings = {**connection.settings, "external_id_field": ""}
    connection.save(update_fields=["settings"])
    box.set()
    path = "/services/data/{v}/composite/sobjects"
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "path": path, "times": 1})

    with pytest.raises(ConnectorError):
        box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))
    linked = box.one(mail("m1", "zed@zeta.example", name="Zed Zimmer"))

    (lead,) = box.rows("Lead")
    assert linked.links.who == lead["Id"] and MadePerson.objects.get().record_id == lead["Id"]


def test_without_a_key_field_an_account_that_another_run_made_meanwhile_is_taken(box):
    """What a run looked up is not asked for again, and there is no key that would tell."""
    connection = box.boxes.parent.crm
    connection.settings = {**connection.settings, "external_id_field": ""}
    connection.save(update_fields=["settings"])
    box.set(resolve_mode="contacts", make_accounts=True)

    with box.linker(box.boxes.theirs) as other:
        other.links_of([mail("n1", "zed@zeta.co.uk", name="Zed Zimmer", trigger=Trigger.AUTO_SAVE, choice=Choice(who=""))])
        assert other._lookups.known
        other._lookups.answer(Needs(domains=("zeta.co.uk",)))  # what an earlier page of the run had asked
        box.one(mail("m1", "zoe@zeta.co.uk", name="Zoe Zorn"), forward=0)
        other.links_of([mail("n2", "zed@zeta.co.uk", name="Zed Zimmer")])

    (account,) = box.rows("Account")
    assert {c["AccountId"] for c in box.rows("Contact")} == {account["Id"]}
