"""The played People API: reading, writing one and many, what is refused and how."""

import json

import pytest

from tests.sandbox.google_account import ALL, AUTH, GINA, HUGO, member_of, refused

BATCH_CREATE, BATCH_UPDATE, BATCH_DELETE = (f"/v1/people:batch{verb}Contacts" for verb in ("Create", "Update", "Delete"))


def read(google, person, fields=ALL, **options):
    return google.call("GET", f"/v1/{person['resourceName']}", params={"personFields": fields}, **options)


# --- reading ------------------------------------------------------------------------------------------------------------
def test_what_the_server_works_out_itself(google):
    person = google.create(
        names=[{"honorificPrefix": "Dr", "givenName": "Bo", "middleName": "K", "familyName": "Lind", "honorificSuffix": "Jr",
                "displayName": "x"}],
        phoneNumbers=[{"value": "020 7946 0000", "type": "homeFax", "canonicalForm": "no"}, {"value": "+46 8 123 456 78"},
                      {"value": "ask"}],
        emailAddresses=[{"value": "a@x.example", "type": "work"}, {"value": "b@x.example", "metadata": {"sourcePrimary": True}}],
        addresses=[{"streetAddress": "1 High St", "city": "Leeds", "postalCode": "LS1 1AA", "region": "", "type": "My Hut",
                    "formattedValue": "x"}],
        biographies=[{"value": "Note"}],
    )  # fmt: skip

    name, phones, mails = person["names"][0], person["phoneNumbers"], person["emailAddresses"]
    assert (name["displayName"], name["displayNameLastFirst"]) == ("Dr Bo K Lind, Jr", "Lind, Dr Bo K, Jr")
    assert name["unstructuredName"] == name["displayName"]
    assert [p.get("canonicalForm") for p in phones] == ["+442079460000", "+46812345678", None]
    assert phones[0]["formattedType"] == "Home Fax" and "formattedType" not in phones[1]
    assert [m["metadata"].get("primary") for m in mails] == [None, True] and mails[0]["formattedType"] == "Work"
    address = person["addresses"][0]
    assert address["formattedValue"] == "1 High St\nLeeds\nLS1 1AA" and address["formattedType"] == "My Hut" and "region" not in address
    assert person["biographies"][0]["contentType"] == "TEXT_PLAIN"
    source = person["metadata"]["sources"][0]
    assert person["resourceName"].startswith("people/c") and person["etag"].startswith("%E")
    assert source["type"] == "CONTACT" and source["etag"] and mails[0]["metadata"]["source"] == {"type": "CONTACT", "id": source["id"]}


def test_a_name_in_one_piece_is_taken_apart_and_parts_win_over_it(google):
    assert google.create(names=[{"unstructuredName": "Bo van Lind"}])["names"][0]["middleName"] == "van"
    person = google.create(names=[{"unstructuredName": "Old Name", "givenName": "Bo"}])
    assert person["names"][0]["displayName"] == "Bo"


def test_reading_shows_the_fields_of_the_mask_alone(google):
    person = google.create(emailAddresses=[{"value": "a@x.example"}])
    assert set(read(google, person, "names").json()) == {"resourceName", "etag", "names"}
    assert set(read(google, person, "metadata,memberships").json()) == {"resourceName", "etag", "metadata", "memberships"}
    assert "personFields mask is required" in refused(read(google, person, ""), 400, "INVALID_ARGUMENT")["message"]
    refused(read(google, person, "names,planets"), 400, "INVALID_ARGUMENT")
    refused(google.get("/v1/people/c5", personFields="names"), 404, "NOT_FOUND")
    refused(google.get(f"/v1/{person['resourceName']}", personFields="names", foo="1"), 400, "INVALID_ARGUMENT")


def test_mailboxes_do_not_see_each_other(google):
    person = google.create()
    refused(read(google, person, mailbox=HUGO), 404, "NOT_FOUND")
    refused(google.call("DELETE", f"/v1/{person['resourceName']}:deleteContact", mailbox=HUGO), 404)
    assert google.good("GET", "/v1/people/me/connections", mailbox=HUGO, params={"personFields": "names"}) == {}
    assert google.get("/v1/people/me", mailbox=HUGO, personFields="emailAddresses").json()["emailAddresses"][0]["value"] == HUGO


def test_many_are_read_with_a_status_each(google):
    person = google.create()
    answer = google.get(
        "/v1/people:batchGet", resourceNames=[person["resourceName"], "people/c9", "people/me"], personFields="names"
    ).json()
    good, bad, me = answer["responses"]
    assert good["httpStatusCode"] == 200 and good["person"]["names"] and good["status"]["code"] == 0
    assert bad == {"requestedResourceName": "people/c9", "httpStatusCode": 404, "status": {"code": 5, "message": bad["status"]["message"]}}
    assert me["requestedResourceName"] == "people/me" and me["person"]["names"][0]["displayName"] == "Gina Example"
    names = [f"people/c{n}" for n in range(201)]
    refused(google.get("/v1/people:batchGet", resourceNames=names, personFields="names"), 400, "INVALID_ARGUMENT")
    assert google.get("/v1/people:batchGet", resourceNames=names[:200], personFields="names").status_code == 200
    refused(google.get("/v1/people:batchGet", personFields="names"), 400, "INVALID_ARGUMENT")


def test_partial_responses(google):
    google.create(emailAddresses=[{"value": "a@x.example"}])
    for fields in ("connections(resourceName,emailAddresses/value)", "connections/resourceName,connections/emailAddresses/value"):
        answer = google.get("/v1/people/me/connections", personFields="names,emailAddresses", fields=fields).json()
        assert list(answer) == ["connections"] and set(answer["connections"][0]) == {"resourceName", "emailAddresses"}
        assert answer["connections"][0]["emailAddresses"] == [{"value": "a@x.example"}]
    for bad in ("connections(", "a,,b", ")", "a(b", "a$"):
        assert google.get("/v1/people/me/connections", personFields="names", fields=bad).status_code == 400


# --- what is refused of a body ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"planet": 1}, 'Unknown name "planet"'),
        ({"names": [{"firstName": "Bo"}]}, "Unknown name \"firstName\" at 'person.names[0]'"),
        ({"names": {"givenName": "Bo"}}, "Invalid value at 'person.names'"),
        ({"names": [{"givenName": 5}]}, "TYPE_STRING"),
        ({"organizations": [{"current": "yes"}]}, "TYPE_BOOL"),
        ({"birthdays": [{"date": {"month": 2.5, "day": 1}}]}, "TYPE_INT32"),
        ({"birthdays": [{"date": {"month": 13, "day": 1}}]}, "Invalid date"),
        ({"biographies": [{"value": "x", "contentType": "RTF"}]}, "TYPE_ENUM"),
        ({"names": [{"givenName": "\ud800"}]}, "UTF-8"),
        ({"names": [{"givenName": "A"}, {"givenName": "B"}]}, "singleton"),
        ({"genders": [{"value": "male"}, {"value": "female"}]}, "singleton"),
        ({"memberships": member_of("contactGroups/5a99")}, "does not exist"),
        ([], "Invalid value at 'person'"),
    ],
)
def test_bodies_that_are_refused_change_nothing(google, body, says):
    answer = google.call("POST", "/v1/people:createContact", json=body)
    assert says in refused(answer, 400, "INVALID_ARGUMENT")["message"]
    assert google.system.store.contacts.count(GINA) == 0


def test_a_body_that_is_no_json(google):
    refused(google.call("POST", "/v1/people:createContact", data=b'{"names": ['), 400, "INVALID_ARGUMENT")


def test_numbers_as_texts_and_null_are_taken(google):
    body = {"birthdays": [{"date": {"year": "1980", "month": 5, "day": 2}}], "nicknames": None, "emailAddresses": [{"value": ""}]}
    person = google.call("POST", "/v1/people:createContact", data=json.dumps(body)).json()
    assert person["birthdays"][0]["date"] == {"year": 1980, "month": 5, "day": 2} and "emailAddresses" not in person


# --- updates ------------------------------------------------------------------------------------------------------------
def test_an_update_replaces_the_listed_fields_whole_and_leaves_the_rest(google):
    person = google.create(emailAddresses=[{"value": "a@x.example"}, {"value": "b@x.example"}], phoneNumbers=[{"value": "1"}])

    answer = google.update(person, "emailAddresses", emailAddresses=[{"value": "c@x.example"}], phoneNumbers=[{"value": "2"}]).json()

    assert [m["value"] for m in answer["emailAddresses"]] == ["c@x.example"] and answer["phoneNumbers"][0]["value"] == "1"
    assert answer["etag"] != person["etag"]
    cleared = google.update(answer, "emailAddresses,phoneNumbers").json()
    assert not {"emailAddresses", "phoneNumbers"} & set(cleared) and cleared["names"]


def test_a_person_that_was_read_can_be_written_back(google):
    person = google.create(emailAddresses=[{"value": "a@x.example", "type": "work"}], addresses=[{"city": "Leeds"}])
    person["addresses"][0]["city"] = "York"
    params = {"updatePersonFields": "names,emailAddresses,addresses,memberships", "personFields": ALL}
    again = google.good("PATCH", f"/v1/{person['resourceName']}:updateContact", json=person, params=params)
    assert again["addresses"][0]["formattedValue"] == "York" and again["memberships"] == person["memberships"]


def test_the_version_is_checked_by_the_source_or_the_person(google):
    first = google.create()
    second = google.update(first, "nicknames", nicknames=[{"value": "Bosse"}]).json()

    stale = refused(google.update(first, "nicknames"), 400, "FAILED_PRECONDITION")
    assert "different than the current person.etag" in stale["message"] and stale["errors"][0]["reason"] == "failedPrecondition"
    path, params = f"/v1/{first['resourceName']}:updateContact", {"updatePersonFields": "nicknames"}
    for metadata in ({}, {"sources": []}, {"sources": [{"type": "PROFILE", "etag": "x"}]}, {"sources": [{"type": "CONTACT"}]}):
        refused(google.call("PATCH", path, params=params, json={"metadata": metadata}), 400, "INVALID_ARGUMENT")
    old, new = (each["metadata"]["sources"][0] for each in (first, second))
    refused(google.call("PATCH", path, params=params, json={"metadata": {"sources": [old]}}), 400, "FAILED_PRECONDITION")
    refused(google.call("PATCH", path, params=params, json={"metadata": {"sources": [{**new, "id": "5"}]}}), 400, "INVALID_ARGUMENT")
    assert google.call("PATCH", path, params=params, json={"metadata": {"sources": [new]}}).status_code == 200
    refused(google.call("PATCH", path, params=params, json={"metadata": {"sources": [new]}}), 400, "FAILED_PRECONDITION")


@pytest.mark.parametrize("mask", ["", "metadata", "photos", "resourceName", "names,planets"])
def test_masks_of_updates_name_writable_fields(google, mask):
    refused(google.update(google.create(), mask), 400, "INVALID_ARGUMENT")


def test_a_contact_keeps_at_least_one_group(google):
    label, person = google.label(), google.create()
    refused(google.update(person, "memberships"), 400, "INVALID_ARGUMENT")
    moved = google.update(person, "memberships", memberships=member_of(label["resourceName"])).json()
    assert [m["contactGroupMembership"]["contactGroupResourceName"] for m in moved["memberships"]] == [label["resourceName"]]
    assert google.create()["memberships"][0]["contactGroupMembership"]["contactGroupId"] == "myContacts"


def test_deleting(google):
    person = google.create()
    google.delete(person)
    refused(google.call("DELETE", f"/v1/{person['resourceName']}:deleteContact"), 404, "NOT_FOUND")
    refused(google.update(person, "names"), 404, "NOT_FOUND")
    refused(read(google, person), 404, "NOT_FOUND")


# --- many at once -------------------------------------------------------------------------------------------------------
def test_a_batch_of_new_contacts_may_partly_succeed(google):
    bad = {"names": [{"givenName": "A"}, {"givenName": "B"}]}
    contacts = [{"contactPerson": each} for each in ({"names": [{"givenName": "Ann"}]}, bad, {"names": [{"givenName": "Cy"}]})]

    made = google.good("POST", BATCH_CREATE, json={"contacts": contacts, "readMask": "names"})["createdPeople"]

    assert [each["httpStatusCode"] for each in made] == [200, 400, 200] and made[1]["status"]["code"] == 3
    assert [each["person"]["names"][0]["givenName"] for each in made if "person" in each] == ["Ann", "Cy"]
    assert google.system.store.contacts.count(GINA) == 2
    assert google.good("POST", BATCH_CREATE, json={"contacts": contacts[:1], "readMask": ""}) == {}
    assert google.system.store.contacts.count(GINA) == 3
    refused(google.call("POST", BATCH_CREATE, json={"contacts": [{"contactPerson": {"x": 1}}], "readMask": "names"}), 400)
    refused(google.call("POST", BATCH_CREATE, json={"contacts": contacts[:1] * 201, "readMask": "names"}), 400, "INVALID_ARGUMENT")
    refused(google.call("POST", BATCH_CREATE, json={"contacts": [], "readMask": "names"}), 400, "INVALID_ARGUMENT")
    assert google.system.store.contacts.count(GINA) == 3


def test_a_batch_of_updates_may_partly_succeed(google):
    good, stale = google.create("Ann"), google.create("Ben")
    google.update(stale, "nicknames", nicknames=[{"value": "x"}])
    contacts = {p["resourceName"]: {"etag": p["etag"], "names": [{"givenName": "New"}]} for p in (good, stale)}
    contacts["people/c9"] = {"etag": "x"}

    body = {"contacts": contacts, "updateMask": "names", "readMask": "names,metadata"}
    done = google.good("POST", BATCH_UPDATE, json=body)["updateResult"]

    codes = {name: (each["httpStatusCode"], each["status"]["code"]) for name, each in done.items()}
    assert codes == {good["resourceName"]: (200, 0), stale["resourceName"]: (400, 9), "people/c9": (404, 5)}
    assert done[good["resourceName"]]["person"]["names"][0]["displayName"] == "New"
    assert read(google, stale, "names").json()["names"][0]["givenName"] == "Ben"
    many = {f"people/c{n}": {"etag": "x"} for n in range(201)}
    refused(google.call("POST", BATCH_UPDATE, json={**body, "contacts": many}), 400, "INVALID_ARGUMENT")
    refused(google.call("POST", BATCH_UPDATE, json={**body, "updateMask": ""}), 400, "INVALID_ARGUMENT")


def test_a_batch_of_deletions(google):
    people = [google.create(f"P{n}")["resourceName"] for n in range(3)]
    names = [*people, "people/c9"]
    refused(google.call("POST", BATCH_DELETE, json={"resourceNames": names}), 404, "NOT_FOUND")
    assert google.system.store.contacts.count(GINA) == 3
    google.system.set_switches({"batch_delete_missing": "ignore"})
    assert google.good("POST", BATCH_DELETE, json={"resourceNames": names}) == {}
    assert google.system.store.contacts.count(GINA) == 0
    many = [f"people/c{n}" for n in range(501)]
    refused(google.call("POST", BATCH_DELETE, json={"resourceNames": many}), 400, "INVALID_ARGUMENT")
    assert google.call("POST", BATCH_DELETE, json={"resourceNames": many[:500]}).status_code == 200


# --- the directory ------------------------------------------------------------------------------------------------------
def test_the_directory_lists_the_domain(google):
    path, params = (
        "/v1/people:listDirectoryPeople",
        {"readMask": "names,emailAddresses,metadata", "sources": "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"},
    )
    hugo = google.system.find_id("user", HUGO)

    people = google.get(path, **params).json()["people"]
    assert [p["emailAddresses"][0]["value"] for p in people] == [GINA, HUGO]
    assert people[0]["metadata"]["sources"][0]["type"] == "DOMAIN_PROFILE"
    assert google.get(f"/v1/{people[1]['resourceName']}", personFields="names").json()["names"][0]["givenName"] == "Hugo"
    token = google.get(path, requestSyncToken="true", **params).json()["nextSyncToken"]
    google.system.update_record("user", hugo, {"suspended": True})
    assert [p["emailAddresses"][0]["value"] for p in google.get(path, **params).json()["people"]] == [GINA]
    changes = google.get(path, requestSyncToken="true", syncToken=token, **params).json()["people"]
    assert [p["metadata"] for p in changes] == [{"deleted": True}] and changes[0]["resourceName"] == people[1]["resourceName"]
    refused(google.get(path, readMask="names"), 400, "INVALID_ARGUMENT")
    refused(google.get(path, sources=params["sources"]), 400, "INVALID_ARGUMENT")
    refused(google.get(path, **params, mergeSources="DIRECTORY_MERGE_SOURCE_TYPE_CONTACT"), 400)
    only = google.token(GINA, f"{AUTH}contacts")
    refused(google.call("GET", path, token=only, params=params), 403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    google.system.set_switches({"has_directory": False})
    refused(google.get(path, **params), 400, "FAILED_PRECONDITION")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/people/me/connections"), ("GET", "/v1/people/c1:updateContact"), ("GET", "/v1/planets"), ("GET", "/v2/people/me"),
        ("PUT", "/v1/contactGroups"), ("POST", "/v1/people:batchEverything"), ("GET", "/"), ("GET", "/v1"),
    ],
)  # fmt: skip
def test_methods_that_do_not_exist(google, method, path):
    assert google.raw(method, path, headers={"Authorization": f"Bearer {google.token(GINA)}"}).status_code == 404
