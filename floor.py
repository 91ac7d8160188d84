"""The oldest ComfyUI that the pack runs on."""

from __future__ import annotations

import importlib
import re

FLOOR = (0, 3, 75)


def complaint() -> str | None:
    """What to say to a ComfyUI that is too old; None where it is new enough, or of a fork that counts otherwise."""
    try:
        version: str = importlib.import_module("comfyui_version").__version__
    except ImportError:
        version = "an older one"  # the module came in 2024
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None and version != "an older one":
        return None
    if numbers and tuple(map(int, numbers.groups())) >= FLOOR:
        return None
    needed = ".".join(map(str, FLOOR))
    return f"Img2Img Studio needs ComfyUI {needed} or newer, and this is {version}. Update ComfyUI to use its nodes."
