"""The labels of one mailbox: looked up once, kept with the cursor, and looked up again when somebody seems to have left.

A label is a folder and a category in one here (engine-rules 37). One that was deleted by hand takes its name off every
contact; that must not be read as "all contacts left".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.errors import RecordGone, Rejected
from connectors.google.client import GoogleClient
from connectors.google.codec import Labels, is_group
from connectors.google.faults import EXISTS
from connectors.google.settings import SYSTEM
from connectors.http import unreadable
from connectors.mailboxes import FOLDER_GONE, Folder

GROUPS = "/contactGroups"
PAGE = 1000
MOST_PAGES = 20
SYSTEM_GROUPS = frozenset(
    f"contactGroups/{name}" for name in ("myContacts", "starred", "all", "blocked", "chatBuddies", "coworkers", "family", "friends")
)


@dataclass(slots=True)
class LabelBook:
    """What is known of a mailbox's labels. `folder` is the resource name of ours, `category_name` what the category is
    called."""

    client: GoogleClient
    folder: str = ""
    category_name: str = ""
    _names: dict[str, str] = field(default_factory=dict)
    _is_known: bool = False

    @property
    def view(self) -> Labels:
        return Labels(self.folder, self._id_of(self.category_name), dict(self._names))

    def use(self, folder: str, category: str) -> None:
        if folder and not is_group(folder):
            raise RecordGone(f"{folder[:60]!r} is no label", system=SYSTEM, code=FOLDER_GONE)
        self.folder, self.category_name = folder, category

    def adopt(self, names: Mapping[str, str]) -> None:
        """Takes over what was known when a cursor was written, unless more is known already."""
        if not self._is_known and names:
            self._names, self._is_known = dict(names), True

    @property
    def names(self) -> Mapping[str, str]:
        return self._names

    def ensure(self, carried: Iterable[str] = ()) -> None:
        """Sees to it that the labels are known, these among them. One call at most."""
        if not self._is_known or any(group not in self._names and group not in SYSTEM_GROUPS for group in carried):
            self.load()

    def verify(self) -> None:
        """Looks whether our folder is there. Raises RecordGone with the code "folder" when it is not."""
        self.load()
        if self.folder not in self._names:
            raise RecordGone(
                "the label that holds our contacts was deleted; nothing is concluded about them", system=SYSTEM, code=FOLDER_GONE
            )

    def require(self) -> None:
        """Sees to it that there is a folder to put contacts into, without a call where it is known. Raises as `verify`."""
        self.ensure()
        if self.folder not in self._names:
            self.verify()

    def load(self) -> None:
        names: dict[str, str] = {}
        for row in self._rows():
            if row.get("groupType") == "SYSTEM_CONTACT_GROUP" or row["resourceName"] in SYSTEM_GROUPS:
                continue
            metadata = row.get("metadata")
            if not (isinstance(metadata, Mapping) and metadata.get("deleted") is True):
                names[row["resourceName"]] = row["name"]
        self._names, self._is_known = names, True

    def _rows(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        token = ""
        for _ in range(MOST_PAGES):
            params = [("pageSize", str(PAGE)), *([("pageToken", token)] if token else [])]
            answer = self.client.get(GROUPS, params)
            rows, following = answer.data.get("contactGroups", []), answer.data.get("nextPageToken") or ""
            if not isinstance(rows, list) or not all(_is_sound(row) for row in rows) or not isinstance(following, str):
                raise unreadable(SYSTEM, answer, is_read=True)
            found += rows
            if not following:
                return found
            if following == token:
                break
            token = following
        raise unreadable(SYSTEM, answer, is_read=True)

    def folders(self, name: str) -> list[Folder]:
        """Returns the labels of exactly this name. There is one at most: Google refuses a second."""
        self.load()
        return [Folder(group, label) for group, label in self._names.items() if label == name]

    def make(self, name: str) -> Folder:
        """Returns the label of this name, made where there was none."""
        for _ in (1, 2):
            found = self.folders(name)
            if found:
                return found[0]
            try:
                answer = self.client.post(GROUPS, {"contactGroup": {"name": name}})
            except Rejected as refusal:
                if refusal.status != 409 and refusal.code != EXISTS:
                    raise
                taken = refusal  # somebody made it meanwhile, or it is a name of Google's own
                continue
            if not _is_sound(answer.data):
                raise unreadable(SYSTEM, answer, is_read=False)
            self._names[answer.data["resourceName"]] = answer.data["name"]
            return Folder(answer.data["resourceName"], answer.data["name"])
        raise Rejected(f"keeps the label name {name[:60]!r} for itself; choose another", system=SYSTEM, status=409, code=taken.code)

    def ensure_named(self, names: Iterable[str]) -> None:
        """Sees to it that there are labels of these names: at Google a category must exist before it is given."""
        for name in dict.fromkeys(names):
            if not self._id_of(name):
                self.make(name)

    def _id_of(self, name: str) -> str:
        return next((group for group, label in self._names.items() if label == name), "") if name else ""


def _is_sound(row: Any) -> bool:
    if not isinstance(row, Mapping) or not is_group(row.get("resourceName")):
        return False
    return isinstance(row.get("name"), str) and isinstance(row.get("groupType") or "", str)
