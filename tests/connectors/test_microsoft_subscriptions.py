"""Subscriptions of the connector against the played Graph, over HTTP; and bodies that no Graph of ours would send."""

import json
from datetime import timedelta

import pytest

from connectors.errors import MailboxRefused, NeedsAttention, RecordGone, Rejected, ServerTrouble
from connectors.microsoft.subscriptions import read_notices
from connectors.notices import ALL_DAY, APPOINTMENT, MEETING, NOT_REACHED, OTHERS_WATCH
from connectors.sandbox.microsoft import courier
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import connect_microsoft
from tests.sandbox.test_microsoft_subscriptions import Hook
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
ANN, BOB = "ann@example.test", "bob@example.test"
ALL = ("created", "updated", "deleted")
MEETING_ROW = {"mailbox": ANN, "subject": "Call", "start": "2026-12-01T10:00", "end": "2026-12-01T11:00"}


@pytest.fixture
def hook(monkeypatch):
    monkeypatch.setattr(courier, "TIME_OUT", 0.5)
    monkeypatch.setattr(courier, "HANDSHAKE_TIME_OUT", 0.5)
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return World(scenario="empty", now=clock)


@pytest.fixture
def connector(world, clock):
    row = connect_microsoft(world)
    adapter = SandboxAdapter(world)
    opened = open_connector(row, adapter=adapter, db_now=clock, now=clock, clock=lambda: clock().timestamp(), sleep=lambda s: None)
    yield opened
    opened.close()


@pytest.fixture
def watches(connector):
    opened = connector.watches(ANN)
    yield opened
    opened.close()


def make(watches, hook, clock, *, days=2, secret="s3cret", changes=ALL, base=""):
    address = f"{base or hook.base}/hook"
    life, ends_at = f"{address.rpartition('/')[0]}/life", clock() + timedelta(days=days)
    return watches.make(address=address, life_address=life, secret=secret, changes=changes, ends_at=ends_at)


def told(world, hook, count):
    world.keep()
    hook.wait_for(count)
    return [notice for _, rows in hook.received for notice in read_notices({"value": rows})]


def test_a_watch_is_made_told_of_renewed_and_dropped(world, watches, hook, clock):
    made = make(watches, hook, clock)
    row = world.microsoft.create_record("event", MEETING_ROW)

    (notice,) = told(world, hook, 1)

    assert (made.changes, made.address) == (ALL, f"{hook.base}/hook") and made.ends_at - clock() == timedelta(days=2)
    assert (notice.watch_id, notice.secret, notice.what) == (made.id, "s3cret", "created")
    assert notice.event_id == row["immutableId"] and notice.version
    assert "s3cret" not in repr(notice)
    renewed = watches.renew(made.id, ends_at=clock() + timedelta(days=5))
    assert renewed.id == made.id and renewed.ends_at - clock() == timedelta(days=5)
    watches.drop(made.id)
    watches.drop(made.id)  # gone already
    with pytest.raises(RecordGone):
        watches.renew(made.id, ends_at=clock() + timedelta(days=1))


def test_what_becomes_of_a_watch_is_read(world, watches, hook, clock):
    made = make(watches, hook, clock)
    for event in ("missed", "reauthorizationRequired", "subscriptionRemoved"):
        world.microsoft.lifecycle({"event": event})
    world.keep()
    hook.wait_for(3, "life")

    notices = read_notices({"value": hook.life})

    assert [(n.watch_id, n.what, n.event_id) for n in notices] == [(made.id, what, "") for what in ("missed", "unsure", "removed")]


def test_one_whose_secret_was_lost_is_replaced_and_another_sites_is_left_alone(world, watches, hook, clock):
    first = make(watches, hook, clock, secret="lost")

    second = make(watches, hook, clock, secret="new")

    assert second.id != first.id
    with pytest.raises(RecordGone):
        watches.renew(first.id, ends_at=clock() + timedelta(days=1))
    other = Hook()
    try:
        with pytest.raises(Rejected) as refusal:
            make(watches, other, clock)
    finally:
        other.server.shutdown()
        other.server.server_close()
    assert refusal.value.code == OTHERS_WATCH and hook.base.removeprefix("http://") in refusal.value.sentence
    assert watches.renew(second.id, ends_at=clock() + timedelta(days=1)).id == second.id


def test_an_address_that_does_not_answer_is_told_by_its_code(watches, hook, clock):
    hook.says = lambda token: (404, "text/plain", "")
    with pytest.raises(Rejected) as refusal:
        make(watches, hook, clock)
    assert refusal.value.code == NOT_REACHED and "/hook" in refusal.value.sentence
    with pytest.raises(Rejected) as refusal:
        make(watches, hook, clock, base="http://127.0.0.1:9")  # nothing listens there
    assert refusal.value.code == NOT_REACHED


def test_other_refusals_keep_their_class(world, watches, connector, hook, clock):
    with pytest.raises(Rejected) as refusal:
        make(watches, hook, clock, days=30)
    assert "minutes in the future" in refusal.value.sentence and refusal.value.code != NOT_REACHED
    with pytest.raises(MailboxRefused):
        make(connector.watches("nobody@example.test"), hook, clock)
    for status, error in ((503, ServerTrouble), (401, NeedsAttention)):
        options = {"status": status, "system": "microsoft", "method": "POST", "path": "/v1.0/subscriptions", "times": 5}
        world.faults.add({"kind": "status", **options})
        with pytest.raises(error):
            make(watches, hook, clock)
        world.faults.clear()


def test_meetings_are_told_from_appointments_and_whole_days(world, watches):
    guests = {"attendees": [BOB]}
    rows = [
        world.microsoft.create_record("event", {**MEETING_ROW, **values})
        for values in (guests, {}, {**guests, "isAllDay": True, "start": "2026-12-01T00:00", "end": "2026-12-02T00:00"})
    ]
    ids = [row["immutableId"] for row in rows]
    gone = world.microsoft.create_record("event", MEETING_ROW)
    world.microsoft.delete_record("event", world.microsoft.find_id("event", gone["id"]))
    world.forget_calls()

    found = watches.kinds([*ids, ids[0], gone["immutableId"], "no-id"])

    assert found == dict(zip(ids, (MEETING, APPOINTMENT, ALL_DAY), strict=True))
    assert watches.kinds([]) == {}
    assert sum(n for key, n in world.counts["microsoft"].items() if "token" not in key) == 1


# --- bodies -------------------------------------------------------------------------------------------------------------
def row(**changes):
    said = {"subscriptionId": "s", "clientState": "1.x", "changeType": "updated",
            "resourceData": {"@odata.type": "#Microsoft.Graph.Event", "id": "AAk=", "@odata.etag": 'W/"1"'}}  # fmt: skip
    return {**said, **changes}


@pytest.mark.parametrize("body", [None, 1, [], "x", {}, {"value": None}, {"value": {}}])
def test_what_is_no_collection_of_notices_is_refused(body):
    with pytest.raises(ValueError):
        read_notices(body)


@pytest.mark.parametrize(
    "bad",
    [
        1,
        None,
        row(subscriptionId=1),
        row(clientState=None),
        row(clientState="x" * 129),
        row(changeType="exploded"),
        row(changeType=["updated"]),
        row(resourceData=None),
        row(resourceData={"id": ""}),
        row(resourceData={"id": 7}),
        row(resourceData={"id": "x" * 256}),
        row(resourceData={"id": "x", "@odata.type": "#Microsoft.Graph.Message"}),
        row(lifecycleEvent=3, changeType=None),
    ],
)
def test_one_that_cannot_be_read_leaves_the_others(bad):
    notices = read_notices({"value": [bad, row()]})

    assert [(n.what, n.event_id, n.version) for n in notices] == [("updated", "AAk=", 'W/"1"')]


def test_what_no_database_holds_is_replaced():
    (notice,) = read_notices(json.loads(json.dumps({"value": [row(resourceData={"id": "a\0\ud800"})]})))
    assert notice.event_id == "a\ufffd\ufffd" and notice.version == ""
