"""Packages that ComfyUI brings along, loaded when first needed: together they would take longer than the pack."""

from __future__ import annotations

import importlib
from typing import Any


def comfyui_package(module: str) -> Any:
    """A module of a package in ComfyUI's requirements.txt; ImportError says where the package comes from."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        raise ImportError(f"this needs the package {name}, which ComfyUI lists in its requirements.txt") from error
