"""ProgressiveRefine is a row of chains; VariationBatch is many chains side by side."""

import json
from pathlib import Path

import comfy.samplers
import folder_paths
import numpy as np
import pytest
import torch
from img2img_studio.core.sheet import to_pillow
from img2img_studio.dev.models import random_conditioning, random_model, random_vae
from PIL import Image

import nodes as stock

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)
CFG = 4.0


@pytest.fixture(scope="module")
def models():
    return {name: random_model(name) for name in ("eps", "flow", "video flow")}


def picture(model, batch=1):
    form = model.get_model_object("latent_format")
    shape = [batch, form.latent_channels, *([2] if form.latent_dimensions == 3 else []), 16, 12]
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(5)) / form.scale_factor}


def half_mask():
    mask = torch.zeros(1, 16, 12)
    mask[:, :, :5] = 1
    return mask


@pytest.fixture
def chain(nodes):
    def run(model, latent, strength, seed, sampler="euler", mask=None, steps=3):
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", steps, strength).args[0]
        noised = nodes["SDEditNoise"].execute(model, latent, sigmas, seed, mask).args[0]
        return (
            nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, noised, sigmas, CFG, sampler, seed).args[0]
        )

    return run


@pytest.fixture
def refine(nodes):
    def run(model, latent, strengths, sampler="euler", seed_mode="increment", mask=None):
        return (
            nodes["ProgressiveRefine"]
            .execute(model, POSITIVE, NEGATIVE, latent, strengths, 3, CFG, sampler, "normal", 11, seed_mode, mask=mask)
            .args
        )

    return run


@pytest.fixture
def vary(nodes):
    def run(model, latent, count=3, variation=1.0, sampler="euler", strength=0.6, **options):
        return (
            nodes["VariationBatch"]
            .execute(
                model, POSITIVE, NEGATIVE, latent, count, strength, 3, CFG, sampler, "normal", 21, variation, **options
            )
            .args[:3]
        )

    return run


@pytest.mark.parametrize("family", ["eps", "flow", "video flow"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m_sde"])
def test_passes_are_chains_in_a_row(models, chain, refine, family, masked, sampler):
    model = models[family]
    mask = half_mask() if masked else None
    latent = picture(model)
    final, every, report = refine(model, latent, "0.6, 0.4, 0.2", sampler, mask=mask)
    for place, (strength, seed) in enumerate(((0.6, 11), (0.4, 12), (0.2, 13))):
        latent = chain(model, {"samples": latent["samples"]}, strength, seed, sampler, mask)
        assert torch.equal(every["samples"][place : place + 1], latent["samples"])
    assert torch.equal(final["samples"], latent["samples"])
    facts = json.loads(report)
    assert [one["seed"] for one in facts["passes"]] == [11, 12, 13]
    assert facts["model_calls"] == 9


def test_same_seeds_and_strength_zero(models, refine):
    model = models["eps"]
    latent = picture(model)
    facts = json.loads(refine(model, latent, "0.5, 0.5", seed_mode="same")[2])
    assert [one["seed"] for one in facts["passes"]] == [11, 11]
    assert torch.equal(refine(model, latent, "0, 0")[0]["samples"], latent["samples"])


def test_a_hard_mask_keeps_its_bits_through_all(models, refine, vary):
    model = models["eps"]
    latent = picture(model)
    for samples in (
        refine(model, latent, "0.7, 0.5, 0.3", mask=half_mask())[0]["samples"],
        vary(model, latent, mask=half_mask())[0]["samples"],
    ):
        assert torch.equal(samples[..., 5:], latent["samples"][..., 5:].expand_as(samples[..., 5:]))
        assert not torch.equal(samples[..., :5], latent["samples"][..., :5].expand_as(samples[..., :5]))


@pytest.mark.parametrize("family", ["eps", "flow", "video flow"])
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde"])
def test_a_variation_is_the_chain_at_its_seed(models, chain, vary, family, sampler):
    model = models[family]
    latent = picture(model)
    samples, seeds, _ = vary(model, latent, batch_limit=1, sampler=sampler)
    assert seeds == "21, 22, 23"
    for place, seed in enumerate((21, 22, 23)):
        assert torch.equal(samples["samples"][place : place + 1], chain(model, latent, 0.6, seed, sampler)["samples"])


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_sde", "ddim"])
@pytest.mark.parametrize("variation", [1.0, 0.3])
@pytest.mark.parametrize("masked", [False, True])
def test_splitting_does_not_change_the_pictures(models, vary, sampler, variation, masked):
    model = models["eps"]
    mask = half_mask() if masked else None
    latent = picture(model)

    def make(**options):
        return vary(model, latent, variation=variation, sampler=sampler, mask=mask, **options)[0]["samples"]

    one_by_one = make(count=8, batch_limit=1)
    for other in (make(count=8), make(count=8, batch_limit=3)):
        assert torch.allclose(other, one_by_one, rtol=1e-4, atol=1e-3)
    parts = [make(count=count, first_item=first, batch_limit=1) for first, count in ((0, 3), (3, 3), (6, 2))]
    assert torch.equal(torch.cat(parts), one_by_one)


def test_batches_of_the_toy_agree_at_the_default_settings(nodes):
    model, clip, vae, image = nodes["Img2ImgDemoCheckpoint"].execute("eps").args
    prompt = stock.CLIPTextEncode().encode(clip, "a red house, winter")[0]
    latent = {"samples": vae.encode(image)}

    def make(limit):
        return nodes["VariationBatch"].execute(
            model, prompt, prompt, latent, 3, 0.5, 20, 3.0, "euler", "normal", 3, 1.0, batch_limit=limit
        ).args[0]["samples"]  # fmt: skip

    assert torch.allclose(make(3), make(1), rtol=0, atol=1e-4)


def test_every_picture_of_the_input_meets_every_seed(models, vary, chain):
    model = models["eps"]
    latents = picture(model, 2)
    samples, seeds, _ = vary(model, latents, seeds="4, 9", batch_limit=1)
    assert seeds == "4, 9, 4, 9"
    assert samples["samples"].shape[0] == 4
    alone = {"samples": latents["samples"][1:], "batch_index": [1]}
    assert torch.equal(samples["samples"][3:], chain(model, alone, 0.6, 9)["samples"])


def test_each_variation_may_have_its_own_strength(models, vary, chain):
    model = models["eps"]
    latent = picture(model)
    samples = vary(model, latent, strengths="0.3, 0.6, 0")[0]["samples"]
    assert torch.allclose(samples[:1], chain(model, latent, 0.3, 21)["samples"], atol=1e-3)
    assert torch.equal(samples[2:], latent["samples"])


def test_small_variations_are_close_relatives(models, vary):
    model = models["eps"]
    latent = picture(model)

    def spread(variation):
        samples = vary(model, latent, variation=variation)[0]["samples"]
        return float((samples[1:] - samples[:1]).square().mean())

    assert spread(0.0) < 1e-6 < spread(0.1) < spread(0.5) < spread(1.0)
    same = vary(model, latent, variation=0.0, batch_limit=1)[0]["samples"]
    assert torch.equal(same, same[:1].expand_as(same))


def shown_after(nodes, models, **options):
    """The temporary pictures on the sheet, and the whole of it."""
    model = models[options.pop("family", "eps")]
    out = nodes["VariationBatch"].execute(
        model, POSITIVE, NEGATIVE, picture(model), 3, 0.6, 2, CFG, "euler", "normal", 2**63 + 1, 1.0, **options
    )
    (sheet,) = out.ui["img2img_variations"]
    names = [one["image"] for one in sheet["items"] if one["image"]]
    files = [Path(folder_paths.get_temp_directory()) / name for name in names]
    return [Image.open(file) for file in files], json.loads(json.dumps(sheet)), out.args[0]["samples"]


@pytest.mark.parametrize("family", ["eps", "flow", "video flow"])
def test_the_sheet_shows_every_variation_with_its_seed(nodes, models, family):
    pictures, sheet, _ = shown_after(nodes, models, family=family, batch_limit=2)
    assert (sheet["total"], sheet["first"]) == (3, 0)
    assert [one["seed"] for one in sheet["items"]] == [str(2**63 + place) for place in (1, 2, 3)]
    assert [one["strength"] for one in sheet["items"]] == [0.6] * 3
    assert [one.size for one in pictures] == [(12, 16)] * 3


def test_a_vae_shows_the_variations_as_they_are(nodes, models):
    vae = random_vae()
    pictures, _, samples = shown_after(nodes, models, vae=vae)
    decoded = [np.asarray(to_pillow(one), float) for one in vae.decode(samples)]
    for place, shown in enumerate(pictures):
        # A JPEG leaves something out, most of such noisy pictures, but far less than lies between two of them.
        own, *others = (
            np.abs(np.asarray(shown, float) - one).mean()
            for one in (decoded[place], *decoded[:place], *decoded[place + 1 :])
        )
        assert own < 0.5 * min(others)


def test_finished_variations_appear_while_others_are_made(nodes, models, monkeypatch):
    from img2img_studio import host

    told = []
    monkeypatch.setattr(host, "tell_browser", lambda event, **facts: told.append((event, facts)))
    monkeypatch.setattr(host, "sample", lambda *a, run=host.sample: told.append("sampled") or run(*a))
    _, sheet, _ = shown_after(nodes, models, batch_limit=2)
    assert [entry if entry == "sampled" else len(entry[1]["items"]) for entry in told] == [
        0,
        "sampled",
        2,
        "sampled",
        1,
    ]
    assert {entry[0] for entry in told if entry != "sampled"} == {"img2img.variations"}
    (_, last) = told[-1]
    assert (last["total"], last["first"]) == (3, 2)
    assert last["items"] == sheet["items"][2:]


def test_the_batch_follows_the_free_memory(models, monkeypatch):
    from img2img_studio import host

    model = models["eps"]
    opened = host.open_latent(model, picture(model))
    sampler = host.Sampler.chosen("euler")
    need = model.model.memory_required([2 * 3, 4, 16, 12]) * 1.5 + model.model_size()
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: need + 1)
    monkeypatch.setattr(model, "loaded_size", lambda: 0)
    guidance = host.Guidance(model, [], [], 1.0)
    assert host.batch_size(guidance, sampler, opened, 8) == 3
    assert host.batch_size(guidance, sampler, opened, 4) == 2, "two and two, as soon as three and one"
    assert host.batch_size(guidance, sampler, opened, 8, limit=5) == 5
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: 0)
    assert host.batch_size(guidance, sampler, opened, 8) == 1


def test_on_a_cpu_large_pictures_are_painted_one_by_one(models, monkeypatch):
    from img2img_studio import host

    model = models["eps"]
    guidance, sampler = host.Guidance(model, [], [], 1.0), host.Sampler.chosen("euler")
    opened = host.open_latent(model, {"samples": torch.zeros(1, 4, 64, 64)})
    assert host.batch_size(guidance, sampler, opened, 3) == 1
    assert host.batch_size(guidance, sampler, opened, 3, limit=2) == 2
    monkeypatch.setattr(model, "load_device", torch.device("cuda"))
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: 1e15)
    assert host.batch_size(guidance, sampler, opened, 3) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": "1, x"}, "seeds: 'x' at character 4"),
        ({"strengths": "2"}, "strengths: '2' at character 1"),
        ({"seeds": "1, 2", "first_item": 2}, "first_item is 2, but the list holds items 0 to 1"),
    ],
)
def test_wrong_lists_are_refused(models, vary, options, message):
    with pytest.raises(ValueError, match=message):
        vary(models["eps"], picture(models["eps"]), **options)
