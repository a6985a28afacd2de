"""What the played Exchange answers when a fault strikes before anything is done.

A `status` of 200 with a `code` refuses each item of the call by a response message; any other status with a `code` is a SOAP fault,
`retry_after` its BackOffMilliseconds. Without a code 401 asks for a sign-in, 500 is a fault, and the rest are pages of what stands
before the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import soap
from connectors.sandbox.exchange.refusal import Faulted, Refused
from connectors.sandbox.wire import Response

BUSY = "ErrorServerBusy"
MESSAGES = {
    BUSY: "The server cannot service this request right now. Try again later.",
    "ErrorImpersonateUserDenied": "The account does not have permission to impersonate the requested user.",
    "ErrorNonExistentMailbox": "The SMTP address has no mailbox associated with it.",
    "ErrorMailboxStoreUnavailable": "The mailbox database is temporarily unavailable.",
    "ErrorMailboxMoveInProgress": "The mailbox is being moved. Try again later.",
    "ErrorInternalServerError": "An internal server error occurred. The operation failed.",
    "ErrorIrresolvableConflict": "The change key passed in the request does not match the current change key for the item.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ErrorInvalidSyncStateData": "Synchronization state data is corrupt or otherwise invalid.",
    "ErrorQuotaExceeded": "The mailbox has reached its limit of size.",
}
_PAGES = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out", 403: "Forbidden", 404: "Not Found"}
_SYNCS = {"SyncFolderItems": "IncludesLastItemInRange", "SyncFolderHierarchy": "IncludesLastFolderInRange"}
_LISTS = ("Items", "ItemIds", "ItemChanges", "FolderIds", "Folders", "ParentFolderIds", "AttachmentIds", "Attachments", "SourceIds")


def unauthorised() -> Response:
    return Response(401, b"", "text/html", [("WWW-Authenticate", 'Basic realm="exchange"')])


def of_status(options: Mapping[str, Any], body: bytes) -> Response:
    """Returns the answer of a status fault."""
    status, code = int(options["status"]), str(options.get("code") or "")
    wait = options.get("retry_after")
    headers = [] if wait is None else [("Retry-After", str(wait))]
    if not code and status == 401:
        return unauthorised()
    if not code and status != 500:
        page = f"<html><body><h1>{status} {_PAGES.get(status, 'Error')}</h1></body></html>"
        return Response(status, page.encode(), "text/html", headers)
    code = code or "ErrorInternalServerError"
    message = str(options.get("message") or MESSAGES.get(code, "A fault asked for this."))
    back_off = int(float(wait) * 1000) if code == BUSY and isinstance(wait, int | float) else None
    if status == 200:
        return _each_refused(Refused(code, message, values={} if back_off is None else {"BackOffMilliseconds": str(back_off)}), body)
    return Response(status, soap.faulted(Faulted(code, message, back_off_ms=back_off)), "text/xml; charset=utf-8", headers)


def _each_refused(refused: Refused, body: bytes) -> Response:
    """Returns the answer in which each thing of a call is refused for the same reason."""
    try:
        operation = soap.read(body).operation
    except Faulted as fault:
        return Response(500, soap.faulted(fault), "text/xml; charset=utf-8")
    name = soap.name_of(operation)
    more = [soap.m("SyncState"), soap.m(_SYNCS[name], text=True)] if name in _SYNCS else []
    messages = [soap.error(name, refused, *more) for _ in range(_things(operation))]
    return Response(200, soap.answered(name, messages), "text/xml; charset=utf-8")


def _things(operation: Element) -> int:
    found = next((child for name in _LISTS if (child := soap.child(operation, name)) is not None), None)
    return max(1, len(found)) if found is not None else 1
