"""What every box of a mailbox of an Exchange server does alike."""

from __future__ import annotations

from connectors.errors import ConnectorError, MailboxRefused
from connectors.exchange.client import EwsClient
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.mailbox_base import Box

ASK_IMPERSONATION = (
    "Ask an Exchange administrator to give the service account the role ApplicationImpersonation, with a scope that holds this mailbox."
)


class ExchangeBox(Box[EwsClient, ExchangeSettings]):
    """One of them."""

    system = SYSTEM
    has_categories = True

    def make_category(self, name: str) -> None:
        """Has nothing to do: an item bears any name as its category, and the list with the colours is Outlook's own."""


def remedy(error: ConnectorError) -> str:
    """Says who can mend a refusal."""
    return ASK_IMPERSONATION if isinstance(error, MailboxRefused) and not error.is_gone else ""
