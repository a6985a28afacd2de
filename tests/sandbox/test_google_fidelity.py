"""The played Google against Google's own clients, and a walk over its calls whose every answer fits Google's description."""

import json

import google.auth.exceptions
import google.auth.transport.requests
import pytest
import requests
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.google_account import ALL, AUTH, GINA, HUGO, Google, member_of
from tests.sandbox.google_described import PEOPLE, discovery, validator

SCOPES = [f"{AUTH}contacts", f"{AUTH}directory.readonly"]


def described(control):
    return control.call("GET", "/").json()["google"]


def client(given, token=""):
    credentials = Credentials(token=token or given["access_token"])
    options = {"api_endpoint": given["base_url"]}
    return build("people", "v1", credentials=credentials, client_options=options, static_discovery=True)


@pytest.fixture
def api(control):
    with client(described(control)) as made:
        yield made


@pytest.fixture
def transport(session):
    return google.auth.transport.requests.Request(session)


def raised(call):
    with pytest.raises(HttpError) as caught:
        call.execute()
    return caught.value


# --- google-api-python-client -------------------------------------------------------------------------------------------
def test_the_client_creates_reads_updates_and_deletes(api):
    people = api.people()
    made = people.createContact(body={"names": [{"givenName": "Bo", "familyName": "Lind"}]}, personFields="names,metadata").execute()
    name = made["resourceName"]

    body = {"metadata": made["metadata"], "emailAddresses": [{"value": "b@x.example"}]}
    update = people.updateContact(resourceName=name, updatePersonFields="emailAddresses", personFields="emailAddresses,names", body=body)
    assert update.execute()["emailAddresses"][0]["value"] == "b@x.example"
    stale = raised(update)
    assert stale.status_code == 400 and "different than the current person.etag" in stale.reason

    assert people.get(resourceName=name, personFields="names").execute()["names"][0]["displayName"] == "Bo Lind"
    many = people.getBatchGet(resourceNames=[name, "people/c9"], personFields="names").execute()["responses"]
    assert [each["httpStatusCode"] for each in many] == [200, 404]
    assert people.deleteContact(resourceName=name).execute() == {}
    assert raised(people.get(resourceName=name, personFields="names")).status_code == 404


def test_the_client_pages_and_syncs(api):
    people = api.people()
    for n in range(5):
        people.createContact(body={"names": [{"givenName": f"P{n}"}]}).execute()
    connections = people.connections()
    asked = {"resourceName": "people/me", "personFields": "names,metadata", "requestSyncToken": True, "pageSize": 2}
    request, pages = connections.list(**asked), []
    while request is not None:
        pages.append(request.execute())
        request = connections.list_next(request, pages[-1])

    assert [len(page["connections"]) for page in pages] == [2, 2, 1] and ["nextSyncToken" in page for page in pages] == [False, False, True]
    gone = pages[0]["connections"][0]["resourceName"]
    people.deleteContact(resourceName=gone).execute()
    changes = connections.list(**asked, syncToken=pages[-1]["nextSyncToken"]).execute()
    assert [(p["resourceName"], p["metadata"]["deleted"]) for p in changes["connections"]] == [(gone, True)]


def test_the_client_reads_why_a_sync_token_is_refused(api, control):
    connections = api.people().connections()
    asked = {"resourceName": "people/me", "personFields": "names", "requestSyncToken": True}
    token = connections.list(**asked).execute()["nextSyncToken"]
    control.call("POST", "/clock", {"advance": 7 * 86400 + 1})
    with client(described(control)) as later:
        error = raised(later.people().connections().list(**asked, syncToken=token))
    assert error.status_code == 400 and error.error_details[0]["reason"] == "EXPIRED_SYNC_TOKEN"


def test_the_client_works_with_labels(api):
    groups, people = api.contactGroups(), api.people()
    label = groups.create(body={"contactGroup": {"name": "Salesforce Contacts"}}).execute()
    assert raised(groups.create(body={"contactGroup": {"name": "Salesforce Contacts"}})).status_code == 409
    person = people.createContact(body={"memberships": member_of("contactGroups/myContacts")}).execute()["resourceName"]
    modify = groups.members().modify(resourceName=label["resourceName"], body={"resourceNamesToAdd": [person, "people/c9"]})
    assert modify.execute() == {"notFoundResourceNames": ["people/c9"]}
    assert groups.get(resourceName=label["resourceName"], maxMembers=10).execute()["memberResourceNames"] == [person]
    body = {"contactGroup": {"name": "CRM", "etag": label["etag"]}, "updateGroupFields": "name"}
    assert groups.update(resourceName=label["resourceName"], body=body).execute()["name"] == "CRM"
    assert {g["name"] for g in groups.list().execute()["contactGroups"]} == {"myContacts", "starred", "CRM"}
    assert groups.delete(resourceName=label["resourceName"], deleteContacts=True).execute() == {}
    assert raised(people.get(resourceName=person, personFields="names")).status_code == 404


def test_the_client_writes_many(api):
    people = api.people()
    body = {"contacts": [{"contactPerson": {"names": [{"givenName": n}]}} for n in ("Ann", "Ben")], "readMask": "names,metadata"}
    made = [each["person"] for each in people.batchCreateContacts(body=body).execute()["createdPeople"]]
    contacts = {p["resourceName"]: {"etag": p["etag"], "names": [{"givenName": "New"}]} for p in made}
    done = people.batchUpdateContacts(body={"contacts": contacts, "updateMask": "names", "readMask": "names"}).execute()["updateResult"]
    assert [each["person"]["names"][0]["givenName"] for each in done.values()] == ["New", "New"]
    assert people.batchDeleteContacts(body={"resourceNames": list(contacts)}).execute() == {}
    source = "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"
    listed = people.listDirectoryPeople(readMask="emailAddresses", sources=[source]).execute()["people"]
    assert [p["emailAddresses"][0]["value"] for p in listed] == [GINA, HUGO]


def test_the_client_tells_quota_from_missing_rights(control, api):
    asked = api.people().get(resourceName="people/me", personFields="names")
    control.call("POST", "/limits", {"google": {"reads_per_minute": 0}})
    error = raised(asked)
    assert error.status_code == 429 and error.error_details[0]["reason"] == "RATE_LIMIT_EXCEEDED"
    control.call("POST", "/switches", {"google": {"quota_status": 403}})
    error = raised(asked)
    assert error.status_code == 403 and error.error_details[0]["reason"] == "rateLimitExceeded"
    control.call("POST", "/limits", {"google": {"reads_per_minute": None}})
    control.call("POST", "/switches", {"google": {"disabled_services": ["people"]}})
    assert raised(asked).error_details[0]["reason"] == "SERVICE_DISABLED"


# --- google-auth --------------------------------------------------------------------------------------------------------
def test_google_auth_signs_in_for_a_user_of_the_domain(control, transport):
    given = described(control)
    credentials = service_account.Credentials.from_service_account_info(given["service_account"], scopes=SCOPES, subject=HUGO)

    credentials.refresh(transport)

    with client(given, credentials.token) as api:
        me = api.people().get(resourceName="people/me", personFields="emailAddresses").execute()
    assert me["emailAddresses"][0]["value"] == HUGO and credentials.expiry is not None


@pytest.mark.parametrize(
    ("switches", "subject", "says"),
    [
        ({"delegated_scopes": ""}, GINA, "unauthorized_client"),
        ({}, "nobody@example.test", "invalid_grant"),
    ],
)
def test_google_auth_is_told_what_is_not_delegated(control, transport, switches, subject, says):
    control.call("POST", "/switches", {"google": switches})
    info = described(control)["service_account"]
    credentials = service_account.Credentials.from_service_account_info(info, scopes=SCOPES, subject=subject)
    with pytest.raises(google.auth.exceptions.RefreshError, match=says):
        credentials.refresh(transport)


def test_google_auth_refreshes_and_learns_of_a_revoked_token(control, transport, session):
    given = described(control)
    own = {name: given[name] for name in ("refresh_token", "client_id", "client_secret")}
    credentials = Credentials(token=None, token_uri=given["service_account"]["token_uri"], **own)
    credentials.refresh(transport)
    assert credentials.valid and credentials.refresh_token == given["refresh_token"]

    session.post(given["base_url"] + "/revoke", data={"token": given["refresh_token"]}, timeout=20)

    with pytest.raises(google.auth.exceptions.RefreshError, match="expired or revoked"):
        credentials.refresh(transport)


# --- every answer fits Google's description -----------------------------------------------------------------------------
def test_the_description_refuses_what_is_wrong():
    good = {"names": [{"givenName": "Bo"}], "metadata": {"sources": [{"type": "CONTACT", "id": "1"}]}}
    assert validator(PEOPLE, "Person").is_valid(good)
    for bad in ({"planet": 1}, {"names": {}}, {"names": [{"givenName": 5}]}, {"metadata": {"sources": [{"type": "MOON"}]}}):
        assert not validator(PEOPLE, "Person").is_valid(bad)


def test_the_types_are_those_of_the_description():
    from connectors.sandbox.google.schema import PERSON_FIELDS, TYPES

    for name, fields in TYPES.items():
        own = discovery(PEOPLE)["schemas"][name]["properties"]
        assert set(fields) == set(own), name
        for field in fields.values():
            items = own[field.name].get("items", own[field.name].get("additionalProperties", own[field.name]))
            assert field.allowed == tuple(items.get("enum", ())) and field.is_list == (own[field.name].get("type") == "array")
            assert field.kind == items.get("$ref", {"integer": "int", "boolean": "bool"}.get(items.get("type"), items.get("type")))
    text = discovery(PEOPLE)["resources"]["people"]["methods"]["get"]["parameters"]["personFields"]["description"]
    assert all(f"* {name}" in text for name in PERSON_FIELDS) and text.count("* ") == len(PERSON_FIELDS)


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
TYPED = {"value": TEXTS, "type": st.sampled_from(("work", "home", "homeFax", "My own", ""))}
VALUES = st.fixed_dictionaries({}, optional=TYPED)
DATES = st.fixed_dictionaries({"month": st.integers(1, 12), "day": st.integers(1, 28)}, optional={"year": st.integers(1, 9999)})
ORGANIZATION = {"name": TEXTS, "title": TEXTS, "current": st.booleans(), "startDate": DATES}
NAME = dict.fromkeys(("givenName", "familyName", "unstructuredName"), TEXTS)
PERSONS = st.fixed_dictionaries(
    {},
    optional={
        "names": st.lists(st.fixed_dictionaries({}, optional=NAME), max_size=1),
        "emailAddresses": st.lists(VALUES, max_size=4),
        "phoneNumbers": st.lists(st.fixed_dictionaries({"value": st.from_regex(r"\+?[0-9 ]{0,16}", fullmatch=True)}), max_size=3),
        "addresses": st.lists(st.fixed_dictionaries({}, optional={"city": TEXTS, "streetAddress": TEXTS, "type": TEXTS}), max_size=2),
        "organizations": st.lists(st.fixed_dictionaries({}, optional=ORGANIZATION), max_size=2),
        "birthdays": st.lists(st.fixed_dictionaries({"date": DATES}), max_size=1),
        "clientData": st.lists(st.fixed_dictionaries({"key": TEXTS, "value": TEXTS}), max_size=3),
        "genders": st.lists(st.fixed_dictionaries({"value": TEXTS}), max_size=1),
        "events": st.lists(st.fixed_dictionaries({"date": DATES}), max_size=2),
        "externalIds": st.lists(VALUES, max_size=2),
    },
)  # fmt: skip
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), PERSONS),
        st.tuples(st.just("update"), PERSONS),
        st.tuples(st.just("batch_create"), st.lists(PERSONS, min_size=1, max_size=3)),
        st.tuples(st.just("batch_update"), PERSONS),
        st.tuples(st.just("batch_get"), st.none()),
        st.tuples(st.just("label"), st.sampled_from(("A", "B", "C"))),
        st.tuples(st.sampled_from(("modify", "groups", "list", "sync", "directory", "me", "delete", "batch_delete", "drop")), st.none()),
    ),
    min_size=1,
    max_size=15,
)


class Walk:
    """Any calls in any order. `Google.call` holds every answer of 200 against its schema; here no answer may be a defect, and
    every refusal has the shape of one."""

    def __init__(self, client: Google) -> None:
        self.client, self.token = client, ""

    def call(self, method, path, **options):
        answer = self.client.call(method, path, **options)
        if answer.status_code != 200:
            error = answer.json()["error"]
            assert answer.status_code in (400, 404, 409) and error["code"] == answer.status_code and error["status"] and error["message"]
        return answer.json()

    def people(self):
        return self.call("GET", "/v1/people/me/connections", params={"personFields": ALL}).get("connections", [])

    def labels(self):
        groups = self.call("GET", "/v1/contactGroups")["contactGroups"]
        return [g["resourceName"] for g in groups if g["groupType"] == "USER_CONTACT_GROUP"]

    def step(self, act, given):
        people = self.people()
        first = people[0] if people else {"resourceName": "people/c9", "etag": "x"}
        name, mask = first["resourceName"], ",".join(given) if isinstance(given, dict) else ""
        label = next(iter(self.labels()), "contactGroups/5a")
        if act == "create":
            made = self.call("POST", "/v1/people:createContact", json=given, params={"personFields": ALL})
            assert self.call("GET", f"/v1/{made['resourceName']}", params={"personFields": ALL}) == made
        elif act == "update":
            params = {"updatePersonFields": mask, "personFields": ALL}
            self.call("PATCH", f"/v1/{name}:updateContact", json={"etag": first["etag"], **given}, params=params)
        elif act == "batch_create":
            body = {"contacts": [{"contactPerson": each} for each in given], "readMask": ALL}
            self.call("POST", "/v1/people:batchCreateContacts", json=body)
        elif act == "batch_update":
            contacts = {p["resourceName"]: {"etag": p["etag"], **given} for p in [*people[:2], {"resourceName": "people/c9", "etag": "x"}]}
            self.call("POST", "/v1/people:batchUpdateContacts", json={"contacts": contacts, "updateMask": mask, "readMask": ALL})
        elif act == "batch_get":
            self.call("GET", "/v1/people:batchGet", params={"resourceNames": [name, "people/me", "people/c9"], "personFields": ALL})
        elif act == "label":
            self.call("POST", "/v1/contactGroups", json={"contactGroup": {"name": given}})
        elif act == "modify":
            body = {"resourceNamesToAdd": [name], "resourceNamesToRemove": ["people/c9"]}
            self.call("POST", f"/v1/{label}/members:modify", json=body)
        elif act == "groups":
            self.call("GET", f"/v1/{label}", params={"maxMembers": 5, "groupFields": "name,clientData,memberCount,metadata,groupType"})
        elif act == "sync":
            asked = {"personFields": ALL, "requestSyncToken": "true", **({"syncToken": self.token} if self.token else {})}
            self.token = self.call("GET", "/v1/people/me/connections", params=asked)["nextSyncToken"]
        elif act == "directory":
            params = {"readMask": ALL, "sources": "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE", "requestSyncToken": "true"}
            self.call("GET", "/v1/people:listDirectoryPeople", params=params)
        elif act == "me":
            self.call("GET", "/v1/people/me", params={"personFields": ALL})
        elif act == "delete":
            self.call("DELETE", f"/v1/{name}:deleteContact")
        elif act == "batch_delete":
            self.call(
                "POST", "/v1/people:batchDeleteContacts", json={"resourceNames": [p["resourceName"] for p in people] or ["people/c9"]}
            )
        elif act == "drop":
            self.call("DELETE", f"/v1/{label}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(calls=CALLS)
def test_every_answer_of_a_walk_fits_googles_description(calls):
    with requests.Session() as session:
        walk = Walk(Google(session))
        for act, given_ in calls:
            walk.step(act, given_)
        assert json.dumps(walk.people())
