"""The pack in this process, inside the ComfyUI that dev/comfyui.py finds: what every benchmark starts from."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from dev import comfyui


def load(device: str = "cpu") -> dict[str, Any]:
    """The pack's nodes by id, loaded the way ComfyUI loads them; ComfyUI's own modules can be imported afterwards."""
    sys.path.insert(0, str(comfyui.find().path))
    importlib.import_module("comfy.cli_args").args.cpu = device == "cpu"
    importlib.import_module("utils.extra_config")  # as ComfyUI's main.py does, before nodes.py changes sys.path
    spec = importlib.util.spec_from_file_location(
        "img2img_studio", comfyui.ROOT / "__init__.py", submodule_search_locations=[str(comfyui.ROOT)]
    )
    assert spec
    assert spec.loader
    pack = sys.modules["img2img_studio"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    return pack.NODE_CLASS_MAPPINGS
