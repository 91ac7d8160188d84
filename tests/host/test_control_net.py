"""A ControlNet beside the pack's nodes: its residuals reach every call of the model."""

import comfy.controlnet
import pytest
import torch
from img2img_studio.dev.models import random_conditioning, random_control_net, random_model, random_vae

import nodes as stock

STEPS, SEED, CFG = 4, 7, 5.0


@pytest.fixture(scope="module")
def control_net():
    """A tiny one of ComfyUI's own class with random weights, as ControlNetLoader hands it over."""
    return comfy.controlnet.ControlNet(random_control_net(), load_device=torch.device("cpu"))


@pytest.fixture
def watched():
    """A model, and the list of its calls: for each, whether residuals came with it."""
    calls = []
    model = random_model("eps")

    def watch(apply_model, call):
        control = call["c"].get("control") or {}
        residuals = [part for parts in control.values() for part in parts if part is not None]
        calls.append(bool(residuals) and all(bool(part.abs().max() > 0) for part in residuals))
        return apply_model(call["input"], call["timestep"], **call["c"])

    model.set_model_unet_function_wrapper(watch)
    return model, calls


def held(control_net):
    """Positive and negative conditioning under the ControlNet, from the stock node."""
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(3))
    conditioning = random_conditioning(1), random_conditioning(2)
    return stock.ControlNetApplyAdvanced().apply_controlnet(*conditioning, control_net, hint, 1.0, 0.0, 1.0)


def run_chain(nodes, model, positive, negative, latent):
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", STEPS, 0.6).args[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args[0]
    return nodes["Img2ImgGuidedSampler"].execute(model, positive, negative, noised, sigmas, CFG, "euler", SEED).args[0]


def run_all_in_one(nodes, model, positive, negative, latent):
    vae = random_vae()
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(4))
    values = (image, model, vae, positive, negative, 0.6, STEPS, CFG, "euler", "normal", SEED)
    return nodes["Img2ImgAllInOne"].execute(*values).args[1]


def run_refine(nodes, model, positive, negative, latent):
    values = (model, positive, negative, latent, "0.6, 0.3", STEPS, CFG, "euler", "normal", SEED, "increment")
    return nodes["ProgressiveRefine"].execute(*values).args[0]


def run_variations(nodes, model, positive, negative, latent):
    values = (model, positive, negative, latent, 2, 0.6, STEPS, CFG, "euler", "normal", SEED, 1.0)
    return nodes["VariationBatch"].execute(*values).args[0]


@pytest.mark.parametrize("run", [run_chain, run_all_in_one, run_refine, run_variations])
def test_its_residuals_reach_every_model_call(nodes, control_net, watched, run):
    model, calls = watched
    latent = {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))}
    with_it = run(nodes, model, *held(control_net), latent)["samples"]
    assert len(calls) >= STEPS
    assert all(calls)

    calls.clear()
    without = run(nodes, model, random_conditioning(1), random_conditioning(2), latent)["samples"]
    assert not any(calls)
    assert not with_it.equal(without)
