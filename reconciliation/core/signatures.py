"""What the signature of a mail says of its sender: name, role, company, numbers, address (S4.32). Pure.

Called where a person is created by themselves, from what the mail system gave. Nothing uncertain goes in: a caller uses
`Signature.certain()`; the other findings are for people to look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from reconciliation.core.addresses import is_machine, is_shared_mailbox, normalise_address
from reconciliation.core.domains import corporate_domain, domain_of_website, is_free_mail
from reconciliation.core.findings import DOUBTFUL, LIKELY, SURE, Finding, best
from reconciliation.core.html_text import html_to_text, looks_like_html
from reconciliation.core.newest_part import clean_lines, newest_part
from reconciliation.core.person_names import PersonName, is_person_like, read_name, words_of
from reconciliation.core.signature_block import SEPARATOR, Block, Sender, find_block, is_of_address
from reconciliation.core.signature_phones import read_phones
from reconciliation.core.signature_places import read_place, region_of
from reconciliation.core.signature_roles import NOTICE, read_roles

_WEB = re.compile(r"(?<![\w@.\-])(?:https?://)?(?:[\w\-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w@])(?:/[^\s|<>()\"]{0,200})?")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a mail says of its sender, each value None where it says nothing. `against` is why its signature was not used, in a
    sentence, "" where it was or where there is none."""

    first_name: Finding | None = None
    last_name: Finding | None = None
    title: Finding | None = None
    company: Finding | None = None
    department: Finding | None = None
    phone: Finding | None = None
    mobile: Finding | None = None
    fax: Finding | None = None
    street: Finding | None = None
    city: Finding | None = None
    postal_code: Finding | None = None
    country: Finding | None = None
    website: Finding | None = None
    against: str = ""

    def findings(self) -> dict[str, Finding]:
        """Returns whatever was found, certain or not, by the names of `VALUES`."""
        return {name: found for name in VALUES if (found := getattr(self, name)) is not None}

    def certain(self) -> dict[str, str]:
        """Returns the values that may be written to a record, by the names of `VALUES`."""
        return {name: found.value for name, found in self.findings().items() if found.is_certain}


VALUES = tuple(field.name for field in fields(Signature) if field.name != "against")


def read_signature(text: str, *, sender_name: str, sender_address: str, region: str) -> Signature:
    """Returns what a mail says of its sender. `text` is its body, plain or HTML, with or without the mails that it quotes;
    `sender_name` the display name; `region` the site's country, in two letters, for numbers without a country. A mail of a
    program says nothing, one of a shared mailbox no person. Raises nothing; the work is bounded whatever the text."""
    address = normalise_address(sender_address)
    if not address or is_machine(address):
        return Signature(against="Its sender is a program." if address else "Its sender has no address.")
    lines = clean_lines(newest_part(html_to_text(text) if looks_like_html(text) else text))
    is_shared = is_shared_mailbox(address)
    name = None if is_shared else read_name(sender_name, address=address, region=region)
    called = "" if is_shared else _called(name, lines, address)
    block = find_block(lines, Sender(called, address))
    if block.is_newsletter:
        return Signature(against=block.against)
    first, last = (None, None) if is_shared else _names(name, block, address, region, sender_name)
    if not block.lines or block.against:
        return Signature(first, last, against=block.against)
    return _values(block, first, last, address, region.upper(), is_shared)


def _called(name: PersonName | None, lines: Sequence[str], address: str) -> str:
    """Returns what the sender is called: by the display name, else by a line at the end that the address bears out."""
    if name is not None and (name.last or name.is_certain):
        return f"{name.last} {name.first}" if _is_surname_first(name) else f"{name.first} {name.last}".strip()
    for line in reversed(lines[-30:]):
        head = re.split(r"[,(]", SEPARATOR.split(line.strip(), maxsplit=1)[0], maxsplit=1)[0].strip()
        if is_person_like(head) and is_of_address(head, address):
            return head
    return ""


def _is_surname_first(name: PersonName) -> bool:
    return re.search(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", name.last) is not None


def _names(name: PersonName | None, block: Block, address: str, region: str, display: str) -> tuple[Finding | None, Finding | None]:
    """Returns first and last name: of the display name; what it does not say, of the signature where that agrees with it."""
    signed = read_name(block.full_name, address=address, region=region) if block.is_confirmed else None
    if name is None or (not name.last and signed is not None and signed.last):
        if signed is None or (name is None and not is_of_address(block.full_name, address)):
            name = name if name is not None else None
        else:
            return _finding(signed.first, signed, block.full_name), _finding(signed.last, signed, block.full_name)
    if name is None:
        return None, None
    if not name.is_certain and signed is not None and signed.is_certain and set(words_of(block.full_name)) == set(words_of(display)):
        name = signed
    return _finding(name.first, name, display), _finding(name.last, name, display)


def _finding(value: str, name: PersonName, line: str) -> Finding | None:
    return Finding(value, SURE if name.is_certain else DOUBTFUL, line[:200], name.why) if value else None


def _values(block: Block, first: Finding | None, last: Finding | None, address: str, region: str, is_shared: bool) -> Signature:
    """Returns the signature of a block that is the sender's, or may be. Where the sender's name does not stand in it, or the
    mailbox is shared, what is of a person is uncertain, and what is of the company is not."""
    roles = read_roles(block, address)
    rows = [row for row in block.lines if row]
    where = region_of(rows, address, region, block.languages)
    phones = read_phones(rows, where)
    place = read_place([row for row in rows if not NOTICE.search(row)], where.code)
    is_person = block.is_confirmed and not is_shared
    return Signature(
        first_name=first,
        last_name=last,
        title=_careful(best(roles.titles), is_person),
        company=_careful(_company(roles.companies), is_person or is_shared),
        department=_careful(best(roles.departments), is_person),
        phone=_careful(phones.get("phone"), is_person),
        mobile=_careful(phones.get("mobile"), is_person),
        fax=_careful(phones.get("fax"), is_person),
        street=_careful(place.street, is_person),
        city=_careful(place.city, is_person),
        postal_code=_careful(place.postal_code, is_person),
        country=_careful(place.country, is_person),
        website=_website(rows, address),
    )


def _careful(found: Finding | None, may_be_certain: bool) -> Finding | None:
    if found is None or may_be_certain or not found.is_certain:
        return found
    return Finding(found.value, DOUBTFUL, found.line, f"{found.why}, but the sender's name does not stand beside it")


def _company(companies: Sequence[Finding]) -> Finding | None:
    """Returns the company; of several different ones none is certain, unless one alone is the domain's."""
    surest = best(list(companies))
    if surest is None:
        return None
    rivals = {found.value.casefold() for found in companies if found.confidence == surest.confidence}
    if surest.confidence >= LIKELY and len(rivals) > 1 and not _are_one(rivals):
        return Finding(surest.value, DOUBTFUL, surest.line, "the signature names several companies")
    return surest


def _are_one(names: set[str]) -> bool:
    shortest = min(names, key=len)
    return all(name.startswith(shortest) for name in names)


def _website(rows: Sequence[str], address: str) -> Finding | None:
    """Returns the web address in a signature that is of the domain of the sender's address, no other one is certain."""
    mine = corporate_domain(address)
    if not mine or is_free_mail(mine):
        return None
    for row in rows:
        for found in _WEB.finditer(row[:500]):
            site = found.group(0).rstrip("/.,;")
            if domain_of_website(site) == mine:
                return Finding(_short(site), SURE, row, "it is of the domain of the address")
    return None


def _short(site: str) -> str:
    """Returns a web address without a long path: that leads to a campaign, not to the company."""
    head, slash, path = site.partition("://")[2].partition("/") if "://" in site else site.partition("/")
    return site if len(path) <= 20 and "?" not in path else site[: len(site) - len(path) - len(slash)]
