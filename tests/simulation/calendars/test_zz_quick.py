import os
import time
import traceback

import pytest

from tests.simulation.calendars import history as h
from tests.simulation.calendars.play import play, tell

pytestmark = [pytest.mark.django_db]


def test_quick():
    if os.environ.get("SIM_OLD"):
        h.ACTS = tuple(a for a in h.ACTS if a[0] != "crm_add_far")
    system = os.environ.get("SIM_SYSTEM", "microsoft")
    if os.environ.get("SIM_TELL"):
        print(tell(int(os.environ["SIM_TELL"]), system))
        return
    t = time.process_time()
    n = 0
    for seed in range(int(os.environ.get("SIM_FIRST", "0")), int(os.environ.get("SIM_LAST", "0"))):
        n += 1
        try:
            s = play(seed, system)
            if s.broken:
                print(system, seed, len(s.broken), [b[:260] for b in s.broken[:3]], flush=True)
        except Exception:
            print(system, seed, "EXC", traceback.format_exc()[-700:], flush=True)
    print("cpu a history", (time.process_time() - t) / max(n, 1))
