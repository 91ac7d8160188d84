"""Thinking at a mask: any family and sampler, nothing outside changes, each picture the same alone."""

import json

import comfy.model_management
import pytest
import torch
from img2img_studio.dev.models import FAMILIES, random_conditioning, random_model

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)
STEPS, SEED = 3, 7


def latent_of(model, batch=1):
    form = model.get_model_object("latent_format")
    shape = [batch, form.latent_channels, *([1] if form.latent_dimensions == 3 else []), 8, 12]
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(5)) / form.scale_factor}


def half():
    mask = torch.zeros(1, 64, 96)
    mask[:, :, :48] = 1
    return mask


@pytest.fixture
def paint(nodes):
    def run(model, latent, mask=None, sampler="euler", think=0):
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", STEPS, 0.8).args[0]
        out, report = (
            nodes["Img2ImgGuidedSampler"]
            .execute(model, POSITIVE, NEGATIVE, latent, sigmas, 2.0, sampler, SEED, mask, think=think)
            .args
        )
        return out["samples"], json.loads(report)

    return run


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_thinks(paint, family):
    model = random_model(family)
    latent = latent_of(model)
    before = latent["samples"].clone()
    (plain, _), (thought, report) = (paint(model, latent, half(), think=rounds) for rounds in (0, 2))
    assert torch.isfinite(thought).all()
    assert report["think"] == 2
    assert report["model_calls"] == STEPS + 2 * (STEPS - 1)  # the last step ends in the picture itself
    assert torch.equal(thought[..., 6:], before[..., 6:])
    assert not torch.equal(thought[..., :6], plain[..., :6])
    assert torch.equal(latent["samples"], before)


def test_without_a_mask_there_is_nothing_to_think_about(paint):
    model = random_model("eps")
    latent = latent_of(model)
    for mask in (None, torch.ones(1, 64, 96)):
        made, report = paint(model, latent, mask, think=2)
        assert torch.equal(made, paint(model, latent)[0])
        assert report["model_calls"] == STEPS


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpmpp_2m_sde"])
def test_one_picture_of_a_batch_is_the_picture_alone(paint, sampler):
    model = random_model("flow")
    latent = latent_of(model, batch=3)
    together = paint(model, latent, half(), sampler, think=1)[0]
    one = {"samples": latent["samples"][2:], "batch_index": [2]}
    assert torch.allclose(together[2:], paint(model, one, half(), sampler, think=1)[0], atol=1e-5)


def test_a_noised_latent_is_left_as_it_is(nodes):
    """It may be sampled again: the rounds work on a copy of the state."""
    model = random_model("eps")
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 4, 0.8).args[0]
    noised = nodes["SDEditNoise"].execute(model, latent_of(model), sigmas, SEED, half()).args[0]
    part = sigmas[:3]
    values = (POSITIVE, NEGATIVE)

    def twice():
        first = nodes["Img2ImgGuidedSampler"].execute(model, *values, noised, part, 2.0, "euler", SEED, think=1).args[0]
        rest = (model, *values, first, sigmas[2:], 2.0, "euler", SEED)
        return [nodes["Img2ImgGuidedSampler"].execute(*rest, think=1).args[0]["samples"] for _ in range(2)]

    (a, b), (c, d) = twice(), twice()
    assert torch.equal(a, b)
    assert torch.equal(a, c)
    assert torch.equal(c, d)


def test_a_sampler_that_keeps_its_state_to_itself_is_refused(paint):
    model = random_model("eps")
    with pytest.raises(ValueError, match="think is 1, but uni_pc keeps its state to itself"):
        paint(model, latent_of(model), half(), "uni_pc", think=1)


def test_cancelling_stops_within_one_round(paint, interrupted_at):
    model, calls = interrupted_at(random_model("eps"), 2)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        paint(model, latent_of(model), half(), think=5)
    assert len(calls) == 2
