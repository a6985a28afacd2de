"""What holds for prospects with the same e-mail address (S2.1 to S2.5)."""

from __future__ import annotations

from reconciliation.models import Policy
from reconciliation.services.duplicates import DecisionRefused

NO_REMAP = (
    "Remapping is off: the setting “How do you want to handle prospect imports with the same email address?” says “Prevent multiple "
    "prospects with the same email”. An admin can change it. Nothing was done."
)


def allows_remap() -> bool:
    """Tells whether users may select the preferred CRM ID (S2.3)."""
    return Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE).exists()


def refuse_unless_remap() -> None:
    """Raises DecisionRefused while remapping is off (S2.2, S2.5)."""
    if not allows_remap():
        raise DecisionRefused(NO_REMAP)
