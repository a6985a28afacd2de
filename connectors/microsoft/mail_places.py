"""Which folders of a mailbox are which: their ids are constant (reference section 2.2), so they are asked for once.

The question goes out along with others, in the same call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors import mails
from connectors.microsoft.client import GraphClient, Part, Reply, address
from connectors.microsoft.codec import id_of

FOLDER_TEMPLATE = "/users/{user}/mailFolders/{folder}"
WELL_KNOWN = {  # by the names that Graph knows in every language
    "inbox": mails.INBOX,
    "sentitems": mails.SENT,
    "drafts": mails.DRAFTS,
    "deleteditems": mails.BIN,
    "junkemail": mails.JUNK,
}


class MailPlaces:
    """The kinds of folders of one mailbox by id, and which of them is ours."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client
        self.known: dict[str, str] = {}
        self.ours = ""

    @property
    def kinds(self) -> dict[str, str]:
        return {**self.known, self.ours: mails.OURS} if self.ours else self.known

    def parts(self) -> list[Part]:
        """Returns what is to be asked, nothing where it was."""
        if self.known:
            return []
        return [Part("GET", address(f"{self._client.root}/mailFolders/{name}", select="id"), FOLDER_TEMPLATE) for name in WELL_KNOWN]

    def learn(self, replies: Sequence[Reply]) -> None:
        """Takes the answers to `parts`. A folder that does not answer is none of these; the next time it is not asked for again:
        what lies in it is told as being elsewhere."""
        found = zip(replies, WELL_KNOWN.values(), strict=False)
        self.known |= {id_: kind for reply, kind in found if reply.is_good and (id_ := id_of(reply.body))}

    def remember(self, known: Mapping[str, str]) -> None:
        self.known |= known
