"""A person's first and last name in a display name ("Müller, Anna (Acme)"), and whether two writings are one person. Pure.

What is no person's name - a company, a team, an address, "Anna via Something" - gives none. Whatever could be read in two
ways is marked uncertain: a wrong name on a record is worse than a blank one (S4.34)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from reconciliation.core.addresses import MACHINES, SHARED, domain_of
from reconciliation.core.signature_words import LEGAL_FORM, NO_NAME_WORDS

LONGEST_NAME = 120
_PARTICLES = (
    "van von vom zu zum zur de del della delle dello dei degli der den des di da do dos das du la le las los ten ter te af av "
    "bin ibn al el ben mac st saint san santa y e 't op"
)
PARTICLES = frozenset(_PARTICLES.split())
_SALUTATIONS = (
    "mr mrs ms miss mx sir dr prof professor doctor herr frau hr dipl ing dipling mag magister monsieur madame mme mlle maitre "
    "sr sra srta lic arq abog sig sigra sigg dott dottssa avv dhr mevr mw drs mgr inz judr mudr phdr rndr dkfm rev"
)
SALUTATIONS = frozenset(_SALUTATIONS.split())
_SUFFIXES = (
    "jr sr ii iii iv phd mba md msc bsc ma ba esq cpa cfa pmp dds rn llm jd csc fca aca acca mrics frics ceng meng beng dphil "
    "mph pe edd bcom mcipd cissp cpsm he him she her they them"
)
SUFFIXES = frozenset(_SUFFIXES.split())
SURNAME_FIRST = frozenset({"HU", "CN", "TW", "HK", "KR", "VN", "JP", "SG"})
TWO_SURNAMES = frozenset({"ES", "PT", "MX", "AR", "CO", "CL", "PE", "BR", "VE", "EC", "UY"})
NICKNAMES = {
    "bill": "william", "will": "william", "bob": "robert", "rob": "robert", "dick": "richard", "rick": "richard", "jim": "james",
    "jack": "john", "peggy": "margaret", "meg": "margaret", "liz": "elizabeth", "beth": "elizabeth", "betty": "elizabeth",
    "ted": "edward", "tony": "anthony", "kate": "catherine", "mike": "michael", "sepp": "josef", "pepe": "jose", "paco": "francisco",
}  # fmt: skip
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "þ": "th", "’": "'", "ʼ": "'"})
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_KANA_MARKS = "\u3099\u309a"  # these make another syllable, no accent
_NO_NAME_ENDINGS = ("abteilung", "team", "service", "avdelning", "avdelningen", "afdeling", "zentrale", "center", "centre", "zentrum")
_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u3005]+")
_FOR_ANOTHER = re.compile(r"^(?:i\. ?[AV]\.|ppa\.?|p\.p\.?|pp)\s+(?=\S)")  # "i. A. Sabine Keller" signs with her own name
_INITIAL = re.compile(r"[^\W\d_]\.?")


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name in its parts, "" for one that is not known. Uncertain: it might be read in another way; `why` says it."""

    first: str
    last: str
    is_certain: bool
    why: str


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Returns text as names and labels are compared: no accents, no upper case ("Zoë Łuk" as "zoe luk")."""
    lowered = text.casefold().translate(_PLAIN)
    parts = unicodedata.normalize("NFKD", lowered)
    return unicodedata.normalize("NFC", "".join(sign for sign in parts if not unicodedata.combining(sign) or sign in _KANA_MARKS))


def spellings_of(word: str) -> frozenset[str]:
    """Returns how a word is written in addresses: *müller* as muller and mueller."""
    german = unicodedata.normalize("NFC", word).casefold().translate(_GERMAN)
    return frozenset(re.sub(r"[^\w]|_", "", fold(form)) for form in (word, german))


def read_name(display: str, *, address: str = "", region: str = "") -> PersonName | None:
    """Returns the name that a display name says, None where it is no person's. `address` settles what can be read in two ways
    (maria.garcia@ for "Maria García López"); `region` and the address's country say where surnames come first."""
    bare, was_cut = _bare(display)
    if not bare or (" " in bare and LEGAL_FORM.search(bare)):
        return None
    if before_comma := _by_comma(bare):
        return before_comma
    tokens = without_titles(bare.replace(",", " ").split())
    if not _is_person(tokens):
        return None
    written = _cased(tokens)
    found = _split(written, tokens, _local_parts(address), _countries(address, region))
    if was_cut and found.is_certain and not _is_supported(found, address):
        return PersonName(found.first, found.last, False, "the display name says more than a name")
    return found


def _bare(display: str) -> tuple[str, bool]:
    """Returns a display name without what stands in brackets or behind a dash, and whether something stood behind one."""
    text = " ".join(unicodedata.normalize("NFC", display[: 4 * LONGEST_NAME]).strip().strip("\"'").split())
    text = re.sub(r"\s*[(\[{][^()\[\]{}]{0,100}[)\]}]\s*", " ", text).strip()
    if len(text) > LONGEST_NAME or "@" in text or re.search(r"(?i)\b(via|on behalf of|im auftrag|namens|por cuenta)\b", text):
        return "", False
    head = re.split(r"\s+[-–—|/•·]\s+|\s*\|\s*", text, maxsplit=1)
    return head[0].strip(" ,;."), len(head) > 1


def _by_comma(bare: str) -> PersonName | None:
    """Returns the name in "Surname, First", which is read in one way only; None where it is not written so."""
    left, comma, right = bare.partition(",")
    if not comma or "," in right or all(re.sub(r"[^\w]", "", fold(word)) in SUFFIXES for word in right.split()):
        return None
    last, first = without_titles(left.split()), without_titles(right.split())
    if not last or not first or len(last) > 4 or len(first) > 3 or not _is_person([*first, *last]):
        return None
    return PersonName(" ".join(_cased(first)), " ".join(_cased(last)), True, "“Surname, first name” in the sender's name")


def without_titles(words: Sequence[str]) -> list[str]:
    """Returns the words of a name without *Dr.*, *i. A.*, *PhD* and the like. A last name that looks like one stays."""
    words = [word for word in _FOR_ANOTHER.sub("", " ".join(words)).split() if word.strip(".,")]
    start, end = 0, len(words)
    while end - start > 1 and _is_salutation(words[start]):
        start += 1
    while end - start > 1 and re.sub(r"[^\w]", "", fold(words[end - 1])) in SUFFIXES:
        end -= 1
    return [word.strip(",;") for word in words[start:end]]


def _is_salutation(word: str) -> bool:
    return re.sub(r"[^\w]", "", fold(word)) in SALUTATIONS and not (word.isupper() and len(word) == 2)  # "MR Porter" is none


def _is_person(tokens: Sequence[str]) -> bool:
    text = " ".join(tokens)
    if not tokens or len(tokens) > 6 or any(sign.isdigit() for sign in text) or re.search(r"[&+/\\<>:!?#*_=|]|\.\w{2,}", text):
        return False
    if LEGAL_FORM.search(text) and len(tokens) > 1:
        return False
    plain = {re.sub(r"[^\w]", "", fold(token)) for token in tokens}
    if any(word.endswith(_NO_NAME_ENDINGS) for word in plain):
        return False
    return not plain & NO_NAME_WORDS and not plain & (SHARED - {"root", "web", "hi", "list"}) and not plain & MACHINES and any(plain)


def is_person_like(text: str) -> bool:
    """Tells whether a line could be somebody's full name: two to four words that begin with a capital, nothing of a company."""
    if len(text) > 50 or not (tokens := without_titles(text.replace(",", " ").split())) or not _is_person(tokens):
        return False
    names = [token for token in tokens if fold(token) not in PARTICLES]
    return 2 <= len(names) <= 4 and all(token[0].isupper() and len(token.strip(".-")) >= 1 for token in names)


def _cased(tokens: Sequence[str]) -> list[str]:
    """Returns the tokens with capitals as names have them, where they were written in capitals or small letters alone."""
    text = "".join(tokens)
    if text.isupper() or text.islower():
        return [t if len(t.strip(".")) == 1 and t.isupper() else _capitals(t) for t in tokens]
    return [_capitals(t) if t.isupper() and len(t) > 2 and "." not in t else t for t in tokens]


def _capitals(word: str) -> str:
    return re.sub(r"[^\W\d_]+", lambda m: m.group(0)[:1].upper() + m.group(0)[1:].lower(), word)


def _local_parts(address: str) -> list[str]:
    return [part for part in re.split(r"[\W\d_]+", address.rpartition("@")[0].partition("+")[0].lower()) if part]


def _countries(address: str, region: str) -> set[str]:
    ending = domain_of(address).rpartition(".")[2]
    return {ending.upper()} if len(ending) == 2 else {region.upper()}


def _split(names: list[str], raw: Sequence[str], local: list[str], countries: set[str]) -> PersonName:
    if _EAST_ASIAN.fullmatch("".join(names)):
        if len(names) == 2:
            return PersonName(names[1], names[0], True, "the surname comes first in this writing")
        return PersonName("", "".join(names), False, "surname and first name are not set apart")
    if len(names) == 1:
        return _single(names[0], local)
    capitals = [n for n, token in enumerate(raw) if token.isupper() and len(token.strip(".")) > 2]
    if capitals and len(capitals) < len(raw) and capitals == list(range(capitals[0], capitals[-1] + 1)) and 0 in _ends(capitals, len(raw)):
        last = [names[n] for n in capitals]
        return PersonName(" ".join(n for k, n in enumerate(names) if k not in capitals), " ".join(last), True, "the surname is in capitals")
    particle = next((n for n, name in enumerate(names) if n and n < len(names) - 1 and fold(name) in PARTICLES), 0)
    if particle and not (particle > 1 and fold(names[particle]) in ("y", "e")):
        return PersonName(" ".join(names[:particle]), " ".join(names[particle:]), particle <= 2, "the sender's name")
    return _by_address(names, local, countries) or _by_order(names, countries)


def _ends(places: Sequence[int], count: int) -> tuple[int, int]:
    return places[0], count - 1 - places[-1]


def _single(name: str, local: list[str]) -> PersonName:
    is_first = bool(local) and local[0] in spellings_of(name)
    return PersonName(name, "", is_first, "the only name, and what the address begins with" if is_first else "one name alone")


def _by_address(names: list[str], local: list[str], countries: set[str]) -> PersonName | None:
    """Returns the name as the address sets it apart: first.last@, f.last@; None where it says nothing of it."""
    if len(local) < 2:
        return None
    begins = local[0] in spellings_of(names[0]) or (len(local[0]) <= 2 and fold(names[0])[:1] == local[0][:1])
    for n in range(1, len(names)):
        if begins and (local[-1] in spellings_of(names[n]) or local[-1] in spellings_of("".join(names[n:]))):
            return PersonName(" ".join(names[:n]), " ".join(names[n:]), True, "the sender's name and address agree")
    if local[-1] in spellings_of(names[0]) and local[0] in spellings_of(names[-1]) and len(names) == 2:
        is_certain = bool(countries & SURNAME_FIRST)
        last, first = names if is_certain else (names[1], names[0])
        return PersonName(first, last, is_certain, "the sender's name and address stand in another order")
    return None


def _by_order(names: list[str], countries: set[str]) -> PersonName:
    first, last = names[:-1], names[-1:]
    if len(names) == 2:
        is_certain = not countries & SURNAME_FIRST
        return PersonName(first[0], last[0], is_certain, "the sender's name" if is_certain else "the surname may come first there")
    if all(_INITIAL.fullmatch(name) for name in names[1:-1]):
        return PersonName(" ".join(first), last[0], True, "the sender's name")
    if countries & TWO_SURNAMES and len(names) == 4:
        first, last = names[:2], names[2:]
    return PersonName(" ".join(first), " ".join(last), False, f"{len(names)} names, and nothing says where the surname begins")


def _is_supported(name: PersonName, address: str) -> bool:
    local = "".join(_local_parts(address))
    return bool(local) and any(form and form in local for part in (name.first, name.last) for form in spellings_of(part))


def words_of(name: str) -> list[str]:
    """Returns the words of a name as they are compared, without titles and particles."""
    return [w for token in without_titles(name.replace(",", " ").split()) if (w := fold(token).strip(".'-")) and w not in PARTICLES]


def is_same_person(one: str, other: str) -> bool:
    """Tells whether two full names are one person's: one name is shared, and another begins alike or is its short form."""
    mine, theirs = words_of(one), words_of(other)
    shared = set(mine) & set(theirs)
    if len(mine) < 2 or len(theirs) < 2 or len(shared) > 1:
        return bool(shared)
    return bool(shared) and _rest_agrees(mine, theirs, shared)


def _rest_agrees(mine: Sequence[str], theirs: Sequence[str], shared: set[str]) -> bool:
    rest, other = [w for w in mine if w not in shared], [w for w in theirs if w not in shared]
    if mine[0] in shared and theirs[0] in shared:
        return False  # the first name is shared, the surnames differ: two people
    return bool(rest and other) and _first_agrees(rest[0], other[0])


def _first_agrees(one: str, other: str) -> bool:
    if len(one) == 1 or len(other) == 1:
        return one[0] == other[0]
    return NICKNAMES.get(one, one) == NICKNAMES.get(other, other) or one.startswith(other) or other.startswith(one)
