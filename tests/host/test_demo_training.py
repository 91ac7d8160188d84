"""The trainer of the toy checkpoint: every stage runs, goes on where it was, and the pack loads the result."""

import subprocess
import sys

import pytest
import torch
from img2img_studio import host
from img2img_studio.dev.comfyui import ROOT, find
from safetensors import safe_open
from safetensors.torch import load_file

STEPS = {"autoencoder": 1, "sharper": 1, "decoder": 1, "eps": 2, "flow": 1}
FEW = ["--threads=1", "--scenes=20", "--encoded=20", *(f"--{stage}-steps={steps}" for stage, steps in STEPS.items())]


def train(folder, *more):
    command = [sys.executable, "-m", "dev.pack", "demo.train", f"--work={folder}", f"--out={folder}", *FEW, *more]
    environment = {"COMFYUI_PATH": str(find().path), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(folder)
    return folder


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_the_pack_loads_what_was_trained(trained, family):
    model, clip, vae = host.load_demo_checkpoint(trained, family)
    stored = torch.load(trained / f"{family}.pt", map_location="cpu")["average"]
    loaded = model.model.diffusion_model.state_dict()
    assert loaded.keys() == stored.keys()
    for name, weight in loaded.items():
        torch.testing.assert_close(weight, stored[name], rtol=1e-3, atol=1e-6)
    assert clip.encode_from_tokens(clip.tokenize("a red house")).isfinite().all()
    assert vae.decode(torch.zeros(1, 4, 16, 16)).isfinite().all()


@pytest.mark.parametrize("name", ["vae", "text", "eps", "flow"])
def test_the_metadata_says_what_how_and_under_which_license(trained, name):
    with safe_open(trained / f"{name}.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["license"] == "GPL-3.0-or-later"
    assert "demo world" in metadata["what"]
    assert metadata["training"]


def test_a_second_run_goes_on_where_the_first_was(trained):
    before = torch.load(trained / "eps.pt", map_location="cpu")
    train(trained, "--stage=eps", "--eps-steps=3")
    after = torch.load(trained / "eps.pt", map_location="cpu")
    assert (before["step"], after["step"]) == (2, 3)
    assert after["spent"] > before["spent"]


def test_training_the_shipped_weights_on_begins_where_they_are(tmp_path):
    train(tmp_path, "--from-shipped", "--stage=decoder")
    shipped = load_file(ROOT / "demo" / "vae.safetensors")
    sharper, settled = (
        torch.load(tmp_path / f"{stage}.pt", map_location="cpu")["average"] for stage in ("sharper", "decoder")
    )
    for name, weight in settled.items():
        torch.testing.assert_close(weight, shipped[name].float(), rtol=0, atol=4e-3)
    learned = {name.split(".")[0] for name in settled if not torch.equal(settled[name], sharper[name])}
    assert learned == {"taesd_decoder"}
