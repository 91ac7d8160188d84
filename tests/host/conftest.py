"""Bring a real ComfyUI into this process, on the CPU, and load the pack in it the way ComfyUI does."""

import importlib
import os
import sys
import tempfile

import pytest
import torch
from img2img_studio.dev import comfyui

sys.path.insert(0, str(comfyui.find().path))
cli_args = importlib.import_module("comfy.cli_args")
cli_args.args.cpu = True  # before model_management is imported: it picks the device then

importlib.import_module("utils.extra_config")  # as main.py does: nodes.py puts comfy/utils.py in front of this package
folder_paths = importlib.import_module("folder_paths")
scratch = tempfile.TemporaryDirectory(prefix="img2img-host-tier-")
for kind in ("input", "output", "temp", "user"):
    folder = os.path.join(scratch.name, kind)
    os.makedirs(folder)
    getattr(folder_paths, f"set_{kind}_directory")(folder)

# ComfyUI's load_custom_node() makes a module from __init__.py, puts it into sys.modules and runs it.
pack = sys.modules["img2img_studio"]
pack.__spec__.loader.exec_module(pack)

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def inference_mode():
    """ComfyUI runs every node in inference mode; so does this tier."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def nodes():
    """The pack's node classes by id."""
    return pack.NODE_CLASS_MAPPINGS
