"""What the played Salesforce answers when a fault strikes before anything is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.salesforce.calls import JSON, refusal
from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.wire import Response

SESSION_LOST = Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
DAY_USED = Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
TOO_MANY_AT_ONCE = Refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
STALE_LOCATOR = Refused(404, "INVALID_QUERY_LOCATOR", "invalid query locator")
GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}
UNKNOWN = "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-1 (-1)"
OF_STATUS = {
    400: ("UNKNOWN_EXCEPTION", UNKNOWN),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    405: ("METHOD_NOT_ALLOWED", "HTTP Method not allowed."),
    412: ("PRECONDITION_FAILED", "The record was changed meanwhile."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "Content-Type is not supported for this resource."),
    500: ("UNKNOWN_EXCEPTION", UNKNOWN),
    503: ("SERVER_UNAVAILABLE", "The server is temporarily unavailable."),
}
TOKEN_ERRORS = {400: ("invalid_grant", "expired access/refresh token"), 401: ("invalid_client", "invalid client credentials")}


def answer(kind: str, options: Mapping[str, Any], path: str, template: str) -> Response:
    """Returns the answer of a fault. `code` and `message` of a status fault say what stands in it."""
    if kind == "concurrent_limit":
        return refusal(TOO_MANY_AT_ONCE).response(template)
    if kind == "stale_locator":
        return refusal(STALE_LOCATOR).response(template)
    status = int(options["status"])
    response = _of_status(status, options, path, template)
    wait = options.get("retry_after")
    if wait is not None:
        response.headers.append(("Retry-After", str(wait)))
    return response


def _of_status(status: int, options: Mapping[str, Any], path: str, template: str) -> Response:
    if status in GATEWAY:
        page = f"<html><body><h1>{status} {GATEWAY[status]}</h1></body></html>"
        return Response(status, page.encode(), "text/html", template=template)
    code, message = options.get("code"), options.get("message")
    if path.startswith("/services/oauth2/"):
        word, description = TOKEN_ERRORS.get(status, ("unknown_error", "retry your request"))
        body = {"error": str(code or word), "error_description": str(message or description)}
        return Response(status, json.dumps(body).encode(), JSON, template=template)
    if status == 401 and code is None:
        return refusal(SESSION_LOST).response(template)
    if status == 403 and code is None:
        return refusal(DAY_USED).response(template)
    own = OF_STATUS.get(status, ("UNKNOWN_EXCEPTION", f"A fault asked for {status}."))
    return refusal(Refused(status, str(code or own[0]), str(message or own[1]))).response(template)
