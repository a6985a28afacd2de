"""What every box of a Google mailbox does alike."""

from __future__ import annotations

from connectors.contract import Identity
from connectors.google.client import GoogleClient
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.mailbox_base import Box


class GoogleBox(Box[GoogleClient, GoogleSettings]):
    """One of them."""

    system = SYSTEM

    def identity(self) -> Identity:
        return Identity(self.address, self.address.rpartition("@")[2], self.address)
