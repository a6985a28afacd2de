"""What the played Workbooks answers when a fault asks for trouble (reference sections 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.wire import Response
from connectors.sandbox.workbooks.bodies import failure, refusal, reply

REASONS = {401: "unrecognised_name_or_password", 403: "no_permission_for_api"}
SENTENCES = {
    404: "There is no such record, or you may not see it.",
    405: "This is not allowed here.",
    406: "The parameters are inconsistent.",
    429: "Too many requests.",
    501: "This is not implemented.",
}
GATEWAY = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}


def answer(kind: str, options: Mapping[str, Any], template: str, number: int) -> Response:
    """Returns the answer of a fault; `number` tells exceptions apart."""
    if kind == "session_lost":
        return Response(302, b"", "text/html", [("Location", "/login")], template)
    if kind == "migrating":
        return failure(403, "database_being_migrated", template)
    response = _status(int(options["status"]), template, number)
    if options.get("retry_after") is not None:
        response.headers.append(("Retry-After", str(options["retry_after"])))
    return response


def _status(status: int, template: str, number: int) -> Response:
    if status == 500:
        reference = f"{number:08X}"
        sentence = f"An exception has occurred, reference {reference}"
        return reply(500, {"success": False, "failure_message": sentence, "exception": reference}, template)
    if status in GATEWAY:
        page = f"<html><body><h1>{status} {GATEWAY[status]}</h1></body></html>"
        return Response(status, page.encode(), "text/html", template=template)
    if status in REASONS:
        return failure(status, REASONS[status], template)
    return refusal(status, SENTENCES.get(status, f"A fault asked for {status}."), template)
