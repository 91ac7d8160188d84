"""GuidedSampler against the host's own samplers: the same bits, and nothing but the bits a mask keeps."""

import json

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import CFGGuider, KSamplerSelect, SamplerCustomAdvanced
from img2img_studio import host
from img2img_studio.dev.models import FAMILIES, random_conditioning, random_model, random_vae

import nodes as stock

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)
SEED, CFG = 7, 5.0
SCHEDULERS = [name for name in comfy.samplers.SCHEDULER_NAMES if name != "ddim_uniform"]


@pytest.fixture(scope="module")
def models():
    return {name: random_model(name) for name in FAMILIES}


def picture(model, batch=1, seed=5, dtype=torch.float32):
    """A LATENT of random numbers of the model's own shape and scale."""
    form = model.get_model_object("latent_format")
    shape = [batch, form.latent_channels, *([3] if form.latent_dimensions == 3 else []), 16, 12]
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) / form.scale_factor
    return {"samples": samples.to(dtype)}


def half_mask(height=64, width=48):
    mask = torch.zeros(1, height, width)
    mask[:, : height // 2, : width // 3] = 1
    return mask


@pytest.fixture
def chain(nodes):
    """StrengthScheduler -> SDEditNoise -> GuidedSampler; returns the sampled latent and everything on the way."""

    def run(
        model, latent, sampler="euler", scheduler="normal", steps=4, strength=0.5, mask=None, measure="steps", seed=SEED
    ):
        sigmas = nodes["StrengthScheduler"].execute(model, scheduler, steps, strength, measure=measure).args[0]
        noised, noise = nodes["SDEditNoise"].execute(model, latent, sigmas, seed, mask).args
        out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, noised, sigmas, CFG, sampler, seed)
        return {
            "samples": out.args[0]["samples"],
            "report": json.loads(out.args[1]),
            "sigmas": sigmas,
            "noise": noise,
            "noised": noised,
        }

    return run


def ksampler(model, latent, sampler="euler", scheduler="normal", steps=4, strength=0.5):
    out = stock.common_ksampler(
        model, SEED, steps, CFG, sampler, scheduler, POSITIVE, NEGATIVE, latent, denoise=strength
    )
    return out[0]["samples"]


def advanced(model, latent, noise, sampler, sigmas):
    guider = CFGGuider.execute(model, POSITIVE, NEGATIVE, CFG).args[0]
    sampler = KSamplerSelect.execute(sampler).args[0]
    return SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).args[0]["samples"]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "ddim", "lms"])
@pytest.mark.parametrize("family", ["eps", "flow shift 3"])
def test_the_chain_is_ksampler_bit_for_bit(models, chain, family, sampler, batch):
    latent = picture(models[family], batch)
    for scheduler in SCHEDULERS:
        for strength in (0.5, 1.0):
            expected = ksampler(models[family], latent, sampler, scheduler, strength=strength)
            assert torch.equal(
                chain(models[family], latent, sampler, scheduler, strength=strength)["samples"], expected
            )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_ksampler_bit_for_bit(models, chain, family):
    latent = picture(models[family], 2)
    assert torch.equal(chain(models[family], latent)["samples"], ksampler(models[family], latent))


@pytest.mark.parametrize("sampler", ["uni_pc", "uni_pc_bh2", "dpm_2"])
@pytest.mark.parametrize("family", ["eps", "flow shift 3"])
def test_samplers_that_ksampler_shortens_are_sampler_custom_advanced(models, chain, family, sampler):
    latent = picture(models[family], 2)
    made = chain(models[family], latent, sampler)
    assert torch.equal(
        made["samples"], advanced(models[family], latent, made["noise"], sampler, made["sigmas"].clone())
    )


# Of a video latent the host reads the pictures of a mask as frames, so that one has no batch of masks.
@pytest.mark.parametrize(
    ("family", "batch"), [("eps", 1), ("eps", 4), ("flow shift 3", 1), ("flow", 4), ("video flow", 1)]
)
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "ddim", "lms"])
def test_a_hard_mask_is_ksampler_inside_and_the_input_outside(models, chain, family, sampler, batch):
    latent = picture(models[family], batch)
    mask = half_mask()
    expected = ksampler(models[family], stock.SetLatentNoiseMask().set_mask(latent, mask)[0], sampler)
    made = chain(models[family], latent, sampler, mask=mask)
    inside = comfy.utils.reshape_mask(mask, latent["samples"].shape)
    where = inside >= 1
    assert bool(where.any())
    assert torch.equal(made["samples"][where], expected[where])
    outside = inside == 0
    assert torch.equal(made["samples"][outside], latent["samples"][outside])
    assert not torch.equal(made["samples"], latent["samples"])
    stock_way = advanced(models[family], latent | {"noise_mask": mask}, made["noise"], sampler, made["sigmas"].clone())
    assert torch.equal(made["samples"][where], stock_way[where])


@pytest.mark.parametrize("family", ["eps", "zero-SNR v", "flow", "flux"])
def test_strength_zero_returns_the_input_without_a_model_call(models, chain, family):
    latent = picture(models[family], 2)
    for measure in ("timestep", "noise", "steps"):
        made = chain(models[family], latent, strength=0.0, measure=measure)
        assert torch.equal(made["samples"], latent["samples"])
        assert made["report"]["model_calls"] == 0


def test_a_mask_of_ones_is_no_mask_and_of_zeros_no_change(models, chain):
    model = models["eps"]
    latent = picture(model)
    plain = chain(model, latent)
    for size in ((7, 5), (33, 57), (128, 96)):  # sizes at which resizing ones leaves rounding
        assert torch.equal(chain(model, latent, mask=torch.ones(1, *size))["samples"], plain["samples"])
        kept = chain(model, latent, mask=torch.zeros(1, *size))
        assert torch.equal(kept["samples"], latent["samples"])
        assert kept["report"]["model_calls"] == 0


def test_each_picture_of_a_batch_obeys_its_own_mask(models, chain):
    model = models["eps"]
    latent = picture(model, 3)
    masks = torch.cat([torch.ones(1, 33, 57), torch.zeros(1, 33, 57), half_mask(33, 57)])
    made = chain(model, latent, mask=masks)["samples"]
    assert torch.allclose(made[0], chain(model, latent)["samples"][0], atol=1e-4)
    assert torch.equal(made[1], latent["samples"][1])
    assert torch.equal(made[2, :, -1], latent["samples"][2, :, -1])


def test_a_soft_mask_changes_more_where_it_is_lighter(models, chain):
    model = models["eps"]
    latent = picture(model)
    columns = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).repeat_interleave(2)
    made = chain(model, latent, steps=12, strength=0.9, mask=columns.expand(1, 16, 12))["samples"]
    change = (made - latent["samples"]).abs().mean((0, 1, 2)).reshape(6, 2).mean(1)
    assert change[0] == 0
    assert bool((change.diff() > 0).all())


@pytest.mark.parametrize("family", ["eps", "zero-SNR v", "flow", "video flow"])
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde", "dpmpp_sde"])
def test_a_split_run_is_the_whole_run(models, nodes, family, sampler):
    model = models[family]
    latent = picture(model, 2)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 6, 0.8).args[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args[0]

    def run(latent, sigmas):
        return (
            nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, CFG, sampler, SEED).args[0]
        )

    whole = run(noised, sigmas)["samples"]
    parts = run(run(noised, sigmas[:4]), sigmas[3:])["samples"]
    if sampler == "dpmpp_2m_sde":  # a multistep method starts anew at the split
        assert not torch.equal(parts, latent["samples"])
        assert torch.isfinite(parts).all()
    else:
        assert torch.equal(parts, whole)


def test_a_hard_mask_survives_a_split_run(models, nodes):
    model = models["flow"]
    latent = picture(model)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 6, 0.8).args[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED, half_mask()).args[0]
    for part in (sigmas[:4], sigmas[3:]):
        out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, noised, part, CFG, "euler", SEED)
        noised = out.args[0]
    outside = comfy.utils.reshape_mask(half_mask(), latent["samples"].shape) == 0
    assert torch.equal(noised["samples"][outside], latent["samples"][outside])


@pytest.mark.parametrize("family", ["eps", "edm"])
def test_stock_samplers_continue_a_noised_latent(models, nodes, family):
    """Its samples follow the host's convention: with noise disabled, KSamplerAdvanced goes on from them."""
    model = models[family]
    latent = picture(model)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 4, 1.0).args[0]
    noised, noise = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args
    zero = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED, noise_multiplier=0.0).args[1]
    expected = advanced(model, latent, noise, "euler", sigmas)
    assert torch.allclose(advanced(model, noised, zero, "euler", sigmas), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_noising_is_the_formula_of_the_family(models, nodes, family):
    model = models[family]
    latent = picture(model)
    sigmas = nodes["StrengthScheduler"].execute(model, "simple", 4, 0.5).args[0]
    noised, noise = nodes["SDEditNoise"].execute(model, latent, sigmas, SEED).args
    sigma = float(sigmas[0])
    clean = model.get_model_object("process_latent_in")(latent["samples"])
    flow = isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST)
    state = model.get_model_object("process_latent_in")(noised["samples"])
    # A flow state is divided by 1 - sigma, which stock samplers multiply by again.
    expected = clean + noise.noise * (sigma / (1 - sigma) if flow else sigma)
    assert torch.allclose(state, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(noise.noise, comfy.sample.prepare_noise(latent["samples"], SEED))


def test_all_in_one_is_the_chain(nodes, models, chain):
    model, vae = models["eps"], random_vae()
    image = torch.rand(1, 70, 50, 3, generator=torch.Generator().manual_seed(3))
    fitted, _, fit, _ = nodes["Img2ImgFitImage"].execute(image, 0, "pad", "keep aspect", 8, "edge").args
    latent = stock.VAEEncode().encode(vae, fitted)[0]
    made = chain(model, latent, "heun", measure="timestep")
    expected = (
        nodes["Img2ImgUnfitImage"].execute(stock.VAEDecode().decode(vae, {"samples": made["samples"]})[0], fit).args[0]
    )
    picture_out, latent_out, report = (
        nodes["Img2ImgAllInOne"]
        .execute(image, model, vae, POSITIVE, NEGATIVE, 0.5, 4, CFG, "heun", "normal", SEED, fit="pad")
        .args
    )
    assert torch.equal(latent_out["samples"], made["samples"])
    assert torch.equal(picture_out, expected)
    assert picture_out.shape == image.shape
    assert json.loads(report)["model_calls"] == 7  # heun asks twice at every step but the last


def test_cfg_one_runs_no_negative(models, nodes):
    model = models["eps"].clone()
    batches = []
    model.set_model_unet_function_wrapper(
        lambda apply, args: batches.append(len(args["input"])) or apply(args["input"], args["timestep"], **args["c"])
    )
    latent = picture(model)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 3, 0.5).args[0]
    for cfg, expected in ((1.0, [1] * 3), (2.0, [2] * 3)):
        batches.clear()
        out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, cfg, "euler", SEED)
        assert batches == expected
        assert json.loads(out.args[1])["model_calls"] == 3


def test_a_plain_latent_is_noised_as_ksampler_would(models, nodes):
    model = models["flow"]
    latent = picture(model, 2)
    sigmas = nodes["StrengthScheduler"].execute(model, "simple", 4, 0.5, measure="steps").args[0]
    out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, CFG, "euler", SEED)
    assert torch.equal(out.args[0]["samples"], ksampler(model, latent, "euler", "simple"))
    assert json.loads(out.args[1])["started_from"] == "noise drawn here"


@pytest.mark.parametrize("node", ["chain", "ProgressiveRefine", "VariationBatch"])
def test_nothing_outside_is_touched(models, nodes, chain, node):
    """Inputs, the model's options and torch's global generator are as before."""
    model = models["eps"]
    latent, mask = picture(model, 2), half_mask()
    copies = latent["samples"].clone(), mask.clone(), torch.get_rng_state(), dict(model.model_options)
    if node == "chain":
        chain(model, latent, "dpmpp_2m_sde", mask=mask)
    elif node == "ProgressiveRefine":
        nodes[node].execute(
            model,
            POSITIVE,
            NEGATIVE,
            latent,
            "0.6, 0.3",
            3,
            CFG,
            "euler_ancestral",
            "normal",
            SEED,
            "increment",
            mask=mask,
        )
    else:
        nodes[node].execute(model, POSITIVE, NEGATIVE, latent, 3, 0.5, 3, CFG, "ddim", "normal", SEED, 0.5, mask=mask)
    assert torch.equal(latent["samples"], copies[0])
    assert torch.equal(mask, copies[1])
    assert torch.equal(torch.get_rng_state(), copies[2])
    assert model.model_options == copies[3]
    assert list(latent) == ["samples"]


def test_noise_under_the_mask_has_nothing_in_common_with_noise_that_is_added(nodes, models):
    """At no seed: with its own stream, noise as content is no seed's added noise."""
    model, sigmas = models["eps"], torch.tensor([1.0, 0.0])
    latent = {"samples": torch.zeros(2, 4, 16, 12)}
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, 5, torch.ones(1, 16, 12), 0.0, "noise").args[0]
    content = noised["img2img_record"].clean.flatten(1)
    for seed in range(4, 8):
        added = nodes["SDEditNoise"].execute(model, latent, sigmas, seed).args[1].noise.flatten(1)
        assert float(torch.corrcoef(torch.cat([content, added]))[:2, 2:].abs().max()) < 0.15
    assert float(torch.corrcoef(content)[0, 1].abs()) < 0.15
    alone = nodes["SDEditNoise"].execute(
        model, {"samples": latent["samples"][1:], "batch_index": [1]}, sigmas, 5, torch.ones(1, 16, 12), 0.0, "noise"
    ).args[0]  # fmt: skip
    assert torch.equal(alone["img2img_record"].clean[0], noised["img2img_record"].clean[1])


def test_an_empty_latent_brings_the_ratio_that_newer_hosts_ask_for(models, monkeypatch):
    """Newer versions of ComfyUI note what an empty latent was made for, and bring it to the model's own size."""
    asked, fix = [], comfy.sample.fix_empty_latent_channels

    def newer(model, latent_image, downscale_ratio_spacial=None, downscale_ratio_temporal=None):
        asked.append((downscale_ratio_spacial, downscale_ratio_temporal))
        return fix(model, latent_image)

    latent = {"samples": torch.zeros(1, 4, 16, 12), "downscale_ratio_spacial": 16, "kept": "as it is"}
    assert host.open_latent(models["eps"], latent).samples.shape == (1, 4, 16, 12)
    monkeypatch.setattr(comfy.sample, "fix_empty_latent_channels", newer)
    opened = host.open_latent(models["eps"], latent)
    assert asked == [(16, None)]
    assert host.close_latent(latent, opened.samples).keys() == {"samples", "kept"}  # it is of the model's size now
