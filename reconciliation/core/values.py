"""What counts as blank, as equal, and as the same name. Every comparison of the product goes through here."""

from __future__ import annotations

import unicodedata

from connectors.contract import Value


def is_blank(value: Value) -> bool:
    """Tells whether the value says nothing: null, empty text, text of blanks only, an empty list (S0.12)."""
    return value is None or value == () or (isinstance(value, str) and not value.strip())


def is_same(left: Value, right: Value) -> bool:
    """Tells whether two values say the same: all blanks are one; True is not 1; 1 and 1.0 are."""
    if type(left) is type(right) and left == right:
        return True  # nearly all that are ever compared
    if is_blank(left) or is_blank(right):
        return is_blank(left) and is_blank(right)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left == right


_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # signs that turn the direction of text


def isolated(text: str) -> str:
    """Returns the text so that its direction ends with it: without, the words of a sentence behind it are read backwards."""
    return f"\u2068{text}\u2069" if _TURNING & set(text) else text


NAME_KEY_LENGTH = 255  # what a name-key column holds; both sides of every comparison are cut alike


def name_key(name: Value) -> str:
    """Returns the key under which a name is stored and looked up, "" for a blank one."""
    return normalise_name(str(name or ""))[:NAME_KEY_LENGTH]


def normalise_name(name: str) -> str:
    """Returns the form in which two names are compared: NFKC, blanks collapsed, case folded (D2).

    Punctuation and legal forms stay: *Acme* and *Acme Ltd* are different names, at most a suggestion."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
