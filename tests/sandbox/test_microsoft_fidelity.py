"""The played Microsoft Graph as others see it: python-o365 and msal over HTTP, unchanged but for the address, and Microsoft's
own metadata, which every answer of a random walk is held to."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from O365 import Account, MSGraphProtocol

from connectors.sandbox.world import World
from tests.sandbox.graph import ANN, BOB, IMMUTABLE, OURS, Graph
from tests.sandbox.graph_types import TYPES, properties

SCOPES = ["https://graph.microsoft.com/.default"]


# --- python-o365 ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def account(world: World) -> Iterator[Account]:
    class Protocol(MSGraphProtocol):
        _protocol_url = f"{world.base_urls['microsoft']}/"

    given = world.microsoft.credentials()
    account = Account(
        (given["client_id"], given["client_secret"]), auth_flow_type="credentials", tenant_id=given["tenant"],
        protocol=Protocol(default_resource=ANN),
    )  # fmt: skip
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {given['access_token']}"
        account.con.session = session
        yield account


def test_o365_makes_changes_and_deletes_a_contact(account, world):
    book = account.address_book()
    new = book.new_contact()
    new.name, new.surname, new.job_title = "Bo", "Li", "CTO"
    new.emails.add("bo.li@widgets.example")
    new.business_phones = ["+44 20 7946 0958"]
    assert new.save() and new.object_id

    (found,) = book.get_contacts()
    assert (found.name, found.surname, found.job_title, found.display_name) == ("Bo", "Li", "CTO", "Bo Li")
    assert [email.address for email in found.emails] == ["bo.li@widgets.example"] and found.business_phones == ["+44 20 7946 0958"]
    found.company_name = "Widgets"
    assert found.save() and world.microsoft.list_records("contact")[0]["companyName"] == "Widgets"
    assert found.delete() and list(book.get_contacts()) == []
    assert world.microsoft.list_records("contact")[0]["folder"] == "Deleted Items"


def test_o365_reads_all_pages_and_finds_by_address(account, world):
    for n in range(25):
        world.microsoft.create_record("contact", {"mailbox": ANN, "surname": f"N{n:02d}", "emails": [f"n{n}@x.example"]})
    book = account.address_book()

    assert sorted(c.surname for c in book.get_contacts(limit=100, batch=7)) == [f"N{n:02d}" for n in range(25)]
    with_address = book.q().any(collection="email_addresses", filter_instance=book.q().equals("address", "n7@x.example"))
    assert [c.surname for c in book.get_contacts(query=with_address)] == ["N07"]
    assert [c.surname for c in book.get_contacts(query="surname eq 'N03'", order_by="surname")] == ["N03"]


def test_o365_knows_folders(account, world):
    book = account.address_book()
    ours = book.create_child_folder("Salesforce Contacts")
    world.microsoft.create_record("contact", {"mailbox": ANN, "folder": "Salesforce Contacts", "surname": "In"})

    (listed,) = book.get_folders()
    for folder in (ours, listed):
        folder.root = False  # O365 takes the children of an address book for further roots
    assert listed.name == "Salesforce Contacts" and [c.surname for c in listed.get_contacts()] == ["In"]
    assert book.get_folder(folder_name="Salesforce Contacts").folder_id == ours.folder_id
    assert ours.update_folder_name("Theirs") and book.get_folder(folder_id=ours.folder_id).name == "Theirs"
    assert ours.delete() and list(book.get_folders()) == []


def test_o365_makes_categories(account, world):
    from O365.category import CategoryColor

    categories = account.outlook_categories()
    made = categories.create_category("Salesforce", color=CategoryColor.BLUE)
    assert [(c.name, c.color) for c in categories.get_categories()] == [("Salesforce", made.color)]
    assert made.update_color(CategoryColor.RED) and made.delete() and list(categories.get_categories()) == []


def test_o365_reads_mail_page_by_page_and_its_folders(account, world):
    for n in range(25):
        world.microsoft.create_record("message", {"mailbox": ANN, "from": "Bo <bo@x.example>", "subject": f"N{n:02d}", "body": "Hi\nBo",
                                                  "receivedDateTime": f"2026-10-{n + 1:02d}T09:00:00Z"})  # fmt: skip
    box = account.mailbox()
    inbox = box.inbox_folder()

    assert [m.subject for m in inbox.get_messages(limit=100, batch=7)] == [f"N{n:02d}" for n in reversed(range(25))]
    (found,) = box.get_messages(query="subject eq 'N03'")
    assert (found.sender.address, found.get_body_text().split()) == ("bo@x.example", ["Hi", "Bo"]) and found.is_read is False
    ours = box.create_child_folder("Salesforce Emails")
    assert box.get_folder(folder_name="Salesforce Emails").folder_id == ours.folder_id
    assert found.mark_as_read() and found.move(ours) and [m.subject for m in ours.get_messages()] == ["N03"]
    assert ours.update_folder_name("Theirs") and ours.delete()
    assert [f.name for f in box.get_folders()][:3] == ["Inbox", "Drafts", "Sent Items"]


def test_o365_sends_a_draft_with_a_file_and_reads_it_elsewhere(account, world, tmp_path):
    (tmp_path / "quote.txt").write_text("10 pieces")
    draft = account.new_message()
    draft.subject, draft.body = "Quote", "<p>See the file.</p>"
    draft.to.add(BOB)
    draft.attachments.add(str(tmp_path / "quote.txt"))
    draft.categories = ["Salesforce"]
    assert draft.save_draft() and draft.send()

    (received,) = account.mailbox(resource=BOB).inbox_folder().get_messages(download_attachments=True)
    sent = next(account.mailbox().sent_folder().get_messages())
    assert received.subject == "Quote" and received.internet_message_id == sent.internet_message_id
    (file,) = received.attachments
    assert file.name == "quote.txt" and file.save(str(tmp_path), "got.txt") and (tmp_path / "got.txt").read_text() == "10 pieces"
    assert received.delete() and list(account.mailbox(resource=BOB).inbox_folder().get_messages()) == []
    at_once = account.new_message()
    at_once.subject = "Now"
    at_once.to.add(BOB)
    assert at_once.send() and [mail["subject"] for mail in world.microsoft.mails] == ["Quote", "Now"]


def test_o365_keeps_tasks(account, world):
    todo = account.tasks()
    ours = todo.new_folder("Salesforce Tasks")
    task = ours.new_task("Send quote")
    task.due = datetime(2026, 12, 4, tzinfo=UTC)
    assert task.save() and [f.name for f in todo.list_folders()] == ["Tasks", "Salesforce Tasks"]

    (found,) = todo.get_folder(folder_id=ours.folder_id).get_tasks()
    assert (found.subject, found.due.date().isoformat(), found.is_completed) == ("Send quote", "2026-12-04", False)
    found.mark_completed()
    assert found.save() and world.microsoft.list_records("task")[0]["status"] == "completed"
    assert found.delete() and ours.delete() and len(list(todo.list_folders())) == 1


def test_o365_subscribes_renews_and_ends(account):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            (token,) = parse_qs(urlsplit(self.path).query)["validationToken"]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(token.encode())

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        subscriptions = account.subscriptions()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        made = subscriptions.create_subscription(url, f"users/{ANN}/messages", ["created", "updated"], client_state="k3y")
        renewed = subscriptions.renew_subscription(made["id"], expiration_minutes=600)
        assert renewed["expirationDateTime"] > made["expirationDateTime"] and renewed["changeType"] == "created,updated"
        assert [each["id"] for each in subscriptions.list_subscriptions()] == [made["id"]]
        assert subscriptions.delete_subscription(made["id"]) and list(subscriptions.list_subscriptions()) == []
    finally:
        server.shutdown()
        server.server_close()


# --- msal -------------------------------------------------------------------------------------------------------------------
class Plain:
    """Carries what is meant for the real host to the sandbox's port."""

    def __init__(self, base_url: str, session: requests.Session) -> None:
        self._target, self._session = urlsplit(base_url), session

    def _moved(self, url: str) -> str:
        return urlunsplit((self._target.scheme, self._target.netloc, *urlsplit(url)[2:]))

    def get(self, url: str, **options: Any) -> requests.Response:
        return self._session.get(self._moved(url), timeout=20, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self._session.post(self._moved(url), timeout=20, **options)

    def close(self) -> None:
        """Holds nothing."""


@pytest.fixture
def client(world: World, session: requests.Session):
    given = world.microsoft.credentials()

    def client(credential: Any = given["client_secret"], host: str = "login.microsoftonline.com", **options: Any):
        authority = f"https://{host}/{options.pop('tenant', given['tenant'])}"
        plain = Plain(world.base_urls["microsoft"], session)
        return msal.ConfidentialClientApplication(given["client_id"], client_credential=credential, authority=authority,
                                                  http_client=plain, **options)  # fmt: skip

    return client


def may_read(world, session, token, path=f"/users/{ANN}/contacts"):
    headers = {"Authorization": f"Bearer {token}"}
    return session.get(f"{world.base_urls['microsoft']}/v1.0{path}", headers=headers, timeout=20).status_code == 200


@pytest.mark.parametrize("options", [{}, {"tenant": "example.test"}, {"host": "127.0.0.1:8904"}])
def test_msal_gets_a_token_by_secret_and_keeps_it(client, world, session, options):
    app = client(**options)
    first, second = app.acquire_token_for_client(SCOPES), app.acquire_token_for_client(SCOPES)
    assert may_read(world, session, first["access_token"])
    assert (second["token_source"], second["access_token"]) == ("cache", first["access_token"])


def test_msal_says_what_is_refused(client, world):
    told = client("wrong").acquire_token_for_client(SCOPES)
    assert told["error"] == "invalid_client" and told["error_codes"] == [7000215] and "AADSTS7000215" in told["error_description"]
    with pytest.raises(ValueError, match="AADSTS90002|tenant"):
        client(tenant="11111111-1111-1111-1111-111111111111")


@pytest.fixture(scope="module")
def certificate():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sync")]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    return key, builder.not_valid_before(now).not_valid_after(now + timedelta(days=9)).sign(key, SHA256())


@pytest.mark.parametrize("way", ["thumbprint", "public_certificate"])
def test_msal_gets_a_token_by_certificate(client, world, session, certificate, way):
    key, own = certificate
    pem = own.public_bytes(Encoding.PEM).decode()
    named = {"thumbprint": own.fingerprint(SHA1()).hex()} if way == "thumbprint" else {"public_certificate": pem}
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    assert client({"private_key": private, **named}).acquire_token_for_client(SCOPES)["error_codes"] == [700027]
    world.microsoft.set_switches({"certificate": pem})
    assert may_read(world, session, client({"private_key": private, **named}).acquire_token_for_client(SCOPES)["access_token"])


def test_msal_signs_a_person_in_and_renews(client, world, session):
    app = client()
    asked = ["Contacts.ReadWrite", "User.Read"]
    flow = app.initiate_auth_code_flow(asked, redirect_uri="http://127.0.0.1:9/back", response_mode="query")
    page = Plain(world.base_urls["microsoft"], session).post(flow["auth_uri"], data={"login_hint": ANN}, allow_redirects=False)
    back = dict(part.split("=", 1) for part in urlsplit(page.headers["Location"]).query.split("&"))

    told = app.acquire_token_by_auth_code_flow(flow, back)

    assert told["id_token_claims"]["preferred_username"] == ANN and may_read(world, session, told["access_token"], "/me/contacts")
    (person,) = app.get_accounts()
    renewed = app.acquire_token_silent(["Contacts.ReadWrite", "User.Read"], person, force_refresh=True)
    assert renewed["access_token"] != told["access_token"] and may_read(world, session, renewed["access_token"], "/me")


# --- Microsoft's metadata -----------------------------------------------------------------------------------------------------
TEXT = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
PARTS = st.dictionaries(st.sampled_from(list(TYPES["physicalAddress"]["props"])), TEXT)
EMAILS = st.lists(st.fixed_dictionaries({"address": st.emails(), "name": st.text("abc ", min_size=1)}), max_size=3)
DAYS = st.none() | st.dates().map(str)
READ_ONLY = {"id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId"}
SLOTS = ["primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress"]


def values_of(type_):
    """Returns what a property of a type may be set to."""
    known = {"Edm.String": TEXT, "Edm.DateTimeOffset": DAYS, "physicalAddress": PARTS, "Collection(emailAddress)": EMAILS}
    return known.get(type_, st.lists(st.text("xyz1", max_size=5), max_size=2))


WRITABLE = {name: type_ for name, type_ in properties("contact").items() if name not in (*READ_ONLY, *SLOTS, *TYPES["contact"]["nav"])}
BODIES = st.fixed_dictionaries({}, optional={name: values_of(type_) for name, type_ in WRITABLE.items()})


def as_read(name, value):
    """Returns how a value that was set is read."""
    if name == "birthday":
        return value and f"{value}T00:00:00Z"
    if WRITABLE[name] == "physicalAddress":
        return {part: text for part, text in value.items() if text is not None}
    return "" if value is None and name in ("displayName", "personalNotes") else value


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(created=BODIES, edits=st.lists(BODIES, max_size=4), select=st.lists(st.sampled_from(sorted(WRITABLE)), unique=True))
def test_whatever_is_written_is_read_in_microsoft_s_types(created, edits, select):
    with requests.Session() as session:
        session.trust_env = False
        graph = Graph(session)
        body = graph.create(headers=IMMUTABLE, **created, singleValueExtendedProperties=[{"id": OURS, "value": "x"}])
        path, expected = f"contacts/{quote(body['id'])}", dict(created)

        for edit in edits:
            etag, before = body["@odata.etag"], body
            body = graph.change(body["id"], {**IMMUTABLE, "If-Match": etag}, **edit)
            expected.update(edit)
            if "displayName" not in edit and {"givenName", "middleName", "surname", "generation"} & set(edit):
                expected.pop("displayName", None)  # made anew
            untouched = set(WRITABLE) - set(edit) - {"displayName"}
            assert {n: body[n] for n in untouched} == {n: before[n] for n in untouched} and body["@odata.etag"] != etag

        assert {name: body[name] for name in expected} == {name: as_read(name, value) for name, value in expected.items()}
        assert set(body) - {"@odata.context", "@odata.etag"} == set(properties("contact")) - set(TYPES["contact"]["nav"])
        chosen = graph.get(path, IMMUTABLE, select=",".join(select)) if select else body
        assert {name: chosen[name] for name in select} == {name: body[name] for name in select}
        assert not select or set(chosen) == {"@odata.context", "@odata.etag", "id", *select}
        (told,), _ = graph.round("contacts/delta", IMMUTABLE)
        assert {**told, "@odata.context": body["@odata.context"]} == {"@odata.type": "#microsoft.graph.contact", **body}
