"""What every box of a Microsoft mailbox does alike."""

from __future__ import annotations

from dataclasses import replace

from connectors.contract import Ref
from connectors.mailbox_base import Box
from connectors.microsoft.categories import make_category
from connectors.microsoft.client import GraphClient, segment
from connectors.microsoft.settings import SYSTEM, MicrosoftSettings


class MicrosoftBox(Box[GraphClient, MicrosoftSettings]):
    """One of them."""

    system = SYSTEM
    has_categories = True

    def _open(self) -> None:
        self.concurrency = self._settings.concurrency

    def make_category(self, name: str) -> None:
        make_category(self._client, name, self._settings.category_colour)

    def web_url(self, ref: Ref) -> str:
        return super().web_url(replace(ref, id=segment(ref.id)))
