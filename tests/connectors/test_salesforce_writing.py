"""Writing to Salesforce: what goes out, what comes back per record, what is sent again, and what nobody knows."""

import json
from dataclasses import replace

import pytest
import requests

from connectors.contract import Attribute, Ref, Schema, Write
from connectors.errors import (
    ConnectorError,
    MappingError,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    TakenForDuplicate,
    Unreachable,
)
from tests.connectors.salesforce_wire import (
    AT,
    EXPIRED,
    ROOT,
    SHOWN,
    TOKEN_ROUTE,
    changed,
    composite,
    error,
    given,
    id18,
    line,
    page,
    refused,
    row,
    rows_of,
    salesforce,
)
from tests.connectors.wire import HTML, Said

UPSERT, INSERT, COMPOSITE = "PATCH /composite/sobjects/Contact/Sync_Key__c", "POST /composite/sobjects", "POST /composite"
QUERY, DELETE = "GET /query", "DELETE /composite/sobjects"
LOCKED = "UNABLE_TO_LOCK_ROW"


def create(n, type_="Contact", marker="", **fields):
    return Write(type_, {"LastName": f"Name {n}", **fields}, key=f"c{n}", marker=marker)


def marked(n, **fields):
    return create(n, marker=f"out-1-{n}", **fields)


def update(n, type_="Contact", version=SHOWN, **fields):
    return Write(type_, fields or {"Title": "CTO"}, key=f"u{n}", ref=Ref("salesforce", type_, id18(n)), version=version)


def delete(n):
    return Write("Contact", {}, key=f"d{n}", ref=Ref("salesforce", "Contact", id18(n)), is_delete=True)


def kinds(results):
    return [type(result.error) if result.error else "done" for result in results]


# --- creates ------------------------------------------------------------------------------------------------------------


def test_marked_creates_go_out_as_one_upsert_by_their_key_and_are_read_back_in_one_call():
    read = page(row(1, LastName="Name 1", Title="Set by a rule"), row(2, LastName="Name 2"))
    sf, org = salesforce({UPSERT: Said(200, [line(1, created=True), line(2, created=False)]), QUERY: read})

    results = sf.write("Contact", [marked(1, Email=""), marked(2)])

    assert org.calls == [UPSERT, QUERY] and sf.batch_size("Contact", is_create=True) == 200
    first = {"attributes": {"type": "Contact"}, "LastName": "Name 1", "Email": None, "Sync_Key__c": "out-1-1"}
    second = {"attributes": {"type": "Contact"}, "LastName": "Name 2", "Sync_Key__c": "out-1-2"}
    assert org.body(0) == {"allOrNone": False, "records": [first, second]}
    assert f"Id IN ('{id18(1)}','{id18(2)}')" in org.soql() and "LastName, Email, Sync_Key__c FROM" in org.soql()
    assert [(r.key, r.record.ref.id, r.record.version) for r in results] == [("c1", id18(1), SHOWN), ("c2", id18(2), SHOWN)]
    assert results[0].record.fields["Title"] == "Set by a rule" and results[0].record.updated_by == "005AA0000000001YAA"
    assert results[0].exchange.method == "PATCH"


@pytest.mark.parametrize("settings", [{"external_id_field": ""}, {"without_external_id": ["Contact"]}])
def test_without_a_field_for_the_key_creates_are_plain(settings):
    sf, org = salesforce({INSERT: Said(200, [line(1)]), QUERY: page(row(1))}, settings=settings)

    sf.write("Contact", [marked(1)])

    assert org.body(0)["records"] == [{"attributes": {"type": "Contact"}, "LastName": "Name 1"}]


def test_each_record_of_a_collection_stands_for_itself_and_keeps_its_place():
    lines = [
        refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Phone must start with +", ["Phone"]),
        line(2),
        refused("INVALID_EMAIL_ADDRESS", "x", ["Email"]),
    ]
    sf, org = salesforce({UPSERT: Said(200, lines), QUERY: page(row(2))})

    results = sf.write("Contact", [marked(1), marked(2), marked(3)])

    assert [r.key for r in results] == ["c1", "c2", "c3"] and kinds(results) == [Rejected, "done", Rejected]
    assert results[0].error.sentence == "Salesforce: Phone must start with +" and results[0].error.field == "Phone"
    assert not any(r.error.may_have_happened for r in results if r.error) and f"IN ('{id18(2)}')" in org.soql()


def test_rows_of_one_account_go_out_together():
    sf, org = salesforce({INSERT: Said(200, [line(n) for n in (1, 3, 2)]), QUERY: page(row(1), row(2), row(3))})
    b, a = id18(2, "001"), id18(1, "001")

    results = sf.write("Contact", [create(1, AccountId=a), create(2, AccountId=b), create(3, AccountId=a)])

    assert [r["AccountId"] for r in org.body(0)["records"]] == [a, a, b]
    assert [r.record.ref.id for r in results] == [id18(1), id18(2), id18(3)]


def test_more_than_a_call_takes_goes_out_in_several():
    sf, org = salesforce({INSERT: [Said(200, [line(n) for n in range(200)]), Said(200, [line(200)])], QUERY: page()})

    results = sf.write("Contact", [create(n) for n in range(201)])

    assert org.calls == [INSERT, QUERY, INSERT, QUERY] and kinds(results) == ["done"] * 201


@pytest.mark.parametrize(
    "said", [Said(503, HTML), Said(200, HTML), page(), page(None), error("INVALID_FIELD"), requests.exceptions.ReadTimeout("late")]
)
def test_what_was_made_and_cannot_be_read_was_made_all_the_same(said):
    sf, org = salesforce({UPSERT: Said(200, [line(1)]), QUERY: said})

    (result,) = sf.write("Contact", [marked(1)])

    assert (result.error, result.record.ref.id, dict(result.record.fields), result.record.version) == (None, id18(1), {}, "")
    assert org.calls.count(UPSERT) == 1


def test_leads_keep_their_owner_unless_the_settings_say_otherwise():
    route = "PATCH /composite/sobjects/Lead/Sync_Key__c"
    sf, org = salesforce({route: Said(200, [line(1)]), QUERY: page(), COMPOSITE: changed((204, None), (200, rows_of()))})
    assigning, other = salesforce({route: Said(200, [line(1)]), QUERY: page()}, settings={"assigns_leads": True, "allows_duplicates": True})
    lead = create(1, "Lead", "out-1-1", Company="Acme")

    sf.write("Lead", [lead])
    sf.write("Lead", [update(1, "Lead")])
    assigning.write("Lead", [lead])

    assert org.requests[0].headers["Sforce-Auto-Assign"] == org.requests[2].headers["Sforce-Auto-Assign"] == "FALSE"
    assert org.body(2)["compositeRequest"][1]["httpHeaders"]["Sforce-Auto-Assign"] == "FALSE"
    assert "Sforce-Auto-Assign" not in other.requests[0].headers
    assert other.requests[0].headers["Sforce-Duplicate-Rule-Header"] == "allowSave=true"


# --- duplicates -----------------------------------------------------------------------------------------------------------


def duplicates(spelling, *numbers, may_insist=True, type_="Contact"):
    records = [
        {"matchConfidence": 100.0, "record": {"attributes": {"type": type_}, "Id": id18(n, "00Q" if type_ == "Lead" else "003")}}
        for n in numbers
    ]
    result = {"allowSave": may_insist, "duplicateRule": "Standard", "matchResults": [{"entityType": type_, "matchRecords": records}]}
    return [{spelling: result, "errorCode": "DUPLICATES_DETECTED", "message": "Use one of these records?"}]


@pytest.mark.parametrize("spelling", ["duplicateResult", "duplicateResut"])
def test_records_that_a_duplicate_rule_found_are_named(spelling):
    lines = [
        refused("DUPLICATES_DETECTED", "Use one of these records?"),
        line(2),
        refused("DUPLICATES_DETECTED", "Use one of these records?"),
    ]
    again = composite((400, duplicates(spelling, 7, 8)), (400, duplicates(spelling, 9, may_insist=False, type_="Lead")))
    sf, org = salesforce({UPSERT: Said(200, lines), COMPOSITE: again, QUERY: page(row(2))})

    results = sf.write("Contact", [create(1, marker="a/1 ü"), marked(2), marked(3)])

    assert org.calls == [UPSERT, COMPOSITE, QUERY] and kinds(results) == [TakenForDuplicate, "done", TakenForDuplicate]
    assert [[str(ref) for ref in r.error.refs] for r in (results[0], results[2])] == [
        [f"salesforce:Contact:{id18(7)}", f"salesforce:Contact:{id18(8)}"],
        [f"salesforce:Lead:{id18(9, '00Q')}"],
    ]
    assert (results[0].error.may_insist, results[2].error.may_insist) == (True, False)
    part = org.body(1)["compositeRequest"][0]
    assert (part["method"], part["url"]) == ("PATCH", f"{ROOT}/sobjects/Contact/Sync_Key__c/a%2F1%20%C3%BC") and part["body"] == {
        "LastName": "Name 1"
    }
    assert org.body(1)["allOrNone"] is False


def test_a_rule_that_lets_the_second_look_through_has_made_the_record():
    made = composite((201, {"id": id18(5), "success": True, "errors": [], "created": True}))
    sf, org = salesforce({INSERT: Said(200, [refused("DUPLICATES_DETECTED")]), COMPOSITE: made, QUERY: page(row(5))})

    (result,) = sf.write("Contact", [create(1)])

    assert result.record.ref.id == id18(5) and result.record.version == SHOWN
    assert org.body(1)["compositeRequest"][0]["url"] == f"{ROOT}/sobjects/Contact"


def test_only_so_many_duplicates_are_asked_about_and_the_rest_say_that_they_are_some():
    lines = [refused("DUPLICATES_DETECTED") for _ in range(60)]
    sf, org = salesforce({INSERT: Said(200, lines), COMPOSITE: composite(*[(400, duplicates("duplicateResult", 7))] * 25)})

    results = sf.write("Contact", [create(n) for n in range(60)])

    assert org.calls == [INSERT, COMPOSITE] and kinds(results) == [TakenForDuplicate] * 60
    assert sum(bool(r.error.refs) for r in results) == 25


@pytest.mark.parametrize(
    ("said", "kind", "in_doubt"),
    [
        (requests.exceptions.ReadTimeout("late"), OutcomeUnknown, True),
        (Said(200, HTML), OutcomeUnknown, True),
        (Said(503, HTML), ServerTrouble, True),
        (requests.exceptions.ConnectionError("NewConnectionError: Connection refused"), TakenForDuplicate, False),
        (error("JSON_PARSER_ERROR"), TakenForDuplicate, False),
    ],
)
def test_a_second_look_that_is_lost_may_have_made_the_record(said, kind, in_doubt):
    sf, _ = salesforce({UPSERT: Said(200, [refused("DUPLICATES_DETECTED"), line(2)]), COMPOSITE: said, QUERY: page(row(2))})

    results = sf.write("Contact", [marked(1), marked(2)])

    assert kinds(results) == [kind, "done"] and results[0].error.may_have_happened is in_doubt


def test_the_record_that_holds_a_unique_value_is_named():
    held = refused("DUPLICATE_VALUE", "duplicate value found: Ext__c duplicates value on record with id: 003AA0000012345")
    sf, _ = salesforce({INSERT: Said(200, [held])})

    (result,) = sf.write("Contact", [create(1)])

    assert type(result.error) is TakenForDuplicate and result.error.field == "Ext__c"
    assert result.error.refs == (Ref("salesforce", "Contact", "003AA0000012345YAA"),)


def test_an_update_that_makes_a_duplicate_names_the_other_record():
    sf, _ = salesforce({COMPOSITE: changed((400, duplicates("duplicateResut", 7)), (200, rows_of(row(1))))})

    (result,) = sf.write("Contact", [update(1, Email="a@b.example")])

    assert type(result.error) is TakenForDuplicate and result.error.refs == (Ref("salesforce", "Contact", id18(7)),)


def test_a_key_that_several_records_carry_is_told_and_nothing_is_in_doubt():
    several = composite((300, [f"{ROOT}/sobjects/Contact/{id18(1)}", f"{ROOT}/sobjects/Contact/{id18(2)}"]))
    sf, _ = salesforce({UPSERT: Said(200, [refused("DUPLICATES_DETECTED")]), COMPOSITE: several})

    (result,) = sf.write("Contact", [marked(1)])

    assert type(result.error) is Rejected and "several records carry the key out-1-1" in result.error.detail


# --- updates ------------------------------------------------------------------------------------------------------------


def test_updates_go_out_in_one_composite_each_on_its_own_version_with_a_read_of_all_before_and_after():
    answer = changed((204, None), (204, None), (200, rows_of(row(2, Title="CTO"), row(1, Title="Trimmed"))))
    sf, org = salesforce({COMPOSITE: answer})

    results = sf.write("Contact", [update(1, Title=" Trimmed "), update(2, Title="CTO", Birthdate=None)])

    assert org.calls == [COMPOSITE] and sf.batch_size("Contact", is_create=False) == 24
    body = org.body()
    assert body["allOrNone"] is False and body["collateSubrequests"] is False
    before, first, second, after = body["compositeRequest"]
    when = {"If-Unmodified-Since": "Sun, 01 Nov 2026 10:00:00 GMT"}
    url = f"{ROOT}/sobjects/Contact/{id18(1)}"
    assert first == {"method": "PATCH", "url": url, "referenceId": "w0", "httpHeaders": when, "body": {"Title": " Trimmed "}}
    assert second["body"] == {"Title": "CTO", "Birthdate": None}
    assert before["url"] == after["url"] and f"Title, Birthdate FROM Contact WHERE Id IN ('{id18(1)}','{id18(2)}')" in org.soql()
    assert [r.record.fields["Title"] for r in results] == ["Trimmed", "CTO"] and results[0].record.version == SHOWN


def test_what_stood_there_right_before_is_told_for_the_fields_that_were_written():
    stood = (200, rows_of(row(1, Title="Typed meanwhile", Phone="1")))
    sf, _ = salesforce({COMPOSITE: changed((204, None), (204, None), (200, rows_of(row(1, Title="Ours"))), stood=stood)})

    results = sf.write("Contact", [update(1, Title="Ours"), update(2, Title="Ours")])

    assert [dict(r.stood) for r in results] == [{"Title": "Typed meanwhile"}, {}]


def test_a_version_from_before_our_first_call_needs_no_read_before_and_leaves_room_for_a_24th_update():
    old = "2026-01-01T10:00:00.000+0000"
    sf, org = salesforce({QUERY: page(row(1)), COMPOSITE: composite(*[(204, None)] * 24, (200, rows_of()))})
    sf.find("Contact", "Email", ["a@b.example"], ["Title"])  # Salesforce's clock is known from here on

    results = sf.write("Contact", [update(n, version=old) for n in range(24)])

    assert org.calls == [QUERY, COMPOSITE] and kinds(results) == ["done"] * 24
    assert [part["method"] for part in org.body(1)["compositeRequest"]] == ["PATCH"] * 24 + ["GET"]


def test_a_record_changed_meanwhile_is_stale_and_its_neighbours_are_not():
    answer = changed((412, None), (204, None), (412, "<html>"), (200, rows_of(row(1), row(2), row(3))))
    sf, _ = salesforce({COMPOSITE: answer})

    results = sf.write("Contact", [update(1), update(2), update(3)])

    assert kinds(results) == [StaleVersion, "done", StaleVersion]
    assert results[0].error.is_passing and not results[0].error.may_have_happened


@pytest.mark.parametrize(
    ("version", "header"),
    [(SHOWN, "Sun, 01 Nov 2026 10:00:00 GMT"), ("2026-11-01T10:00:00.900+0000", "Sun, 01 Nov 2026 10:00:00 GMT"), ("", None)],
)
def test_a_version_is_a_whole_second_on_the_wire(version, header):
    sf, org = salesforce({COMPOSITE: changed((204, None), (200, rows_of(row(1))))})

    sf.write("Contact", [update(1, version=version)])

    assert org.body()["compositeRequest"][1].get("httpHeaders", {}).get("If-Unmodified-Since") == header


def test_a_version_that_is_none_and_an_id_that_is_none_are_told_without_a_call():
    sf, org = salesforce({})
    wrong = Write("Contact", {"Title": "x"}, key="x", ref=Ref("salesforce", "Contact", "003/../Account"))

    assert kinds(sf.write("Contact", [update(1, version="7"), wrong])) == [StaleVersion, Rejected] and org.calls == []


def test_twenty_five_updates_take_two_calls():
    parts = [(204, None)] * 23 + [(200, rows_of())]
    sf, org = salesforce({COMPOSITE: [changed(*parts), changed((204, None), (204, None), (200, rows_of()))]})

    results = sf.write("Contact", [update(n) for n in range(25)])

    assert org.calls == [COMPOSITE] * 2 and [len(org.body(i)["compositeRequest"]) for i in (0, 1)] == [25, 4]
    assert kinds(results) == ["done"] * 25 and results[24].record.ref.id == id18(24)


@pytest.mark.parametrize(
    "read", [(500, None), (400, [{"errorCode": "INVALID_FIELD", "message": "x"}]), (200, {}), (200, rows_of(None)), (200, rows_of())]
)
def test_an_update_that_cannot_be_read_was_made_all_the_same(read):
    sf, _ = salesforce({COMPOSITE: changed((204, None), read)})

    (result,) = sf.write("Contact", [update(1)])

    assert (result.error, result.record.ref.id, dict(result.record.fields)) == (None, id18(1), {})


GONE = [{"errorCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}]
NO_REFERENCE = [{"errorCode": "INVALID_CROSS_REFERENCE_KEY", "message": "invalid cross reference id", "fields": []}]


@pytest.mark.parametrize(
    ("status", "said", "rows", "kind"),
    [
        (404, GONE, [], RecordGone),
        (400, GONE, [], RecordGone),
        (400, GONE, [row(1)], Rejected),  # the account it points to is deleted, not itself
        (404, [{"errorCode": "NOT_FOUND", "message": "x"}], [], RecordGone),
        (400, NO_REFERENCE, [], RecordGone),
        (400, NO_REFERENCE, [row(1)], Rejected),
        (400, [{**NO_REFERENCE[0], "fields": ["AccountId"]}], [], Rejected),
        (400, [{"errorCode": "CANNOT_UPDATE_CONVERTED_LEAD", "message": "cannot reference converted lead"}], [row(1)], RecordGone),
        (400, [{"errorCode": "FIELD_INTEGRITY_EXCEPTION", "message": "Account ID: id value of incorrect type"}], [row(1)], Rejected),
        (400, [{"errorCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "x"}], [row(1)], Rejected),
        (
            400,
            [{"errorCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": "MyTrigger: System.NullPointerException"}],
            [row(1)],
            Rejected,
        ),
        (400, [{"errorCode": "INVALID_FIELD", "message": "No such column 'Title' on sobject of type Contact"}], [row(1)], MappingError),
        (
            400,
            [{"errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "Unable to create/update fields: Title. Please check"}],
            [row(1)],
            MappingError,
        ),
        (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "An unexpected error occurred. ErrorId: 1"}], [row(1)], ServerTrouble),
        (503, None, [row(1)], OutcomeUnknown),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}], [row(1)], RateLimited),
    ],
)
def test_what_a_refused_update_means(status, said, rows, kind):
    sf, _ = salesforce({COMPOSITE: changed((status, said), (204, None), (200, rows_of(*rows, row(2))))})

    refusal, other = sf.write("Contact", [update(1), update(2)])

    assert type(refusal.error) is kind and other.error is None
    assert refusal.error.may_have_happened is (kind in (ServerTrouble, OutcomeUnknown))
    assert kind is not MappingError or refusal.error.field == "Title"


def test_a_deleted_row_among_those_read_back_is_not_there():
    sf, _ = salesforce({COMPOSITE: changed((400, GONE), (200, rows_of(row(1, IsDeleted=True))))})

    assert kinds(sf.write("Contact", [update(1)])) == [RecordGone]


def test_a_field_that_became_required_is_a_fault_of_the_mapping_and_a_known_one_of_the_record():
    known = Schema("Contact", {"Region__c": Attribute("Region__c", "Region", "text", is_required=True)})
    missing = [["LastName"], ["Region__c"], ["Badge__c"], ["Title"], []]
    lines = [refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names) for names in missing]
    lines[2]["errors"][0].pop("fields")  # only the message names it
    sf, _ = salesforce({INSERT: Said(200, lines)}, schemas={"Contact": known})

    results = sf.write("Contact", [create(n, **({"Title": None} if n == 3 else {})) for n in range(5)])

    assert kinds(results) == [Rejected, Rejected, MappingError, Rejected, Rejected]
    assert [r.error.field for r in results] == ["LastName", "Region__c", "Badge__c", "Title", ""]


# --- rows that somebody else holds -----------------------------------------------------------------------------------------


def test_a_row_that_is_held_is_sent_again_after_longer_and_longer_pauses_and_alone():
    answers = [Said(200, [line(1), refused(LOCKED), refused(LOCKED)]), Said(200, [refused(LOCKED), line(3)]), Said(200, [line(2)])]
    sf, org = salesforce({UPSERT: answers, QUERY: page()})

    results = sf.write("Contact", [marked(n) for n in (1, 2, 3)])

    assert kinds(results) == ["done"] * 3 and [r.record.ref.id for r in results] == [id18(n) for n in (1, 2, 3)]
    sent = [[r["Sync_Key__c"] for r in org.body(i)["records"]] for i, call in enumerate(org.calls) if call == UPSERT]
    assert sent == [["out-1-1", "out-1-2", "out-1-3"], ["out-1-2", "out-1-3"], ["out-1-2"]]
    assert len(org.slept) == 2 and 0.25 <= org.slept[0] <= 0.75 and 0.5 <= org.slept[1] <= 1.5


def test_a_row_that_stays_held_is_left_to_the_next_run():
    held = [{"errorCode": LOCKED, "message": "unable to obtain exclusive access to this record or 1 records: 001"}]
    sf, org = salesforce({COMPOSITE: changed((500, held), (200, rows_of(row(1))))})

    (result,) = sf.write("Contact", [update(1)])

    assert type(result.error) is StaleVersion and result.error.is_passing and not result.error.may_have_happened
    assert len(org.calls) == 5 and len(org.slept) == 4


def test_trouble_while_waiting_for_a_held_row_leaves_the_others_as_they_are():
    answers = [Said(200, [line(1), refused(LOCKED)]), requests.exceptions.ReadTimeout("late")]
    sf, _ = salesforce({UPSERT: answers, QUERY: page(row(1))})

    results = sf.write("Contact", [marked(1), marked(2)])

    assert kinds(results) == ["done", OutcomeUnknown] and results[1].error.may_have_happened


# --- whole calls ----------------------------------------------------------------------------------------------------------


def refusing(bad, code="JSON_PARSER_ERROR", message="Cannot deserialize instance of double"):
    """Returns a server that refuses every collection with one of the `bad` names in it, and carries out all others."""

    def reply(request):
        names = [r["LastName"] for r in json.loads(request.body)["records"]]
        return error(code, message) if bad & set(names) else Said(200, [line(int(name.split()[1])) for name in names])

    return reply


def test_one_row_that_has_the_whole_call_refused_does_not_flag_its_neighbours():
    sf, org = salesforce({INSERT: refusing({"Name 3"}), QUERY: page()})

    results = sf.write("Contact", [create(n) for n in range(8)])

    assert kinds(results) == ["done"] * 3 + [Rejected] + ["done"] * 4
    assert [r.record.ref.id for r in results if r.record] == [id18(n) for n in range(8) if n != 3]


def test_a_call_that_is_refused_whatever_it_carries_flags_nobody():
    sf, org = salesforce({INSERT: error("JSON_PARSER_ERROR")})

    with pytest.raises(ServerTrouble, match="refuses every change") as caught:
        sf.write("Contact", [create(n) for n in range(8)])

    assert not caught.value.may_have_happened and len(org.calls) < 8


def test_a_field_that_salesforce_does_not_know_stops_only_the_rows_that_carry_it():
    def reply(request):
        records = json.loads(request.body)["records"]
        bad = any("Foo__c" in r for r in records)
        return error("INVALID_FIELD", "No such column 'Foo__c' on sobject of type Contact") if bad else Said(200, [line(2)])

    sf, org = salesforce({INSERT: reply, QUERY: page()})

    results = sf.write("Contact", [create(1, Foo__c="x"), create(2), create(3, Foo__c=None)])

    assert kinds(results) == [MappingError, "done", MappingError] and results[0].error.field == "Foo__c" and org.calls.count(INSERT) == 2


def test_a_missing_field_for_the_key_is_one_fault_of_the_mapping_and_one_call():
    gone = error("NOT_FOUND", "Provided external ID field does not exist or is not accessible: Sync_Key__c", 404)
    sf, org = salesforce({UPSERT: gone})

    results = sf.write("Contact", [marked(n) for n in range(9)])

    assert kinds(results) == [MappingError] * 9 and results[0].error.field == "Sync_Key__c" and org.calls == [UPSERT]


@pytest.mark.parametrize("writes", [[marked(1), marked(2)], [create(1), create(2)], [update(1), update(2)], [delete(1), delete(2)]])
@pytest.mark.parametrize(
    ("said", "kind", "in_doubt"),
    [
        (requests.exceptions.ReadTimeout("late"), OutcomeUnknown, True),
        (requests.exceptions.ConnectionError("reset"), OutcomeUnknown, True),
        (requests.exceptions.ConnectionError("NewConnectionError: Connection refused"), Unreachable, False),
        (Said(500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}]), ServerTrouble, True),
        (Said(503, HTML), ServerTrouble, True),
        (Said(200, HTML), OutcomeUnknown, True),
        (Said(200, ""), OutcomeUnknown, True),
        (Said(200, {}), OutcomeUnknown, True),
        (Said(200, []), OutcomeUnknown, True),
        (Said(200, [line(1)]), OutcomeUnknown, True),
        (Said(200, [line(1), {"id": id18(2)}]), OutcomeUnknown, True),
        (Said(200, json.dumps([line(1), line(2)])[:-9]), OutcomeUnknown, True),
        (Said(200, {"compositeResponse": [{"referenceId": "w0", "httpStatusCode": 204, "body": None}]}), OutcomeUnknown, True),
        (Said(202, {}), OutcomeUnknown, True),
        (Said(204), OutcomeUnknown, True),
        (Said(408, HTML), OutcomeUnknown, True),
        (Said(302, headers={"Location": "/login"}), OutcomeUnknown, True),
        (Said(403, HTML), OutcomeUnknown, False),
        (Said(413, HTML), OutcomeUnknown, False),
        (Said(429, headers={"Retry-After": "9"}), RateLimited, False),
        (error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403), RateLimited, False),
        (error("API_DISABLED_FOR_ORG", status=403), NeedsAttention, False),
        (error("INVALID_TYPE"), NeedsAttention, False),
        (error("INVALID_SESSION_ID", "Connected app is not attached to Agent", 401), NeedsAttention, False),
    ],
)
def test_a_write_whose_answer_is_none_is_sent_once_and_in_doubt_unless_it_was_refused(writes, said, kind, in_doubt):
    routes = dict.fromkeys((UPSERT, INSERT, COMPOSITE, DELETE), said)
    sf, org = salesforce(routes)

    with pytest.raises(kind) as caught:
        sf.write("Contact", writes)

    assert type(caught.value) is kind and caught.value.may_have_happened is in_doubt
    assert len([call for call in org.calls if not call.startswith("GET")]) == 1


def test_what_was_not_sent_any_more_after_trouble_was_certainly_not_done():
    first = Said(200, [line(n) for n in range(200)])
    sf, org = salesforce({INSERT: [first, requests.exceptions.ReadTimeout("late")], QUERY: page()})

    results = sf.write("Contact", [create(n) for n in range(500)])

    doubts = [getattr(r.error, "may_have_happened", None) for r in results]
    assert doubts == [None] * 200 + [True] * 200 + [False] * 100 and org.calls == [INSERT, QUERY, INSERT]


def test_a_create_whose_line_has_no_id_is_in_doubt():
    sf, _ = salesforce({UPSERT: Said(200, [{"success": True, "errors": []}, line(2), {"success": False, "errors": []}]), QUERY: page()})

    results = sf.write("Contact", [marked(1), marked(2), marked(3)])

    assert kinds(results) == [OutcomeUnknown, "done", OutcomeUnknown] and results[0].error.may_have_happened


def test_a_write_whose_session_had_ended_is_sent_once_more_with_the_new_token():
    sf, org = salesforce({UPSERT: [EXPIRED, Said(200, [line(1)])], QUERY: page(row(1)), TOKEN_ROUTE: given("00D!new-access")})

    (result,) = sf.write("Contact", [marked(1)])

    assert result.error is None and org.calls == [UPSERT, TOKEN_ROUTE, UPSERT, QUERY] and org.body(0) == org.body(2)


# --- values and deletes ---------------------------------------------------------------------------------------------------


HOSTILE = ["' OR Name != '", "a\\", "</script>", "@{w0.id}", "\u202e", "😀", "a\nb", "null", "0", "=1+1", "x" * 300]


def test_values_go_out_and_come_back_as_they_are():
    sf, org = salesforce({INSERT: Said(200, [line(n) for n in range(len(HOSTILE))]), QUERY: page()})

    sf.write("Contact", [Write("Contact", {"LastName": value}, key=str(n)) for n, value in enumerate(HOSTILE)])

    assert [r["LastName"] for r in org.body(0)["records"]] == HOSTILE


def test_a_value_that_cannot_be_sent_stops_its_own_row_only():
    sf, org = salesforce({INSERT: Said(200, [line(2)]), QUERY: page(row(2))})
    writes = [create(1, Amount__c=float("inf")), create(2), create(3, Title="\ud800"), create(4, **{"Account.Name": "x"})]

    results = sf.write("Contact", writes)

    assert kinds(results) == [Rejected, "done", Rejected, MappingError] and len(org.body(0)["records"]) == 1


def test_instants_are_written_as_salesforce_writes_them():
    sf, org = salesforce({INSERT: Said(200, [line(1)]), QUERY: page(), "GET /sobjects/Contact/describe": Said(200, {"fields": []})})

    sf.write("Contact", [create(1, Met__c=AT, Tags__c=("a", "b"))])

    assert org.body(0)["records"][0] | {"Met__c": SHOWN, "Tags__c": "a;b"} == org.body(0)["records"][0]


def test_deletes_go_out_together_and_each_is_told():
    lines = [line(1), refused("ENTITY_IS_DELETED", "entity is deleted"), refused("DELETE_FAILED"), refused("INVALID_CROSS_REFERENCE_KEY")]
    sf, org = salesforce({DELETE: Said(200, lines)})

    results = sf.write("Contact", [delete(n) for n in range(1, 5)])

    assert kinds(results) == ["done", RecordGone, Rejected, RecordGone] and results[0].record.is_deleted
    assert org.asked() == {"ids": ",".join(id18(n) for n in range(1, 5)), "allOrNone": "false"} and org.calls == [DELETE]


def test_what_somebody_changed_since_its_version_is_not_deleted():
    """Deleting knows no condition: the records are read right before it, all of a call at once."""
    later = row(2, at="2036-03-01T10:00:09.000+0000")
    sf, org = salesforce({QUERY: page(row(1), later), DELETE: Said(200, [line(1), line(3)])})
    version = sf.read("Contact", [id18(1)], ["LastName"])[0].version

    results = sf.write("Contact", [replace(delete(n), version=version) for n in (1, 2, 3)])

    assert kinds(results) == ["done", StaleVersion, "done"] and org.calls == [QUERY, QUERY, DELETE]
    assert org.asked()["ids"] == f"{id18(1)},{id18(3)}"


def test_what_cannot_be_read_before_is_not_deleted():
    sf, org = salesforce({QUERY: Said(503, HTML)})

    results = sf.write("Contact", [replace(delete(1), version="2026-03-01T10:00:00.000+0000")])

    assert not results[0].error.may_have_happened and DELETE not in org.calls


def test_an_error_of_a_row_names_salesforce_and_holds_no_token():
    said = f"bad Bearer {'00DAA0000000001!AQ8secret1'}"
    sf, _ = salesforce({INSERT: Said(200, [refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", said)])})

    (result,) = sf.write("Contact", [create(1)])

    assert isinstance(result.error, ConnectorError) and result.error.sentence.startswith("Salesforce: ")
    assert "AQ8secret1" not in f"{result.error} {result.exchange}"
