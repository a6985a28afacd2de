"""Several records or calls in one: collections, composite, batch."""

import pytest

from connectors.sandbox.salesforce import ids
from tests.sandbox.force import VERSION, refusal, refused

COLLECTIONS = "/composite/sobjects"


def contact(**values):
    return {"attributes": {"type": "Contact"}, **values}


def post(force, records, method="POST", path=COLLECTIONS, all_or_none=False, **options):
    return force.call(method, path, json={"allOrNone": all_or_none, "records": records}, **options)


def codes(answer):
    """Returns what became of each record: '' or its code."""
    assert answer.status_code == 200, answer.text
    return ["" if r["success"] else r["errors"][0]["statusCode"] for r in answer.json()]


# --- collections --------------------------------------------------------------------------------------------------------
def test_each_record_has_its_own_result_in_order(force):
    answer = post(force, [contact(LastName="A"), contact(FirstName="B"), {"attributes": {"type": "Lead"}, "LastName": "C", "Company": "X"}])

    first, second, third = answer.json()
    assert first == {"id": first["id"], "success": True, "errors": []} and third["id"].startswith("00Q")
    error = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [LastName]", "fields": ["LastName"]}
    assert second == {"success": False, "errors": [error]}
    assert force.names("Id != null") == ["A"]
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/105000"


def test_all_fail_and_the_call_is_answered_200(force):
    assert codes(post(force, [contact(), contact(LastName="x" * 81)])) == ["REQUIRED_FIELD_MISSING", "STRING_TOO_LONG"]


def test_all_or_none_takes_the_innocent_back(force):
    kept = force.create("Contact", LastName="Kept", Sync_Key__c="K")
    answer = post(force, [contact(LastName="A"), contact(LastName="B", Sync_Key__c="K"), contact(LastName="C")], all_or_none=True)

    assert codes(answer) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "DUPLICATE_VALUE", "ALL_OR_NONE_OPERATION_ROLLED_BACK"]
    assert force.names("Id != null") == ["Kept"]
    assert codes(post(force, [contact(id=kept, Title="X"), contact(id=kept, Email="x")], "PATCH", all_or_none=True))[0].startswith("ALL_OR")
    assert force.row("Contact", kept)["Title"] is None


def test_changes_of_records_that_are_there_gone_or_never_were(force):
    there, gone = force.create("Contact", LastName="A"), force.create("Contact", LastName="B")
    force.call("DELETE", f"/sobjects/Contact/{gone}")
    records = [contact(id=i, Title="X") for i in (there[:15], gone, ids.make("003", 99), "001AA0000000001", "x")]

    answer = post(force, [*records, contact(Title="X"), contact(Id=there, Department="IT")], "PATCH")

    gone_codes = ["ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "MALFORMED_ID", "MISSING_ARGUMENT"]
    assert codes(answer) == ["", *gone_codes, ""]
    assert [force.row("Contact", there)[n] for n in ("Title", "Department")] == ["X", "IT"]


def test_deleting_several(force):
    made = [force.create("Contact", LastName="A"), force.create("Lead", LastName="B", Company="C")]

    answer = force.call("DELETE", f"{COLLECTIONS}?ids={made[0]},{made[1][:15]},{ids.make('003', 99)},x&allOrNone=false")

    assert codes(answer) == ["", "", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"]
    assert force.query("SELECT Id FROM Contact") == force.query("SELECT Id FROM Lead") == []
    assert codes(force.call("DELETE", f"{COLLECTIONS}?ids={made[0]}&allOrNone=false")) == ["ENTITY_IS_DELETED"]
    assert force.call("DELETE", f"{COLLECTIONS}?ids={made[0]}&allOrNone=perhaps").status_code == 400


def test_reading_several(force):
    made = [force.create("Contact", LastName=name) for name in ("A", "B")]
    force.call("DELETE", f"/sobjects/Contact/{made[1]}")
    wanted = [made[1], made[0][:15], ids.make("003", 99)]

    got = force.get(f"{COLLECTIONS}/Contact", ids=",".join(wanted), fields="Id,LastName").json()
    posted = force.call("POST", f"{COLLECTIONS}/Contact", json={"ids": wanted, "fields": ["Id", "LastName"]}).json()

    row = {"attributes": {"type": "Contact", "url": f"{VERSION}/sobjects/Contact/{made[0]}"}, "Id": made[0], "LastName": "A"}
    assert got == posted == [None, row, None]
    assert refusal(force.get(f"{COLLECTIONS}/Contact", ids=made[0], fields="Foo")) == (400, "INVALID_FIELD")


def test_upserts_by_an_external_id(force):
    path = f"{COLLECTIONS}/Contact/Sync_Key__c"
    first = post(force, [contact(LastName="A", Sync_Key__c="1"), contact(LastName="B", Sync_Key__c="2")], "PATCH", path)
    second = post(
        force,
        [contact(Title="X", Sync_Key__c="1"), contact(LastName="C", Sync_Key__c="3"), contact(LastName="D"),
         contact(LastName="E", Sync_Key__c="4"), contact(LastName="F", Sync_Key__c="4")],
        "PATCH", path,
    )  # fmt: skip

    assert [r["created"] for r in first.json()] == [True, True]
    assert codes(second) == ["", "", "MISSING_ARGUMENT", "DUPLICATE_VALUE", "DUPLICATE_VALUE"]
    assert [r.get("created") for r in second.json()] == [False, True, None, None, None]
    assert force.names("Title = 'X'") == ["A"] and force.names("Sync_Key__c = '4'") == []


def test_upserts_by_id_and_by_an_address_that_two_have(force):
    one = force.create("Contact", LastName="One", Email="a@b.example")
    by_id = post(force, [contact(id=one, Title="X"), contact(id=None, LastName="New")], "PATCH", f"{COLLECTIONS}/Contact/Id")
    force.create("Contact", LastName="Two", Email="a@b.example")
    by_email = post(force, [contact(Email="A@b.example", Title="Y")], "PATCH", f"{COLLECTIONS}/Contact/Email")

    assert [r["created"] for r in by_id.json()] == [False, True]
    assert codes(by_email) == ["DUPLICATE_EXTERNAL_ID"] and force.names("Title = 'Y'") == []


def test_a_call_that_is_wrong_itself(force):
    assert refusal(post(force, [contact(LastName="A")] * 201)) == (400, "EXCEEDED_ID_LIMIT")
    assert codes(post(force, [contact(LastName="A")] * 200)) == [""] * 200
    lead = {"attributes": {"type": "Lead"}, "LastName": "A", "Company": "B"}
    assert codes(post(force, [contact(LastName="A"), lead] * 5)) == [""] * 10
    assert refusal(post(force, [contact(LastName="A"), lead] * 6)) == (400, "LIMIT_EXCEEDED")
    assert codes(post(force, [{"attributes": {"type": "Kontakt"}}, {"LastName": "A"}])) == ["INVALID_TYPE"] * 2


@pytest.mark.parametrize("body", [{"records": 5}, {"records": [5]}, {"records": [], "allOrNone": "no"}, {"records": [], "x": 1}, [], 5])
def test_bodies_that_are_no_collection(force, body):
    assert refusal(force.call("POST", COLLECTIONS, json=body)) == (400, "JSON_PARSER_ERROR")


def test_an_unknown_field_refuses_its_record_or_as_the_switch_says_the_call(force):
    records = [contact(LastName="A"), contact(LastName="B", Foo="1")]
    assert codes(post(force, records)) == ["", "INVALID_FIELD"]
    force.switch(unknown_field_refuses_call=True)
    assert refused(post(force, records))[:3] == (400, "INVALID_FIELD", "No such column 'Foo' on sobject of type Contact")


# --- composite ----------------------------------------------------------------------------------------------------------
def part(method, path, reference, body=None, **headers):
    made = {"method": method, "url": f"{VERSION}{path}", "referenceId": reference}
    if body is not None:
        made["body"] = body
    return {**made, "httpHeaders": {k.replace("_", "-"): v for k, v in headers.items()}} if headers else made


def composite(force, *parts, all_or_none=False):
    return force.call("POST", "/composite", json={"allOrNone": all_or_none, "compositeRequest": list(parts)})


def parts_of(answer):
    assert answer.status_code == 200, answer.text
    return [(p["referenceId"], p["httpStatusCode"], p["body"]) for p in answer.json()["compositeResponse"]]


def test_parts_use_the_answers_of_earlier_ones(force):
    answer = composite(
        force,
        part("POST", "/sobjects/Account", "acc", {"Name": "Acme"}),
        part("POST", "/sobjects/Contact", "con", {"LastName": "Okafor", "AccountId": "@{acc.id}"}),
        part("GET", "/query?q=SELECT+Account.Name+FROM+Contact+WHERE+Id='@{con.id}'", "read"),
        part("PATCH", "/sobjects/Contact/@{con.id}", "change", {"Title": "@{read.records[0].Account.Name}"}),
    )

    (_, status, made), (_, _, con), (_, _, read), (_, changed, body) = parts_of(answer)
    assert (status, made["success"], changed, body) == (201, True, 204, None)
    assert read["records"][0]["Account"]["Name"] == "Acme"
    assert force.row("Contact", con["id"])["Title"] == "Acme"
    assert answer.json()["compositeResponse"][0]["httpHeaders"]["Location"] == f"{VERSION}/sobjects/Account/{made['id']}"
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/105000"


def test_a_failure_leaves_the_others_or_takes_all_back(force):
    parts = (part("POST", "/sobjects/Contact", "a", {"LastName": "A"}), part("POST", "/sobjects/Contact", "b", {}),
             part("POST", "/sobjects/Contact", "c", {"LastName": "C"}))  # fmt: skip

    together = composite(force, *parts, all_or_none=True)
    assert [(s, b[0]["errorCode"]) for _, s, b in parts_of(together)] == [
        (400, "PROCESSING_HALTED"), (400, "REQUIRED_FIELD_MISSING"), (400, "PROCESSING_HALTED"),
    ]  # fmt: skip
    assert force.names("Id != null") == []

    assert [s for _, s, _ in parts_of(composite(force, *parts))] == [201, 400, 201]
    assert force.names("Id != null") == ["A", "C"]


def test_each_part_has_its_own_condition(force):
    made = [force.create("Contact", LastName=f"C{n}") for n in range(2)]
    read = force.get(f"/sobjects/Contact/{made[0]}").headers["Last-Modified"]
    force.clock.forward(5)
    force.change("Contact", made[1], Title="Edited")

    answer = composite(
        force,
        *(part("PATCH", f"/sobjects/Contact/{i}", f"p{n}", {"Title": "Ours"}, If_Unmodified_Since=read) for n, i in enumerate(made)),
        part("GET", f"/composite/sobjects/Contact?ids={','.join(made)}&fields=Id,Title", "back"),
    )

    (_, first, _), (_, second, body), (_, _, rows) = parts_of(answer)
    assert (first, second, body) == (204, 412, None)
    assert [row["Title"] for row in rows] == ["Ours", "Edited"]


def test_a_part_that_names_what_is_not_there(force):
    answer = composite(
        force, part("POST", "/sobjects/Contact", "a", {}), part("POST", "/sobjects/Contact", "b", {"LastName": "B", "AccountId": "@{a.id}"})
    )
    (_, status, body) = parts_of(answer)[1]
    assert (status, body[0]["errorCode"]) == (400, "PROCESSING_HALTED") and "No value for a.id" in body[0]["message"]


def test_parts_answer_as_calls_of_their_own(force):
    force.create("Contact", LastName="One", Email="a@b.example")
    force.switch(duplicate_rule="alert")
    twin = {"LastName": "Two", "Email": "a@b.example"}
    answer = composite(
        force,
        part("POST", "/sobjects/Contact", "a", twin),
        part("POST", "/sobjects/Contact", "b", twin, Sforce_Duplicate_Rule_Header="allowSave=true"),
        part("GET", "/nothing", "c"),
        part("POST", "/composite/batch", "d", {}),
    )
    assert [s for _, s, _ in parts_of(answer)] == [400, 201, 404, 404]


def test_bounds_of_a_composite_call(force):
    reads = [part("GET", "/query?q=SELECT+Id+FROM+Contact", f"r{n}") for n in range(6)]
    patches = [part("GET", "/sobjects/Contact/003AA0000000001", f"p{n}") for n in range(26)]
    assert composite(force, *patches[:25]).status_code == 200
    assert refusal(composite(force, *patches)) == (400, "LIMIT_EXCEEDED")
    assert composite(force, *reads[:5]).status_code == 200
    assert refusal(composite(force, *reads)) == (400, "LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    "given",
    [
        [], 5, [5], [{"method": "GET", "url": "/x", "referenceId": "a"}], [{"method": "GET", "url": f"{VERSION}/limits"}],
        [{"method": "FETCH", "url": f"{VERSION}/limits", "referenceId": "a"}], [part("GET", "/limits", "a")] * 2,
        [{**part("GET", "/limits", "a"), "extra": 1}], [{**part("GET", "/limits", "a"), "httpHeaders": 5}],
    ],
)  # fmt: skip
def test_bodies_that_are_no_composite(force, given):
    assert refusal(force.call("POST", "/composite", json={"compositeRequest": given})) == (400, "JSON_PARSER_ERROR")


def test_keys_that_do_not_exist(force):
    body = {"compositeRequest": [part("GET", "/sobjects/Contact/x", "a")], "allOrNon": True}
    assert refusal(force.call("POST", "/composite", json=body)) == (400, "JSON_PARSER_ERROR")
    assert refusal(force.call("GET", "/composite")) == (405, "METHOD_NOT_ALLOWED")


# --- batch --------------------------------------------------------------------------------------------------------------
def batch(force, *parts, halts=False):
    requests = [{"method": m, "url": u, **({"richInput": b} if b else {})} for m, u, *b in parts for b in [b[0] if b else None]]
    return force.call("POST", "/composite/batch", json={"haltOnError": halts, "batchRequests": requests})


def test_parts_of_a_batch_stand_alone_and_each_counts(force):
    answer = batch(
        force, ("GET", "v67.0/limits"), ("POST", "/services/data/v67.0/sobjects/Contact", {"LastName": "A"}),
        ("GET", "/v67.0/sobjects/Contact/x"), ("GET", "v67.0/sobjects/Contact/describe"),
    )  # fmt: skip

    body = answer.json()
    assert body["hasErrors"] and [r["statusCode"] for r in body["results"]] == [200, 201, 404, 200]
    assert body["results"][2]["result"][0]["errorCode"] == "NOT_FOUND" and body["results"][1]["result"]["success"]
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=4/105000"


def test_a_batch_halts_where_it_is_told_to(force):
    results = batch(force, ("GET", "v67.0/nothing"), ("POST", "v67.0/sobjects/Contact", {"LastName": "A"}), halts=True).json()["results"]
    assert [(r["statusCode"], r["result"][0]["errorCode"]) for r in results] == [(404, "NOT_FOUND"), (412, "BATCH_PROCESSING_HALTED")]
    assert force.names("Id != null") == []


def test_a_batch_runs_into_the_limit(force):
    force.system.limits.per_day = 2
    results = batch(force, *[("GET", "v67.0/limits")] * 3).json()["results"]
    assert [r["statusCode"] for r in results] == [200, 200, 403]
    force.system.limits.per_day = 1000
    assert refusal(batch(force, *[("GET", "v67.0/limits")] * 26)) == (400, "LIMIT_EXCEEDED")
