"""The postal address of a signature, as the countries write it, and the country that its national phone numbers are of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import phonenumbers

from reconciliation.core.addresses import domain_of
from reconciliation.core.findings import LIKELY, SURE, Finding
from reconciliation.core.person_names import fold
from reconciliation.core.signature_block import has_title
from reconciliation.core.signature_words import REGIONS

_CITY = r"(?P<city>[^\W\d_][^\W\d_'’.\-]{0,30}(?:[ '’\-][^\W\d_][^\W\d_'’.\-]{0,30}){0,3})"
# How postal code and city stand, by the country or countries that write so. Those with a code of digits alone need a street beside.
_OWN_FORM = (
    ("NL", re.compile(rf"(?P<code>\d{{4}} ?[A-Z]{{2}})\s+{_CITY}")),
    ("PL", re.compile(rf"(?P<code>\d{{2}}-\d{{3}})\s+{_CITY}")),
    ("PT", re.compile(rf"(?P<code>\d{{4}}-\d{{3}})\s+{_CITY}")),
    ("GB", re.compile(rf"(?:{_CITY},?\s+)?(?P<code>[A-Z]{{1,2}}\d[A-Z\d]? \d[A-Z]{{2}})")),
    ("US", re.compile(rf"{_CITY},?\s+[A-Z]{{2}}\.?,?\s+(?P<code>\d{{5}}(?:-\d{{4}})?)")),
    ("CA", re.compile(rf"{_CITY},?\s+(?:AB|BC|MB|NB|NL|NS|ON|PE|QC|SK),?\s+(?P<code>[A-Z]\d[A-Z] ?\d[A-Z]\d)")),
    ("AU", re.compile(rf"{_CITY},?\s+(?:NSW|VIC|QLD|WA|SA|TAS|ACT|NT),?\s+(?P<code>\d{{4}})")),
    ("SE CZ SK", re.compile(rf"(?:(?:SE|S|CZ|SK)-)?(?P<code>\d{{3}} \d{{2}})\s+{_CITY}(?: \d{{1,2}})?")),
)
_DIGITS = re.compile(
    rf"(?:(?P<land>[A-Z]{{1,3}})-)?(?P<code>\d{{4,5}})\s+{_CITY}(?:\s+(?:\([A-Z]{{2}}\)|[A-Z]{{2}}|cedex(?: \d{{1,2}})?|\d{{1,2}}))?",
    re.IGNORECASE,
)
_FIVE = "DE FR ES IT FI MX"
_FOUR = "AT CH BE DK NO LU LI AU NZ"
_JAPANESE = re.compile(r"〒\s?(?P<code>\d{3}-\d{4})")
_STREET = re.compile(
    r"(?=.*\d)(?=.*[^\W\d_]{3})(?:\d{1,5}[a-zA-Z]?(?:[-/]\d{1,4}[a-zA-Z]?)?,? .{3,50}|"
    r".{3,50}?\.? ?\d{1,5} ?[a-zA-Z]?(?:[-/]\d{1,4} ?[a-zA-Z]?)?)(?:, (?:suite|floor|apt|unit|ste)\.? \w{1,5})?",
    re.IGNORECASE,
)
_NO_STREET = re.compile(
    r"\b(?:tel|fax|phone|mob|hrb|vat|box|postfach|bp|po|cell|no|nr\.? \d{4,}|id|nip|kvk|siret)\b|@|www|\+|\d{6,}|:", re.IGNORECASE
)
_COUNTRY_NAMES = {
    "GB": "united kingdom|uk|great britain|england|scotland|wales",
    "US": "united states|usa|u.s.a.|united states of america", "CA": "canada", "IE": "ireland", "AU": "australia",
    "NZ": "new zealand", "DE": "germany|deutschland|allemagne", "AT": "austria|osterreich",
    "CH": "switzerland|schweiz|suisse|svizzera", "FR": "france|frankreich", "BE": "belgium|belgique|belgie|belgien",
    "LU": "luxembourg|luxemburg", "NL": "netherlands|the netherlands|nederland", "ES": "spain|espana", "PT": "portugal",
    "IT": "italy|italia", "SE": "sweden|sverige", "NO": "norway|norge", "DK": "denmark|danmark", "FI": "finland|suomi",
    "PL": "poland|polska", "CZ": "czech republic|ceska republika|czechia", "SK": "slovakia|slovensko",
    "HU": "hungary|magyarorszag", "BR": "brazil|brasil", "MX": "mexico", "AR": "argentina", "CL": "chile", "CO": "colombia",
    "JP": "japan|日本", "CN": "china|中国", "IN": "india", "SG": "singapore", "ZA": "south africa", "IL": "israel",
    "TR": "turkey|turkiye",
}  # fmt: skip
COUNTRIES = {name: code for code, names in _COUNTRY_NAMES.items() for name in names.split("|")}
# Endings of domains that say a country in the register, and are used all over the world.
_NO_COUNTRY_WORDS = "IO AI CO ME TV CC LY TO FM GG SH WS LA AC AG IM IS ST VC"
_NO_COUNTRY = frozenset(_NO_COUNTRY_WORDS.split())


@dataclass(frozen=True, slots=True)
class Place:
    """The parts of a postal address, each None where it is not there."""

    street: Finding | None = None
    city: Finding | None = None
    postal_code: Finding | None = None
    country: Finding | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """The country of national phone numbers, and whether the mail itself says so; else it is the site's own guess."""

    code: str
    is_backed: bool


def read_place(rows: Sequence[str], region: str) -> Place:
    """Returns the first postal address of a signature. Digits with a word behind them are one only beside a street, and where
    the site's country writes so."""
    parts = list(_parts(rows))
    country = _country(parts)
    for n, (row, part) in enumerate(parts):
        found, is_own_form = _code_and_city(part, region)
        joined = f"{part}, {parts[n + 1][1]}" if n + 1 < len(parts) and parts[n + 1][0] == row else ""
        if found is None and joined:
            found, is_own_form = _code_and_city(joined, region)
        if found is None:
            continue
        street = _street(parts, n, row)
        city = found.groupdict().get("city") or _city_above(parts, n)
        if not street and not is_own_form:
            continue
        sure = SURE if street else LIKELY
        return Place(
            _found(" ".join(street.split()), rows[row], sure, "beside the postal code"),
            _found(city, rows[row], sure, "beside the postal code"),
            _found(found["code"], rows[row], sure, "written as a postal code"),
            country,
        )
    return Place(country=country)


def _found(value: str | None, row: str, confidence: float, why: str) -> Finding | None:
    return Finding(value, confidence, row, why) if value else None


def _parts(rows: Sequence[str]) -> Iterator[tuple[int, str]]:
    for n, row in enumerate(rows):
        if has_title(row):
            continue  # "Sales Director, Germany" lives anywhere
        for part in re.split(r"\s*[|•·;\t]\s*|,\s+|\s+[-–—/]\s+", row[:200]):
            if part.strip(" ,."):
                yield n, part.strip(" ,")


def _code_and_city(part: str, region: str) -> tuple[re.Match[str] | None, bool]:
    """Returns the match of a postal code, and whether its form is a country's own, so that it needs no street beside it."""
    if japanese := _JAPANESE.match(part):
        return japanese, True
    for countries, pattern in _OWN_FORM:
        if found := pattern.fullmatch(part):
            return found, countries not in ("SE CZ SK", "AU")
    found = _DIGITS.fullmatch(part)
    if found is None:
        return None, False
    if land := found["land"]:
        return found, land.upper() in ("D", "A", "CH", "F", "B", "DK", "N", "FIN", "FI", "I", "E", "L", "DE", "AT")
    writes_so = _FIVE if len(found["code"]) == 5 else _FOUR
    return (found, False) if region in writes_so.split() else (None, False)


def _street(parts: Sequence[tuple[int, str]], n: int, row: int) -> str:
    """Returns the street before a postal code: in the same line, or one of the two parts above (a city may stand between)."""
    above = [part for at, part in parts[max(0, n - 3) : n] if row - at <= 2]
    for part in reversed(above):
        if is_street(part):
            return part
    return ""


def is_street(part: str) -> bool:
    """Tells whether a part is a street with a house number, "Suite 210" and the like not counting."""
    return (
        len(part) <= 60
        and not _NO_STREET.search(part)
        and not re.match(r"(?i)(?:suite|floor|apt|unit|ste|level|building|block|etage|room)\b", part)
        and bool(_STREET.fullmatch(part))
    )


def _city_above(parts: Sequence[tuple[int, str]], n: int) -> str:
    """Returns the city in the part over a British postal code."""
    above = parts[n - 1][1] if n else ""
    return above if re.fullmatch(_CITY, above) else ""


def _country(parts: Sequence[tuple[int, str]]) -> Finding | None:
    named = [part for _, part in parts if _code_of(part)]
    if len({_code_of(part) for part in named}) != 1:
        return None  # several are where the company is, or what somebody is responsible for
    return Finding(named[0].strip(" ."), SURE, named[0], "the name of a country")


def _code_of(part: str) -> str:
    return COUNTRIES.get(fold(part).strip(" .,"), "")


def region_of(rows: Sequence[str], address: str, region: str, languages: frozenset[str]) -> Region:
    """Returns the country of national phone numbers: the one that the signature names or dials, the one of the address's
    domain, else the site's own, which the language of the mail may back."""
    parts = [part for _, part in _parts(rows)]
    named = {code for part in parts if (code := _code_of(part))}
    written = {country for part in parts for country, pattern in _OWN_FORM if len(country) == 2 and pattern.fullmatch(part)}
    for codes in (named, written, _dialled(rows)):
        if len(codes) == 1:
            return Region(codes.pop(), True)
    ending = domain_of(address).rpartition(".")[2].upper().replace("UK", "GB")
    if ending in phonenumbers.SUPPORTED_REGIONS and ending not in _NO_COUNTRY:
        return Region(ending, True)
    return Region(region, any(region in REGIONS.get(language, "").split() for language in languages))


def _dialled(rows: Sequence[str]) -> set[str]:
    codes = {int(code) for row in rows for code in re.findall(r"\+\s?(\d{1,3})[\s.(\-]", row[:200])}
    return {regions[0] for code in codes if len(regions := phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code, ())) == 1}
