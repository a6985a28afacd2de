"""The folders of one kind, of contacts or of mails, right below the top of a Microsoft mailbox."""

from __future__ import annotations

from typing import Any

from connectors.errors import Rejected
from connectors.mailboxes import Folder
from connectors.microsoft import faults
from connectors.microsoft.client import GraphClient, address
from connectors.microsoft.settings import SYSTEM


class Folders:
    """Those of one mailbox. `kind` is what Graph calls them; `options` say what is asked for of each."""

    def __init__(self, client: GraphClient, kind: str, **options: str) -> None:
        self._client, self._options = client, options
        self._path = f"{client.root}/{kind}"
        self.template = f"/users/{{user}}/{kind}"

    def named(self, name: str) -> list[Folder]:
        """Returns the folders of exactly this name, in Microsoft's order: it does not tell how old a folder is."""
        path = address(self._path, filter=f"displayName eq '{quoted(name)}'", **self._options)
        found = [_folder(row) for row in self._client.every(path, template=self.template)]
        if None in found:
            raise self._client.unreadable_list()
        return [folder for folder in found if folder is not None and folder.name == name]

    def make(self, name: str) -> Folder:
        """Makes the folder, or returns the one of this name. Microsoft itself refuses a second one, so two who create at once get
        one."""
        if found := self.named(name):
            return found[0]
        try:
            answer = self._client.send("POST", self._path, {"displayName": name}, template=self.template)
        except Rejected as refusal:
            if refusal.status != 409 and refusal.code.casefold() != faults.FOLDER_EXISTS:
                raise
            if found := self.named(name):
                return found[0]
            raise Rejected(
                f"says that a folder “{name[:80]}” exists already, but does not show it; look among the deleted folders, or "
                "choose another name",
                system=SYSTEM,
                status=refusal.status,
                code=refusal.code,
                exchange=refusal.exchange,
            ) from refusal
        made = _folder(answer.data)
        if made is None:
            raise faults.error_of(answer.status, None, is_read=False, redact=answer.redact, exchange=answer.exchange)
        return made


def quoted(text: str) -> str:
    """Returns a text as it stands between the quotes of a filter."""
    return text.replace("'", "''")


def _folder(row: Any) -> Folder | None:
    id_, name = (row.get("id"), row.get("displayName")) if isinstance(row, dict) else (None, None)
    return Folder(id_, name) if isinstance(id_, str) and id_ and isinstance(name, str) else None
