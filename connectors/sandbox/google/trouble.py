"""What the played Google answers when a fault strikes before anything is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.google import refusal, service
from connectors.sandbox.google.calendar import ROOT as CALENDAR_ROOT
from connectors.sandbox.google.calls import refusal as refusal_response
from connectors.sandbox.google.gmail import ROOT as GMAIL_ROOT
from connectors.sandbox.google.gmail import told
from connectors.sandbox.google.oauth import REVOKE, TOKEN
from connectors.sandbox.google.people import SERVICE
from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.google.tasks import ROOT as TASKS_ROOT
from connectors.sandbox.wire import Response

GATEWAY = {502: "Bad Gateway", 504: "Gateway Timeout"}
TOKEN_ERRORS = {
    400: ("invalid_grant", "Token has been expired or revoked."),
    401: ("invalid_client", "The OAuth client was not found."),
    403: ("rate_limit_exceeded", "Rate limit exceeded."),
    429: ("rate_limit_exceeded", "Rate limit exceeded."),
}
MESSAGES = {
    404: "Requested entity was not found.", 409: "The operation was aborted.",
    410: "Sync token is no longer valid, a full sync is required.",
    429: "Resource has been exhausted (e.g. check quota).", 500: "Internal error encountered.",
    503: "The service is currently unavailable.",
}  # fmt: skip
# Codes of a status fault that have a body of their own; any other is a reason of the newer shape, or, in lower case, the older.
OWN = {
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": refusal.lacks_scope(SERVICE),
    "SERVICE_DISABLED": refusal.service_disabled(SERVICE),
    "EXPIRED_SYNC_TOKEN": refusal.expired_sync_token(),
    "RATE_LIMIT_EXCEEDED": refusal.over_quota(SERVICE, "Critical read requests", "CriticalReadsPerMinutePerProjectPerUser"),
}


def answer(options: Mapping[str, Any], path: str, template: str) -> Response:
    """Returns the answer of a status fault. `code` and `message` say what stands in it: a code such as RATE_LIMIT_EXCEEDED or
    FAILED_PRECONDITION gives the newer shape, one such as rateLimitExceeded the older."""
    status = int(options["status"])
    response = _of_status(status, options, path, template)
    wait = options.get("retry_after")
    if wait is not None:
        response.headers.append(("Retry-After", str(wait)))
    return response


def _of_status(status: int, options: Mapping[str, Any], path: str, template: str) -> Response:
    code, message = str(options.get("code") or ""), str(options.get("message") or "")
    if path in (TOKEN, REVOKE):
        word, sentence = TOKEN_ERRORS.get(status, ("internal_failure", "Internal error."))
        body = {"error": code or word, "error_description": message or sentence}
        return Response(status, json.dumps(body).encode(), template=template)
    if status in GATEWAY and not code:
        page = f"<!DOCTYPE html><html lang=en><title>Error {status} ({GATEWAY[status]})!!1</title><p><b>{status}.</b> That's an error."
        return Response(status, page.encode(), "text/html; charset=UTF-8", template=template)
    refused = _refused(status, code, message)
    if path.startswith(f"{GMAIL_ROOT}/"):
        return refusal_response(told(refused), template)
    if path.startswith(f"{CALENDAR_ROOT}/"):
        return refusal_response(service.told(refused), template, is_older=True)
    if path.startswith(f"{TASKS_ROOT}/"):
        return refusal_response(service.told(refused), template)
    return refusal_response(refused, template, is_older=bool(code) and not code.isupper())


def _refused(status: int, code: str, message: str) -> Refused:
    told = message or MESSAGES.get(status, f"A fault asked for {status}.")
    if not code and status in (401, 429):
        default = refusal.unauthorized() if status == 401 else OWN["RATE_LIMIT_EXCEEDED"]
        return Refused(
            status, message or default.message, default.rpc, reason=default.reason, old_reason=default.old_reason, metadata=default.metadata
        )
    if code in OWN:
        own = OWN[code]
        return Refused(status, message or own.message, own.rpc, reason=own.reason, old_reason=own.old_reason, metadata=own.metadata)
    if not code.isupper():
        return Refused(status, told, old_reason=code)
    is_rpc = code in refusal.NUMBERS
    return Refused(status, told, code if is_rpc else "", reason="" if is_rpc else code)
