"""What ComfyUI's own architectures carry and toys do not: conditioning that belongs to one picture, to the whole plane,
to a frame or to the seed; masks that the model reads itself; grids of their own."""

import json

import pytest
import torch
from comfy_extras.nodes_hunyuan import HunyuanRefinerLatent
from img2img_studio import host
from img2img_studio.core.mask import planes_of_mask
from img2img_studio.dev import shrunken
from img2img_studio.dev.families import ARCHITECTURES, Family, random_video_vae

import nodes as stock

SEED = 5


@pytest.fixture(scope="module")
def models():
    """MODELs by family, each built once."""
    built = {}

    def model(name):
        if name not in built:
            built[name] = ARCHITECTURES[name].model()
        return built[name]

    return model


def sigmas_of(nodes, model, strength=0.7, steps=2):
    return nodes["StrengthScheduler"].execute(model, "normal", steps, strength).args[0]


def ksampler(model, positive, negative, latent, denoise=1.0, steps=2, seed=SEED, cfg=3.0):
    return stock.common_ksampler(model, seed, steps, cfg, "euler", "normal", positive, negative, latent, denoise)[0]


def variations(nodes, model, positive, negative, latent, count, limit=0, **more):
    values = (model, positive, negative, latent, count, 0.7, 2, 3.0, "euler", "normal", SEED, 1.0)
    return nodes["VariationBatch"].execute(*values, batch_limit=limit, **more).args[0]["samples"]


def assert_same(one, other):
    """Up to the rounding of batches of different sizes."""
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def only(latent, row):
    return {"samples": latent["samples"][row : row + 1]}


def two_prompts(family, seed):
    """A CONDITIONING with a prompt, and a picture where the family has one, for each of two pictures."""
    (_, options), (first, _), (second, _) = (
        *family.prompt(seed, 2),
        *family.prompt(seed + 10),
        *family.prompt(seed + 20),
    )
    return [[torch.cat([first, second]), options]]


def of_picture(conditioning, row):
    def own(value):
        return value[row : row + 1] if isinstance(value, torch.Tensor) and len(value) == 2 else value

    return [
        [own(embedding), {name: own(value) for name, value in options.items()}] for embedding, options in conditioning
    ]


# Two stages


@pytest.mark.parametrize("noised", [True, False])
def test_a_stage_with_nothing_to_do_hands_the_latent_on(nodes, models, noised):
    family, high, low = ARCHITECTURES["Wan 2.1"], models("Wan 2.1"), ARCHITECTURES["Wan 2.1"].model(1)
    latent, prompts, sigmas = family.latent(), (family.prompt(1), family.prompt(2)), sigmas_of(nodes, high)
    start = nodes["SDEditNoise"].execute(high, latent, sigmas, SEED).args[0] if noised else latent
    sampler = nodes["Img2ImgGuidedSampler"]
    handed = sampler.execute(high, *prompts, start, sigmas[:1], 3.0, "euler", SEED).args[0]
    both = sampler.execute(low, *prompts, handed, sigmas, 3.0, "euler", SEED).args[0]
    alone = sampler.execute(low, *prompts, start, sigmas, 3.0, "euler", SEED).args[0]
    assert torch.equal(both["samples"], alone["samples"])


SPLIT = 0.875
"""Wan 2.2's for text to video."""


@pytest.fixture(scope="module")
def pair(models):
    """Family, high-noise and low-noise half of Wan 2.2 14B, shifted as it is used."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    family = ARCHITECTURES["Wan 2.2 14B I2V"]
    halves = models("Wan 2.2 14B I2V"), family.model(1)
    return family, *(ModelSamplingSD3().patch(half, 8.0)[0] for half in halves)


@pytest.mark.parametrize(("strength", "high_steps"), [(1.0, 4), (0.6, 2), (0.3, 0)])
def test_sigmas_split_where_the_halves_of_a_model_meet(nodes, pair, strength, high_steps):
    """Steps that start at the level or above it are the high-noise half's, as in Wan's own code, at any strength."""
    from comfy_extras.nodes_custom_sampler import SplitSigmas

    _, high, _ = pair
    sigmas = nodes["StrengthScheduler"].execute(high, "simple", 6, strength).args[0]
    parts = nodes["Img2ImgSplitSigmas"].execute(high, sigmas, SPLIT).args
    assert int((sigmas[:-1] >= SPLIT).sum()) == high_steps
    for ours, theirs in zip(parts, SplitSigmas.execute(sigmas, high_steps).args, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.3])
def test_two_halves_in_one_node_are_the_pair_made_by_hand(nodes, pair, strength):
    """Bit for bit the pair of Guided Samplers; ComfyUI's own pair rounds the latent between its two samplers."""
    family, high, low = pair
    latent, prompts = family.latent(), (family.prompt(1), family.prompt(2))
    sigmas = nodes["StrengthScheduler"].execute(high, "simple", 6, strength).args[0]
    high_sigmas, low_sigmas = nodes["Img2ImgSplitSigmas"].execute(high, sigmas, SPLIT).args
    sampler, how = nodes["Img2ImgGuidedSampler"], (3.0, "dpmpp_2m", SEED)
    one, report = sampler.execute(high, *prompts, latent, sigmas, *how, low_model=low, split_at=SPLIT).args
    noised = nodes["SDEditNoise"].execute(high, latent, sigmas, SEED).args[0]
    half = sampler.execute(high, *prompts, noised, high_sigmas, *how).args[0]
    both = sampler.execute(low, *prompts, half, low_sigmas, *how).args[0]
    assert torch.equal(one["samples"], both["samples"])
    assert json.loads(report)["low_model_steps"] == max(0, len(low_sigmas) - 1)

    stock_pair = latent["samples"]
    for model, part, noise in ((high, high_sigmas, True), (low, low_sigmas, len(high_sigmas) < 2)):
        values = (model, noise, SEED, 3.0, *prompts, custom_sampler("dpmpp_2m"), part, {"samples": stock_pair})
        stock_pair = sampler_custom(*values) if len(part) > 1 else stock_pair
    assert_same(one["samples"], stock_pair)


def custom_sampler(name):
    import comfy.samplers

    return comfy.samplers.sampler_object(name)


def sampler_custom(*values):
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    return SamplerCustom.execute(*values).args[0]["samples"]


def test_every_node_with_a_low_model_paints_as_guided_sampler_does(nodes, pair):
    family, high, low = pair
    latent, prompts, halves = family.latent(), (family.prompt(1), family.prompt(2)), {"low_model": low, "split_at": 0.9}
    sigmas = sigmas_of(nodes, high, 0.9, 3)
    values, how = (high, *prompts, latent), (3.0, "euler", "normal", SEED)
    one = nodes["Img2ImgGuidedSampler"].execute(*values, sigmas, 3.0, "euler", SEED, **halves).args[0]["samples"]
    alone = nodes["Img2ImgGuidedSampler"].execute(*values, sigmas, 3.0, "euler", SEED).args[0]["samples"]
    assert not torch.equal(one, alone)
    refined, _, report = nodes["ProgressiveRefine"].execute(*values, "0.9", 3, *how, "same", **halves).args
    assert torch.equal(refined["samples"], one)
    varied = nodes["VariationBatch"].execute(*values, 1, 0.9, 3, *how, 1.0, **halves).args[0]["samples"]
    assert torch.equal(varied, one)
    axes = ("strength", "0.9", "seed", str(SEED))
    cells = nodes["Img2ImgStrengthGrid"].execute(*values, family.vae(), *axes, 0.5, 3, *how, **halves).args[1]
    assert torch.equal(cells["samples"], one)
    without = nodes["ProgressiveRefine"].execute(*values, "0.9", 3, *how, "same", recipe=report).args[2]
    assert "low_model" not in json.loads(without)["facts"]
    assert not json.loads(without)["recipe_check"]["identical"]


def test_a_prompt_schedule_counts_over_both_halves(nodes, pair):
    """With one model twice, two halves are the whole run, whatever happens within it."""
    family, high, _ = pair
    latent, sigmas = family.latent(), sigmas_of(nodes, high, 0.9, 4)
    prompt = nodes["Img2ImgPromptSchedule"].execute(family.prompt(1), family.prompt(2), 0.5, 0.25).args[0]
    values = (high, prompt, prompt, latent, sigmas, 1.0, "euler", SEED)
    whole = nodes["Img2ImgGuidedSampler"].execute(*values).args[0]["samples"]
    halves = nodes["Img2ImgGuidedSampler"].execute(*values, low_model=high, split_at=0.9).args[0]["samples"]
    assert torch.equal(whole, halves)


def test_a_model_of_another_family_cannot_take_over(nodes, models):
    family, model = ARCHITECTURES["SD3"], models("SD3")
    values = (model, family.prompt(1), family.prompt(2), family.latent(), sigmas_of(nodes, model), 3.0, "euler", SEED)
    with pytest.raises(ValueError, match=r"low_model: it works on other latents \(flow, Flux\) than model"):
        nodes["Img2ImgGuidedSampler"].execute(*values, low_model=models("Flux dev"))


@pytest.mark.parametrize(("first", "second"), [("SD3", "Flux dev"), ("SDXL", "AuraFlow"), ("Wan 2.1", "HunyuanVideo")])
def test_a_half_finished_latent_of_another_family_is_refused(nodes, models, first, second):
    family, model, other = ARCHITECTURES[first], models(first), models(second)
    sigmas = sigmas_of(nodes, model)
    noised = nodes["SDEditNoise"].execute(model, family.latent(), sigmas, SEED).args[0]
    left = (
        nodes["Img2ImgGuidedSampler"]
        .execute(model, family.prompt(1), family.prompt(2), noised, sigmas[:2], 1.0, "euler", SEED)
        .args[0]
    )
    prompts = (ARCHITECTURES[second].prompt(1), ARCHITECTURES[second].prompt(2))
    for latent, part in ((noised, sigmas), (left, sigmas[1:])):
        with pytest.raises(ValueError, match="latent: it was noised for a model of another family"):
            nodes["Img2ImgGuidedSampler"].execute(other, *prompts, latent, part, 1.0, "euler", SEED)


# Frames


def test_noise_of_frames(nodes, models):
    family, model = ARCHITECTURES["Wan 2.1"], models("Wan 2.1")
    latent, sigmas = family.latent(2), sigmas_of(nodes, model)

    def drawn(latent, kind):
        return nodes["SDEditNoise"].execute(model, latent, sigmas, SEED, frame_noise=kind).args[1].noise

    clip, frames, constant = (drawn(latent, kind) for kind in ("clip", "per frame", "constant"))
    assert torch.equal(clip, host.draw_noise(latent["samples"], SEED))
    assert torch.equal(constant, clip[:, :, :1].expand_as(clip))
    for kind, noise in (("per frame", frames), ("constant", constant)):
        assert torch.equal(drawn(only(latent, 1) | {"batch_index": [1]}, kind), noise[1:])
    shorter = {"samples": latent["samples"][:, :, :2]}
    assert torch.equal(drawn(shorter, "per frame"), frames[:, :, :2])
    every = frames.transpose(1, 2).flatten(2).flatten(0, 1)
    assert torch.allclose(every.std(dim=1), torch.ones(6), atol=0.1)
    assert len({float(one[0]) for one in every}) == 6


def test_noise_of_frames_where_a_batch_is_a_clip(nodes, models):
    family, model = ARCHITECTURES["SVD"], models("SVD")
    noised = nodes["SDEditNoise"].execute(
        model, family.latent(3), sigmas_of(nodes, model), SEED, frame_noise="constant"
    )
    noise = noised.args[1].noise
    assert torch.equal(noise, noise[:1].expand_as(noise))


@pytest.mark.parametrize("name", ["Wan 2.1", "HunyuanVideo", "LTXV"])
def test_stills_on_a_model_of_clips_are_the_same_alone(nodes, models, name):
    family, model, vae = ARCHITECTURES[name], models(name), ARCHITECTURES[name].vae()
    images = torch.rand(2, 48, 64, 3, generator=torch.Generator().manual_seed(1))
    prompts = (family.prompt(1), family.prompt(2))
    how = (0.6, 2, 1.0, "euler", "normal", SEED)
    both, latent, _ = nodes["Img2ImgAllInOne"].execute(images, model, vae, *prompts, *how, batch="pictures").args
    assert both.shape == images.shape
    assert latent["samples"].shape[:3] == (2, family.shape[0], 1)
    assert_same(both[:1], nodes["Img2ImgAllInOne"].execute(images[:1], model, vae, *prompts, *how).args[0])
    second = {"samples": vae.encode(images[1:]), "batch_index": [1]}
    alone = (
        nodes["Img2ImgGuidedSampler"]
        .execute(model, *prompts, second, sigmas_of(nodes, model, 0.6), 1.0, "euler", SEED)
        .args[0]
    )
    assert_same(latent["samples"][1:], alone["samples"])


# Masks


@pytest.mark.parametrize("name", ["LTXV", "Wan 2.2 5B", "Cosmos Predict2"])
def test_models_that_read_masks_are_told_what_is_there(nodes, models, name):
    """As LTXVImgToVideo leaves it: the first frame is held at 0.3 of the noise level."""
    family, model = ARCHITECTURES[name], models(name)
    mask = torch.ones(1, 1, family.shape[1], 1, 1)
    mask[:, :, 0] = 0.3
    latent, prompts = family.latent() | {"noise_mask": mask}, (family.prompt(1), family.prompt(2))
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 2, 1.0, measure="steps").args[0]
    ours = nodes["Img2ImgGuidedSampler"].execute(model, *prompts, latent, sigmas, 3.0, "euler", SEED).args[0]
    assert torch.equal(ours["samples"], ksampler(model, *prompts, latent)["samples"])


def hard_mask(pictures=1, side=None):
    mask = torch.zeros(pictures, 48, 64)
    for index, one in enumerate(mask):
        one[:, 32:] = index == 0
        one[:, :32] = index != 0
    return mask


def test_a_mask_on_hunyuan_video_1_5_is_no_mask_of_given_frames(nodes, models):
    """ComfyUI takes it for one where the prompt has none, and fails: here it is as if the prompt said so."""
    family, model = ARCHITECTURES["HunyuanVideo 1.5"], models("HunyuanVideo 1.5")
    latent, said = family.latent(), (family.prompt(1), family.prompt(2))
    unsaid = [[[embedding, {"pooled_output": None}]] for ((embedding, _),) in said]
    mask = torch.zeros(1, 6, 8)
    mask[..., 4:] = 1
    how = (latent, sigmas_of(nodes, model), 3.0, "euler", SEED, mask)
    one, other = (nodes["Img2ImgGuidedSampler"].execute(model, *each, *how).args[0] for each in (said, unsaid))
    assert torch.equal(one["samples"], other["samples"])


def test_two_pictures_of_a_model_with_frames_keep_a_mask_each(nodes, models):
    family, model = ARCHITECTURES["Qwen-Image"], models("Qwen-Image")
    latent, prompts = family.latent(2), (family.prompt(1), family.prompt(2))
    sigmas, mask = sigmas_of(nodes, model), hard_mask(2)
    out = nodes["Img2ImgGuidedSampler"].execute(model, *prompts, latent, sigmas, 3.0, "euler", SEED, mask=mask).args[0]
    changed = out["samples"] != latent["samples"]
    assert changed[0, ..., 4:].all()
    assert not changed[0, ..., :4].any()
    assert changed[1, ..., :4].all()
    assert not changed[1, ..., 4:].any()


def test_masks_of_frames_meet_latent_frames(nodes, models):
    family, model = ARCHITECTURES["Wan 2.1"], models("Wan 2.1")
    latent, prompts = family.latent(), (family.prompt(1), family.prompt(2))
    mask = torch.ones(9, 48, 64)
    mask[0] = 0
    sampler, sigmas = nodes["Img2ImgGuidedSampler"], sigmas_of(nodes, model)
    out = sampler.execute(model, *prompts, latent, sigmas, 3.0, "euler", SEED, mask=mask).args[0]["samples"]
    assert torch.equal(out[:, :, 0], latent["samples"][:, :, 0])
    assert (out[:, :, 1:] != latent["samples"][:, :, 1:]).all()


@pytest.mark.parametrize(("pixels", "latents"), [(9, 3), (17, 3), (13, 3), (12, 3), (10, 3), (5, 2)])
def test_frames_of_a_mask_are_grouped_as_by_the_vae(pixels, latents):
    """Each plane holds the number of its frame: the first stands alone, and a group is what lies between two others."""
    mask = torch.arange(pixels, dtype=torch.float32).view(-1, 1, 1)
    means = planes_of_mask(mask, 1, latents).flatten().tolist()
    group = {(9, 3): 4, (17, 3): 8, (13, 3): 6, (12, 3): 4, (10, 3): 4, (5, 2): 4}[pixels, latents]
    assert means == [0.0, *(1 + (group - 1) / 2 + group * index for index in range(latents - 1))]


# What belongs to a picture


@pytest.mark.parametrize("name", ["SD1.5 InstructPix2Pix", "SD1.5 inpaint", "Flux Fill"])
def test_variations_keep_each_picture_its_own_conditioning(nodes, models, name):
    family, model = ARCHITECTURES[name], models(name)
    latent, positive, negative = family.latent(2), two_prompts(family, 1), two_prompts(family, 2)
    whole = variations(nodes, model, positive, negative, latent, 2)
    for limit in (1, 3):
        assert_same(variations(nodes, model, positive, negative, latent, 2, limit), whole)
    for row in (0, 1):
        alone = [of_picture(prompt, row) for prompt in (positive, negative)]
        painted = variations(nodes, model, *alone, only(latent, row) | {"batch_index": [row]}, 2)
        assert_same(painted, whole[2 * row : 2 * row + 2])


def test_null_text_keeps_each_picture_its_own_conditioning(nodes, models):
    family, model = ARCHITECTURES["SD1.5 InstructPix2Pix"], models("SD1.5 InstructPix2Pix")
    latent, positive = family.latent(2), two_prompts(family, 1)

    def optimized(prompt, picture):
        found = nodes["DDIMInvert"].execute(
            model, prompt, picture, "normal", 2, 0.5, "ddim", 1, 1.0, 0, keep_trajectory=True
        )
        report = nodes["Img2ImgNullTextOptimize"].execute(model, prompt, found.args[0], 3.0, 1, 0.01).args[1]
        return json.loads(report)["latent_mse"]

    both = optimized(positive, latent)
    alone = [optimized(of_picture(positive, row), only(latent, row))[0] for row in (0, 1)]
    assert both == pytest.approx(alone, rel=1e-3)


def test_control_nets_with_a_picture_each(nodes, models):
    """A hint for each picture goes with its picture, and prompt and negative still share one ControlNet."""
    import comfy.controlnet
    from img2img_studio.dev.models import TINY_UNET, random_control_net

    family, model = ARCHITECTURES["SD1.5"], models("SD1.5")
    net = comfy.controlnet.ControlNet(random_control_net(TINY_UNET))
    hints = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(3))

    def prompts(hint):
        control = net.copy().set_cond_hint(hint, 1.0)
        return [[[text, {"control": control}] for text, _ in family.prompt(seed)] for seed in (1, 2)]

    latent = family.latent(2)
    whole = variations(nodes, model, *prompts(hints), latent, 2)
    for row in (0, 1):
        picture = only(latent, row) | {"batch_index": [row]}
        painted = variations(nodes, model, *prompts(hints[row : row + 1]), picture, 2)
        assert_same(painted, whole[2 * row : 2 * row + 2])


# What comes from the seed


def test_variations_with_noise_from_the_seed_are_the_same_alone(nodes, models):
    family, model = ARCHITECTURES["x4 upscaler"], models("x4 upscaler")
    latent, prompts = family.latent(), (family.prompt(1), family.prompt(2))
    batch = variations(nodes, model, *prompts, latent, 3)
    for index in range(3):
        alone = variations(nodes, model, *prompts, latent, 1, seeds=str(SEED + index))
        assert_same(alone, batch[index : index + 1])


def test_an_inverted_picture_comes_back_whatever_the_seed(nodes, models):
    family, model = ARCHITECTURES["x4 upscaler"], models("x4 upscaler")
    latent, prompt = family.latent(), family.prompt(1)
    found = nodes["DDIMInvert"].execute(model, prompt, latent, "normal", 2, 0.5, "ddim", 1, 1.0, 3)
    inversion, noise, drawn, sigmas, _ = found.args
    back = nodes["Img2ImgInversionSampler"].execute(model, prompt, prompt, inversion, 1.0, 1.0).args[0]["samples"]
    sampler = nodes["Img2ImgGuidedSampler"]
    sampled = sampler.execute(model, prompt, prompt, noise, sigmas, 1.0, "euler", 99).args[0]["samples"]
    assert_same(sampled, back)
    assert drawn.seed == host.SOLVER_SEED


# Clips


def test_svd_varies_whole_clips(nodes, models):
    family, model = ARCHITECTURES["SVD"], models("SVD")
    clip, prompts = family.latent(3), (family.prompt(1), family.prompt(2))
    batch = variations(nodes, model, *prompts, clip, 2)
    assert len(batch) == 6
    for index in (0, 1):
        alone = variations(nodes, model, *prompts, clip, 1, seeds=str(SEED + index))
        assert torch.equal(alone, batch[3 * index : 3 * index + 3])
        latent, sigmas = dict(clip), sigmas_of(nodes, model)
        sampler = nodes["Img2ImgGuidedSampler"]
        chain = sampler.execute(model, *prompts, latent, sigmas, 3.0, "euler", SEED + index).args[0]["samples"]
        assert torch.equal(alone, chain)


def test_svd_null_text_works_on_whole_clips(nodes, models):
    family, model = ARCHITECTURES["SVD"], models("SVD")
    prompt = family.prompt(1)
    found = nodes["DDIMInvert"].execute(
        model, prompt, family.latent(2), "normal", 2, 0.5, "ddim", 1, 1.0, 0, keep_trajectory=True
    )
    made, report = nodes["Img2ImgNullTextOptimize"].execute(model, prompt, found.args[0], 3.0, 1, 0.01).args
    back = nodes["Img2ImgInversionSampler"].execute(model, prompt, prompt, made, 3.0, 1.0).args[0]["samples"]
    space = [host.to_model_space(model, samples) for samples in (back, made.clean)]
    assert json.loads(report)["latent_mse"] == pytest.approx([float((space[0] - space[1]).square().mean())], rel=1e-3)


# Grids and frames of a family's own


UNPADDED = ["HunyuanVideo", "Cosmos", "Cosmos Predict2", "Mochi", "Wan 2.1 VACE", "PixArt sigma", "Stable Cascade B"]


@pytest.mark.parametrize("name", [*UNPADDED, "Flux dev"])
def test_any_size_by_padding(nodes, models, name):
    """Sides that are odd in cells; PixArt needs larger ones, also in ComfyUI."""
    family, model = ARCHITECTURES[name], models(name)
    height, width = (side * 8 - 11 for side in family.shape[-2:])
    image = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(1))
    prompts = (family.prompt(1), family.prompt(2))
    values = (image, model, family.vae(), *prompts, 0.6, 1, 1.0, "euler", "normal", SEED)
    out = nodes["Img2ImgAllInOne"].execute(*values, fit="pad").args[0]
    assert out.shape == image.shape


@pytest.mark.parametrize("name", UNPADDED)
def test_a_grid_that_the_network_cannot_cut_is_refused_before_the_run(nodes, models, name):
    family, model = ARCHITECTURES[name], models(name)
    latent = family.latent(sides=tuple(side + 1 for side in family.shape[-2:]))
    with pytest.raises(ValueError, match=r"latent: it is \d+ x \d+ cells, but this model works on patches of 2 x 2"):
        nodes["SDEditNoise"].execute(model, latent, sigmas_of(nodes, model), SEED)


def test_pictures_on_a_vae_of_clips_stay_pictures(nodes, models):
    family, model = ARCHITECTURES["Qwen-Image"], models("Qwen-Image")
    images = torch.rand(2, 48, 64, 3, generator=torch.Generator().manual_seed(1))
    vae, prompts = family.vae(), (family.prompt(1), family.prompt(2))

    def painted(image):
        values = (image, model, vae, *prompts, 0.6, 2, 3.0, "euler", "normal", SEED)
        return nodes["Img2ImgAllInOne"].execute(*values).args[0]

    both = painted(images)
    assert both.shape == images.shape
    assert_same(both[:1], painted(images[:1]))


@pytest.mark.parametrize(("frames", "near"), [(6, "5 or 9"), (2, "1 or 5")])
def test_frames_that_would_vanish_are_refused_before_the_run(nodes, models, frames, near):
    family, model = ARCHITECTURES["Wan 2.1"], models("Wan 2.1")
    values = (torch.zeros(frames, 48, 64, 3), model, random_video_vae(), family.prompt(1), family.prompt(2))
    with pytest.raises(ValueError, match=rf"image: it holds {frames} frames, but this VAE makes .* {near} frames"):
        nodes["Img2ImgAllInOne"].execute(*values, 0.6, 1, 3.0, "euler", "normal", SEED)


def test_what_a_family_cannot_take_is_said_before_the_run(nodes, models):
    """A picture too small for PixArt, and a clip beside the noise that has another length."""
    sampler, how = nodes["Img2ImgGuidedSampler"], (1.0, "euler", SEED)
    family, model = ARCHITECTURES["PixArt sigma"], models("PixArt sigma")
    prompts, sigmas = (family.prompt(1), family.prompt(2)), sigmas_of(nodes, model)
    with pytest.raises(ValueError, match="latent: it is 32 x 32 cells, but PixArt needs sides of 33 cells"):
        sampler.execute(model, *prompts, family.latent(sides=(32, 32)), sigmas, *how)
    sampler.execute(model, *prompts, family.latent(sides=(32, 34)), sigmas, *how)

    family, model = ARCHITECTURES["Wan 2.2 14B I2V"], models("Wan 2.2 14B I2V")
    prompts, sigmas = (family.prompt(1), family.prompt(2)), sigmas_of(nodes, model)
    for frames in (2, 5):
        latent = {"samples": torch.ones(1, 16, frames, 6, 8)}
        with pytest.raises(
            ValueError, match=f"positive: it carries a clip of 3 latent frames, but latent has {frames}"
        ):
            sampler.execute(model, *prompts, latent, sigmas, *how)


def test_the_refiner_of_hunyuan_image_starts_from_noise_alone(nodes):
    """It sees the picture beside its prompt, where HunyuanRefinerLatent puts it, and so takes no noised one."""
    network = shrunken.HUNYUAN | {"in_channels": 128, "out_channels": 64, "patch_size": [1, 1, 1], "vec_in_dim": None}
    refiner = Family("HunyuanImage21Refiner", network, (32, 1, 6, 8), clip=True, guided=True)
    model, picture = refiner.model(), refiner.latent()
    *prompts, empty = HunyuanRefinerLatent.execute(refiner.prompt(1), refiner.prompt(2), picture, 0.1).args
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 2, 1.0, "steps").args[0]
    painted = nodes["Img2ImgGuidedSampler"].execute(model, *prompts, empty, sigmas, 3.0, "euler", SEED).args[0]
    assert_same(painted["samples"], ksampler(model, *prompts, empty)["samples"])
    for refused in (
        lambda: nodes["SDEditNoise"].execute(model, picture, sigmas, SEED),
        lambda: nodes["Img2ImgGuidedSampler"].execute(model, *prompts, picture, sigmas, 3.0, "euler", SEED),
        lambda: variations(nodes, model, *prompts, picture, 2),
    ):
        with pytest.raises(ValueError, match="latent: HunyuanImage's refiner starts from pure noise"):
            refused()


# Sound


@pytest.fixture(scope="module")
def sound():
    """A shrunken Stable Audio."""
    import comfy.ldm.audio.embedders
    from img2img_studio.dev.families import Family

    numbers = comfy.ldm.audio.embedders.NumberConditioner(768, min_val=0, max_val=512).state_dict()
    conditioners = [f"conditioner.conditioners.seconds_{end}." for end in ("start", "total")]
    weights = {prefix + name: torch.ones_like(weight) for prefix in conditioners for name, weight in numbers.items()}
    network = {"audio_model": "dit1.0", "embed_dim": 64, "num_heads": 1, "depth": 1, "project_cond_tokens": True}
    return Family("StableAudio", network, (64, 32), width=768, weights=weights)


def test_sound_is_sampled_and_what_needs_pictures_is_refused(nodes, sound):
    model, prompts = sound.model(), (sound.prompt(1), sound.prompt(2))
    latent = {"samples": torch.randn(1, 64, 32, generator=torch.Generator().manual_seed(1))}
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 2, 0.7, measure="steps").args[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args[0]
    out = nodes["Img2ImgGuidedSampler"].execute(model, *prompts, noised, sigmas, 3.0, "euler", SEED).args[0]
    assert torch.equal(out["samples"], ksampler(model, *prompts, latent, 0.7)["samples"])
    how = (2, 3.0, "euler", "normal", SEED)
    with pytest.raises(ValueError, match="match_colors is latent, but this model makes sound"):
        nodes["ProgressiveRefine"].execute(model, *prompts, latent, "0.7", *how, "same", match_colors="latent")
    axes = ("strength", "0.7", "seed", "5", 0.5)
    with pytest.raises(ValueError, match="model: it makes sound, and a grid shows pictures"):
        nodes["Img2ImgStrengthGrid"].execute(model, *prompts, latent, None, *axes, *how)


# What a prompt carries


def test_the_prompt_axis_keeps_all_but_the_text(nodes, models, monkeypatch):
    """The same text again gives the same picture: reference, guidance and sizes are still there."""
    family, model = ARCHITECTURES["Flux Kontext"], models("Flux Kontext")
    positive = family.prompt(1)
    encoded = [[positive[0][0], {"pooled_output": positive[0][1]["pooled_output"]}]]
    monkeypatch.setattr(host, "encode_text", lambda clip, text: encoded)
    values = (model, positive, positive, family.latent(), family.vae(), "prompt", "the same", "seed", "5", 0.6, 2, 1.0)
    cells = nodes["Img2ImgStrengthGrid"].execute(*values, "euler", "normal", SEED, clip=object()).args[1]["samples"]
    sigmas = sigmas_of(nodes, model, 0.6)
    sampler = nodes["Img2ImgGuidedSampler"]
    chain = sampler.execute(model, positive, positive, family.latent(), sigmas, 1.0, "euler", SEED).args[0]["samples"]
    assert torch.equal(cells, chain)


def test_a_guidance_axis_for_models_that_have_it_built_in(nodes, models):
    family, model = ARCHITECTURES["Flux dev"], models("Flux dev")
    positive, negative, latent = family.prompt(1), family.prompt(2), family.latent()
    axes = ("guidance", "2.5, 4", "seed", "5")
    values = (model, positive, negative, latent, family.vae(), *axes, 0.6, 1, 1.0, "euler", "normal", SEED)
    cells = nodes["Img2ImgStrengthGrid"].execute(*values).args[1]["samples"]
    sampler, sigmas = nodes["Img2ImgGuidedSampler"], sigmas_of(nodes, model, 0.6, 1)
    for cell, guidance in zip(cells, (2.5, 4.0), strict=True):
        prompt = [[positive[0][0], positive[0][1] | {"guidance": guidance}]]
        chain = sampler.execute(model, prompt, negative, latent, sigmas, 1.0, "euler", SEED).args[0]["samples"]
        assert torch.equal(cell, chain[0])
    with pytest.raises(ValueError, match="rows: guidance is for models that have it built in"):
        nodes["Img2ImgStrengthGrid"].execute(models("SD1.5"), *values[1:])


@pytest.mark.parametrize("name", ["Stable Cascade B", "Flux Kontext"])
def test_what_lies_on_the_whole_picture_is_refused_in_tiles(nodes, models, name):
    family, model = ARCHITECTURES[name], models(name)
    values = (torch.zeros(1, 64, 128, 3), family.vae(), model, family.prompt(1), family.prompt(2), 1.0, 0.5, 1, 1.0)
    with pytest.raises(ValueError, match=r"positive: it carries .* make tile as large as the enlarged picture"):
        nodes["Img2ImgTiledRefine"].execute(*values, "euler", "normal", SEED, 64, 16)


@pytest.mark.parametrize(("name", "pixels"), [("Chroma Radiance", 1), ("SD1.5", 8), ("Flux2", 16), ("LTXV", 32)])
def test_a_mask_by_words_is_as_large_as_the_picture(nodes, models, name, pixels):
    """Whatever a cell of the latent stands for."""
    family = ARCHITECTURES[name]
    values = (models(name), family.prompt(1), family.prompt(2), family.latent(), "normal", SEED, 0.4)
    mask = nodes["Img2ImgPromptMask"].execute(*values).args[0]
    assert mask.shape[-2:] == tuple(pixels * side for side in family.shape[-2:])


@pytest.mark.parametrize(("first", "second"), [("SD3", "Flux dev"), ("Wan 2.1", "HunyuanVideo")])
def test_an_inversion_of_another_family_is_refused(nodes, models, first, second):
    """Their latents have the same shape and mean other pictures."""
    family, other = ARCHITECTURES[first], ARCHITECTURES[second].prompt(1)
    values = (models(first), family.prompt(1), family.latent(), "normal", 2, 0.8, "exact", 1, 1.0, 0)
    made = nodes["DDIMInvert"].execute(*values).args[0]
    with pytest.raises(ValueError, match="inversion: it was made with a model of another family"):
        nodes["Img2ImgInversionSampler"].execute(models(second), other, other, made, 1.0, 1.0)


@pytest.mark.parametrize("name", ["Playground 2.5", "Cosmos"])
def test_half_noise_is_half_noise_on_every_family(nodes, models, name):
    """At strength 0.5 by noise, noise is as strong as the model's own latents are."""
    model = models(name)
    _, start, report = nodes["StrengthScheduler"].execute(model, "normal", 2, 0.5, measure="noise").args
    assert start == pytest.approx(float(model.get_model_object("model_sampling").sigma_data))
    assert json.loads(report)["snr_db"] == pytest.approx(0.0, abs=1e-6)


def test_a_recipe_sees_reference_pictures(nodes, models):
    family, model = ARCHITECTURES["Flux Kontext"], models("Flux Kontext")
    values = (family.latent(), "0.5", 1, 1.0, "euler", "normal", SEED, "same")

    def refined(seed, recipe=""):
        ((text, options),) = family.prompt(1)
        prompt = [[text, options | {"reference_latents": [family.latent(seed=seed)["samples"]]}]]
        return json.loads(nodes["ProgressiveRefine"].execute(model, prompt, prompt, *values, recipe=recipe).args[2])

    first = refined(1)
    assert refined(1, json.dumps(first))["recipe_check"]["identical"]
    assert refined(2, json.dumps(first))["recipe_check"]["differs"] == ["prompts"]
