"""Own key files: 32 random bytes in hex, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from infra.c2d.failures import Failure
from shared.curve import is_private_key


def default_key_file() -> Path:
    """Where the consumer's key lies: under the user's configuration folder."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(configuration) / "c2d" / "consumer.key"


def ensure_key(path: Path) -> tuple[bytes, bool]:
    """Read the key, or make one; tells whether it was made. Two that start at once end up with the same."""
    if path.exists():
        return read_key(path), False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        is_made = link_once(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return read_key(path), is_made


def read_key(path: Path) -> bytes:
    """Read a key file. Raises: Failure where it is not one, or where others may read it."""
    try:
        text = path.read_text().strip().removeprefix("0x")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"the key file {path} cannot be read: {error}") from error
    if mode & 0o077:
        raise Failure(f"the key file {path} can be read by others (mode {mode:04o})", f"type: chmod 600 {path}")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if not is_private_key(key):
        raise Failure(f"{path} is no key file: 64 hex characters are expected", "name another with --key FILE")
    return key


def link_once(draft: Path, path: Path) -> bool:
    """Give the draft its name unless something has it already."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    return True
