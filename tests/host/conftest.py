"""Bring a real ComfyUI into this process, on the CPU, and load the pack in it the way ComfyUI does."""

import importlib
import os
import tempfile

import pytest
import torch
from img2img_studio.dev import pack

NODES = pack.load()

# ComfyUI 0.33's nodes_latent and this one import each other, which only works in this order.
importlib.import_module("comfy_extras.nodes_post_processing")
folder_paths = importlib.import_module("folder_paths")
scratch = tempfile.TemporaryDirectory(prefix="img2img-host-tier-")
for kind in ("input", "output", "temp", "user"):
    folder = os.path.join(scratch.name, kind)
    os.makedirs(folder)
    getattr(folder_paths, f"set_{kind}_directory")(folder)

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
# PyTorch asks once, at the first gradient, which devices there are; so the stand-in is there before any test.
importlib.import_module("img2img_studio.dev.accelerator").register()


@pytest.fixture(autouse=True)
def inference_mode():
    """ComfyUI runs every node in inference mode; so does this tier."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def nodes():
    """The pack's node classes by id."""
    return NODES
