"""What an upgrade does to passes that are there already."""

from importlib import import_module
from pkgutil import iter_modules

import pytest
from django.apps import apps

from reconciliation import migrations
from reconciliation.engine import gate
from reconciliation.models import SyncPass
from tests.sandboxed import make

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("is_on", [True, False])
def test_a_real_pass_that_is_on_stays_beyond_the_gate_for_first_runs(is_on):
    make(is_real=True)
    SyncPass.objects.update(is_on=is_on, switched_on_at=None)
    name = next(m.name for m in iter_modules(migrations.__path__) if m.name.endswith("_setup_gate"))

    import_module(f"reconciliation.migrations.{name}").note_switched_on(apps, None)

    assert gate.is_closed(SyncPass.objects.select_related("crm", "peer").get()) is not is_on
