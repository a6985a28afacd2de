"""The telephone numbers of a signature: which is the desk's, which the mobile's, which a fax; and which are nobody's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import phonenumbers
from phonenumbers import Leniency, PhoneNumber, PhoneNumberFormat, PhoneNumberMatcher, PhoneNumberType

from reconciliation.core.findings import DOUBTFUL, LIKELY, SURE, Finding
from reconciliation.core.person_names import fold
from reconciliation.core.signature_places import Region

LONGEST_LINE = 240
MOST_NUMBERS = 12
SHORTEST = 6  # digits without those of the country
PHONE, MOBILE, FAX = "phone", "mobile", "fax"
_LABELS = {
    "direct": "direct directe dd ddi did d direkt direktwahl durchwahl dw directo directa diretto diretta direktnummer doorkiesnummer",
    PHONE: (
        "t tel telephone phone p ph fon fono telefon telefono telefoon telefone telef fone contacto contact telefonnummer "
        "tlf tfn tfno tf puh puhelin fixe fijo fixo fest festnetz vast ligne landline line number numero w v tel. 電話 電話番号"
    ),
    "office": (
        "o office off work main switchboard sw board standard hq vx zentrale central centrale centralino centralita vaxel "
        "reception buro bureau oficina ufficio kontor biuro head"
    ),
    MOBILE: (
        "m mob mobile mobil mobiel mobiele cell c cellular handy gsm port portable movil celular cel cellulare kom "
        "komorka hp wechat komorkowy matka matkapuhelin tlm telemovel natel mobiltelefon mobilni whatsapp wa 携帯 携帯電話"
    ),
    FAX: "f fax fx telefax faks faksi telecopie telefaks ファックス",
}
LABELS = {word: kind for kind, words in _LABELS.items() for word in words.split()}
_NEUTRAL_WORDS = "my us uk de fr at ch eu international intl or and und et"
_NEUTRAL = frozenset(_NEUTRAL_WORDS.split())
_NO_PHONE_WORDS = "support hotline emergency desk assistant assistance notruf service id conference meeting pin vat bank sales info"
_NO_PHONE = frozenset(_NO_PHONE_WORDS.split())
_SETS_APART = re.compile(r"[|•·●;,\t–—~]|\s-\s|\s{3,}")
# Countries whose ranges for examples are no valid numbers: how their mobile numbers begin.
_MOBILE_BEGINS = {"GB": "7", "FR": "67", "DE": "1", "IE": "8", "AU": "4", "SE": "7", "ES": "67", "BE": "4", "CH": "7", "PT": "9", "IT": "3"}
_NOBODYS = frozenset(  # dialled by anybody
    {
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
        PhoneNumberType.PAGER,
    }
)
_RANK = {"direct": 3, PHONE: 2, "": 1, "office": 0}


@dataclass(frozen=True, slots=True)
class _Number:
    kind: str
    rank: int
    finding: Finding


def read_phones(rows: Sequence[str], region: Region) -> dict[str, Finding]:
    """Returns the numbers of a signature by kind (phone, mobile, fax), as they are dialled from abroad: "+44 20 7946 0018 ext. 4".
    A direct line goes before others, the switchboard comes last. One whose country or kind is a guess is not certain."""
    numbers = [number for n, row in enumerate(rows) for number in _in_row(row, rows[n - 1] if n else "", region)][:MOST_NUMBERS]
    found: dict[str, Finding] = {}
    for kind in (PHONE, MOBILE, FAX):
        mine = [number for number in numbers if number.kind == kind]
        if mine:
            found[kind] = max(mine, key=lambda it: (it.finding.is_certain, it.rank)).finding
    return found


def _in_row(row: str, above: str, region: Region) -> Iterator[_Number]:
    text = re.sub(r"\s?//\s?", " | ", row[:LONGEST_LINE]).replace("／", "/").replace(" / ", " ").replace("(0)", "")
    if sum(1 for sign in text if sign.isdigit()) < 6:
        return
    ended = 0
    for match in PhoneNumberMatcher(text, region.code or None, leniency=Leniency.POSSIBLE, max_tries=MOST_NUMBERS):
        between, is_first, ended = text[ended : match.start], not ended, match.end
        label = _label(between, above)
        if not label:
            label, length = _behind(text[match.end :])
            ended += length
        kinds = _kinds(label)
        is_rest = not (is_first or label or between.strip())  # the groups of a longer number, an account's
        is_short = len(str(match.number.national_number)) < SHORTEST  # a postal code
        if kinds is None or is_rest or is_short or _is_glued(text, match.start, match.end):
            continue
        is_foreign = match.raw_string.lstrip("(").startswith(("+", "00"))
        yield _number(match.number, kinds, match.raw_string, region, row, is_foreign)


def _is_glued(text: str, start: int, end: int) -> bool:
    """Tells whether letters or digits stand right beside a number: a part of an id, no number to call."""
    return bool(re.search(r"[\w/]$", text[:start])) or bool(re.match(r"[^\W_]|[#@]", text[end:]))


def _label(before: str, above: str) -> str:
    own = _plain(_SETS_APART.split(before)[-1])
    if not own and not _plain(before) and len(above) <= 20 and _kinds(_plain(above)):
        return _plain(above)  # a table of two lines: the label over the number
    return own


def _behind(after: str) -> tuple[str, int]:
    """Returns the label behind a number ("07700 900123 (mobile)") and how far it reaches."""
    found = re.match(r"\s*(?:\(([^()]{1,20})\)|([^\W\d_]{1,10})\b\.?\s*(?=$|[|•·;,\t]))", after)
    label = _plain(found.group(1) or found.group(2)) if found else ""
    return (label, found.end()) if found and _kinds(label) else ("", 0)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+|_", " ", fold(text)).split())


def _kinds(label: str) -> frozenset[str] | None:
    """Returns the kinds that a label names, none for a blank one, None for one that says something else (a meeting's id)."""
    words = [word for word in label.split() if not word.isdigit()]
    kinds = {LABELS[word] for word in words if word in LABELS}
    unknown = [word for word in words if word not in LABELS and word not in _NEUTRAL]
    if unknown and not (kinds and len(unknown) == 1 and words[-1] in LABELS and unknown[0] not in _NO_PHONE):
        return None
    return frozenset(kinds)


def _number(number: PhoneNumber, kinds: frozenset[str], raw: str, region: Region, row: str, is_foreign: bool) -> _Number:
    kind, is_sure_kind = _kind(number, kinds)
    confidence = _confidence(number, raw, region, is_foreign, bool(kinds))
    if not is_sure_kind:
        confidence = min(confidence, DOUBTFUL)
    said = "labelled so" if kinds else "a number without a label"
    where = "" if is_foreign else f", read as one of {region.code}"
    rank = max((_RANK.get(k, 0) for k in kinds), default=1) if kind == PHONE else 0
    return _Number(kind, rank, Finding(_written(number), confidence, row, f"{said}{where}"))


def _written(number: PhoneNumber) -> str:
    """Returns a number as it is dialled from abroad; an extension is written in one way, whatever the country."""
    bare = PhoneNumber()
    bare.merge_from(number)
    bare.extension = None
    extension = f" ext. {number.extension}" if number.extension else ""
    return phonenumbers.format_number(bare, PhoneNumberFormat.INTERNATIONAL) + extension


def _kind(number: PhoneNumber, kinds: frozenset[str]) -> tuple[str, bool]:
    type_ = phonenumbers.number_type(number)
    is_mobile = type_ == PhoneNumberType.MOBILE or (type_ == PhoneNumberType.UNKNOWN and _begins_as_mobile(number))
    if MOBILE in kinds:
        return (MOBILE, True) if len(kinds) == 1 or is_mobile else (PHONE, False)
    if FAX in kinds:
        return (FAX, True) if len(kinds) == 1 else (PHONE, True)  # "Tel./Fax": it can be called
    if is_mobile and kinds <= {PHONE}:
        return MOBILE, True  # "Tel." before a mobile number says no more than that it can be called
    return PHONE, True


def _begins_as_mobile(number: PhoneNumber) -> bool:
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return str(number.national_number)[0] in _MOBILE_BEGINS.get(region, "")


def _confidence(number: PhoneNumber, raw: str, region: Region, is_foreign: bool, is_labelled: bool) -> float:
    if phonenumbers.number_type(number) in _NOBODYS:
        return DOUBTFUL
    is_valid = phonenumbers.is_valid_number(number)
    if is_foreign:
        return SURE if is_labelled or is_valid else LIKELY
    if not (is_valid or _is_grouped(number, raw) or (region.is_backed and is_labelled)):
        return DOUBTFUL
    return LIKELY if is_labelled or is_valid else DOUBTFUL


def _is_grouped(number: PhoneNumber, raw: str) -> bool:
    """Tells whether a number is written in the groups in which its country writes it."""
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return re.findall(r"\d+", national) == re.findall(r"\d+", raw)
