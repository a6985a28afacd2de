"""Job title, department and company of a signature, by the words of many languages and by where they stand. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciliation.core.domains import is_free_mail, registrable
from reconciliation.core.findings import DOUBTFUL, LIKELY, SURE, Finding
from reconciliation.core.person_names import fold, spellings_of
from reconciliation.core.signature_block import SEPARATOR, Block, has_title
from reconciliation.core.signature_places import COUNTRIES, is_street
from reconciliation.core.signature_words import (
    COMPANY_EAST,
    COMPANY_END,
    DEPARTMENT_EAST,
    DEPARTMENT_FIRST,
    DEPARTMENT_LAST,
    FUNCTIONS,
    LEGAL_FORM,
    ONLY_LEGAL_FORM,
    OTHER_COMPANY,
    TITLES_EAST,
)

TITLE_WITHIN, COMPANY_WITHIN = 4, 6  # lines below the name
NOTICE = re.compile(
    r"(?i)^\s*(?:managing directors?|gesch[äa]ftsf[üu]hr\w*|vorstand\w*|aufsichtsrat\w*|inhaber|sitz|registergericht|amtsgericht|"
    r"hrb|hra|ust|vat|tva|"
    r"siret|rcs|iban|bic|kvk|nip|regon|krs|ičo|dič|p\.? ?iva|c\.f\.|cif|nif|cnpj|org\.? ?(?:nr|no)|y-tunnus|cvr|registered|"
    r"company (?:no|reg)|"
    r"directors?|board|prezes|member)[^|]{0,40}[:：]|\b(?:hrb|hra) \d|\bregistered (?:in|office)\b|amtsgericht|handelsregister|"
    r"\bp\.? ?iva\b"
)
_WEB = re.compile(r"(?i)\w@\w|https?:|\bwww\.|\.(?:com|net|org|example|io|co|de|fr|uk)\b|linkedin|twitter|facebook|instagram|xing|youtube")
_AT = re.compile(r"\s+(?:@|at|bei|chez|presso)\s+(?=[A-Z0-9])(?!Law\b|Large\b)")
_FOR = re.compile(r"(?i)^(?:for and on behalf of|on behalf of|for|im namen der|pour)\s+")


@dataclass
class Roles:
    """What was found, in its order in the signature."""

    titles: list[Finding] = field(default_factory=list)
    departments: list[Finding] = field(default_factory=list)
    companies: list[Finding] = field(default_factory=list)


def read_roles(block: Block, address: str) -> Roles:
    """Returns titles, departments and companies of a signature. A title needs a word that names a role and a place near the
    sender's name; a company needs a legal form, or to be what the address's domain says."""
    domain = registrable(address.rpartition("@")[2])
    reader = _Reader("" if is_free_mail(domain) else _label_of(domain))
    filled = 0
    for n, row in enumerate(block.lines):
        is_beside = n == block.name_at
        text = block.beside_name if is_beside else row
        if not text or (n < block.name_at and not block.is_confirmed):
            continue
        if NOTICE.search(text):
            continue
        filled += n > block.name_at
        reader.row = row
        reader.may_be_title = block.is_confirmed and filled <= TITLE_WITHIN and (n >= block.name_at or bool(TITLES_EAST.search(text)))
        for segment in SEPARATOR.split(text):
            reader.read(segment.strip(" ,-–—*()"), filled)
    return reader.found


def _label_of(domain: str) -> str:
    return re.sub(r"[\W_]", "", domain.partition(".")[0])


class _Reader:
    def __init__(self, label: str) -> None:
        self.label = label
        self.found = Roles()
        self.row = ""
        self.may_be_title = False

    def read(self, segment: str, place: int) -> None:
        """Reads one segment of a line: "Head of Sales, Acme Ltd" says two things, "Acme Ltd" one."""
        if not 2 <= len(segment) <= 120 or _WEB.search(segment) or sum(1 for sign in segment if sign.isdigit()) >= 5:
            return self._company_beside_place(segment)
        if self._east(segment):
            return None
        if not _is_title(segment.partition(",")[0]) and self._company(segment, place):
            return None
        segment = re.sub(r"\s*\([^()]{0,60}\)?$", "", segment)
        whole = _AT.split(segment, maxsplit=1)
        parts = [part.strip() for piece in whole for part in _by_comma(piece) if part.strip()]
        if self._role(parts):
            return None
        for part in parts:
            if not self._company(part, place) and not self._department(part):
                self._title(part)
        return None

    def _company_beside_place(self, segment: str) -> None:
        """Reads the company before a street: "Acme AG, Marktgasse 8, 3011 Bern"."""
        parts = _by_comma(segment)
        if len(parts) > 1 and len(segment) <= 200 and not _WEB.search(segment) and any(is_street(part) for part in parts[1:]):
            self._company(parts[0], 0)

    def _east(self, segment: str) -> bool:
        """Reads a line that writes no blanks between its parts: 営業部長, 株式会社さくら."""
        if not re.search(r"[\u3040-\u30ff\u3400-\u9fff]", segment):
            return False
        if company := COMPANY_EAST.search(segment):
            self.found.companies.append(Finding(company.group(0), SURE, self.row, "it has a legal form"))
            segment = segment.replace(company.group(0), " ")
        for part in segment.split():
            if self.may_be_title and TITLES_EAST.search(part) and len(part) <= 20:
                self.found.titles.append(Finding(part, LIKELY, self.row, "it names a role beside the name"))
            elif self.may_be_title and DEPARTMENT_EAST.fullmatch(part):
                self.found.departments.append(Finding(part, LIKELY, self.row, "it names a department"))
        return True

    def _role(self, parts: Sequence[str]) -> bool:
        """Reads "role, company" and "role, field of work"; False where the first part is no role."""
        if len(parts) < 2 or not self.may_be_title or not _is_title(parts[0]) or LEGAL_FORM.search(parts[0]):
            return False
        title = parts[0]
        for n, part in enumerate(parts[1:]):
            if self._company(part, 0) or self._department(part):
                continue
            if n == 0 and _is_function(part):
                title = f"{title}, {part}"
            elif _is_title(part):
                continue
            elif part and part[0].isupper() and fold(part) not in COUNTRIES:
                self.found.companies.append(Finding(part, DOUBTFUL, self.row, "it stands behind the role"))
        self._title(title)
        return True

    def _company(self, text: str, place: int) -> bool:
        plain = _FOR.sub("", text.strip(" ,"))
        if COMPANY_END.fullmatch(plain) and not has_digits(plain) and ":" not in plain:
            agrees = self._is_domains(LEGAL_FORM.sub("", plain).strip(" ,"))
            if OTHER_COMPANY.search(text) and not agrees:
                return False
            self.found.companies.append(Finding(plain, _surety(agrees, place), self.row, "it has a legal form"))
            return True
        if self._is_domains(plain):
            self.found.companies.append(Finding(plain, LIKELY, self.row, "it is what the address's domain says"))
            return True
        if place and self._may_be_company(plain):
            self.found.companies.append(Finding(plain, DOUBTFUL, self.row, "it stands below the name"))
        return False

    def _may_be_company(self, plain: str) -> bool:
        if has_title(plain) or self._looks_like_department(plain) or fold(plain) in COUNTRIES or has_digits(plain):
            return False
        return plain[:1].isupper() and re.fullmatch(r"[\w&'’.\- ]{2,50}", plain) is not None

    def _is_domains(self, text: str) -> bool:
        """Tells whether a text is the company of the address's domain: its words together, or their first letters."""
        words = [word for word in re.split(r"[\s\-]+", text) if re.search(r"\w", word)]
        if not self.label or not words or len(words) > 7 or not (text[:1].isupper() or text[:1].isdigit() or text == text.lower()):
            return False
        whole = re.sub(r"[\W_]", "", "".join(words))
        forms = set(spellings_of(whole))
        if self.label in forms:
            return True
        if any(self._begins_alike(form) for form in forms):  # a slogan that begins with the name is no name
            return not has_title(text) and len(words) <= 4 and all(not word[:1].islower() or word in ("and", "of", "und") for word in words)
        return len(words) >= 3 and "".join(fold(word)[:1] for word in words) == self.label

    def _begins_alike(self, form: str) -> bool:
        shorter, longer = sorted((form, self.label), key=len)
        return len(shorter) >= 5 and longer.startswith(shorter) and (longer == form or 2 * len(shorter) >= len(longer))

    def _looks_like_department(self, text: str) -> bool:
        words = re.findall(r"[\w.]+", fold(text))
        if len(words) == 1:
            return any(words[0].endswith(last) and words[0] != last for last in DEPARTMENT_LAST)
        return 1 < len(words) <= 8 and (words[0].rstrip(".") in DEPARTMENT_FIRST or words[-1] in DEPARTMENT_LAST)

    def _department(self, text: str) -> bool:
        if not self._looks_like_department(text) or has_title(text.partition(" ")[2]) and has_title(text.rpartition(" ")[0]):
            return False
        confidence = LIKELY if self.may_be_title else DOUBTFUL
        self.found.departments.append(Finding(text, confidence, self.row, "it names a department"))
        return True

    def _title(self, text: str) -> None:
        """Notes a role; a company of the address's domain at its end is another thing ("Titolare Officina Verdi")."""
        if not self.may_be_title or not _is_title(text) or LEGAL_FORM.search(text):
            return
        words = text.split()
        for n in range(1, len(words)):
            rest = " ".join(words[n:])
            if self._is_domains(rest) and has_title(" ".join(words[:n])):
                self.found.companies.append(Finding(rest, LIKELY, self.row, "it is what the address's domain says"))
                text = " ".join(words[:n])
                break
        self.found.titles.append(Finding(text.strip(" -–,"), LIKELY, self.row, "it names a role, near the name"))


def _surety(agrees: bool, place: int) -> float:
    """How sure a company with a legal form is: far below the name it must be the address's."""
    if agrees:
        return SURE
    return LIKELY if place <= COMPANY_WITHIN else DOUBTFUL


def has_digits(text: str) -> bool:
    return sum(1 for sign in text if sign.isdigit()) >= 4


def _by_comma(text: str) -> list[str]:
    """Returns the parts between commas; a legal form stays with its company ("Lumen Freight, Inc.")."""
    parts: list[str] = []
    for part in re.split(r",\s+", text):
        if parts and ONLY_LEGAL_FORM.fullmatch(part.strip()):
            parts[-1] = f"{parts[-1]}, {part}"
        else:
            parts.append(part)
    return parts


def _is_title(text: str) -> bool:
    """Tells whether a text is a job title: short, no sentence, with a word that names a role."""
    if len(text) > 80 or len(text.split()) > 9 or ":" in text or has_digits(text) or text[-1:] in "!?":
        return False
    return has_title(text)


def _is_function(text: str) -> bool:
    words = [word for word in re.findall(r"\w+", fold(text)) if word not in ("and", "of", "the")]
    return bool(words) and all(word in FUNCTIONS for word in words)
