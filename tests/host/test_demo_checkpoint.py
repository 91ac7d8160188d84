"""The toy checkpoint in a real ComfyUI: it loads, understands prompts, and repaints more with more strength."""

import time
from itertools import pairwise

import comfy.latent_formats
import numpy as np
import pytest
import torch
from img2img_studio.demo.scene import (
    EXAMPLE_SEED,
    HELD_OUT_SEEDS,
    WORDS,
    Attributes,
    caption,
    edited,
    random_attributes,
    scene,
)

SCENES = HELD_OUT_SEEDS[:50]
FAMILIES = ["eps", "flow"]


@pytest.fixture(scope="module")
def demo(nodes):
    with torch.inference_mode():
        return {family: nodes["Img2ImgDemoCheckpoint"].execute(family).args for family in FAMILIES}


def images(pairs):
    """(attributes, seed) pairs -> IMAGE batch."""
    return torch.from_numpy(np.stack([np.asarray(scene(a, seed)) for a, seed in pairs]).astype(np.float32) / 255)


@pytest.fixture(scope="module")
def held_out():
    return images([(random_attributes(seed), seed) for seed in SCENES])


@pytest.fixture(scope="module")
def latents(demo, held_out):
    with torch.inference_mode():
        return demo["eps"][2].encode(held_out)


def psnr(a, b):
    """Per picture, in dB."""
    return -10 * (a - b).square().mean(dim=(1, 2, 3)).log10()


def encoded(clip, text):
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


@pytest.mark.parametrize("family", FAMILIES)
def test_loads_in_a_moment_and_shows_the_example(nodes, family):
    began = time.perf_counter()
    model, _clip, _vae, example = nodes["Img2ImgDemoCheckpoint"].execute(family).args
    print(f"{family} loaded in {time.perf_counter() - began:.2f} s")
    assert torch.equal(example, images([(Attributes(), EXAMPLE_SEED)]))
    assert model.model.model_type.name == family.upper()


def test_held_out_scenes_survive_the_vae(demo, held_out, latents):
    quality = psnr(demo["eps"][2].decode(latents), held_out)
    styles = [random_attributes(seed).style for seed in SCENES]
    by_style = {style: round(float(quality[[s == style for s in styles]].mean()), 1) for style in WORDS["style"]}
    print(f"PSNR {quality.mean():.1f} dB, worst {quality.min():.1f} dB, {by_style}")
    assert quality.mean() >= 28
    assert min(by_style.values()) >= 24


def test_latents_suit_the_sd15_format(demo, latents):
    latent = demo["eps"][0].model.process_latent_in(latents)
    assert latent.shape[1:] == (4, 16, 16)
    assert abs(latent.mean()) < 0.1
    assert 0.9 < latent.std() < 1.1


@pytest.mark.parametrize("family", FAMILIES)
def test_more_strength_moves_further_from_the_input(nodes, demo, latents, family):
    model, clip, _vae, _example = demo[family]
    # One prompt for the whole batch and few steps: 50 scenes at five strengths are many model calls as it is.
    positive, negative = encoded(clip, "a red house at night in winter"), encoded(clip, "")
    distances = []
    for strength in (0.1, 0.3, 0.5, 0.7, 0.9):
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", 4, strength).args[0]
        noised, _noise = nodes["SDEditNoise"].execute(model, {"samples": latents}, sigmas, 1).args
        sampler = nodes["Img2ImgGuidedSampler"]
        out = sampler.execute(model, positive, negative, noised, sigmas, 3.0, "euler", 1).args[0]["samples"]
        distances.append(float((out - latents).square().mean()))
    print(family, [round(distance, 2) for distance in distances])
    assert all(nearer < further for nearer, further in pairwise(distances))


def painted(demo, family, prompts):
    """Text to image with stock parts only: one picture per prompt."""
    import nodes as stock

    model, clip, vae, _example = demo[family]
    empty = {"samples": torch.zeros(1, 4, 16, 16)}
    pictures = []
    for prompt in prompts:
        (positive,), (negative,) = stock.CLIPTextEncode().encode(clip, prompt), stock.CLIPTextEncode().encode(clip, "")
        (latent,) = stock.KSampler().sample(model, 3, 12, 5.0, "euler", "normal", positive, negative, empty)
        pictures.append(stock.VAEDecode().decode(vae, latent)[0])
    return torch.cat(pictures)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_are_understood(demo, family):
    prompts = [
        f"a flat drawing of a red house {when}"
        for when in ("by day in summer", "at night in summer", "by day in winter")
    ]
    day, night, winter = painted(demo, family, prompts)
    assert night.mean() < day.mean() - 0.2
    grass = (slice(-16, None), slice(None))
    assert winter[grass].mean() > day[grass].mean() + 0.15


def test_prompt_weights_move_only_the_weighted_words(demo):
    clip = demo["eps"][1]
    plain, heavy = (encoded(clip, text)[0][0] for text in ("a red house", "a (red:1.3) house"))
    empty = encoded(clip, "")[0][0]
    torch.testing.assert_close(heavy[:, 2], empty[:, 2] + 1.3 * (plain[:, 2] - empty[:, 2]))
    torch.testing.assert_close(heavy[:, [0, 1]], plain[:, [0, 1]])


def test_unknown_words_are_all_the_same_to_it(demo):
    clip = demo["eps"][1]
    banana, laptop, silence = (encoded(clip, f"a red house {word}")[0][0] for word in ("banana", "laptop", ""))
    assert torch.equal(banana, laptop)
    assert torch.equal(banana, silence)


def test_synonyms_lie_closer_than_other_words(demo):
    clip = demo["eps"][1]

    def vector(word):
        return encoded(clip, word)[0][0][0, 1]

    for values in WORDS.values():
        names = list(values)
        for name, other in zip(names, names[1:] + names[:1], strict=True):
            word, synonym = values[name][0], values[name][1]
            same = torch.cosine_similarity(vector(word), vector(synonym), dim=0)
            assert same > 0.6 > torch.cosine_similarity(vector(word), vector(other), dim=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(12, 32), (32, 20)])
def test_other_sizes_work(demo, family, size):
    import nodes as stock

    model, clip, vae, _example = demo[family]
    prompt = encoded(clip, caption(edited(Attributes(), "time", 1), 1))
    empty = {"samples": torch.zeros(1, 4, *size)}
    (latent,) = stock.KSampler().sample(model, 1, 3, 1.0, "euler", "normal", prompt, prompt, empty)
    assert vae.decode(latent["samples"]).shape == (1, 8 * size[0], 8 * size[1], 3)
    assert latent["samples"].isfinite().all()


def test_its_previews_have_its_own_colors(demo, held_out, latents):
    """As near to the pictures as any linear map of the latents can be, which SD1.5's is not."""
    form = demo["eps"][0].get_model_object("latent_format")
    states = form.process_in(latents).movedim(1, -1).reshape(-1, 4)
    colors = torch.nn.functional.avg_pool2d(held_out.movedim(-1, 1), 8).movedim(1, -1).reshape(-1, 3) * 2 - 1
    with_one = torch.cat([states, torch.ones(len(states), 1)], dim=1)
    best = with_one @ torch.linalg.lstsq(with_one, colors).solution
    sd15 = comfy.latent_formats.SD15()
    miss = {
        "best": best - colors,
        "ours": states @ torch.tensor(form.latent_rgb_factors) + torch.tensor(form.latent_rgb_factors_bias) - colors,
        "sd15": states @ torch.tensor(sd15.latent_rgb_factors) - colors,
    }
    error = {name: float(difference.square().mean()) for name, difference in miss.items()}
    assert error["ours"] < 1.1 * error["best"]
    assert error["ours"] < 0.25 * error["sd15"]
