"""The played Salesforce, one record at a time: ids, describes, create, read, change, delete, upsert, conditions, limits."""

import gzip
import json
from email.utils import format_datetime

import pytest

from connectors.sandbox.salesforce import ids
from tests.sandbox.force import VERSION, refusal, refused


# --- ids ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("short", "check"), [("0035500001H9cak", "AAB"), ("001D000000JliST", "IAZ"), ("00BAA0000000001", "2AA"), ("003AA0000012345", "YAA")]
)
def test_ids_carry_their_case_in_three_more_characters(short, check):
    assert ids.with_check(short) == short + check
    assert ids.read(short) == ids.read(short + check) == short + check
    assert ids.read(short + "AAA") is None or check == "AAA"


@pytest.mark.parametrize("text", ["", "003", "003AA00000123456", "003AA000001234!", "003AA000001234é", None, 5])
def test_what_is_no_id(text):
    assert ids.read(text) is None


def test_ids_sort_as_they_were_made():
    made = [ids.make("003", n) for n in (1, 9, 10, 35, 36, 61, 62, 3843, 3844, 10**9)]
    assert made == sorted(made) and [ids.number_of(i) for i in made] == [1, 9, 10, 35, 36, 61, 62, 3843, 3844, 10**9]


def test_fifteen_characters_are_accepted_and_eighteen_returned(force):
    account = force.create("Account", Name="Acme")
    contact = force.create("Contact", LastName="Okafor", AccountId=account[:15])

    assert len(contact) == 18
    assert force.row("Contact", contact[:15])["AccountId"] == account
    assert force.names(f"AccountId = '{account[:15]}'") == ["Okafor"]


# --- versions, root, describes ------------------------------------------------------------------------------------------
def test_versions_need_no_token_and_do_not_count(force):
    answer = force.raw("GET", "/services/data")

    versions = answer.json()
    assert [v["version"] for v in versions] == [f"{n}.0" for n in range(59, 69)]
    assert versions[-2] == {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}
    assert "Sforce-Limit-Info" not in answer.headers


@pytest.mark.parametrize("version", ["v59.0", "v66.0", "v68.0"])
def test_all_versions_answer_alike(force, version):
    assert force.get(f"/services/data/{version}/sobjects").json()["sobjects"][0]["name"] == "Account"


@pytest.mark.parametrize(
    "path", ["/services/data/v58.0/sobjects", "/services/data/v67/limits", f"{VERSION}/nothing", "/nothing", f"{VERSION}/search"]
)
def test_unknown_addresses(force, path):
    assert refused(force.call("GET", path) if path != "/nothing" else force.raw("GET", path))[:3] == (
        404,
        "NOT_FOUND",
        "The requested resource does not exist",
    )


def test_the_root_names_what_there_is(force):
    root = force.get("/").json()

    assert root["sobjects"] == f"{VERSION}/sobjects"
    assert root["identity"] == f"{force.base}/id/{force.given['organization_id']}/{force.given['user_id']}"
    for name in ("sobjects", "limits"):
        assert force.get(root[name]).status_code == 200


def test_the_describe_says_types_lengths_and_rights(force):
    fields = {f["name"]: f for f in force.get("/sobjects/Contact/describe").json()["fields"]}

    assert (fields["Email"]["type"], fields["Email"]["length"], fields["Email"]["byteLength"]) == ("email", 80, 240)
    assert fields["Email"]["idLookup"] and not fields["Email"]["unique"] and not fields["Email"]["externalId"]
    key = fields["Sync_Key__c"]
    assert (key["externalId"], key["unique"], key["custom"], key["caseSensitive"]) == (True, True, True, False)
    required = [n for n, f in fields.items() if f["createable"] and not f["nillable"] and not f["defaultedOnCreate"]]
    assert required == ["LastName"]
    assert not fields["Name"]["createable"] and not fields["Description"]["filterable"]
    assert (fields["MailingAddress"]["type"], fields["MailingAddress"]["updateable"]) == ("address", False)
    assert [v["value"] for v in fields["Tier__c"]["picklistValues"]] == ["Gold", "Silver", "Bronze"]
    assert (fields["AccountId"]["referenceTo"], fields["AccountId"]["relationshipName"], fields["AccountId"]["length"]) == (
        ["Account"],
        "Account",
        18,
    )


def test_the_describe_of_a_lookup_to_several_objects(force):
    who = {f["name"]: f for f in force.get("/sobjects/Event/describe").json()["fields"]}["WhoId"]

    told = (who["label"], who["namePointing"], who["polymorphicForeignKey"], who["referenceTo"], who["relationshipName"])
    assert told == ("Name ID", True, True, ["Contact", "Lead"], "Who")


@pytest.mark.parametrize(
    ("object_name", "required"),
    [("Account", ["Name"]), ("Lead", ["LastName", "Company"]), ("Opportunity", ["Name", "StageName", "CloseDate"]), ("Task", [])],
)
def test_what_is_required_on_create(force, object_name, required):
    fields = force.get(f"/sobjects/{object_name}/describe").json()["fields"]
    assert [f["name"] for f in fields if f["createable"] and not f["nillable"] and not f["defaultedOnCreate"]] == required


def test_the_global_describe_has_no_prefix_for_events(force):
    listed = {o["name"]: o for o in force.get("/sobjects").json()["sobjects"]}

    assert listed["Event"]["keyPrefix"] is None and listed["Lead"]["keyPrefix"] == "00Q"
    assert force.get("/sobjects/Event/describe").json()["keyPrefix"] == "00U"
    assert force.get(listed["Lead"]["urls"]["describe"]).json()["name"] == "Lead"
    assert not listed["User"]["createable"] and listed["Lead"]["mergeable"] and not listed["Opportunity"]["mergeable"]


def test_child_relations(force):
    children = force.get("/sobjects/Account/describe").json()["childRelationships"]
    (contacts,) = [c for c in children if (c["childSObject"], c["field"]) == ("Contact", "AccountId")]
    assert (contacts["relationshipName"], contacts["cascadeDelete"]) == ("Contacts", True)


def test_describes_are_not_sent_twice(force):
    first = force.get("/sobjects/Contact/describe")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert force.call("GET", "/sobjects/Contact/describe", headers=since).status_code == 304

    force.clock.forward(5)
    force.switch(hidden_fields=["Contact.Title"])

    assert force.call("GET", "/sobjects/Contact/describe", headers=since).status_code == 200


# --- create and read ----------------------------------------------------------------------------------------------------
def test_a_create_answers_201_and_a_read_says_what_is_stored(force):
    answer = force.call(
        "POST", "/sobjects/Contact", json={"FirstName": " Ada ", "LastName": "Okafor", "Title": "", "Birthdate": "1990-02-03"}
    )
    made = answer.json()
    row = force.row("Contact", made["id"])

    assert (answer.status_code, made["success"], made["errors"]) == (201, True, [])
    assert answer.headers["Location"] == f"{VERSION}/sobjects/Contact/{made['id']}"
    assert row["attributes"] == {"type": "Contact", "url": answer.headers["Location"]}
    assert (row["FirstName"], row["Name"], row["Title"], row["Email"], row["Birthdate"]) == ("Ada", "Ada Okafor", None, None, "1990-02-03")
    assert (row["OwnerId"], row["CreatedById"], row["DoNotCall"]) == (force.given["user_id"], force.given["user_id"], False)
    assert row["CreatedDate"] == row["SystemModstamp"] == row["LastModifiedDate"] == "2026-11-01T10:00:00.000+0000"


def test_only_the_fields_asked_for(force):
    id_ = force.create("Contact", LastName="Okafor", MailingCity="York", MailingCountry="UK")

    row = force.get(f"/sobjects/Contact/{id_}", fields="Id,MailingAddress").json()

    assert list(row) == ["attributes", "Id", "MailingAddress"]
    assert (row["MailingAddress"]["city"], row["MailingAddress"]["country"], row["MailingAddress"]["street"]) == ("York", "UK", None)
    assert refusal(force.get(f"/sobjects/Contact/{id_}", fields="Id,Foo")) == (400, "INVALID_FIELD")


def test_instants_are_taken_in_three_spellings_and_kept_to_the_second(force):
    for given in ("2026-11-01T12:30:15Z", "2026-11-01T13:30:15.999+01:00", "2026-11-01T12:30:15.000+0000"):
        id_ = force.create("Contact", LastName="Okafor", EmailBouncedDate=given)
        assert force.row("Contact", id_)["EmailBouncedDate"] == "2026-11-01T12:30:15.000+0000"


@pytest.mark.parametrize(
    ("values", "code", "message", "fields"),
    [
        ({"FirstName": "Ada"}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"]),
        ({"LastName": "  "}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"]),
        ({"LastName": "x" * 81}, "STRING_TOO_LONG", f"Last Name: data value too large: {'x' * 81} (max length=80)", ["LastName"]),
        ({"LastName": "A", "Foo": 1}, "INVALID_FIELD", "No such column 'Foo' on sobject of type Contact", None),
        ({"LastName": "A", "Email": "x"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: x", ["Email"]),
        ({"LastName": "A", "Tier__c": "Tin"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
         "Tier__c: bad value for restricted picklist field: Tin", ["Tier__c"]),
        ({"LastName": "A", "Interests__c": "Pumps;Tin"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
         "Interests__c: bad value for restricted picklist field: Tin", ["Interests__c"]),
        ({"LastName": "A", "DoNotCall": "yes"}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "Do Not Call: value not of required type: yes",
         ["DoNotCall"]),
        ({"LastName": 5}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "Last Name: value not of required type: 5", ["LastName"]),
        ({"LastName": "A", "Birthdate": "3.2.1990"}, "INVALID_TYPE_ON_FIELD_IN_RECORD",
         "Birthdate: value not of required type: 3.2.1990", ["Birthdate"]),
        ({"LastName": "A", "AccountId": "Acme"}, "MALFORMED_ID", "Account ID: id value of incorrect type: Acme", ["AccountId"]),
        ({"LastName": "A", "AccountId": "001AA00000000992AA"}, "MALFORMED_ID", None, ["AccountId"]),
        ({"LastName": "A", "AccountId": "001AA0000000099"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ["AccountId"]),
        ({"LastName": "A", "AccountId": "003AA0000000099"}, "FIELD_INTEGRITY_EXCEPTION",
         "Account ID: id value of incorrect type: 003AA0000000099", ["AccountId"]),
    ],
)  # fmt: skip
def test_what_a_create_refuses(force, values, code, message, fields):
    answer = force.call("POST", "/sobjects/Contact", json=values)

    status, told_code, told, told_fields = refused(answer)
    assert (status, told_code, told_fields) == (400, code, fields)
    assert message is None or told == message
    assert force.query("SELECT Id FROM Contact") == []


@pytest.mark.parametrize("name", ["Name", "IsDeleted", "CreatedDate", "SystemModstamp", "MailingAddress", "MasterRecordId"])
def test_what_is_read_only(force, name):
    status, code, message, fields = refused(force.call("POST", "/sobjects/Contact", json={"LastName": "A", name: "x"}))
    assert (status, code, fields) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE", [name])
    assert message.startswith(f"Unable to create/update fields: {name}. Please check the security settings of this field")


@pytest.mark.parametrize(
    ("value", "code"), [(99_999_999, None), (100_000_000, "NUMBER_OUTSIDE_VALID_RANGE"), (1.5, "INVALID_TYPE_ON_FIELD_IN_RECORD")]
)
def test_numbers_have_bounds(force, value, code):
    answer = force.call("POST", "/sobjects/Account", json={"Name": "A", "NumberOfEmployees": value})
    assert (refusal(answer)[1] if answer.status_code != 201 else None) == code


def test_a_parent_may_be_named_by_its_external_id(force):
    account = force.create("Account", Name="Acme", Sync_Key__c="A-1")

    contact = force.create("Contact", LastName="Okafor", Account={"Sync_Key__c": "A-1"})

    assert force.row("Contact", contact)["AccountId"] == account
    answer = force.call("POST", "/sobjects/Contact", json={"LastName": "B", "Account": {"Sync_Key__c": "A-2"}})
    assert refusal(answer) == (400, "INVALID_FIELD") and "Foreign key external ID: A-2 not found" in answer.text
    assert refusal(force.call("POST", "/sobjects/Contact", json={"LastName": "B", "Account": {"Name": "Acme"}})) == (400, "INVALID_FIELD")


@pytest.mark.parametrize("body", ["{", "[]", "5", '{"a":' * 50_000, ""])
def test_bodies_that_are_no_record(force, body):
    answer = force.call("POST", "/sobjects/Contact", data=body, headers={"Content-Type": "application/json"})
    assert refusal(answer) == (400, "JSON_PARSER_ERROR")


def test_bodies_say_what_they_are_and_may_be_packed(force):
    body = json.dumps({"LastName": "Okafor"}).encode()
    assert refusal(force.call("POST", "/sobjects/Contact", data=body, headers={"Content-Type": "text/plain"})) == (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    )

    packed = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
    assert force.call("POST", "/sobjects/Contact", data=gzip.compress(body), headers=packed).status_code == 201
    assert refusal(force.call("POST", "/sobjects/Contact", data=body, headers=packed)) == (400, "JSON_PARSER_ERROR")


def test_users_are_not_written(force):
    assert refusal(force.change("User", force.given["user_id"], Title="X")) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert refusal(force.call("POST", "/sobjects/User", json={"LastName": "X"})) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")


def test_an_owner_must_be_active(force):
    user = force.system.create_record("User", {"LastName": "Gone", "Username": "g@x.example", "Email": "g@x.example", "IsActive": False})
    assert refusal(force.call("POST", "/sobjects/Account", json={"Name": "A", "OwnerId": user["Id"]})) == (400, "INACTIVE_OWNER_OR_USER")


# --- change and delete --------------------------------------------------------------------------------------------------
def test_a_change_is_partial_moves_the_stamps_and_null_clears(force):
    id_ = force.create("Contact", LastName="Okafor", Title="CTO", Department="IT")
    force.clock.forward(60)

    answer = force.change("Contact", id_, Title=None)
    row = force.row("Contact", id_)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (row["Title"], row["Department"]) == (None, "IT")
    assert row["CreatedDate"] < row["LastModifiedDate"] == row["SystemModstamp"] == force.clock.shown
    assert refusal(force.change("Contact", id_, Id=id_)) == (400, "INVALID_FIELD")
    assert refusal(force.change("Contact", id_, LastName=None)) == (400, "REQUIRED_FIELD_MISSING")


def test_deleted_records_lie_in_the_recycle_bin_for_fifteen_days(force):
    id_ = force.create("Contact", LastName="Okafor")

    assert force.call("DELETE", f"/sobjects/Contact/{id_}").status_code == 204

    for method in ("GET", "PATCH", "DELETE"):
        assert refused(force.call(method, f"/sobjects/Contact/{id_}", json={}))[:3] == (404, "ENTITY_IS_DELETED", "entity is deleted")
    assert force.query("SELECT Id FROM Contact") == []
    (row,) = force.query("SELECT Id, IsDeleted FROM Contact", "/queryAll")
    assert (row["Id"], row["IsDeleted"]) == (id_, True)
    force.clock.forward(15 * 86400 + 1)
    assert refusal(force.get(f"/sobjects/Contact/{id_}")) == (404, "NOT_FOUND")
    assert force.query("SELECT Id FROM Contact", "/queryAll") == []


def test_what_was_deleted_or_never_was_is_told_as_the_switches_say(force):
    id_, never = force.create("Contact", LastName="Okafor"), ids.make("003", 99)
    force.call("DELETE", f"/sobjects/Contact/{id_}")
    assert refusal(force.change("Contact", never, Title="X")) == (404, "NOT_FOUND")

    force.switch(deleted_status=400, unknown_row_code="INVALID_CROSS_REFERENCE_KEY")

    assert refusal(force.get(f"/sobjects/Contact/{id_}")) == (400, "ENTITY_IS_DELETED")
    assert refusal(force.change("Contact", never, Title="X")) == (400, "INVALID_CROSS_REFERENCE_KEY")
    assert refusal(force.get(f"/sobjects/Contact/{never}")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("text", ["003XX", "001AA0000000001", "003AA00000000012AA"])
def test_addresses_that_name_no_id_of_the_object(force, text):
    told = "Provided external ID field does not exist or is not accessible: "
    assert refused(force.get(f"/sobjects/Contact/{text}"))[:3] == (404, "NOT_FOUND", told + text)


def test_methods_that_are_not_allowed(force):
    id_ = force.create("Contact", LastName="Okafor")
    told = "HTTP Method 'PUT' not allowed. Allowed are HEAD,GET,PATCH,DELETE"
    assert refused(force.call("PUT", f"/sobjects/Contact/{id_}", json={}))[:3] == (405, "METHOD_NOT_ALLOWED", told)
    assert refusal(force.call("DELETE", "/sobjects/Contact")) == (405, "METHOD_NOT_ALLOWED")


def test_deleting_an_account_takes_its_contacts_along_and_clears_other_lookups(force):
    account, child = force.create("Account", Name="Acme"), force.create("Account", Name="Child")
    force.change("Account", child, ParentId=account)
    contact = force.create("Contact", LastName="Okafor", AccountId=account)
    task = force.create("Task", Subject="Call", WhoId=contact)

    force.call("DELETE", f"/sobjects/Account/{account}")

    assert [refusal(force.get(f"/sobjects/{o}/{i}"))[1] for o, i in (("Contact", contact), ("Task", task))] == ["ENTITY_IS_DELETED"] * 2
    assert force.row("Account", child)["ParentId"] is None


# --- by a key -----------------------------------------------------------------------------------------------------------
def test_an_upsert_creates_and_then_changes(force):
    path = "/sobjects/Contact/Sync_Key__c/abc%2F1"
    first = force.call("PATCH", path, json={"LastName": "Okafor"})
    second = force.call("PATCH", path, json={"Title": "CTO"})

    assert (first.status_code, first.json()["created"], first.headers["Location"][-18:]) == (201, True, first.json()["id"])
    assert (second.status_code, second.json()) == (200, {"id": first.json()["id"], "success": True, "errors": [], "created": False})
    row = force.get(path).json()
    assert (row["Sync_Key__c"], row["LastName"], row["Title"]) == ("abc/1", "Okafor", "CTO")


def test_an_upsert_may_be_told_not_to_create(force):
    assert refusal(force.call("PATCH", "/sobjects/Contact/Sync_Key__c/1?updateOnly=true", json={"LastName": "A"})) == (404, "NOT_FOUND")
    assert force.query("SELECT Id FROM Contact") == []


def test_a_key_that_two_records_have_answers_300_and_writes_nothing(force):
    made = [force.create("Contact", LastName=name, Email="a@b.example") for name in ("One", "Two")]

    answer = force.call("PATCH", "/sobjects/Contact/Email/A@b.example", json={"Title": "X"})

    assert (answer.status_code, answer.json()) == (300, [f"{VERSION}/sobjects/Contact/{i}" for i in made])
    assert force.get("/sobjects/Contact/Email/a@b.example").status_code == 300
    assert force.names("Title = 'X'") == []


def test_what_is_no_key_and_what_may_not_be_in_the_body(force):
    assert refusal(force.get("/sobjects/Contact/Phone/123")) == (404, "NOT_FOUND")
    assert refusal(force.get("/sobjects/Contact/Foo__c/123")) == (404, "NOT_FOUND")
    body = {"LastName": "A", "Sync_Key__c": "1"}
    assert refusal(force.call("PATCH", "/sobjects/Contact/Sync_Key__c/1", json=body)) == (400, "INVALID_FIELD")


def test_a_unique_key_is_held_by_one_record_whatever_its_case(force):
    first = force.create("Contact", LastName="Okafor", Sync_Key__c="K-1")

    answer = force.call("POST", "/sobjects/Contact", json={"LastName": "Two", "Sync_Key__c": "k-1"})

    told = f"duplicate value found: Sync_Key__c duplicates value on record with id: {first[:15]}"
    assert refused(answer) == (400, "DUPLICATE_VALUE", told, ["Sync_Key__c"])
    force.call("DELETE", f"/sobjects/Contact/{first}")
    assert force.create("Contact", LastName="Two", Sync_Key__c="k-1")


def test_a_record_through_a_lookup(force):
    account = force.create("Account", Name="Acme")
    contact, alone = force.create("Contact", LastName="A", AccountId=account), force.create("Contact", LastName="B")

    assert force.get(f"/sobjects/Contact/{contact}/Account").json()["Name"] == "Acme"
    assert refusal(force.get(f"/sobjects/Contact/{alone}/Account")) == (404, "NOT_FOUND")
    assert refusal(force.get(f"/sobjects/Contact/{alone}/Nothing")) == (404, "NOT_FOUND")


# --- conditions ---------------------------------------------------------------------------------------------------------
def test_a_write_that_comes_too_late_is_refused_and_changes_nothing(force):
    id_ = force.create("Contact", LastName="Okafor", Title="CTO")
    read = force.get(f"/sobjects/Contact/{id_}")
    held = {"If-Unmodified-Since": read.headers["Last-Modified"]}
    force.clock.forward(1)

    assert force.change("Contact", id_, held, Title="CEO").status_code == 204
    force.clock.forward(1)
    late = force.change("Contact", id_, held, Title="COO")

    assert (late.status_code, force.row("Contact", id_)["Title"]) == (412, "CEO")


def test_two_edits_within_a_second_still_collide(force):
    id_ = force.create("Contact", LastName="Okafor")
    held = {"If-Unmodified-Since": force.get(f"/sobjects/Contact/{id_}").headers["Last-Modified"]}
    assert [force.change("Contact", id_, held, Title=title).status_code for title in ("A", "B")] == [204, 204]


def test_a_system_change_moves_the_stamp_but_is_no_edit(force):
    account = force.create("Account", Name="Acme")
    loser = force.create("Account", Name="Acme Ltd")
    contact = force.create("Contact", LastName="Okafor", AccountId=loser)
    held = {"If-Unmodified-Since": force.get(f"/sobjects/Contact/{contact}").headers["Last-Modified"]}
    force.clock.forward(60)

    force.system.merge({"object": "Account", "winner": account, "losers": [loser]})

    row = force.row("Contact", contact)
    assert row["LastModifiedDate"] < row["SystemModstamp"] == force.clock.shown
    assert force.change("Contact", contact, held, Title="CEO").status_code == 204


def test_dates_of_conditions(force):
    id_ = force.create("Contact", LastName="Okafor")
    path = f"/sobjects/Contact/{id_}"
    same, before = format_datetime(force.clock.at, usegmt=True), "Sun, 01 Nov 2026 09:59:59 GMT"

    assert force.call("GET", path, headers={"If-Modified-Since": same}).status_code == 304
    assert force.call("GET", path, headers={"If-Modified-Since": before}).status_code == 200
    assert force.call("GET", path, headers={"If-Modified-Since": "yesterday"}).status_code == 200
    assert force.change("Contact", id_, {"If-Unmodified-Since": before}, Title="X").status_code == 412
    assert force.change("Contact", id_, {"If-Unmodified-Since": "yesterday"}, Title="X").status_code == 400
    assert force.call("DELETE", path, headers={"If-Unmodified-Since": before}).status_code == 204  # not supported there


def test_only_accounts_have_entity_tags(force):
    account, contact = force.create("Account", Name="Acme"), force.create("Contact", LastName="Okafor")
    tag = force.get(f"/sobjects/Account/{account}").headers["ETag"]

    assert "ETag" not in force.get(f"/sobjects/Contact/{contact}").headers
    assert force.call("GET", f"/sobjects/Account/{account}", headers={"If-None-Match": tag}).status_code == 304
    assert force.change("Account", account, {"If-Match": tag}, Site="York").status_code == 204
    assert force.change("Account", account, {"If-Match": tag}, Site="Leeds").status_code == 412
    assert force.change("Contact", contact, {"If-Match": '"x"'}, Title="X").status_code == 204


# --- limits -------------------------------------------------------------------------------------------------------------
def test_every_counted_answer_says_what_was_used_and_the_day_rolls(force):
    assert force.get("/limits").headers["Sforce-Limit-Info"] == "api-usage=1/105000"
    force.clock.forward(12 * 3600)
    assert force.get("/nothing").headers["Sforce-Limit-Info"] == "api-usage=2/105000"
    force.clock.forward(13 * 3600)
    daily = force.get("/limits").json()["DailyApiRequests"]
    assert daily == {"Max": 105_000, "Remaining": 104_998}


def test_at_the_limit_calls_are_refused_until_the_window_moved_on(force):
    force.system.limits.per_day = 2
    assert [force.get("/limits").status_code for _ in range(3)] == [200, 200, 403]
    assert refused(force.get("/limits"))[1:3] == ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert force.raw("GET", "/services/data").status_code == 200
    force.clock.forward(86400 + 900)
    assert force.get("/limits").status_code == 200


def test_row_counts(force):
    force.create("Contact", LastName="A")
    assert force.get("/limits/recordCount", sObjects="Contact,Lead").json() == {
        "sObjects": [{"count": 1, "name": "Contact"}, {"count": 0, "name": "Lead"}]
    }


@pytest.mark.parametrize(("size", "header", "status"), [(17_000, 10, 414), (9_000, 9_000, 431), (9_000, 10, 400)])
def test_addresses_and_headers_have_a_longest(force, size, header, status):
    answer = force.call("GET", f"/query?q={'x' * size}", headers={"X-Filler": "y" * header})
    assert answer.status_code == status
