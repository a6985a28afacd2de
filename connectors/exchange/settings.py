"""What differs from one Exchange server to another, and what its documentation leaves open. All of it has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from connectors.errors import NeedsAttention
from connectors.options import settings_among

SYSTEM = "exchange"
PATH = "/EWS/Exchange.asmx"  # where every Exchange server answers, unless somebody moved it
RANGES = {  # what may be set, from and to
    "items_a_call": (1, 100),
    "changes_a_page": (1, 512),
    "found_a_page": (1, 1000),
    "move_tries": (1, 20),
}
FILE_AS = ("", "LastCommaFirst", "FirstSpaceLast", "Company", "LastCommaFirstCompany", "CompanyLastCommaFirst", "LastFirst", "DisplayName")


class Proof(StrEnum):
    """How the service account proves who it is."""

    NTLM = "ntlm"
    BASIC = "basic"


class Directory(StrEnum):
    """Where the mailboxes are known from: a list that an admin keeps, or the address list of the server."""

    LIST = "list"
    NAMES = "names"


class ServerVersion(StrEnum):
    """The schema that calls name. Exchange 2016, 2019 and Subscription Edition speak the newest one."""

    V2016 = "Exchange2016"
    V2013_SP1 = "Exchange2013_SP1"
    V2013 = "Exchange2013"
    V2010_SP2 = "Exchange2010_SP2"


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """One connection's terms. Sizes count items."""

    proof: str = Proof.NTLM.value
    user: str = ""  # of the service account: DOMAIN\\name, or its address
    version: str = ServerVersion.V2016.value
    directory: str = Directory.LIST.value
    mailboxes: tuple[str, ...] = ()  # addresses, where the directory is a list
    items_a_call: int = 50  # of GetItem, CreateItem and their kind (reference 5.5)
    changes_a_page: int = 512
    found_a_page: int = 250  # what a search with a condition may find at once under the strictest policy (reference 5.5)
    move_tries: int = 5
    zone: str = "UTC"  # what whole days and times that we write are meant in: an IANA or Windows name
    file_as: str = "LastCommaFirst"  # Outlook lists contacts by this name; "": we leave it to the server

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise NeedsAttention(f"takes {name.replace('_', ' ')} from {least} to {most}", system=SYSTEM)
        for name, known in (("proof", Proof), ("version", ServerVersion), ("directory", Directory), ("file_as", FILE_AS)):
            if getattr(self, name) not in tuple(known):
                raise NeedsAttention(f"knows no {name.replace('_', ' ')} {getattr(self, name)[:40]!r}", system=SYSTEM)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ExchangeSettings:
        """Returns the settings that are among a connection's own; others are somebody else's. Raises NeedsAttention for a
        value that cannot be."""
        return settings_among(cls, given, SYSTEM)


def endpoint(base_url: str) -> str:
    """Returns the address of the server's interface, with its path where none was entered."""
    address = base_url.rstrip("/")
    try:
        has_path = urlsplit(address).path not in ("", "/")
    except ValueError:
        return address  # refused by the client that is to send there
    return address if has_path else f"{address}{PATH}"
