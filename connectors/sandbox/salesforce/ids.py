"""Ids of the played Salesforce: a key prefix, the pod, a number in base 62, and three check characters."""

from __future__ import annotations

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
POD = "AA0"
NUMBER_LENGTH = 9
SHORT, LONG = 15, 18


def with_check(short: str) -> str:
    """Returns the 18 characters of an id of 15. Each block of five adds one: bit k says that its character k is a capital."""
    blocks = (short[start : start + 5] for start in range(0, SHORT, 5))
    return short + "".join(CHECKS[sum(1 << k for k, c in enumerate(block) if "A" <= c <= "Z")] for block in blocks)


def read(text: object) -> str | None:
    """Returns the 18 characters of an id given with 15 or 18, None for what is no id or whose check is wrong."""
    if not isinstance(text, str) or len(text) not in (SHORT, LONG) or not text.isascii() or not text.isalnum():
        return None
    whole = with_check(text[:SHORT])
    return whole if text in (whole, whole[:SHORT]) else None


def make(prefix: str, number: int) -> str:
    """Returns the id of the record with this number, 18 characters. Ids sort as their numbers do."""
    digits = ""
    while number:
        number, rest = divmod(number, len(DIGITS))
        digits = DIGITS[rest] + digits
    return with_check(prefix + POD + digits.rjust(NUMBER_LENGTH, "0"))


def number_of(id_: str) -> int:
    """Returns the number within an id that `make` gave."""
    number = 0
    for digit in id_[SHORT - NUMBER_LENGTH : SHORT]:
        number = number * len(DIGITS) + DIGITS.index(digit)
    return number
