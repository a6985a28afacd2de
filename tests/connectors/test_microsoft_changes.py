"""What happened in a Microsoft mailbox: two rounds in one call, pages, replays, dead links in every form, hostile answers."""

import json
from urllib.parse import unquote

import pytest

from connectors.contract import Ref
from connectors.errors import (
    MailboxRefused,
    MappingError,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
)
from connectors.mailboxes import BEYOND, CATEGORIES, FOREIGN_ID, PLACE, Sighting
from tests.connectors.microsoft_wire import (
    CONTACTS,
    DELTA_OTHERS,
    DELTA_OURS,
    GONE,
    GRAPH,
    THROTTLED,
    connection,
    contact,
    error,
    extended,
    link,
    mailbox,
    page,
    removed,
)
from tests.connectors.wire import HTML, Said

COLUMNS = ["surname", "email1"]
QUIET_OURS, QUIET_OTHERS = page(end=link("ours", "o1")), page(end=link("others", "x1"))


def changed(ours=QUIET_OURS, others=QUIET_OTHERS, *, cursor="", columns=COLUMNS, **routes):
    box, graph = mailbox({DELTA_OURS: ours, DELTA_OTHERS: others, **routes})
    return box.contact_changes(cursor, columns), box, graph


def cursor_of(ours, others=QUIET_OTHERS):
    """Returns the cursor behind one page."""
    return changed(ours, others)[0].cursor


BETWEEN = cursor_of(QUIET_OURS)  # two rounds are over, and nothing happened since
MIDDLE = cursor_of(page(contact("A"), following=link("ours", "o2", "skiptoken")))  # ours has another page, the others are done
DEAD = [
    error("SyncStateNotFound", 410),
    Said(410, "", {"Location": f"{GRAPH}/x"}),
    Said(410, HTML),
    error("syncStateNotFound", 400),
    error("SYNCSTATEINVALID", 404),
    error("resyncRequired", 409),
]


# --- one call -------------------------------------------------------------------------------------------------------------


def test_nothing_changed_is_found_out_in_one_call():
    page_, box, graph = changed(cursor=BETWEEN)

    assert graph.calls == ["POST /$batch"] and graph.units == [2] and box.counts().calls == 1
    assert (page_.inside, page_.outside, page_.gone, page_.gone_outside) == ((), (), (), ())
    assert page_.is_last and not page_.is_whole and not page_.is_restart and page_.renamed == {}
    assert page_.server_time is not None and page_.server_time.year == 2026
    assert box.counts().by_template == {"POST /$batch": 1, "part GET /users/{user}/contactFolders/{folder}/contacts/delta": 2}


def test_the_links_are_followed_to_the_letter_with_immutable_ids_on_every_part():
    _, _, graph = changed(cursor=BETWEEN)

    assert [part["url"] for part in graph.parts] == [link("ours", "o1").removeprefix(GRAPH), link("others", "x1").removeprefix(GRAPH)]
    assert {part["headers"]["Prefer"] for part in graph.parts} == {'IdType="ImmutableId", odata.maxpagesize=600'}
    assert 'IdType="ImmutableId"' in graph.requests[0].headers["Prefer"]


def test_a_first_round_asks_for_the_mapped_columns_inside_and_for_categories_only_outside():
    page_, _, graph = changed(page(contact("A"), end=link("ours", "o1")), page({"id": "X", "categories": []}, end=link("others", "x1")))

    selects = [part["url"].partition("?$select=")[2] for part in graph.parts]
    assert selects == ["categories,lastModifiedDateTime,surname,displayName,emailAddresses", "categories"]
    assert (
        page_.is_whole
        and page_.is_last
        and page_.inside[0].fields
        == {
            "surname": "Li",
            "email1": "bo.li@widgets.example",
            CATEGORIES: ("Salesforce",),
            PLACE: "inside",
        }
    )
    assert page_.inside[0].ref == Ref("microsoft", "contact", "A") and page_.inside[0].version == 'W/"v1"'


def test_extended_properties_are_read_only_where_the_columns_ask_for_them():
    ours = page(contact("A"), contact("B"), end=link("ours", "o1"))
    row = contact("A", "v2", singleValueExtendedProperties=extended(otherPhone="1"), marker="003xx")

    plain, _, without = changed(ours)
    page_, _, graph = changed(ours, columns=[*COLUMNS, "otherPhone"], **{f"GET {CONTACTS}/A": Said(200, row), f"GET {CONTACTS}/B": GONE})

    assert len(without.calls) == 1 and FOREIGN_ID not in plain.inside[0].fields
    assert graph.units == [2, 2] and [record.ref.id for record in page_.inside] == ["A"]  # B left meanwhile: the next round tells
    assert page_.inside[0].fields["otherPhone"] == "1" and page_.inside[0].version == 'W/"v2"'
    assert "$filter=id eq 'String 0x3A1F' or id eq 'String {" in unquote(graph.parts[-1]["url"]) and " " not in graph.parts[-1]["url"]


def test_a_contact_that_moved_on_before_it_was_read_is_left_to_the_next_round():
    ours = page(contact("A"), end=link("ours", "o1"))

    page_, _, _ = changed(ours, columns=[FOREIGN_ID], **{f"GET {CONTACTS}/A": Said(200, contact("A", folder="elsewhere"))})

    assert page_.inside == () and page_.gone == ()


def test_what_a_listing_leaves_out_of_a_contact_is_read_and_not_taken_for_blank():
    bare = {"@odata.etag": 'W/"v2"', "id": "A", "surname": "Lee"}

    page_, _, graph = changed(page(bare, end=link("ours", "o1")), **{f"GET {CONTACTS}/A": Said(200, contact("A", "v2", surname="Lee"))})

    assert page_.inside[0].fields["email1"] == "bo.li@widgets.example" and graph.units == [2, 1]


def test_sightings_outside_tell_the_category_in_any_case_and_nothing_else():
    others = page({"id": "X", "categories": ["SALESFORCE"]}, {"id": "Y", "categories": ["Blue"]}, removed("Z"), end=link("others", "x1"))

    page_, _, graph = changed(others=others)

    assert page_.outside == (Sighting("X", True), Sighting("Y", False)) and page_.gone_outside == ("Z",) and len(graph.calls) == 1


def test_a_sighting_without_categories_is_asked_for_them():
    others = page({"id": "X"}, {"id": "Y"}, {"id": "Z"}, end=link("others", "x1"))
    routes = {f"GET {CONTACTS}/X": Said(200, {"id": "X", "categories": ["Salesforce"]}), f"GET {CONTACTS}/Y": Said(200, {"id": "Y"})}

    page_, _, graph = changed(others=others, **routes, **{f"GET {CONTACTS}/Z": GONE})

    assert page_.outside == (Sighting("X", True), Sighting("Y", False))
    assert {part["url"].partition("?")[2] for part in graph.parts[2:]} == {"$select=categories"}


# --- pages and rounds -----------------------------------------------------------------------------------------------------


def test_what_was_said_last_of_an_id_holds_within_a_page():
    ours = page(removed("A"), contact("A", "v2"), contact("B"), removed("B", "changed"), contact("A", "v3"), end=link("ours", "o1"))

    page_, _, _ = changed(ours)

    assert [record.version for record in page_.inside] == ['W/"v3"'] and page_.gone == ("B",)


def test_a_round_of_several_pages_asks_only_what_is_left_and_ends_when_both_are_at_their_end():
    ours = [page(contact("A"), following=link("ours", "p2", "skiptoken")), page(contact("B"), end=link("ours", "o9"))]
    box, graph = mailbox({DELTA_OURS: ours, DELTA_OTHERS: QUIET_OTHERS})

    first = box.contact_changes("", COLUMNS)
    second = box.contact_changes(first.cursor, COLUMNS)
    box.contact_changes(second.cursor, COLUMNS)

    assert (first.is_last, second.is_last) == (False, True) and first.is_whole and second.is_whole
    assert graph.units == [2, 1, 2] and graph.parts[2]["url"].endswith("$skiptoken=p2")
    assert [part["url"].partition("$deltatoken=")[2] for part in graph.parts[3:]] == ["o9", "x1"]


def test_two_others_pages_keep_the_round_open_as_well():
    others = [page({"id": "X", "categories": []}, following=link("others", "p2", "skiptoken")), QUIET_OTHERS]
    box, graph = mailbox({DELTA_OURS: QUIET_OURS, DELTA_OTHERS: others})

    first = box.contact_changes("", COLUMNS)
    second = box.contact_changes(first.cursor, COLUMNS)

    assert (first.is_last, second.is_last) == (False, True) and len(first.outside) == 1 and graph.units == [2, 1]


# --- dead links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_link_of_our_folder_starts_a_whole_round(dead):
    others = page({"id": "X", "categories": []}, end=link("others", "x2"))

    page_, _, graph = changed([dead, page(contact("A"), end=link("ours", "o2"))], others, cursor=BETWEEN)

    assert page_.is_whole and not page_.is_restart and page_.is_last  # it died between two rounds: nothing said before is lost
    assert [record.ref.id for record in page_.inside] == ["A"] and page_.outside == (Sighting("X", False),)
    assert graph.units == [2, 1] and "$select=" in graph.parts[-1]["url"] and "deltatoken" in graph.parts[0]["url"]


@pytest.mark.parametrize("dead", DEAD)
def test_a_link_that_dies_in_the_middle_of_a_round_takes_back_what_the_round_said(dead):
    page_, _, graph = changed([dead, page(contact("B"), end=link("ours", "o2"))], cursor=MIDDLE)

    assert page_.is_whole and page_.is_restart and page_.is_last and [record.ref.id for record in page_.inside] == ["B"]
    # The other half was at its end; its pages are said again, from where its round began.
    assert graph.units == [1, 2] and graph.asked[1:] == [DELTA_OURS, DELTA_OTHERS] and "$select=categories" in graph.parts[2]["url"]


def test_a_round_between_that_is_taken_back_goes_on_from_its_old_links():
    box, graph = mailbox(
        {
            DELTA_OURS: [page(following=link("ours", "p2", "skiptoken")), error("SyncStateNotFound", 410), QUIET_OURS],
            DELTA_OTHERS: page({"id": "X", "categories": []}, removed("Z"), end=link("others", "x2")),
        }
    )

    first = box.contact_changes(BETWEEN, COLUMNS)
    second = box.contact_changes(first.cursor, COLUMNS)

    assert first.gone_outside == second.gone_outside == ("Z",) and second.is_restart and second.is_whole and not first.is_whole
    assert [part["url"].partition("$deltatoken=")[2] for part in graph.parts if "contacts/contacts" in part["url"]] == ["x1", "x1"]


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_link_of_the_default_folder_says_nothing_about_ours(dead):
    sightings = page({"id": "X", "categories": ["Salesforce"]}, end=link("others", "x2"))

    page_, _, graph = changed(page(contact("A"), end=link("ours", "o2")), [dead, sightings], cursor=BETWEEN)

    assert not page_.is_whole and not page_.is_restart and page_.is_last and page_.outside == (Sighting("X", True),)
    assert [record.ref.id for record in page_.inside] == ["A"] and graph.asked == [DELTA_OURS, DELTA_OTHERS, DELTA_OTHERS]


def test_both_links_may_be_dead():
    page_, _, graph = changed([DEAD[0], QUIET_OURS], [DEAD[3], QUIET_OTHERS], cursor=BETWEEN)

    assert page_.is_whole and page_.is_last and graph.units == [2, 2]


def test_links_that_are_dead_at_birth_end_in_trouble_and_not_in_a_circle():
    with pytest.raises(OutcomeUnknown):
        changed(error("SyncStateNotFound", 410))


def test_the_whole_round_after_a_dead_link_stays_whole_over_its_pages():
    pages = [DEAD[0], page(contact("A"), following=link("ours", "p2", "skiptoken")), page(contact("B"), end=link("ours", "o3"))]
    box, _ = mailbox({DELTA_OURS: pages, DELTA_OTHERS: QUIET_OTHERS})

    first = box.contact_changes(BETWEEN, COLUMNS)
    second = box.contact_changes(first.cursor, COLUMNS)

    assert first.is_whole and second.is_whole and second.is_last and not second.is_restart


# --- links elsewhere ------------------------------------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example/v1.0/users/x/contacts/delta?$deltatoken=1",
    "https://graph.microsoft.com.evil.example/v1.0/x",
    "https://graph.microsoft.com@evil.example/v1.0/x",
    "http://graph.microsoft.com/v1.0/x",
    "https://graph.microsoft.com:8443/v1.0/x",
    "https://graph.microsoft.com/v1.0/../beta/x",
    "https://graph.microsoft.com/beta/x",
    "//graph.microsoft.com/v1.0/x",
    "/v1.0/x",
    "https://[broken/v1.0/x",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_link_to_another_host_is_neither_followed_nor_kept(url):
    for ours, others in ((page(end=url), QUIET_OTHERS), (page(following=url), QUIET_OTHERS), (QUIET_OURS, page(end=url))):
        with pytest.raises(NeedsAttention, match="another host"):
            changed(ours, others)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_cursor_that_leads_elsewhere_starts_anew_and_no_token_goes_there(url):
    said = json.loads(BETWEEN)
    said["ours"]["at"] = url

    page_, _, graph = changed(cursor=json.dumps(said))

    assert page_.is_whole and page_.is_restart and all(part["url"].startswith("/users/ann@") for part in graph.parts)


OF_ANOTHER_KIND = [BETWEEN.replace('"v":1', '"v":2'), BETWEEN.replace("false", "7"), BETWEEN[:-9]]


@pytest.mark.parametrize("cursor", ["x", "{}", "[]", "null", '{"v": 1}', "[" * 9999, *OF_ANOTHER_KIND])
def test_a_cursor_that_is_none_of_ours_starts_anew(cursor):
    page_, _, _ = changed(cursor=cursor)

    assert page_.is_whole and page_.is_restart and page_.is_last


# --- refusals, hostile answers --------------------------------------------------------------------------------------------


def test_a_folder_that_is_gone_is_told_as_such():
    with pytest.raises(RecordGone) as caught:
        changed(GONE, cursor=BETWEEN)
    assert caught.value.code == "folder" and caught.value.status == 404


def test_a_mailbox_without_a_default_folder_is_refused_and_ours_is_not_taken_for_gone():
    with pytest.raises(MailboxRefused):
        changed(others=GONE)


@pytest.mark.parametrize(
    ("said", "kind", "is_gone"),
    [
        (error("ErrorAccessDenied", 403), MailboxRefused, False),
        (error("Authorization_RequestDenied", 403), MailboxRefused, False),
        (error("ExtensionError", 403), MailboxRefused, False),
        (error("ErrorInvalidUser", 404), MailboxRefused, True),
        (error("ResourceNotFound", 404), MailboxRefused, True),
        (error("request_resourcenotfound", 404), MailboxRefused, True),
        (error("MailboxNotEnabledForRESTAPI", 404), MailboxRefused, True),
        (THROTTLED, RateLimited, None),
        (error("ErrorInvalidRequest", 400), Rejected, None),
        (error("ErrorInternalServerTransientError", 500), ServerTrouble, None),
        (Said(404, HTML), OutcomeUnknown, None),
        (Said(0, ""), OutcomeUnknown, None),
        (Said(302, ""), OutcomeUnknown, None),
    ],
)
@pytest.mark.parametrize("half", ["ours", "others"])
def test_every_refusal_of_a_part_is_told_by_its_kind(half, said, kind, is_gone):
    with pytest.raises(kind) as caught:
        changed(**{half: said})
    assert getattr(caught.value, "is_gone", None) == is_gone and not caught.value.may_have_happened


def test_a_part_that_fails_in_passing_is_asked_again_by_itself():
    page_, box, graph = changed([error("UnknownError", 503), QUIET_OURS])

    assert page_.is_last and graph.units == [2, 1] and len(graph.slept) == 1 and box.counts().calls == 2


def test_a_throttled_part_says_how_long_to_wait_and_holds_further_calls():
    box, graph = mailbox({DELTA_OURS: THROTTLED, DELTA_OTHERS: QUIET_OTHERS})

    with pytest.raises(RateLimited) as caught:
        box.contact_changes("", COLUMNS)
    with pytest.raises(RateLimited):
        box.contact_changes("", COLUMNS)

    assert caught.value.retry_after == 7 and len(graph.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        HTML,
        [],
        {},
        {"value": []},
        {"value": {}, "@odata.deltaLink": link("ours", "1")},
        {"value": [], "@odata.deltaLink": 7},
        {"value": [], "@odata.deltaLink": link("ours", "1"), "@odata.nextLink": link("ours", "2")},
        {"value": [7], "@odata.deltaLink": link("ours", "1")},
        {"value": [{}], "@odata.deltaLink": link("ours", "1")},
        {"value": [{"id": ""}], "@odata.deltaLink": link("ours", "1")},
        {"value": [contact("A", emailAddresses="x")], "@odata.deltaLink": link("ours", "1")},
        {"value": [contact("A", emailAddresses=["x"])], "@odata.deltaLink": link("ours", "1")},
        {"value": [contact("A", surname={"a": 1})], "@odata.deltaLink": link("ours", "1")},
        {"value": [contact("A", categories=[7])], "@odata.deltaLink": link("ours", "1")},
    ],
)
def test_an_answer_that_is_not_as_documented_is_never_taken_for_empty(body):
    with pytest.raises(OutcomeUnknown) as caught:
        changed(Said(200, body))
    assert not caught.value.may_have_happened


@pytest.mark.parametrize("row", [{"id": "X", "categories": "Salesforce"}, {"id": 7, "categories": []}])
def test_a_sighting_that_cannot_be_read_is_never_left_out(row):
    with pytest.raises(OutcomeUnknown):
        changed(others=page(row, end=link("others", "x1")))


def test_the_same_page_over_and_over_is_no_round():
    with pytest.raises(OutcomeUnknown):
        changed(page(following=link("ours", "o2", "skiptoken")), cursor=MIDDLE)


def test_a_column_that_contacts_have_not_is_a_fault_of_the_mapping_and_costs_no_call():
    box, graph = mailbox({})

    with pytest.raises(MappingError):
        box.contact_changes("", ["nonsense"])
    assert graph.calls == []


def test_hostile_text_is_replaced_and_named():
    page_, _, _ = changed(page(contact("A", surname="L\0i"), end=link("ours", "o1")))

    assert page_.inside[0].fields["surname"] == "L\ufffdi" and page_.inside[0].damaged == {"surname"}


def test_further_values_are_told_where_they_are_asked_for():
    row = contact("A", businessPhones=["1", "2", "3"])

    page_, _, _ = changed(page(row, end=link("ours", "o1")), columns=[BEYOND])

    assert page_.inside[0].fields[BEYOND] == ("Business phone 3: 3",)


def test_nobody_reads_changes_before_a_folder_is_ours():
    connector, graph = connection({})
    with pytest.raises(ValueError, match="which folder is ours"):
        connector.mailbox("bo@acme.example").contact_changes("", COLUMNS)
    assert graph.calls == []
