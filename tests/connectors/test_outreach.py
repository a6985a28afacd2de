"""The Outreach connector where the wire is at its worst."""

import pytest

from connectors.contract import Op, Test
from connectors.errors import OutcomeUnknown, ServerTrouble
from reconciliation.engine import gather
from tests.sandboxed import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    box = make()
    for i in range(130):
        box.world.outreach.create_record("accounts", {"name": f"Account {i}"})
    return box


def connector(box):
    return box.wiring.open_connector(box.sync_pass.peer)


def test_pages_that_fail_at_the_gateway_are_halved_until_they_pass(box):
    box.world.faults.add({"kind": "page_too_large", "system": "outreach", "size": 100})
    outreach = connector(box)

    assert len(outreach.read("account", [str(i) for i in range(1, 131)], ["name"])) == 130
    box.calls()
    assert len(outreach.read("account", [str(i) for i in range(1, 131)], ["name"])) == 130

    assert box.calls() == {"GET /api/v2/accounts": 3}  # the size that passed is kept: 62, 62 and 6 rows


def test_a_gateway_that_fails_whatever_the_size_is_connection_trouble(box):
    box.world.faults.add({"kind": "page_too_large", "system": "outreach", "size": 10})

    with pytest.raises(ServerTrouble):
        connector(box).read("account", ["1", "2"], ["name"])


def test_a_next_link_that_is_refused_is_no_fault_of_a_record(box):
    box.world.faults.add({"kind": "page_too_large", "system": "outreach", "size": 100})
    box.world.faults.add({"kind": "stale_next", "system": "outreach", "times": 1})

    with pytest.raises(OutcomeUnknown, match="next page"):
        connector(box).read("account", [str(i) for i in range(1, 131)], ["name"])


def test_names_are_all_read_although_pages_are_small(box):
    box.world.faults.add({"kind": "page_too_large", "system": "outreach", "size": 100})

    gather.refresh_names(connector(box), box.sync_pass, box.wiring)

    from reconciliation.models import PeerName

    assert PeerName.objects.count() == 130


def test_s2_18_active_tasks_and_sequences_of_many_prospects_come_in_few_calls(box):
    make = box.world.outreach.create_record
    mailbox = make("mailboxes", {"email": "a@acme.example"})["id"]
    sequences = [make("sequences", {"name": f"Sequence {n}"})["id"] for n in range(4)]
    ids = [make("prospects", {"lastName": f"P{n}", "emails": [f"p{n}@acme.example"]})["id"] for n in range(60)]
    for state in ("pending", "incomplete", "complete"):
        make("tasks", {"subject": {"type": "prospect", "id": ids[0]}, "state": state})
    make("tasks", {"subject": {"type": "prospect", "id": ids[59]}})
    for sequence, state in zip(sequences, ("active", "paused", "finished", "opted_out"), strict=True):
        make("sequenceStates", {"prospect": ids[0], "sequence": sequence, "mailbox": mailbox, "state": state})
    outreach = connector(box)
    box.calls()

    asked = [str(i) for i in ids]
    tasks = outreach.find("task", "prospect.id", asked, ["state"], also=Test("state", Op.IN, ("pending", "incomplete")))
    states = outreach.find("sequenceState", "prospect.id", asked, ["state", "sequence"], also=Test("state", Op.IN, ("active", "paused")))

    assert sorted(t.fields["prospect"] for t in tasks) == sorted([str(ids[0])] * 2 + [str(ids[59])])
    assert {(s.fields["prospect"], s.fields["state"]) for s in states} == {(str(ids[0]), "active"), (str(ids[0]), "paused")}
    assert box.calls() == {"GET /api/v2/tasks": 2, "GET /api/v2/sequenceStates": 2}  # fifty prospects a call


@pytest.mark.parametrize(
    ("type_", "collection", "values", "columns", "expected"),
    [
        ("task", "tasks", {"state": "complete", "owner": 1}, ["state", "completedAt", "owner", "prospect"], ("1", "complete")),
        ("mailing", "mailings", {"state": "opened", "user": 2}, ["state", "deliveredAt", "user", "prospect"], ("2", "opened")),
        ("call", "calls", {"outcome": "Answered", "user": 1}, ["outcome", "completedAt", "user", "prospect"], ("1", "Answered")),
    ],
)
def test_s3_1_what_was_done_is_read_by_time_and_id_with_its_people(box, type_, collection, values, columns, expected):
    make = box.world.outreach.create_record
    prospect = make("prospects", {"lastName": "Byrne", "emails": ["b@x.example"]})["id"]
    begins_at = box.clock()
    for _ in range(7):
        box.clock.forward(1)
        make(collection, {**values, "prospect": prospect})
    outreach, position, found = connector(box), None, []

    while True:
        page = outreach.changes(type_, where=Test("updatedAt", Op.GE, begins_at), columns=columns, position=position, page_size=3)
        found += page.records
        position = page.position
        if position is None:
            break

    assert list(dict.fromkeys(r.ref.id for r in found)) == [str(n) for n in range(1, 8)]
    owner, state = columns[2], columns[0]
    assert {(r.fields[owner], r.fields[state]) for r in found} == {expected} and {r.fields["prospect"] for r in found} == {str(prospect)}


def test_mails_are_asked_for_by_when_they_were_delivered(box):
    make = box.world.outreach.create_record
    make("mailings", {"state": "delivered", "subject": "Old"})
    box.clock.forward(60)
    begins_at = box.clock()
    make("mailings", {"state": "delivered", "subject": "New"}), make("mailings", {"state": "scheduled", "subject": "Later"})

    page = connector(box).changes("mailing", where=Test("deliveredAt", Op.GE, begins_at), columns=["subject"])

    assert [r.fields["subject"] for r in page.records] == ["New"]
