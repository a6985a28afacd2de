import pytest, time, os
from tests.simulation.play import play, tell
@pytest.mark.django_db
def test_sim():
    t=time.time(); bad={}
    n=int(os.environ.get("N","60")); s0=int(os.environ.get("S","0"))
    for seed in range(s0,s0+n):
        v=play(seed)
        if v: bad[seed]=v
    print("rate", n/(time.time()-t), "bad", len(bad))
    for k in list(bad)[:12]: print(k, bad[k][:3])
    if bad and os.environ.get("TELL"): print(tell(next(iter(bad))))
