"""Contacts of an Exchange mailbox against the played server. Both were written from the reference, neither from the other: what one
of them misread shows here."""

from __future__ import annotations

from datetime import date

import pytest

from connectors.contract import Ref, Write
from connectors.errors import MailboxRefused, NeedsAttention, RateLimited, RecordGone, Rejected, StaleVersion
from connectors.mailboxes import (
    BEYOND,
    BIN,
    CATEGORIES,
    CONTACT,
    CONTACT_SCHEMA,
    FOLDER_GONE,
    FOREIGN_ID,
    INSIDE,
    OUTSIDE,
    PLACE,
    ContactBox,
)
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import connect_exchange
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
ANN, FOLDER, CATEGORY = "emma@example.test", "Salesforce Contacts", "Salesforce"
ALL = [name for name in CONTACT_SCHEMA.attributes if name not in (PLACE, BEYOND)]
FULL = {
    "displayName": "Dr. Bo Lind",
    "title": "Dr.",
    "givenName": "Bo",
    "middleName": "Å",
    "surname": "Lind",
    "generation": "Jr.",
    "nickName": "Bosse",
    "email1": "bo@acme.example",
    "email3": "bo@home.example",
    "businessPhone": "+44 20 7946 0000",
    "businessPhone2": "+44 20 7946 0001",
    "mobilePhone": "+46 70 1",
    "homePhone": "+46 8 1",
    "homePhone2": "+46 8 2",
    "otherPhone": "+46 8 3",
    "businessFax": "+46 8 4",
    "assistantPhone": "+46 8 5",
    "companyName": "Acme & <Sons>",
    "department": "Buying",
    "jobTitle": "Buyer",
    "assistantName": "Eva",
    "webPage": "https://acme.example/?a=1&b=2",
    "notes": "First line\nsecond line",
    "businessStreet": "Main Street 1",
    "businessCity": "Lund",
    "businessState": "Skåne",
    "businessPostalCode": "222 22",
    "businessCountry": "Sweden",
    "homeCity": "Malmö",
    "otherCountry": "Norway",
    "birthday": date(1980, 2, 29),
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return World(scenario="empty", now=clock)


@pytest.fixture
def connector(world, clock):
    row = connect_exchange(world)
    adapter = SandboxAdapter(world)
    opened = open_connector(row, adapter=adapter, db_now=clock, now=clock, clock=lambda: clock().timestamp(), sleep=lambda s: None)
    yield opened
    opened.close()


@pytest.fixture
def box(connector) -> ContactBox:
    opened = connector.mailbox(ANN)
    opened.use_folder(opened.make_folder(FOLDER).id, CATEGORY)
    return opened


def by_hand(world, folder="Contacts", **values):
    """Makes a contact as its user does, and returns the number by which the control port knows it."""
    return world.exchange.find_id(
        "contact", str(world.exchange.create_record("contact", {"mailbox": ANN, "folder": folder, **values})["id"])
    )


def create(box, marker="003A", **fields):
    (made,) = box.write(CONTACT, [Write(CONTACT, {"surname": "Lind", **fields}, "k", marker=marker)])
    assert made.error is None, made.error
    return made.record


def update(box, record, **fields):
    (result,) = box.write(CONTACT, [Write(CONTACT, fields, "k", ref=record.ref, version=record.version)])
    return result


def round_of(box, cursor="", columns=("surname",)):
    """Returns everything that a round tells, and the next cursor."""
    inside, outside, gone, gone_outside = {}, {}, set(), set()
    while True:
        page = box.contact_changes(cursor, columns)
        inside |= {r.ref.id: r for r in page.inside}
        outside |= {s.id: s for s in page.outside}
        gone |= set(page.gone)
        gone_outside |= set(page.gone_outside)
        cursor = page.cursor
        if page.is_last:
            return inside, outside, gone, gone_outside, cursor


def test_the_folder_is_made_once_and_found_by_its_name(box):
    (found,) = box.folders(FOLDER)
    assert box.make_folder(FOLDER) == found and box.folders(FOLDER.lower()) == [] and box.folders("Contacts") != []


def test_every_field_is_written_and_read_back(box):
    made = create(box, **FULL)
    (read,) = box.read(CONTACT, [made.ref.id], [*ALL, PLACE, BEYOND])
    assert {name: read.fields[name] for name in FULL} == FULL
    assert (read.fields[CATEGORIES], read.fields[FOREIGN_ID], read.fields[PLACE]) == ((CATEGORY,), "003A", INSIDE)
    assert {name for name in ALL if read.fields[name] is None} == set(ALL) - set(FULL) - {CATEGORIES, FOREIGN_ID}
    assert read.version == made.version and made.fields["surname"] == "Lind"


def test_an_update_touches_the_fields_named_and_no_others(box, world):
    made = create(box, **FULL)
    changed = update(
        box, made, jobTitle="Head", email3=None, homeCity=None, businessCity="Ystad", mobilePhone="1", birthday=None, notes=None
    )
    assert changed.error is None and changed.record.version != made.version

    (read,) = box.read(CONTACT, [made.ref.id], ALL)
    wanted = (
        FULL
        | {"jobTitle": "Head", "businessCity": "Ystad", "mobilePhone": "1"}
        | dict.fromkeys(("email3", "homeCity", "birthday", "notes"))
    )
    assert {name: read.fields[name] for name in FULL} == wanted and read.version == changed.record.version


def test_an_update_rests_on_its_version_and_loses_nobodys_edit(box, world):
    made = create(box)
    world.exchange.update_record("contact", world.exchange.find_id("contact", made.ref.id), {"jobTitle": "By hand"})
    assert isinstance(update(box, made, jobTitle="Ours").error, StaleVersion)
    (gone,) = box.write(CONTACT, [Write(CONTACT, {}, "k", ref=made.ref, version=made.version, is_delete=True)])
    assert isinstance(gone.error, StaleVersion)
    (read,) = box.read(CONTACT, [made.ref.id], ["jobTitle"])
    assert read.fields["jobTitle"] == "By hand"
    assert update(box, read, jobTitle="Ours").error is None


def test_a_delete_goes_to_the_bin(box, world):
    made = create(box)
    (gone,) = box.write(CONTACT, [Write(CONTACT, {}, "k", ref=made.ref, version=made.version, is_delete=True)])
    assert gone.error is None and gone.record.is_deleted
    assert box.read(CONTACT, [made.ref.id], ["surname"]) == [] and box.find_marked(CONTACT, ["003A"], [], since=Clock()()) == []
    assert [row["folder"] for row in world.exchange.list_records("contact")] == ["Deleted Items"]


def test_writes_of_all_kinds_go_out_together_and_each_has_its_own_result_in_order(box, world):
    first, second, third = (create(box, marker=f"003{n}", surname=f"S{n}") for n in range(3))
    missing = Ref("exchange", CONTACT, first.ref.id[:-4] + "AAA=")
    writes = [
        Write(CONTACT, {}, "delete", ref=first.ref, version=first.version, is_delete=True),
        Write(CONTACT, {"surname": "New"}, "create", marker="003N"),
        Write(CONTACT, {"surname": "\x0b"}, "unsendable", ref=second.ref, version=second.version),
        Write(CONTACT, {"jobTitle": "x"}, "missing", ref=missing, version="x"),
        Write(CONTACT, {"jobTitle": "Chief"}, "update", ref=third.ref, version=third.version),
        Write(CONTACT, {}, "gone", ref=missing, is_delete=True),
    ]
    results = box.write(CONTACT, writes)
    assert [r.key for r in results] == [w.key for w in writes]
    kinds = [type(r.error) for r in results]
    assert kinds == [type(None), type(None), Rejected, RecordGone, type(None), RecordGone]


def test_contacts_are_found_by_marker_wherever_they_lie_but_in_the_bin(box, world):
    made = create(box, marker="003A")
    other = create(box, marker="003B")
    create(box, marker="003a")
    world.exchange.update_record("contact", world.exchange.find_id("contact", made.ref.id), {"folder": "Contacts"})
    found = box.find_marked(CONTACT, ["003A", "003B", "003X", ""], ["surname", PLACE], since=Clock()())
    assert {r.fields[FOREIGN_ID]: r.fields[PLACE] for r in found} == {"003A": OUTSIDE, "003B": INSIDE}
    assert other.ref in {r.ref for r in found}


def test_what_happens_in_the_mailbox_is_told_once(box, world):
    by_hand(world, surname="Private")
    marked = by_hand(world, surname="Shared", categories=["salesforce"])
    made = create(box)
    inside, outside, gone, _, cursor = round_of(box)
    assert set(inside) == {made.ref.id} and sorted(s.has_category for s in outside.values()) == [False, True] and gone == set()
    assert inside[made.ref.id].fields["surname"] == "Lind" and inside[made.ref.id].fields[PLACE] == INSIDE

    quiet = round_of(box, cursor)
    assert quiet[:4] == ({}, {}, set(), set())
    world.forget_calls()
    round_of(box, cursor)
    assert sum(world.counts["exchange"].values()) == 1

    update(box, made, jobTitle="Chief")
    world.exchange.delete_record("contact", marked)
    inside, outside, gone, gone_outside, cursor = round_of(box, cursor, ["jobTitle"])
    assert inside[made.ref.id].fields["jobTitle"] == "Chief" and len(gone_outside) == 1 and gone == set()

    world.exchange.delete_record("contact", world.exchange.find_id("contact", made.ref.id))
    inside, _, gone, _, _ = round_of(box, cursor)
    assert inside == {} and gone == {made.ref.id}


def test_a_contact_that_was_dragged_out_is_told_of_where_it_lies_with_its_mark(box, world):
    made = create(box)
    cursor = round_of(box)[-1]
    world.exchange.update_record("contact", world.exchange.find_id("contact", made.ref.id), {"folder": "Contacts"})
    _, outside, gone, _, _ = round_of(box, cursor)
    (seen,) = outside.values()
    assert gone == {made.ref.id} and seen.id != made.ref.id and (seen.foreign_id, seen.has_category) == ("003A", True)
    assert box.read(CONTACT, [made.ref.id], [PLACE]) == []


def test_a_contact_is_brought_in_with_all_that_belongs_to_it(box, world):
    number = by_hand(world, surname="Ek", emails=["e@x.example"], imAddresses=["ek"], categories=["Friends"])
    (before,) = world.exchange.list_records("contact")
    _, outside, _, _, cursor = round_of(box)
    (id_,) = outside
    moved = box.bring_in(id_, "003M")
    assert moved.ref.id != id_ and moved.fields[PLACE] == INSIDE and moved.fields[FOREIGN_ID] == "003M"
    assert moved.fields[CATEGORIES] == ("Friends", CATEGORY) and moved.fields["email1"] == "e@x.example"
    assert box.bring_in(id_, "003M") == moved  # whose answer was lost is asked for again
    (after,) = world.exchange.list_records("contact")
    assert after["imAddresses"] == before["imAddresses"] and number
    inside, _, gone, gone_outside, _ = round_of(box, cursor)
    assert set(inside) == {moved.ref.id} and gone_outside == {id_} and gone == set()
    with pytest.raises(RecordGone):
        box.bring_in(id_, "003X")


def test_through_writes_a_move_is_told_with_the_id_that_it_led_to(box, world):
    by_hand(world, surname="Ek", categories=[CATEGORY])
    (id_,) = round_of(box)[1]
    ref = Ref("exchange", CONTACT, id_)
    (result,) = box.write(CONTACT, [Write(CONTACT, {PLACE: INSIDE, FOREIGN_ID: "003M"}, "k", ref=ref)])
    assert result.error is None and result.record.ref.id != id_ and result.record.fields[PLACE] == INSIDE


def test_a_round_that_knows_its_state_no_more_lists_everything(box, world):
    made = create(box)
    _, _, _, _, cursor = round_of(box)
    world.exchange.expire_sync()
    page = box.contact_changes(cursor, ["surname"])
    assert page.is_whole and not page.is_restart
    inside = round_of(box, cursor)[0]
    assert set(inside) == {made.ref.id}


def test_a_whole_round_goes_page_by_page_and_one_that_dies_in_the_middle_begins_anew(box, world):
    for n in range(7):
        create(box, marker=f"003{n}")
        by_hand(world, surname=f"P{n}")
    world.exchange.set_switches({"sync_page": 3})
    pages, cursor = [], ""
    while not pages or not pages[-1].is_last:
        pages.append(box.contact_changes(cursor, ["surname"]))
        cursor = pages[-1].cursor
    assert [len(p.inside) for p in pages if p.inside] == [3, 3, 1] and sum(len(p.outside) for p in pages) == 7
    assert all(p.is_whole for p in pages)

    first = box.contact_changes("", ["surname"])
    world.exchange.expire_sync()
    page = box.contact_changes(first.cursor, ["surname"])
    assert page.is_restart and page.is_whole


def test_a_folder_that_is_gone_or_lies_in_the_bin_is_told_as_such(box, world):
    create(box)
    cursor = round_of(box)[-1]
    folder = next(row for row in world.exchange.list_records("folder") if row.get("displayName") == FOLDER and row["mailbox"] == ANN)
    world.exchange.delete_record("folder", world.exchange.find_id("folder", str(folder["id"])))
    for at in ("", cursor):
        try:
            page = box.contact_changes(at, ["surname"])
        except RecordGone as error:
            assert error.code == FOLDER_GONE
        else:
            assert at and page.is_last  # that it lies in the bin, a list of changes does not say
    assert box.folders(FOLDER) == []


def test_what_is_in_the_bin_is_shown_to_who_asks_for_places(box, world):
    by_hand(world, "Deleted Items", surname="Old")
    (row,) = world.exchange.list_records("contact")
    assert box.read(CONTACT, [row["id"]], ["surname"]) == []
    (found,) = box.read(CONTACT, [row["id"]], [PLACE])
    assert found.fields[PLACE] == BIN and found.is_deleted


def test_many_contacts_are_read_and_written_fifty_a_call(box, world):
    world.forget_calls()
    results = box.write(CONTACT, [Write(CONTACT, {"surname": f"S{n}"}, str(n), marker=f"003{n}") for n in range(120)])
    assert all(r.error is None for r in results)
    calls = world.counts["exchange"]
    assert sum(n for key, n in calls.items() if "CreateItem" in key) == 3
    records = box.read(CONTACT, [r.record.ref.id for r in results], ["surname"])
    assert len(records) == 120


# --- refusals ---------------------------------------------------------------------------------------------------------


def state_of(world, state):
    user = next(row for row in world.exchange.list_records("user") if row["mail"] == ANN)
    world.exchange.update_record("user", world.exchange.find_id("user", str(user["id"])), {"state": state})


@pytest.mark.parametrize(("state", "is_gone"), [("denied", False), ("gone", True)])
def test_a_mailbox_that_we_may_not_use_or_that_is_gone_is_refused_by_itself(box, connector, world, state, is_gone):
    state_of(world, state)
    with pytest.raises(MailboxRefused) as caught:
        box.contact_changes("", ["surname"])
    assert caught.value.is_gone is is_gone and ANN in caught.value.detail
    (line,) = box.check_mailbox()
    assert not line.is_ok and bool(line.remedy) is not is_gone
    assert connector.mailbox("erik@example.test").contact_changes("", []).is_last


def test_a_mailbox_that_there_never_was_is_gone(connector):
    with pytest.raises(MailboxRefused) as caught:
        connector.mailbox("nobody@example.test").folders(FOLDER)
    assert caught.value.is_gone


def test_a_busy_server_is_waited_for_as_long_as_it_says(box, world):
    world.exchange.set_switches({"busy_after": 0, "back_off_ms": 45_000})
    with pytest.raises(RateLimited) as caught:
        box.contact_changes("", ["surname"])
    assert caught.value.retry_after == 45 and not caught.value.may_have_happened
    world.forget_calls()
    with pytest.raises(RateLimited):
        box.folders(FOLDER)
    assert sum(world.counts["exchange"].values()) == 0  # nothing goes out meanwhile


def test_a_wrong_password_is_the_connections_trouble_and_is_shown_nowhere(world, clock):
    row = connect_exchange(world)
    row.secrets = {"password": "not-the-password"}
    row.save()
    opened = open_connector(row, adapter=SandboxAdapter(world), db_now=clock, now=clock, clock=lambda: clock().timestamp())
    with pytest.raises(NeedsAttention) as caught:
        opened.mailbox(ANN).folders(FOLDER)
    assert not isinstance(caught.value, MailboxRefused) and caught.value.status == 401
    assert "not-the-password" not in repr(caught.value.exchange) + str(caught.value)
    opened.close()


def test_who_has_a_mailbox_is_told_by_the_list_or_by_the_server(world, clock):
    row = connect_exchange(world)
    for settings, wanted in (
        ({"mailboxes": [ANN, "x@example.test"]}, {ANN, "x@example.test"}),
        ({"directory": "names"}, set(world.exchange.credentials()["mailboxes"])),
    ):
        row.settings = {**row.settings, **settings}
        opened = open_connector(row, adapter=SandboxAdapter(world), db_now=clock, now=clock, clock=lambda: clock().timestamp())
        assert {user.address for page in opened.users() for user in page} == wanted
        assert all(line.is_ok for line in opened.check())
        assert str(opened.identity()).startswith("EXAMPLE\\svc-sync at ")
        opened.close()


# --- the subscription that says whether anything happened -------------------------------------------------------------


def calls(world):
    made = {key.rpartition("/")[2]: n for key, n in world.counts["exchange"].items()}
    world.forget_calls()
    return made


def test_the_lists_are_read_once_an_hour_whatever_the_subscription_says(box, world, clock):
    create(box)
    cursor = round_of(box)[-1]
    cursor = round_of(box, cursor)[-1]
    calls(world)
    clock.forward(1800)
    cursor = round_of(box, cursor)[-1]
    assert calls(world) == {"GetEvents": 1}
    clock.forward(1801)
    round_of(box, cursor)
    assert calls(world) == {"GetEvents": 1, "SyncFolderItems": 2}


def test_a_subscription_that_is_forgotten_loses_nothing(box, world):
    made = create(box)
    cursor = round_of(box)[-1]
    for row in list(world.exchange.store.rows("subscription").values()):
        world.exchange.store.tables["subscription"].remove(row["n"])
    update(box, made, jobTitle="Chief")
    inside, _, _, _, cursor = round_of(box, cursor, ["jobTitle"])
    assert inside[made.ref.id].fields["jobTitle"] == "Chief"
    calls(world)
    assert round_of(box, cursor)[:4] == ({}, {}, set(), set()) and calls(world) == {"GetEvents": 1}


def test_where_no_subscription_is_given_the_lists_are_read_each_time(box, world):
    world.exchange.set_switches({"subscriptions_most": 0})
    create(box)
    cursor = round_of(box)[-1]
    calls(world)
    assert round_of(box, cursor)[:4] == ({}, {}, set(), set())
    assert calls(world) == {"Subscribe": 1, "SyncFolderItems": 2}


def test_what_happens_while_the_lists_are_read_is_heard_in_the_next_round(box, world):
    create(box)
    world.exchange.set_switches({"sync_page": 1})
    create(box, marker="003B")
    page = box.contact_changes("", ["surname"])
    late = by_hand(world, surname="Late", categories=["Salesforce"])
    while not page.is_last:
        page = box.contact_changes(page.cursor, ["surname"])
    assert late
    inside, outside, _, _, _ = round_of(box, page.cursor)
    assert inside == {} and outside == {}  # it was told at the end of that round, for its list was read after ours
    by_hand(world, surname="Later")
    assert len(round_of(box, page.cursor)[1]) == 1
