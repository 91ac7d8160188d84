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


@pytest.fixture
def interrupted_at():
    """Makes a clone of a model that is canceled while it answers its nth call; gives it with the list of its calls."""

    def make(model, call):
        calls = []

        def watch(apply, arguments):
            calls.append(float(arguments["timestep"][0]))
            if len(calls) == call:
                importlib.import_module("comfy.model_management").interrupt_current_processing(True)
            return apply(arguments["input"], arguments["timestep"], **arguments["c"])

        watched = model.clone()
        watched.set_model_unet_function_wrapper(watch)
        return watched, calls

    return make
