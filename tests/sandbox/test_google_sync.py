"""Lists of the played People API: pages, sync tokens and their life, delay, new names; and that a sync reader ends with the
picture of a full listing."""

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.sandbox.google_account import ALL, GINA, Google, member_of, refused

LIST = "/v1/people/me/connections"
DAY = 86400


def names_of(people):
    return [p["names"][0]["givenName"] for p in people]


# --- pages --------------------------------------------------------------------------------------------------------------
def test_pages_end_with_the_sync_token(google):
    for n in range(5):
        google.create(f"P{n}")
    params = {"personFields": "names", "pageSize": 2, "requestSyncToken": "true"}

    first = google.get(LIST, **params).json()

    assert first["totalItems"] == first["totalPeople"] == 5 and "nextSyncToken" not in first
    people, token = google.sync(personFields="names", pageSize=2)
    assert names_of(people) == [f"P{n}" for n in range(5)] and token
    plain = google.get(LIST, personFields="names").json()
    assert len(plain["connections"]) == 5 and not {"nextSyncToken", "nextPageToken"} & set(plain)


def test_pages_are_asked_with_the_same_parameters(google):
    for n in range(3):
        google.create(f"P{n}")
    params = {"personFields": "names,metadata", "pageSize": 2}
    page = google.get(LIST, **params).json()["nextPageToken"]

    refused(google.get(LIST, **{**params, "personFields": "names"}, pageToken=page), 400, "INVALID_ARGUMENT")
    refused(google.get(LIST, **{**params, "pageSize": 1}, pageToken=page), 400, "INVALID_ARGUMENT")
    assert names_of(google.get(LIST, **{**params, "personFields": "metadata,names"}, pageToken=page).json()["connections"]) == ["P2"]
    for bad in ("x", page[:-4], "AAAA" + page, "é"):
        refused(google.get(LIST, **params, pageToken=bad), 400, "INVALID_ARGUMENT")
    refused(google.get(LIST, mailbox="hugo@example.test", **params, pageToken=page), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("size", ["1001", "x", "-1"])
def test_sizes_of_pages(google, size):
    refused(google.get(LIST, personFields="names", pageSize=size), 400, "INVALID_ARGUMENT")


def test_lists_in_another_order(google):
    for given_name, family in (("Cy", "Abel"), ("ann", "Zorn"), ("Ben", "Moe")):
        google.create(names=[{"givenName": given_name, "familyName": family}])
    orders = {"FIRST_NAME_ASCENDING": ["ann", "Ben", "Cy"], "LAST_NAME_ASCENDING": ["Cy", "Ben", "ann"]}
    orders |= {"LAST_MODIFIED_DESCENDING": ["Ben", "ann", "Cy"], "LAST_MODIFIED_ASCENDING": ["Cy", "ann", "Ben"]}
    for order, expected in orders.items():
        seen, page = [], {}
        while page is not None:
            answer = google.get(LIST, personFields="names", sortOrder=order, pageSize=1, **page).json()
            seen += names_of(answer["connections"])
            page = {"pageToken": answer["nextPageToken"]} if "nextPageToken" in answer else None
        assert seen == expected, order
    refused(google.get(LIST, personFields="names", sortOrder="FIRST_NAME_ASCENDING", requestSyncToken="true"), 400, "INVALID_ARGUMENT")
    refused(google.get(LIST, personFields="names", sortOrder="RANDOM"), 400, "INVALID_ARGUMENT")
    assert google.get(LIST, personFields="names", sources="READ_SOURCE_TYPE_PROFILE").json() == {}


# --- sync tokens --------------------------------------------------------------------------------------------------------
def test_a_sync_brings_what_changed_and_who_is_gone(google):
    kept, edited, deleted = (google.create(name) for name in ("Kept", "Edited", "Deleted"))
    _, token = google.sync()

    assert google.sync(token)[0] == []
    google.update(edited, "nicknames", nicknames=[{"value": "x"}])
    google.delete(deleted)
    google.create("New")
    people, later = google.sync(token)

    gone = [p for p in people if p.get("metadata", {}).get("deleted")]
    assert gone == [{"resourceName": deleted["resourceName"], "etag": gone[0]["etag"], "metadata": {"deleted": True}}]
    assert names_of(p for p in people if p not in gone) == ["Edited", "New"] and kept["resourceName"] not in str(people)
    assert google.sync(later)[0] == [] and len(google.sync(token)[0]) == 3


def test_a_label_taken_off_is_a_changed_person(google):
    label, person = google.label(), google.create("Bo")
    google.modify(label, [person["resourceName"]])
    _, token = google.sync()
    google.modify(label, remove=[person["resourceName"]])

    changed, _ = google.sync(token)

    assert [m["contactGroupMembership"]["contactGroupId"] for m in changed[0]["memberships"]] == ["myContacts"]


def test_a_sync_token_is_bound_to_its_parameters(google):
    _, token = google.sync(personFields="names")
    for other in (
        {"personFields": "names,metadata"},
        {"pageSize": 5},
        {"requestSyncToken": "false"},
        {"sources": "READ_SOURCE_TYPE_CONTACT"},
    ):
        asked = {"personFields": "names", "requestSyncToken": "true", "pageSize": 1000, "syncToken": token, **other}
        assert "must match" in refused(google.get(LIST, **asked), 400, "INVALID_ARGUMENT")["message"]
    same = {"personFields": "names", "requestSyncToken": "true", "pageSize": 1000}
    refused(google.get(LIST, **same, syncToken="nonsense"), 400, "INVALID_ARGUMENT")
    refused(google.get(LIST, **same, syncToken=token, sortOrder="LAST_MODIFIED_ASCENDING"), 400, "INVALID_ARGUMENT")
    assert google.get(LIST, **same, syncToken=token, fields="nextSyncToken").status_code == 200


def test_a_sync_token_lives_seven_days_from_the_full_sync(google):
    google.create()
    _, token = google.sync()
    google.clock.forward(6.9 * DAY)
    _, later = google.sync(token)  # used, which does not lengthen its life
    google.clock.forward(0.2 * DAY)

    for old in (token, later):
        asked = {"personFields": ALL, "requestSyncToken": "true", "pageSize": 1000, "syncToken": old}
        error = refused(google.get(LIST, **asked), 400, "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN")
        assert error["details"][0]["domain"] == "people.googleapis.com" and "Sync token is expired" in error["message"]
    assert len(google.sync()[0]) == 1
    google.system.set_switches({"sync_token_days": 0})
    _, short = google.sync()
    google.clock.forward(1)
    assert google.get(LIST, personFields=ALL, requestSyncToken="true", pageSize=1000, syncToken=short).status_code == 400


def test_a_sync_token_of_another_world_has_expired(google):
    google.create()
    _, token = google.sync()
    google.world.reset("empty")
    google.system = google.world.google
    google.tokens.clear()
    answer = google.get(LIST, personFields=ALL, requestSyncToken="true", pageSize=1000, syncToken=token)
    refused(answer, 400, "FAILED_PRECONDITION", "EXPIRED_SYNC_TOKEN")


def test_what_changes_while_somebody_pages_comes_with_the_next_sync(google):
    people = [google.create(f"P{n}") for n in range(4)]
    asked = {"personFields": ALL, "requestSyncToken": "true", "pageSize": 2}
    first = google.get(LIST, **asked).json()
    google.delete(people[0])
    google.update(people[1], "nicknames", nicknames=[{"value": "x"}])

    last = google.get(LIST, **asked, pageToken=first["nextPageToken"]).json()
    while "nextSyncToken" not in last:
        last = google.get(LIST, **asked, pageToken=last["nextPageToken"]).json()
    changed = google.get(LIST, **asked, syncToken=last["nextSyncToken"]).json()["connections"]

    assert {p["resourceName"] for p in changed} == {p["resourceName"] for p in people[:2]}


# --- switches -----------------------------------------------------------------------------------------------------------
def test_writes_reach_sync_readers_late(google):
    google.system.set_switches({"sync_delay_seconds": 300})
    old, edited = google.create("Old"), google.create("Edited")
    google.clock.forward(301)
    full, token = google.sync()
    assert names_of(full) == ["Old", "Edited"]
    google.create("New")
    google.update(edited, "names", names=[{"givenName": "Renamed"}])
    google.delete(old)

    assert google.sync(token)[0] == [] and names_of(google.sync()[0]) == ["Old", "Edited"]
    assert names_of(google.get(LIST, personFields="names").json()["connections"]) == ["New", "Renamed"]
    _, early = google.sync()
    google.clock.forward(301)
    for each in (token, early):
        people = google.sync(each)[0]
        assert names_of(p for p in people if "names" in p) == ["New", "Renamed"] and people[-1]["metadata"] == {"deleted": True}


def test_a_contact_may_get_another_name(google):
    google.system.set_switches({"rename_on_email_change": True})
    person = google.create("Bo")
    _, token = google.sync()

    moved = google.update(person, "emailAddresses", emailAddresses=[{"value": "a@x.example"}]).json()

    assert moved["resourceName"] != person["resourceName"] and "previousResourceNames" not in moved["metadata"]
    changed, later = google.sync(token)
    assert changed[0]["metadata"]["previousResourceNames"] == [person["resourceName"]]
    assert changed[0]["metadata"]["sources"][0]["id"] == person["metadata"]["sources"][0]["id"]
    google.update(moved, "nicknames", nicknames=[{"value": "x"}])
    assert "previousResourceNames" not in google.sync(later)[0][0]["metadata"]
    old = f"/v1/{person['resourceName']}"
    answer = google.get("/v1/people:batchGet", resourceNames=person["resourceName"], personFields="names").json()["responses"][0]
    assert (answer["requestedResourceName"], answer["person"]["resourceName"]) == (person["resourceName"], moved["resourceName"])
    google.system.set_switches({"old_names_resolve": False})
    refused(google.get(old, personFields="names"), 404, "NOT_FOUND")


def test_the_first_page_of_a_full_sync_has_its_own_quota(google):
    google.create("A"), google.create("B")
    google.system.set_switches({"full_syncs_per_minute": 2})
    _, token = google.sync(pageSize=1)
    google.sync(pageSize=1)

    refused(google.get(LIST, personFields=ALL, requestSyncToken="true", pageSize=1), 429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
    assert google.sync(token, pageSize=1)[0] == [] and google.get(LIST, personFields=ALL).status_code == 200
    google.sync(mailbox="hugo@example.test")
    google.clock.forward(61)
    google.sync(pageSize=1)


# --- convergence --------------------------------------------------------------------------------------------------------
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("create", "edit", "label", "unlabel", "delete", "rename", "drop_label", "wait", "page", "sync", "empty")),
        st.integers(0, 7),
    ),
    min_size=12,
    max_size=40,
)


class Reader:
    """Keeps a picture by syncing, as a client does that was never told anything else."""

    def __init__(self, google: Google, size: int) -> None:
        self.google, self.size = google, size
        self.people: dict[str, dict] = {}
        self.token = ""
        self.asked = {"personFields": ALL, "requestSyncToken": "true", "pageSize": size}

    def read_a_page(self) -> bool:
        """Reads one page. Returns whether it was the last one."""
        sent = {**self.asked, **({"syncToken": self.token} if self.token else {})}
        page = self.google.good("GET", LIST, params=sent)
        for person in page.get("connections", []):
            for old in person.get("metadata", {}).get("previousResourceNames", []):
                self.people.pop(old, None)
            if person.get("metadata", {}).get("deleted"):
                self.people.pop(person["resourceName"], None)
            else:
                person["metadata"].pop("previousResourceNames", None)
                self.people[person["resourceName"]] = person
        self.asked.pop("pageToken", None)
        if "nextPageToken" in page:
            self.asked["pageToken"] = page["nextPageToken"]
        else:
            self.token = page["nextSyncToken"]
        return "nextPageToken" not in page

    def sync(self) -> None:
        while not self.read_a_page():
            pass


def step(google: Google, reader: Reader, act: str, n: int) -> None:
    store = google.system.store
    rows = store.contacts.box(GINA)
    row = rows[n % len(rows)] if rows else None
    labels = [g for g in google.get("/v1/contactGroups").json()["contactGroups"] if g["groupType"] == "USER_CONTACT_GROUP"]
    person = google.get(f"/v1/people/c{row['name']}", personFields=ALL).json() if row else None
    if act == "create":
        google.create(f"P{n}", emailAddresses=[{"value": f"p{n}@x.example"}], memberships=member_of("contactGroups/myContacts"))
    elif act == "wait":
        google.clock.forward(60 * n)
    elif act == "page":
        reader.read_a_page()
    elif act == "sync":
        reader.sync()
    elif act == "empty":
        google.system.by_hand.empty({"mailbox": GINA})
    elif act == "drop_label" and labels:
        google.good("DELETE", f"/v1/{labels[0]['resourceName']}", params={"deleteContacts": "true" if n % 2 else "false"})
    elif act == "label" and person:
        label = labels[0] if labels else google.label(f"L{n}")
        google.modify(label, [person["resourceName"]])
    elif act == "unlabel" and person and labels:
        google.modify(labels[0], remove=[person["resourceName"]])
    elif act == "edit" and person:
        assert google.update(person, "biographies", biographies=[{"value": f"Note {n}"}]).status_code == 200
    elif act == "rename" and person:
        google.system.by_hand.rename({"contact": person["resourceName"]})
    elif act == "delete" and person:
        google.delete(person)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, size=st.integers(1, 4), delay=st.sampled_from((0, 0, 90)))
@example(steps=[("create", 1), ("sync", 0), ("rename", 0), ("rename", 0), ("label", 0), ("sync", 0), ("delete", 0)], size=1, delay=0)
@example(steps=[("create", 1), ("sync", 0), ("rename", 0), ("delete", 0)], size=1, delay=0)
@example(steps=[("create", 1), ("create", 2), ("create", 3), ("page", 0), ("edit", 0), ("delete", 1), ("page", 0)], size=1, delay=0)
@example(steps=[("create", 1), ("wait", 2), ("sync", 0), ("edit", 0), ("create", 2), ("sync", 0)], size=2, delay=90)
@example(steps=[*[("create", 0)] * 9, ("page", 0), ("rename", 0), ("empty", 0)], size=1, delay=0)
@example(steps=[*[("create", 0)] * 8, ("label", 0), ("wait", 2), ("drop_label", 0), ("sync", 0)], size=1, delay=90)
def test_a_sync_reader_ends_with_the_picture_of_a_full_listing(steps, size, delay):
    with requests.Session() as session:
        google = Google(session)
        google.system.set_switches({"sync_delay_seconds": delay})
        reader = Reader(google, size)
        for act, n in steps:
            step(google, reader, act, n)

        google.clock.forward(delay + 1)
        reader.sync()
        reader.sync()

        listed = google.good("GET", LIST, params={"personFields": ALL, "pageSize": 1000}).get("connections", [])
        assert reader.people == {p["resourceName"]: p for p in listed}
        assert reader.read_a_page() and google.sync(reader.token, pageSize=size)[0] == []
