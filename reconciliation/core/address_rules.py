"""What is known of addresses and domains by themselves, as linking and auto-resolving ask for it: the rules of `addresses`,
`domains` and `blocklists`, for one site and one user. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation.core.addresses import is_internal, is_shared_mailbox, normalise_address
from reconciliation.core.domains import DomainRules, account_name_of, corporate_domain, domain_of_website, refusal


@dataclass(frozen=True, slots=True)
class SiteAddresses:
    """Answers `linking_facts.AddressRules` and, for auto-resolving, whether anybody in particular sits behind an address."""

    domains: DomainRules = DomainRules()

    def key(self, address: str) -> str:
        return normalise_address(address)

    def is_internal(self, key: str) -> bool:
        return is_internal(key, self.domains.own)

    def blocks(self, key: str) -> str:
        """Returns why an address is left out, as the end of a sentence, "" where it is not."""
        return (self.domains.blocklist.blocks(key) or "").removesuffix(".")

    def domain(self, key: str) -> str:
        """Returns the domain of the company that an address belongs to, "" where it says nothing of one."""
        domain = corporate_domain(key)
        return domain if domain and refusal(key.rpartition("@")[2], self.domains) is None else ""

    def domain_of_site(self, website: str) -> str:
        domain = domain_of_website(website)
        return domain if domain and refusal(domain, self.domains) is None else ""

    def account_name(self, domain: str) -> str:
        return account_name_of(domain, self.domains) or ""

    def is_impersonal(self, key: str) -> bool:
        """Tells whether an address is a shared mailbox's (info@, sales@) or a machine's (no-reply@)."""
        return is_shared_mailbox(key)
