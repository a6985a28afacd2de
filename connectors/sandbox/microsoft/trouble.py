"""What the played Graph answers when a fault strikes before anything is done, to a call or to a part of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.microsoft.calls import Answer, refusal
from connectors.sandbox.microsoft.refusal import Refused, access_denied, no_item, stale_key

GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}
OF_STATUS = {
    400: Refused(400, "ErrorInvalidRequest", "The request is invalid."),
    401: Refused(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    403: access_denied(),
    404: no_item(),
    409: Refused(409, "ErrorFolderExists", "A folder with the specified name already exists."),
    410: Refused(410, "SyncStateNotFound", "The sync state generation is not found; it may have expired."),
    412: stale_key(),
    429: Refused(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: Refused(500, "ErrorInternalServerTransientError", "An internal server error occurred. Try again later."),
    503: Refused(503, "ServiceNotAvailable", "The service is temporarily unavailable."),
}
TOKEN_ERRORS = {
    400: ("invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity."),
    401: ("invalid_client", 7000215, "Invalid client secret provided."),
    429: ("temporarily_unavailable", 90055, "The server is too busy to handle the request."),
}
NO_TOKEN_ERROR = ("temporarily_unavailable", 90033, "A transient error has occurred. Please try again.")


def of_status(options: Mapping[str, Any]) -> Answer:
    """Returns the answer of a status fault. `code` and `message` say what stands in it."""
    status = int(options["status"])
    headers = wait(options)
    if status in GATEWAY:
        page = f"<html><body><h1>{status} {GATEWAY[status]}</h1></body></html>"
        return Answer(status, page, headers, "text/html")
    own = OF_STATUS.get(status, Refused(status, "UnknownError", f"A fault asked for {status}."))
    error = Refused(status, str(options.get("code") or own.code), str(options.get("message") or own.message))
    answer = refusal(error)
    answer.headers += headers
    return answer


def wait(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the header that says how long to wait, where the fault says it."""
    seconds = options.get("retry_after")
    return [] if seconds is None else [("Retry-After", str(seconds))]
