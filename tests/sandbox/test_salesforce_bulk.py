"""Bulk API 2.0 of the played Salesforce: jobs that take a CSV in, jobs that give a query's rows."""

import csv
import io

import pytest

from tests.sandbox.force import refusal, refused


def open_job(force, operation="insert", object_name="Contact", **given):
    body = {"object": object_name, "operation": operation, "contentType": "CSV", "lineEnding": "LF", **given}
    answer = force.call("POST", "/jobs/ingest", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def upload(force, job, data, content_type="text/csv"):
    return force.call("PUT", f"/{job['contentUrl']}", data=data.encode(), headers={"Content-Type": content_type})


def carry_out(force, data, operation="insert", **given):
    """Returns the job when it is done."""
    job = open_job(force, operation, **given)
    assert upload(force, job, data).status_code == 201
    assert force.call("PATCH", f"/jobs/ingest/{job['id']}", json={"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    return force.get(f"/jobs/ingest/{job['id']}").json()


def results(force, job, kind):
    answer = force.get(f"/jobs/ingest/{job['id']}/{kind}")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_new_job_says_where_its_data_goes(force):
    job = open_job(force, "upsert", externalIdFieldName="Sync_Key__c")

    assert job["id"].startswith("750") and len(job["id"]) == 18
    assert job["contentUrl"] == f"services/data/v67.0/jobs/ingest/{job['id']}/batches"
    assert (job["state"], job["apiVersion"], job["concurrencyMode"], job["externalIdFieldName"]) == (
        "Open",
        67.0,
        "Parallel",
        "Sync_Key__c",
    )
    assert [j["id"] for j in force.get("/jobs/ingest").json()["records"]] == [job["id"]]


def test_rows_that_were_written_and_rows_that_failed(force):
    data = 'LastName,Email,DoNotCall,Birthdate\nOkafor,a@b.example,true,1990-02-03\n,x@y.example,,\n"Nair, P.",bad,,\n'

    job = carry_out(force, data)

    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", 3, 2)
    (done,) = results(force, job, "successfulResults")
    assert (done["sf__Created"], done["LastName"]) == ("true", "Okafor")
    assert [force.row("Contact", done["sf__Id"])[n] for n in ("DoNotCall", "Birthdate")] == [True, "1990-02-03"]
    failed = results(force, job, "failedResults")
    assert [f["sf__Error"] for f in failed] == [
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
        "INVALID_EMAIL_ADDRESS:Email: invalid email address: bad:Email --",
    ]
    assert [f["LastName"] for f in failed] == ["", "Nair, P."]
    assert results(force, job, "unprocessedrecords") == results(force, job, "unprocessedRecords") == []


def test_updates_leave_what_is_empty_and_clear_what_is_na(force):
    id_ = force.create("Contact", LastName="A", Title="CTO", Department="IT", Phone="1")
    job = carry_out(force, f"Id,Title,Department,Phone\n{id_},,#N/A,2\n003AA0000000099,X,,\n", "update")
    assert [force.row("Contact", id_)[n] for n in ("Title", "Department", "Phone")] == ["CTO", None, "2"]
    assert [f["sf__Error"].split(":")[0] for f in results(force, job, "failedResults")] == ["INVALID_CROSS_REFERENCE_KEY"]


def test_upserts_and_deletes(force):
    account = force.create("Account", Name="Acme", Sync_Key__c="A-1")
    key = {"externalIdFieldName": "Sync_Key__c"}
    first = carry_out(force, "LastName,Sync_Key__c,Account.Sync_Key__c\nA,1,A-1\nB,2,A-9\n", "upsert", **key)
    second = carry_out(force, "Title,Sync_Key__c\nX,1\n", "upsert", **key)

    (made,), (changed,) = results(force, first, "successfulResults"), results(force, second, "successfulResults")
    assert (made["sf__Created"], changed["sf__Created"], made["sf__Id"]) == ("true", "false", changed["sf__Id"])
    assert [force.row("Contact", made["sf__Id"])[n] for n in ("AccountId", "Title")] == [account, "X"]
    assert "Foreign key external ID: A-9 not found" in results(force, first, "failedResults")[0]["sf__Error"]
    assert carry_out(force, f"Id\n{made['sf__Id'][:15]}\n", "delete")["numberRecordsFailed"] == 0
    assert force.query("SELECT Id FROM Contact") == []


def test_other_delimiters_and_endings(force):
    carry_out(force, 'LastName;Title\r\nA;"X;\nY"\r\n', columnDelimiter="SEMICOLON", lineEnding="CRLF")
    (row,) = force.query("SELECT LastName, Title FROM Contact")
    assert (row["LastName"], row["Title"]) == ("A", "X;\nY")


@pytest.mark.parametrize(
    ("data", "operation", "says"),
    [
        ("LastName,Foo\nA,B\n", "insert", "InvalidBatch : Field name not found : Foo"),
        ("LastName\r\nA\r\n", "insert", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"),
        ("LastName\nA\n", "update", "InvalidBatch : The data has no column Id"),
        ("", "insert", "InvalidBatch : The data has no header"),
        ('LastName\n"A\n', "insert", "ClientInputError : the data is no CSV"),
    ],
)
def test_files_that_fail_the_job(force, data, operation, says):
    job = carry_out(force, data, operation)
    assert job["state"] == "Failed" and job["errorMessage"].startswith(says)
    assert force.query("SELECT Id FROM Contact") == []


def test_a_row_that_is_short_fails_alone(force):
    job = carry_out(force, "LastName,Title\nA\nB,X\n")
    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 1) and force.names("Id != null") == ["B"]


def test_what_jobs_refuse(force):
    def post(kind="ingest", **body):
        return refusal(force.call("POST", f"/jobs/{kind}", json=body))

    assert post(object="Kontakt", operation="insert") == (400, "INVALIDJOB")
    assert post(object="Contact", operation="hardDelete") == (400, "INVALIDJOB")
    assert post(object="Contact", operation="upsert", externalIdFieldName="Phone") == (400, "INVALIDJOB")
    assert post(object="Contact", operation="insert", externalIdFieldName="Sync_Key__c") == (400, "INVALIDJOB")
    assert post(object="Contact", operation="insert", columnDelimiter="X") == (400, "INVALIDJOB")
    assert post(object="Contact", operation="insert", nonsense=1) == (400, "JSON_PARSER_ERROR")
    assert post("query", operation="query", query="SELECT Foo FROM Contact") == (400, "INVALID_FIELD")
    assert post("query", operation="query", query="SELECT COUNT() FROM Contact") == (400, "API_ERROR")
    assert post("query", operation="query") == (400, "INVALIDJOB")
    assert refusal(force.get("/jobs/ingest/750AA0000000001")) == (404, "NOT_FOUND")
    assert refusal(force.get("/jobs/nothing")) == (404, "NOT_FOUND")


def test_the_order_of_a_jobs_life(force):
    job = open_job(force)
    path = f"/jobs/ingest/{job['id']}"
    assert refusal(force.call("PATCH", path, json={"state": "UploadComplete"})) == (400, "INVALIDJOB")  # nothing was uploaded
    assert refusal(force.get(f"{path}/successfulResults")) == (400, "INVALIDJOB")
    assert refusal(upload(force, job, "x", "application/json")) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert upload(force, job, "LastName\nA\n").status_code == 201
    assert refusal(upload(force, job, "LastName\nB\n")) == (400, "INVALIDJOB")  # once a job
    assert refusal(force.call("DELETE", path)) == (400, "INVALIDJOB")
    assert force.call("PATCH", path, json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert force.call("DELETE", path).status_code == 204 and force.get(path).status_code == 404
    assert force.query("SELECT Id FROM Contact") == []


def test_a_job_takes_its_time(force):
    force.switch(bulk_seconds=30)
    job = carry_out(force, "LastName\nA\n")
    assert job["state"] == "InProgress" and "numberRecordsProcessed" not in job
    force.clock.forward(30)
    assert force.get(f"/jobs/ingest/{job['id']}").json()["state"] == "JobComplete"


def test_the_rows_of_a_query_come_in_pieces(force):
    account = force.create("Account", Name="Acme")
    for n in range(5):
        force.create("Contact", LastName=f"C{n}", AccountId=account if n else None)
    job = force.call(
        "POST", "/jobs/query", json={"operation": "query", "query": "select lastname, Account.Name, DoNotCall from Contact order by Id"}
    ).json()
    assert job["object"] == "Contact" and force.get(f"/jobs/query/{job['id']}").json()["numberRecordsProcessed"] == 5

    pieces, locator = [], None
    while locator != "null":
        answer = force.get(f"/jobs/query/{job['id']}/results", maxRecords=2, **({"locator": locator} if locator else {}))
        pieces.append(answer)
        locator = answer.headers["Sforce-Locator"]

    assert [a.headers["Sforce-NumberOfRecords"] for a in pieces] == ["2", "2", "1"]
    rows = [row for a in pieces for row in csv.DictReader(io.StringIO(a.text))]
    assert rows[0] == {"LastName": "C0", "Account.Name": "", "DoNotCall": "false"} and rows[4]["Account.Name"] == "Acme"
    assert force.get(f"/jobs/query/{job['id']}/results", locator="99").status_code == 400


def test_query_all_gives_deleted_rows_too(force):
    id_ = force.create("Contact", LastName="A")
    force.call("DELETE", f"/sobjects/Contact/{id_}")
    counts = {}
    for operation in ("query", "queryAll"):
        job = force.call("POST", "/jobs/query", json={"operation": operation, "query": "SELECT Id FROM Contact"}).json()
        counts[operation] = force.get(f"/jobs/query/{job['id']}").json()["numberRecordsProcessed"]
    assert counts == {"query": 0, "queryAll": 1}


def test_jobs_are_kept_for_seven_days(force):
    job = open_job(force)
    force.clock.forward(7 * 86400)
    assert force.get(f"/jobs/ingest/{job['id']}").status_code == 200
    force.clock.forward(1)
    assert refused(force.get(f"/jobs/ingest/{job['id']}"))[:2] == (404, "NOT_FOUND")
