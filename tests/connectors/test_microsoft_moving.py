"""Bringing contacts of a Microsoft mailbox into our folder: copy, comparison, deletion, and every interruption between them."""

import pytest

from connectors.errors import OutcomeUnknown, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.mailboxes import FOREIGN_ID, PLACE
from connectors.mailboxes import INSIDE as IN
from connectors.microsoft.codec import EXTENDED, FOREIGN_PROPERTY
from tests.connectors.microsoft_wire import (
    BINNED,
    CONTACTS,
    DEFAULT,
    GONE,
    INSIDE,
    OURS,
    ROOT,
    contact,
    error,
    extended,
    mailbox,
    page,
)
from tests.connectors.wire import HTML, Said

PLACES = {
    f"GET {ROOT}/mailFolders/deleteditems": Said(200, {"id": BINNED}),
    f"GET {ROOT}/contactFolders/contacts": Said(200, {"id": DEFAULT}),
}
FIND_OURS = f"GET {INSIDE}"

FULL = {
    "folder": DEFAULT,
    "categories": ["Blue"],
    "emailAddresses": [{"name": "n", "address": f"{n}@x.example"} for n in (1, 2, 3)],
    "businessPhones": ["1", "2", "3"],
    "children": ["Ada"],
    "spouseName": "Di",
    "birthday": "1974-07-22T00:00:00Z",
    "personalNotes": "a\r\nb",
    "yomiSurname": "リ",
    "singleValueExtendedProperties": extended(otherPhone="7"),
}
COPY = FULL | {
    "folder": OURS,
    "categories": ["Blue", "Salesforce"],
    "emailAddresses": [{"name": "of the directory", "address": f"{n}@x.example"} for n in (1, 2, 3)],
    "personalNotes": "a\nb",
    "createdDateTime": "2026-11-22T08:00:00Z",
}


def original(etag="v1", **more):
    return Said(200, contact("A", etag, **{**FULL, **more, "singleValueExtendedProperties": extended(otherPhone="7")}))


def copied(etag="c1", **more):
    return Said(200, contact("N", etag, marker="m-1", **{**COPY, "singleValueExtendedProperties": extended(otherPhone="7"), **more}))


MADE = {f"POST {INSIDE}": Said(201, contact("N", "c0")), f"GET {CONTACTS}/N": copied()}
DROPPED = {f"DELETE {CONTACTS}/A": Said(204, "")}


def bring(**routes):
    box, graph = mailbox({**PLACES, FIND_OURS: page(), **routes})
    return box, graph


def test_a_contact_is_brought_in_by_copy_comparison_and_deletion():
    box, graph = bring(**{f"GET {CONTACTS}/A": original(), **MADE, **DROPPED})

    record = box.bring_in("A", "m-1")

    assert record.ref.id == "N" and record.fields[PLACE] == IN and record.fields[FOREIGN_ID] == "m-1" and record.version == 'W/"c1"'
    body = graph.body(graph.calls.index(f"POST {INSIDE}"))
    assert (
        body["children"] == ["Ada"]
        and body["spouseName"] == "Di"
        and body["yomiSurname"] == "リ"
        and body["businessPhones"] == ["1", "2", "3"]
    )
    assert (
        body["categories"] == ["Blue", "Salesforce"] and body["personalNotes"] == "a\r\nb" and "id" not in body and "changeKey" not in body
    )
    assert {e["id"]: e["value"] for e in body["singleValueExtendedProperties"]} == {
        EXTENDED["otherPhone"]: "7",
        EXTENDED["businessFax"]: "",
        EXTENDED["assistantPhone"]: "",
        FOREIGN_PROPERTY: "m-1",
    }
    drop = graph.requests[-1]
    assert graph.calls[-1] == f"DELETE {CONTACTS}/A" and drop.headers["If-Match"] == 'W/"v1"'
    assert all('IdType="ImmutableId"' in request.headers["Prefer"] for request in graph.requests)


def test_an_interrupted_move_finds_its_copy_by_the_marker_and_makes_no_second():
    box, graph = bring(**{f"GET {CONTACTS}/A": original(), FIND_OURS: page(copied().body), **DROPPED})

    assert box.bring_in("A", "m-1").ref.id == "N" and f"POST {INSIDE}" not in graph.calls and graph.calls[-1] == f"DELETE {CONTACTS}/A"


@pytest.mark.parametrize("first", [GONE, original(folder=BINNED)])
def test_a_move_whose_deletion_was_done_is_over(first):
    box, graph = bring(**{f"GET {CONTACTS}/A": first, FIND_OURS: page(copied().body)})

    assert box.bring_in("A", "m-1").ref.id == "N" and not [call for call in graph.calls if call.startswith(("POST /users", "DELETE"))]


@pytest.mark.parametrize("first", [GONE, original(folder=BINNED)])
def test_a_contact_that_is_gone_without_a_copy_is_gone(first):
    box, _ = bring(**{f"GET {CONTACTS}/A": first})

    with pytest.raises(RecordGone):
        box.bring_in("A", "m-1")


def test_a_copy_that_does_not_hold_the_same_is_taken_back_and_the_original_stays():
    routes = {f"GET {CONTACTS}/A": original(), **MADE, f"GET {CONTACTS}/N": copied(spouseName=None), f"DELETE {CONTACTS}/N": Said(204, "")}
    box, graph = bring(**routes)

    with pytest.raises(Rejected, match="spouseName") as caught:
        box.bring_in("A", "m-1")
    assert graph.calls[-1] == f"DELETE {CONTACTS}/N" and f"DELETE {CONTACTS}/A" not in graph.calls and caught.value.field == "spouseName"


def test_an_edit_of_the_copy_before_it_is_read_back_stands_in_it():
    """It held the same when it was made: what differs since was typed into it, and stands nowhere else."""
    made = Said(201, contact("N", "c0", **{name: value for name, value in copied().body.items() if name not in ("id", "changeKey")}))
    edited = copied("c2", jobTitle="Head")
    box, graph = bring(**{f"GET {CONTACTS}/A": original(), f"POST {INSIDE}": made, f"GET {CONTACTS}/N": edited, **DROPPED})

    assert box.bring_in("A", "m-1").fields["jobTitle"] == "Head"
    assert graph.calls[-1] == f"DELETE {CONTACTS}/A" and f"DELETE {CONTACTS}/N" not in graph.calls


def test_a_copy_that_somebody_edited_is_left_and_so_is_the_original():
    box, graph = bring(**{f"GET {CONTACTS}/A": original(), FIND_OURS: page(copied(spouseName="Eve").body)})

    with pytest.raises(Rejected, match="spouseName"):
        box.bring_in("A", "m-1")
    assert not [call for call in graph.calls if call.startswith(("DELETE", "PATCH"))]


def test_an_edit_of_the_original_since_the_copy_was_made_is_brought_along():
    edited = {"spouseName": "Eve", "lastModifiedDateTime": "2026-11-22T08:00:05Z"}
    routes = {f"GET {CONTACTS}/A": original("v2", **edited), FIND_OURS: page(copied().body), **DROPPED}
    box, graph = bring(**routes, **{f"PATCH {CONTACTS}/N": Said(200, {}), f"GET {CONTACTS}/N": copied("c2", spouseName="Eve")})

    assert box.bring_in("A", "m-1").version == 'W/"c2"'
    assert graph.body(graph.calls.index(f"PATCH {CONTACTS}/N"))["spouseName"] == "Eve"
    assert graph.requests[-1].headers["If-Match"] == 'W/"v2"'


def test_an_edit_between_comparison_and_deletion_is_not_lost():
    first = original()
    later = original("v2", spouseName="Eve", lastModifiedDateTime="2026-11-22T08:00:05Z")
    routes = {
        f"GET {CONTACTS}/A": [first, later],
        FIND_OURS: [page(), page(copied().body)],
        f"POST {INSIDE}": Said(201, contact("N", "c0")),
        f"GET {CONTACTS}/N": [copied(), copied("c2", spouseName="Eve")],
        f"PATCH {CONTACTS}/N": Said(200, {}),
        f"DELETE {CONTACTS}/A": [error("ErrorIrresolvableConflict", 412), Said(204, "")],
    }
    box, graph = bring(**routes)

    assert box.bring_in("A", "m-1").version == 'W/"c2"' and graph.calls.count(f"POST {INSIDE}") == 1
    assert [r.headers["If-Match"] for r, call in zip(graph.requests, graph.calls, strict=True) if call.startswith("DELETE")] == [
        'W/"v1"',
        'W/"v2"',
    ]


def test_a_contact_that_changes_again_and_again_is_left_for_later():
    routes = {f"GET {CONTACTS}/A": original(), FIND_OURS: [page(), page(copied().body)], **MADE}
    box, graph = bring(**routes, **{f"DELETE {CONTACTS}/A": error("ErrorIrresolvableConflict", 412)})

    with pytest.raises(StaleVersion):
        box.bring_in("A", "m-1")
    assert graph.calls.count(f"DELETE {CONTACTS}/A") == 5 and graph.calls.count(f"POST {INSIDE}") == 1


def test_an_original_that_vanishes_at_the_last_step_is_as_good_as_deleted():
    box, _ = bring(**{f"GET {CONTACTS}/A": original(), **MADE, f"DELETE {CONTACTS}/A": GONE})

    assert box.bring_in("A", "m-1").ref.id == "N"


def test_a_contact_that_lies_in_our_folder_already_gets_category_and_marker():
    plain = contact("A", categories=["Blue"], singleValueExtendedProperties=[])
    marked = contact("A", "v2", categories=["Blue", "Salesforce"], marker="m-1")
    box, graph = bring(**{f"GET {CONTACTS}/A": [Said(200, plain), Said(200, marked)], f"PATCH {CONTACTS}/A": Said(200, {})})

    record = box.bring_in("A", "m-1")

    assert record.ref.id == "A" and record.fields[FOREIGN_ID] == "m-1" and "DELETE" not in "".join(graph.calls)
    body = graph.body(graph.calls.index(f"PATCH {CONTACTS}/A"))
    assert body == {"categories": ["Blue", "Salesforce"], "singleValueExtendedProperties": [{"id": FOREIGN_PROPERTY, "value": "m-1"}]}


def test_a_contact_that_is_brought_in_twice_is_left_as_it_is():
    box, graph = bring(**{f"GET {CONTACTS}/A": Said(200, contact("A", marker="m-1"))})

    assert box.bring_in("A", "m-1").ref.id == "A" and graph.calls == ["POST /$batch"]


def test_a_contact_dragged_out_with_its_marker_is_not_taken_for_its_own_copy():
    out = contact("A", folder=DEFAULT, marker="m-1")
    box, graph = bring(
        **{f"GET {CONTACTS}/A": Said(200, out), FIND_OURS: page(contact("A", marker="m-1")), **DROPPED}
    )  # the search is behind
    graph.routes |= {f"POST {INSIDE}": [Said(201, contact("N"))], f"GET {CONTACTS}/N": [Said(200, contact("N", "c1", marker="m-1"))]}

    assert box.bring_in("A", "m-1").ref.id == "N" and graph.calls[-1] == f"DELETE {CONTACTS}/A"


@pytest.mark.parametrize(
    ("said", "kind", "in_doubt"),
    [
        (Said(500, ""), ServerTrouble, True),
        (Said(201, HTML), OutcomeUnknown, True),
        (GONE, RecordGone, False),
        (error("X", 400), Rejected, False),
    ],
)
def test_a_copy_that_was_not_made_or_is_in_doubt_leaves_the_original(said, kind, in_doubt):
    box, graph = bring(**{f"GET {CONTACTS}/A": original(), f"POST {INSIDE}": said})

    with pytest.raises(kind) as caught:
        box.bring_in("A", "m-1")
    assert caught.value.may_have_happened is in_doubt and graph.calls.count(f"POST {INSIDE}") == 1
    assert "DELETE" not in "".join(graph.calls) and (kind is not RecordGone or caught.value.code == "folder")
