"""Writes to a Microsoft mailbox: twenty a call, lists that are replaced whole, versions, and every way to fail."""

import json

import pytest
import requests

from connectors.contract import Ref, Write
from connectors.errors import (
    MailboxRefused,
    MappingError,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    Unreachable,
)
from connectors.mailboxes import CATEGORIES, FOREIGN_ID, PLACE
from connectors.microsoft.codec import EXTENDED, FOREIGN_PROPERTY
from tests.connectors.microsoft_wire import (
    CONTACTS,
    DELTA_OTHERS,
    DELTA_OURS,
    EXPIRED,
    GONE,
    GRAPH,
    INSIDE,
    THROTTLED,
    TOKEN_ROUTE,
    contact,
    error,
    given,
    link,
    mailbox,
    page,
)
from tests.connectors.wire import HTML, Said

V1 = 'W/"v1"'
POST = f"POST {INSIDE}"
CHANGED = error("ErrorIrresolvableConflict", 412)
TAKEN = error("ErrorInvalidRequest", 400, "The multi value property EmailAddresses has 4 entries, that exceeds the max allowed value of 3")


def create(key="k", marker="m-1", **fields):
    return Write("contact", fields or {"displayName": "Bo Li"}, key, marker=marker)


def update(id_="A", version=V1, **fields):
    return Write("contact", fields or {"jobTitle": "CEO"}, id_, Ref("microsoft", "contact", id_), version)


def delete(id_="A", version=V1):
    return Write("contact", {}, id_, Ref("microsoft", "contact", id_), version, is_delete=True)


def written(*writes, **routes):
    """Returns the results, and what was asked for on the way."""
    box, graph = mailbox(routes)
    return box.write("contact", writes), graph


def at(method, id_="A"):
    return f"{method} {CONTACTS}/{id_}"


# --- what is sent ---------------------------------------------------------------------------------------------------------


def test_a_create_carries_marker_and_category_into_our_folder():
    box, graph = mailbox({POST: Said(201, contact("N", categories=["Blue", "Salesforce"]))})

    [result] = box.write("contact", [create(displayName="Bo Li", email1="bo@x.example", otherPhone="1", categories=("Blue",))])

    assert graph.parts == [
        {
            "id": "0",
            "method": "POST",
            "url": f"{INSIDE}".replace("=", "%3D"),
            "headers": {"Prefer": 'IdType="ImmutableId"', "Content-Type": "application/json"},
            "body": {
                "displayName": "Bo Li",
                "emailAddresses": [{"address": "bo@x.example", "name": "Bo Li"}],
                "categories": ["Blue", "Salesforce"],
                "singleValueExtendedProperties": [
                    {"id": EXTENDED["otherPhone"], "value": "1"},
                    {"id": FOREIGN_PROPERTY, "value": "m-1"},
                ],
            },
        }
    ]
    record = result.record
    assert record.ref.id == "N" and record.version == V1 and record.fields[PLACE] == "inside" and result.error is None
    assert record.fields[FOREIGN_ID] == "m-1" and record.fields["otherPhone"] == "1" and record.fields[CATEGORIES] == ("Blue", "Salesforce")


def test_an_update_sends_the_fields_named_and_rests_on_its_version():
    box, graph = mailbox({at("PATCH"): Said(200, contact("A", "v2", jobTitle="CEO"))})

    [result] = box.write("contact", [update(jobTitle="CEO", companyName=None, businessFax=None)])

    part = graph.parts[0]
    assert part["body"] == {
        "jobTitle": "CEO",
        "companyName": None,
        "singleValueExtendedProperties": [{"id": EXTENDED["businessFax"], "value": ""}],
    }
    assert part["headers"]["If-Match"] == V1 and len(graph.calls) == 1
    assert result.record.version == 'W/"v2"' and result.record.fields["jobTitle"] == "CEO" and result.record.fields["businessFax"] is None
    assert FOREIGN_ID not in result.record.fields and "assistantPhone" not in result.record.fields  # not told, not known


def test_a_delete_goes_to_the_bin_and_rests_on_its_version():
    box, graph = mailbox({at("DELETE"): Said(204, "")})

    [result] = box.write("contact", [delete()])

    assert result.record.is_deleted and graph.parts[0]["headers"]["If-Match"] == V1 and "body" not in graph.parts[0]


def test_twenty_writes_of_all_kinds_go_in_one_call_and_each_has_its_own_result_in_order():
    routes = {POST: Said(201, contact("N")), at("PATCH"): Said(200, contact("A", "v2")), at("DELETE", "B"): Said(204, "")}
    box, graph = mailbox(routes)

    results = box.write("contact", [create(f"k{n}") for n in range(18)] + [update(), delete("B")])

    assert box.batch_size("contact", is_create=True) == box.batch_size("contact", is_create=False) == 20
    assert [result.key for result in results] == [*(f"k{n}" for n in range(18)), "A", "B"] and graph.units == [20]
    assert all(result.error is None and result.exchange.method.startswith("$batch ") for result in results)
    assert box.counts().calls == 1 and box.counts().by_template["part POST /users/{user}/contactFolders/{folder}/contacts"] == 18


# --- lists ----------------------------------------------------------------------------------------------------------------


TWO = [{"name": "Bo Li", "address": "bo@x.example"}, {"name": "old", "address": "old@x.example"}]


def test_a_write_into_a_list_uses_what_was_read_of_that_version():
    row = contact("A", emailAddresses=TWO)
    box, graph = mailbox(
        {DELTA_OURS: page(row, end=link("ours", "1")), DELTA_OTHERS: page(end=link("others", "1")), at("PATCH"): Said(200, row)}
    )
    box.contact_changes("", ["email1"])

    box.write("contact", [update(email2="new@x.example")])

    assert len(graph.calls) == 2 and graph.parts[-1]["headers"]["If-Match"] == V1
    assert graph.parts[-1]["body"] == {"emailAddresses": [TWO[0], {"address": "new@x.example", "name": "Bo Li"}]}


def test_what_is_not_known_of_a_list_is_read_first_for_all_in_one_call():
    routes = {}
    for id_ in ("A", "B"):
        routes |= {at("GET", id_): Said(200, contact(id_, emailAddresses=TWO)), at("PATCH", id_): Said(200, contact(id_, "v2"))}
    box, graph = mailbox(routes)

    results = box.write("contact", [update("A", email1=None), update("B", homeCity="Leeds"), update("B", jobTitle="x")])

    assert graph.units == [2, 3] and all(result.error is None for result in results)
    assert graph.parts[2]["body"] == {"emailAddresses": [TWO[1]]} and graph.parts[3]["body"] == {"homeAddress": {"city": "Leeds"}}


def test_what_was_answered_to_a_write_is_known_for_the_next():
    first = contact("A", "v2", emailAddresses=TWO)
    box, graph = mailbox({at("PATCH"): Said(200, first)})

    box.write("contact", [update(jobTitle="x")])
    box.write("contact", [update(version='W/"v2"', email2=None)])

    assert len(graph.calls) == 2 and graph.parts[-1]["body"]["emailAddresses"] == TWO[:1]


def test_a_version_that_is_not_the_one_known_is_read_and_an_older_one_is_stale_without_a_write():
    box, graph = mailbox({at("GET"): [Said(200, contact("A")), Said(200, contact("A", "v9"))]})
    box.read("contact", ["A"], ["email2"])

    [result] = box.write("contact", [update(version='W/"v8"', email2="x@x.example")])

    assert isinstance(result.error, StaleVersion) and graph.asked == [at("GET")] * 2 and not result.error.may_have_happened


def test_a_list_written_without_a_version_rests_on_what_was_read_for_it():
    box, graph = mailbox({at("GET"): Said(200, contact("A", "v9")), at("PATCH"): Said(200, contact("A", "v10"))})

    [result] = box.write("contact", [update(version="", businessPhone2="2")])

    assert result.error is None and graph.parts[-1]["headers"]["If-Match"] == 'W/"v9"'
    assert graph.parts[-1]["body"] == {"businessPhones": ["+44 20 7946 0958", "2"]}


def test_a_contact_that_is_gone_when_its_list_is_read_is_gone():
    [result], graph = written(update(email2="x"), **{at("GET"): GONE})

    assert isinstance(result.error, RecordGone) and graph.asked == [at("GET")]


def test_the_memory_is_bounded_and_forgets_what_was_unused_longest():
    rows = {at("GET", id_): Said(200, contact(id_)) for id_ in "ABC"} | {at("PATCH", id_): Said(200, contact(id_)) for id_ in "ABC"}
    box, graph = mailbox(rows, settings={"remembered": 2})
    box.read("contact", ["A", "B", "C"], ["email1"])

    box.write("contact", [update("B", email2="x"), update("C", email2="x")])
    assert graph.units == [3, 2]
    box.write("contact", [update("A", email2="x")])
    assert graph.units == [3, 2, 1, 1]


def test_a_changed_name_goes_with_the_full_name_that_stands_there():
    box, graph = mailbox({at("GET"): Said(200, contact("A")), at("PATCH"): Said(200, contact("A"))})

    box.write("contact", [update(surname="Lee")])

    assert graph.parts[-1]["body"] == {"surname": "Lee", "displayName": "Bo Li"}


def test_trouble_while_reading_a_list_means_that_nothing_was_written():
    for said, kind in ((THROTTLED, RateLimited), (error("X", 500), ServerTrouble), (Said(200, {"id": "A"}), OutcomeUnknown)):
        box, graph = mailbox({at("GET"): said})
        with pytest.raises(kind) as caught:
            box.write("contact", [update(email2="x"), create()])
        assert not caught.value.may_have_happened and at("PATCH") not in graph.asked and POST not in graph.asked


# --- parts that fail ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "in_doubt"),
    [
        (THROTTLED, RateLimited, False),
        (error("ServiceNotAvailable", 503, Retry_After="3"), RateLimited, False),
        (error("ConcurrentItemSave", 503, Retry_After="3"), ServerTrouble, True),
        (error("ErrorInternalServerTransientError", 500), ServerTrouble, True),
        (Said(502, HTML), ServerTrouble, True),
        (Said(504, ""), ServerTrouble, True),
        (TAKEN, Rejected, False),
        (error("ErrorAccessDenied", 403), Rejected, False),  # of this contact: the other one went through
        (error("ErrorInvalidUser", 404), MailboxRefused, False),
        (Said(201, HTML), OutcomeUnknown, True),
        (Said(201, {"id": 7}), OutcomeUnknown, True),
        (Said(201, {"id": "N"}), OutcomeUnknown, True),
        (Said(201, contact("N", emailAddresses=7)), OutcomeUnknown, True),
        (Said(408, ""), OutcomeUnknown, True),
        (Said(302, ""), OutcomeUnknown, True),
        (Said(0, ""), OutcomeUnknown, True),
        (Said(403, HTML), OutcomeUnknown, False),
        (error("FailedDependency", 424), Rejected, False),
    ],
)
def test_each_part_of_a_call_stands_for_itself(said, kind, in_doubt):
    box, graph = mailbox({POST: said, at("PATCH"): Said(200, contact("A", "v2"))})

    bad, good = box.write("contact", [create(), update()])

    assert type(bad.error) is kind and bad.error.may_have_happened is in_doubt and bad.error.system == "microsoft"
    assert good.error is None and good.record.version == 'W/"v2"' and graph.asked.count(POST) == 1  # never repeated
    assert bad.exchange.status == said.status and GRAPH in bad.exchange.url


def test_what_is_forbidden_of_every_contact_of_a_call_is_the_mailboxs_refusal():
    denied = error("ErrorAccessDenied", 403)
    box, _ = mailbox({POST: denied, at("PATCH"): denied})

    with pytest.raises(MailboxRefused):
        box.write("contact", [create(), update()])


@pytest.mark.parametrize(
    ("write", "said", "kind"),
    [
        (update(), CHANGED, StaleVersion),
        (update(), error("errorirresolvableconflict", 409), StaleVersion),
        (delete(), CHANGED, StaleVersion),
        (update(), GONE, RecordGone),
        (delete(), GONE, RecordGone),
        (update(), Said(200, contact("B")), OutcomeUnknown),
    ],
)
def test_what_changed_or_vanished_meanwhile_is_told(write, said, kind):
    [result], _ = written(write, **{at("PATCH"): said, at("DELETE"): said})

    assert type(result.error) is kind


def test_a_create_into_a_folder_that_is_gone_says_so():
    [result], _ = written(create(), **{POST: GONE})

    assert isinstance(result.error, RecordGone) and result.error.code == "folder"


def test_throttled_parts_say_how_long_and_if_all_are_the_call_failed():
    later = error("TooManyRequests", 429, Retry_After="30")
    results, _ = written(create(), update(), **{POST: THROTTLED, at("PATCH"): Said(200, contact("A"))})
    assert results[0].error.retry_after == 7

    with pytest.raises(RateLimited) as caught:
        written(create(), update(), **{POST: THROTTLED, at("PATCH"): later})
    assert caught.value.retry_after == 30 and not caught.value.may_have_happened


def test_a_part_without_an_answer_is_in_doubt():
    lost = Said(200, {"responses": [{"id": "1", "status": 201, "body": contact("N")}]})
    doubled = Said(200, {"responses": [{"id": n, "status": 201, "body": contact("N")} for n in ("0", "0", 1)]})
    for said in (lost, doubled):
        first, second = written(create("a"), create("b"), **{"POST /$batch": said})[0]
        assert isinstance(first.error, OutcomeUnknown) and first.error.may_have_happened and second.record.ref.id == "N"


def test_parts_whose_token_ended_are_sent_again_and_others_are_not():
    box, graph = mailbox({POST: [EXPIRED, Said(201, contact("N"))], at("PATCH"): Said(200, contact("A")), TOKEN_ROUTE: given("2nd")})

    results = box.write("contact", [create(), update()])

    assert all(result.error is None for result in results) and graph.asked == [POST, at("PATCH"), POST]


# --- calls that fail ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "in_doubt"),
    [
        (requests.ReadTimeout("late"), OutcomeUnknown, True),
        (requests.ConnectionError("Connection refused"), Unreachable, False),
        (Said(500, ""), ServerTrouble, True),
        (Said(503, "", {"Retry-After": "9"}), RateLimited, False),
        (Said(429, "", {"Retry-After": "9"}), RateLimited, False),
        (Said(200, HTML), OutcomeUnknown, True),
        (Said(200, '{"responses": [{"id": "0"'), OutcomeUnknown, True),
        (Said(200, {"responses": {}}), OutcomeUnknown, True),
        (Said(404, HTML), OutcomeUnknown, False),
        (error("ResourceNotFound", 404), NeedsAttention, False),
        (error("Forbidden", 403), NeedsAttention, False),
    ],
)
def test_a_call_that_fails_as_a_whole_says_whether_it_is_in_doubt(said, kind, in_doubt):
    box, graph = mailbox({"POST /$batch": said})

    with pytest.raises(kind) as caught:
        box.write("contact", [create(), update()])
    assert type(caught.value) is kind and caught.value.may_have_happened is in_doubt and len(graph.calls) == 1


def test_a_refused_call_is_sent_again_in_halves_until_the_bad_row_is_alone():
    def answer(request):
        parts = json.loads(request.body)["requests"]
        if any(part["body"].get("jobTitle") == "bad" for part in parts):
            return error("BadRequest", 400, "Invalid batch payload format.")
        return Said(200, {"responses": [{"id": p["id"], "status": 200, "body": contact(p["url"][-1], "v2")} for p in parts]})

    results, graph = written(*(update(id_, jobTitle="bad" if id_ == "C" else "good") for id_ in "ABCD"), **{"POST /$batch": answer})

    assert [result.error is None for result in results] == [True, True, False, True] and isinstance(results[2].error, Rejected)
    assert [result.record.ref.id for result in results if result.record] == ["A", "B", "D"] and len(graph.calls) == 5


def test_a_call_that_is_too_large_goes_in_halves():
    def answer(request):
        parts = json.loads(request.body)["requests"]
        if len(parts) > 1:
            return Said(413, HTML)
        return Said(200, {"responses": [{"id": "0", "status": 201, "body": contact("N")}]})

    results, _ = written(create("a"), create("b"), **{"POST /$batch": answer})

    assert all(result.error is None for result in results)


def test_what_was_done_before_half_of_a_call_met_trouble_is_told_as_done():
    says = [Said(413, HTML), Said(200, {"responses": [{"id": n, "status": 201, "body": contact("N")} for n in "01"]})]
    box, graph = mailbox({"POST /$batch": [*says, Said(429, "", {"Retry-After": "9"})]})

    results = box.write("contact", [create(str(n)) for n in range(4)])

    assert [result.error is None for result in results] == [True, True, False, False] and len(graph.calls) == 3
    assert all(isinstance(result.error, RateLimited) and not result.error.may_have_happened for result in results[2:])


def test_what_follows_half_of_a_call_that_met_trouble_is_not_sent():
    box, graph = mailbox({"POST /$batch": [Said(413, HTML), Said(413, HTML), requests.ReadTimeout("late"), Said(500, "")]})

    results = box.write("contact", [create(str(n)) for n in range(45)])

    assert len(graph.calls) == 3 and all(isinstance(result.error, OutcomeUnknown) for result in results)
    assert [result.error.may_have_happened for result in results] == [True] * 5 + [False] * 40
    assert results[-1].exchange is None  # the call of the others is none of its own


def test_parts_whose_token_is_refused_for_good_leave_the_others_done():
    box, graph = mailbox({POST: EXPIRED, at("PATCH"): Said(200, contact("A")), TOKEN_ROUTE: [given(), Said(429, "", {"Retry-After": "9"})]})

    refused, done = box.write("contact", [create(), update()])

    assert done.error is None and refused.error is not None and not refused.error.may_have_happened


def test_what_cannot_be_sent_is_settled_alone():
    writes = [update("A", nonsense="x"), update("B", jobTitle="a\0"), update("C", place="bin"), update("D", birthday="soon"), update("E")]
    results, graph = written(*writes, **{at("PATCH", "E"): Said(200, contact("E"))})

    assert [type(result.error) for result in results] == [MappingError, Rejected, MappingError, Rejected, type(None)]
    assert graph.asked == [at("PATCH", "E")]


def test_more_than_twenty_go_in_further_calls_and_trouble_of_a_later_one_hides_nothing():
    done = [{"id": str(n), "status": 201, "body": contact("N")} for n in range(20)]
    box, graph = mailbox({"POST /$batch": [Said(200, {"responses": done}), requests.ReadTimeout("late")]})

    results = box.write("contact", [create(str(n)) for n in range(45)])

    assert len(graph.calls) == 2 and all(result.error is None for result in results[:20])
    assert all(result.error.may_have_happened for result in results[20:40])
    assert all(isinstance(result.error, OutcomeUnknown) and not result.error.may_have_happened for result in results[40:])


def test_hostile_ids_stay_one_piece_of_a_path():
    id_ = "a/../b?$x=1#'=&%"
    [result], graph = written(update(id_), **{})

    assert graph.parts[0]["url"].count("/") == 4 and "?" not in graph.parts[0]["url"] and isinstance(result.error, Rejected)
