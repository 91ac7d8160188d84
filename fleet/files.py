"""File names that every system takes, pictures that stay in their folder, and files that are whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterable
from pathlib import Path

from .errors import FleetError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LONGEST_NAME = 120  # characters; every file system takes 255 bytes, of which a character may need four
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
PART = ".part"


def safe_name(text: str) -> str:
    """A file name without ending that Windows, macOS and Linux take, as like the text as can be."""
    name = UNSAFE.sub("_", text).strip(" .") or "_"
    if RESERVED.fullmatch(name):
        name = f"_{name}"
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 9]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names with a number where one comes again; capital letters make no difference, as on Windows."""
    taken: set[str] = set()
    found: list[str] = []
    for name in names:
        again = 2
        fresh = name
        while fresh.casefold() in taken:
            fresh, again = f"{name}_{again}", again + 1
        taken.add(fresh.casefold())
        found.append(fresh)
    return found


def pictures_in(place: Path) -> list[Path]:
    """The pictures of a folder in the order of their names, or the one picture.

    raises: FleetError where there is none, or where one lies elsewhere and is only linked
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FleetError(f"There is no folder {str(place)!r} with pictures.")
    files = sorted(entry for entry in place.iterdir() if entry.is_file())
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    if not pictures:
        others = ", ".join(file.name for file in files[:5]) or "nothing"
        raise FleetError(
            f"There is no picture in {str(place)!r}: it holds {others}. Pictures end in {', '.join(PICTURES)}"
        )
    home = place.resolve()
    for picture in pictures:
        if not picture.resolve().is_relative_to(home):
            raise FleetError(f"{str(picture)!r} is a link that leads out of the folder; copy the picture into it")
    return pictures


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, whatever ends the program.

    raises: FleetError where the disk is full or the file is open elsewhere
    """
    part = path.with_name(f"{uuid.uuid4().hex}{PART}")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise FleetError(
            f"{str(path)!r} cannot be written ({error.strerror or error}). What was done before is kept: make room, "
            "or close the program that holds the file, and go on with --resume"
        ) from error


def remove_parts(folder: Path) -> None:
    """Throw away what an interrupted run was writing."""
    for part in folder.glob(f"*{PART}"):
        with contextlib.suppress(OSError):
            part.unlink()
