"""Writing to a Google mailbox: batches one after another, each person's own answer, whole lists, versions, and refusals."""

import json

import pytest
import requests

from connectors.contract import Ref, Write
from connectors.errors import (
    MailboxRefused,
    MappingError,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    Unreachable,
)
from connectors.mailboxes import BEYOND, CATEGORIES, FOREIGN_ID, INSIDE, PLACE
from tests.connectors.google_wire import (
    CATEGORY,
    CREATE,
    DELETE,
    FOLDER,
    GET,
    GROUPS,
    KEY,
    MAKE_GROUP,
    MINE,
    STALE,
    STALE_TEXT,
    STARRED,
    UPDATE,
    VIP,
    echo_create,
    echo_update,
    error,
    failed,
    got,
    group,
    groups,
    labels_of,
    mailbox,
    older,
    part,
    person,
    stamp,
    updated,
)
from tests.connectors.wire import HTML, Said


def create(n, marker=None, **fields):
    return Write("contact", fields or {"surname": f"Name {n}"}, key=f"c{n}", marker=f"m-{n}" if marker is None else marker)


def update(n, etag="", **fields):
    version = stamp(n, etag) if etag is not None else ""
    return Write("contact", fields or {"jobTitle": "CTO"}, key=f"u{n}", ref=Ref("google", "contact", f"people/c{n}"), version=version)


def delete(n, version=""):
    return Write("contact", {}, key=f"d{n}", ref=Ref("google", "contact", f"people/c{n}"), version=version, is_delete=True)


def kinds(results):
    return [type(result.error) if result.error else "done" for result in results]


# --- creates ------------------------------------------------------------------------------------------------------------


def test_creates_go_out_in_one_call_with_both_labels_and_the_marker_and_the_answer_is_what_stands():
    box, wire = mailbox({CREATE: echo_create()})

    results = box.write("contact", [create(1, surname="Lind", email1="bo@acme.example"), create(2, surname="Ek", categories=("VIP",))])

    assert wire.calls == [GROUPS, CREATE] and box.batch_size("contact", is_create=True) == 200
    body = wire.body()
    first, second = (row["contactPerson"] for row in body["contacts"])
    assert first["names"] == [{"familyName": "Lind"}] and first["emailAddresses"] == [{"type": "work", "value": "bo@acme.example"}]
    assert first["clientData"] == [{"key": KEY, "value": "m-1"}] and set(first) == {"names", "emailAddresses", "clientData", "memberships"}
    assert labels_of(first) == [MINE, FOLDER, CATEGORY] and labels_of(second) == [MINE, FOLDER, CATEGORY, VIP]
    assert {"memberships", "metadata", "clientData", "names", "emailAddresses"} <= set(body["readMask"].split(","))
    assert [(r.key, r.record.ref.id, r.record.version) for r in results] == [
        ("c1", "people/c100", "#made"),  # the answer names them the other way round
        ("c2", "people/c101", "#made"),
    ]
    shown = results[1].record.fields
    assert (shown["surname"], shown[FOREIGN_ID], shown[PLACE], shown[CATEGORIES]) == ("Ek", "m-2", INSIDE, ("Salesforce", "VIP"))
    assert results[0].exchange.method == "POST"


def test_what_was_made_can_be_changed_without_reading_it_first():
    box, wire = mailbox({CREATE: echo_create(), UPDATE: echo_update()})
    (made,) = box.write("contact", [create(1)])
    wire.requests.clear()

    (result,) = box.write("contact", [Write("contact", {"title": "Dr"}, "u", ref=made.record.ref, version=made.record.version)])

    assert wire.calls == [UPDATE] and wire.body()["contacts"]["people/c100"]["metadata"]["sources"][0]["etag"] == "#made"
    assert (result.record.fields["title"], result.record.fields["surname"], result.record.version) == ("Dr", "Name 1", "#new")


def test_a_create_that_was_refused_does_not_shift_the_answers_of_the_others():
    people = [part(person(8, marker="m-3")), failed(3, "Invalid birthday.", 400), part(person(9, marker="m-1"))]
    box, wire = mailbox({CREATE: Said(200, {"createdPeople": people})})

    results = box.write("contact", [create(1), create(2), create(3)])

    assert kinds(results) == ["done", Rejected, "done"] and results[1].error.sentence == "Google: Invalid birthday."
    assert [results[0].record.ref.id, results[2].record.ref.id] == ["people/c9", "people/c8"]
    assert not results[1].error.may_have_happened


@pytest.mark.parametrize(
    "people",
    [
        [part(person(8, marker="m-1"))],
        [part(person(8, marker="m-1")), part(person(9, marker="m-7"))],
        [part(person(8, marker="m-1")), part(person(9))],
    ],
)
def test_a_create_without_an_answer_of_its_own_is_in_doubt(people):
    box, _ = mailbox({CREATE: Said(200, {"createdPeople": people})})

    results = box.write("contact", [create(1), create(2)])

    assert kinds(results) == ["done", OutcomeUnknown] and results[1].error.may_have_happened


@pytest.mark.parametrize(
    "said",
    [
        Said(200, HTML),
        Said(200, {}),
        Said(200, {"createdPeople": None}),
        Said(200, {"createdPeople": [None]}),
        Said(200, {"createdPeople": [{"person": {"resourceName": 5}}]}),
        Said(200, {"createdPeople": [part(person(1)), part(person(2)), part(person(3))]}),
        Said(200, '{"createdPeople": [{"person": {"resour'),
    ],
)
def test_creates_whose_answer_cannot_be_read_are_in_doubt_and_not_repeated(said):
    box, wire = mailbox({CREATE: said})

    try:
        errors = [result.error for result in box.write("contact", [create(1), create(2)])]
    except OutcomeUnknown as trouble:
        errors = [trouble]

    assert all(isinstance(error, OutcomeUnknown) and error.may_have_happened for error in errors)
    assert wire.calls.count(CREATE) == 1


def test_creates_that_cannot_be_told_apart_go_alone():
    box, wire = mailbox({CREATE: echo_create()})

    results = box.write("contact", [create(1, marker="same"), create(2, marker="same"), create(3, marker=""), create(4)])

    sizes = [len(wire.body(i)["contacts"]) for i, call in enumerate(wire.calls) if call == CREATE]
    assert sizes == [1, 1, 1, 1] and kinds(results) == ["done"] * 4
    assert "clientData" not in wire.body(4)["contacts"][0]["contactPerson"]


def test_more_than_a_call_takes_goes_out_in_several():
    box, wire = mailbox({CREATE: echo_create()}, settings={"write_size": 2})

    assert kinds(box.write("contact", [create(n) for n in range(5)])) == ["done"] * 5
    assert [len(wire.body(i)["contacts"]) for i in (1, 2, 3)] == [2, 2, 1]


def test_a_refused_call_is_sent_again_in_halves_until_the_row_at_fault_stands_alone():
    def answer(request):
        sent = json.loads(request.body)["contacts"]
        if any("names" in row["contactPerson"] and row["contactPerson"]["names"][0]["familyName"] == "bad" for row in sent):
            return error(400, "Invalid name.", "INVALID_ARGUMENT")
        return echo_create()(request)

    box, wire = mailbox({CREATE: answer})

    results = box.write("contact", [create(1), create(2), create(3, surname="bad"), create(4)])

    assert kinds(results) == ["done", "done", Rejected, "done"] and wire.calls.count(CREATE) == 5
    assert wire.calls.count(GROUPS) == 2  # known first; is the folder there? asked once


def test_a_call_that_refuses_whatever_it_carries_is_the_connections_trouble():
    box, wire = mailbox({CREATE: error(400, "Requests are not understood.", "INVALID_ARGUMENT")})

    results = box.write("contact", [create(n) for n in range(8)])

    assert set(kinds(results)) <= {ServerTrouble, Rejected} and kinds(results).count(ServerTrouble) >= 5
    assert wire.calls.count(CREATE) < 10


def test_a_category_that_is_no_label_yet_becomes_one():
    made = group("contactGroups/n1", "Golf")
    box, wire = mailbox({CREATE: echo_create(), MAKE_GROUP: Said(200, made)})

    (result,) = box.write("contact", [create(1, surname="Lind", categories=("Golf",))])

    assert wire.calls == [GROUPS, GROUPS, MAKE_GROUP, CREATE]
    assert wire.body(2) == {"contactGroup": {"name": "Golf"}} and result.record.fields[CATEGORIES] == ("Golf", "Salesforce")


def test_our_category_taken_away_by_hand_is_made_again_with_the_next_contact():
    box, wire = mailbox(
        {CREATE: echo_create(), GROUPS: groups(without=CATEGORY), MAKE_GROUP: Said(200, group("contactGroups/c2", "Salesforce"))}
    )

    box.write("contact", [create(1)])

    assert labels_of(wire.body()["contacts"][0]["contactPerson"]) == [MINE, FOLDER, "contactGroups/c2"]


REFUSED_FOR_THE_FOLDER = [
    error(400, "Contact group not found.", "INVALID_ARGUMENT"),
    error(404, "Requested entity was not found.", "NOT_FOUND"),
]


@pytest.mark.parametrize(
    "said", [*REFUSED_FOR_THE_FOLDER, Said(200, {"createdPeople": [failed(5, "Requested entity was not found.", 404)]})]
)
def test_a_create_into_a_folder_that_was_deleted_says_that_the_folder_is_gone(said):
    box, _ = mailbox({CREATE: said, GROUPS: [groups(), groups(without=FOLDER)]})

    try:
        (result,) = box.write("contact", [create(1)])
    except RecordGone as gone:
        assert gone.code == "folder"
    else:
        assert isinstance(result.error, RecordGone) and result.error.code == "folder"


def test_an_update_of_labels_refused_for_a_deleted_folder_says_nothing_of_the_contact():
    box, _ = mailbox({UPDATE: error(404, "not found", "NOT_FOUND"), GET: got(person(1)), GROUPS: [groups(), groups(without=FOLDER)]})

    with pytest.raises(RecordGone) as raised:
        box.write("contact", [update(1, categories=("VIP",))])
    assert raised.value.code == "folder"


# --- updates ------------------------------------------------------------------------------------------------------------

FULL = person(
    1,
    MINE,
    FOLDER,
    CATEGORY,
    STARRED,
    names=[
        {"metadata": {"primary": True}, "displayName": "Bo Lind", "unstructuredName": "Bo Lind", "givenName": "Bo", "familyName": "Lind"}
    ],
    emailAddresses=[
        {"value": "b@x.example", "type": "home", "formattedType": "Home"},
        {"value": "a@x.example", "type": "work", "displayName": "Bo", "metadata": {"primary": True}},
        {"value": "c@x.example"},
        {"value": "d@x.example", "type": "club"},
        {"value": "p@x.example", "metadata": {"source": {"type": "PROFILE", "id": "9"}}},
    ],
    phoneNumbers=[{"value": "1", "type": "work", "canonicalForm": "+1"}, {"value": "2", "type": "pager"}],
    organizations=[{"name": "Old Inc"}, {"name": "Acme", "title": "Buyer", "current": True, "location": "Leeds"}],
    clientData=[{"key": "other", "value": "x"}, {"key": KEY, "value": "m-1"}],
    userDefined=[{"key": "Plan", "value": "Gold"}],
)


def test_an_update_reads_what_it_does_not_know_and_sends_whole_lists_under_their_version():
    box, wire = mailbox({GET: got(FULL), UPDATE: echo_update()})

    (result,) = box.write("contact", [update(1, email2="new@x.example", jobTitle="CTO")])

    assert wire.calls == [GET, UPDATE] and wire.names(0) == ["people/c1"]
    body = wire.body()
    assert body["updateMask"] == "emailAddresses,organizations"
    sent = body["contacts"]["people/c1"]
    assert sent["metadata"] == {"sources": [{"type": "CONTACT", "id": "s1", "etag": "#e1"}]} and sent["etag"] == "%E1"
    assert sent["emailAddresses"] == [
        {"value": "a@x.example", "type": "work", "displayName": "Bo"},
        {"value": "new@x.example", "type": "home"},
        {"value": "c@x.example"},
        {"value": "d@x.example", "type": "club"},
    ]
    assert sent["organizations"] == [{"name": "Old Inc"}, {"name": "Acme", "title": "CTO", "current": True, "location": "Leeds"}]
    assert set(sent) == {"resourceName", "etag", "metadata", "emailAddresses", "organizations"}
    assert result.record.version == "#new"


def test_the_union_of_masks_sends_every_list_of_it_for_every_contact():
    other = person(2, emailAddresses=[{"value": "e@x.example"}], organizations=[{"name": "Beta"}])
    box, wire = mailbox({GET: got(FULL, other), UPDATE: echo_update()})

    results = box.write("contact", [update(1, jobTitle="CTO"), update(2, email1="f@x.example", categories=("VIP",))])

    assert kinds(results) == ["done", "done"] and wire.body()["updateMask"] == "emailAddresses,organizations,memberships"
    first, second = wire.body()["contacts"]["people/c1"], wire.body()["contacts"]["people/c2"]
    assert len(first["emailAddresses"]) == 4 and second["organizations"] == [{"name": "Beta"}]
    assert labels_of(first) == [MINE, FOLDER, CATEGORY, STARRED] and labels_of(second) == [MINE, FOLDER, VIP]


def test_categories_change_the_users_own_labels_and_nothing_else():
    box, wire = mailbox({GET: got(FULL), UPDATE: echo_update()})

    (result,) = box.write("contact", [update(1, categories=())])

    assert labels_of(wire.body()["contacts"]["people/c1"]) == [MINE, FOLDER, STARRED]
    assert result.record.fields[CATEGORIES] == () and result.record.fields[PLACE] == INSIDE


def test_one_label_remains_whatever_is_written():
    lonely = person(1, VIP)
    box, wire = mailbox({GET: got(lonely), UPDATE: echo_update()})

    box.write("contact", [update(1, categories=None)])

    assert labels_of(wire.body()["contacts"]["people/c1"]) == [MINE]


def test_our_id_is_written_beside_the_entries_of_other_programs():
    box, wire = mailbox({GET: got(FULL), UPDATE: echo_update()})

    box.write("contact", [update(1, foreignId="m-2")])

    assert wire.body()["contacts"]["people/c1"]["clientData"] == [{"key": "other", "value": "x"}, {"key": KEY, "value": "m-2"}]


def test_a_contact_read_at_another_version_is_not_written():
    box, wire = mailbox({GET: got(person(1, etag="#other"), missing=(2,))})

    results = box.write("contact", [update(1), update(2)])

    assert kinds(results) == [StaleVersion, RecordGone] and wire.calls == [GET]


def test_a_write_that_rests_on_no_version_rests_on_what_is_read():
    box, wire = mailbox({GET: got(person(1, etag="#now")), UPDATE: echo_update()})

    assert kinds(box.write("contact", [update(1, etag=None)])) == ["done"]
    assert wire.body()["contacts"]["people/c1"]["metadata"]["sources"][0]["etag"] == "#now"


def test_each_part_of_an_update_stands_for_itself():
    parts = {
        "c1": part(person(1, etag="#new")),
        "c2": failed(9, STALE_TEXT, 400),
        "c3": failed(5, "Requested entity was not found.", 404),
        "c4": failed(3, "Invalid value.", 400),
        "c5": failed(13, "Internal error.", 500),
        "c6": failed(7, "No.", 403),
    }
    people = [person(n) for n in range(1, 8)]
    box, wire = mailbox({GET: [got(*people), got(person(2, etag="#theirs"))], UPDATE: updated(**parts)})

    results = box.write("contact", [update(n) for n in range(1, 8)])

    expected = ["done", StaleVersion, RecordGone, Rejected, ServerTrouble, Rejected, OutcomeUnknown]
    assert kinds(results) == expected
    assert [r.error.may_have_happened for r in results[1:]] == [False, False, False, True, False, True]
    assert wire.calls == [GET, UPDATE, GET]  # the stale one is looked at once more: somebody did change it


def test_a_part_refused_for_its_quota_holds_back_further_calls():
    box, wire = mailbox(
        {GET: got(person(1), person(2)), UPDATE: updated(c1=failed(8, "Quota exceeded.", 429), c2=failed(9, STALE_TEXT, 400))}
    )

    results = box.write("contact", [update(1), update(2)])

    assert kinds(results) == [RateLimited, StaleVersion] and wire.calls == [GET, UPDATE]
    with pytest.raises(RateLimited):
        box.folders("x")


@pytest.mark.parametrize("refusal", [STALE, error(403, STALE_TEXT, "PERMISSION_DENIED"), error(412, "x"), older(412, "conditionNotMet")])
def test_a_version_refused_without_a_change_is_sent_once_more(refusal):
    box, wire = mailbox({GET: got(person(1)), UPDATE: [refusal, echo_update()]})

    (result,) = box.write("contact", [update(1)])

    assert wire.calls == [GET, UPDATE, GET, UPDATE] and result.record.version == "#new" and 0.5 <= wire.slept[0] <= 1.5


def test_a_version_refused_twice_is_stale_and_not_sent_a_third_time():
    box, wire = mailbox({GET: got(person(1)), UPDATE: STALE})

    assert kinds(box.write("contact", [update(1)])) == [StaleVersion] and wire.calls == [GET, UPDATE, GET, UPDATE]


def test_one_stale_contact_that_refuses_a_whole_call_does_not_hold_the_others():
    def answer(request):
        return STALE if "people/c2" in json.loads(request.body)["contacts"] else echo_update()(request)

    box, _ = mailbox({GET: [got(person(1), person(2), person(3)), got(person(2, etag="#theirs"))], UPDATE: answer})

    assert kinds(box.write("contact", [update(1), update(2), update(3)])) == ["done", StaleVersion, "done"]


@pytest.mark.parametrize(
    "said", [Said(200, HTML), Said(200, {}), Said(200, {"updateResult": []}), Said(200, {"updateResult": {"people/c1": 5}})]
)
def test_an_update_whose_answer_cannot_be_read_is_in_doubt(said):
    box, wire = mailbox({GET: got(person(1)), UPDATE: said})

    try:
        (result,) = box.write("contact", [update(1)])
        error_ = result.error
    except OutcomeUnknown as trouble:
        error_ = trouble

    assert isinstance(error_, OutcomeUnknown) and error_.may_have_happened and wire.calls.count(UPDATE) == 1


def test_an_update_that_says_nothing_costs_no_write():
    box, wire = mailbox({GET: got(person(1))})

    (result,) = box.write("contact", [Write("contact", {}, "u", ref=Ref("google", "contact", "people/c1"), version=stamp(1))])

    assert result.record.ref.id == "people/c1" and wire.calls == [GET]


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({"surname": "half \ud800"}, Rejected, "surname"),
        ({"notes": "nul \0"}, Rejected, "notes"),
        ({"surname": 5}, Rejected, "surname"),
        ({"birthday": "1980-05-02"}, Rejected, "birthday"),
        ({"categories": "VIP"}, Rejected, "categories"),
        ({"categories": ("",)}, Rejected, "categories"),
        ({"categories": ("x\0",)}, Rejected, "categories"),
        ({"shoeSize": "44"}, MappingError, "shoeSize"),
        ({PLACE: "bin"}, MappingError, PLACE),
        ({BEYOND: ("x",)}, MappingError, BEYOND),
    ],
)
def test_what_cannot_be_sent_is_told_before_anything_is_and_the_others_go_on(fields, kind, field):
    box, wire = mailbox({GET: got(person(1), person(2)), UPDATE: echo_update()})

    results = box.write("contact", [update(1, **fields), update(2)])

    assert kinds(results) == [kind, "done"] and results[0].error.field == field
    assert list(wire.body()["contacts"]) == ["people/c2"]


def test_what_names_no_contact_is_never_put_into_an_address():
    box, wire = mailbox({})
    writes = [
        Write("contact", {"surname": "x"}, id_, ref=Ref("google", "contact", id_)) for id_ in ("people/me", "../c1", "people/c1?x=y", "")
    ]

    assert kinds(box.write("contact", writes)) == [Rejected] * 4 and wire.calls == []


def test_a_contact_is_written_once_a_call():
    box, _ = mailbox({GET: got(person(1)), UPDATE: echo_update()})

    assert kinds(box.write("contact", [update(1), update(1, jobTitle="CEO")])) == ["done", StaleVersion]


# --- deletes ------------------------------------------------------------------------------------------------------------


def test_contacts_are_deleted_only_as_they_were():
    box, wire = mailbox({GET: got(person(1), person(2, etag="#theirs"), missing=(3,)), DELETE: Said(200, {})})

    results = box.write("contact", [delete(1, stamp(1)), delete(2, stamp(2)), delete(3, stamp(3))])

    assert kinds(results) == ["done", StaleVersion, RecordGone] and results[0].record.is_deleted
    assert wire.calls == [GET, DELETE] and wire.body() == {"resourceNames": ["people/c1"]}


def test_a_delete_without_an_answer_is_in_doubt():
    box, wire = mailbox({GET: got(person(1)), DELETE: requests.exceptions.ReadTimeout("late")})

    with pytest.raises(OutcomeUnknown) as raised:
        box.write("contact", [delete(1)])
    assert raised.value.may_have_happened and wire.calls.count(DELETE) == 1


# --- trouble of the whole call ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "in_doubt"),
    [
        (requests.exceptions.ConnectionError("NewConnectionError: Connection refused"), Unreachable, False),
        (requests.exceptions.ReadTimeout("late"), OutcomeUnknown, True),
        (Said(500, HTML), ServerTrouble, True),
        (Said(503, HTML), ServerTrouble, True),
        (Said(503, HTML, {"Retry-After": "7"}), RateLimited, False),
        (Said(429, HTML), RateLimited, False),
        (error(429, "Quota exceeded", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), RateLimited, False),
        (older(403, "rateLimitExceeded"), RateLimited, False),
        (error(409, "Concurrent change.", "ABORTED"), RateLimited, False),
        (Said(403, HTML), OutcomeUnknown, False),
        (Said(408, HTML), OutcomeUnknown, True),
        (Said(202, {}), OutcomeUnknown, True),
        (older(403, "forbidden"), MailboxRefused, False),
    ],
)
def test_trouble_of_a_whole_call_is_raised_and_says_whether_something_may_have_been_made(said, kind, in_doubt):
    box, wire = mailbox({CREATE: said})

    with pytest.raises(kind) as raised:
        box.write("contact", [create(1), create(2)])

    assert raised.value.may_have_happened is in_doubt and wire.calls.count(CREATE) == 1


def test_what_was_not_sent_after_trouble_was_certainly_not_done():
    box, wire = mailbox({CREATE: [echo_create(), requests.exceptions.ReadTimeout("late")]}, settings={"write_size": 1})

    results = box.write("contact", [create(1), create(2), create(3)])

    assert kinds(results) == ["done", OutcomeUnknown, OutcomeUnknown] and wire.calls.count(CREATE) == 2
    assert [r.error.may_have_happened for r in results[1:]] == [True, False]


def test_trouble_while_deleting_leaves_updates_and_creates_undone():
    box, wire = mailbox({GET: got(person(1)), DELETE: Said(500, HTML), CREATE: echo_create()})

    results = box.write("contact", [create(2), delete(1)])

    assert kinds(results) == [ServerTrouble, ServerTrouble] and CREATE not in wire.calls
    assert [r.error.may_have_happened for r in results] == [False, True]


def test_calls_of_one_mailbox_keep_their_distance():
    box, wire = mailbox({GET: got(person(1)), UPDATE: echo_update()}, settings={"pause": 1.0})

    box.write("contact", [update(1)])

    assert len(wire.slept) == 1 and 0 < wire.slept[0] <= 1.0
