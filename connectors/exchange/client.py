"""Exchange Web Services over HTTP: one mailbox's calls, or the directory's. Calls of one mailbox go out one after the other:
Exchange charges them to it, and signing in by NTLM belongs to a connection and not to a request.

exchangelib spells requests and signs in; it sends nothing. What is sent goes through `HttpClient`, so that time limits, permitted
addresses, the log and the count of calls are those of every other system, and answers are read here: its parser takes half an
answer for a whole one, and an answer that cannot be read must never pass for an empty one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from exchangelib import IMPERSONATION, UTC, Account, Configuration, Credentials
from exchangelib.protocol import Protocol
from exchangelib.services.common import EWSService
from exchangelib.transport import BASIC, DEFAULT_HEADERS, NTLM, get_auth_instance
from exchangelib.util import ENS, MNS, SOAPNS, TNS
from exchangelib.version import VERSIONS, Version
from lxml import etree
from requests.auth import AuthBase

from connectors.contract import CallCount, Exchange
from connectors.errors import ConnectorError, MailboxRefused, NeedsAttention, RateLimited
from connectors.exchange import faults, models
from connectors.exchange.faults import Fault
from connectors.exchange.settings import SYSTEM, ExchangeSettings, Proof
from connectors.http import Answer, Document, HttpClient, not_its_own, unreadable

FAULT = 500  # the status of a SOAP fault


@dataclass(frozen=True, slots=True)
class Message:
    """What became of one thing that a request asked for. `element` is the response message as it came."""

    fault: Fault | None
    element: Any = field(repr=False)
    answer: Answer = field(repr=False)

    @property
    def is_good(self) -> bool:
        return self.fault is None

    @property
    def exchange(self) -> Exchange:
        return self.answer.exchange

    def items(self) -> list[Any]:
        """Returns the elements of items in it."""
        return [each for container in self.element.iter(f"{{{MNS}}}Items", f"{{{TNS}}}Items") for each in container]

    def text(self, name: str) -> str | None:
        """Returns the text of a child in the messages' namespace, None where there is none."""
        found = self.element.find(f"{{{MNS}}}{name}")
        return None if found is None else (found.text or "")


def configuration(base_url: str, settings: ExchangeSettings, password: str) -> Configuration:
    """Returns what exchangelib wants to know. Nothing is asked of the server for it."""
    build = next(build for build, api, _ in reversed(VERSIONS) if api == settings.version)
    proof = NTLM if settings.proof == Proof.NTLM else BASIC
    credentials = Credentials(settings.user, password)
    return Configuration(
        credentials=credentials, service_endpoint=base_url, auth_type=proof, version=Version(build=build, api_version=settings.version)
    )


class EwsClient:
    """The calls of one mailbox, or of the directory where `mailbox` is ""."""

    def __init__(self, http: HttpClient, config: Configuration, *, mailbox: str = "") -> None:
        self._http = http
        self.mailbox = mailbox
        try:
            self.account = (
                Account(mailbox, config=config, autodiscover=False, access_type=IMPERSONATION, default_timezone=UTC) if mailbox else None
            )
        except ValueError:
            raise MailboxRefused(f"has no mailbox {mailbox[:80]!r}: that is no address", system=SYSTEM, is_gone=True) from None
        self.protocol = self.account.protocol if self.account is not None else Protocol(config=config)
        self._version = config.version.api_version
        self._auth = _auth(config)
        self._lock = threading.Lock()
        http.redact.add(config.credentials.password)

    @property
    def counts(self) -> CallCount:
        return self._http.counts

    @property
    def version(self) -> Version:
        return self.protocol.config.version

    def folder(self, id_: str) -> Any:
        """Returns how requests name a folder of this mailbox."""
        return models.folder(id_, self.mailbox)

    def service(self, kind: type[EWSService], **options: Any) -> Any:
        """Returns a service of exchangelib, which knows how the requests of one operation are spelt."""
        return kind(account=self.account, **options) if self.account is not None else kind(protocol=self.protocol, **options)

    def call(self, service: EWSService, payload: Any, *, is_read: bool, count: int) -> list[Message]:
        """Returns what became of each thing that was asked for, in order. Raises for a request that was refused as a whole, for
        trouble, and for an answer that cannot be read."""
        name = str(service.SERVICE_NAME)
        content: bytes = service.wrap(content=payload, api_version=self._version)
        headers = {**DEFAULT_HEADERS, **({"X-AnchorMailbox": self.mailbox} if self.mailbox else {})}
        answer = self._post(name, Document(content, self._auth, told=(FAULT,)), headers, is_read=is_read)
        root = self._root(answer, is_read=is_read)
        response = root.find(f"{{{SOAPNS}}}Body/{{{MNS}}}{name}Response")
        rows = response.find(f"{{{MNS}}}ResponseMessages") if response is not None else None
        if answer.status != 200 or rows is None or len(rows) != count:
            raise unreadable(SYSTEM, answer, is_read=is_read)
        return [self._message(row, answer, is_read=is_read) for row in rows]

    def _post(self, name: str, document: Document, headers: dict[str, str], *, is_read: bool) -> Answer:
        try:
            with self._lock:
                return self._http.request("POST", "", template=name, is_read=is_read, document=document, headers=headers)
        except KeyError:  # a sign-in by NTLM that was answered without a challenge
            raise NeedsAttention("does not sign in by NTLM at this address", system=SYSTEM, status=401) from None

    def _root(self, answer: Answer, *, is_read: bool) -> Any:
        """Returns the envelope of an answer that is Exchange's own and no fault."""
        if answer.status == 401:
            raise NeedsAttention(
                "refuses the user or the password of the service account, or this way to sign in",
                system=SYSTEM,
                status=401,
                exchange=answer.exchange,
            )
        if answer.status == 403:
            raise NeedsAttention(
                "does not let our application in: its administrator may allow it (EWSApplicationAccessPolicy)",
                system=SYSTEM,
                status=403,
                exchange=answer.exchange,
            )
        if answer.status not in (200, FAULT) or answer.was_redirected:
            raise not_its_own(SYSTEM, answer, is_read=is_read)
        root = parsed(answer.content)
        if root is None or root.tag != f"{{{SOAPNS}}}Envelope":
            raise unreadable(SYSTEM, answer, is_read=is_read)
        fault = root.find(f"{{{SOAPNS}}}Body/{{{SOAPNS}}}Fault")
        if fault is not None:
            self._raise(_fault_of(fault), answer, is_read=is_read)
        return root

    def _raise(self, fault: Fault, answer: Answer, *, is_read: bool) -> NoReturn:
        error = self._judged(fault, answer, is_read=is_read)
        if isinstance(error, RateLimited):
            self._http.hold(error.retry_after or faults.UNSTATED_WAIT)
        raise error

    def _judged(self, fault: Fault, answer: Answer, *, is_read: bool) -> ConnectorError:
        return faults.error_of(
            fault, is_read=is_read, mailbox=self.mailbox, redact=answer.redact, exchange=answer.exchange, status=answer.status
        )

    def _message(self, row: Any, answer: Answer, *, is_read: bool) -> Message:
        code = (row.findtext(f"{{{MNS}}}ResponseCode") or "").strip()
        if not code or not str(row.tag).endswith("ResponseMessage"):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        if code == faults.GOOD or row.get("ResponseClass") == "Warning":
            return Message(None, row, answer)
        fault = Fault(code[:120], (row.findtext(f"{{{MNS}}}MessageText") or "").strip(), _wait_in(row))
        if fault.code in faults.BUSY:
            self._http.hold(faults.UNSTATED_WAIT if fault.wait is None else fault.wait)
        return Message(fault, row, answer)

    def error_of(self, message: Message, *, is_read: bool) -> ConnectorError:
        """Returns what the refusal of one thing means."""
        assert message.fault is not None
        return self._judged(message.fault, message.answer, is_read=is_read)

    def unreadable(self, message: Message, *, is_read: bool) -> ConnectorError:
        """Returns the error for a message that is not what the documentation says."""
        return unreadable(SYSTEM, message.answer, is_read=is_read)

    def one(self, service: EWSService, payload: Any, *, is_read: bool) -> Message:
        """Returns what became of the one thing asked for. Raises the error of a refusal."""
        message = self.call(service, payload, is_read=is_read, count=1)[0]
        if not message.is_good:
            raise self.error_of(message, is_read=is_read)
        return message

    def in_calls(self, things: Sequence[Any], most: int) -> list[Sequence[Any]]:
        """Returns the things in as many parts as calls are needed."""
        return [things[start : start + most] for start in range(0, len(things), most)]


def parsed(content: bytes) -> Any:
    """Returns the root of an XML document, None for what is none: half a document is none, and neither is one with entities."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    return None if root.getroottree().docinfo.doctype else root


def _auth(config: Configuration) -> AuthBase:
    credentials = config.credentials
    username = credentials.username
    if config.auth_type == NTLM and credentials.type == credentials.EMAIL:
        username = "\\" + username  # an address is sent without a domain
    auth: AuthBase = get_auth_instance(auth_type=config.auth_type, username=username, password=credentials.password)
    return auth


def _fault_of(fault: Any) -> Fault:
    detail = fault.find("detail")
    code = (detail.findtext(f"{{{ENS}}}ResponseCode") if detail is not None else None) or (fault.findtext("faultcode") or "")
    said = (detail.findtext(f"{{{ENS}}}Message") if detail is not None else None) or (fault.findtext("faultstring") or "")
    violation = next((each.text or "" for each in fault.iter(f"{{{TNS}}}Violation")), "")
    return Fault(code.strip().rpartition(":")[2][:120], " ".join(part.strip() for part in (said, violation) if part), _wait_in(fault))


def _wait_in(element: Any) -> float | None:
    """Returns the seconds that a refusal asks us to wait."""
    for value in element.iter(f"{{{TNS}}}Value"):
        if value.get("Name") == "BackOffMilliseconds" and (value.text or "").strip().isdigit():
            return int(value.text) / 1000
    return None
