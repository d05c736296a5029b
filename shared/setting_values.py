"""Own how single settings are read: each check names the setting, what was wrong and an example."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from shared.curve import is_private_key
from shared.errors import SettingsError

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"", "0", "false", "no", "off"})
DOTENV = Path(".env")


def with_dotenv(environment: Mapping[str, str], file: Path = DOTENV) -> dict[str, str]:
    """Lay the environment over what `.env` says; an empty variable counts as not set."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}. Example of a line: C2D_RATE_LIMIT=600") from error
    found = dict(pair for line in lines if (pair := _line(line)) is not None)
    return found | {name: value for name, value in environment.items() if value}


def _line(line: str) -> tuple[str, str] | None:
    """Read `NAME=value`; comments, `export` and quotes as a shell has them."""
    text = line.strip().removeprefix("export ")
    name, equals, value = text.partition("=")
    if not equals or text.startswith("#"):
        return None
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return name.strip(), value[1:-1]
    return name.strip(), value.partition(" #")[0].rstrip()


def private_key(variable: str, text: str) -> bytes:
    """Read a wallet's key. Raises: SettingsError, which never shows it."""
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32 or not is_private_key(key):
        raise SettingsError(f"{variable} is no private key: 64 hex characters are expected. Example: 0x4c0883a6…")
    return key


def url(given: Mapping[str, str], variable: str, example: str) -> str | None:
    """Read an http(s) address without its last slash. Raises: SettingsError."""
    text = given.get(variable)
    if not text:
        return None
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good:
        raise SettingsError(f"{variable}: {text!r} is no http(s) address. Example: {variable}={example}")
    return text.rstrip("/")


def networks(given: Mapping[str, str], variable: str) -> tuple[str, ...]:
    """Read a comma list of networks. Raises: SettingsError."""
    found = [part.strip() for part in given.get(variable, "").split(",") if part.strip()]
    try:
        return tuple(str(ipaddress.ip_network(part, strict=False)) for part in found)
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}. Example: {variable}=10.1.0.0/16,fd00::/8") from error


def rate(given: Mapping[str, str], variable: str, default: int) -> int | None:
    """Read a number, or `off`. Raises: SettingsError."""
    return None if given.get(variable, "").lower() in ("off", "0") else whole(given, variable, default)


def whole(given: Mapping[str, str], variable: str, default: int) -> int:
    """Read a whole number above 0. Raises: SettingsError."""
    text = given.get(variable, str(default))
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**9):
        raise SettingsError(f"{variable}: {text!r} is no whole number above 0. Example: {variable}={default}")
    return int(text)


def truth(given: Mapping[str, str], variable: str) -> bool:
    """Read yes or no. Raises: SettingsError."""
    text = given.get(variable, "").lower()
    if text not in YES | NO:
        raise SettingsError(f"{variable}: {text!r} is neither yes nor no. Example: {variable}=yes")
    return text in YES
