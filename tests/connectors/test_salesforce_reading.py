"""Reading Salesforce: sweeps, pages, sessions that end, addresses that move, and answers that cannot be read."""

import json
from datetime import timedelta

import pytest
import requests

from connectors.contract import All, Op, Position
from connectors.contract import Test as Comparison
from connectors.errors import MappingError, NeedsAttention, OutcomeUnknown, RateLimited, Rejected, ServerTrouble
from connectors.oauth import Tokens
from tests.connectors.salesforce_wire import (
    AT,
    EXPIRED,
    HOME,
    IDENTITY,
    LOGIN,
    ROOT,
    SECRETS,
    SHOWN,
    TOKEN_ROUTE,
    composite,
    error,
    given,
    id18,
    page,
    row,
    salesforce,
)
from tests.connectors.wire import HTML, Said

ALL = All(())
LINK = f"{ROOT}/query/01gAA0000000001YAA-2"
NEXT = "GET /query/01gAA0000000001YAA-2"
LATER = "2026-11-01T10:00:01.000+0000"


def ids(records):
    return [record.ref.id for record in records]


# --- sweeps -------------------------------------------------------------------------------------------------------------


def test_a_page_of_a_sweep_asks_for_live_and_deleted_rows_behind_its_position_in_one_call():
    sf, org = salesforce({"GET /queryAll": page(row(8))})
    where = Comparison("SystemModstamp", Op.GE, AT - timedelta(days=1))

    sf.changes(
        "Contact",
        where=where,
        columns=["LastName", "Account.Name"],
        position=Position(AT, id18(7)),
        before=AT + timedelta(hours=1),
        page_size=50,
        include_deleted_since=AT - timedelta(hours=2),
    )

    assert org.calls == ["GET /queryAll"] and org.requests[0].url.startswith(f"{HOME}{ROOT}/queryAll?q=")
    select, _, rest = org.soql().partition(" FROM Contact WHERE ")
    assert select == "SELECT Id, SystemModstamp, LastModifiedDate, LastModifiedById, IsDeleted, MasterRecordId, LastName, Account.Name"
    live = "(SystemModstamp >= 2026-10-31T10:00:00Z) AND (IsDeleted = FALSE)"
    gone = "(IsDeleted = TRUE) AND (SystemModstamp >= 2026-11-01T08:00:00Z)"
    same = f"(SystemModstamp = 2026-11-01T10:00:00Z) AND (Id > '{id18(7)}')"
    behind = f"({same}) OR (SystemModstamp > 2026-11-01T10:00:00Z)"
    order = "ORDER BY SystemModstamp, Id LIMIT 51"
    assert rest == f"(({live}) OR ({gone})) AND ({behind}) AND (SystemModstamp < 2026-11-01T11:00:00Z) {order}"


def test_the_row_behind_a_page_says_that_there_is_another_and_no_call_is_spent_on_an_empty_one():
    rows = [row(1), row(2), row(3, at=LATER)]
    more, _ = salesforce({"GET /queryAll": page(*rows)})
    full, _ = salesforce({"GET /queryAll": page(*rows)})

    first = more.changes("Contact", where=ALL, columns=[], page_size=2)
    whole = full.changes("Contact", where=ALL, columns=[], page_size=3)

    assert ids(first.records) == [id18(1), id18(2)] and first.position == Position(AT, id18(2))
    assert ids(whole.records) == [id18(1), id18(2), id18(3)] and whole.position is None
    assert str(first.server_time) == "2026-03-02 09:00:00+00:00"


def test_a_server_that_cuts_pages_short_does_not_end_the_sweep():
    sf, _ = salesforce({"GET /queryAll": page(row(1), following=LINK, total=9)})

    assert sf.changes("Contact", where=ALL, columns=[], page_size=100).position == Position(AT, id18(1))


def test_the_most_rows_of_an_answer_are_asked_for_and_no_more():
    sf, org = salesforce({"GET /queryAll": page()})

    sf.changes("Contact", where=ALL, columns=[], page_size=5000)

    assert org.soql().endswith("LIMIT 2001")


def test_users_have_no_recycle_bin():
    sf, org = salesforce({"GET /query": page(row(1, "User"))})

    sf.changes("User", where=ALL, columns=["Name"], include_deleted_since=AT)

    assert "IsDeleted" not in org.soql() and "MasterRecordId" not in org.soql()


def test_leads_bring_their_conversion():
    sf, org = salesforce({"GET /queryAll": page(row(1, "Lead", IsConverted=True, ConvertedContactId=id18(4)))})

    (lead,) = sf.changes("Lead", where=ALL, columns=[]).records

    assert "IsConverted, ConvertedContactId" in org.soql() and lead.succeeded_by.id == id18(4)


@pytest.mark.parametrize(
    "rows",
    [
        [row(1), row(2, SystemModstamp="soon"), row(3)],
        [row(1), {"Id": id18(2), "attributes": {"type": "Lead"}}],
        [row(1), None],
        [row(1), {"attributes": {"type": "Contact"}}],
        [row(1, Id="001x")],
    ],
)
def test_a_page_that_cannot_be_read_does_not_end_a_sweep(rows):
    sf, _ = salesforce({"GET /queryAll": page(*rows)})

    with pytest.raises(OutcomeUnknown) as caught:
        sf.changes("Contact", where=ALL, columns=[], page_size=2)

    assert not caught.value.may_have_happened


def test_a_sweep_that_is_given_its_last_page_again_does_not_go_on_for_ever():
    sf, _ = salesforce({"GET /queryAll": page(row(1), row(2), row(3))})

    with pytest.raises(OutcomeUnknown):
        sf.changes("Contact", where=ALL, columns=[], position=Position(AT, id18(2)), page_size=2)


# --- pages of a query ----------------------------------------------------------------------------------------------------


def test_a_scan_follows_every_page():
    sf, org = salesforce({"GET /query": page(row(1), following=LINK), NEXT: page(row(2))})

    pages = list(sf.scan("Contact", where=Comparison("Email", Op.EQ, "a@b.c"), columns=["Email"]))

    assert [ids(p.records) for p in pages] == [[id18(1)], [id18(2)]] and org.calls == ["GET /query", NEXT]
    assert org.soql(0).endswith("WHERE Email = 'a@b.c' ORDER BY Id")


def test_a_query_that_salesforce_no_longer_keeps_goes_on_from_its_last_row():
    gone = error("INVALID_QUERY_LOCATOR", status=404)
    sf, org = salesforce({"GET /query": [page(row(1), row(2), following=LINK), page(row(3), following=LINK), page(row(4))], NEXT: gone})

    found = [id_ for p in sf.scan("Contact", where=Comparison("Email", Op.EQ, "a"), columns=[]) for id_ in ids(p.records)]

    assert found == [id18(n) for n in (1, 2, 3, 4)] and org.calls == ["GET /query", NEXT, "GET /query", NEXT, "GET /query"]
    assert org.soql(2).endswith(f"WHERE (Email = 'a') AND (Id > '{id18(2)}') ORDER BY Id") and f"Id > '{id18(3)}'" in org.soql(4)


@pytest.mark.parametrize(
    "body",
    [
        {"totalSize": 2, "done": False, "records": [row(1)]},
        {"totalSize": 2, "done": False, "records": [row(1)], "nextRecordsUrl": None},
        {"totalSize": 2, "done": False, "records": [], "nextRecordsUrl": LINK},
        {"totalSize": 2, "records": [row(1)]},
        {"totalSize": "2", "done": True, "records": [row(1)]},
        {"totalSize": 2, "done": True},
        {"totalSize": 2, "done": True, "records": {}},
        [],
        "",
        json.dumps({"totalSize": 2, "done": True, "records": [row(1), row(2)]})[:-40],
        HTML,
    ],
)
def test_half_an_answer_is_never_taken_for_a_whole_one(body):
    sf, _ = salesforce({"GET /query": Said(200, body), "GET /queryAll": Said(200, body)})

    for ask in (
        lambda: list(sf.scan("Contact", where=ALL, columns=[])),
        lambda: sf.find("Contact", "Email", ["a"], []),
        lambda: sf.count("Contact", ALL),
        lambda: sf.changes("Contact", where=ALL, columns=[]),
        lambda: sf.survivors("Contact", [id18(1)]),
    ):
        with pytest.raises(OutcomeUnknown) as caught:
            ask()
        assert not caught.value.may_have_happened


@pytest.mark.parametrize("link", ["//evil.example/x", "https://evil.example/x", "/x", "services/data/x"])
def test_a_link_that_is_none_of_the_interface_is_not_followed(link):
    sf, org = salesforce({"GET /query": page(row(1), following=link), "GET /x": page(row(2))})

    with pytest.raises(OutcomeUnknown):
        list(sf.scan("Contact", where=ALL, columns=[]))

    assert org.calls == ["GET /query"]


# --- look-ups -----------------------------------------------------------------------------------------------------------


def test_many_values_are_looked_up_two_hundred_a_call_and_each_record_is_returned_once():
    sf, org = salesforce({"GET /query": [page(row(1), row(2)), page(row(2), row(3))]})

    found = sf.find("Contact", "Email", [f"p{n}@acme.example" for n in range(250)], ["LastName"], also=Comparison("Email", Op.GT, "a"))

    assert ids(found) == [id18(1), id18(2), id18(3)] and len(org.calls) == 2
    assert org.soql(0).count("@acme.example") == 200 and org.soql(1).count("@acme.example") == 50
    assert ") AND (Email > 'a') ORDER BY Id" in org.soql(1)


def test_a_query_too_long_for_an_address_goes_in_a_body_and_its_pages_are_followed_as_usual():
    first = {"totalSize": 2, "done": False, "records": [row(1, "Account")], "nextRecordsUrl": LINK}
    sf, org = salesforce({"POST /composite": composite((200, first)), NEXT: page(row(2, "Account"))})
    names = [f"Müller & Söhne {n} 北京" for n in range(200)]

    assert ids(sf.find("Account", "Name", names, [])) == [id18(1, "001"), id18(2, "001")]
    assert org.calls == ["POST /composite", NEXT]
    (part,) = org.body(0)["compositeRequest"]
    assert part["method"] == "GET" and part["url"].startswith(f"{ROOT}/query?q=SELECT%20Id") and not set("'+ ") & set(part["url"])
    assert all(f"'{name}'" in org.soql(0) for name in names)


def test_values_that_no_record_has_cost_no_call():
    sf, org = salesforce({"GET /query": page()})

    assert sf.find("Contact", "Email", ["", " ", "a\0b", "\ud800"], []) == []
    assert sf.read("Contact", ["", "5", "003AA0000012345XXX"], ["LastName"]) == []
    assert org.calls == []


def test_records_are_read_by_either_form_of_their_ids():
    sf, org = salesforce({"GET /query": page(row(1))})

    sf.read("Contact", ["003000000000001", id18(1), id18(2)], ["LastName"])

    assert f"WHERE Id IN ('{id18(1)}','{id18(2)}')" in org.soql()


def test_markers_are_compared_to_the_letter():
    sf, org = salesforce({"GET /queryAll": page(row(1, Sync_Key__c="out-1-A"), row(2, Sync_Key__c="OUT-1-a"))})

    assert ids(sf.find_marked("Contact", ["out-1-A"], ["LastName"], since=AT)) == [id18(1)]
    assert org.calls == ["GET /queryAll"]  # the key is text: nothing had to be asked about it


def test_without_a_field_for_markers_what_our_user_made_is_looked_through():
    sf, org = salesforce({"GET /query": page(row(1))}, settings={"without_external_id": ["Lead"]})

    assert sf.find_marked("Lead", ["out-1-A"], ["LastName"], since=AT) == [] and org.calls == []
    sf.made_by_us("Contact", ["Email"], since=AT)

    assert "WHERE (CreatedById = '005AA0000000001YAA') AND (CreatedDate >= 2026-11-01T10:00:00Z) ORDER BY Id" in org.soql()


def test_a_field_whose_type_nobody_knows_is_described_once():
    described = Said(200, {"fields": [{"name": "Since__c", "type": "datetime"}]})
    sf, org = salesforce({"GET /query": page(row(1, Since__c=SHOWN)), "GET /sobjects/Contact/describe": described})

    for _ in range(2):
        (record,) = sf.read("Contact", [id18(1)], ["LastName", "Since__c", "Gone__c"])

    assert record.fields["Since__c"] == AT and org.calls.count("GET /sobjects/Contact/describe") == 1


def test_a_count_reads_no_rows():
    sf, org = salesforce({"GET /queryAll": page(total=1203)})

    assert sf.count("Contact", Comparison("Email", Op.EQ, "a"), before=AT) == 1203
    assert org.soql().startswith("SELECT COUNT() FROM Contact WHERE (") and "IsDeleted = FALSE" in org.soql()


# --- sessions and addresses ------------------------------------------------------------------------------------------------


def test_a_session_that_ended_is_renewed_once_and_the_request_sent_again():
    sf, org = salesforce({"GET /query": [EXPIRED, page(row(1))], TOKEN_ROUTE: given("00D!new-access")})

    assert ids(sf.read("Contact", [id18(1)], [])) == [id18(1)]

    assert org.calls == ["GET /query", TOKEN_ROUTE, "GET /query"] and org.requests[0].url == org.requests[2].url
    assert [r.headers.get("Authorization") for r in org.requests] == [f"Bearer {SECRETS['access']}", None, "Bearer 00D!new-access"]
    form = {"grant_type": "refresh_token", "refresh_token": SECRETS["refresh"], "client_id": "client-1", "client_secret": SECRETS["client"]}
    assert org.requests[1].url == f"{LOGIN}/services/oauth2/token" and dict(org.form(1)) == form
    assert org.store.tokens == Tokens("00D!new-access", SECRETS["refresh"], address=HOME, identity=IDENTITY)


def test_a_session_that_ends_in_the_middle_of_a_query_costs_no_page():
    sf, org = salesforce({"GET /query": page(row(1), following=LINK), NEXT: [EXPIRED, page(row(2))], TOKEN_ROUTE: given("00D!new-access")})

    assert [ids(p.records) for p in sf.scan("Contact", where=ALL, columns=[])] == [[id18(1)], [id18(2)]]


def test_a_token_that_is_refused_even_when_new_is_a_persons_matter():
    sf, org = salesforce({"GET /query": EXPIRED, TOKEN_ROUTE: given("00D!new-access")})

    with pytest.raises(NeedsAttention, match="even after it was renewed"):
        sf.read("Contact", [id18(1)], [])

    assert org.calls == ["GET /query", TOKEN_ROUTE, "GET /query"]


@pytest.mark.parametrize("text", ["This session is not valid for use with the REST API", "Connected app is not attached to Agent"])
def test_no_new_token_is_asked_for_where_none_would_help(text):
    sf, org = salesforce({"GET /query": error("INVALID_SESSION_ID", text, 401)})

    with pytest.raises(NeedsAttention, match=text):
        sf.read("Contact", [id18(1)], [])

    assert org.calls == ["GET /query"]


def test_a_session_end_told_as_xml_is_one_too():
    xml = Said(401, "<Errors><Error><errorCode>INVALID_SESSION_ID</errorCode></Error></Errors>")
    sf, org = salesforce({"GET /query": [xml, page(row(1))], TOKEN_ROUTE: given("00D!new-access")})

    assert ids(sf.read("Contact", [id18(1)], [])) == [id18(1)]


def test_a_replaced_refresh_token_is_stored_before_the_new_access_is_used():
    seen = []

    def watch(request):
        seen.append((request.headers["Authorization"], org.store.tokens.refresh_token))
        return page(row(1))

    sf, org = salesforce({"GET /query": [EXPIRED, watch], TOKEN_ROUTE: given("00D!new-access", refresh_token="refresh-2")})
    sf.read("Contact", [id18(1)], [])

    assert seen == [("Bearer 00D!new-access", "refresh-2")]


@pytest.mark.parametrize(
    ("said", "trouble"), [(Said(503, HTML), ServerTrouble), (Said(500), ServerTrouble), (Said(200, HTML), OutcomeUnknown)]
)
def test_a_desk_that_fails_is_no_refusal(said, trouble):
    sf, _ = salesforce({TOKEN_ROUTE: said}, tokens=Tokens("", SECRETS["refresh"]))

    with pytest.raises(trouble) as caught:
        sf.read("Contact", [id18(1)], [])

    assert not caught.value.may_have_happened and not isinstance(caught.value, NeedsAttention)


def test_a_dead_refresh_token_asks_for_a_reconnect_and_says_why():
    refused = Said(400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
    sf, org = salesforce({"GET /query": EXPIRED, TOKEN_ROUTE: refused})

    with pytest.raises(NeedsAttention, match=r"invalid_grant\); reconnect it .*expired access/refresh token"):
        sf.read("Contact", [id18(1)], [])

    assert org.calls == ["GET /query", TOKEN_ROUTE]


def test_an_organisation_that_moved_is_followed_with_its_new_token():
    new = "https://acme-renamed.my.salesforce.com"
    sf, org = salesforce({"GET /query": [EXPIRED, page(row(1))], TOKEN_ROUTE: given("00D!new-access", instance_url=new)})

    sf.read("Contact", [id18(1)], [])

    assert org.requests[-1].url.startswith(f"{new}{ROOT}/query") and org.store.tokens.address == new


@pytest.mark.parametrize(
    "address", ["https://evil.example", "http://acme.my.salesforce.com", "https://u:p@acme.my.salesforce.com", "acme", "https://[x"]
)
def test_no_token_goes_to_an_address_that_connections_may_not_name(address):
    sf, org = salesforce(
        {TOKEN_ROUTE: given("00D!new-access", instance_url=address)},
        tokens=Tokens("", SECRETS["refresh"]),
        may_reach=lambda host: host.endswith(".salesforce.com"),
    )

    with pytest.raises(NeedsAttention):
        sf.read("Contact", [id18(1)], [])

    assert org.calls == [TOKEN_ROUTE]


# --- allowance and refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "limit", "remaining"),
    [
        ("api-usage=18/15000", 15000, 14982),
        ("api-usage=18/15000; per-app-api-usage=240/250(appName=x)", 250, 10),
        ("per-app-api-usage=17/250(appName=api-usage=9/9); api-usage=14990/15000", 15000, 10),
        ("api-usage=20000/15000; api-bursts=1/750", 15000, 0),
        ("api-usage=x/15000", None, None),
        ("", None, None),
        ("api-usage=99999999999999999999/1", None, None),
    ],
)
def test_the_allowance_that_ends_first_is_counted(header, limit, remaining):
    sf, _ = salesforce({"GET /query": Said(200, page(row(1)).body, {"Sforce-Limit-Info": header})})

    sf.read("Contact", [id18(1)], [])

    assert (sf.counts().limit, sf.counts().remaining, sf.counts().calls) == (limit, remaining, 1)
    assert sf.counts().by_template == {"GET /query": 1}


@pytest.mark.parametrize(("message", "wait"), [("TotalRequests Limit exceeded.", 900.0), ("ConcurrentPerOrgLongTxn Limit exceeded.", 60.0)])
def test_used_up_calls_hold_back_all_further_ones(message, wait):
    sf, org = salesforce({"GET /query": error("REQUEST_LIMIT_EXCEEDED", message, 403)})

    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            sf.read("Contact", [id18(1)], [])
        assert caught.value.retry_after == pytest.approx(wait, abs=5)

    assert org.calls == ["GET /query"]


@pytest.mark.parametrize(
    ("said", "kind", "field"),
    [
        (
            error(
                "INVALID_FIELD", "\nSELECT Id, Foo FROM Contact\n  ^\nERROR at Row:1:Column:12\nNo such column 'Foo' on entity 'Contact'."
            ),
            MappingError,
            "Foo",
        ),
        (error("INVALID_FIELD", "field 'Description' can not be filtered in a query call"), MappingError, "Description"),
        (error("INVALID_TYPE", "sObject type 'Contact' is not supported."), NeedsAttention, ""),
        (error("API_DISABLED_FOR_ORG", status=403), NeedsAttention, ""),
        (error("API_CURRENTLY_DISABLED", status=403), NeedsAttention, ""),
        (error("INSUFFICIENT_ACCESS", status=403), NeedsAttention, ""),
        (error("NOT_FOUND", status=404), NeedsAttention, ""),
        (error("UNSUPPORTED_API_VERSION", status=410), NeedsAttention, ""),
        (error("MALFORMED_QUERY", "unexpected token: 'FROM'"), Rejected, ""),
        (error("QUERY_TIMEOUT"), ServerTrouble, ""),
        (Said(500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "ErrorId: 1"}]), ServerTrouble, ""),
        (Said(503, HTML), ServerTrouble, ""),
        (Said(404, HTML), OutcomeUnknown, ""),
        (Said(403, {"error": "x"}), OutcomeUnknown, ""),
        (Said(414, ""), OutcomeUnknown, ""),
        (Said(200, []), OutcomeUnknown, ""),
    ],
)
def test_what_a_refused_read_means(said, kind, field):
    sf, _ = salesforce({"GET /query": said})

    with pytest.raises(kind) as caught:
        sf.read("Contact", [id18(1)], ["LastName"])

    assert type(caught.value) is kind and caught.value.field == field and not caught.value.may_have_happened


def test_of_a_refused_query_only_the_sentence_is_shown():
    sf, _ = salesforce({"GET /query": error("INVALID_FIELD", "\nSELECT Id FROM X\n  ^\nERROR at Row:1:Column:12\nNo such column 'Foo'.")})

    with pytest.raises(MappingError) as caught:
        sf.read("Contact", [id18(1)], ["LastName"])

    assert caught.value.sentence == "Salesforce: No such column 'Foo'."


def test_a_long_query_refused_in_a_body_means_the_same():
    refused = [{"errorCode": "INVALID_FIELD", "message": "No such column 'Foo' on entity 'Account'."}]
    sf, _ = salesforce({"POST /composite": composite((400, refused))}, settings={"longest_address": 100})

    with pytest.raises(MappingError) as caught:
        sf.find("Account", "Name", ["Acme"], [])

    assert caught.value.field == "Foo"


def test_a_read_is_repeated_after_a_passing_failure_also_in_a_body():
    answer = composite((200, page(row(1, "Account")).body))
    sf, org = salesforce(
        {"POST /composite": [Said(503, HTML), requests.exceptions.ReadTimeout("late"), answer]}, settings={"longest_address": 100}
    )

    assert len(sf.find("Account", "Name", ["Acme"], [])) == 1 and len(org.calls) == 3


def test_no_error_and_no_exchange_shows_a_secret():
    def echo(request):
        said = f"{request.headers} {request.body} {request.url}"
        return Said(400, [{"errorCode": "INVALID_FIELD_X", "message": said}])

    sf, _ = salesforce({"GET /query": echo})
    with pytest.raises(Rejected) as read:
        sf.read("Contact", [id18(1)], [])
    desk, _ = salesforce(
        {TOKEN_ROUTE: lambda r: Said(400, {"error": "x", "error_description": str(r.body)})}, tokens=Tokens("", SECRETS["refresh"])
    )
    with pytest.raises(NeedsAttention) as renewal:
        desk.read("Contact", [id18(1)], [])

    for caught in (read.value, renewal.value):
        shown = caught.exchange
        texts = [str(caught), repr(caught), caught.sentence, shown.url, shown.request_body, shown.response_body, repr(shown)]
        assert not [(text, secret) for text in texts for secret in SECRETS.values() if secret in text]
