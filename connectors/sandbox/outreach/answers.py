"""How the played Outreach answers: JSON:API bodies, refusals, the gateway's own pages, and what faults ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.wire import Response

MEDIA_TYPE = "application/vnd.api+json; charset=utf-8"
ERROR_IDS = {
    400: "permittedParams.unknownAttribute", 403: "unauthorizedOauthScope", 404: "resourceNotFound", 415: "unsupportedMediaType",
    422: "validationError", 429: "rateLimitExceeded", 500: "internalServerError", 503: "scheduledServerMaintenance",
}  # fmt: skip
GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}


def document(status: int, body: Mapping[str, Any], template: str) -> Response:
    return Response(status, json.dumps(body).encode(), MEDIA_TYPE, template=template)


def error(status: int, code: str, detail: str, template: str, pointer: str = "") -> Response:
    """Returns a refusal. The vendor's 415 says `details` where all others say `detail`."""
    told: dict[str, Any] = {"id": code, "title": code, "details" if status == 415 else "detail": detail}
    if pointer:
        told["source"] = {"pointer": pointer}
    return document(status, {"errors": [told]}, template)


def unauthorized(template: str) -> Response:
    """Returns the gateway's 401, which is not JSON:API."""
    body = {"error": "Invalid JWT token.", "description": "The JWT token could not be decoded."}
    return Response(401, json.dumps(body).encode(), template=template)


def gateway(status: int, template: str) -> Response:
    page = f"<html><body><h1>{status} {GATEWAY[status]}</h1></body></html>"
    return Response(status, page.encode(), "text/html", template=template)


def of_fault(kind: str, options: Mapping[str, Any], template: str) -> Response:
    """Returns the answer of a fault, without what the limits add to it."""
    if kind == "page_too_large":
        return gateway(502, template)
    if kind == "stale_next":
        return error(400, "permittedParams.invalidCursor", "page[after] is not valid any more.", template)
    status = int(options["status"])
    if status == 401:
        response = unauthorized(template)
    elif status in GATEWAY:
        response = gateway(status, template)
    else:
        response = error(status, ERROR_IDS.get(status, "error"), f"A fault asked for {status}.", template)
    wait = options.get("retry_after")
    if wait is not None:
        response.headers.append(("Retry-After", str(wait)))
    return response
