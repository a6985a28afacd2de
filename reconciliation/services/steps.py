"""What a step of set-up is: the list of them is made in `setup_steps`, those of mailboxes in `setup_mailboxes`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """A button of a step: a link, or a form that posts; `question` asks before it does."""

    label: str
    page: str
    is_post: bool = False
    question: str = ""
    argument: object = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is done, what is missing, who can give it, and the buttons that do it."""

    key: str
    title: str
    is_done: bool
    sentence: str
    missing: tuple[str, ...] = ()
    who: str = ""
    acts: tuple[Act, ...] = ()
    state: str = ""
