"""With REDIS_URL the queue stands in Redis: a task goes through it and through a real cluster."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUT = "import django; django.setup(); from django_q.tasks import async_task; async_task('reconciliation.engine.heartbeat.beat')"
LOOK = (
    "import django; django.setup(); from reconciliation.models import Heartbeat; "
    "print(Heartbeat.objects.filter(beat_at__isnull=False).count())"
)


def test_a_task_goes_through_redis_and_a_cluster(tmp_path):
    redis = os.environ.get("TEST_REDIS_URL")
    if not redis:
        (pytest.fail if os.environ.get("REQUIRE_POSTGRES") == "1" else pytest.skip)("TEST_REDIS_URL names no Redis")
    env = {**os.environ, "REDIS_URL": redis, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "PYTHONPATH": str(ROOT)}

    def python(*arguments):
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    python("manage.py", "migrate", "-v", "0")
    python("-c", "import django; django.setup(); from django_q.models import Schedule; Schedule.objects.all().delete()")
    cluster = subprocess.Popen([sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=env)
    try:
        python("-c", PUT)
        ends = time.monotonic() + 120
        while python("-c", LOOK) == "0" and time.monotonic() < ends:
            time.sleep(0.5)
        assert python("-c", LOOK) == "1"
    finally:
        cluster.terminate()
        cluster.wait(120)
