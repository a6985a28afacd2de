"""Where a contact lies, by the id of its folder: in ours, elsewhere in the mailbox, or in the bin."""

from __future__ import annotations

import threading

from connectors.errors import RecordError
from connectors.mailboxes import BIN, INSIDE, OUTSIDE
from connectors.microsoft.client import GraphClient, Part, address, segment

DEEPEST = 20  # folders within folders; more are a circle
_FOLDER = "/users/{user}/contactFolders/{folder}"


class Places:
    """The folders of one mailbox, as far as they had to be asked for. Thread-safe: who asks twice learns the same twice."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client
        self._known: dict[str, str] = {}
        self._has_bin: bool | None = None  # None: nobody has asked yet
        self._lock = threading.Lock()
        self.ours = ""

    def of(self, folder_id: str) -> str:
        """Returns INSIDE, OUTSIDE or BIN."""
        if folder_id == self.ours:
            return INSIDE
        if self._has_bin is None:
            self._learn()
        if folder_id not in self._known:
            place = self._walk(folder_id)
            with self._lock:
                self._known[folder_id] = place
        return self._known[folder_id]

    def _learn(self) -> None:
        """Asks for the two folders that have names of their own. The app may lack the right to see the bin, which is a
        folder of mail. The default folder's parent is the mailbox itself: what lies below it, and not below the bin, is there."""
        root = self._client.root
        bin_, default = self._client.read_all(
            [
                Part("GET", address(f"{root}/mailFolders/deleteditems", select="id"), "/users/{user}/mailFolders/{folder}"),
                Part("GET", address(f"{root}/contactFolders/contacts", select="id,parentFolderId"), _FOLDER),
            ]
        )
        for reply in (bin_, default):
            if reply.status in (0, 429) or reply.status >= 500:
                raise self._client.error_of(reply, is_read=True)
        if not default.is_good:
            raise self._client.error_of(default, is_read=True)
        bin_id, default_id = (reply.body.get("id") if reply.is_good and isinstance(reply.body, dict) else None for reply in (bin_, default))
        mailbox_id = default.body.get("parentFolderId") if isinstance(default.body, dict) else None
        with self._lock:
            for id_ in (default_id, mailbox_id):
                if isinstance(id_, str):
                    self._known[id_] = OUTSIDE
            if isinstance(bin_id, str):
                self._known[bin_id] = BIN
            self._has_bin = isinstance(bin_id, str)

    def _walk(self, folder_id: str) -> str:
        """Goes up from a folder until one is known. What leads neither to the mailbox nor to its contacts lies outside, or in
        the bin where that is the one folder that we may not see."""
        at = folder_id
        for _ in range(DEEPEST):
            try:
                path = address(f"{self._client.root}/contactFolders/{segment(at)}", select="id,parentFolderId")
                parent = self._client.get_object(path, template=_FOLDER).get("parentFolderId")
            except RecordError:
                break
            if not isinstance(parent, str) or parent == at:
                break
            if parent == self.ours:
                return OUTSIDE  # below ours is not in ours
            if parent in self._known:
                return self._known[parent]
            at = parent
        return OUTSIDE if self._has_bin else BIN
