"""What the store makes of what is written, by kind of item: names of contacts, states of tasks, messages as they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.exchange import fields
from connectors.sandbox.exchange.refusal import Refused

Values = dict[str, Any]
_FIRST, _LAST, _SHOWN, _FILED = "contacts:GivenName", "contacts:Surname", "contacts:DisplayName", "contacts:FileAs"
_STATUS, _PERCENT, _DONE = "task:Status", "task:PercentComplete", "task:CompleteDate"
# What nobody changes of a message that was sent or received.
SENT_FOR_GOOD = frozenset(("message:ToRecipients", "message:CcRecipients", "message:BccRecipients", "message:From", "message:Sender",
                           "message:ReplyTo", "message:InternetMessageId", "message:IsReadReceiptRequested",
                           "message:IsDeliveryReceiptRequested"))  # fmt: skip
FOLDER_CLASSES = {fields.CONTACT: "IPF.Contact", fields.EVENT: "IPF.Appointment", fields.TASK: "IPF.Task"}
_WRONG_FOLDER = {fields.CONTACT: "ErrorCannotCreateContactInNonContactFolder", fields.TASK: "ErrorCannotCreateTaskInNonTaskFolder",
                 fields.EVENT: "ErrorCannotCreateCalendarItemInNonCalendarFolder"}  # fmt: skip


def check_folder(kind: str, folder: Mapping[str, Any]) -> None:
    """Raises Refused for a folder that does not take this kind of item."""
    wanted = FOLDER_CLASSES.get(kind)
    if wanted is not None and not str(folder["class"]).startswith(wanted):
        raise Refused(_WRONG_FOLDER[kind], f"Items of this kind are made in folders of the class {wanted} only.")


def new_contact(given: Mapping[str, Any]) -> Values:
    """Returns a new contact's values with the names that the store makes up."""
    own = dict(given)
    first, last, company = (own.get(key) or "" for key in (_FIRST, _LAST, "contacts:CompanyName"))
    if not own.get(_SHOWN):
        own[_SHOWN] = " ".join(filter(None, (first, own.get("contacts:MiddleName"), last))) or company
    if not own.get(_FILED):
        own[_FILED] = ", ".join(filter(None, (last, first))) or company or own[_SHOWN]
    own.setdefault("item:Subject", own[_FILED])
    return own


def changed_task(before: Mapping[str, Any], given: Mapping[str, Any], now: str) -> Values:
    """Returns a task's changes with those that follow: a status has its percentage and day of completion, and the other way
    round. The day of completion is the present one, whatever was written."""
    own = {key: value for key, value in given.items() if key != _DONE}
    if _STATUS in own:
        status = own[_STATUS] or "NotStarted"
    elif _PERCENT in own:
        percent = own[_PERCENT] or 0
        status = "Completed" if percent == 100 else "InProgress" if percent else "NotStarted"
    elif given.get(_DONE) is not None:
        status = "Completed"
    else:
        return own
    if not 0 <= (own.get(_PERCENT) or 0) <= 100:
        raise Refused("ErrorInvalidPercentCompleteValue", "PercentComplete must be between 0 and 100.", field=_PERCENT)
    own[_STATUS] = status
    if status == "Completed":
        is_new = before.get(_STATUS) != "Completed"
        own |= {_PERCENT: 100, _DONE: now if is_new else before.get(_DONE, now)}
    else:
        own[_DONE] = None
        percent = own.get(_PERCENT, before.get(_PERCENT) or 0)
        own[_PERCENT] = 0 if status == "NotStarted" or percent == 100 else percent
    return own


def check_message(before: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises Refused for a change of what was sent."""
    fixed = [key for key in given if key in SENT_FOR_GOOD]
    if fixed and not before.get("item:IsDraft", False):
        told = "Update operation is invalid for property of sent message."
        raise Refused("ErrorInvalidPropertyUpdateSentMessage", told, field=fixed[0])


def recipients_of(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [each for name in ("To", "Cc", "Bcc") for each in values.get(f"message:{name}Recipients") or ()]
