"""Files of ComfyUI's folders: pictures that come in, and small ones for the bodies of nodes."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import folder_paths
from PIL import Image
from torch import Tensor

JPEG_QUALITY = 88


def input_folder() -> Path:
    """ComfyUI's input folder."""
    return Path(folder_paths.get_input_directory()).resolve()


def pictures_in(folder: str, pattern: str) -> tuple[list[Path], list[str]]:
    """The pictures of a folder inside ComfyUI's input folder, by name, and the names of files that are not pictures.

    raises: ValueError where the folder lies elsewhere or does not exist
    """
    root = input_folder()
    path = (root / folder).resolve()
    if not path.is_relative_to(root) or not path.is_dir():
        raise ValueError(f"folder: {folder!r} is no folder inside ComfyUI's input folder; put it there")
    files = sorted(file for file in path.iterdir() if file.is_file() and fnmatch(file.name, pattern))
    known = [is_picture(file) for file in files]
    others = [file.name for file, is_one in zip(files, known, strict=True) if not is_one]
    return [file for file, is_one in zip(files, known, strict=True) if is_one], others


def left_out(others: list[str]) -> str:
    """In words, which files of the folder are not pictures."""
    if not others:
        return "Every file in the folder was a picture."
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"Left out, because they are not pictures: {', '.join(others[:5])}{more}"


def asked_folder(question: dict[str, Any]) -> dict[str, list[str]]:
    """What the next run of a Batch Folder will take, and of how many, as ``{"words": lines}``.

    question: the values of its inputs by name
    raises:   ValueError where there is no such folder
    """
    pictures, others = pictures_in(question["folder"], question["pattern"])
    index, count = int(question["index"]), len(pictures)
    if not pictures:
        return {"words": [f"No picture like {question['pattern']} here", left_out(others)]}
    lines = [f"{count} pictures" if count > 1 else "1 picture"]
    if question["skip_done"]:
        done = with_result([picture.stem for picture in pictures], question["saved_as"])
        lines[0] += f", {len(done)} with a result"
    following = f"Next: {index + 1}, {pictures[index].name}" if index < count else "All done: set index to 0"
    return {"words": [*lines, following]}


def with_result(names: Sequence[str], prefix: str) -> set[str]:
    """Those names of which Save Image has saved ``prefix + name`` with a number behind, in ComfyUI's output folder.

    prefix: as it stands in ``filename_prefix``, a folder inside the output folder included
    raises: ValueError where it leads out of that folder
    """
    root = Path(folder_paths.get_output_directory()).resolve()
    paths = {name: (root / f"{prefix}{name}").resolve() for name in names}
    if not all(path.is_relative_to(root) for path in paths.values()):
        raise ValueError(f"saved_as: {prefix!r} leads out of ComfyUI's output folder; write it as in Save Image")
    folders = {path.parent for path in paths.values() if path.parent.is_dir()}
    numbered = re.compile(r"_\d+_?\.\w+$")
    saved = {folder / numbered.sub("", file.name) for folder in folders for file in folder.iterdir()}
    return {name for name, path in paths.items() if path in saved}


def is_picture(path: Path) -> bool:
    """Whether Pillow knows a file by its header."""
    return _has_known_header(*file_state(path))


def file_state(path: Path) -> tuple[str, int, int]:
    """What changes when a file changes: its path, time and size."""
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16384)
def _has_known_header(path: str, changed: int, size: int) -> bool:
    """Remembered for as long as the file stays as it is: a folder is asked about once for each picture of it."""
    try:
        with Image.open(path):
            return True
    except (OSError, ValueError, SyntaxError):
        return False


def load_picture(path: Path) -> tuple[Tensor, Tensor]:
    """IMAGE and MASK of a file in the input folder, as Load Image does; an incomplete file raises OSError."""
    with Image.open(path) as picture:
        picture.load()
    name = path.relative_to(input_folder()).as_posix()
    return importlib.import_module("nodes").LoadImage().load_image(name)


def small_jpeg(picture: Image.Image) -> str:
    """Save a picture as a JPEG in ComfyUI's folder for temporary files; its name, by which the browser finds it.

    It is called by what is in it: equal pictures are one file, and no random number is drawn for a name. The name alone
    is sent, since ComfyUI keeps what nodes showed of its last 10,000 prompts.
    """
    written = BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=JPEG_QUALITY)
    name = f"img2img_{hashlib.sha256(written.getvalue()).hexdigest()[:20]}.jpg"
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(written.getvalue())
    return name
