"""E-mails of Salesforce against the played one: made whole, in the fewest calls, and once, whatever is lost on the way."""

from datetime import UTC, datetime

import pytest

from connectors.contract import File, Ref, Write
from connectors.errors import ConnectionTrouble, MappingError, Rejected
from connectors.salesforce.emails import EMAIL, LEFT_OUT, PEOPLE, related
from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.models import Connection

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SECRET = "the price is four hundred"


@pytest.fixture
def world():
    return World(scenario="empty", now=lambda: datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def sf(world):
    given = world.salesforce.credentials()
    secrets = {k: given[k] for k in ("client_id", "client_secret", "access_token", "refresh_token")}
    address = base_url("salesforce")
    row = Connection.objects.create(
        name="Salesforce", system="salesforce", base_url=address, login_url=address, secrets=secrets, settings={}, settle_seconds=0
    )
    options = {"db_now": world.now, "clock": lambda: world.now().timestamp(), "sleep": lambda s: None}
    connector = open_connector(row, adapter=SandboxAdapter(world), **options)
    yield connector
    connector.close()


def email(n=1, *, people=(), files=(), ref=None, is_outgoing=False, **more):
    fields = {
        "Subject": f"Quote {n}",
        "FromAddress": "ada@acme.example",
        "ToAddress": "me@seller.example",
        "TextBody": SECRET,
        "MessageDate": AT,
        "Incoming": not is_outgoing,
        "Status": "3" if is_outgoing else "1",
        "MessageIdentifier": f"<{n}@acme.example>",
        **more,
    }
    if people:
        fields[PEOPLE] = tuple(related(role, id_) for role, id_ in people)
    return Write(EMAIL, fields, key=f"m{n}", marker=f"sync-mail-{n}", files=tuple(files), ref=ref)


def contact(world, name="Byrne", **values):
    return world.salesforce.create_record("Contact", {"LastName": name, **values})["Id"]


def emails(world):
    return [row for row in world.salesforce.list_records("EmailMessage") if not row.get("IsDeleted")]


def relations(world):
    return {(r["RelationType"], r["RelationId"]) for r in world.salesforce.list_records("EmailMessageRelation")}


def calls(world):
    made = {k: n for k, n in world.counts["salesforce"].items() if "token" not in k}
    world.forget_calls()
    return made


def test_an_email_that_concerns_nobody_is_made_closed_in_one_call(sf, world):
    (result,) = sf.write(EMAIL, [email()])

    (made,) = emails(world)
    assert result.error is None and result.record.ref.id == made["Id"]
    assert (made["Status"], made["Subject"], made["MessageIdentifier"], made["Incoming"]) == ("1", "Quote 1", "<1@acme.example>", True)
    assert sum(calls(world).values()) == 1


def test_two_hundred_are_made_related_and_closed_in_one_call(sf, world):
    ada, bob = contact(world), contact(world, "Clarke")

    results = sf.write(EMAIL, [email(n, people=[("FromAddress", ada), ("CcAddress", bob)]) for n in range(200)])

    assert all(r.error is None for r in results) and {e["Status"] for e in emails(world)} == {"1"} and len(emails(world)) == 200
    assert relations(world) == {("FromAddress", ada), ("CcAddress", bob)}
    task = world.salesforce.get_record("Task", emails(world)[0]["ActivityId"])
    assert (task["WhoId"], task["Status"]) == (ada, "Completed")
    assert sum(calls(world).values()) == 1


def test_files_come_before_the_last_status(sf, world):
    ada = contact(world)
    files = [File("offer.pdf", "application/pdf", b"%PDF"), File("terms.txt", "text/plain", b"none")]

    (result,) = sf.write(EMAIL, [email(people=[("FromAddress", ada)], files=files)])

    (made,) = emails(world)
    assert result.error is None and made["HasAttachment"] and made["Status"] == "1" and len(made["ContentDocumentIds"]) == 2
    titles = {v["Title"]: v["ContentSize"] for v in world.salesforce.list_records("ContentVersion")}
    assert titles == {"offer": 4, "terms": 4} and relations(world) == {("FromAddress", ada)}


def test_whom_salesforce_does_not_take_is_left_out_and_said(sf, world):
    ada, gone = contact(world), contact(world, "Gone")
    world.salesforce.delete_record("Contact", gone)

    (result,) = sf.write(EMAIL, [email(people=[("FromAddress", ada), ("ToAddress", gone)])])

    assert emails(world)[0]["Status"] == "1" and relations(world) == {("FromAddress", ada)}
    assert len(result.record.fields[LEFT_OUT]) == 1 and gone in result.record.fields[LEFT_OUT][0]


def test_one_that_is_refused_keeps_none_from_its_place(sf, world):
    ada = contact(world)
    world.salesforce.set_switches(
        {"validation_rules": [{"object": "EmailMessage", "when": "Subject = 'Quote 1'", "message": "Not this one."}]}
    )

    results = sf.write(EMAIL, [email(n, people=[("FromAddress", ada)]) for n in range(3)])

    assert [type(r.error) for r in results] == [type(None), Rejected, type(None)]
    assert {e["Subject"] for e in emails(world)} == {"Quote 0", "Quote 2"} and {e["Status"] for e in emails(world)} == {"1"}


def test_a_draft_that_cannot_be_closed_is_taken_away_again(sf, world):
    ada = contact(world)
    world.salesforce.set_switches({"validation_rules": [{"object": "EmailMessage", "when": "Status = '1'", "message": "Never."}]})

    (result,) = sf.write(EMAIL, [email(people=[("FromAddress", ada)])])

    assert isinstance(result.error, Rejected) and emails(world) == []


@pytest.mark.parametrize("has_key", [True, False])
def test_a_draft_that_was_left_behind_is_finished_with_what_it_lacks(sf, world, has_key):
    world.salesforce.set_switches({"email_sync_key": has_key})
    sf.use_email_key(has_key)
    ada, bob = contact(world), contact(world, "Clarke")
    files = [File("offer.pdf", "application/pdf", b"%PDF"), File("terms.txt", "text/plain", b"none")]
    whole = email(people=[("FromAddress", ada), ("CcAddress", bob)], files=files)
    path = "/services/data/{v}/sobjects/ContentVersion"  # the first file is made, and nobody hears of it
    world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "path": path, "times": 1})

    with pytest.raises(ConnectionTrouble) as caught:
        sf.write(EMAIL, [whole])
    (draft,) = emails(world)
    assert caught.value.may_have_happened and draft["Status"] == "5"

    (found,) = sf.emails_with(["<1@acme.example>"])
    assert sf.is_draft(found) and found.ref.id == draft["Id"]
    ref = None if has_key else found.ref
    (result,) = sf.write(EMAIL, [email(people=[("FromAddress", ada), ("CcAddress", bob)], files=files, ref=ref)])

    (made,) = emails(world)
    assert result.error is None and made["Id"] == draft["Id"] and made["Status"] == "1"
    assert len(made["ContentDocumentIds"]) == 2 and len(world.salesforce.list_records("ContentVersion")) == 2
    assert len(world.salesforce.list_records("EmailMessageRelation")) == 2


@pytest.mark.parametrize("people", [True, False])
def test_one_whose_answer_was_lost_is_met_by_its_key_and_not_made_again(sf, world, people):
    ada = contact(world)
    who = [("FromAddress", ada)] if people else []
    path = "/services/data/{v}/composite"
    world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "path": path, "times": 1})

    with pytest.raises(ConnectionTrouble) as caught:
        sf.write(EMAIL, [email(people=who)])
    assert caught.value.may_have_happened

    (result,) = sf.write(EMAIL, [email(people=who)])

    (made,) = emails(world)
    assert result.error is None and result.record.ref.id == made["Id"] and made["Status"] == "1"
    assert not sf.is_draft(sf.emails_with(["<1@acme.example>"])[0])


def test_a_deleted_one_is_found_as_deleted(sf, world):
    sf.write(EMAIL, [email()])
    world.salesforce.delete_record("EmailMessage", emails(world)[0]["Id"])

    (found,) = sf.emails_with(["<1@acme.example>", "<none@x.example>"])

    assert found.is_deleted


def test_a_field_that_is_not_there_is_no_emails_fault(sf, world):
    world.salesforce.set_switches({"hidden_fields": ["EmailMessage.TextBody"]})

    results = sf.write(EMAIL, [email(n) for n in range(2)])

    assert all(isinstance(r.error, MappingError) and r.error.field == "TextBody" for r in results) and emails(world) == []


def test_what_an_email_says_stands_in_no_exchange(sf, world):
    good = sf.write(EMAIL, [email()])
    world.salesforce.set_switches({"validation_rules": [{"object": "EmailMessage", "when": "Subject = 'Quote 2'", "message": "No."}]})
    bad = sf.write(EMAIL, [email(2)])

    for result in (*good, *bad):
        assert SECRET not in repr(result) and SECRET not in repr(getattr(result.error, "exchange", ""))


def test_a_draft_that_is_told_of_by_no_id_is_refused(sf):
    (result,) = sf.write(EMAIL, [email(ref=Ref("salesforce", EMAIL, "nonsense"))])

    assert isinstance(result.error, Rejected)
