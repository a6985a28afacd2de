"""Whom items are never linked to, and which domains are our own: lists that people keep (S4.37, C20).

The organisation's list holds for everybody, a mailbox's for itself alone. What is blocked is neither searched nor linked, nothing is
made of it, and an item all of whose outside parties are blocked is not shared by itself. Nothing is changed in Salesforce."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from connectors.contract import Op, Test
from reconciliation.core.addresses import domain_of, normalise_domain
from reconciliation.core.blocklists import blocklist_entry
from reconciliation.core.domains import is_free_mail, registrable
from reconciliation.core.mailbox_people import EMAIL, IS_ACTIVE
from reconciliation.engine.pair_reads import CRM_USER
from reconciliation.engine.wiring import Wiring
from reconciliation.models import BlockedAddress, Mailbox, OwnDomain
from reconciliation.models.bulk import insert_rows
from reconciliation.services.audit import audit
from reconciliation.services.crm_users import crm_of_mailboxes
from reconciliation.services.duplicates import DecisionRefused

MOST_AT_ONCE = 2_000
MOST_TEXT = 200_000  # characters of a pasted list
MOST_NOTE = 200
ROWS_A_LOOK = 500
MOST_PAGES = 100  # of users, in one look: some 200,000
MOST_NEW = 200  # domains, in one look
SURE_WITH = 2
STANDARD_USER = "Standard"  # a user of the company; others log in to portals and are customers


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a pasted list: entries that are new, that stood there already, and what is no address and no domain."""

    new: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def entries_of(mailbox: Mailbox | None) -> QuerySet[BlockedAddress]:
    """Returns the entries of one mailbox, or those of the organisation, the latest first; removed ones are among them."""
    return BlockedAddress.objects.filter(mailbox=mailbox).order_by("-at", "-pk")


def entries_add(text: str, by: AbstractBaseUser, mailbox: Mailbox | None = None, *, note: str = "", allows_endings: bool = False) -> Added:
    """Adds addresses and domains of a pasted list, each once. Bare endings such as "ru" block whole countries and are taken only
    where that was said. Raises DecisionRefused for a list that is empty or too long, adding nothing."""
    words = list(dict.fromkeys(word for word in re.split(r"[\s,;]+", text[:MOST_TEXT]) if word))
    if not words:
        raise DecisionRefused("Enter an address or a domain. Nothing was added.")
    if len(words) > MOST_AT_ONCE or len(text) > MOST_TEXT:
        raise DecisionRefused(f"At most {MOST_AT_ONCE:,} entries at once. Nothing was added.")
    wanted: dict[str, None] = {}
    refused = []
    for word in words:
        entry = blocklist_entry(word.strip("<>\"'()"))
        is_ending = bool(entry) and "." not in entry and "@" not in entry
        if not entry or (is_ending and not allows_endings):
            refused.append(word[:80])
        else:
            wanted[entry] = None
    return _add(list(wanted), refused, by, mailbox, note)


def _add(wanted: Sequence[str], refused: Sequence[str], by: AbstractBaseUser, mailbox: Mailbox | None, note: str) -> Added:
    now, known = timezone.now(), set[str]()
    with transaction.atomic():
        for start in range(0, len(wanted), ROWS_A_LOOK):
            rows = entries_of(mailbox).filter(removed_at=None, entry__in=wanted[start : start + ROWS_A_LOOK])
            known.update(rows.values_list("entry", flat=True))
        new = [entry for entry in wanted if entry not in known]
        common = {"mailbox": mailbox, "note": note.strip()[:MOST_NOTE], "by_id": by.pk, "by_name": by.get_username(), "at": now}
        try:
            with transaction.atomic():
                insert_rows([BlockedAddress(entry=entry, **common) for entry in new])
        except IntegrityError:
            raise DecisionRefused("Somebody else changed the list at the same moment. Nothing was added; try again.") from None
        if new:
            audit(by, "block addresses", _whose(mailbox), count=len(new), first=new[0])
    return Added(tuple(new), tuple(entry for entry in wanted if entry in known), tuple(refused))


def entries_remove(ids: Iterable[int], by: AbstractBaseUser, mailbox: Mailbox | None = None) -> int:
    """Takes entries out of a list; returns how many were in it. They stay to be put back."""
    values = {"removed_at": timezone.now(), "removed_by_name": by.get_username()}
    with transaction.atomic():
        count = entries_of(mailbox).filter(pk__in=list(ids)[:MOST_AT_ONCE], removed_at=None).update(**values)
        if count:
            audit(by, "take addresses off the blocklist", _whose(mailbox), count=count)
    return count


def entries_put_back(ids: Iterable[int], by: AbstractBaseUser, mailbox: Mailbox | None = None) -> int:
    """Puts removed entries back; returns how many were. One that was added again meanwhile stays as it is."""
    with transaction.atomic():
        rows = list(entries_of(mailbox).filter(pk__in=list(ids)[:MOST_AT_ONCE], removed_at__isnull=False).select_for_update())
        there = set(entries_of(mailbox).filter(removed_at=None, entry__in=[r.entry for r in rows]).values_list("entry", flat=True))
        back = {row.entry: row.pk for row in rows if row.entry not in there}
        BlockedAddress.objects.filter(pk__in=back.values()).update(removed_at=None, removed_by_name="")
        if back:
            audit(by, "block addresses", _whose(mailbox), count=len(back), first=next(iter(back)))
    return len(back)


def _whose(mailbox: Mailbox | None) -> str:
    return f"blocklist of {mailbox.address}" if mailbox is not None else "blocklist of the organisation"


# --- own domains ----------------------------------------------------------------------------------------------------------


def domain_add(text: str, by: AbstractBaseUser) -> OwnDomain:
    """Adds a domain of our own. Raises DecisionRefused for what is none, or gives addresses to anybody."""
    domain = normalise_domain(text.strip().lstrip("@*."))
    if not domain or not registrable(domain):
        raise DecisionRefused(f"“{text[:80]}” is no domain. Nothing was added.")
    if is_free_mail(domain):
        raise DecisionRefused(f"{domain} gives addresses to anybody: everybody with one would count as a colleague. Nothing was added.")
    values = {"is_on": True, "source": OwnDomain.Source.PERSON, "by_name": by.get_username(), "at": timezone.now()}
    row, _ = OwnDomain.objects.update_or_create(domain=domain, defaults=values)
    audit(by, "add own domain", domain)
    return row


def domain_switch(pk: int, is_on: bool, by: AbstractBaseUser) -> OwnDomain:
    """Says that a domain is ours, or is not. Raises OwnDomain.DoesNotExist."""
    row = OwnDomain.objects.get(pk=pk)
    if OwnDomain.objects.filter(pk=pk, is_on=not is_on).update(is_on=is_on, by_name=by.get_username(), at=timezone.now()):
        audit(by, "add own domain" if is_on else "take off own domain", row.domain)
    row.refresh_from_db()
    return row


def domains_look_up(by: AbstractBaseUser | None, wiring: Wiring | None = None) -> list[str]:
    """Adds the domains of our mailboxes and of the CRM's users that are not known yet, and returns them, at most MOST_NEW: those of
    most users. What a person switched off stays off; free-mail domains, and users of portals, are left out. Without a person who
    looks at what is found, a domain of users needs SURE_WITH of them: one consultant with a customer's address would make that
    customer's people colleagues. Raises ConnectorError, adding nothing."""
    users = Counter(domain for address in _of_users(wiring or Wiring()) for domain in _corporate([address]))
    least = 1 if by is not None else SURE_WITH
    found = {domain: OwnDomain.Source.USERS for domain, count in users.items() if count >= least}
    addresses = Mailbox.objects.exclude(state=Mailbox.State.ENDED).values_list("address", flat=True)
    found |= dict.fromkeys(_corporate(addresses.iterator()), OwnDomain.Source.MAILBOXES)
    known = set(OwnDomain.objects.values_list("domain", flat=True))
    new = sorted(sorted(found.keys() - known, key=lambda domain: (-users[domain], domain))[:MOST_NEW])
    now, name = timezone.now(), by.get_username() if by is not None else ""
    rows = [OwnDomain(domain=domain, source=found[domain], by_name=name, at=now) for domain in new]
    OwnDomain.objects.bulk_create(rows, ignore_conflicts=True)
    if new:
        audit(by, "add own domain", ", ".join(new)[:200])
    return new


def _corporate(addresses: Iterable[str]) -> set[str]:
    domains = {domain_of(address) for address in addresses}
    return {domain for domain in domains if domain and registrable(domain) and not is_free_mail(domain)}


def _of_users(wiring: Wiring) -> Iterable[str]:
    crm = crm_of_mailboxes()
    if crm is None:
        return
    connector = wiring.open_connector(crm)
    try:
        pages = connector.scan(CRM_USER, where=Test(IS_ACTIVE, Op.EQ, True), columns=[EMAIL, "UserType"])
        for page in islice(pages, MOST_PAGES):
            for record in page.records:
                if record.fields.get("UserType") in (STANDARD_USER, None):
                    yield str(record.fields.get(EMAIL) or "")
    finally:
        connector.close()
