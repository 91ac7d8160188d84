"""Files of ComfyUI's folders: pictures that come in, and small ones for the bodies of nodes."""

from __future__ import annotations

import hashlib
import importlib
import re
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import folder_paths
from PIL import Image
from torch import Tensor

JPEG_QUALITY = 88


def input_folder() -> Path:
    """ComfyUI's input folder."""
    return Path(folder_paths.get_input_directory()).resolve()


def has_result(name: str, prefix: str) -> bool:
    """Whether Save Image has saved something as ``prefix + name``, with a number behind, in ComfyUI's output folder.

    prefix: as it stands in ``filename_prefix``, a folder inside the output folder included
    raises: ValueError where it leads out of that folder
    """
    root = Path(folder_paths.get_output_directory()).resolve()
    path = (root / f"{prefix}{name}").resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"saved_as: {prefix!r} leads out of ComfyUI's output folder; write it as in Save Image")
    numbered = re.compile(re.escape(path.name) + r"_\d+_?\.\w+")
    return path.parent.is_dir() and any(numbered.fullmatch(file.name) for file in path.parent.iterdir())


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


def small_jpeg(picture: Image.Image) -> dict[str, str]:
    """Where the browser finds a picture, saved as a JPEG in ComfyUI's folder for temporary files.

    It is called by what is in it: equal pictures are one file, and no random number is drawn for a name.
    """
    written = BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=JPEG_QUALITY)
    name = f"img2img_{hashlib.sha256(written.getvalue()).hexdigest()[:20]}.jpg"
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(written.getvalue())
    return {"filename": name, "subfolder": "", "type": "temp"}
