"""What Exchange refuses: one thing of a request, or the request as a whole."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """One item, folder or field that Exchange refuses: the code and the sentence of its response message. `values` are told with
    it by name, `field` is the URI of the property it is about."""

    def __init__(self, code: str, message: str, *, values: Mapping[str, str] | None = None, field: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.values, self.field = code, message, dict(values or {}), field


class Faulted(Exception):
    """A whole request that Exchange refuses with a SOAP fault. `line` and `violation` say where it is not what the schema wants."""

    def __init__(self, code: str, message: str, *, violation: str = "", line: int = 1, back_off_ms: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.violation, self.line, self.back_off_ms = code, message, violation, line, back_off_ms


def invalid(violation: str, *, line: int = 1) -> Faulted:
    """Returns the refusal of a request that the schema does not allow."""
    return Faulted("ErrorSchemaValidation", "The request failed schema validation.", violation=violation, line=line)


def malformed_id() -> Refused:
    return Refused("ErrorInvalidIdMalformed", "Id is malformed.")


def no_item() -> Refused:
    return Refused("ErrorItemNotFound", "The specified object was not found in the store.")


def no_folder() -> Refused:
    return Refused("ErrorFolderNotFound", "The specified folder could not be found in the store.")


def stale_key() -> Refused:
    told = "The send or update operation could not be performed because the change key passed in the request does not match the current"
    return Refused("ErrorIrresolvableConflict", f"{told} change key for the item.")


def no_mailbox() -> Faulted:
    return Faulted("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")


def impersonation_denied() -> Faulted:
    return Faulted("ErrorImpersonateUserDenied", "The account does not have permission to impersonate the requested user.")
