"""What the played Google refuses, in its two shapes: the newer one of People, and the older one of Calendar."""

from __future__ import annotations

from typing import Any

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
OF_HTTP = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 405: "UNIMPLEMENTED", 409: "ABORTED",
    412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
NUMBERS = {
    "INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9, "ABORTED": 10, "INTERNAL": 13, "UNAVAILABLE": 14, "UNAUTHENTICATED": 16,
}  # fmt: skip
USAGE_REASONS = ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded")


class Refused(Exception):
    """A call that is refused. `status` is the HTTP status and `rpc` its word; `reason` stands in the details of the newer
    shape, `old_reason` in `errors` of the older one."""

    def __init__(
        self, status: int, message: str, rpc: str = "", *, reason: str = "", old_reason: str = "", metadata: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.rpc = rpc or OF_HTTP.get(status, "UNKNOWN")
        self.reason, self.old_reason, self.metadata = reason, old_reason, metadata or {}

    def newer(self) -> dict[str, Any]:
        """Returns the body that People answers."""
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": self.rpc}
        if self.old_reason:
            error["errors"] = [self._old()]
        if self.reason:
            # The domain of reasons that one API owns is its host; those of every API have the common one.
            own = self.reason == "EXPIRED_SYNC_TOKEN"
            info: dict[str, Any] = {"@type": ERROR_INFO, "reason": self.reason}
            info["domain"] = "people.googleapis.com" if own else "googleapis.com"
            if self.metadata:
                info["metadata"] = self.metadata
            error["details"] = [info]
        return {"error": error}

    def older(self) -> dict[str, Any]:
        """Returns the body that Calendar answers."""
        return {"error": {"code": self.status, "message": self.message, "errors": [self._old()]}}

    def _old(self) -> dict[str, str]:
        reason = self.old_reason or {400: "badRequest", 404: "notFound", 503: "backendError"}.get(self.status, "invalid")
        told = {"domain": "usageLimits" if reason in USAGE_REASONS else "global", "reason": reason, "message": self.message}
        return {**told, "locationType": "header", "location": "Authorization"} if reason == "authError" else told

    def as_status(self) -> dict[str, Any]:
        """Returns the status of one person in the answer of a batch."""
        return {"code": NUMBERS.get(self.rpc, 2), "message": self.message}


def invalid(message: str) -> Refused:
    return Refused(400, message, "INVALID_ARGUMENT")


def precondition(message: str, *, reason: str = "") -> Refused:
    return Refused(400, message, "FAILED_PRECONDITION", reason=reason, old_reason="" if reason else "failedPrecondition")


def not_found(message: str = "Requested entity was not found.") -> Refused:
    return Refused(404, message)


def expired_sync_token() -> Refused:
    return precondition("Sync token is expired. Clear local cache and retry call without the sync token.", reason="EXPIRED_SYNC_TOKEN")


def unauthorized() -> Refused:
    told = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid credential."
    return Refused(401, told, old_reason="authError")


def lacks_scope(service: str) -> Refused:
    return Refused(
        403,
        "Request had insufficient authentication scopes.",
        reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        old_reason="insufficientPermissions",
        metadata={"service": service},
    )


def service_disabled(service: str) -> Refused:
    told = f"{service} has not been used in project 1 before or it is disabled. Enable it, wait a few minutes, and retry."
    metadata = {"service": service, "consumer": "projects/1"}
    return Refused(403, told, reason="SERVICE_DISABLED", old_reason="accessNotConfigured", metadata=metadata)


def over_quota(service: str, metric: str, limit: str, *, status: int = 429) -> Refused:
    """Returns the refusal of a call too many: 429 of the newer shape, or 403 with the older reason, as it is also seen."""
    told = f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service '{service}' for consumer 'project_number:1'."
    if status == 403:
        return Refused(403, "Rate Limit Exceeded", old_reason="rateLimitExceeded")
    name = metric.lower().replace(" ", "_")
    metadata = {"service": service, "quota_metric": f"{service}/{name}", "quota_limit": limit, "consumer": "projects/1"}
    return Refused(429, told, "RESOURCE_EXHAUSTED", reason="RATE_LIMIT_EXCEEDED", old_reason="rateLimitExceeded", metadata=metadata)
