"""A call, or one part of a batch, that Graph refuses."""

from __future__ import annotations


class Refused(Exception):
    """Status, code, sentence and the headers that say more."""

    def __init__(self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def bad_request(sentence: str, code: str = "BadRequest") -> Refused:
    return Refused(400, code, sentence)


def no_segment(name: str) -> Refused:
    """Returns the refusal of an address whose parts do not exist."""
    return Refused(400, "BadRequest", f"Resource not found for the segment '{name[:80]}'.")


def no_method(method: str) -> Refused:
    return Refused(405, "BadRequest", f"Specified HTTP method {method[:10]} is not allowed for the request target.")


def malformed_id() -> Refused:
    return Refused(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def no_item() -> Refused:
    return Refused(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def no_user(name: str, code: str = "Request_ResourceNotFound") -> Refused:
    if code == "ErrorInvalidUser":
        return Refused(404, code, f"The requested user '{name[:120]}' is invalid.")
    told = f"Resource '{name[:120]}' does not exist or one of its queried reference-property objects are not present."
    return Refused(404, code, told)


def access_denied() -> Refused:
    return Refused(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def stale_key() -> Refused:
    told = "The send or update operation could not be performed because the change key passed in the request does not match the current"
    return Refused(412, "ErrorIrresolvableConflict", f"{told} change key for the item.")
