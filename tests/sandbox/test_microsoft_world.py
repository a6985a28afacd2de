"""The played Microsoft Graph within its world: control port, people's rows, pages, faults, scenarios, what is kept."""

from urllib.parse import quote

import pytest
import requests

from connectors.sandbox.microsoft.addresses import KNOWN, form_of
from connectors.sandbox.microsoft.switches import CHECKS, NAMES
from connectors.sandbox.world import World
from tests.sandbox.graph import ANN, BOB, IMMUTABLE, OURS, refused

CONTACT, FOLDER, USER = (f"/records/microsoft/{name}" for name in ("contact", "contactFolder", "user"))


def bearer(world):
    return {"Authorization": f"Bearer {world.microsoft.credentials()['access_token']}"}


# --- the control port ---------------------------------------------------------------------------------------------------
def test_the_control_port_says_what_to_connect_with(control, session):
    given = control.call("GET", "/").json()["microsoft"]

    assert given["base_url"] == control.world.base_urls["microsoft"] and given["mailboxes"] == [ANN, BOB]
    assert {"access_token", "tenant", "client_id", "client_secret", "web_url"} < set(given)
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    assert session.get(f"{given['base_url']}/v1.0/users/{ANN}/contacts", headers=headers, timeout=20).json()["value"] == []
    form = {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default", "client_id": given["client_id"],
            "client_secret": given["client_secret"]}  # fmt: skip
    assert session.post(f"{given['base_url']}/{given['tenant']}/oauth2/v2.0/token", data=form, timeout=20).status_code == 200


def test_people_write_drag_and_delete_contacts(control):
    control.call("POST", FOLDER, {"mailbox": ANN, "displayName": "Ours"})
    made = control.call("POST", CONTACT, {"mailbox": ANN, "surname": "Li", "emails": ["a@x.example"], "businessFax": "1"}).json()
    path = f"{CONTACT}/{made['id']}"

    assert (made["mailbox"], made["folder"], made["displayName"]) == (ANN, "Contacts", "Li")
    assert made["emailAddresses"] == [{"name": "a@x.example", "address": "a@x.example"}] and made["businessFax"] == "1"
    assert control.call("PATCH", path, {"categories": ["Salesforce"], "otherPhone": "2"}).json()["categories"] == ["Salesforce"]
    moved = control.call("PATCH", path, {"folder": "Ours", "jobTitle": "CTO"}).json()
    assert (moved["folder"], moved["jobTitle"], moved["otherPhone"]) == ("Ours", "CTO", "2")
    assert moved["immutableId"] == made["immutableId"] and moved["id"] != made["id"]
    for name in (made["id"], moved["id"], made["immutableId"], "1"):  # also by what it was called before
        assert control.call("GET", f"{CONTACT}/{name}").json()["id"] == moved["id"]
    control.call("DELETE", path)
    assert control.call("GET", path).json()["folder"] == "Deleted Items"
    assert control.call("PATCH", path, {"folder": "Contacts"}).json()["folder"] == "Contacts"
    assert [r["surname"] for r in control.call("GET", CONTACT).json()["records"]] == ["Li"]
    assert control.call("GET", f"{CONTACT}/9").status_code == 404


def test_a_row_that_was_read_can_be_sent_back(control):
    made = control.call("POST", CONTACT, {"mailbox": ANN, "surname": "Li", "extendedProperties": {OURS: "003AA"}}).json()
    again = control.call("PATCH", f"{CONTACT}/{made['id']}", {**made, "surname": "Ng"}).json()
    assert (again["surname"], again["extendedProperties"], again["displayName"]) == ("Ng", {OURS: "003AA"}, "Li")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (CONTACT, {"surname": "A"}, "mailbox must name"),
        (CONTACT, {"mailbox": "x@y.example"}, "mailbox must name"),
        (CONTACT, {"mailbox": ANN, "folder": "None"}, "it has Contacts, Deleted Items"),
        (CONTACT, {"mailbox": ANN, "fax": "1"}, "does not exist on type"),
        (CONTACT, {"mailbox": ANN, "emails": "a@x.example"}, "list of addresses"),
        (CONTACT, {"mailbox": ANN, "emails": ["a", "b", "c", "d"]}, "exceeds the max allowed value of 3"),
        (CONTACT, {"mailbox": ANN, "businessFax": 5}, "are texts"),
        (CONTACT, {"mailbox": ANN, "extendedProperties": {"x": "1"}}, "is invalid"),
        (CONTACT, {"mailbox": ANN, "extendedProperties": 5}, "object of texts"),
        (FOLDER, {"mailbox": ANN}, "displayName"),
        (FOLDER, {"mailbox": ANN, "displayName": "A", "parent": "None"}, "no folder"),
        (USER, {"mail": ANN}, "already"),
        (USER, {}, "with an @"),
        (USER, {"mail": "c@example.test", "state": "lost"}, "state must be"),
        (USER, {"mail": "c@example.test", "city": "X"}, "a user has no 'city'"),
        (USER, {"mail": "c@example.test", "accountEnabled": "yes"}, "true or false"),
        ("/records/microsoft/outlookCategory", {"mailbox": ANN, "displayName": "A", "color": "red"}, "one of none"),
        ("/microsoft/empty", {"mailbox": "x"}, "mailbox must name"),
        ("/microsoft/empty", {"mailbox": ANN, "folders": 1}, "true or false"),
        ("/limits", {"microsoft": {"per_10_minutes": -1}}, "per_10_minutes"),
        ("/limits", {"microsoft": {"per_hour": 1}}, "per_10_minutes, concurrent"),
        ("/faults", {"kind": "stale_delta", "system": "outreach"}, "microsoft only"),
        ("/faults", {"kind": "stale_delta", "form": "gently"}, "gone_with_location"),
        ("/faults", {"kind": "stale_delta", "where": "there"}, "next, delta"),
        ("/faults", {"kind": "status", "status": 500, "system": "microsoft", "path": "/v1.0/x"}, "/v1.0/users/{id}/contacts/{id}"),
    ],
)  # fmt: skip
def test_what_people_and_tools_cannot_do_is_said(control, path, body, says):
    assert says in control.refused("POST", path, body)
    assert control.call("GET", CONTACT).json()["records"] == [] and len(control.call("GET", USER).json()["records"]) == 2


def test_a_contact_stays_in_its_mailbox_and_special_folders_stay(control):
    made = control.call("POST", CONTACT, {"mailbox": ANN, "surname": "Li"}).json()
    assert "stays in its mailbox" in control.refused("PATCH", f"{CONTACT}/{made['id']}", {"mailbox": BOB})
    special = [f["id"] for f in control.call("GET", FOLDER).json()["records"] if f["displayName"] == "Contacts"][0]
    assert "keeps its name" in control.refused("PATCH", f"{FOLDER}/{special}", {"displayName": "X"})
    assert "cannot be deleted" in control.refused("DELETE", f"{FOLDER}/{special}")
    assert control.call("GET", f"{CONTACT}/{special}").status_code == 404


def test_folders_are_made_twice_renamed_and_deleted_by_people(control):
    ids = [control.call("POST", FOLDER, {"mailbox": ANN, "displayName": "Ours"}).json()["id"] for _ in range(2)]
    assert control.call("PATCH", f"{FOLDER}/{ids[1]}", {"displayName": "Theirs"}).json()["displayName"] == "Theirs"
    control.call("DELETE", f"{FOLDER}/{ids[0]}")
    assert control.call("GET", f"{FOLDER}/{ids[0]}").json()["parent"] == "Deleted Items"
    control.call("DELETE", f"{FOLDER}/{ids[0]}")
    assert control.call("GET", f"{FOLDER}/{ids[0]}").status_code == 404


def test_users_come_change_and_go(control, session):
    base = control.world.base_urls["microsoft"]

    def status(address):
        return session.get(f"{base}/v1.0/users/{address}/contacts", headers=bearer(control.world), timeout=20).status_code

    made = control.call("POST", USER, {"mail": "cy.young@example.test"}).json()
    assert made["displayName"] == "Cy Young" and status("cy.young@example.test") == 200
    assert control.call("PATCH", f"{USER}/{ANN}", {"state": "denied"}).json()["state"] == "denied" and status(ANN) == 403
    assert control.call("PATCH", f"{USER}/{made['id']}", {"userPrincipalName": "cy@example.test"}).json()["id"] == made["id"]
    assert "already" in control.refused("PATCH", f"{USER}/{made['id']}", {"mail": BOB})
    assert control.call("DELETE", f"{USER}/{BOB}").status_code == 200 and status(BOB) == 404
    assert control.call("GET", "/").json()["microsoft"]["mailboxes"] == [ANN, "cy.young@example.test"]


def test_a_mailbox_is_emptied(control):
    control.call("POST", FOLDER, {"mailbox": ANN, "displayName": "Ours"})
    for folder, mailbox in (("Ours", ANN), ("Contacts", ANN), ("Contacts", BOB)):
        control.call("POST", CONTACT, {"mailbox": mailbox, "folder": folder, "surname": "A"})

    assert control.call("POST", "/microsoft/empty", {"mailbox": ANN}).json() == {"contacts": 2, "folders": 0}
    assert [r["mailbox"] for r in control.call("GET", CONTACT).json()["records"]] == [BOB]
    assert control.call("POST", "/microsoft/empty", {"mailbox": ANN, "folders": True}).json() == {"contacts": 0, "folders": 1}


def test_categories_of_people(control):
    made = control.call("POST", "/records/microsoft/outlookCategory", {"mailbox": ANN, "displayName": "Blue"}).json()
    path = f"/records/microsoft/outlookCategory/{made['id']}"
    assert control.call("PATCH", path, {"color": "preset7"}).json()["color"] == "preset7"
    assert "only the color" in control.refused("PATCH", path, {"displayName": "X"})
    assert "already" in control.refused("POST", "/records/microsoft/outlookCategory", {"mailbox": ANN, "displayName": "blue"})
    assert control.call("DELETE", path).status_code == 200 and control.call("GET", path).status_code == 404


def test_limits_are_set_and_told(control):
    told = control.call("POST", "/limits", {"microsoft": {"per_10_minutes": 5, "concurrent": None}}).json()
    assert told["microsoft"] == {"per_10_minutes": 5, "concurrent": None}
    back = control.call("POST", "/limits", {"microsoft": {"per_10_minutes": None, "concurrent": 4}}).json()
    assert back["microsoft"] == {"per_10_minutes": 10_000, "concurrent": 4}


def test_every_switch_is_checked_and_told(control):
    assert set(CHECKS) == set(NAMES) == set(control.call("GET", "/switches").json()["microsoft"])
    before = control.call("GET", "/switches").json()
    for name in NAMES:
        assert name in control.refused("POST", "/switches", {"outreach": {"unique_custom_id": True}, "microsoft": {name: [5]}})
    assert "certificate" in control.refused("POST", "/switches", {"microsoft": {"certificate": 5}})
    assert control.refused("POST", "/switches", {"microsoft": {"certificate": "no key"}})
    assert control.call("GET", "/switches").json() == before
    after = control.call("POST", "/switches", {"microsoft": {"delta_replays": True}}).json()
    assert after["microsoft"] == {**before["microsoft"], "delta_replays": True}


def test_calls_are_counted_with_their_units_and_secrets_are_hidden(control, session):
    given = control.call("GET", "/").json()["microsoft"]
    form = {"grant_type": "client_credentials", "client_id": given["client_id"], "client_secret": "s3cret", "client_assertion": "a.b.c"}
    session.post(f"{given['base_url']}/{given['tenant']}/oauth2/v2.0/token", data=form, timeout=20)
    session.get(f"{given['base_url']}/v1.0/users/{ANN}/contacts", headers=bearer(control.world), timeout=20)

    told = control.call("GET", "/calls").json()

    assert told["counts"]["microsoft"] == {"POST /{tenant}/oauth2/v2.0/token": 1, "GET /v1.0/users/{id}/contacts": 1}
    assert told["units"]["microsoft"] == 2 and "s3cret" not in told["calls"][0]["query"] and "a.b.c" not in told["calls"][0]["query"]
    assert told["calls"][1]["parts"][0]["mailbox"] == ANN
    control.call("DELETE", "/calls")
    assert control.call("GET", "/calls").json()["units"] == {}


def test_delta_tokens_are_killed_from_the_control_port(control, session):
    base = control.world.base_urls["microsoft"]
    link = session.get(f"{base}/v1.0/users/{ANN}/contacts/delta", headers=bearer(control.world), timeout=20).json()["@odata.deltaLink"]
    control.call("POST", "/microsoft/expire_delta")
    assert refused(session.get(link, headers=bearer(control.world), timeout=20)) == (410, "SyncStateNotFound")


# --- pages ------------------------------------------------------------------------------------------------------------------
def test_pages_show_and_edit_the_contacts_of_each_mailbox(control, session):
    url = control.world.control_url
    made = control.call("POST", CONTACT, {"mailbox": ANN, "surname": "<Li>", "emails": ["a@x.example"], "categories": ["Family"]}).json()
    control.call("POST", CONTACT, {"mailbox": BOB, "surname": "Ng"})
    control.call("POST", FOLDER, {"mailbox": ANN, "displayName": "Ours"})

    assert "Microsoft contact" in session.get(f"{url}/", headers={"Accept": "text/html"}, timeout=20).text
    listed = session.get(f"{url}/browse/microsoft/contact?q={ANN}", timeout=20).text
    assert "&lt;Li&gt;" in listed and "Family" in listed and "Ng" not in listed
    for name in ("contactFolder", "user", "outlookCategory"):
        assert session.get(f"{url}/browse/microsoft/{name}", timeout=20).status_code == 200
    page = session.post(f"{url}/browse/microsoft/contact/{made['id']}", data={"folder": "Ours", "emails": "b@x.example, c@x.example",
                                                                              "jobTitle": "CTO"}, timeout=20)  # fmt: skip
    assert page.status_code == 200 and "Saved." in page.text
    after = control.call("GET", f"{CONTACT}/{made['id']}").json()
    assert (after["folder"], after["emails"], after["jobTitle"]) == ("Ours", ["b@x.example", "c@x.example"], "CTO")
    wrong = session.post(f"{url}/browse/microsoft/contact/{made['id']}", data={"folder": "Nowhere"}, timeout=20)
    assert "the mailbox has no folder" in wrong.text


# --- faults -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "ErrorInvalidRequest"), (401, "InvalidAuthenticationToken"), (403, "ErrorAccessDenied"), (404, "ErrorItemNotFound"),
     (412, "ErrorIrresolvableConflict"), (429, "ApplicationThrottled"), (500, "ErrorInternalServerTransientError"),
     (503, "ServiceNotAvailable"), (418, "UnknownError")],
)  # fmt: skip
def test_faults_speak_graph(graph, status, code):
    graph.world.faults.add({"kind": "status", "status": status, "system": "microsoft", "retry_after": 9, "times": 1})
    answer = graph.call("POST", "contacts", json={"surname": "A"})
    assert refused(answer) == (status, code) and answer.headers["Retry-After"] == "9"
    assert (graph.parts()[0]["mailbox"], graph.parts()[0]["status"]) == (ANN, status) and graph.all("contacts") == []


def test_a_fault_says_its_own_words_and_gateways_send_pages(graph):
    graph.world.faults.add({"kind": "status", "status": 503, "code": "ConcurrentItemSave", "system": "microsoft", "times": 1})
    assert refused(graph.call("GET", "contacts")) == (503, "ConcurrentItemSave")
    graph.world.faults.add({"kind": "status", "status": 504, "system": "microsoft", "times": 1})
    answer = graph.call("GET", "contacts")
    assert answer.status_code == 504 and answer.headers["Content-Type"] == "text/html"


@pytest.mark.parametrize(("status", "error"), [(400, "invalid_grant"), (401, "invalid_client"), (503, "temporarily_unavailable")])
def test_faults_of_tokens_speak_the_platform_s_words(graph, status, error):
    path = "/{tenant}/oauth2/v2.0/token"
    graph.world.faults.add({"kind": "status", "status": status, "system": "microsoft", "path": path, "retry_after": 3})
    answer = graph.raw("POST", f"/{graph.given['tenant']}/oauth2/v2.0/token", data={})
    assert (answer.status_code, answer.json()["error"], answer.headers["Retry-After"]) == (status, error, "3")
    assert graph.call("GET", "contacts").status_code == 200


def test_answers_are_lost_cut_and_late_as_anywhere(graph):
    for kind in ("lost_answer", "drop"):
        graph.world.faults.add({"kind": kind, "system": "microsoft", "times": 1, "method": "POST"})
        with pytest.raises(requests.exceptions.ConnectionError):
            graph.call("POST", "contacts", json={"surname": kind})
    assert [c["surname"] for c in graph.all("contacts")] == ["lost_answer"]
    graph.world.faults.add({"kind": "truncate", "system": "microsoft", "times": 1})
    with pytest.raises(ValueError, match="."):
        graph.call("GET", "contactFolders").json()
    graph.world.faults.add({"kind": "expire_token", "system": "microsoft", "times": 1})
    assert refused(graph.call("GET", "contacts")) == (401, "InvalidAuthenticationToken")
    graph.world.faults.add({"kind": "redirect", "system": "microsoft", "times": 1})
    assert graph.call("GET", "contacts").status_code == 307


def test_an_address_that_is_too_long(graph):
    assert graph.call("GET", f"contacts?$filter={'a' * 17_000}").status_code == 414


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1.0/users/ann@example.test/contacts/AAMkAD", "/v1.0/users/{id}/contacts/{id}"),
        ("/v1.0/users('x')/contactFolders('y')/contacts/microsoft.graph.delta()", "/v1.0/users/{id}/contactFolders/{id}/contacts/delta"),
        ("/v1.0/users/x/contactFolders/Contacts/contacts", "/v1.0/users/{id}/contactFolders/contacts/contacts"),
        ("/v1.0/users/x/outlook/masterCategories/7", "/v1.0/users/{id}/outlook/masterCategories/{id}"),
        ("/contoso.example/oauth2/v2.0/token", "/{tenant}/oauth2/v2.0/token"),
        ("/v1.0/$batch", "/v1.0/$batch"),
        ("/v1.0", "/v1.0"),
        ("/nothing/else", "/nothing/else"),
    ],
)
def test_forms_of_addresses(path, form):
    assert form_of(path) == form_of(form) == form and (form in KNOWN) == (form not in ("/v1.0", "/nothing/else"))


# --- scenarios and what is kept -----------------------------------------------------------------------------------------------
def test_an_empty_world_has_two_mailboxes_and_a_demo_ten_personal_contacts(graph):
    assert graph.given["mailboxes"] == [ANN, BOB] and graph.system.list_records("contact") == []
    graph.world.reset("demo")
    rows = graph.world.microsoft.list_records("contact")
    assert len(rows) == 10 and {(row["mailbox"], row["folder"]) for row in rows} == {(ANN, "Contacts")}


def test_everything_is_kept_over_a_restart(tmp_path):
    path = tmp_path / "state.sqlite3"
    first = World(seed=7, scenario="empty", state_path=path)
    folder = first.microsoft.create_record("contactFolder", {"mailbox": ANN, "displayName": "Ours"})
    rows = [first.microsoft.create_record("contact", {"mailbox": ANN, "folder": "Ours", "surname": f"N{n}"}) for n in range(4)]
    first.microsoft.update_record("contact", 2, {"folder": "Contacts"})
    first.microsoft.delete_record("contact", 3)
    first.microsoft.set_switches({"page_size": 3, "delta_replays": True})
    first.microsoft.limits.per_10_minutes = 77
    given = first.microsoft.credentials()
    first.keep()
    kept = first.microsoft.dump()

    second = World(seed=7, state_path=path).microsoft

    assert second.dump() == kept and second.credentials() == given and second.limits.per_10_minutes == 77
    assert second.switches()["page_size"] == 3 and second.store.members == first.microsoft.store.members
    assert second.store.journals == {name: entries for name, entries in _present(first.microsoft.store).items() if entries}
    assert second.get_record("contact", 1)["id"] == rows[0]["id"] and second.find_id("contactFolder", folder["id"])
    assert second.create_record("contact", {"mailbox": ANN})["id"] not in {row["id"] for row in rows}


def _present(store):
    """Returns the journals without what was told of later again."""
    told = {}
    for stream, entries in store.journals.items():
        told[stream] = [e for e in entries if e[1] or ((row := store.member(stream, e[2])) is not None and row["seq"] == e[0])]
    return told


def test_a_state_of_before_there_was_a_microsoft_gets_its_mailboxes(tmp_path):
    path = tmp_path / "state.sqlite3"
    old = World(seed=7, scenario="empty", state_path=path)
    old._state._db.execute("DELETE FROM state WHERE key = 'meta:microsoft'")
    old._state._db.execute("DELETE FROM rows WHERE system = 'microsoft'")
    assert World(seed=7, state_path=path).microsoft.credentials()["mailboxes"] == [ANN, BOB]


def test_a_round_goes_on_after_a_restart_in_the_middle_of_its_pages(tmp_path):
    path = tmp_path / "state.sqlite3"
    with requests.Session() as session:
        session.trust_env = False
        page, ids = _first_page(session, path)
        from connectors.sandbox.transport import SandboxAdapter

        again = World(seed=7, state_path=path)
        session.mount("http://", SandboxAdapter(again))
        headers = {**IMMUTABLE, **bearer(again)}
        rest = session.get(page["@odata.nextLink"], headers=headers).json()
        assert [e["id"] for e in page["value"] + rest["value"]] == ids and "@odata.deltaLink" in rest


def _first_page(session, path):
    from connectors.sandbox.transport import SandboxAdapter, base_url

    world = World(seed=7, scenario="empty", state_path=path)
    session.mount("http://", SandboxAdapter(world))
    ids = [world.microsoft.create_record("contact", {"mailbox": ANN, "surname": f"N{n}"})["immutableId"] for n in range(15)]
    headers = {**IMMUTABLE, **bearer(world)}
    page = session.get(f"{base_url('microsoft')}/v1.0/users/{quote(ANN)}/contacts/delta", headers=headers).json()
    world.keep()
    return page, ids
