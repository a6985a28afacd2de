"""The played Exchange over HTTP, as independent clients see it: exchangelib, and envelopes written by hand."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import requests
from exchangelib import (
    DELEGATE,
    IMPERSONATION,
    Account,
    Configuration,
    Contact,
    Credentials,
    EWSTimeZone,
    ExtendedProperty,
    FailFast,
    FaultTolerance,
    Version,
)
from exchangelib.protocol import BaseProtocol, CachingProtocol
from exchangelib.version import EXCHANGE_2016

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from tests.sandbox.force import Clock

EMMA, ERIK = "emma@example.test", "erik@example.test"
EWS = "/EWS/Exchange.asmx"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"
PROPERTY_SET = "c11ff724-aa03-4555-9952-8fa248a11c3e"
OURS = f"String {{{PROPERTY_SET}}} Name SfId"


class SfId(ExtendedProperty):
    property_set_id = PROPERTY_SET
    property_name = "SfId"
    property_type = "String"


if "sf_id" not in {field.name for field in Contact.FIELDS}:
    Contact.register("sf_id", SfId)


class Exchange:
    """One server with the mailboxes of Emma and Erik, and short words for what tests ask most."""

    def __init__(self, server: SandboxServer, clock: Clock) -> None:
        self.clock, self.world = clock, server.world
        self.system = server.world.exchange
        self.url = server.urls["exchange"] + EWS
        self.given = self.system.credentials()
        self.session = requests.Session()
        self.session.trust_env = False

    # --- exchangelib ----------------------------------------------------------------------------------------------------
    def account(self, address: str = EMMA, *, zone: str = "UTC", waits: float | None = None, as_user: bool = False) -> Account:
        """Returns an account as a service account impersonates it, or as its own user reaches it."""
        name = address if as_user else self.given["username"]
        config = Configuration(
            service_endpoint=self.url,
            auth_type="basic",
            credentials=Credentials(name, self.given["password"]),
            version=Version(build=EXCHANGE_2016),
            retry_policy=FaultTolerance(max_wait=waits) if waits else FailFast(),
        )
        access = DELEGATE if as_user else IMPERSONATION
        return Account(address, config=config, autodiscover=False, access_type=access, default_timezone=EWSTimeZone(zone))

    def contact(self, folder: Any, first: str = "Bo", last: str = "Lind", **more: Any) -> Contact:
        values = {"given_name": first, "surname": last, "display_name": f"{first} {last}", **more}
        return Contact(account=folder.account, folder=folder, **values).save()

    # --- envelopes by hand ----------------------------------------------------------------------------------------------
    def post(self, body: str | bytes, *, sign_in: str | None = None) -> requests.Response:
        """Sends a body as it is."""
        token = base64.b64encode(f"{self.given['username']}:{self.given['password']}".encode()).decode()
        headers = {"Content-Type": "text/xml; charset=utf-8", "Authorization": f"Basic {token}" if sign_in is None else sign_in}
        data = body.encode() if isinstance(body, str) else body
        return self.session.post(self.url, data=data, headers=headers, timeout=20)

    def ask(self, operation: str, *, mailbox: str | None = EMMA, zone: str = "", sign_in: str | None = None) -> requests.Response:
        """Sends an operation in an envelope."""
        return self.post(envelope(operation, mailbox=mailbox, zone=zone), sign_in=sign_in)

    def fault(self, operation: str, **options: Any) -> tuple[str, str]:
        """Returns code and violation of the fault that an operation is answered with."""
        return fault_of(self.ask(operation, **options))

    def code(self, operation: str, **options: Any) -> str:
        """Returns the code of the only response message."""
        answer = self.ask(operation, **options)
        assert answer.status_code == 200, answer.text
        codes = [each.text for each in ElementTree.fromstring(answer.content).iter(f"{{{MESSAGES}}}ResponseCode")]
        assert len(codes) == 1
        return str(codes[0])

    # --- the control port -----------------------------------------------------------------------------------------------
    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, self.world.control_url + path, json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def by_hand(self, kind: str, **values: Any) -> dict[str, Any]:
        return dict(self.control("POST", f"/records/exchange/{kind}", {"mailbox": EMMA, **values}))

    def mails(self) -> list[tuple[str, list[str], str]]:
        return [(mail["kind"], mail["to"], mail["subject"]) for mail in self.control("GET", "/mails?system=exchange")["mails"]]

    def switch(self, **switches: Any) -> None:
        self.control("POST", "/switches", {"exchange": switches})

    def fail(self, operation: str = "*", **fault: Any) -> None:
        path = "*" if operation == "*" else f"{EWS}/{operation}"
        self.control("POST", "/faults", {"system": "exchange", "path": path, "times": 1, **fault})


def envelope(operation: str, *, mailbox: str | None = EMMA, zone: str = "") -> str:
    sid = f"<t:ConnectingSID><t:PrimarySmtpAddress>{mailbox}</t:PrimarySmtpAddress></t:ConnectingSID>"
    impersonation = f"<t:ExchangeImpersonation>{sid}</t:ExchangeImpersonation>" if mailbox else ""
    context = f'<t:TimeZoneContext><t:TimeZoneDefinition Id="{zone}"/></t:TimeZoneContext>' if zone else ""
    names = f'xmlns:s="{SOAP}" xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"'
    return f"<s:Envelope {names}><s:Header>{impersonation}{context}</s:Header><s:Body>{operation}</s:Body></s:Envelope>"


def fault_of(answer: requests.Response) -> tuple[str, str]:
    assert answer.status_code == 500, answer.text
    detail = ElementTree.fromstring(answer.content).find(f".//{{{SOAP}}}Fault/detail")
    assert detail is not None
    violation = detail.find(f".//{{{TYPES}}}Violation")
    return str(detail.findtext(f"{{{ERRORS}}}ResponseCode")), "" if violation is None else str(violation.text)


@contextmanager
def served() -> Iterator[Exchange]:
    """Serves a world on free ports, and forgets what exchangelib keeps of it."""
    clock = Clock()
    before = BaseProtocol.RETRY_WAIT
    BaseProtocol.RETRY_WAIT = 0  # of its own waits between tries; what the server asks for it still waits
    server = SandboxServer(World(seed=7, now=clock), port=0, poll_seconds=0.01).start()
    box = Exchange(server, clock)
    try:
        yield box
    finally:
        BaseProtocol.RETRY_WAIT = before
        CachingProtocol.clear_cache()
        box.session.close()
        server.stop()
