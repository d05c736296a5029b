"""Own what is read from a Dockerfile before it is built: its base images, and what would reach into the inside; pure.

`RUN` has no network, but the engine itself fetches base images and `ADD <address>`: both are looked at here.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from shared.errors import JobError

ESCAPE = re.compile(r"^#\s*escape\s*=", re.IGNORECASE | re.MULTILINE)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
FROM = re.compile(r"^(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?$", re.IGNORECASE)
COPY_FROM = re.compile(r"^(?:--\S+\s+)*?--from=(\S+)", re.IGNORECASE)
NAME_OF_DOCKERFILE = "Dockerfile"


def base_images(dockerfile: str) -> list[str]:
    """The images a build starts from, each once, in order. Raises: JobError for what is not allowed."""
    if ESCAPE.search(dockerfile):
        raise JobError("The Dockerfile cannot be built: the directive `escape` is not supported.")
    arguments: dict[str, str] = {}
    stages: set[str] = set()
    count = 0
    images: dict[str, None] = {}
    for word, rest in instructions(dockerfile):
        if word == "ARG" and not stages:
            arguments |= defaults(rest)
        elif word == "FROM":
            image, stage = from_parts(rest, arguments)
            if image.lower() not in stages and image != "scratch":
                images[image] = None
            stages |= {stage or str(count), str(count)}
            count += 1
        elif word == "COPY" and (source := COPY_FROM.match(rest)) and source[1].lower() not in stages:
            images[plain(source[1])] = None
    if not stages:
        raise JobError("The Dockerfile cannot be built: it has no FROM.")
    refuse_fetching(f"{word} {rest}" for word, rest in instructions(dockerfile))
    return list(images)


def refuse_fetching(lines: Iterable[str]) -> None:
    """Refuse `ADD` of an address, also where it comes from a base image's ONBUILD. Raises: JobError."""
    for line in lines:
        words = line.split()
        while words and words[0].upper() == "ONBUILD":
            words = words[1:]
        source = " ".join(words[1:])
        if words and words[0].upper() == "ADD" and re.search(r"://|\$|git@|github\.com", source):
            raise JobError(
                f"The image cannot be built: `{line[:120]}` would fetch from the network; use files or COPY."
            )


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Instructions in capitals with the rest of their line; continued lines joined, comments left out."""
    joined: list[str] = []
    is_open = False
    for line in dockerfile.splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        continues = text.endswith("\\")
        text = text.removesuffix("\\")
        if is_open:
            joined[-1] += text
        else:
            joined.append(text)
        is_open = continues
    pairs = [line.split(None, 1) for line in joined if line.strip()]
    return [(pair[0].upper(), pair[1].strip() if len(pair) > 1 else "") for pair in pairs]


def context_archive(dockerfile: str, extra_files: Mapping[str, str]) -> bytes:
    """The build context as a tar: the Dockerfile and the files beside it. Raises: JobError for a path outside."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in {**extra_files, NAME_OF_DOCKERFILE: dockerfile}.items():
            data = content.encode()
            member = tarfile.TarInfo(safe_path(path))
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def safe_path(path: str) -> str:
    """A path inside the build context. Raises: JobError."""
    parts = PurePosixPath(path).parts
    is_plain = all(part != ".." and part.isprintable() for part in parts)
    if not parts or path.startswith("/") or not is_plain or "\\" in path:
        raise JobError(f"The image cannot be built: `{path[:100]}` is not a path inside the build context.")
    return "/".join(parts)


def defaults(rest: str) -> dict[str, str]:
    """`NAME=value` of an ARG before the first FROM."""
    name, _, value = rest.partition("=")
    return {name.strip(): value.strip().strip("\"'")}


def from_parts(rest: str, arguments: Mapping[str, str]) -> tuple[str, str | None]:
    """A FROM's image, its variables filled in, and the name of its stage in lower case."""
    parts = FROM.match(VARIABLE.sub(lambda found: arguments.get(found[1] or found[2], "$"), rest))
    if parts is None:
        raise JobError(f"The Dockerfile cannot be built: `FROM {rest[:100]}` is not understood.")
    stage = parts[2].lower() if parts[2] else None
    image = parts[1].lower() if parts[1].lower() == "scratch" else parts[1]
    return plain(image), stage


def plain(image: str) -> str:
    """An image's name without open variables. Raises: JobError."""
    if "$" in image:
        raise JobError(f"The Dockerfile cannot be built: the base image `{image[:100]}` is not known beforehand.")
    return image
