"""List views evaluated for other users, what these may do, and companies by name, each against a scripted wire."""

from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import EVERYTHING, MINE, NO_ACCESS, RecordAccess, ViewTerms
from connectors.errors import NeedsAttention, OutcomeUnknown, Rejected, ServerTrouble
from connectors.salesforce import accounts, query, view_terms
from tests.connectors.salesforce_wire import ROOT, SHOWN, composite, error, id18, page, row, rows_of, salesforce
from tests.connectors.test_salesforce_query import NASTY, read_literal, tokens
from tests.connectors.wire import Said

VIEW = "00BAA00000000012AA"
DESCRIBE = f"GET /sobjects/Contact/listviews/{VIEW}/describe"
SELECT = "SELECT name, account.name, toLabel(status), email, id FROM Contact"
ORDER = "ORDER BY Name ASC NULLS FIRST, Id ASC NULLS FIRST"
ANN, BOB = id18(1, "005"), id18(2, "005")


def described(soql, **more):
    return {"id": VIEW[:15], "sobjectType": "Contact", "query": soql, "scopeEntityId": None, "relatedEntityId": None, **more}


def terms_of(soql, **more):
    return view_terms.terms_of("Contact", described(soql, **more))


def terms(scope=MINE, where="", object_type="Contact"):
    return ViewTerms(object_type, scope, where, "f")


def members(sf, terms, object_type="Contact", owners=None, ids=None, columns=("LastName",)):
    pages = list(sf.members(object_type, terms, owners=owners, ids=ids, columns=columns))
    return [record.ref.id for each in pages for record in each.records]


# --- the terms of a view --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("soql", "scope", "where"),
    [
        (f"{SELECT} USING SCOPE mine WHERE email != null {ORDER}", MINE, "email != null"),
        (f"{SELECT} USING SCOPE Mine {ORDER}", MINE, ""),
        (f"{SELECT} USING SCOPE everything", EVERYTHING, ""),
        (f"select id from contact where (a__c = 1 or b__c = 2) and not c.d LIKE 'x%'  {ORDER}", EVERYTHING,
         "(a__c = 1 or b__c = 2) and not c.d LIKE 'x%'"),
        (f"{SELECT} WHERE Name = 'it\\'s) ORDER BY LIMIT 5' {ORDER}", EVERYTHING, "Name = 'it\\'s) ORDER BY LIMIT 5'"),
        (f"{SELECT} WHERE CreatedDate = LAST_N_DAYS:14 AND Amount >= EUR500.25 {ORDER}", EVERYTHING,
         "CreatedDate = LAST_N_DAYS:14 AND Amount >= EUR500.25"),
        (f"{SELECT} WHERE At__c > 2026-11-01T10:00:00.000+0000 AND Day__c < 2026-11-01", EVERYTHING,
         "At__c > 2026-11-01T10:00:00.000+0000 AND Day__c < 2026-11-01"),
        (f"{SELECT} WHERE Id IN (SELECT ContactId FROM CampaignMember WHERE Status = 'x' LIMIT 5) {ORDER}", EVERYTHING,
         "Id IN (SELECT ContactId FROM CampaignMember WHERE Status = 'x' LIMIT 5)"),
        (f"{SELECT} WHERE Tags__c INCLUDES ('a;b','c') AND toLabel(Status__c) <> '\\u0041' AND N__c = -1.5e3", EVERYTHING,
         "Tags__c INCLUDES ('a;b','c') AND toLabel(Status__c) <> '\\u0041' AND N__c = -1.5e3"),
    ],
)  # fmt: skip
def test_a_views_own_query_tells_its_scope_and_its_condition(soql, scope, where):
    said = terms_of(soql, scope=scope)

    assert (said.scope, said.where, said.is_usable, said.object_type) == (scope, where, True, "Contact"), said.why_not
    assert view_terms.bracketed(said, "Contact") == (f"({where})" if where else "")


@pytest.mark.parametrize(
    ("soql", "more", "why"),
    [
        (f"{SELECT} USING SCOPE team {ORDER}", {"scope": "team"}, "filtered by “team”"),
        (f"{SELECT} USING SCOPE queue_owned", {"scope": "queue_owned"}, "filtered by “queue_owned”"),
        (f"{SELECT} USING SCOPE mine", {"scope": "everything"}, "two different scopes"),
        (SELECT, {"scope": "mine"}, "two different scopes"),
        (f"{SELECT} USING mine", {}, "two different scopes"),
        (f"{SELECT} USING SCOPE mine", {"scopeEntityId": "00GAA0000000001"}, "queue, a campaign"),
        (SELECT, {"relatedEntityId": "701AA0000000001"}, "queue, a campaign"),
        (f"{SELECT} WHERE a = 1 {ORDER} LIMIT 5", {}, "more than a scope"),
        (f"{SELECT} WHERE a = 1 WITH SECURITY_ENFORCED", {}, "more than a scope"),
        (f"{SELECT} WHERE a = 1 USING SCOPE mine", {}, "more than a scope"),
        (f"{SELECT} GROUP BY Name", {}, "more than a scope"),
        (f"{SELECT} WHERE {ORDER}", {}, "no query"),
        (f"{SELECT} WHERE a = 1 WHERE b = 2", {}, "no query"),
        (f"{SELECT} WHERE a = 'x", {}, "no query"),
        (f"{SELECT} WHERE a = '\\q'", {}, "no query"),
        (f"{SELECT} WHERE a = 1) OR (b = 2", {}, "no query"),
        (f"{SELECT} WHERE (a = 1", {}, "no query"),
        (f"{SELECT} WHERE a = 1; DELETE", {}, "no query"),
        (f"{SELECT} WHERE a = :x", {}, "no query"),
        ("SELECT id FROM Lead", {}, "no query"),
        ("SELECT id FROM Contact c", {}, "no query"),
        ("UPDATE Contact", {}, "no query"),
        ("", {}, "no query"),
        (None, {}, "no query"),
        (["SELECT id FROM Contact"], {}, "no query"),
    ],
)
def test_a_view_that_cannot_be_told_for_others_says_so(soql, more, why):
    said = terms_of(soql, **more)

    assert not said.is_usable and why in said.why_not and "“My …”" in said.why_not and said.where == ""
    sf, org = salesforce({})
    with pytest.raises(Rejected) as refusal:
        sf.members("Contact", said, owners=[ANN], ids=None, columns=[])
    assert refusal.value.detail == said.why_not and not org.requests


def test_the_fingerprint_changes_with_what_a_view_asks_for_and_with_nothing_else():
    one = terms_of(f"{SELECT} USING SCOPE mine WHERE email != null {ORDER}").fingerprint

    assert terms_of("SELECT id FROM Contact USING SCOPE mine WHERE  email   !=null", label="Renamed").fingerprint == one
    others = [
        terms_of(f"{SELECT} WHERE email != null"), terms_of(f"{SELECT} USING SCOPE mine"),
        terms_of(f"{SELECT} USING SCOPE mine WHERE email != 'null'"), terms_of(f"{SELECT} USING SCOPE team WHERE email != null"),
        terms_of(f"{SELECT} USING SCOPE mine WHERE phone != null"), view_terms.gone("Contact"),
    ]  # fmt: skip
    assert len({said.fingerprint for said in others} | {one}) == len(others) + 1


def test_terms_are_read_from_the_describe_and_a_view_that_is_gone_is_told():
    sf, org = salesforce({DESCRIBE: Said(200, described(f"{SELECT} USING SCOPE mine WHERE email != null {ORDER}", scope="mine"))})
    assert (sf.view_terms("Contact", VIEW[:15]).where, org.calls) == ("email != null", [DESCRIBE])

    gone, _ = salesforce({DESCRIBE: error("NOT_FOUND", status=404)})
    assert "no such list view any more" in gone.view_terms("Contact", VIEW).why_not
    with pytest.raises(Rejected):
        sf.view_terms("Contact", "no id")
    for said, kind in ((Said(200, []), OutcomeUnknown), (error("UNKNOWN_EXCEPTION", status=500), ServerTrouble)):
        with pytest.raises(kind):
            salesforce({DESCRIBE: said})[0].view_terms("Contact", VIEW)
    with pytest.raises(NeedsAttention):  # not gone: no right
        salesforce({DESCRIBE: error("INSUFFICIENT_ACCESS", status=403)})[0].view_terms("Contact", VIEW)


# --- the records in a view ----------------------------------------------------------------------------------------------------
def test_the_records_of_many_users_come_in_one_query_page_by_page():
    link = f"{ROOT}/query/01gAA0000000001YAA-2"
    first, second = page(row(1, OwnerId=ANN), row(2, OwnerId=BOB), following=link, total=3), page(row(3, OwnerId=ANN), total=3)
    sf, org = salesforce({"GET /query": first, "GET /query/01gAA0000000001YAA-2": second})

    pages = list(sf.members("Contact", terms(where="email != null"), owners=[ANN, BOB[:15], ANN], ids=None, columns=["LastName"]))

    assert [[r.ref.id for r in p.records] for p in pages] == [[id18(1), id18(2)], [id18(3)]]
    assert pages[0].records[0].fields["OwnerId"] == ANN and pages[0].position is None
    assert org.soql(0) == (
        "SELECT Id, SystemModstamp, LastModifiedDate, LastModifiedById, IsDeleted, MasterRecordId, LastName, OwnerId FROM Contact "
        f"WHERE ((OwnerId IN ('{ANN}','{BOB}'))) AND (email != null) ORDER BY Id"
    )
    assert org.calls == ["GET /query", "GET /query/01gAA0000000001YAA-2"]


def test_a_lost_place_goes_on_within_the_view():
    link = f"{ROOT}/query/01gAA0000000001YAA-1"
    gone = error("INVALID_QUERY_LOCATOR", status=404)
    sf, org = salesforce({"GET /query": [page(row(1), following=link), page(row(2))], "GET /query/01gAA0000000001YAA-1": gone})

    assert members(sf, terms(where="a = 1 OR b = 2"), owners=[ANN]) == [id18(1), id18(2)]
    expected = f" WHERE (((OwnerId IN ('{ANN}'))) AND (Id > '{id18(1)}')) AND (a = 1 OR b = 2) ORDER BY Id"
    assert org.soql(-1).endswith(expected)


def test_a_view_of_everything_is_asked_for_nobody():
    sf, org = salesforce({"GET /query": page(row(1))})

    assert members(sf, terms(EVERYTHING), owners=[ANN]) == [id18(1)] and " WHERE " not in org.soql()
    assert members(sf, terms(EVERYTHING, "a = 1"), ids=[id18(7)]) == [id18(1)]
    assert org.soql().endswith(f"WHERE ((Id IN ('{id18(7)}'))) AND (a = 1) ORDER BY Id")


def test_nobody_and_nothing_are_not_asked_for_and_own_records_need_owners():
    sf, org = salesforce({"GET /query": page(row(1))})

    assert members(sf, terms(), owners=[]) == members(sf, terms(), owners=["nobody"]) == []
    assert members(sf, terms(EVERYTHING), ids=[]) == members(sf, terms(), owners=[ANN], ids=["x"]) == [] and not org.requests
    with pytest.raises(ValueError):
        sf.members("Contact", terms(), owners=None, ids=None, columns=[])


def test_as_few_queries_as_a_statement_is_long():
    asked = []

    def answer(request):
        asked.append(org.soql(-1))
        return composite((200, rows_of()))(request)

    sf, org = salesforce({"POST /composite": answer})
    owners, ids = [id18(n, "005") for n in range(9000)], [id18(n) for n in range(4500)]

    assert members(sf, terms(where="a = 1"), owners=owners) == []
    assert len(asked) == 2 and all(len(soql) < 100_000 for soql in asked)
    assert sum(soql.count("'005") for soql in asked) == 9000 and all("AND (a = 1)" in soql for soql in asked)
    asked.clear()
    assert members(sf, terms(where=f"a = '{'x' * 20_000}'"), owners=owners[:1000], ids=ids) == []
    assert len(asked) == 3 and all(len(soql) < 100_000 and soql.count("'003") <= 2000 for soql in asked)
    assert {id_ for soql in asked for id_ in ids if id_ in soql} == set(ids)


@pytest.mark.parametrize("where", ["Id != null) OR (Id != null", "a = 'x", "a = 1 LIMIT 5", "(a = 1", "  ", "a = 1 -- x", "select", "\\"])
def test_kept_terms_that_could_end_their_brackets_are_refused(where):
    sf, org = salesforce({"GET /query": page(row(1))})
    with pytest.raises(Rejected):
        members(sf, terms(where=where), owners=[ANN])
    assert not org.requests


def test_terms_are_of_one_object_and_one_known_scope():
    sf, org = salesforce({"GET /query": page()})
    for wrong in (terms(object_type="Lead"), terms(scope="team")):
        with pytest.raises(Rejected):
            members(sf, wrong, owners=[ANN])
    assert not org.requests


PIECES = st.sampled_from(
    ["a", "=", "1", "'", "(", ")", "\\", "AND", "OR", "ORDER BY", "select", " ", "''", "'x'", ";", "LIMIT", "\n", "é", ","]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_whatever_a_condition_holds_nothing_gets_out_of_its_brackets(where):
    try:
        said = view_terms.bracketed(terms(where=where), "Contact")
    except Rejected:
        return
    depth = 0
    found = tokens(said)  # read by a reader of the tests' own
    for place, token in enumerate(found):
        depth += {"(": 1, ")": -1}.get(token, 0) if isinstance(token, str) else 0
        assert depth > 0 or place == len(found) - 1
        assert depth > 1 or not isinstance(token, str) or token.upper() not in ("ORDER", "LIMIT", "SELECT")
    assert depth == 0


# --- what a user may do -------------------------------------------------------------------------------------------------------
def rights(number, read=True, edit=True, delete=True, **more):
    return {"RecordId": id18(number), "HasReadAccess": read, "HasEditAccess": edit, "HasDeleteAccess": delete, **more}


def test_what_a_user_may_do_is_asked_in_the_only_shape_there_is():
    sf, org = salesforce({"GET /query": page(rights(1), rights(2, delete=False))})

    found = sf.may_change(ANN[:15], [id18(1), id18(2)[:15], id18(3), "no id"])

    assert found == {
        id18(1): RecordAccess(True, True, True), id18(2)[:15]: RecordAccess(True, True, False), id18(3): NO_ACCESS, "no id": NO_ACCESS,
    }  # fmt: skip
    assert org.soql() == (
        "SELECT RecordId, HasReadAccess, HasEditAccess, HasDeleteAccess FROM UserRecordAccess "
        f"WHERE UserId = '{ANN}' AND RecordId IN ('{id18(1)}','{id18(2)}','{id18(3)}')"
    )


def test_two_hundred_records_are_asked_for_at_once_over_all_pages():
    link = f"{ROOT}/query/01gAA0000000001YAA-1"
    sf, org = salesforce(
        {"GET /query": [page(rights(0), following=link), page(rights(300))], "GET /query/01gAA0000000001YAA-1": page(rights(1))}
    )

    found = sf.may_change(ANN, [id18(n) for n in range(401)])

    assert [org.soql(n).count("'003") for n in (0, 2, 3)] == [200, 200, 1] and len(org.calls) == 4
    assert {id_ for id_, access in found.items() if access.edit} == {id18(0), id18(1), id18(300)} and len(found) == 401
    assert sf.may_change(ANN, []) == {} and len(org.calls) == 4


@pytest.mark.parametrize(
    "bad", [rights(1, edit=None), rights(1, edit="true"), rights(1, RecordId="x"), {"RecordId": id18(1)}, 5, rights(2)], ids=str
)
def test_rights_that_cannot_be_read_are_not_taken_for_any(bad):
    sf, _ = salesforce({"GET /query": page(rights(2), bad)})
    with pytest.raises(OutcomeUnknown):
        sf.may_change(ANN, [id18(1), id18(2)])


def test_rights_of_nobody_and_rights_that_are_not_told():
    sf, org = salesforce({"GET /query": error("INVALID_TYPE", "sObject type 'UserRecordAccess' is not supported.")})
    for text in ("", "ann@example.test", "x' OR UserId != '"):
        with pytest.raises(Rejected):
            sf.may_change(text, [id18(1)])
    assert not org.requests
    with pytest.raises(NeedsAttention):
        sf.may_change(ANN, [id18(1)])


# --- users ----------------------------------------------------------------------------------------------------------------
def test_a_user_who_left_is_told_apart():
    left, here = row(1, "User", Email="ann@example.test", IsActive=False), row(2, "User", Email="Ann@Example.test", IsActive=True)
    sf, org = salesforce({"GET /query": page(left, here)})

    found = sf.find("User", "Email", ["ann@example.test"], ["IsActive"])

    assert {r.ref.id: r.fields["IsActive"] for r in found} == {id18(1, "005"): False, id18(2, "005"): True}
    assert org.calls == ["GET /query"] and "IsActive" in org.soql()  # no describe is needed to read it


# --- companies --------------------------------------------------------------------------------------------------------------
def account(number, name, at=SHOWN):
    return row(number, "Account", Name=name, CreatedDate=at)


def test_accounts_of_many_names_come_in_one_call_the_oldest_first():
    early = "2019-11-01T10:00:00.000+0000"
    sf, org = salesforce({"GET /query": page(account(1, "Acme"), account(2, "ACME", early), account(3, "acme"), account(4, "O'Neil & Co"))})

    found = sf.accounts_named([" Acme ", "acme", "O'Neil & Co", "Nobody", "", "  ", "x" * 256, "a\0"])

    assert {name: [r.ref.id for r in records] for name, records in found.items()} == {
        " Acme ": [id18(n, "001") for n in (2, 1, 3)], "acme": [id18(n, "001") for n in (2, 1, 3)], "O'Neil & Co": [id18(4, "001")],
        "Nobody": [], "": [], "  ": [], "x" * 256: [], "a\0": [],
    }  # fmt: skip
    assert len(org.calls) == 1 and "WHERE Name IN ('Acme','acme','O\\'Neil & Co','Nobody') ORDER BY Id" in org.soql()
    assert {"Id", "Name", "CreatedDate"} <= set(found["Nobody"] or found["acme"][0].fields)


def test_accounts_that_hold_a_name_are_asked_for_several_a_call():
    parts = [(200, rows_of(account(1, "Acme One"), account(2, "Acme Two"))), (200, rows_of())]
    sf, org = salesforce({"POST /composite": composite(*parts), "GET /query": page(account(3, "The C"))}, settings={"queries_at_once": 2})

    found = sf.accounts_containing(["Acme", "b_%'\\", "C", " ", "Acme"])

    assert {name: [r.fields["Name"] for r in records] for name, records in found.items()} == {
        "Acme": ["Acme One", "Acme Two"], "b_%'\\": [], "C": ["The C"], " ": [],
    }  # fmt: skip
    first, second = (unquote(part["url"].partition("?q=")[2]) for part in org.body(0)["compositeRequest"])
    assert first.endswith("WHERE Name LIKE '%Acme%' ORDER BY CreatedDate, Id LIMIT 2")
    assert "LIKE '%b\\_\\%\\'\\\\%' ORDER" in second and org.calls == ["POST /composite", "GET /query"]


def test_nothing_is_asked_for_blank_names():
    sf, org = salesforce({})
    assert sf.accounts_named(["", " "]) == sf.accounts_containing(["", " "]) == {"": [], " ": []}
    assert sf.accounts_named([]) == sf.accounts_containing([]) == {}
    assert sf.accounts_containing(["Acme"], most=0) == {"Acme": []} and not org.requests


def test_no_more_than_asked_for_come_back_whatever_the_pages():
    link = f"{ROOT}/query/01gAA0000000001YAA-1"
    routes = {
        "GET /query": page(account(1, "Acme 1"), following=link),
        "GET /query/01gAA0000000001YAA-1": page(account(2, "A2"), account(3, "A3")),
    }
    sf, _ = salesforce(routes)
    assert [r.ref.id for r in sf.accounts_containing(["Acme"])["Acme"]] == [id18(1, "001"), id18(2, "001")]


def test_one_search_that_fails_is_not_taken_for_one_without_results():
    failed = (400, [{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}])
    sf, _ = salesforce({"POST /composite": composite((200, rows_of(account(1, "Acme"))), failed)})
    with pytest.raises(ServerTrouble):
        sf.accounts_containing(["Acme", "Other"])


@settings(deadline=None)
@given(NASTY)
def test_a_pattern_holds_exactly_its_text(text):
    literal = query.holding(text)
    said, at, is_free = "", 1, []
    while literal[at] != "'":
        if literal[at : at + 2] in ("\\%", "\\_"):
            said, at = said + literal[at + 1], at + 2
        elif literal[at] in "%_":
            is_free.append(at)
            at += 1
        else:
            part = literal[at] if literal[at] != "\\" else literal[at : at + (6 if literal[at + 1] == "u" else 2)]
            said, at = said + read_literal(f"'{part}'")[0], at + len(part)
    assert said == text and at == len(literal) - 1 and is_free == [1, len(literal) - 2]


def test_a_date_that_cannot_be_read_comes_last():
    sf, _ = salesforce({"GET /query": page(account(1, "Acme", None), account(2, "Acme", "soon"), account(3, "Acme"))})
    assert [r.ref.id for r in sf.accounts_named(["acme"])["acme"]] == [id18(n, "001") for n in (3, 1, 2)]
    assert accounts.named(["acme"], []) == {"acme": []}
