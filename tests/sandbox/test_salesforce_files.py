"""Files of the played Salesforce: versions with their bytes, documents, and where they are linked."""

import base64

import pytest

from connectors.sandbox.salesforce import values
from tests.sandbox.force import refusal

BYTES = b"\x00\xffPumps and valves"
FILE = {"Title": "Quote", "PathOnClient": "quote.PDF", "VersionData": base64.b64encode(BYTES).decode()}


def links(force, document):
    rows = force.query(
        f"SELECT LinkedEntityId, ShareType, Visibility FROM ContentDocumentLink WHERE ContentDocumentId = '{document}' ORDER BY Id"
    )
    return [(row["LinkedEntityId"], row["ShareType"], row["Visibility"]) for row in rows]


def document_of(force, version):
    return force.row("ContentVersion", version)["ContentDocumentId"]


def test_a_version_makes_its_document_and_links(force):
    account = force.create("Account", Name="Acme")

    id_ = force.create("ContentVersion", FirstPublishLocationId=account, **FILE)

    row = force.row("ContentVersion", id_)
    assert id_.startswith("068") and row["ContentDocumentId"].startswith("069")
    assert [row[n] for n in ("Title", "FileExtension", "FileType", "ContentSize", "VersionNumber", "IsLatest")] == [
        "Quote", "pdf", "PDF", len(BYTES), "1", True,
    ]  # fmt: skip
    document = force.row("ContentDocument", row["ContentDocumentId"])
    assert (document["Title"], document["LatestPublishedVersionId"], document["ContentSize"]) == ("Quote", id_, len(BYTES))
    assert links(force, document["Id"]) == [(row["OwnerId"], "I", "AllUsers"), (account, "V", "AllUsers")]
    through = force.query(f"SELECT ContentDocument.Title FROM ContentDocumentLink WHERE LinkedEntityId IN ('{account}')")
    assert through[0]["ContentDocument"]["Title"] == "Quote"


def test_the_bytes_have_an_address_of_their_own(force):
    id_ = force.create("ContentVersion", **FILE)
    (row,) = force.query("SELECT VersionData FROM ContentVersion")
    assert (
        row["VersionData"]
        == force.row("ContentVersion", id_)["VersionData"]
        == f"/services/data/v67.0/sobjects/ContentVersion/{id_}/VersionData"
    )
    answer = force.call("GET", row["VersionData"])
    assert (answer.content, answer.headers["Content-Type"]) == (BYTES, "application/octetstream")
    assert refusal(force.call("POST", row["VersionData"])) == (405, "METHOD_NOT_ALLOWED")
    field = {f["name"]: f for f in force.get("/sobjects/ContentVersion/describe").json()["fields"]}["VersionData"]
    assert (field["type"], field["filterable"], field["updateable"]) == ("base64", False, False)


def test_further_versions_take_the_place_of_the_latest(force):
    first = force.create("ContentVersion", **FILE)
    document = document_of(force, first)

    second = force.create("ContentVersion", ContentDocumentId=document, **{**FILE, "Title": "Quote, again"})

    rows = force.query("SELECT Id, VersionNumber, IsLatest FROM ContentVersion ORDER BY Id")
    assert [(r["Id"], r["VersionNumber"], r["IsLatest"]) for r in rows] == [(first, "1", False), (second, "2", True)]
    assert force.row("ContentDocument", document)["Title"] == "Quote, again"
    force.change("ContentVersion", second, Title="Final")
    assert force.row("ContentDocument", document)["Title"] == "Final" and len(links(force, document)) == 1
    both = {"ContentDocumentId": document, "FirstPublishLocationId": force.create("Account", Name="A"), **FILE}
    assert refusal(force.call("POST", "/sobjects/ContentVersion", json=both)) == (400, "FIELD_INTEGRITY_EXCEPTION")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"VersionData": None}, "REQUIRED_FIELD_MISSING"),
        ({"PathOnClient": ""}, "REQUIRED_FIELD_MISSING"),
        ({"VersionData": "not base64!"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        ({"VersionData": 5}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        ({"ContentSize": 5}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"FirstPublishLocationId": "001AA0000000099"}, "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
def test_files_that_cannot_be(force, given, code):
    assert refusal(force.call("POST", "/sobjects/ContentVersion", json={**FILE, **given})) == (400, code)
    assert force.query("SELECT Id FROM ContentDocument") == []


def test_a_file_in_json_has_a_largest_size(force, monkeypatch):
    monkeypatch.setattr(values, "MOST_BYTES", len(BYTES))
    force.create("ContentVersion", **FILE)
    larger = {**FILE, "VersionData": base64.b64encode(BYTES + b"!").decode()}
    assert refusal(force.call("POST", "/sobjects/ContentVersion", json=larger)) == (413, "REQUEST_ENTITY_TOO_LARGE")
    form = force.call("POST", "/sobjects/ContentVersion", files={"entity_content": ("", "{}", "application/json")})
    assert refusal(form) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_title_comes_from_the_path(force):
    row = force.row("ContentVersion", force.create("ContentVersion", **{**FILE, "Title": None, "PathOnClient": "C:\\docs\\Offer 2.docx"}))
    assert (row["Title"], row["FileType"], row["FileExtension"]) == ("Offer 2", "WORD_X", "docx")
    bare = force.row("ContentVersion", force.create("ContentVersion", **{**FILE, "PathOnClient": "README"}))
    assert (bare["FileType"], bare["FileExtension"]) == ("UNKNOWN", None)


def test_links_to_further_records(force):
    document = document_of(force, force.create("ContentVersion", **FILE))
    task = force.create("Task", Subject="Call")
    link = force.create("ContentDocumentLink", ContentDocumentId=document, LinkedEntityId=task, Visibility="InternalUsers")
    assert links(force, document)[1:] == [(task, "V", "InternalUsers")]
    again = {"ContentDocumentId": document, "LinkedEntityId": task}
    assert refusal(force.call("POST", "/sobjects/ContentDocumentLink", json=again)) == (400, "DUPLICATE_VALUE")
    assert refusal(force.call("POST", "/sobjects/ContentDocumentLink", json={**again, "ShareType": "X"})) == (
        400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    )  # fmt: skip
    assert force.change("ContentDocumentLink", link, ShareType="I").status_code == 204
    force.call("DELETE", f"/sobjects/Task/{task}")
    assert len(links(force, document)) == 1 and force.row("ContentDocument", document)


def test_documents_are_deleted_whole_and_not_written(force):
    version = force.create("ContentVersion", **FILE)
    document = document_of(force, version)
    assert refusal(force.change("ContentDocument", document, Title="x"))[0] == 400
    assert refusal(force.call("POST", "/sobjects/ContentDocument", json={}))[1] == "INSUFFICIENT_ACCESS_OR_READONLY"
    assert refusal(force.call("DELETE", f"/sobjects/ContentVersion/{version}")) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")

    assert force.call("DELETE", f"/sobjects/ContentDocument/{document}").status_code == 204

    assert force.query("SELECT Id FROM ContentVersion") == [] and links(force, document) == []


@pytest.mark.parametrize(
    ("where", "is_good"),
    [
        ("", False), ("WHERE ShareType = 'V'", False), ("WHERE LinkedEntityId != '001AA0000000001'", False),
        ("WHERE LinkedEntityId = '001AA0000000001' OR ShareType = 'V'", False), ("WHERE LinkedEntityId NOT IN ('001AA0000000001')", False),
        ("WHERE LinkedEntityId = '001AA0000000001' AND ShareType = 'V'", True), ("WHERE ContentDocumentId IN ('069AA0000000001')", True),
    ],
)  # fmt: skip
def test_links_are_asked_for_by_document_or_record(force, where, is_good):
    answer = force.page(f"SELECT Id FROM ContentDocumentLink {where}")
    assert answer.status_code == 200 if is_good else refusal(answer) == (400, "MALFORMED_QUERY")


# --- files of e-mails ---------------------------------------------------------------------------------------------------
def test_files_are_linked_to_drafts_of_emails(force):
    draft, sent = (force.create("EmailMessage", Status=status) for status in "53")
    version = force.create("ContentVersion", FirstPublishLocationId=draft, **FILE)
    row = force.row("EmailMessage", draft)
    assert (row["HasAttachment"], row["ContentDocumentIds"]) == (True, [document_of(force, version)])
    assert refusal(force.call("POST", "/sobjects/ContentVersion", json={**FILE, "FirstPublishLocationId": sent})) == (
        400, "INSUFFICIENT_ACCESS_OR_READONLY",
    )  # fmt: skip
    late = {"ContentDocumentId": document_of(force, version), "LinkedEntityId": sent}
    assert refusal(force.call("POST", "/sobjects/ContentDocumentLink", json=late)) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert len(force.query("SELECT Id FROM ContentDocument")) == 1


def test_a_client_managed_email_takes_files_later_and_all_may_name_them_at_once(force):
    document = document_of(force, force.create("ContentVersion", **FILE))
    managed = force.create("EmailMessage", Status="3", IsClientManaged=True)
    force.create("ContentDocumentLink", ContentDocumentId=document, LinkedEntityId=managed)
    assert force.row("EmailMessage", managed)["HasAttachment"] is True
    force.change("EmailMessage", managed, ContentDocumentIds=None)
    assert force.row("EmailMessage", managed)["HasAttachment"] is False
    at_once = force.create("EmailMessage", Status="3", ContentDocumentIds=[document])
    assert force.row("EmailMessage", at_once)["HasAttachment"] is True
