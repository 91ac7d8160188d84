"""DDIMInvert and InversionSampler on real models of every family: up, and back to the picture."""

import json

import pytest
import torch
from comfy_extras.nodes_custom_sampler import CFGGuider, KSamplerSelect, SamplerCustomAdvanced
from img2img_studio.dev.models import FAMILIES, random_conditioning, random_model

PROMPT, NEGATIVE = random_conditioning(1), random_conditioning(2)


@pytest.fixture(scope="module")
def models():
    return {name: random_model(name) for name in FAMILIES}


def picture(model, batch=1):
    form = model.get_model_object("latent_format")
    shape = [batch, form.latent_channels, *([3] if form.latent_dimensions == 3 else []), 16, 12]
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(5)) / form.scale_factor}


@pytest.fixture
def invert(nodes):
    def run(model, latent, method, steps=12, strength=1.0, **options):
        return (
            nodes["DDIMInvert"]
            .execute(model, PROMPT, latent, "normal", steps, strength, method, 3, options.pop("cfg", 1.0), 4, **options)
            .args
        )

    return run


@pytest.fixture
def back(nodes):
    def run(model, inversion, cfg=1.0, preserve=0.0, mask=None, prompt=PROMPT):
        out = nodes["Img2ImgInversionSampler"].execute(model, prompt, NEGATIVE, inversion, cfg, preserve, mask).args
        return out[0]["samples"], json.loads(out[1])

    return run


def error(model, a, b):
    """MSE in the model's own space, relative to the picture's power there."""
    into = model.get_model_object("process_latent_in")
    return float((into(a) - into(b)).square().mean() / into(b).square().mean())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("method", "bound"), [("exact", 1e-9), ("pinned", 1e-9), ("noise_maps", 1e-9), ("corrected", 1e-2)]
)
def test_the_picture_comes_back(models, invert, back, family, method, bound):
    model = models[family]
    latent = picture(model)
    inversion, noise, _, sigmas, report = invert(model, latent, method)
    samples, facts = back(model, inversion, preserve=1.0)
    assert torch.isfinite(noise["samples"]).all()
    assert error(model, samples, latent["samples"]) < bound
    assert facts["model_calls"] <= len(sigmas) - 1
    assert json.loads(report)["model_calls"] >= len(sigmas) - 1


@pytest.mark.parametrize("family", FAMILIES)
def test_preserve_by_itself_gives_the_picture_back_and_lets_edits_happen(models, invert, back, nodes, family):
    model = models[family]
    latent = picture(model)
    (choose,) = [i.default for i in nodes["Img2ImgInversionSampler"].GET_SCHEMA().inputs if i.id == "preserve"]
    inversion = invert(model, latent, "pinned")[0]
    samples, facts = back(model, inversion, preserve=choose)
    assert error(model, samples, latent["samples"]) < 1e-9
    assert facts["preserve"] == 1.0
    edited, facts = back(model, inversion, cfg=7.5, preserve=choose, prompt=NEGATIVE)
    assert torch.equal(edited, back(model, inversion, cfg=7.5, preserve=facts["preserve"], prompt=NEGATIVE)[0])
    assert 0 < facts["preserve"] < 1


@pytest.mark.parametrize("family", FAMILIES)
def test_more_steps_bring_ddim_closer(models, invert, back, family):
    model = models[family]
    latent = picture(model)
    errors = [
        error(model, back(model, invert(model, latent, "ddim", steps, 0.7)[0])[0], latent["samples"])
        for steps in (5, 40)
    ]
    assert errors[1] < errors[0]
    assert errors[1] < 0.05


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("family", ["eps", "zero-SNR v", "flow", "flux", "video flow"])
def test_stock_nodes_bring_it_back_from_the_noise_output(models, invert, back, family, strength):
    model = models[family]
    latent = picture(model)
    inversion, _, noise, sigmas, _ = invert(model, latent, "ddim", strength=strength)
    guider = CFGGuider.execute(model, PROMPT, NEGATIVE, 1.0).args[0]
    empty = {"samples": torch.zeros_like(latent["samples"])}
    out = SamplerCustomAdvanced.execute(noise, guider, KSamplerSelect.execute("euler").args[0], sigmas, empty)
    ours = back(model, inversion)[0]
    assert error(model, out.args[0]["samples"], ours) < 1e-6


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_guided_sampler_continues_from_the_latent_output(nodes, models, invert, back, family):
    model = models[family]
    inversion, noise, _, sigmas, _ = invert(model, picture(model), "ddim")
    out = nodes["Img2ImgGuidedSampler"].execute(model, PROMPT, NEGATIVE, noise, sigmas, 1.0, "euler", 0)
    assert error(model, out.args[0]["samples"], back(model, inversion)[0]) < 1e-9


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde", "ddpm", "lcm", "sa_solver"])
def test_samplers_that_draw_noise_are_refused_with_the_reason(nodes, models, invert, sampler):
    model = models["eps"]
    _, noise, _, sigmas, _ = invert(model, picture(model), "ddim", steps=2)
    with pytest.raises(ValueError, match=rf"sampler: {sampler} throws noise away .* such as euler"):
        nodes["Img2ImgGuidedSampler"].execute(model, PROMPT, NEGATIVE, noise, sigmas, 1.0, sampler, 0)


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_noise_without_the_picture_is_refused_with_the_way_out(nodes, models, invert, strength):
    """The default method's: what it recorded for each step is known to Inversion Sampler alone."""
    model = models["flow"]
    latent = picture(model)
    _, samples, noise, sigmas, report = invert(model, latent, "noise_maps", steps=2, strength=strength)
    way_out = "method noise_maps .* connect the inversion to Inversion Sampler, or set method to multistep"
    with pytest.raises(ValueError, match=f"latent: {way_out}"):
        nodes["Img2ImgGuidedSampler"].execute(model, PROMPT, NEGATIVE, samples, sigmas, 1.0, "euler", 0)
    guider = CFGGuider.execute(model, PROMPT, NEGATIVE, 1.0).args[0]
    with pytest.raises(ValueError, match=f"noise: {way_out}"):
        SamplerCustomAdvanced.execute(noise, guider, KSamplerSelect.execute("euler").args[0], sigmas, latent)
    assert json.loads(report)["goes_on_with"] == "Inversion Sampler alone"
    anew = nodes["Img2ImgGuidedSampler"].execute(
        model, PROMPT, NEGATIVE, samples, sigmas, 1.0, "euler", 0, add_noise="enable"
    )
    assert torch.isfinite(anew.args[0]["samples"]).all()


def test_exact_comes_back_under_guidance_too(models, invert, back):
    model = models["eps"]
    latent = picture(model)
    inversion = invert(model, latent, "exact", cfg=7.5, negative=NEGATIVE)[0]
    assert error(model, back(model, inversion, cfg=7.5)[0], latent["samples"]) < 1e-6


def test_another_prompt_edits_and_a_mask_keeps(models, invert, back):
    model = models["eps"]
    latent = picture(model)
    inversion = invert(model, latent, "exact", strength=0.8)[0]
    mask = torch.zeros(1, 16, 12)
    mask[:, :8] = 1
    edited = back(model, inversion, cfg=4.0, prompt=random_conditioning(9))[0]
    masked = back(model, inversion, cfg=4.0, prompt=random_conditioning(9), mask=mask)[0]
    assert error(model, edited, latent["samples"]) > 1e-3
    assert torch.equal(masked[:, :, :8], edited[:, :, :8])
    assert torch.equal(masked[:, :, 8:], latent["samples"][:, :, 8:])


def test_a_run_back_says_whether_the_model_is_the_one_that_inverted(models, invert, back):
    """So that the halves of a pair (Wan's high and low), or a LoRA that is missing, are not mixed up unnoticed."""
    model = models["flow"]
    inversion = invert(model, picture(model), "multistep", steps=2)[0]
    assert back(model.clone(), inversion)[1]["inverted_by"] == "this model"
    other = random_model("flow", seed=1)
    patched = model.clone()
    name, weight = next(iter(patched.model.diffusion_model.named_parameters()))
    patched.add_patches({f"diffusion_model.{name}": ("diff", (torch.ones_like(weight),))}, 0.5)
    for another in (other, patched):
        assert back(another, inversion)[1]["inverted_by"] == "another model"


def test_grade_and_trajectory(models, invert):
    model = models["eps"]
    latent = picture(model)
    inversion, _, _, sigmas, report = invert(model, latent, "exact", steps=6, grade=True, keep_trajectory=True)
    facts = json.loads(report)
    assert facts["grade"]["latent_mse"] < 1e-9
    assert facts["verdict"]["level"] == "good"
    assert "should" not in facts["verdict"]["text"]
    assert len(inversion.trajectory) == len(sigmas)
    assert torch.equal(inversion.trajectory[0], inversion.state)
    clean = model.get_model_object("process_latent_in")(latent["samples"])
    assert torch.allclose(inversion.trajectory[-1].float(), clean)


@pytest.mark.parametrize("family", ["eps", "flow"])
@pytest.mark.parametrize("method", ["corrected", "exact", "pinned", "noise_maps", "ddim"])
def test_every_report_says_what_is_known_for_free(models, invert, family, method):
    """Without running back: what to expect at most, which the grade then confirms."""
    model = models[family]
    known, graded = (
        json.loads(invert(model, picture(model), method, steps=8, grade=grade)[4]) for grade in (False, True)
    )
    assert known["residual"] == graded["residual"]
    assert known["residual"]["step"] > 0
    # a random network exaggerates small differences, unlike a trained one
    assert graded["grade"]["latent_mse"] < 30 * known["residual"]["picture"] + 1e-9
    assert known["model_calls"] >= 8
    assert "should reproduce your picture" in known["verdict"]["text"]
    assert known["residual"]["meaning"]


def test_noise_maps_of_an_item_are_its_own(models, invert):
    model = models["eps"]
    latent = picture(model, 3)
    together = invert(model, latent, "noise_maps", steps=4)[0]
    alone = invert(model, {"samples": latent["samples"][1:2], "batch_index": [1]}, "noise_maps", steps=4)[0]
    assert torch.equal(together.state[1:2], alone.state)


def test_strength_zero_is_the_picture(models, invert, back):
    model = models["flow"]
    latent = picture(model)
    inversion, noise, _, sigmas, report = invert(model, latent, "corrected", strength=0.0)
    assert len(sigmas) == 0
    assert json.loads(report)["model_calls"] == 0
    assert torch.equal(noise["samples"], latent["samples"])
    assert torch.equal(back(model, inversion)[0], latent["samples"])


def test_bad_input_is_refused_with_a_way_out(models, invert, back):
    latent = picture(models["eps"])
    with pytest.raises(ValueError, match=r"negative: .*cfg is 7.5; connect"):
        invert(models["eps"], latent, "ddim", cfg=7.5)
    with pytest.raises(ValueError, match=r"method: 'magic' is unknown here; choose one of"):
        invert(models["eps"], latent, "magic")
    inversion = invert(models["eps"], latent, "ddim", steps=2)[0]
    with pytest.raises(ValueError, match="another family"):
        back(models["flow"], inversion)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["ddim", "noise_maps"])
def test_its_steps_lead_from_the_picture_to_a_noise_as_strong_as_the_model_sees_it(
    models, invert, nodes, family, method
):
    model = models[family]
    latent = picture(model, 2)
    inversion = invert(model, latent, method, keep_trajectory=True)[0]
    see = nodes["Img2ImgInversionSteps"].execute
    steps, every = (see(model, inversion, count).args[0]["samples"] for count in (4, 100))
    assert len(steps) == 2 * 4
    assert len(every) == 2 * len(inversion.sigmas)
    first, second = every.chunk(2)
    for chosen, own in zip(steps.chunk(2), (first, second), strict=True):
        torch.testing.assert_close(chosen, own[[0, 4, 8, 12]])
    torch.testing.assert_close(torch.stack([first[0], second[0]]), latent["samples"], rtol=1e-4, atol=1e-4)
    if method == "noise_maps":  # whose last state is the picture under unit noise
        into = model.get_model_object("process_latent_in")
        assert 0.5 < float(into(first[-1:]).std()) < 2


def test_a_path_that_was_not_kept_cannot_be_seen(models, invert, nodes):
    model = models["eps"]
    inversion = invert(model, picture(model), "ddim")[0]
    with pytest.raises(ValueError, match="switch keep_trajectory on"):
        nodes["Img2ImgInversionSteps"].execute(model, inversion, 6)


def test_nothing_inverted_is_one_step(models, invert, nodes):
    model = models["eps"]
    latent = picture(model)
    inversion = invert(model, latent, "ddim", strength=0.0, keep_trajectory=True)[0]
    samples = nodes["Img2ImgInversionSteps"].execute(model, inversion, 6).args[0]["samples"]
    assert torch.equal(samples, latent["samples"])
