"""The labels of one Gmail mailbox: looked up once, kept with the cursor, and looked up again where a mail bears an unknown one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.errors import RecordGone, Rejected
from connectors.google.gmail_calls import ME, GmailCalls, path_of
from connectors.google.gmail_codec import is_own_label
from connectors.google.settings import SYSTEM
from connectors.http import unreadable
from connectors.mailboxes import FOLDER_GONE, Folder

LABELS = f"{ME}/labels"


class GmailLabels:
    """What is known of a mailbox's labels: names by id, and which is ours."""

    def __init__(self, calls: GmailCalls) -> None:
        self._calls = calls
        self.names: dict[str, str] = {}
        self.ours = ""

    def remember(self, names: Mapping[str, str]) -> None:
        self.names = {**names, **self.names}

    def ensure(self, carried: Iterable[str]) -> None:
        """Sees to it that these labels are known. One call at most; one that is deleted meanwhile has no name."""
        unknown = {label for label in carried if is_own_label(label) and label not in self.names}
        if unknown:
            self.load()
            self.names |= {label: "" for label in unknown if label not in self.names}

    def load(self) -> None:
        answer = self._calls.get(LABELS, template=LABELS)
        rows = answer.data.get("labels") or []
        if not isinstance(rows, list) or not all(_is_sound(row) for row in rows):
            raise unreadable(SYSTEM, answer, is_read=True)
        self.names = {row["id"]: row["name"] for row in rows if is_own_label(row["id"])}

    def folders(self, name: str) -> list[Folder]:
        """Returns the labels of exactly this name. There is one at most: Gmail refuses a second."""
        self.load()
        return [Folder(id_, label) for id_, label in self.names.items() if label == name]

    def make(self, name: str) -> Folder:
        """Returns the label of this name, made where there was none."""
        if found := self.folders(name):
            return found[0]
        try:
            answer = self._calls.client.post(LABELS, {"name": name}, template=LABELS)
        except Rejected as refusal:
            if refusal.status != 409 or not (found := self.folders(name)):  # somebody made it meanwhile; or in other letters
                raise
            return found[0]
        if not _is_sound(answer.data):
            raise unreadable(SYSTEM, answer, is_read=False)
        self.names[answer.data["id"]] = answer.data["name"]
        return Folder(answer.data["id"], answer.data["name"])

    def verify(self) -> None:
        """Looks whether our label is there. Raises RecordGone with the code "folder" when it is not."""
        try:
            self._calls.get(path_of("labels", self.ours), template=f"{LABELS}/{{label}}", is_of_record=True)
        except (RecordGone, Rejected) as refusal:
            detail = "our label of mails is not there any more"
            raise RecordGone(detail, system=SYSTEM, status=refusal.status, code=FOLDER_GONE, exchange=refusal.exchange) from refusal


def _is_sound(row: Any) -> bool:
    return isinstance(row, Mapping) and all(isinstance(row.get(part), str) and row[part] for part in ("id", "name"))
