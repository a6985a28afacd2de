"""E-mail addresses of headers and invitations: taken apart, in the form in which they are compared, and whose they are. Pure.

What an address belongs to as a company is in `domains`, who is left out by a list in `blocklists`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header

import idna

MOST_TEXT = 100_000  # of one header; a mail to some thousand people is longer than any that is worked on
MOST_ADDRESSES = 2_000
_LOCAL = re.compile(r"[^\s@<>()\[\],;:\"\\\ud800-\udfff]{1,64}")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

# Local parts behind which no single person is known to sit; compared without digits and what is behind a sign.
_SHARED = (
    "abuse accounting accounts admin administrator admissions agenda alert alerts anfrage app assistance automail ballot bestellung "
    "bewerbung bewerbungen "
    "billing bookings booking bounce bounces bookkeeping buchhaltung buero bureau calendar campaign careers comercial compras "
    "compta comptabilite contabilidad contact contacto contato contatti customerservice customercare daemon delivery desk direction "
    "dispo donotreply einkauf email empfang enquiries enquiry events export facturacion faktura feedback finance formation ftp "
    "hello helpdesk help hi hostmaster hr import info infos informacion information inkoop invite invites invoice invoices invoicing "
    "it itsupport jobs kontakt kontor kundenservice legal list mail mailer mailerdaemon marketing media meet meetings members "
    "messages moderator news newsletter nieuws noc noreply notification notifications notify office oficina ops order orders "
    "organizer orga partner partners payment payments personal post postbus postmaster posta praxis presse press privacy produktion "
    "projects purchasing rechnung reception recepcion recruiting redaktion reply request reservations reservierung root sales "
    "secretariat secretaria security segreteria sekretariat service servicedesk services shipping shop social spam staff subscribe "
    "suporte support system team tech technik test tickets ticket tracking undisclosed unsubscribe updates vendas ventas verkauf "
    "vertrieb verwaltung vendite ufficio accueil webmaster web welcome werbung workflow zentrale"
)
SHARED = frozenset(_SHARED.split())
# Parts that make a mailbox one of a machine, wherever in the local part they stand.
MACHINE = ("noreply", "donotreply", "notreply", "nepasrepondre", "norespond", "mailerdaemon", "autoreply", "bounce")
_MACHINES = (
    "alert alerts app automail bounce bounces calendar daemon invite invites mailer messages moderator news newsletter notification "
    "notifications notify postmaster root system tracking updates unsubscribe workflow"
)
MACHINES = frozenset(_MACHINES.split())


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a header: the display name as it was written, "" for none, and the address as it is compared."""

    name: str
    address: str


def normalise_address(text: str) -> str:
    """Returns the form in which an address is stored and compared, "" for what is none: lower case, the domain in ASCII
    (*müller.de* as *xn--mller-kva.de*), no "mailto:"."""
    bare = _UNSEEN.sub("", text[:2000]).strip().strip("<>").strip()
    bare = re.sub(r"(?i)^(?:mailto|smtp):", "", bare)
    local, at, domain = bare.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or local.startswith(".") or local.endswith("."):
        return ""
    host = normalise_domain(domain)
    whole = f"{local.lower()}@{host}"
    return whole if host and len(whole) <= 254 else ""


def normalise_domain(text: str) -> str:
    """Returns a domain in lower case and ASCII, without its last dot; "" for what is none: a single word, an IP address."""
    bare = text[:1000].strip().rstrip(".").lower()
    if not bare.isascii():
        try:
            bare = idna.encode(bare, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return ""
    labels = bare.split(".")
    if len(labels) < 2 or len(bare) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        return ""
    return bare


def domain_of(address: str) -> str:
    """Returns the domain of an address, "" for what is none."""
    return normalise_address(address).rpartition("@")[2]


def is_below(domain: str, parent: str) -> bool:
    """Tells whether a domain is another one, or belongs to it as a subdomain."""
    return bool(parent) and (domain == parent or domain.endswith(f".{parent}"))


def is_internal(address: str, domains: Iterable[str]) -> bool:
    """Tells whether an address is one of the own domains, subdomains included. Source: S4.31, initial search."""
    domain = domain_of(address)
    return bool(domain) and any(is_below(domain, own.strip().lower().lstrip("@.")) for own in domains)


def is_shared_mailbox(address: str) -> bool:
    """Tells whether nobody in particular sits behind an address (info@, sales@): its sender's name is no person's."""
    local = _plain_local(address)
    return not local or local in SHARED or any(part in SHARED for part in _parts(address)) or is_machine(address)


def is_machine(address: str) -> bool:
    """Tells whether mail of an address is written by a program: nothing in it is the signature of a person."""
    local = _plain_local(address)
    return any(word in local for word in MACHINE) or local in MACHINES or any(part in MACHINES for part in _parts(address))


def _plain_local(address: str) -> str:
    local = address.rpartition("@")[0].lower().partition("+")[0]
    return re.sub(r"[\W\d_]+", "", local)


def _parts(address: str) -> list[str]:
    return re.split(r"[\W\d_]+", address.rpartition("@")[0].lower())


def parse_addresses(header: str) -> list[Address]:
    """Returns the addresses of a header line or a pasted list in their order, each once; what is no address is left out.
    Knows quotes, comments, groups, semicolons, "Müller, Anna <anna@x.example>" without quotes, and encoded words. Raises
    nothing; reads the first 100,000 characters."""
    found: dict[str, Address] = {}
    carried = ""
    for piece in _pieces(header[:MOST_TEXT]):
        if "@" not in piece:
            carried = f"{carried}, {piece}" if carried else piece
            continue
        it = _address(f"{carried}, {piece}" if carried else piece)
        carried = ""
        if it and it.address not in found:
            found[it.address] = it
        if len(found) >= MOST_ADDRESSES:
            break
    return list(found.values())


def _pieces(header: str) -> Iterator[str]:
    """Yields what stands between the commas and semicolons that separate; those in quotes, angles or brackets do not."""
    text = _UNSEEN.sub("", header.replace("\r", " ").replace("\n", " "))
    if (text.count('"') - text.count('\\"')) % 2:
        text = text.replace('"', "")  # one quote too many would swallow all that follow
    piece: list[str] = []
    closing = ""
    for sign in text:
        if closing:
            closing = "" if sign == closing else closing
        elif sign in '"<(':
            closing = {'"': '"', "<": ">", "(": ")"}[sign]
        elif sign in ",;":
            yield "".join(piece).strip()
            piece = []
            continue
        piece.append(sign)
    yield "".join(piece).strip()


def _address(piece: str) -> Address | None:
    opened, closed = piece.rfind("<"), piece.rfind(">")
    if 0 <= opened < closed:
        name, address = piece[:opened], normalise_address(piece[opened + 1 : closed])
    else:
        comment = re.search(r"\(([^()]*)\)\s*$", piece)
        name = comment.group(1) if comment else ""
        words = (piece[: comment.start()] if comment else piece).split()
        address = next((found for word in words if "@" in word and (found := normalise_address(word))), "")
    return Address(_display_name(name), address) if address else None


def _display_name(text: str) -> str:
    group = re.fullmatch(r"[^\"@:]{1,80}:\s*(.*)", text.strip())  # "Team: Anna <anna@x.example>, ...;"
    bare = (group.group(1) if group else text).strip()
    if "=?" in bare:
        try:
            bare = str(make_header(decode_header(bare)))
        except (HeaderParseError, LookupError, UnicodeError, ValueError):
            return ""
    bare = _UNSEEN.sub("", bare).replace('\\"', '"').strip().strip("\"'").strip()
    return " ".join(bare.split())[:200]
