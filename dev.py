#!/usr/bin/env python3
"""Set-up and everyday work with nothing but the standard library; each Makefile target calls this file.

It runs under any python3 that starts it and looks for a Python 3.11 to 3.13 itself.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
VAR = ROOT / "var"
ENV_FILE = ROOT / ".env"
LOGIN_FILE = VAR / "demo-login.txt"
DEMO_MARK = "# Written by `make demo`; `make clean-demo` removes this file. All variables: .env.example"
LEAST, BELOW = (3, 11), (3, 14)
BENCH = ROOT / "tests" / "load" / "bench.py"
IN_TWO = ("-n", "2", "--dist", "worksteal")  # processes that share the tests
COVERAGE = ("--cov=connectors", "--cov=reconciliation", "--cov=syncsite", "--cov-report=")
# Settings of the checks that load Django; the tests have their own in tests/conftest.py.
CHECK_ENV = {
    "ENV_FILE": "",
    "SECRET_KEY": "checks-only-" + "0123456789abcdef" * 4,
    "FIELD_KEYS": base64.urlsafe_b64encode(b"c" * 32).decode(),
    "ALLOW_LOOPBACK": "1",
    "DATABASE_URL": "sqlite:///:memory:",
}


# --- Targets -----------------------------------------------------------------------------------------------------
def demo(*_arguments):
    """Set up everything and run the demonstration with its sandbox; typed again it keeps the data"""
    install("requirements-exchange.txt")  # and with it requirements.txt: an Exchange server is among what is played
    write_env()
    refuse_taken_ports()
    VAR.mkdir(exist_ok=True)
    prepare()
    password, is_new = demo_password()
    run_quietly(
        "Making the admin user",
        [str(PYTHON), "manage.py", "shell", "-v", "0", "-c", ADMIN_SCRIPT],
        env={"DEMO_PASSWORD": password, "DEMO_PASSWORD_IS_NEW": "1" if is_new else ""},
    )
    print(f"Log-in: admin / {password}  (kept in var/demo-login.txt)", flush=True)
    os.chdir(ROOT)
    os.execv(str(PYTHON), [str(PYTHON), "manage.py", "serve", "--sandbox"])


def clean_demo(*_arguments):
    """Forget the demonstration: its database, the sandbox's state, the log-in and the .env it wrote"""
    if is_served():
        stop("The demonstration still runs; stop it first (Ctrl-C in its window).")
    for path in [*VAR.glob("syncsite.sqlite3*"), *VAR.glob("sandbox.state*"), *VAR.glob("*.log"), LOGIN_FILE, VAR / "serve.lock"]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    if ENV_FILE.exists() and ENV_FILE.read_text().startswith(DEMO_MARK):
        ENV_FILE.unlink()
    elif ENV_FILE.exists():
        print(".env was not written by `make demo` and is kept.")
    print("The demonstration is forgotten.")


def run(*_arguments):
    """Run the web server and the task cluster with the settings of your own .env, without the sandbox"""
    install("requirements.txt")
    prepare()
    os.chdir(ROOT)
    os.execv(str(PYTHON), [str(PYTHON), "manage.py", "serve"])


def test(*arguments):
    """Run the whole suite; on PostgreSQL and in a browser too when they are there"""
    install("requirements-dev.txt")
    results = [pytest("not slow and not browser", arguments, *IN_TWO)]
    results += postgres_tests(arguments)
    results += browser_tests(arguments)
    if any(results):
        stop("Some tests failed; the lines above say which.")


def coverage(*arguments):
    """Run the tests that need neither PostgreSQL nor a browser, and say which lines they leave out"""
    install("requirements-dev.txt")
    code = pytest("not slow and not browser", arguments, *IN_TWO, *COVERAGE)
    call([str(PYTHON), "-m", "coverage", "report", "--skip-covered"])
    if code:
        stop("Some tests failed; the lines above say which.")


def accept(*arguments):
    """Run the acceptance list with its full numbers, which takes hours"""
    install("requirements-dev.txt")
    results = [pytest("not browser", arguments, ACCEPT="1")]
    results += postgres_tests(arguments, ACCEPT="1", REQUIRE_POSTGRES="1")
    results += browser_tests(arguments, ACCEPT="1", REQUIRE_BROWSER="1")
    if any(results):
        stop("The acceptance list does not pass; the lines above say where.")


def check(*_arguments):
    """Run ruff, ruff format, mypy, the import rules, and look for missing migrations and known vulnerabilities"""
    install("requirements-dev.txt")
    python = str(PYTHON)
    steps = {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy", "connectors", "reconciliation/core", "reconciliation/passes"],
        "missing migrations": [python, "manage.py", "makemigrations", "--check", "--dry-run"],
        "import rules": [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/setup/test_import_rules.py"],
    }
    failed = []
    for name, command in steps.items():
        print(f"== {name}", flush=True)
        if call(command, **CHECK_ENV):
            failed.append(name)
    print("== known vulnerabilities", flush=True)
    if not look_for_advisories():
        failed.append("known vulnerabilities")
    if failed:
        stop("Not clean: " + ", ".join(failed) + ".")


def look_for_advisories():
    """Returns whether pip-audit knows nothing against what the product runs on. Where it reaches no source of advisories
    it says so, and nothing fails; packages the source does not know are named."""
    command = [str(PYTHON), "-m", "pip_audit", "-r", "requirements.txt", "-r", "requirements-scale.txt"]
    command += ["-r", "requirements-exchange.txt", "--no-deps", "--disable-pip"]
    done = subprocess.run([*command, "-f", "json", "--progress-spinner", "off"], cwd=str(ROOT), capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print("Skipped: no source of advisories answered.")
        return True
    unknown = sorted(p["name"] for p in packages if "skip_reason" in p)
    for package in packages:
        for found in package.get("vulns", []):
            print(
                f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version yet'}"
            )
    if len(unknown) == len(packages):
        print("Skipped: the source of advisories that answers here knows none of these packages.")
        return True
    print(f"{len(packages) - len(unknown)} packages looked up; not known there: {', '.join(unknown) or 'none'}.")
    return not any(package.get("vulns") for package in packages)


def bench(*arguments):
    """Measure calls, load, idle, latency, memory and pages as ratios, in under ten minutes"""
    run_bench(*arguments)


def bench_full(*arguments):
    """Measure the same with the large sizes"""
    run_bench("--full", *arguments)


def bench_peers(*arguments):
    """Measure beside dlt and vdirsyncer"""
    run_bench("--peers", *arguments)


def emails(*arguments):
    """Save 100,000 e-mails that lie in two mailboxes each, with crashes, and count them in the sandbox; EMAILS=N for N"""
    install("requirements-dev.txt")
    if pytest("not browser", ("tests/load/test_emails_once.py", "-s", *arguments), ACCEPT="1"):
        stop("Some e-mail is not in Salesforce exactly once.")


def show_help(*_arguments):
    """List the targets"""
    print("Targets, as `make TARGET` or `python3 dev.py TARGET`:")
    for name, target in TARGETS.items():
        print(f"  {name:<12} {target.__doc__}")


TARGETS = {
    "demo": demo,
    "clean-demo": clean_demo,
    "run": run,
    "test": test,
    "coverage": coverage,
    "accept": accept,
    "check": check,
    "bench": bench,
    "bench-full": bench_full,
    "bench-peers": bench_peers,
    "emails": emails,
    "help": show_help,
}

ADMIN_SCRIPT = """
import os
from django.contrib.auth import get_user_model
user, made = get_user_model().objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
if made or os.environ["DEMO_PASSWORD_IS_NEW"]:
    user.set_password(os.environ["DEMO_PASSWORD"])
    user.save()
"""


# --- Virtual environment -----------------------------------------------------------------------------------------
def install(requirements):
    """Makes .venv and installs `requirements` into it, unless exactly these are installed already."""
    stamp = VENV / f".installed-{requirements}"
    digest = requirements_digest(requirements)
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    VAR.mkdir(exist_ok=True)
    uv = shutil.which("uv")
    if not PYTHON.exists():
        python = find_python()
        make = [uv, "venv", "--quiet", "--python", python, str(VENV)] if uv else [python, "-m", "venv", str(VENV)]
        run_quietly("Making the virtual environment", make, hint="On Debian the package python3-venv must be installed.")
    elif not is_fitting(str(PYTHON)):
        stop(f"The python in .venv is not {version_range()}; remove the folder .venv and try again.")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "-r", requirements]
    else:
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    run_quietly(f"Installing {requirements}", command, hint="Is there a way to the Python package index?")
    for name in [requirements, *included(requirements)]:
        (VENV / f".installed-{name}").write_text(requirements_digest(name))


def included(requirements):
    names = [line.split()[1] for line in (ROOT / requirements).read_text().splitlines() if line.startswith("-r ")]
    return names + [deeper for name in names for deeper in included(name)]


def requirements_digest(requirements):
    files = [requirements, *included(requirements)]
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in files)).hexdigest()


def find_python():
    names = [sys.executable, "python3.13", "python3.12", "python3.11", "python3"]
    for candidate in filter(None, map(shutil.which, filter(None, names))):
        if is_fitting(candidate):
            return candidate
    return stop(f"No python from {version_range()} is installed; install one and try again.")


def is_fitting(python):
    script = f"import sys; sys.exit(not {LEAST} <= sys.version_info[:2] < {BELOW})"
    return subprocess.run([python, "-c", script], stderr=subprocess.DEVNULL).returncode == 0


def version_range():
    return f"{LEAST[0]}.{LEAST[1]} to {BELOW[0]}.{BELOW[1] - 1}"


# --- Demonstration -----------------------------------------------------------------------------------------------
def write_env():
    if ENV_FILE.exists():
        return
    lines = [
        DEMO_MARK,
        f"SECRET_KEY={secrets.token_urlsafe(50)}",
        f"FIELD_KEYS={base64.urlsafe_b64encode(os.urandom(32)).decode()}",
        "ALLOW_LOOPBACK=1",
        "SECURE_SSL=0",
        "LOG_FORMAT=text",
        "LOG_LEVEL=WARNING",
        f"PORT={os.environ.get('PORT') or 8000}",
        f"SANDBOX_PORT={os.environ.get('SANDBOX_PORT') or 8900}",
    ]
    write_private(ENV_FILE, "\n".join(lines) + "\n")
    print("Wrote .env with fresh secrets.", flush=True)


def demo_password():
    """Returns the admin's password and whether it was made just now; it is made once and kept in a file."""
    if LOGIN_FILE.exists():
        return LOGIN_FILE.read_text().split()[1], False
    password = secrets.token_urlsafe(12)
    write_private(LOGIN_FILE, f"admin {password}\n")
    return password, True


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def prepare():
    if not ENV_FILE.exists() and not os.environ.get("SECRET_KEY"):
        stop("There is no .env; copy .env.example to .env and fill it in, or run `make demo`.")
    run_quietly("Preparing the database", [str(PYTHON), "manage.py", "migrate", "--noinput", "-v", "0"])
    run_quietly("Collecting static files", [str(PYTHON), "manage.py", "collectstatic", "--noinput", "-v", "0"])


def refuse_taken_ports():
    if is_served():
        stop("The demonstration already runs; stop it first (Ctrl-C in its window).", code=2)
    port, sandbox_port = port_setting("PORT", 8000), port_setting("SANDBOX_PORT", 8900)
    for number, name in [(port, "PORT")] + [(sandbox_port + offset, "SANDBOX_PORT") for offset in range(4)]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except (OSError, OverflowError):
                stop(f"Port {number} is already in use; stop what uses it, or set {name} to another number.", code=2)


def port_setting(name, default):
    lines = dict(line.split("=", 1) for line in ENV_FILE.read_text().splitlines() if "=" in line and not line.startswith("#"))
    value = (os.environ.get(name) or lines.get(name) or str(default)).strip()
    return int(value) if value.isdigit() else stop(f"{name}: {value!r} is not a port number.", code=2)


def is_served():
    """Returns whether `manage.py serve` of this folder runs: it holds a lock as long as it does."""
    if not (VAR / "serve.lock").exists():
        return False
    with open(VAR / "serve.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# --- Tests and benchmarks ----------------------------------------------------------------------------------------
def pytest(markers, chosen, *options, **env):
    """Returns the exit code of one round of tests; `chosen` is what was typed after the target."""
    code = call([str(PYTHON), "-m", "pytest", "-m", markers, *options, *chosen], **env)
    # 5: nothing collected, which is what a chosen file or -k without such tests gives.
    return 0 if code == 5 and chosen else code


def postgres_tests(arguments, **env):
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        print("\nThe tests of both databases, now on PostgreSQL:", flush=True)
        env["DATABASE_URL"] = url
        return [pytest("both_databases and not browser and not slow", arguments, *IN_TWO, **env)]
    if (env.get("REQUIRE_POSTGRES") or os.environ.get("REQUIRE_POSTGRES")) == "1":
        stop("REQUIRE_POSTGRES is 1, but TEST_DATABASE_URL names no database.")
    print("\nNo PostgreSQL: TEST_DATABASE_URL is not set, its tests ran on SQLite only.", flush=True)
    return []


def browser_tests(arguments, **env):
    chromium = find_chromium()
    if chromium:
        print(f"\nThe browser tests, in {chromium}:", flush=True)
        return [pytest("browser and not slow", arguments, *IN_TWO, CHROMIUM=chromium, **env)]
    if (env.get("REQUIRE_BROWSER") or os.environ.get("REQUIRE_BROWSER")) == "1":
        stop("REQUIRE_BROWSER is 1, but no chromium was found; install it or name it in CHROMIUM.")
    print("\nNo chromium found: the browser tests did not run.", flush=True)
    return []


def find_chromium():
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, filter(None, names))), None)


def run_bench(*arguments):
    install("requirements-dev.txt")
    if not BENCH.exists():
        stop(f"There is no {BENCH.relative_to(ROOT)} yet.")
    sys.exit(call([str(PYTHON), str(BENCH), *arguments], PYTHONPATH=str(ROOT)))


# --- Running programs --------------------------------------------------------------------------------------------
def call(command, **env):
    """Returns the exit code of a command. Whatever the machine says, Python keeps what it compiled: tests start hundreds of processes."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **env}
    return subprocess.run(command, cwd=str(ROOT), env=env).returncode


def run_quietly(what, command, *, env=None, hint=""):
    """Says what it does in one line, and on failure one sentence; the whole output is in var/setup.log."""
    print(f"{what} …", flush=True)
    VAR.mkdir(exist_ok=True)
    log = VAR / "setup.log"
    with open(log, "w") as output:
        done = subprocess.run(
            command, cwd=str(ROOT), env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit {done.returncode}"
        stop(f"{what} failed: {reason} {hint} (the whole output: var/setup.log)".replace("  ", " "))


def stop(sentence, code=1):
    print(sentence, file=sys.stderr)
    sys.exit(code)


def main():
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else "help"), sys.argv[2:]
    if name not in TARGETS:
        stop(f"There is no target {name!r}; `python3 dev.py help` lists them.", code=2)
    try:
        TARGETS[name](*arguments)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
