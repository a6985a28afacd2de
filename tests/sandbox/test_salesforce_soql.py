"""Queries of the played Salesforce: what is found, what is refused and in which words, pages, and indexes that change nothing."""

from datetime import UTC, date, datetime
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sandbox.salesforce import soql_dates, soql_run
from connectors.sandbox.salesforce.soql_parser import parse
from tests.sandbox.force import VERSION, Salesforce, refusal, refused


@pytest.fixture
def people(force):
    """Five contacts of two accounts, and one lead."""
    acme, other = force.create("Account", Name="Acme", Industry="Energy"), force.create("Account", Name="O'Brien \\ Sons 100%")
    force.ids = {"acme": acme, "other": other}
    for n, (last, values) in enumerate(
        (
            ("Okafor", {"FirstName": "Ada", "Email": "ada@acme.example", "AccountId": acme, "DoNotCall": True}),
            ("Becker", {"Email": "TOM@acme.example", "AccountId": acme, "Birthdate": "1990-02-03"}),
            ("Nair", {"Title": "CTO_1", "AccountId": other, "Birthdate": "1985-12-31"}),
            ("Khan", {"Title": "100% owner"}),
            ("khan", {"Title": "CTOx1", "Description": "long"}),
        )
    ):
        force.clock.forward(60)
        force.ids[n] = force.create("Contact", LastName=last, **values)
    force.ids["lead"] = force.create("Lead", LastName="Diaz", Company="Acme", AnnualRevenue=1000.5, Email="ada@acme.example")
    return force


# --- what is found ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("LastName = 'KHAN'", ["Khan", "khan"]),
        ("LastName != 'khan'", ["Okafor", "Becker", "Nair"]),
        ("Email = 'tom@ACME.example'", ["Becker"]),
        ("Email = null", ["Nair", "Khan", "khan"]),
        ("Email = ''", ["Nair", "Khan", "khan"]),
        ("Email != null", ["Okafor", "Becker"]),
        ("Email != 'ada@acme.example'", ["Becker", "Nair", "Khan", "khan"]),
        ("DoNotCall = true", ["Okafor"]),
        ("DoNotCall = null", ["Becker", "Nair", "Khan", "khan"]),
        ("LastName LIKE 'k%'", ["Khan", "khan"]),
        ("Title LIKE 'CTO_1'", ["Nair", "khan"]),
        ("Title LIKE 'CTO\\_1'", ["Nair"]),
        ("Title LIKE '100\\%%'", ["Khan"]),
        ("NOT Title LIKE 'CTO%'", ["Okafor", "Becker", "Khan"]),
        ("LastName IN ('Nair', 'OKAFOR')", ["Okafor", "Nair"]),
        ("LastName NOT IN ('Nair', 'OKAFOR')", ["Becker", "Khan", "khan"]),
        ("Email IN ('x@y.example', null)", ["Nair", "Khan", "khan"]),
        ("LastName > 'Khan'", ["Okafor", "Nair"]),
        ("LastName <= 'BECKER'", ["Becker"]),
        ("Birthdate > 1985-12-31", ["Becker"]),
        ("Birthdate <= 1985-12-31", ["Nair"]),
        ("Birthdate < LAST_N_DAYS:14", ["Becker", "Nair"]),
        ("CreatedDate = TODAY", ["Okafor", "Becker", "Nair", "Khan", "khan"]),
        ("CreatedDate = YESTERDAY", []),
        ("CreatedDate >= 2026-11-01T11:04:00.000+01:00", ["Khan", "khan"]),
        ("SystemModstamp > 2026-11-01T10:03:59.5Z AND SystemModstamp < 2026-11-01T10:05:00Z", ["Khan"]),
        ("Account.Name = 'acme'", ["Okafor", "Becker"]),
        ("Account.Name = null", ["Khan", "khan"]),
        ("Account.Name = 'O\\'Brien \\\\ Sons 100%'", ["Nair"]),
        ("Account.Owner.Name LIKE '%Service'", ["Okafor", "Becker", "Nair"]),
        ("Owner.IsActive = true", ["Okafor", "Becker", "Nair", "Khan", "khan"]),
        ("(Title = null OR LastName = 'Khan') AND Email = null", ["Khan", "khan"]),
        ("Title = null OR (LastName = 'Khan' AND Email = null)", ["Okafor", "Becker", "Khan", "khan"]),
        ("NOT (Title = null OR LastName = 'Khan')", ["Nair"]),
        ("AccountId IN (SELECT Id FROM Account WHERE Industry = 'Energy')", ["Okafor", "Becker"]),
        ("AccountId NOT IN (SELECT Id FROM Account WHERE Industry = 'Energy')", ["Nair", "Khan", "khan"]),
        ("Id IN (SELECT WhoId FROM Task)", []),
        ("lastname='nair'AND(email=null)", ["Nair"]),
        ("LastName = '\\u004eair'", ["Nair"]),
    ],
)
def test_conditions(people, condition, found):
    assert people.names(condition) == found


def test_ids_are_compared_by_case_and_order(people):
    first, last = people.ids[0], people.ids[4]
    assert people.names(f"Id > '{first}' AND Id < '{last[:15]}'") == ["Becker", "Nair", "Khan"]
    assert people.names(f"Id IN ('{first}', '{last[:15]}', '001AA0000000001')") == ["Okafor", "khan"]


def test_numbers_and_booleans_of_leads(people):
    def find(condition):
        return people.names(condition, "Lead")

    assert find("AnnualRevenue > 1000 AND AnnualRevenue <= 1000.5 AND IsConverted = false") == ["Diaz"]
    assert find("AnnualRevenue = -5") == find("NumberOfEmployees > 0") == []


def test_rows_show_parents_blanks_and_canonical_names(people):
    (row, *_) = people.query("select id, LASTNAME, Account.name, account.Owner.Name, MailingAddress from contact order by Id limit 1")

    assert list(row) == ["attributes", "Id", "LastName", "Account", "MailingAddress"]
    assert row["attributes"] == {"type": "Contact", "url": f"{VERSION}/sobjects/Contact/{people.ids[0]}"}
    assert row["Account"]["attributes"] == {"type": "Account", "url": f"{VERSION}/sobjects/Account/{people.ids['acme']}"}
    assert (row["Account"]["Name"], row["Account"]["Owner"]["Name"], row["MailingAddress"]) == ("Acme", "Sync Service", None)
    (last,) = people.query("SELECT Account.Name, Title FROM Contact WHERE LastName = 'Khan' AND Title LIKE '1%'")
    assert (last["Account"], last["Title"]) == (None, "100% owner")


def test_lookups_to_several_objects(people):
    people.create("Task", Subject="A", WhoId=people.ids[0])
    people.create("Task", Subject="B", WhoId=people.ids["lead"])

    rows = people.query("SELECT Subject, Who.Name, Who.Type, What.Name FROM Task WHERE Who.Type = 'Lead'")

    (row,) = rows
    assert (row["Subject"], row["What"]) == ("B", None)
    assert row["Who"]["attributes"] == {"type": "Name", "url": f"{VERSION}/sobjects/Lead/{people.ids['lead']}"}
    assert (row["Who"]["Name"], row["Who"]["Type"]) == ("Diaz", "Lead")


def test_count(people):
    body = people.page("SELECT COUNT() FROM Contact WHERE Email = null").json()
    assert body == {"totalSize": 3, "done": True, "records": []}


def test_scope_mine_is_what_the_user_owns(people):
    tom = next(u for u in people.system.list_records("User") if u["FirstName"] == "Tom")
    people.change("Contact", people.ids[0], OwnerId=tom["Id"])

    found = people.query("SELECT LastName FROM Contact USING SCOPE mine WHERE Email != null")

    assert [row["LastName"] for row in found] == ["Becker"]
    assert len(people.query("SELECT LastName FROM Contact USING SCOPE everything")) == 5


@pytest.mark.parametrize(
    ("order", "titles"),
    [
        ("Title", [None, None, "100% owner", "CTO_1", "CTOx1"]),
        ("Title DESC", [None, None, "CTOx1", "CTO_1", "100% owner"]),
        ("Title ASC NULLS LAST", ["100% owner", "CTO_1", "CTOx1", None, None]),
        ("Title DESC NULLS LAST, Id", ["CTOx1", "CTO_1", "100% owner", None, None]),
        ("Account.Name NULLS LAST, Title DESC", [None, None, "CTO_1", "CTOx1", "100% owner"]),
    ],
)
def test_order(people, order, titles):
    assert [row["Title"] for row in people.query(f"SELECT Title FROM Contact ORDER BY {order}")] == titles


def test_several_keys_in_several_directions(people):
    rows = people.query("SELECT LastName, Id FROM Contact ORDER BY LastName DESC, Id DESC LIMIT 3 OFFSET 1")
    assert [row["Id"] for row in rows] == [people.ids[2], people.ids[4], people.ids[3]]


def test_all_standard_and_custom_fields(people):
    (row,) = people.query("SELECT FIELDS(ALL) FROM Lead LIMIT 200")
    described = [f["name"] for f in people.get("/sobjects/Lead/describe").json()["fields"]]

    assert list(row) == ["attributes", *described]
    assert list(people.query("SELECT FIELDS(CUSTOM), Id FROM Lead LIMIT 1")[0]) == [
        "attributes", *(n for n in described if n.endswith("__c")), "Id",
    ]  # fmt: skip
    assert "Sync_Key__c" not in people.query("SELECT FIELDS(STANDARD) FROM Lead")[0]


def test_days_are_those_of_the_users_zone(force):
    force.clock.at = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)  # 23:30 in London
    force.create("Contact", LastName="Early")
    force.clock.forward(3600)  # the next day there, not yet in UTC
    force.create("Contact", LastName="Late")

    assert force.names("CreatedDate = TODAY") == ["Late"]
    assert force.names("CreatedDate = YESTERDAY") == ["Early"]
    assert force.names("CreatedDate > YESTERDAY") == ["Late"]


@pytest.mark.parametrize(
    ("literal", "first", "behind"),
    [
        ("TODAY", "2026-11-25", "2026-11-26"), ("YESTERDAY", "2026-11-24", "2026-11-25"), ("TOMORROW", "2026-11-26", "2026-11-27"),
        ("LAST_N_DAYS:14", "2026-11-11", "2026-11-26"), ("LAST_N_DAYS:0", "2026-11-25", "2026-11-26"),
        ("NEXT_N_DAYS:2", "2026-11-26", "2026-11-28"), ("N_DAYS_AGO:3", "2026-11-22", "2026-11-23"),
        ("LAST_90_DAYS", "2026-08-27", "2026-11-26"), ("THIS_WEEK", "2026-11-23", "2026-11-30"),
        ("LAST_MONTH", "2026-10-01", "2026-11-01"), ("NEXT_MONTH", "2026-12-01", "2027-01-01"),
        ("THIS_QUARTER", "2026-10-01", "2027-01-01"), ("LAST_QUARTER", "2026-07-01", "2026-10-01"),
        ("LAST_YEAR", "2025-01-01", "2026-01-01"),
    ],
)  # fmt: skip
def test_what_literals_mean(literal, first, behind):
    assert [d.isoformat() for d in soql_dates.days_of(literal, date(2026, 11, 25))] == [first, behind]


# --- what is refused ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("statement", "column", "sentence"),
    [
        ("SELECT FROM Contact", 8, "unexpected token: 'FROM'"),
        ("SELECT Id FROM", 15, "unexpected token: '<EOF>'"),
        ("", 1, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE LastName = 'a' AND Email = 'b' OR Id = null", 61, "unexpected token: 'OR'"),
        ("SELECT Id FROM Contact WHERE LastName = 'a' OR Email = 'b' AND Id = null", 60, "unexpected token: 'AND'"),
        ("SELECT Id FROM Contact WHERE LastName = 'O'Brien'", 49, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE LastName = \"a\"", 41, "unexpected token: '\"'"),
        ("SELECT Id FROM Contact GROUP BY Id", 24, "unexpected token: 'GROUP'"),
        ("SELECT COUNT(Id) FROM Contact", 13, "unexpected token: '('"),
        ("SELECT COUNT() FROM Contact ORDER BY Id", 29, "unexpected token: 'ORDER'"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", 12, "unexpected token: '('"),
        ("SELECT toLabel(Status) FROM Lead", 15, "unexpected token: '('"),
        ("SELECT Id FROM Contact c", 24, "unexpected token: 'c'"),
        ("SELECT Id FROM Contact ALL ROWS", 24, "unexpected token: 'ALL'"),
        ("SELECT Id FROM Contact FOR UPDATE", 24, "unexpected token: 'FOR'"),
        ("SELECT Id FROM Contact LIMIT -1", 30, "unexpected token: '-1'"),
        ("SELECT Id FROM Contact LIMIT 5 ORDER BY Id", 32, "unexpected token: 'ORDER'"),
        ("SELECT Id FROM Contact WHERE Email IS NULL", 36, "unexpected token: 'IS'"),
        ("SELECT Id FROM Contact WHERE Email <> null", 37, "unexpected token: '>'"),
        ("SELECT Id FROM Contact WHERE Email == null", 37, "unexpected token: '='"),
        ("SELECT Id FROM Contact WHERE NOT NOT Email = null", 34, "unexpected token: 'NOT'"),
        ("SELECT Id FROM Contact WHERE Email IN ()", 40, "unexpected token: ')'"),
        ("SELECT Id FROM Contact WHERE Interests__c INCLUDES ('Pumps')", 43, "unexpected token: 'INCLUDES'"),
        ("SELECT Id FROM Contact WHERE CreatedDate = NEXT_FORTNIGHT", 44, "unexpected token: 'NEXT_FORTNIGHT'"),
        ("SELECT Id FROM Contact USING SCOPE delegated", 36, "unexpected token: 'delegated'"),
        ("SELECT Id FROM Contact;", 23, "unexpected token: ';'"),
        ("SELECT Id FROM Contact WHERE LastName = 'a\\q'", 41,
         "Invalid string literal 'a\\q'. Illegal character sequence '\\q' in string literal."),
        ("SELECT Id FROM Contact WHERE LastName = 'a\\_'", 41,
         "Invalid string literal 'a\\_'. Illegal character sequence '\\_' in string literal."),
        ("SELECT FIELDS(ALL) FROM Contact", 8, "The SOQL FIELDS function must have a LIMIT of at most 200"),
        ("SELECT FIELDS(CUSTOM) FROM Contact LIMIT 201", 8, "The SOQL FIELDS function must have a LIMIT of at most 200"),
    ],
)  # fmt: skip
def test_what_is_malformed_and_where(force, statement, column, sentence):
    status, code, message, _ = refused(force.page(statement))

    _, line, caret, place, told = message.split("\n")
    assert (status, code, told, place) == (400, "MALFORMED_QUERY", sentence, f"ERROR at Row:1:Column:{column}")
    assert line[caret.index("^") :] == statement[column - 1 :][: len(line) - caret.index("^")]


def test_rows_and_columns_of_several_lines(force):
    message = refused(force.page("SELECT Id\nFROM Contact\nWHERE Foo = 1"))[2]
    assert message.startswith("\nWHERE Foo = 1\n      ^\nERROR at Row:3:Column:7\nNo such column 'Foo' on entity 'Contact'.")


@pytest.mark.parametrize(
    ("statement", "code", "begins"),
    [
        (
            "SELECT Id, Foo FROM Contact",
            "INVALID_FIELD",
            "No such column 'Foo' on entity 'Contact'. If you are attempting to use a custom field",
        ),
        ("SELECT Id FROM Contact ORDER BY Foo", "INVALID_FIELD", "No such column 'Foo'"),
        ("SELECT Account FROM Contact", "INVALID_FIELD", "No such column 'Account'"),
        ("SELECT Account.Foo FROM Contact", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
        ("SELECT Company.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Company' in field path."),
        ("SELECT AccountId.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'AccountId' in field path."),
        ("SELECT Id, id FROM Contact", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id FROM Kontakt", "INVALID_TYPE", "sObject type 'Kontakt' is not supported."),
        ("SELECT Id FROM Contact WHERE Description = 'a'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
        ("SELECT Id FROM Contact ORDER BY Description", "INVALID_FIELD", "field 'Description' can not be sorted in a query call"),
        ("SELECT Id FROM Contact WHERE Id LIKE '003%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on Id field"),
        ("SELECT Id FROM Contact WHERE DoNotCall > false", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Contact WHERE AccountId = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("SELECT Id FROM Contact WHERE Id IN ('003AA00000000012AA')", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field:"),
        (
            "SELECT Id FROM Contact WHERE LastName = 5",
            "INVALID_FIELD",
            "value of filter criterion for field 'LastName' must be of type string",
        ),
        ("SELECT Id FROM Contact WHERE DoNotCall = 'true'", "INVALID_FIELD", "value of filter criterion for field 'DoNotCall'"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-11-01", "INVALID_FIELD", "value of filter criterion for field 'CreatedDate'"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2026-11-01T00:00:00Z'", "INVALID_FIELD", "value of filter criterion"),
        ("SELECT Id FROM Contact WHERE Birthdate = 1699-12-31", "INVALID_FIELD", "value of filter criterion"),
        ("SELECT Id FROM Contact WHERE LastName = TODAY", "INVALID_FIELD", "value of filter criterion"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT Id FROM Contact WHERE LastName IN (SELECT Id FROM Account)", "MALFORMED_QUERY", "The inner and outer selects"),
        ("SELECT Id FROM Contact WHERE AccountId IN (SELECT Name FROM Account)", "MALFORMED_QUERY", "The inner and outer selects"),
    ],
)
def test_what_does_not_fit_the_schema(force, statement, code, begins):
    status, told_code, message, _ = refused(force.page(statement))
    assert (status, told_code) == (400, code)
    assert message.rsplit("\n", 1)[1].startswith(begins)


def test_joins_are_two_at_most_and_do_not_nest(force):
    join = "AccountId IN (SELECT Id FROM Account)"
    assert force.page(f"SELECT Id FROM Contact WHERE {join} AND {join}").status_code == 200
    assert refusal(force.page(f"SELECT Id FROM Contact WHERE {join} AND {join} AND {join}")) == (400, "MALFORMED_QUERY")
    nested = "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account WHERE ParentId IN (SELECT Id FROM Account))"
    assert refusal(force.page(nested)) == (400, "MALFORMED_QUERY")


def test_longest_texts_and_deepest_conditions(force):
    url = f"{VERSION}/composite"

    def ask(statement):
        body = {"compositeRequest": [{"method": "GET", "url": f"{VERSION}/query?q={quote(statement)}", "referenceId": "q"}]}
        answer = force.call("POST", url, json=body).json()["compositeResponse"][0]
        return answer["httpStatusCode"], answer["body"] if answer["httpStatusCode"] == 200 else answer["body"][0]["errorCode"]

    assert ask(f"SELECT Id FROM Contact WHERE LastName = '{'x' * 4000}'")[0] == 200
    assert ask(f"SELECT Id FROM Contact WHERE LastName = '{'x' * 4001}'") == (400, "MALFORMED_QUERY")
    assert ask(f"SELECT Id FROM Contact WHERE LastName IN ({','.join(['1'] * 60_000)})") == (400, "MALFORMED_QUERY")
    assert ask(f"SELECT Id FROM Contact WHERE {'(' * 5000}Id = null{')' * 5000}") == (400, "MALFORMED_QUERY")


def test_hidden_fields_and_objects_are_not_there(force):
    force.create("Contact", LastName="A", Title="CTO")
    force.switch(hidden_fields=["Contact.Title", "Contact.AccountId"], hidden_objects=["Lead"])

    for statement in ("SELECT Title FROM Contact", "SELECT Id FROM Contact WHERE Title = null", "SELECT Account.Name FROM Contact"):
        assert refusal(force.page(statement)) == (400, "INVALID_FIELD")
    assert refusal(force.page("SELECT Id FROM Lead")) == (400, "INVALID_TYPE")
    assert refusal(force.get("/sobjects/Lead/describe")) == (404, "NOT_FOUND")
    assert "Title" not in force.query("SELECT FIELDS(ALL) FROM Contact LIMIT 1")[0]
    assert "Title" not in {f["name"] for f in force.get("/sobjects/Contact/describe").json()["fields"]}


# --- pages --------------------------------------------------------------------------------------------------------------
def test_pages_follow_until_done(force):
    made = [force.create("Contact", LastName=f"C{n}") for n in range(12)]

    first = force.page("SELECT Id FROM Contact ORDER BY Id").json()

    assert (first["totalSize"], first["done"], len(first["records"])) == (12, False, 5)
    assert first["nextRecordsUrl"].startswith(f"{VERSION}/query/01g") and first["nextRecordsUrl"].endswith("-5")
    assert [row["Id"] for row in force.query("SELECT Id FROM Contact ORDER BY Id")] == made
    last = force.call("GET", first["nextRecordsUrl"].replace("-5", "-10")).json()
    assert last["done"] and "nextRecordsUrl" not in last and len(last["records"]) == 2


def test_rows_that_change_between_pages(force):
    made = [force.create("Contact", LastName=f"C{n}") for n in range(8)]
    first = force.page("SELECT Id, LastName FROM Contact WHERE LastName LIKE 'C%' ORDER BY Id").json()
    force.change("Contact", made[6], LastName="Changed")
    force.call("DELETE", f"/sobjects/Contact/{made[7]}")

    second = force.call("GET", first["nextRecordsUrl"], params={"q": "ignored"}).json()

    assert [(row["Id"], row["LastName"]) for row in second["records"]] == [(made[5], "C5"), (made[6], "Changed")]
    assert (second["totalSize"], second["done"]) == (8, True)


def test_a_locator_expires(force):
    for n in range(6):
        force.create("Contact", LastName=f"C{n}")
    url = force.page("SELECT Id FROM Contact").json()["nextRecordsUrl"]
    force.clock.forward(2 * 86400 - 1)
    assert force.call("GET", url).status_code == 200
    assert force.call("GET", url).status_code == 200  # a page may be read again
    force.clock.forward(2)
    assert refusal(force.call("GET", url)) == (404, "INVALID_QUERY_LOCATOR")


@pytest.mark.parametrize("locator", ["x", "01gAA0000000001YAA-5", "01gAA0000000009-5", "-5", "01gAA00000000012AA-99999999999"])
def test_locators_that_are_none(force, locator):
    assert refusal(force.get(f"/query/{locator}")) == (404, "INVALID_QUERY_LOCATOR")


def test_the_batch_size_is_a_hint_within_bounds(force):
    force.switch(page_size=2000)
    for n in range(250):
        force.system.create_record("Contact", {"LastName": f"C{n}"})

    def size(**headers):
        return len(force.page("SELECT Id FROM Contact", **headers).json()["records"])

    assert size() == size(sforce_query_options="batchSize=2000") == 250
    assert size(sforce_query_options="batchSize=5") == size(sforce_query_options="batchSize=200") == 200
    assert force.page("SELECT Id FROM Contact", sforce_query_options="batchSize=many").status_code == 400


def test_parameters_that_are_not_played_are_not_passed_over(force):
    for params in ({"columns": "true", "q": "SELECT Id FROM Contact"}, {"explain": "SELECT Id FROM Contact"}, {}):
        assert force.get("/query", **params).status_code == 400


# --- laws ---------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def crowd():
    """Sixty contacts, a third of them deleted or without values."""
    with requests.Session() as session:
        force = Salesforce(session)
        accounts = [force.system.create_record("Account", {"Name": name})["Id"] for name in ("Acme", "acme", "Other")]
        for n in range(60):
            values = {"LastName": f"N{n % 7}", "Email": f"e{n % 5}@x.example" if n % 3 else None, "DoNotCall": n % 2 == 0}
            if n % 4:
                values["AccountId"] = accounts[n % 3]
            made = force.system.create_record("Contact", {**values, "SystemModstamp": f"2026-10-{n % 28 + 1:02d}T00:00:00Z"})
            if n % 9 == 0:
                force.system.delete_record("Contact", made["Id"])
        yield force, accounts


def conditions(accounts):
    texts = st.sampled_from(["N1", "n3", "N9", ""])
    mails = st.sampled_from(["e1@x.example", "E2@X.example", "no@x.example"])
    leaf = st.one_of(
        st.builds("LastName = '{}'".format, texts),
        st.builds("Email {} '{}'".format, st.sampled_from(["=", "!=", "LIKE"]), mails),
        st.builds("Email {} ('{}', '{}')".format, st.sampled_from(["IN", "NOT IN"]), mails, mails),
        st.builds("AccountId {} '{}'".format, st.sampled_from(["=", "!="]), st.sampled_from(accounts)),
        st.just("Account.Name = 'ACME'"),
        st.just("AccountId IN (SELECT Id FROM Account WHERE Name = 'acme')"),
        st.builds("DoNotCall = {}".format, st.sampled_from(["true", "false", "null"])),
        st.builds("SystemModstamp {} 2026-10-{:02d}T00:00:00Z".format, st.sampled_from(["=", ">", ">=", "<", "!="]), st.integers(1, 28)),
    )

    def joined(parts):
        pair = st.builds("({} {} {})".format, parts, st.sampled_from(["AND", "OR"]), parts)
        return st.one_of(pair, st.builds("NOT ({})".format, parts))

    return st.recursive(leaf, joined, max_leaves=6).filter(lambda text: text.count("SELECT") <= 2)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_indexes_change_nothing_of_what_is_found(crowd, data):
    force, accounts = crowd
    statement = f"SELECT Id FROM Contact WHERE {data.draw(conditions(accounts))} ORDER BY SystemModstamp, Id"
    sees_deleted = data.draw(st.booleans())
    query, user = parse(statement), force.given["user_id"]

    found = soql_run.select(force.system.records, query, user=user, sees_deleted=sees_deleted).ids

    test = soql_run.compiled(force.system.records, force.system.records.schema.objects["Contact"], statement, query.where, user)
    rows = [r for r in force.system.records.tables["Contact"].rows.values() if sees_deleted or not r.get("IsDeleted")]
    assert found == [r["Id"] for r in sorted(rows, key=lambda r: (r["SystemModstamp"], r["Id"])) if test(r)]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("SELECTFROMWhere idContact'\\\n,()=<>!.:%0123\u00e9\0"), max_size=60))
def test_no_text_breaks_the_parser(crowd, text):
    answer = crowd[0].page(f"SELECT Id FROM Contact WHERE {text}")
    assert answer.status_code in (200, 400), answer.text


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=40).filter(lambda t: t.strip() == t and "\0" not in t and t.isprintable()))
def test_a_value_that_is_quoted_is_found_and_nothing_else_is(crowd, text):
    force, _ = crowd
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    pattern = quoted.replace("%", "\\%").replace("_", "\\_")
    id_ = force.system.create_record("Lead", {"LastName": text, "Company": "C"})["Id"]

    for condition in (f"LastName = '{quoted}'", f"LastName LIKE '{pattern}'"):
        assert force.query(f"SELECT Id FROM Lead WHERE {condition}")[0]["Id"] == id_
    force.system.delete_record("Lead", id_)
