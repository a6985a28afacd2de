"""What an admin says of linking, and the daily look at made people and own domains (S4.34, S4.36, C20)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from connectors.errors import ConnectorError
from reconciliation import mailbox_jobs
from reconciliation.apps import SCHEDULES
from reconciliation.engine.linking_terms import terms_of
from reconciliation.models import AuditEntry, MadePerson, OwnDomain, SyncPass
from reconciliation.services import blocklists, made_people, retention
from reconciliation.services.linking_settings import Linking, linking_of, linking_save
from reconciliation.services.mailboxes import MailboxRefused
from tests.linked import linked_boxes, mail

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
RECORD_TYPE = "012000000000001AAA"


@pytest.fixture
def box():
    return linked_boxes()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def stored(box):
    return SyncPass.objects.get(pk=box.boxes.parent.pk)


def save(box, olga, **values):
    return linking_save(stored(box), Linking(**values), olga, box.boxes.wiring)


def of(box):
    row = SyncPass.objects.select_related("crm", "mailbox__group").get(pk=box.boxes.passes[box.boxes.mine].pk)
    return terms_of(row, row.mailbox)


# --- settings -------------------------------------------------------------------------------------------------------------


def test_what_is_saved_holds_in_the_next_run_and_is_audited_once(box, olga):
    values = {"email_fields": {"Contact": ("department",), "Lead": ()}, "region": "DE", "most_made": 7}

    assert save(box, olga, **values) and not save(box, olga, **values)

    terms = of(box)
    assert terms.email_fields == {"Contact": ("Email", "Department"), "Lead": ("Email",)}
    assert (terms.region, terms.most_made) == ("DE", 7)
    assert linking_of(stored(box)).contact_lines == "Department"
    assert AuditEntry.objects.filter(action="change linking settings").count() == 1


def test_a_person_is_found_by_a_further_field(box, olga):
    ada = box.contact("ada@acme.example", Department="ada@home.example")
    assert not box.one(mail("m1", "ada@home.example")).links.who

    save(box, olga, email_fields={"Contact": ("Department",)})
    box.set()

    assert box.one(mail("m2", "ada@home.example")).links.who == ada


def test_nothing_set_is_nothing_changed(box, olga):
    assert not save(box, olga)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"most_made": 0}, "Between 1 and 10,000"),
        ({"most_made": 10_001}, "Between 1 and 10,000"),
        ({"region": "XX"}, "no country"),
        ({"region": "Germany"}, "no country"),
        ({"email_fields": {"Contact": ("Nonsense__c",)}}, "have no field “Nonsense__c”"),
        ({"email_fields": {"Contact": ("Email FROM Contact--",)}}, "have no field"),
        ({"email_fields": {"Lead": ("IsConverted",)}}, "cannot be searched"),
        ({"email_fields": {"Contact": ("Description",)}}, "cannot be searched"),
        ({"email_fields": {"Contact": tuple(f"F{n}__c" for n in range(6))}}, "At most 5"),
        ({"person_record_type": "001000000000001"}, "no id of a record type"),
        ({"person_record_type": "012' OR Name != '"}, "no id of a record type"),
        ({"person_record_type": RECORD_TYPE}, "has no Person Accounts"),
    ],
)
def test_what_would_fail_every_look_up_is_not_saved(box, olga, values, said):
    with pytest.raises(MailboxRefused, match=said):
        save(box, olga, **values)

    assert linking_of(stored(box)) == Linking()


def test_a_salesforce_that_does_not_answer_saves_nothing(box, olga):
    box.world.faults.add({"kind": "status", "status": 500, "system": "salesforce", "method": "*", "path": "*", "times": 50})

    with pytest.raises(ConnectorError):
        save(box, olga, email_fields={"Contact": ("Department",)}, region="GB")

    assert linking_of(stored(box)) == Linking()


def test_s4_36_the_record_type_of_person_accounts_goes_into_their_creates(box, olga):
    box.world.salesforce.set_switches({"person_accounts": True})

    assert save(box, olga, person_record_type=RECORD_TYPE)

    assert of(box).person_record_type == RECORD_TYPE


# --- the daily look -------------------------------------------------------------------------------------------------------


@pytest.fixture
def incomplete(box):
    box.set(resolve_mode="leads")
    box.link(mail("m1", "zed@gmail.com"), mail("m2", "yan@gmail.com"))
    return {row.address: row for row in MadePerson.objects.all()}


def test_s4_34_who_was_completed_in_salesforce_leaves_the_list_by_itself(box, incomplete):
    given = {"FirstName": "Zed", "LastName": "Zimmer", "Company": "Zeta"}
    box.world.salesforce.update_record("Lead", incomplete["zed@gmail.com"].record_id, given)
    box.world.forget_calls()

    looked = made_people.made_people_look_daily(box.boxes.wiring)

    assert (looked.complete, looked.troubles) == (1, ()) and box.calls() == 1
    assert [row.address for row in made_people.incomplete_rows()] == ["yan@gmail.com"]
    assert MadePerson.objects.get(address="zed@gmail.com").completed_by_name == "in Salesforce"


def test_a_daily_look_is_bounded_and_begins_with_who_was_not_asked_for_longest(box, incomplete, monkeypatch):
    monkeypatch.setattr(made_people, "MOST_A_DAY", 1)
    MadePerson.objects.filter(address="yan@gmail.com").update(asked_at=timezone.now())

    made_people.made_people_look_daily(box.boxes.wiring)

    assert MadePerson.objects.get(address="zed@gmail.com").asked_at is not None


def test_a_daily_look_that_fails_says_so_and_forgets_nobody(box, incomplete, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.boxes.wiring.open_connector(row, **o))
    box.world.faults.add({"kind": "status", "status": 500, "system": "salesforce", "method": "*", "path": "*", "times": 50})

    said = mailbox_jobs.look_at_people()

    assert said.startswith("0 complete; Lead: ") and "domains not looked at" in said
    assert made_people.incomplete_rows().count() == 2
    assert ("Look at made people and own domains", "reconciliation.mailbox_jobs.look_at_people", (), 24 * 60) in SCHEDULES


def user(box, name, email):
    given = {"Username": f"{name}@{name}.example", "LastName": name, "Email": email, "Alias": name, "UserType": "Standard"}
    box.world.salesforce.create_record("User", given)


def test_c20_by_itself_a_domain_of_users_needs_two_of_them(box, olga):
    for name, email in (("a", "al@seller.example"), ("b", "bo@seller.example"), ("c", "con@customer.example")):
        user(box, name, email)

    assert "seller.example" in blocklists.domains_look_up(None, box.boxes.wiring)
    assert not OwnDomain.objects.filter(domain="customer.example").exists()
    assert "customer.example" in blocklists.domains_look_up(olga, box.boxes.wiring)


def test_one_look_adds_so_many_domains_and_those_of_most_users_first(box, olga, monkeypatch):
    monkeypatch.setattr(blocklists, "MOST_NEW", 1)
    for name, email in (("a", "al@seller.example"), ("b", "bo@seller.example"), ("c", "con@customer.example")):
        user(box, name, email)
    OwnDomain.objects.create(domain="example.test", at=timezone.now())

    assert blocklists.domains_look_up(olga, box.boxes.wiring) == ["seller.example"]


def test_refused_people_go_with_other_events_and_made_ones_stay(box, incomplete):
    old = timezone.now() - timedelta(days=500)
    MadePerson.objects.update(made_at=old)
    MadePerson.objects.filter(address="zed@gmail.com").update(state="refused")

    removed = retention.prune().removed

    assert removed["refused people"] == 1 and retention.removed_in_words({"refused people": 1}) == ["1 refused person"]
    assert [row.address for row in MadePerson.objects.all()] == ["yan@gmail.com"]
