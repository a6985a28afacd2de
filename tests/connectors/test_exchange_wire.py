"""What goes over the wire to an Exchange server, and what of its answers is believed: sign-in, certificates, faults and refusals,
with real sockets where sockets matter."""

from __future__ import annotations

import base64
import ipaddress
import logging
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors import registry
from connectors.contract import Write
from connectors.errors import (
    BAD_CERTIFICATE,
    MailboxRefused,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    Unreachable,
)
from connectors.exchange import library
from connectors.exchange.connector import ExchangeConnector
from connectors.exchange.settings import ExchangeSettings, endpoint
from connectors.http import HttpClient
from connectors.mailboxes import CONTACT
from connectors.registry import Access
from tests.connectors.wire import HTML, Said, Script

ADDRESS, ANN = "https://mail.acme.example/EWS/Exchange.asmx", "ann@acme.example"
PASSWORD = "p4ss-w0rd-of-the-service"
NAMES = 'xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"'
FOLDER = '<m:Folders><t:ContactsFolder><t:FolderId Id="F1" ChangeKey="K"/><t:ParentFolderId Id="R"/></t:ContactsFolder></m:Folders>'


def enveloped(content: str) -> str:
    return f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{content}</s:Body></s:Envelope>'


def answer(operation: str, *messages: str) -> str:
    return enveloped(f"<m:{operation}Response {NAMES}><m:ResponseMessages>{''.join(messages)}</m:ResponseMessages></m:{operation}Response>")


def good(operation: str, content: str = "") -> str:
    said = f"<m:ResponseCode>NoError</m:ResponseCode>{content}"
    return f'<m:{operation}ResponseMessage ResponseClass="Success">{said}</m:{operation}ResponseMessage>'


def bad(operation: str, code: str, more: str = "") -> str:
    said = f"<m:MessageText>Said {code}.</m:MessageText><m:ResponseCode>{code}</m:ResponseCode>{more}"
    return f'<m:{operation}ResponseMessage ResponseClass="Error">{said}</m:{operation}ResponseMessage>'


def fault(code: str, more: str = "") -> Said:
    detail = f'<detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">{code}</e:ResponseCode>{more}</detail>'
    return Said(500, enveloped(f"<s:Fault><faultcode>a:{code}</faultcode><faultstring>Said {code}.</faultstring>{detail}</s:Fault>"))


FOUND = Said(200, answer("GetFolder", good("GetFolder", FOLDER)))


def connection(*answers: Any, base_url: str = ADDRESS, **settings: Any) -> tuple[ExchangeConnector, Script]:
    script = Script(*answers)
    script.slept = []

    def open_http() -> HttpClient:
        return HttpClient("exchange", base_url, adapter=script, sleep=script.slept.append, secrets=[PASSWORD])

    own = ExchangeSettings.of({"user": "ACME\\sync", "proof": "basic", **settings})
    return ExchangeConnector(open_http, {"password": PASSWORD}, settings=own), script


def looked(*answers: Any, **settings: Any) -> Script:
    """Asks for the contacts folder of one mailbox and returns what went out."""
    connector, script = connection(*answers, **settings)
    connector.mailbox(ANN)._places.look()
    return script


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_each_call_says_for_whom_in_which_version_and_time_zone_and_who_we_are():
    script = looked(FOUND, version="Exchange2013_SP1")
    (request,) = script.requests
    body = request.body.decode()
    assert request.url == ADDRESS and request.headers["X-AnchorMailbox"] == ANN
    assert request.headers["User-Agent"] == "syncsite/1.0" and request.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"ACME\\sync:{PASSWORD}".encode()).decode()
    assert f"<t:PrimarySmtpAddress>{ANN}</t:PrimarySmtpAddress>" in body and 'Version="Exchange2013_SP1"' in body
    assert '<t:TimeZoneDefinition Id="UTC"/>' in body


def test_the_calls_are_counted_by_operation_and_nothing_secret_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    connector, _ = connection(FOUND)
    box = connector.mailbox(ANN)
    box.check_mailbox()
    assert connector.counts().by_template == {"POST GetFolder": 1}
    connector.close()
    assert PASSWORD not in caplog.text


def test_an_address_without_a_path_leads_to_the_interface():
    assert endpoint("https://mail.acme.example/") == ADDRESS and endpoint(ADDRESS) == ADDRESS
    assert endpoint("https://mail.acme.example/other") == "https://mail.acme.example/other"


@pytest.mark.parametrize(
    "given", [{"proof": "kerberos"}, {"version": "Exchange2030"}, {"directory": "x"}, {"items_a_call": 0}, {"items_a_call": "x"}]
)
def test_settings_that_cannot_be_are_refused(given):
    with pytest.raises(NeedsAttention):
        ExchangeSettings.of(given)


def test_without_its_library_a_connection_says_what_to_install_and_everything_else_is_there(monkeypatch):
    monkeypatch.setattr(library, "is_installed", lambda: False)
    with pytest.raises(NeedsAttention) as caught:
        registry.open_connector("exchange", Access(lambda address: 1 / 0, None, ADDRESS))
    assert "exchangelib" in caught.value.detail and "requirements-exchange.txt" in caught.value.remedy


def test_without_user_or_password_nothing_is_opened():
    with pytest.raises(NeedsAttention, match="user and password"):
        ExchangeConnector(lambda: 1 / 0, {}, settings=ExchangeSettings(user="x"))


# --- what is believed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (fault("ErrorServerBusy"), RateLimited),
        (Said(200, answer("GetFolder", bad("GetFolder", "ErrorServerBusy"))), RateLimited),
        (fault("ErrorImpersonateUserDenied"), MailboxRefused),
        (Said(200, answer("GetFolder", bad("GetFolder", "ErrorAccessDenied"))), MailboxRefused),
        (fault("ErrorNonExistentMailbox"), MailboxRefused),
        (fault("ErrorMailboxStoreUnavailable"), ServerTrouble),
        (Said(200, answer("GetFolder", bad("GetFolder", "ErrorInternalServerError"))), ServerTrouble),
        (Said(200, answer("GetFolder", bad("GetFolder", "ErrorItemNotFound"))), RecordGone),
        (Said(200, answer("GetFolder", bad("GetFolder", "ErrorIrresolvableConflict"))), StaleVersion),
        (Said(200, answer("GetFolder", bad("GetFolder", "ErrorSomethingNew"))), Rejected),
        (fault("ErrorInvalidServerVersion"), NeedsAttention),
        (Said(401, HTML), NeedsAttention),
        (Said(403, HTML), NeedsAttention),
        (Said(404, HTML), OutcomeUnknown),
        (Said(500, HTML), OutcomeUnknown),
        (Said(503, HTML), ServerTrouble),
        (Said(503, HTML, {"Retry-After": "7"}), RateLimited),
        (Said(302, "", {"Location": "https://login.other.example/"}), OutcomeUnknown),
        (Said(200, HTML), OutcomeUnknown),
        (Said(200, ""), OutcomeUnknown),
        (Said(200, FOUND.body[:-30]), OutcomeUnknown),  # half an answer
        (Said(200, answer("GetFolder")), OutcomeUnknown),
        (Said(200, answer("GetItem", good("GetItem"))), OutcomeUnknown),
        (Said(200, answer("GetFolder", good("GetFolder"))), OutcomeUnknown),
        (Said(200, answer("GetFolder", good("GetFolder", FOLDER), good("GetFolder", FOLDER))), OutcomeUnknown),
        (Said(200, f'<!DOCTYPE x [<!ENTITY e "F9">]>{FOUND.body.replace("F1", "&e;")}'), OutcomeUnknown),
    ],
)
def test_every_refusal_has_its_class_and_what_cannot_be_read_is_never_empty(said, kind):
    with pytest.raises(kind):
        looked(said)


def test_a_busy_server_names_its_wait_or_we_wait_a_minute():
    value = f'<t:MessageXml {NAMES}><t:Value Name="BackOffMilliseconds">12500</t:Value></t:MessageXml>'
    for more, seconds in ((value, 12.5), ("", 60.0)):
        with pytest.raises(RateLimited) as caught:
            looked(fault("ErrorServerBusy", more))
        assert caught.value.retry_after == seconds and not caught.value.may_have_happened


def test_a_write_is_in_doubt_where_the_server_failed_over_it_and_not_where_it_refused():
    connector, script = connection(fault("ErrorInternalServerError"))
    box = connector.mailbox(ANN)
    box.use_folder("F1", "Salesforce")
    box._places._is_verified = True
    write = Write(CONTACT, {"surname": "Lind"}, "k", marker="003")
    (result,) = box.write(CONTACT, [write])
    assert isinstance(result.error, ServerTrouble) and result.error.may_have_happened and len(script.requests) == 1
    script.answers = [fault("ErrorServerBusy")]
    with pytest.raises(RateLimited) as caught:
        box.write(CONTACT, [write])
    assert not caught.value.may_have_happened


def test_a_refusal_of_a_whole_call_names_no_item_and_is_found_by_halves():
    def said(request: Any) -> Said:
        surnames = re.findall(r"<t:Surname>(\w+)</t:Surname>", request.body.decode())
        if "Bad" in surnames:
            return fault("ErrorSchemaValidation")
        made = [f'<m:Items><t:Contact><t:ItemId Id="{name}" ChangeKey="C"/></t:Contact></m:Items>' for name in surnames]
        return Said(200, answer("CreateItem", *(good("CreateItem", item) for item in made)))

    connector, script = connection(said)
    box = connector.mailbox(ANN)
    box.use_folder("F1", "Salesforce")
    box._places._is_verified = True
    writes = [Write(CONTACT, {"surname": name}, name, marker=name) for name in ("A", "B", "Bad", "D")]
    results = box.write(CONTACT, writes)
    assert [r.record.ref.id if r.record else type(r.error) for r in results] == ["A", "B", Rejected, "D"]
    assert len(script.requests) == 5


def test_a_text_that_xml_cannot_hold_is_refused_before_anything_is_sent_and_quotes_nothing_else():
    connector, script = connection(FOUND)
    box = connector.mailbox(ANN)
    box.use_folder("F1", "Salesforce")
    box._places._is_verified = True
    for fields in ({"surname": "a\x00b"}, {"notes": "\ud800"}, {"categories": ("a\x1f",)}):
        (result,) = box.write(CONTACT, [Write(CONTACT, fields, "k")])
        assert isinstance(result.error, Rejected) and not result.error.may_have_happened
    assert script.requests == []


# --- sockets ----------------------------------------------------------------------------------------------------------


class Server:
    """Answers POSTs on a free port of 127.0.0.1 and keeps them; `gate` may answer first: a status and its headers."""

    def __init__(self, gate: Callable[[Any], tuple[int, dict[str, str]] | None], tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[int, dict[str, str], bytes]] = []  # port of the client, headers, body
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append((self.client_address[1], dict(self.headers), body))
                status, headers = gate(self) or (200, {})
                said = FOUND.body.encode() if status == 200 else b""
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(said))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *arguments: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def over_sockets(address: str, *, proof: str, authorities: str = "", password: str = PASSWORD) -> ExchangeConnector:
    def open_http() -> HttpClient:
        return HttpClient("exchange", address, allow_loopback=True, least_tls="1.2", own_authorities=authorities, secrets=[password])

    settings = ExchangeSettings(user="ACME\\sync", proof=proof)
    return ExchangeConnector(open_http, {"password": password}, settings=settings)


class NtlmGate:
    """Lets a connection in that signs in by NTLM, as a server does: by challenge and response, once a connection."""

    def __init__(self) -> None:
        self.contexts: dict[int, Any] = {}

    def __call__(self, handler: Any) -> tuple[int, dict[str, str]] | None:
        port = handler.client_address[1]
        context = self.contexts.get(port)
        if context is not None and context.complete:
            return None
        scheme, _, token = handler.headers.get("Authorization", "").partition(" ")
        if scheme != "NTLM":
            return 401, {"WWW-Authenticate": "NTLM"}
        if context is None:
            options = spnego.NegotiateOptions.use_ntlm
            context = self.contexts[port] = spnego.server(hostname="127.0.0.1", service="http", protocol="ntlm", options=options)
        try:
            challenge = context.step(base64.b64decode(token))
        except spnego.exceptions.SpnegoError:
            del self.contexts[port]
            return 401, {"WWW-Authenticate": "NTLM"}
        return None if context.complete else (401, {"WWW-Authenticate": f"NTLM {base64.b64encode(challenge).decode()}"})


@pytest.fixture
def ntlm(tmp_path, monkeypatch):
    users = tmp_path / "users"
    users.write_text(f"ACME:sync:{PASSWORD}\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    server = Server(NtlmGate())
    yield server
    server.close()


def test_ntlm_signs_in_once_a_connection_and_never_sends_the_password(ntlm):
    connector = over_sockets(f"http://127.0.0.1:{ntlm.port}/EWS/Exchange.asmx", proof="ntlm")
    box = connector.mailbox(ANN)
    for _ in range(3):
        box._places.look()
    assert len({port for port, _, _ in ntlm.seen}) == 1 and len(ntlm.seen) == 5  # three legs, then two plain calls
    assert box.counts().calls == 5 and box.counts().by_template == {"POST GetFolder": 3}
    sent = "".join(f"{headers}" for _, headers, _ in ntlm.seen)
    assert "NTLM TlRM" in sent and "Basic" not in sent and PASSWORD not in sent
    connector.close()


def test_ntlm_with_a_wrong_password_needs_a_person(ntlm):
    connector = over_sockets(f"http://127.0.0.1:{ntlm.port}/EWS/Exchange.asmx", proof="ntlm", password="wrong-password")
    with pytest.raises(NeedsAttention) as caught:
        connector.mailbox(ANN)._places.look()
    assert caught.value.status == 401 and not isinstance(caught.value, MailboxRefused)
    connector.close()


def test_ntlm_at_a_server_that_gives_no_challenge_needs_a_person():
    server = Server(lambda handler: (401, {"WWW-Authenticate": "NTLM"} if "Authorization" not in handler.headers else {}))
    connector = over_sockets(f"http://127.0.0.1:{server.port}/EWS/Exchange.asmx", proof="ntlm")
    with pytest.raises(NeedsAttention):
        connector.mailbox(ANN)._places.look()
    connector.close()
    server.close()


@pytest.fixture
def authority(tmp_path):
    """Returns a server's TLS context with a certificate of its own making, and that certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, pem.decode()


def test_a_certificate_of_ones_own_authority_is_trusted_where_an_admin_said_so_and_nowhere_else(authority):
    tls, pem = authority
    server = Server(lambda handler: None, tls)
    address = f"https://127.0.0.1:{server.port}/EWS/Exchange.asmx"
    trusting, other = over_sockets(address, proof="basic", authorities=pem), over_sockets(address, proof="basic")
    trusting.mailbox(ANN)._places.look()
    with pytest.raises(NeedsAttention) as caught:
        other.mailbox(ANN)._places.look()
    assert caught.value.code == BAD_CERTIFICATE and len(server.seen) == 1
    with pytest.raises(NeedsAttention, match="certificates"):
        over_sockets(address, proof="basic", authorities="no certificate")
    for connector in (trusting, other):
        connector.close()
    server.close()
    with pytest.raises(Unreachable):
        over_sockets(address, proof="basic", authorities=pem).mailbox(ANN)._places.look()
