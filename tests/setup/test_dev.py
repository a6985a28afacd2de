"""The everyday targets: listed, the same in make, and refusing in one plain sentence."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def dev(root: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "dev.py", *arguments], cwd=root, env={**os.environ, **env}, capture_output=True, text=True)


@pytest.fixture
def copy_of_project(tmp_path: Path, project_root: Path) -> Path:
    """A folder with what `dev.py` reads, so that no test touches the developer's own .env."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("dev.py", "requirements.txt", "requirements-scale.txt", "requirements-exchange.txt", "requirements-dev.txt"):
        shutil.copy(project_root / name, root / name)
    return root


def test_help_lists_every_target_of_the_makefile(project_root: Path) -> None:
    targets = re.search(r"^TARGETS := (.*)$", (project_root / "Makefile").read_text(), re.MULTILINE)
    assert targets

    done = dev(project_root, "help")

    listed = re.findall(r"^  (\S+) +\S", done.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(targets[1].split())


def test_an_unknown_target_is_one_sentence(project_root: Path) -> None:
    done = dev(project_root, "demmo")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "demmo" in done.stderr


def test_a_missing_python_is_one_sentence(copy_of_project: Path) -> None:
    script = "import dev; dev.LEAST = (9, 9); dev.BELOW = (9, 10); dev.install('requirements.txt')"

    done = subprocess.run([sys.executable, "-c", script], cwd=copy_of_project, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr == "No python from 9.9 to 9.9 is installed; install one and try again.\n"


def test_a_failed_install_is_one_sentence(copy_of_project: Path) -> None:
    (copy_of_project / "requirements.txt").write_text("-r there-is-no-such-file.txt\n")
    (copy_of_project / "there-is-no-such-file.txt").write_text("this is not a requirement!\n")
    (copy_of_project / ".venv/bin").mkdir(parents=True)
    (copy_of_project / ".venv/bin/python").symlink_to(sys.executable)

    done = dev(copy_of_project, "demo", PATH="/usr/bin:/bin")

    assert done.returncode == 1
    assert done.stderr.startswith("Installing requirements-exchange.txt failed: ")
    assert done.stderr.count("\n") == 1


def test_secrets_are_fresh_private_and_kept(copy_of_project: Path) -> None:
    script = "import dev; dev.VAR.mkdir(exist_ok=True); dev.write_env(); print(dev.demo_password())"

    first = subprocess.run([sys.executable, "-c", script], cwd=copy_of_project, capture_output=True, text=True, check=True)
    env = (copy_of_project / ".env").read_text()
    second = subprocess.run([sys.executable, "-c", script], cwd=copy_of_project, capture_output=True, text=True, check=True)

    assert (copy_of_project / ".env").read_text() == env
    assert first.stdout.splitlines()[-1].replace("True", "False") == second.stdout.splitlines()[-1]
    for name in (".env", "var/demo-login.txt"):
        assert stat.S_IMODE((copy_of_project / name).stat().st_mode) == 0o600
    secret = re.compile(r"^(SECRET_KEY|FIELD_KEYS)=(.{40,})$", re.MULTILINE)
    (copy_of_project / ".env").unlink()
    (copy_of_project / "var/demo-login.txt").unlink()
    third = subprocess.run([sys.executable, "-c", script], cwd=copy_of_project, capture_output=True, text=True, check=True)
    mine, others = dict(secret.findall(env)), dict(secret.findall((copy_of_project / ".env").read_text()))
    assert len(mine) == len(others) == 2 and not set(mine.values()) & set(others.values())
    assert third.stdout.splitlines()[-1] != first.stdout.splitlines()[-1]


def test_a_taken_port_is_one_sentence(copy_of_project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        script = "import dev; dev.write_env(); dev.refuse_taken_ports()"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=copy_of_project, env={**os.environ, "PORT": str(port)}, capture_output=True, text=True
        )

    assert done.returncode == 2
    assert done.stderr == f"Port {port} is already in use; stop what uses it, or set PORT to another number.\n"


def test_serve_refuses_a_taken_port_in_one_sentence(project_root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = subprocess.run([sys.executable, "manage.py", "serve", "--port", str(port)], cwd=project_root, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and str(port) in done.stderr


def test_clean_demo_forgets_the_demonstration_and_keeps_your_own_env(copy_of_project: Path) -> None:
    (copy_of_project / "var").mkdir()
    for name in ("syncsite.sqlite3", "syncsite.sqlite3-wal", "sandbox.state", "demo-login.txt"):
        (copy_of_project / "var" / name).touch()
    (copy_of_project / ".env").write_text("SECRET_KEY=mine\n")

    done = dev(copy_of_project, "clean-demo")

    assert done.returncode == 0
    assert list((copy_of_project / "var").iterdir()) == []
    assert (copy_of_project / ".env").exists()
