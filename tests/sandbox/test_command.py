"""`manage.py sandbox`: what it refuses is one sentence and exit 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--port", "99999"], "port"),
        (["--port", "-1"], "port"),
        (["--latency-ms", "-5"], "latency"),
        (["--port", "0", "--scenario", "nope"], "nope"),
        (["--port", "0", "--scenario", "empty", "--load", os.devnull], "called name; besides that it may have"),
    ],
)
def test_what_cannot_start_says_why(capsys, options, says):
    from django.core.management import call_command

    with pytest.raises(SystemExit) as stopped:
        call_command("sandbox", *options)

    assert stopped.value.code == 2
    told = capsys.readouterr().err.strip()
    assert says in told and "\n" not in told and "Traceback" not in told


def test_a_port_that_does_not_exist_is_one_sentence_on_the_command_line():
    command = [sys.executable, "manage.py", "sandbox", "--port", "99999"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
