"""What nodes send to their bodies: words, small pictures, and a variation that was chosen."""

import random
from pathlib import Path

import comfy.model_management
import folder_paths
import numpy as np
import pytest
import torch
from img2img_studio import host
from img2img_studio.core.sheet import to_pillow
from img2img_studio.dev.every_node import small_world
from img2img_studio.dev.models import random_conditioning, random_model
from PIL import Image

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)


@pytest.fixture(scope="module")
def model():
    return random_model("eps")


@pytest.fixture
def latent():
    return {"samples": torch.randn(1, 4, 16, 12, generator=torch.Generator().manual_seed(5)) / 0.18215}


@pytest.fixture(scope="module")
def toy(nodes):
    return nodes["Img2ImgDemoCheckpoint"].execute("eps").args


@pytest.fixture
def vary(nodes, model, latent):
    def run(**options):
        values = (model, POSITIVE, NEGATIVE, latent, 3, 0.6, 2, 4.0, "euler", "normal", 21, 1.0)
        return nodes["VariationBatch"].execute(*values, batch_limit=1, **options)

    return run


def opened(name):
    return Image.open(Path(folder_paths.get_temp_directory()) / name)


def test_a_small_picture_is_called_by_what_is_in_it():
    state = random.getstate()
    red, again, blue = (host.small_jpeg(Image.new("RGB", (40, 30), color)) for color in ("red", "red", "blue"))
    assert random.getstate() == state
    assert red == again != blue
    assert opened(red).size == (40, 30)
    assert opened(red).format == "JPEG"


def test_the_chosen_variation_goes_out_and_choosing_samples_nothing(vary, monkeypatch):
    batch, _, _, first, seed = vary().args
    assert torch.equal(first["samples"], batch["samples"][:1])
    assert seed == 21
    monkeypatch.setattr(host, "sample", lambda *a: 1 / 0)
    out = vary(chosen="23")
    again, _, _, one, seed = out.args
    assert torch.equal(again["samples"], batch["samples"])
    assert torch.equal(one["samples"], batch["samples"][2:])
    assert seed == 23
    (sheet,) = out.ui["img2img_variations"]
    assert sheet["words"][0].startswith("Nothing new to sample")
    assert [item["name"] for item in sheet["items"]] == ["21", "22", "23"]
    (sheet,) = vary(chosen="99").ui["img2img_variations"]
    assert "the chosen one is not among these, so 21 goes on" in sheet["words"][1]


def test_after_an_interruption_only_the_rest_is_painted(vary, monkeypatch):
    run, painted = host.sample, []

    def interrupted(*values):
        if len(painted) == 2:
            raise comfy.model_management.InterruptProcessingException
        painted.append(run(*values))
        return painted[-1]

    monkeypatch.setattr(host, "sample", interrupted)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        vary()
    monkeypatch.setattr(host, "sample", lambda *values: painted.append(run(*values)) or painted[-1])
    batch = vary().args[0]
    assert len(painted) == 3
    assert torch.equal(batch["samples"], torch.cat([one.samples for one in painted]))


def test_the_noised_picture_is_the_one_of_the_formula(nodes, toy):
    model, _, vae, image = toy
    clean = vae.encode(image)
    sigmas = torch.tensor([2.0, 0.0])
    out = nodes["SDEditNoise"].execute(model, {"samples": clean}, sigmas, 3, vae=vae)
    (shown,) = out.ui["img2img_before_after"]
    noise = host.draw_noise(clean, 3, None)
    kept = 1 / (1 + 2.0**2)  # alpha-bar
    into, out_of = model.model.latent_format.process_in, model.model.latent_format.process_out
    expected = vae.decode(out_of(kept**0.5 * into(clean) + (1 - kept) ** 0.5 * noise))[0]
    (pair,) = shown["pairs"]
    assert np.abs(np.asarray(opened(pair["after"]), float) - np.asarray(to_pillow(expected), float)).mean() < 4
    assert shown["words"][0].endswith("67% noise; seed 3")
    (rough,) = nodes["SDEditNoise"].execute(model, {"samples": clean}, sigmas, 3).ui["img2img_before_after"][0]["pairs"]
    assert opened(rough["after"]).size == (16, 16)
    (none,) = nodes["SDEditNoise"].execute(model, {"samples": clean}, torch.zeros(0), 3).ui["img2img_before_after"]
    assert none["pairs"] == []


def test_every_pass_can_be_looked_at(nodes, toy):
    model, clip, vae, image = toy
    latent = {"samples": vae.encode(image)}
    prompt = host.encode_text(clip, "a house")
    values = (model, prompt, prompt, latent, "0.6, 0.3", 2, 1.0, "euler", "normal", 3, "increment")
    out = nodes["ProgressiveRefine"].execute(*values, vae=vae)
    (shown,) = out.ui["img2img_before_after"]
    assert [pair["name"] for pair in shown["pairs"]] == ["pass 1: 0.6", "pass 2: 0.3"]
    assert shown["pairs"][0]["before"] == shown["pairs"][1]["before"]
    every = vae.decode(out.args[1]["samples"])
    for pair, picture in zip(shown["pairs"], every, strict=True):
        assert np.abs(np.asarray(opened(pair["after"]), float) - np.asarray(to_pillow(picture), float)).mean() < 4
    (rough,) = nodes["ProgressiveRefine"].execute(*values).ui["img2img_before_after"]
    assert len(rough["pairs"]) == 2


def said_of(out):
    """Every line in the body of a node."""
    sent = [one for of_key in out.ui.values() for one in of_key if isinstance(one, dict)]
    return [line for one in sent for line in one.get("words", [])]


def test_every_node_says_that_a_mask_is_of_another_picture_and_is_silent_of_one_that_fits(nodes):
    world = small_world(nodes)
    for node_id, node in nodes.items():
        kinds = {one.id: one.get_io_type() for one in node.GET_SCHEMA().inputs}
        if "mask" not in kinds or not {"IMAGE", "LATENT", "IMG2IMG_INVERSION"} & set(kinds.values()):
            continue  # a mask alone belongs to no picture
        others = {"original": ...} if node_id == "Img2ImgUnfitImage" else {}
        given = world.arguments(node_id, mask=..., **others)
        wide = torch.nn.functional.pad(given["mask"], (0, 200))
        for mask, said in ((wide, 1), (given["mask"], 0)):
            lines = said_of(node.execute(**given | {"mask": mask}))
            assert sum("Mask stretched from 264 x 64 to 64 x 64" in line for line in lines) == said, node_id


def test_a_mask_of_one_value_or_of_the_latents_size_fits():
    spot = torch.zeros(1, 8, 8)
    spot[:, 2:4, 2:4] = 1
    sizes = [(64, 64)]
    assert len(host.stretched_mask(spot[:, :4], sizes)) == 1
    for mask in (spot, torch.ones(1, 3, 7), torch.zeros(1, 64, 32)):
        assert host.stretched_mask(mask, sizes) == []
