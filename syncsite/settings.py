"""Site settings, all from the environment; `.env.example` explains each variable.

A missing or wrong value stops the start with the variable's name and a sentence (`environment.py`). What staff may
change at run time (thresholds, schedules, mappings) is a row in the database, not here.
"""

import importlib.util
import os
import zoneinfo
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from syncsite import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

# ENV_FILE names another file; empty means none (the tests).
if os.environ.get("ENV_FILE", ".env"):
    env.read_file(BASE_DIR / os.environ.get("ENV_FILE", ".env"))

# --- Secrets and addresses ---------------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG", default=False)
# Plain http and private addresses are refused everywhere but on 127.0.0.1 under this switch; a deploy check reports it.
ALLOW_LOOPBACK = env.flag("ALLOW_LOOPBACK", default=False)
SECURE_SSL = env.flag("SECURE_SSL", default=not (DEBUG or ALLOW_LOOPBACK))

SECRET_KEY = env.required("SECRET_KEY", sentence="write at least 50 random characters, or let `make demo` write .env.")
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5 or SECRET_KEY.startswith("django-insecure-"):
    env.refuse("SECRET_KEY", "is too easy to guess; write at least 50 random characters.")

# The first key encrypts, all decrypt: a new key goes to the front.
FIELD_KEYS = env.items("FIELD_KEYS")
if not FIELD_KEYS:
    env.refuse("FIELD_KEYS", "is not set; write at least one Fernet key, several with commas between.")
for _key in FIELD_KEYS:
    try:
        Fernet(_key)
    except ValueError:
        env.refuse("FIELD_KEYS", "one of the keys is not 32 bytes in url-safe base64; make one with `Fernet.generate_key()`.")

ALLOWED_HOSTS = env.items("ALLOWED_HOSTS") or (["127.0.0.1", "localhost"] if DEBUG or ALLOW_LOOPBACK else [])
if not ALLOWED_HOSTS:
    env.refuse("ALLOWED_HOSTS", "is not set; write the host names the site is reached by, with commas between.")
if "*" in ALLOWED_HOSTS:
    env.refuse("ALLOWED_HOSTS", "'*' would let a visitor choose our name; write the host names themselves.")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")

PORT = env.number("PORT", default=8000, least=1, most=65535)
SANDBOX_PORT = env.number("SANDBOX_PORT", default=8900, least=1, most=65529)
SANDBOX_URL = env.url("SANDBOX_URL", default=f"http://127.0.0.1:{SANDBOX_PORT}", schemes={"http", "https"})

# Hosts that connections may name, per system: "*.workbooks.com" covers secure.workbooks.com. More with SYSTEM_HOSTS.
SYSTEM_HOSTS = {
    "workbooks": ["*.workbooks.com"],
    "outreach": ["*.outreach.io"],
    "salesforce": ["*.salesforce.com"],
    "microsoft": ["graph.microsoft.com", "login.microsoftonline.com"],
    "google": ["*.googleapis.com", "accounts.google.com"],
    "exchange": [],  # every organisation's own: they are named with SYSTEM_HOSTS
}
for _entry in env.items("SYSTEM_HOSTS"):
    _system, _, _host = _entry.partition("=")
    if _system not in SYSTEM_HOSTS or not _host or "/" in _host or _host.startswith("*.") and _host.count(".") < 2:
        env.refuse("SYSTEM_HOSTS", f"{_entry!r} is not of the form workbooks=crm.example.com.")
    SYSTEM_HOSTS[_system].append(_host.lower())

# Forms that end at a system's log-in page are redirected there, which form-action must allow (engine-rules 28).
_LOGIN_PAGES = [host for system in ("outreach", "salesforce") for host in SYSTEM_HOSTS[system]]
_LOGIN_PAGES += [host for host in SYSTEM_HOSTS["microsoft"] if host.startswith("login.")] + ["accounts.google.com"]
AUTHORISE_HOSTS = env.origins("AUTHORISE_HOSTS") + [f"https://{host}" for host in _LOGIN_PAGES]
if ALLOW_LOOPBACK:
    AUTHORISE_HOSTS += [f"http://127.0.0.1:{SANDBOX_PORT + offset}" for offset in range(2, 6)]
CONTENT_SECURITY_POLICY = {
    "default-src": ["'self'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
    "form-action": ["'self'", *AUTHORISE_HOSTS],
}

# --- Applications ------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "syncsite.apps.SyncsiteConfig",
    "reconciliation.apps.ReconciliationConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_filters",
    "django_q",
    "axes",
    "django_otp",
]
MIDDLEWARE = [
    "syncsite.middleware.RequestIdMiddleware",
    "syncsite.middleware.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "syncsite.middleware.NoNulMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "syncsite.middleware.SessionAgeMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a refused log-in into the lock-out page
]
ROOT_URLCONF = "syncsite.urls"
WSGI_APPLICATION = "syncsite.wsgi.application"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"  # where the address asked for is none of ours
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Log-in ------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "syncsite.permissions.PermissionsInOneQuery",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "reconciliation.services.log_ins.NoWordsOfOurs"},
    {"NAME": "reconciliation.services.log_ins.PasswordChangesAreAudited"},
]
# So many wrong log-ins of one name from one address, and that name is refused from that address for a while. By name
# alone a stranger could lock an admin out; by address alone one person's typing would lock out an office.
AXES_FAILURE_LIMIT = env.number("LOGIN_FAILURES", default=5, least=1, most=100)
LOGIN_LOCK_MINUTES = env.number("LOGIN_LOCK_MINUTES", default=15, least=1, most=1440)
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_LOCK_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "reconciliation.services.log_ins.RecordedHandler"
AXES_LOCKOUT_CALLABLE = "reconciliation.views.log_ins.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the time the lock-out page names stays true
AXES_ENABLE_ADMIN = False  # ours is the page Log-ins
AXES_DISABLE_ACCESS_LOG = True  # the audit log has it
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code"]
AXES_CLIENT_IP_CALLABLE = "syncsite.middleware.client_address"
# How many proxies of ours add an address to X-Forwarded-For; 0: nobody is believed but the connection itself.
TRUST_PROXY = env.flag("TRUST_PROXY", default=False)
PROXY_COUNT = env.number("PROXY_COUNT", default=1 if TRUST_PROXY else 0, least=0, most=10)
# A session ends after so long without a page, and after so long whatever happens.
SESSION_IDLE_SECONDS = 60 * env.number("SESSION_IDLE_MINUTES", default=60, least=1, most=1440)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 12_000  # a page may send its thousand chosen rows, and a mapping all its cells
SESSION_COOKIE_AGE = 3600 * env.number("SESSION_HOURS", default=12, least=1, most=168)

# --- Database and queue ------------------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", default="sqlite:///var/syncsite.sqlite3")}
DATABASES["default"]["CONN_MAX_AGE"] = 60  # django-q drops the connection after each queue operation otherwise
DATABASES["default"]["ATOMIC_REQUESTS"] = False  # with IMMEDIATE every GET would take SQLite's write lock
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    if DATABASES["default"]["NAME"] != ":memory:":
        DATABASES["default"]["NAME"] = str(BASE_DIR / DATABASES["default"]["NAME"])
        if Path(DATABASES["default"]["NAME"]).parent == VAR_DIR:
            VAR_DIR.mkdir(exist_ok=True)
    # Engine-rules 24. With a large cache or mmap the memory of a pass grows with the file.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-4000; PRAGMA mmap_size=0;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A host that is cut off: its side gives up after a minute without an answer, and the server ends what it had begun.
    # Without the latter the lease's row stays locked for as long as the server believes the host to be there (hours).
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "options": "-c idle_in_transaction_session_timeout=60s -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10"
        " -c tcp_keepalives_count=3 -c tcp_user_timeout=60s",
        **DATABASES["default"].get("OPTIONS", {}),
    }
    if importlib.util.find_spec("psycopg") is None:
        env.refuse("DATABASE_URL", "names PostgreSQL, but its driver is missing; install requirements-scale.txt.")

REDIS_URL = env.url("REDIS_URL", default="", schemes={"redis", "rediss", "unix"})
if REDIS_URL and importlib.util.find_spec("redis") is None:
    env.refuse("REDIS_URL", "is set, but the redis package is missing; install requirements-scale.txt.")
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

# Every value here cures a measured fault of the defaults: docs/decisions/0001-dependencies.md.
Q_CLUSTER = {
    "name": "syncsite",
    "label": "Task queue",
    "workers": 2,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 1500,
    "retry": 4600,  # counts from dequeue, so >= 3 * timeout + 60
    "ack_failures": True,
    "max_attempts": 1,
    "catch_up": False,
    "save_limit": -1,
    "poll": 0.5,
    "guard_cycle": 1,
    "recycle": 200,
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}
# How often a new pass runs until staff choose otherwise.
DEFAULT_INTERVAL_MINUTES = env.number("DEFAULT_INTERVAL_MINUTES", default=1, least=1, most=1440)
# Where deliveries of webhooks wait that the database did not take.
HOOK_SPOOL = BASE_DIR / (env.text("HOOK_SPOOL_DIR") or "var/hooks")
PROCESS_CHANNELS = env.number("PROCESS_CHANNELS", default=1, least=1, most=20)
# How many mailboxes of one mail system are gone over at a time, by all workers together.
MAILBOX_CHANNELS = env.number("MAILBOX_CHANNELS", default=4, least=1, most=100)
# A mailbox is suspended after so many failed runs in a row that a person must mend the cause of (D11).
MAILBOX_FAILURES = env.number("MAILBOX_FAILURES", default=6, least=1, most=1000)

# --- Being told ----------------------------------------------------------------------------------------------------
# Where links in messages lead.
SITE_URL = env.site("SITE_URL", default=f"http://127.0.0.1:{PORT}" if ALLOW_LOOPBACK else "", allow_http=ALLOW_LOOPBACK)
# Where Microsoft tells of changed meetings: this site as it is reached from outside, which may be another name than people use.
PUBLIC_URL = env.site("PUBLIC_URL", default=SITE_URL, allow_http=ALLOW_LOOPBACK)
_public_host = urlsplit(PUBLIC_URL).hostname
if _public_host and _public_host not in ALLOWED_HOSTS:
    ALLOWED_HOSTS.append(_public_host)
_mail = env.mail("EMAIL_URL")
_by_parts = {
    "EMAIL_HOST": env.text("EMAIL_HOST"),
    "EMAIL_HOST_USER": env.text("EMAIL_HOST_USER"),
    "EMAIL_HOST_PASSWORD": env.text("EMAIL_HOST_PASSWORD"),
    "EMAIL_USE_TLS": env.flag("EMAIL_USE_TLS", default=False),
    "EMAIL_USE_SSL": env.flag("EMAIL_USE_SSL", default=False),
}
_by_parts["EMAIL_PORT"] = env.number(
    "EMAIL_PORT", default=465 if _by_parts["EMAIL_USE_SSL"] else 587 if _by_parts["EMAIL_USE_TLS"] else 25, least=1, most=65535
)
if _mail and _by_parts["EMAIL_HOST"]:
    env.refuse("EMAIL_HOST", "is set beside EMAIL_URL; set one of them.")
if not _mail and not _by_parts["EMAIL_HOST"] and any(_by_parts[n] for n in ("EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD")):
    env.refuse("EMAIL_HOST", "is not set, but a user or password for it is.")
_mail = _mail or _by_parts
MAIL_IS_CONFIGURED = bool(_mail["EMAIL_HOST"])
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"] or "localhost", _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail["EMAIL_USE_TLS"], _mail["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 15
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    env.refuse("EMAIL_USE_SSL", "is on beside EMAIL_USE_TLS; TLS is for port 587, SSL for port 465.")
if EMAIL_HOST_PASSWORD and not (EMAIL_USE_TLS or EMAIL_USE_SSL) and EMAIL_HOST not in env.OWN_MACHINE:
    _name = "EMAIL_URL" if env.text("EMAIL_URL") else "EMAIL_USE_TLS"
    env.refuse(_name, "would send the password unencrypted; use smtp+tls:// (EMAIL_USE_TLS=1) or smtp+ssl:// (EMAIL_USE_SSL=1).")
if MAIL_IS_CONFIGURED:
    DEFAULT_FROM_EMAIL = env.sender("DEFAULT_FROM_EMAIL")
    if not SITE_URL:
        env.refuse("SITE_URL", "is not set; mails need it for their links, write https://host.")
# The chat may be at any public https address, or, once hosts are named here, only at those.
WEBHOOK_HOSTS = [host.lower() for host in env.items("WEBHOOK_HOSTS")]
for _host in WEBHOOK_HOSTS:
    if "/" in _host or ":" in _host or "*" in _host[1:] or (_host.startswith("*") and not _host.startswith("*.")):
        env.refuse("WEBHOOK_HOSTS", f"{_host!r} is not a host name; write hooks.example.com or *.example.com.")
# Who may read /metrics; without a token there is no such page.
METRICS_TOKEN = env.text("METRICS_TOKEN")
if METRICS_TOKEN and (len(METRICS_TOKEN) < 16 or not METRICS_TOKEN.isascii()):
    env.refuse("METRICS_TOKEN", "is too easy to guess; write at least 16 random letters and digits.")

# --- Time, static files, logging ---------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", default="UTC")
if TIME_ZONE not in zoneinfo.available_timezones():
    env.refuse("TIME_ZONE", f"{TIME_ZONE!r} is not a time zone; write a name such as Europe/Berlin.")

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

DEFAULT_EXCEPTION_REPORTER_FILTER = "syncsite.reports.SecretsHidden"
LOG_FORMAT = env.choice("LOG_FORMAT", default="json", among=["json", "text"])
LOG_LEVEL = env.choice("LOG_LEVEL", default="INFO", among=["DEBUG", "INFO", "WARNING", "ERROR"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "syncsite.logging.JsonFormatter"},
        "text": {"()": "syncsite.logging.TextFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "axes": {"handlers": [], "level": "WARNING", "propagate": True},  # it greets at every start
        "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}

# --- Transport and cookies ---------------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = SECURE_SSL
# A probe on this machine speaks plain http to the port behind the proxy; a redirect would protect nothing any more.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$"]
SESSION_COOKIE_SECURE = SECURE_SSL
CSRF_COOKIE_SECURE = SECURE_SSL
SECURE_HSTS_SECONDS = 31536000 if SECURE_SSL else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_SSL
SECURE_HSTS_PRELOAD = SECURE_SSL
# Only behind a proxy that sets this header itself: otherwise a visitor could claim to come by https.
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SAMESITE = "Lax"  # Strict would lose the session on the way back from an authorise page
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # scripts take the token from the page
if SECURE_SSL:  # browsers take cookies of these names only from this host, over https
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
X_FRAME_OPTIONS = "DENY"
