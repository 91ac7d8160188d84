"""Odd and wrong input either works or raises an error that names the input, the value and the way out."""

import json

import comfy.sample
import pytest
import torch
from comfy_extras.nodes_custom_sampler import FlipSigmas
from comfy_extras.nodes_latent import LatentAdd
from img2img_studio.dev.models import random_conditioning, random_model

import nodes as stock

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)


@pytest.fixture(scope="module")
def models():
    return {name: random_model(name) for name in ("eps", "flow", "video flow")}


@pytest.fixture(params=["eps", "flow"])
def model(models, request):
    return models[request.param]


@pytest.fixture
def latent():
    return {"samples": torch.randn(1, 4, 16, 12, generator=torch.Generator().manual_seed(5))}


@pytest.fixture
def sigmas(nodes, model):
    return nodes["StrengthScheduler"].execute(model, "normal", 4, 0.6).args[0]


@pytest.fixture
def noise(nodes, model):
    def run(latent, sigmas, **options):
        return nodes["SDEditNoise"].execute(model, latent, sigmas, 3, **options).args[0]

    return run


@pytest.fixture
def sample(nodes, model):
    def run(latent, sigmas, **options):
        out = nodes["Img2ImgGuidedSampler"].execute(
            model, POSITIVE, NEGATIVE, latent, sigmas, 3.0, "euler", 3, **options
        )
        return out.args[0], json.loads(out.args[1])

    return run


def changed_by_stock(noised, how):
    if how == "flipped":
        return stock.LatentFlip().flip(noised, "x-axis: vertically")[0]
    if how == "added to":
        return LatentAdd.execute(noised, {"samples": torch.full_like(noised["samples"], 0.1)}).args[0]
    if how == "resized":
        return stock.LatentUpscale().upscale(noised, "bilinear", 128, 160, "disabled")[0]
    return stock.RepeatLatentBatch().repeat(noised, 3)[0]


@pytest.mark.parametrize("how", ["flipped", "added to", "resized", "repeated"])
def test_a_noised_latent_changed_by_stock_nodes_is_taken_as_it_is(noise, sample, latent, sigmas, how):
    changed = changed_by_stock(noise(latent, sigmas), how)
    out, report = sample(changed, sigmas)
    assert report["started_from"] == "the noised latent, changed by another node since"
    assert out["samples"].shape == changed["samples"].shape
    assert torch.isfinite(out["samples"]).all()


def test_flipping_the_noised_latent_flips_what_a_flipped_start_gives(noise, sample, latent, sigmas):
    """The state is really used: flipping both before and after noising meet in the same place."""
    noised = noise(latent, sigmas)
    flipped = changed_by_stock(noised, "flipped")
    by_hand = {"samples": flipped["samples"]}
    assert torch.allclose(
        sample(flipped, sigmas)[0]["samples"], sample(by_hand, sigmas, add_noise="disable")[0]["samples"], atol=1e-4
    )


def test_saved_and_loaded_it_continues_with_noise_disabled(noise, sample, latent, sigmas, tmp_path):
    noised = noise(latent, sigmas)
    torch.save(noised["samples"], tmp_path / "latent")
    loaded = {"samples": torch.load(tmp_path / "latent")}
    out, report = sample(loaded, sigmas, add_noise="disable")
    assert report["started_from"] == "the samples as they are, without noise"
    assert torch.allclose(out["samples"], sample(noised, sigmas)[0]["samples"], rtol=1e-3, atol=1e-2)


def test_a_mask_on_a_changed_noised_latent_is_refused(noise, sample, latent, sigmas):
    mask = torch.zeros(1, 16, 12)
    mask[:, :4] = 1
    flipped = changed_by_stock(noise(latent, sigmas, mask=mask), "flipped")
    with pytest.raises(ValueError, match=r"latent: it was changed after Noise Latent.*remove the mask"):
        sample(flipped, sigmas)


def test_other_sigmas_than_it_was_noised_for_are_refused(nodes, model, noise, sample, latent, sigmas):
    noised = noise(latent, sigmas)
    others = nodes["StrengthScheduler"].execute(model, "normal", 4, 0.3).args[0]
    with pytest.raises(ValueError, match=rf"sigmas: they start at .* noised for {float(sigmas[0]):.6g}.*same SIGMAS"):
        sample(noised, others)
    as_it_is = sample(noised, others, add_noise="disable")[0]["samples"]
    assert torch.isfinite(as_it_is).all()
    if model.get_model_object("model_sampling").sigma_max > 1:  # not for flow, whose stock convention knows the sigma
        by_hand = sample({"samples": noised["samples"]}, others, add_noise="disable")[0]["samples"]
        assert torch.allclose(as_it_is, by_hand, atol=1e-5)


@pytest.mark.parametrize("size", [(7, 5), (16, 12), (512, 384)])
def test_a_mask_of_another_size_is_resized_as_the_host_does(sample, latent, sigmas, size):
    mask = torch.zeros(1, *size)
    mask[:, : size[0] // 2] = 1
    out = sample(latent, sigmas, mask=mask)[0]["samples"]
    resized = torch.nn.functional.interpolate(mask[:, None], size=(16, 12), mode="bilinear")
    outside = (resized == 0).expand_as(out)
    assert bool(outside.any())
    assert torch.equal(out[outside], latent["samples"][outside])


def test_no_sigmas_give_the_input_back(noise, sample, latent):
    noised = noise(latent, torch.zeros(0))
    assert torch.equal(noised["samples"], latent["samples"])
    out, report = sample(noised, torch.zeros(0))
    assert torch.equal(out["samples"], latent["samples"])
    assert report["model_calls"] == 0


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 4, 2, 16, 12), r"latent: its shape \[1, 4, 2, 16, 12\] has 5 dimensions, but this model works on 4"),
        ((1, 16, 16, 12), "latent: it has 16 channels, but this model works on 4"),
        ((0, 4, 16, 12), r"latent: it holds no pictures \(batch 0\)"),
    ],
)
def test_latents_of_another_shape_are_refused(noise, sample, sigmas, shape, message):
    latent = {"samples": torch.ones(shape)}
    for node in (noise, sample):
        with pytest.raises(ValueError, match=message):
            node(latent, sigmas)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_are_refused(noise, sample, latent, sigmas, value):
    broken = {"samples": latent["samples"].clone()}
    broken["samples"][0, 0, 0, 0] = value
    for node in (noise, sample):
        with pytest.raises(ValueError, match="latent: it holds values that are not finite"):
            node(broken, sigmas)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_latents_work(noise, sample, latent, sigmas, dtype):
    half = {"samples": latent["samples"].to(dtype)}
    out = sample(noise(half, sigmas), sigmas)[0]["samples"]
    assert out.dtype == torch.float32
    full = {"samples": half["samples"].float()}
    assert torch.equal(out, sample(noise(full, sigmas), sigmas)[0]["samples"])


def test_a_picture_for_a_video_model_becomes_one_frame(nodes, models):
    model = models["video flow"]
    latent = {"samples": torch.randn(1, 16, 16, 12)}
    sigmas = nodes["StrengthScheduler"].execute(model, "simple", 2, 0.5).args[0]
    out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, 1.0, "euler", 3).args[0]
    assert out["samples"].shape == (1, 16, 1, 16, 12)


def test_an_empty_latent_takes_the_models_channels(nodes, models):
    model = models["video flow"]
    sigmas = nodes["StrengthScheduler"].execute(model, "simple", 2, 1.0).args[0]
    out = nodes["Img2ImgGuidedSampler"].execute(
        model, POSITIVE, NEGATIVE, {"samples": torch.zeros(1, 4, 16, 12)}, sigmas, 1.0, "euler", 3
    )
    assert out.args[0]["samples"].shape == (1, 16, 1, 16, 12)


def test_rising_and_broken_sigmas_are_refused(noise, sample, latent, sigmas):
    for bad, message in (
        (FlipSigmas.execute(sigmas).args[0], "sigmas: they rise from .*DDIMInvert"),
        (sigmas * float("nan"), "sigmas: they must be one list of finite numbers"),
    ):
        for node in (noise, sample):
            with pytest.raises(ValueError, match=message):
                node(latent, bad)


def test_a_noised_latent_is_refused_where_noise_would_be_added_again(nodes, model, noise, latent, sigmas):
    noised = noise(latent, sigmas)
    with pytest.raises(ValueError, match="latent: it is already noised"):
        noise(noised, sigmas)
    with pytest.raises(ValueError, match="latent: it is already noised"):
        nodes["VariationBatch"].execute(model, POSITIVE, NEGATIVE, noised, 2, 0.5, 2, 1.0, "euler", "normal", 1, 1.0)


def test_a_mask_of_which_nothing_survives_the_resize_is_named(nodes, model, noise, sample, latent, sigmas):
    dot = torch.zeros(2, 128, 96)
    dot[0, 0, 0] = dot[1, 3, 3] = 1  # resizing reads the middle of every cell of eight pixels
    refine, vary = nodes["ProgressiveRefine"].execute, nodes["VariationBatch"].execute
    common = model, POSITIVE, NEGATIVE, latent
    for run in (
        lambda mask: sample(latent, sigmas, mask=mask),
        lambda mask: noise(latent, sigmas, mask=mask, masked_content="fill"),
        lambda mask: refine(*common, "0.5", 2, 3.0, "euler", "normal", 3, "same", mask=mask),
        lambda mask: vary(*common, 1, 0.5, 2, 3.0, "euler", "normal", 3, 1.0, mask=mask),
    ):
        with pytest.raises(ValueError, match="mask: it is so small that nothing of it is left"):
            run(dot[:1])
        run(dot[1:])


def test_masks_outside_their_range_are_refused(sample, latent, sigmas):
    for value in (-0.5, 1.5):
        mask = torch.full((1, 16, 12), 0.5)
        mask[0, 0, 0] = value
        with pytest.raises(ValueError, match="mask: its values must lie between 0"):
            sample(latent, sigmas, mask=mask)


@pytest.mark.parametrize(
    ("node", "values", "message"),
    [
        ("sampler_name", {"sampler_name": "quick"}, "sampler_name: 'quick' is unknown here; choose one of euler"),
        ("scheduler", {"scheduler": "quick"}, "scheduler: 'quick' is unknown here; choose one of simple"),
        ("strength", {"strength": 1.5}, "strength must be a number from 0 to 1, got 1.5"),
        ("strength", {"strength": float("nan")}, "strength must be a number from 0 to 1, got nan"),
    ],
)
def test_names_and_numbers_from_links_are_checked_too(nodes, models, latent, node, values, message):
    """Values that come through a link pass ComfyUI's own check of widgets by."""
    options = {
        "count": 1,
        "strength": 0.5,
        "steps": 2,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "seed": 1,
        "variation": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        nodes["VariationBatch"].execute(models["eps"], POSITIVE, NEGATIVE, latent, **(options | values))


def test_a_negative_seed_from_a_link_is_what_it_is_to_stock(nodes, model, latent, sigmas):
    """A stock integer that rolls is negative half of the time."""
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, -939853621880858)
    same = nodes["SDEditNoise"].execute(model, latent, sigmas, 2**64 - 939853621880858)
    drawn = noised.args[1].generate_noise(latent)
    assert torch.equal(noised.args[0]["samples"], same.args[0]["samples"])
    assert torch.equal(drawn, comfy.sample.prepare_noise(latent["samples"], -939853621880858))


def test_batch_index_of_another_batch_is_refused(sample, latent, sigmas):
    with pytest.raises(ValueError, match="batch_index names 2 pictures, but there are 1"):
        sample(latent | {"batch_index": [0, 1]}, sigmas)


def test_the_noise_output_refuses_another_latent(nodes, models, latent):
    sigmas = torch.tensor([1.0, 0.0])
    noise = nodes["SDEditNoise"].execute(models["eps"], latent, sigmas, 3).args[1]
    with pytest.raises(ValueError, match=r"noise: it was made for a latent of shape \[1, 4, 16, 12\]"):
        noise.generate_noise({"samples": torch.zeros(1, 4, 8, 8)})


@pytest.mark.parametrize("content", ["original", "fill", "noise", "neutral"])
def test_masked_content_is_noised_inside_and_kept_outside(nodes, model, sample, latent, sigmas, content):
    mask = torch.zeros(1, 16, 12)
    mask[:, 4:8, 4:8] = 1
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, 3, mask, 1.0, content).args[0]
    out = sample(noised, sigmas)[0]["samples"]
    outside = (mask == 0).expand_as(out[0])[None]
    assert torch.equal(out[outside], latent["samples"][outside])
