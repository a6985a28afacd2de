"""Taking many shared items back at once, each by itself: what is refused stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser

from connectors.errors import ConnectorError
from reconciliation.engine.staff import Busy, Refusal
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Email, MailboxItem
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.emails import email_take_back
from reconciliation.services.items import item_withdraw

MOST_AT_ONCE = 50
BUSY = "The pass is writing just now; try again in a moment."


@dataclass(slots=True)
class TakenBack:
    """What became of many: how many were taken back, a sentence for each that was not, and one for each that was, but for a part."""

    count: int = 0
    refused: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def items_take_back(rows: Sequence[MailboxItem], by: AbstractBaseUser, *, wiring: Wiring | None = None) -> TakenBack:
    """Takes these items back. Raises DecisionRefused for too many, WritesStopped; trouble of a connection ends the round, and is told."""
    return _each([(str(row), lambda row=row: item_withdraw(row, by, wiring=wiring).remark) for row in rows])


def emails_take_back(rows: Sequence[Email], by: AbstractBaseUser, *, wiring: Wiring | None = None) -> TakenBack:
    """Takes these e-mails back, as `items_take_back`."""
    return _each([(row.subject or "E-mail", lambda row=row: email_take_back(row, by, wiring=wiring)) for row in rows])


def _each(acts: Sequence[tuple[str, Callable[[], str | None]]]) -> TakenBack:
    if len(acts) > MOST_AT_ONCE:
        raise DecisionRefused(f"At most {MOST_AT_ONCE} at once. Nothing was done.")
    done = TakenBack()
    for name, act in acts:
        try:
            remark = act()
            done.count += 1
            done.remarks += [f"{name}: {remark}"] if remark else []
        except Refusal as refusal:
            done.refused.append(f"{name}: {refusal}")
        except Busy:
            done.refused.append(f"{name}: {BUSY}")
        except ConnectorError as error:
            done.refused.append(f"{name}: {error.sentence}. {error.remedy}")
            if error.scope != "record":
                break
    return done
