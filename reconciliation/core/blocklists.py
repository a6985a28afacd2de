"""Whom nothing is created for, searched or linked: lists of addresses and domains, the organisation's and the user's own
(S4.37). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciliation.core.addresses import normalise_address, normalise_domain


def blocklist_entry(text: str) -> str:
    """Returns an entry as it is stored and compared: an address, or a domain that stands for all of its subdomains. "" for
    what is neither: a form should refuse that. Takes "@acme.example", "*.acme.example" and a bare ending such as "ru"."""
    bare = text.strip().lower()
    if "@" in bare.lstrip("@*"):
        return normalise_address(bare)
    bare = bare.lstrip("@*.").rstrip(".")
    return normalise_domain(bare) or (bare if bare.isascii() and bare.isalpha() and 2 <= len(bare) <= 63 else "")


@dataclass(frozen=True, slots=True)
class Blocklist:
    """The two lists as they hold for one user. The organisation's holds for everybody; a user's for this user alone, so that
    whoever reads a mailbox builds the list of its user."""

    organisation: frozenset[str] = frozenset()
    user: frozenset[str] = frozenset()

    @classmethod
    def of(cls, organisation: Iterable[str] = (), user: Iterable[str] = ()) -> Blocklist:
        """Returns the list of entries as people write them; what is no entry is left out (forms refuse it)."""
        return cls(_entries(organisation), _entries(user))

    def blocks(self, address: str) -> str | None:
        """Returns why an address is left out, in a sentence, None where it is not. What is no address blocks nothing."""
        whole = normalise_address(address)
        return self._blocked(whole, whole.rpartition("@")[2]) if whole else None

    def blocks_domain(self, domain: str) -> str | None:
        """Returns why nothing is created for a domain, None where no list names it or a domain above it."""
        host = normalise_domain(domain)
        return self._blocked("", host) if host else None

    def _blocked(self, address: str, domain: str) -> str | None:
        for whose, entries in (("the organisation's", self.organisation), ("the user's", self.user)):
            if address and address in entries:
                return f"{address} stands in {whose} blocklist."
            parent = next((above for above in _upwards(domain) if above in entries), None)
            if parent is not None:
                return f"The domain {parent} stands in {whose} blocklist."
        return None


def _entries(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(entry for text in texts if (entry := blocklist_entry(text)))


def _upwards(domain: str) -> list[str]:
    """Returns a domain and those above it: mail.acme.example, acme.example, example."""
    labels = domain.split(".")
    return [".".join(labels[n:]) for n in range(len(labels))]
