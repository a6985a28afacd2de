import os
import time

import pytest

from reconciliation.engine.wiring import Switches
from tests.simulation.calendars.defects import DEFECTS, SWITCHES
from tests.simulation.calendars.play import play

pytestmark = [pytest.mark.django_db]
NAMES = [n for n in [*DEFECTS, *SWITCHES] if n in os.environ.get("DEFECTS", n)]


@pytest.mark.parametrize("defect", NAMES)
def test_defect(defect, monkeypatch):
    switches = Switches(**{defect: True}) if defect in SWITCHES else None
    if defect in DEFECTS:
        DEFECTS[defect](monkeypatch)
    t = time.process_time()
    for seed in range(14):
        for system in ("microsoft", "google"):
            story = play(seed, system, switches)
            if story.broken:
                print("CAUGHT", defect, seed, system, story.broken[0][:150], round(time.process_time() - t), flush=True)
                return
    print("MISSED", defect, round(time.process_time() - t), flush=True)
