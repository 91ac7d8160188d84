"""Inpaint checkpoints see the mask and the picture around it, through the stock conditioning node, at every call."""

import comfy.latent_formats
import comfy.utils
import pytest
import torch
from img2img_studio.dev.models import random_conditioning, random_model, random_vae

import nodes as stock

SEED, CFG, STEPS = 3, 4.0, 3


@pytest.fixture
def inpaint():
    """An inpaint model, the list of what its calls saw beside the noise, and what they ought to see."""
    model, seen = random_model("inpaint"), []

    def watch(apply, call):
        seen.append(call["c"]["c_concat"])
        return apply(call["input"], call["timestep"], **call["c"])

    model.set_model_unet_function_wrapper(watch)
    image = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 64, 96)
    mask[:, 16:48, 24:72] = 1
    prompts = random_conditioning(1), random_conditioning(2)
    positive, negative, latent = stock.InpaintModelConditioning().encode(*prompts, image, random_vae(), mask)
    picture = comfy.latent_formats.SD15().process_in(positive[0][1]["concat_latent_image"])
    cells = comfy.utils.common_upscale(mask[:, None], 12, 8, "bilinear", "center").round()
    return model, positive, negative, latent, seen, torch.cat([cells, picture], 1)


def run_chain(nodes, model, positive, negative, latent):
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", STEPS, 0.8).args[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args[0]
    return nodes["Img2ImgGuidedSampler"].execute(model, positive, negative, noised, sigmas, CFG, "euler", SEED).args[0]


def run_refine(nodes, model, positive, negative, latent):
    values = (model, positive, negative, latent, "0.8, 0.4", STEPS, CFG, "euler", "normal", SEED, "increment")
    return nodes["ProgressiveRefine"].execute(*values).args[0]


def run_variations(nodes, model, positive, negative, latent):
    values = (model, positive, negative, latent, 2, 0.8, STEPS, CFG, "euler", "normal", SEED, 1.0)
    return nodes["VariationBatch"].execute(*values).args[0]


@pytest.mark.parametrize("run", [run_chain, run_refine, run_variations])
def test_mask_and_picture_reach_every_call(nodes, inpaint, run):
    model, positive, negative, latent, seen, expected = inpaint
    out = run(nodes, model, positive, negative, latent)["samples"]
    assert len(seen) >= STEPS
    assert all(torch.equal(one, expected.expand_as(one)) for one in seen)
    outside = expected[:, :1].expand_as(latent["samples"]) == 0
    for picture in out:
        assert torch.equal(picture[outside[0]], latent["samples"][outside])
        assert not torch.equal(picture[~outside[0]], latent["samples"][~outside])


def test_the_chain_is_ksampler(nodes, inpaint):
    model, positive, negative, latent, _, expected = inpaint
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", STEPS, 0.8, measure="steps").args[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args[0]
    ours = nodes["Img2ImgGuidedSampler"].execute(model, positive, negative, noised, sigmas, CFG, "euler", SEED).args[0]
    theirs = stock.common_ksampler(model, SEED, STEPS, CFG, "euler", "normal", positive, negative, latent, 0.8)[0]
    inside = (expected[:, :1] == 1).expand_as(ours["samples"])
    assert torch.equal(ours["samples"][inside], theirs["samples"][inside])
