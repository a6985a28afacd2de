"""Rounds of changes of a Google mailbox: what one page says, how it goes on, and when nothing may be concluded."""

import json
from datetime import UTC, datetime

import pytest

from connectors.contract import Record
from connectors.errors import ConnectorError, MailboxRefused, OutcomeUnknown, RecordGone, Rejected
from connectors.mailboxes import BEYOND, CATEGORIES, FOREIGN_ID, INSIDE, PLACE, Sighting
from tests.connectors.google_wire import (
    CATEGORY,
    EXPIRED,
    FOLDER,
    GET,
    GROUPS,
    LIST,
    MINE,
    error,
    gone,
    got,
    group,
    groups,
    listed,
    mailbox,
    older,
    person,
    stamp,
)
from tests.connectors.wire import HTML, Said

COLUMNS = ["email1", "surname"]


def begun(routes=None, **options):
    """Returns a mailbox whose first round is over, its wire, and the cursor behind that round."""
    first = {LIST: listed(sync="sync-1"), **(routes or {})}
    later = first.pop(LIST) if routes and LIST in routes else None
    box, wire = mailbox(
        {**first, LIST: [listed(sync="sync-1"), *(later if isinstance(later, list) else [later] if later else [])]}, **options
    )
    cursor = box.contact_changes("", COLUMNS).cursor
    wire.requests.clear()
    return box, wire, cursor


def reopened(routes, cursor):
    """Returns another mailbox object, as the next run opens it: all it knows is the cursor."""
    box, wire = mailbox(routes)
    return box, wire, cursor


def ids(records):
    return [record.ref.id for record in records]


# --- one page -----------------------------------------------------------------------------------------------------------


def test_nothing_changed_costs_one_call_and_no_more():
    _, _, cursor = begun()
    box, wire, _ = reopened({LIST: listed(sync="sync-2")}, cursor)

    page = box.contact_changes(cursor, COLUMNS)

    assert wire.calls == [LIST] and box.counts().calls == 1
    asked = {"personFields": "memberships,metadata,clientData", "pageSize": "1000", "requestSyncToken": "true", "syncToken": "sync-1"}
    assert wire.asked() == asked
    assert (page.inside, page.outside, page.gone, page.gone_outside, page.is_last, page.is_whole) == ((), (), (), (), True, False)
    assert json.loads(page.cursor)["sync"] == "sync-2"
    assert page.server_time == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_the_first_round_lists_everything_and_reads_in_full_only_what_is_in_our_folder():
    full = person(1, marker="sf-1", names=[{"familyName": "Lind"}], emailAddresses=[{"value": "bo@acme.example"}])
    people = [person(1, marker="sf-1"), person(2, MINE), person(3, MINE, CATEGORY)]
    box, wire = mailbox({LIST: listed(*people, sync="sync-1"), GET: got(full)})

    page = box.contact_changes("", COLUMNS)

    assert wire.calls == [LIST, GROUPS, GET] and wire.names() == ["people/c1"]  # I7
    assert "syncToken" not in wire.asked(0) and "memberships" in wire.asked()["personFields"]
    (record,) = page.inside
    assert isinstance(record, Record) and (record.ref.id, record.version) == ("people/c1", stamp(1))
    assert record.updated_at == datetime(2026, 11, 20, 9, 15, 0, 120000, tzinfo=UTC)
    shown = {name: record.fields[name] for name in ("surname", "email1", "email2", CATEGORIES, FOREIGN_ID, PLACE, BEYOND)}
    assert shown == {
        "surname": "Lind",
        "email1": "bo@acme.example",
        "email2": None,
        CATEGORIES: ("Salesforce",),
        FOREIGN_ID: "sf-1",
        PLACE: INSIDE,
        BEYOND: (),
    }
    assert page.outside == (Sighting("people/c2", has_category=False), Sighting("people/c3", has_category=True))
    assert page.is_whole and page.is_last and not page.is_restart


def test_changed_contacts_inside_cost_a_read_for_each_two_hundred_and_no_look_at_the_labels():
    people = [person(n) for n in range(1, 202)]
    _, _, cursor = begun()
    box, wire, _ = reopened({LIST: listed(*people), GET: [got(*people[:200]), got(people[200])]}, cursor)

    page = box.contact_changes(cursor, COLUMNS)

    assert wire.calls == [LIST, GET, GET] and len(wire.names(1)) == 200 and wire.names(2) == ["people/c201"]
    assert ids(page.inside) == [f"people/c{n}" for n in range(1, 202)]


def test_a_label_that_is_not_known_yet_is_looked_up_once():
    new = person(1, MINE, FOLDER, "contactGroups/n1", "contactGroups/n2")
    _, _, cursor = begun()
    more = [group("contactGroups/n1", "Golf"), group("contactGroups/n2", "Chess")]
    box, wire, _ = reopened({LIST: listed(new), GET: got(new), GROUPS: groups(*more)}, cursor)

    (record,) = box.contact_changes(cursor, COLUMNS).inside

    assert record.fields[CATEGORIES] == ("Chess", "Golf") and wire.calls == [LIST, GROUPS, GET]


def test_a_contact_deleted_is_gone_from_both_places():
    box, wire, cursor = begun({LIST: listed(gone(7))})

    page = box.contact_changes(cursor, COLUMNS)

    assert (page.gone, page.gone_outside, page.inside, page.outside) == (("people/c7",), ("people/c7",), (), ())
    assert wire.calls == [LIST, GROUPS]  # is the folder there?


def test_whose_folder_label_was_taken_off_has_left_and_is_seen_outside():
    box, _, cursor = begun({LIST: listed(person(1, MINE, CATEGORY), person(2, MINE))})

    page = box.contact_changes(cursor, COLUMNS)

    assert page.gone == ("people/c1", "people/c2") and page.gone_outside == ()
    assert page.outside == (Sighting("people/c1", has_category=True), Sighting("people/c2", has_category=False))


def test_a_contact_that_changed_its_id_is_not_taken_for_deleted():
    new = person(9)
    new["metadata"] = {**new["metadata"], "previousResourceNames": ["people/c1", "people/c9", 5]}
    box, _, cursor = begun({LIST: listed(gone(1), new), GET: got(new)})

    page = box.contact_changes(cursor, COLUMNS)

    assert page.renamed == {"people/c1": "people/c9"} and page.gone == () and ids(page.inside) == ["people/c9"]


def test_what_was_said_last_of_a_contact_holds():
    box, wire, cursor = begun({LIST: listed(gone(1), person(1), person(2), gone(2)), GET: got(person(1))})

    page = box.contact_changes(cursor, COLUMNS)

    assert ids(page.inside) == ["people/c1"] and page.gone == ("people/c2",) and wire.names() == ["people/c1"]


def test_a_contact_that_went_between_the_list_and_the_read_is_left_to_the_next_round():
    box, _, cursor = begun({LIST: listed(person(1), person(2)), GET: got(person(2, MINE), missing=(1,))})

    page = box.contact_changes(cursor, COLUMNS)

    assert page.inside == () and page.gone == ("people/c2",) and [s.id for s in page.outside] == ["people/c2"]


def test_what_we_know_at_its_very_version_is_not_read_again():
    box, wire, cursor = begun({LIST: [listed(person(1)), listed(person(1)), listed(person(1, etag="#new"))], GET: got(person(1))})

    for calls in ([LIST, GET], [LIST], [LIST, GET]):
        wire.requests.clear()
        cursor = box.contact_changes(cursor, COLUMNS).cursor
        assert wire.calls == calls


# --- pages and rounds ---------------------------------------------------------------------------------------------------


def test_a_round_of_several_pages_keeps_its_parameters_and_looks_at_the_folder_at_both_ends():
    box, wire = mailbox({LIST: [listed(person(1, MINE), following="p2"), listed(following="p3"), listed(sync="sync-1")]})

    pages, cursor = [], ""
    while not (pages and pages[-1].is_last):
        pages.append(box.contact_changes(cursor, COLUMNS))
        cursor = pages[-1].cursor

    assert wire.calls == [LIST, GROUPS, LIST, LIST, GROUPS]
    assert [wire.asked(i).get("pageToken") for i in (0, 2, 3)] == [None, "p2", "p3"]
    assert {wire.asked(i)["personFields"] for i in (0, 2, 3)} == {"memberships,metadata,clientData"}
    assert [page.is_last for page in pages] == [False, False, True] and all(page.is_whole for page in pages)


def test_a_later_page_of_a_round_of_changes_carries_both_tokens():
    box, wire, cursor = begun({LIST: [listed(following="p2"), listed(sync="sync-2")]})

    first = box.contact_changes(cursor, COLUMNS)
    second = box.contact_changes(first.cursor, COLUMNS)

    assert not first.is_last and not first.is_whole and second.is_last and not second.is_whole
    assert (wire.asked()["syncToken"], wire.asked()["pageToken"]) == ("sync-1", "p2")


EMPTY_410 = Said(410, HTML)
WITHOUT_REASON = error(400, "Sync token is expired. Clear local cache and retry call without the sync token.", "FAILED_PRECONDITION")


@pytest.mark.parametrize("over", [EXPIRED, older(410, "fullSyncRequired"), EMPTY_410, WITHOUT_REASON])
def test_a_sync_token_that_ended_starts_the_round_anew_and_whole(over):
    box, wire, cursor = begun({LIST: [over, listed(person(2, MINE), sync="sync-9")]})

    page = box.contact_changes(cursor, COLUMNS)

    assert wire.calls == [LIST, LIST, GROUPS] and "syncToken" not in wire.asked(1)
    assert page.is_whole and not page.is_restart and json.loads(page.cursor)["sync"] == "sync-9"


@pytest.mark.parametrize("over", [EXPIRED, error(400, "Invalid page token.", "INVALID_ARGUMENT")])
def test_a_token_that_ends_in_the_middle_of_a_round_says_that_earlier_pages_count_no_more(over):
    box, _, cursor = begun({LIST: [listed(gone(1), following="p2"), over, listed(sync="sync-9")]})
    first = box.contact_changes(cursor, COLUMNS)

    page = box.contact_changes(first.cursor, COLUMNS)

    assert page.is_whole and page.is_restart and page.is_last


def test_a_page_that_never_comes_is_not_asked_for_for_ever():
    refusal = error(400, "Invalid page token.", "INVALID_ARGUMENT")
    box, _, cursor = begun({LIST: [listed(following="p"), *[refusal, listed(following="p")] * 2, refusal]})
    for _ in range(3):
        cursor = box.contact_changes(cursor, COLUMNS).cursor

    with pytest.raises(Rejected, match="Invalid page token"):
        box.contact_changes(cursor, COLUMNS)


def test_another_refusal_of_the_list_is_no_reason_to_start_anew():
    box, wire, cursor = begun({LIST: error(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")})

    with pytest.raises(Rejected):
        box.contact_changes(cursor, COLUMNS)
    assert wire.calls == [LIST]


@pytest.mark.parametrize(
    "cursor",
    [
        "{",
        "[]",
        "{}",
        "null",
        "5",
        '{"folder":"contactGroups/f1"}',
        '{"folder":"contactGroups/f1","fields":"names","size":100,"sync":"s"}',
        "[" * 9999,
    ]
    + [
        json.dumps({"folder": FOLDER, "fields": "memberships,metadata,clientData", "size": size, "sync": sync})
        for size, sync in ((0, "s"), ("x", "s"), (1001, "s"), (5, ""), (5, 7))
    ],
)
def test_a_cursor_that_is_none_of_ours_starts_a_whole_round(cursor):
    box, wire = mailbox({LIST: listed()})

    assert box.contact_changes(cursor, COLUMNS).is_whole and "syncToken" not in wire.asked(0)


def test_a_cursor_of_another_folder_starts_a_whole_round():
    _, _, cursor = begun()
    box, wire = mailbox({LIST: listed(), GROUPS: groups(group("contactGroups/f2", "Salesforce Contacts"))})
    box.use_folder("contactGroups/f2", "Salesforce")

    assert box.contact_changes(cursor, COLUMNS).is_whole and "syncToken" not in wire.asked(0)


def test_a_cursor_keeps_the_page_size_that_its_token_is_bound_to():
    _, _, cursor = begun()
    box, wire = mailbox({LIST: listed()}, settings={"page_size": 100})

    box.contact_changes(cursor, COLUMNS)

    assert wire.asked()["pageSize"] == "1000"


# --- when nothing may be concluded --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [listed(person(1, MINE), person(2, MINE)), listed(gone(1)), listed(person(1, MINE), person(3, MINE, FOLDER))]
)
def test_a_folder_label_deleted_by_hand_is_not_read_as_all_contacts_gone(said):
    box, _, cursor = begun({LIST: said, GROUPS: [groups(), groups(without=FOLDER)], GET: got(person(3, MINE, FOLDER))})

    with pytest.raises(RecordGone) as raised:
        box.contact_changes(cursor, COLUMNS)

    assert raised.value.code == "folder"


def test_a_whole_round_of_a_mailbox_without_our_folder_concludes_nothing():
    box, _ = mailbox({LIST: listed(), GROUPS: groups(without=FOLDER)})

    with pytest.raises(RecordGone) as raised:
        box.contact_changes("", COLUMNS)
    assert raised.value.code == "folder"


def test_a_folder_that_goes_in_the_middle_of_a_whole_round_is_noticed_at_its_end():
    box, _ = mailbox({LIST: [listed(following="p2"), listed()], GROUPS: [groups(), groups(without=FOLDER)]})
    first = box.contact_changes("", COLUMNS)

    with pytest.raises(RecordGone):
        box.contact_changes(first.cursor, COLUMNS)


def test_a_folder_id_that_is_no_label_is_refused_at_once():
    box, _ = mailbox({}, has_folder=False)

    with pytest.raises(RecordGone) as raised:
        box.use_folder("AAMkAD", "Salesforce")
    assert raised.value.code == "folder"


BAD_PAGES = [
    Said(200, HTML),
    Said(200, []),
    Said(200, '{"connections": [{"resourceName": "people/c1", "me'),
    Said(200, {}),
    Said(200, {"connections": None, "nextSyncToken": "s"}),
    Said(200, {"connections": {}, "nextSyncToken": "s"}),
    Said(200, {"connections": [None], "nextSyncToken": "s"}),
    Said(200, {"connections": [{"etag": "x"}], "nextSyncToken": "s"}),
    Said(200, {"connections": [{"resourceName": "people/me"}], "nextSyncToken": "s"}),
    Said(200, {"connections": [{"resourceName": "people/c1?x=/../"}], "nextSyncToken": "s"}),
    Said(200, {"connections": [{"resourceName": 5}], "nextSyncToken": "s"}),
    Said(200, {"connections": [person(1, memberships={})], "nextSyncToken": "s"}),
    Said(200, {"connections": [person(1, memberships=["x"])], "nextSyncToken": "s"}),
    Said(200, {"connections": [{**person(1), "metadata": []}], "nextSyncToken": "s"}),
    Said(200, {"connections": [], "nextSyncToken": 5}),
    Said(200, {"connections": [], "nextPageToken": {}}),
]


@pytest.mark.parametrize("said", BAD_PAGES)
def test_a_page_that_cannot_be_read_ends_nothing(said):
    box, _, cursor = begun({LIST: said})

    with pytest.raises(OutcomeUnknown) as raised:
        box.contact_changes(cursor, COLUMNS)
    assert not raised.value.may_have_happened


def test_the_same_page_over_and_over_is_no_page():
    box, _, cursor = begun({LIST: listed(following="p2")})
    first = box.contact_changes(cursor, COLUMNS)

    with pytest.raises(OutcomeUnknown):
        box.contact_changes(first.cursor, COLUMNS)


@pytest.mark.parametrize(
    "said",
    [
        Said(200, {}),
        got(),
        got(person(2)),
        Said(200, {"responses": [None]}),
        Said(200, {"responses": [{"requestedResourceName": "people/c1"}]}),
        got(person(1, emailAddresses={})),
        got(person(1, emailAddresses=[5])),
        got(person(1, emailAddresses=[{"value": 5}])),
        got(person(1, names=[{"familyName": ["x"]}])),
    ],
)
def test_a_contact_that_is_not_answered_for_is_not_taken_for_gone(said):
    box, _, cursor = begun({LIST: listed(person(1)), GET: said})

    with pytest.raises(OutcomeUnknown):
        box.contact_changes(cursor, COLUMNS)


def test_a_contact_that_cannot_be_told_just_now_stops_the_page():
    refused = {"requestedResourceName": "people/c1", "status": {"code": 13, "message": "Internal"}, "httpStatusCode": 500}
    box, _, cursor = begun({LIST: listed(person(1)), GET: Said(200, {"responses": [refused]})})

    with pytest.raises(ConnectorError, match="Internal"):
        box.contact_changes(cursor, COLUMNS)


@pytest.mark.parametrize(
    "said",
    [
        Said(200, {"contactGroups": 5}),
        Said(200, {"contactGroups": [5]}),
        Said(200, {"contactGroups": [{"resourceName": "x", "name": "y"}]}),
        Said(200, {"contactGroups": [{"resourceName": FOLDER}]}),
        Said(200, {"contactGroups": [], "nextPageToken": "same"}),
        Said(200, HTML),
    ],
)
def test_labels_that_cannot_be_read_are_not_taken_for_deleted(said):
    box, _ = mailbox({LIST: listed(), GROUPS: said})

    with pytest.raises(OutcomeUnknown):
        box.contact_changes("", COLUMNS)


def test_labels_come_in_pages_and_deleted_ones_do_not_count():
    dead = {**group("contactGroups/d1", "Dead"), "metadata": {"deleted": True}}
    pages = [Said(200, {"contactGroups": [dead], "nextPageToken": "g2"}), groups()]
    box, wire = mailbox({GROUPS: pages})

    assert box.folders("Salesforce Contacts")[0].id == FOLDER and wire.asked()["pageToken"] == "g2"


def test_a_mailbox_without_contacts_of_ours_to_see_is_refused_and_not_empty():
    box, _, cursor = begun({LIST: error(404, "Requested entity was not found.", "NOT_FOUND")})

    with pytest.raises(MailboxRefused):
        box.contact_changes(cursor, COLUMNS)


# --- reading by id and by marker ----------------------------------------------------------------------------------------


def test_contacts_are_read_wherever_they_lie_and_missing_ones_are_left_out():
    box, wire = mailbox({GET: got(person(1, marker="sf-1"), person(2, MINE), missing=(3,))})

    records = box.read("contact", ["people/c1", "people/c2", "people/c3", "people/me", "../x", "people/c1"], [])

    assert {r.ref.id: (r.fields[PLACE], r.fields[FOREIGN_ID]) for r in records} == {
        "people/c1": ("inside", "sf-1"),
        "people/c2": ("outside", None),
    }
    assert wire.names(0) == ["people/c1", "people/c2", "people/c3"]


def test_a_contact_deleted_is_left_out_of_a_read_even_where_google_still_names_it():
    box, _ = mailbox({GET: got(gone(1))})

    assert box.read("contact", ["people/c1"], [PLACE]) == []


def test_where_a_contact_lies_is_asked_without_reading_it():
    """I7: it may be a personal one."""
    box, wire = mailbox({GET: got(person(1))})

    (record,) = box.read("contact", ["people/c1"], [PLACE])

    asked = next(a for a in map(wire.asked, range(len(wire.calls))) if "resourceNames" in a)
    assert record.fields.keys() == {PLACE} and asked["personFields"] == "memberships,metadata,clientData"


def test_a_contact_with_another_id_by_now_is_read_under_the_one_asked_for():
    answer = {"person": person(9), "requestedResourceName": "people/c1", "httpStatusCode": 200}
    box, _ = mailbox({GET: Said(200, {"responses": [answer]})})

    assert ids(box.read("contact", ["people/c1"], [])) == ["people/c1"]


def test_marked_contacts_are_found_by_listing_hidden_entries_page_by_page():
    pages = [Said(200, {"connections": [person(1, MINE, marker="m-1"), person(2, MINE)], "nextPageToken": "p2"})]
    pages += [Said(200, {"connections": [person(3, marker="m-3"), person(4, marker="m-4")]})]
    box, wire = mailbox({LIST: pages, GET: got(person(1, MINE, marker="m-1"), person(3, marker="m-3"))})

    found = box.find_marked("contact", ["m-1", "m-3", ""], [], since=datetime(2026, 11, 1, tzinfo=UTC))

    assert {r.ref.id: r.fields[FOREIGN_ID] for r in found} == {"people/c1": "m-1", "people/c3": "m-3"}
    assert wire.calls[:3] == [LIST, LIST, GET] and "requestSyncToken" not in wire.asked(0) and "clientData" in wire.asked(0)["personFields"]
    assert wire.names(2) == ["people/c1", "people/c3"]


def test_another_programs_entry_is_no_marker():
    foreign = person(1, clientData=[{"key": "other", "value": "m-1"}])
    box, wire = mailbox({LIST: Said(200, {"connections": [foreign]})})

    assert box.find_marked("contact", ["m-1"], [], since=datetime(2026, 11, 1, tzinfo=UTC)) == [] and wire.calls == [LIST]
    assert box.find_marked("contact", [""], [], since=datetime(2026, 11, 1, tzinfo=UTC)) == [] and wire.calls == [LIST]


def test_what_is_not_for_mailboxes_says_so():
    box, _ = mailbox({})

    for call in (
        lambda: box.changes("contact"),
        lambda: box.scan("contact"),
        lambda: box.find("contact", "email1", [], []),
        lambda: box.count("contact", None),
    ):
        with pytest.raises(NotImplementedError):
            call()
    assert box.rivals("x") == []
