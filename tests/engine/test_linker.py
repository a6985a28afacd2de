"""Items are linked over the played Salesforce: whom, to what, in how many calls, and why (S4.23, S4.29, S4.30)."""

from __future__ import annotations

import json

import pytest

from connectors.errors import ConnectorError
from reconciliation.core.linking_facts import Choice, Trigger
from reconciliation.engine import unresolved
from reconciliation.models import BlockedAddress, OwnDomain, UnresolvedPerson
from tests.linked import linked_boxes, mail, meeting

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
QUERY = "GET /services/data/{v}/query"


@pytest.fixture
def box():
    return linked_boxes()


def block(box, entry, mailbox=None):
    BlockedAddress.objects.create(entry=entry, mailbox=mailbox, at=box.boxes.clock())


def test_s4_29_a_mail_gets_its_sender_as_name_and_the_senders_account_as_related_to(box):
    account = box.account("Acme", "https://www.acme.example")
    ada = box.contact("ada@acme.example", AccountId=account)

    linked = box.one(mail("m1", "Ada@Acme.example", box.boxes.mine))

    assert (linked.links.who, linked.links.what) == (ada, account)
    assert linked.steps == (
        f"ada@acme.example is the contact Byrne ({ada}).",
        f"The account Acme ({account}) became Related To: it is the account of Byrne.",
        f"{box.boxes.mine} is left out: it is the user's own address.",
    )
    assert not linked.waits and not UnresolvedPerson.objects.exists()


def test_s4_30_shared_by_hand_by_category_or_by_itself_links_are_the_same(box):
    account = box.account()
    box.contact("ada@acme.example", AccountId=account)

    shared, saved = box.link(mail("m1", "ada@acme.example"), mail("m2", "ada@acme.example", trigger=Trigger.AUTO_SAVE))

    assert shared.links == saved.links and shared.links.what == account


def test_a_page_is_looked_up_at_once_and_what_a_run_knows_is_not_asked_again(box):
    account = box.account()
    box.world.salesforce.set_switches({"page_size": 2000})
    people = [f"p{n}@acme.example" for n in range(30)]
    for n, address in enumerate(people):
        box.contact(address, f"Last{n}", AccountId=account)

    with box.linker() as linker:
        first = linker.links_of([mail(f"m{n}", address) for n, address in enumerate(people)])
        of_first = box.called()
        again = linker.links_of([meeting("e1", *people[:20])])
        of_second = box.called()

    assert all(linked.links.what == account for linked in first.values())
    assert len(again["e1"].links.others) == 19
    assert of_first[QUERY] == 3 and of_second == {}  # contacts, leads, their account
    assert sum(of_first.values()) <= 4  # and one description, which says whether there are Person Accounts


def test_the_users_newest_open_opportunity_becomes_related_to_where_that_is_on(box):
    account = box.account()
    box.contact("ada@acme.example", AccountId=account)
    box.opportunity(account, "Old")
    box.boxes.clock.forward(60)
    newest = box.opportunity(account, "New")
    box.boxes.clock.forward(60)
    box.opportunity(account, "Won", StageName="Closed Won")
    box.opportunity(account, "Another's", OwnerId=box.boxes.users[box.boxes.theirs])

    off = box.one(mail("m1", "ada@acme.example"))
    box.set(link_opportunity=True)
    on = box.one(mail("m2", "ada@acme.example"))

    assert off.links.what == account
    assert (on.links.what, on.links.opportunity) == (newest, newest)
    assert "the newest of 2" in " ".join(on.steps)


def test_two_opportunities_of_one_instant_are_told_apart_by_the_contacts_role(box):
    account = box.account()
    ada = box.contact("ada@acme.example", AccountId=account)
    box.opportunity(account, "One")
    hers = box.opportunity(account, "Two", ContactId=ada)
    box.set(link_opportunity=True)

    linked = box.one(mail("m1", "ada@acme.example"))

    assert linked.links.what == hers


def test_a_converted_lead_stands_for_its_contact(box):
    contact = box.contact("other@acme.example", "Byrne")
    box.lead("ada@acme.example", IsConverted=True, ConvertedContactId=contact)

    linked = box.one(mail("m1", "ada@acme.example"))

    assert linked.links.who == contact


def test_further_fields_for_addresses_are_asked_for_in_the_same_call(box):
    ada = box.contact("office@acme.example", Email_2__c="ada@home.example")
    box.set_more(email_fields={"Contact": ["Email_2__c"]})

    with box.linker() as linker:
        linked = linker.links_of([mail("m1", "ada@home.example")])["m1"]
        calls = box.called()

    assert linked.links.who == ada
    assert calls[QUERY] == 2


def test_a_person_account_is_linked_by_its_contact_and_its_account_is_related(box):
    box.world.salesforce.set_switches({"person_accounts": True})
    made = box.world.salesforce.create_record("Account", {"LastName": "Okoye", "PersonEmail": "ada@home.example"})
    account = box.world.salesforce.get_record("Account", made["Id"])

    linked = box.one(mail("m1", "ada@home.example"))

    assert linked.links.who == account["PersonContactId"]
    assert linked.links.what == account["Id"]
    assert linked.links.found[0].kind == "PersonAccount"


def test_s4_37_blocked_and_own_addresses_are_never_searched(box):
    box.contact("ada@acme.example"), box.contact("bo@rival.example"), box.contact("me@seller.example")
    block(box, "ada@acme.example")
    block(box, "rival.example", box.boxes.passes[box.boxes.mine].mailbox)
    OwnDomain.objects.create(domain="seller.example", at=box.boxes.clock())
    item = meeting("e1", "ada@acme.example", "bo@mail.rival.example", "col@seller.example")

    mine = box.one(item)
    called = box.called()
    theirs = box.one(item, address=box.boxes.theirs)

    assert not mine.links.who and mine.links.refusal == "All its other parties are blocked."
    assert called == {}
    assert theirs.links.unresolved == ("bo@mail.rival.example",)  # a user's list holds for this user alone


def test_what_a_person_chose_wins_and_is_told(box):
    ada, bo = box.contact("ada@acme.example"), box.contact("bo@beta.example", "Okafor")

    linked = box.one(mail("m1", "ada@acme.example", choice=Choice(who=bo, by="Olga")))

    assert linked.links.who == bo
    assert f"Olga chose the contact Okafor ({bo})." in linked.steps
    assert ada != bo


def test_account_by_domain_finds_the_web_site_however_it_is_written(box):
    account = box.account("Acme", "HTTPS://shop.acme.example/en?x=1")
    box.account("Not Acme", "https://notacme.example")
    box.account("Longer", "acme.example.org")
    box.set(account_by_domain=True)

    linked = box.one(mail("m1", "zed@acme.example"))

    assert (linked.links.who, linked.links.what) == ("", account)


def test_hostile_and_empty_addresses_ask_for_nothing_and_stop_nobody(box):
    ada = box.contact("ada@acme.example")
    odd = ["", "@", "a@b", "' OR Name != '@x.example", "x" * 300 + "@acme.example", "\ud800@acme.example"]
    odd += ["o'brien@acme.example", "%@acme.example"]

    linked = box.link(*(mail(f"m{n}", address) for n, address in enumerate(odd)), mail("ok", "ada@acme.example"))

    assert linked[-1].links.who == ada
    assert all(not one.links.who for one in linked[:-1])


def test_an_address_with_letters_of_another_alphabet_is_found_in_either_spelling(box):
    ada = box.contact("ada@xn--mller-kva.example")

    assert box.one(mail("m1", "ada@müller.example")).links.who == ada


def test_a_failing_look_up_raises_the_connections_own_error_and_nothing_is_remembered(box):
    box.world.faults.add({"kind": "status", "status": 500, "system": "salesforce", "method": "GET", "path": "*", "times": 9})

    with pytest.raises(ConnectorError, match="failed"):
        box.one(mail("m1", "zed@acme.example"))
    box.world.faults.all.clear()

    assert not UnresolvedPerson.objects.exists()
    assert box.one(mail("m1", "zed@acme.example")).links.unresolved == ("zed@acme.example",)


def test_what_is_kept_with_an_item_is_plain(box):
    box.account()
    box.contact("ada@acme.example")

    said = box.one(meeting("e1", "ada@acme.example", "Zed Z <zed@zeta.example>")).as_json()

    assert json.loads(json.dumps(said)) == said
    assert said["others"] == [] and said["unresolved"] == ["zed@zeta.example"]
    assert said["found"][0]["role"] == "attendee"


# --- who stays unknown ----------------------------------------------------------------------------------------------------


def test_who_is_unknown_is_remembered_once_per_item_until_somebody_knows_them(box):
    item = meeting("e1", "Zed Zimmer <zed+news@zeta.example>", "no-reply@zeta.example")
    box.one(item), box.one(item)
    box.one(mail("m1", "zed@zeta.example"))

    row = UnresolvedPerson.objects.get()
    assert (row.address, row.name, row.count, row.state) == ("zed@zeta.example", "Zed Zimmer", 2, "open")
    assert [one["shown"] for one in row.items] == ["Meeting e1", "Mail m1"]

    box.contact("zed@zeta.example", "Zimmer")
    box.one(mail("m2", "zed@zeta.example"))
    row.refresh_from_db()
    assert row.state == "found"


def test_private_items_are_linked_and_leave_no_trace(box):
    box.set(resolve_mode="leads")
    ada = box.contact("ada@acme.example")

    linked = box.one(meeting("e1", "ada@acme.example", "zed@zeta.example", is_private=True))

    assert linked.links.who == ada
    assert not UnresolvedPerson.objects.exists() and not box.rows("Lead")


def test_whom_a_person_said_an_address_is_is_linked_for_the_mailbox_or_for_all(box):
    ada = box.contact("ada@acme.example")
    box.one(mail("m1", "ada@home.example"))
    row = UnresolvedPerson.objects.get()
    UnresolvedPerson.objects.update(state="linked", crm_type="Contact", crm_id=ada, decided_at=box.boxes.clock())

    mine, theirs = box.one(mail("m2", "ada@home.example")), box.one(mail("m3", "ada@home.example"), address=box.boxes.theirs)
    UnresolvedPerson.objects.filter(pk=row.pk).update(is_for_all=True)
    for_all = box.one(mail("m4", "ada@home.example"), address=box.boxes.theirs)

    assert (mine.links.who, theirs.links.who, for_all.links.who) == (ada, "", ada)


def test_what_a_run_keeps_is_bounded(box, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.linking_lookups.MOST_KEPT", 3)
    box.contact("ada@acme.example")

    with box.linker() as linker:
        linker.links_of([mail(f"m{n}", f"p{n}@acme.example") for n in range(5)])
        kept = len(linker._lookups.known.people)
        linked = linker.links_of([mail("m9", "ada@acme.example")])

    assert kept == 5 and len(linker._lookups.known.people) == 1
    assert linked["m9"].links.who


# --- what people decide while a run is under way ---------------------------------------------------------------------------


def decide_between(box, monkeypatch, decide):
    """Has somebody decide between the reading of the rows and their writing, whenever that is."""
    real = unresolved.update_rows

    def later(*arguments):
        decide()
        return real(*arguments)

    monkeypatch.setattr(unresolved, "update_rows", later)


@pytest.mark.parametrize("state", ["dismissed", "blocked", "linked"])
def test_a_decision_that_meets_a_run_is_not_written_over(box, monkeypatch, state):
    box.one(mail("m1", "zed@zeta.example"))
    decided = {"state": state, "decided_by_name": "olga", "decided_at": box.boxes.clock(), "crm_id": "003000000000001"}
    decide_between(box, monkeypatch, lambda: UnresolvedPerson.objects.update(**decided))

    box.one(mail("m2", "zed@zeta.example"))

    row = UnresolvedPerson.objects.get()
    assert (row.state, row.decided_by_name, row.crm_id) == (state, "olga", "003000000000001")


def test_a_link_that_a_person_chose_while_the_run_still_took_the_address_for_unknown_stays(box):
    bo = box.contact("bo@acme.example", "Byrne")
    with box.linker() as linker:
        linker.links_of([mail("m1", "zed@zeta.example")])
        box.boxes.clock.forward(1)
        chosen = {"state": "linked", "crm_type": "Contact", "crm_id": bo, "decided_at": box.boxes.clock()}
        UnresolvedPerson.objects.update(**chosen)
        linker.links_of([mail("m2", "zed@zeta.example")])

    assert (UnresolvedPerson.objects.get().state, UnresolvedPerson.objects.get().crm_id) == ("linked", bo)
    assert box.one(mail("m3", "zed@zeta.example")).links.who == bo


def test_a_page_with_more_unknown_addresses_than_are_kept_overwrites_none(box, monkeypatch):
    box.one(meeting("e1", "a@zeta.example", "b@zeta.example", "zed@zeta.example"))
    monkeypatch.setattr(unresolved, "MOST_ADDRESSES", 2)
    box.one(meeting("e2", "a@zeta.example", "b@zeta.example", "c@zeta.example", "zed@zeta.example"))

    kept = {row.address: [item["id"] for item in row.items] for row in UnresolvedPerson.objects.all()}
    assert kept == {"a@zeta.example": ["e1", "e2"], "b@zeta.example": ["e1", "e2"], "zed@zeta.example": ["e1"]}


def test_c21_of_a_mail_that_is_not_saved_after_all_nothing_is_remembered(box):
    """It belongs to nobody but its user: neither its subject nor whom it is from."""
    box.set(resolve_mode="leads", save_without_relation=False)

    linked = box.one(mail("m1", "info@clinic.example", trigger=Trigger.AUTO_SAVE, shown="Your results"))

    assert linked.links.refusal and not UnresolvedPerson.objects.exists()
