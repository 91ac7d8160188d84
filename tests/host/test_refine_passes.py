"""Passes with settings of their own, recipes, and the drift meter, on real models."""

import json

import comfy.model_management
import psutil
import pytest
import torch
from comfy.weight_adapter import LoRAAdapter
from comfy_extras.nodes_custom_sampler import SamplerLMS
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from img2img_studio.core.color import match_channels
from img2img_studio.dev.models import random_conditioning, random_model, random_vae
from img2img_studio.host.model import model_fingerprint

POSITIVE, NEGATIVE, OTHER = (random_conditioning(seed) for seed in (1, 2, 3))


@pytest.fixture(scope="module")
def model():
    return random_model("eps")


@pytest.fixture
def latent():
    return {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))}


@pytest.fixture
def refine(nodes, model):
    def run(
        latent, strengths="0.6, 0.3", model=model, prompt=POSITIVE, sampler_name="euler_ancestral", seed=5, **options
    ):
        return nodes["ProgressiveRefine"].execute(
            model, prompt, NEGATIVE, latent, strengths, 3, 4.0, sampler_name, "normal", seed, "increment", **options
        ).args  # fmt: skip

    return run


def test_each_pass_has_its_own_prompt_cfg_steps_and_seed(nodes, model, latent, refine):
    one = nodes["Img2ImgRefinePass"].execute(0.6, 0, -1.0, -1).args[0]
    two = nodes["Img2ImgRefinePass"].execute(0.3, 2, 1.0, 77, OTHER, None, one).args[0]
    final, _, report = refine(latent, passes=two)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 3, 0.6).args[0]
    sample = nodes["Img2ImgGuidedSampler"].execute
    middle = sample(model, POSITIVE, NEGATIVE, latent, sigmas, 4.0, "euler_ancestral", 5).args[0]
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 2, 0.3).args[0]
    expected = sample(model, OTHER, NEGATIVE, middle, sigmas, 1.0, "euler_ancestral", 77).args[0]
    assert torch.equal(final["samples"], expected["samples"])
    said = [(one["steps"], one["cfg"], one["seed"]) for one in json.loads(report)["passes"]]
    assert said == [(3, 4.0, 5), (2, 1.0, 77)]


def test_a_recipe_runs_again_to_identical(latent, refine):
    report = refine(latent)[2]
    _, _, again = refine(latent, "1.0", recipe=report, sampler_name="heun")
    assert json.loads(again)["recipe_check"] == {"identical": True}
    assert json.loads(again)["result"] == json.loads(report)["result"]


def test_a_recipe_says_which_fact_differs(latent, refine):
    report = refine(latent)[2]
    touched = {"samples": latent["samples"].clone()}
    touched["samples"][0, 0, 0, 0] += 0.5
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    for options, fact in (
        ({"latent": touched}, "input"),
        ({"latent": latent, "model": random_model("eps", seed=9)}, "model"),
        ({"latent": latent, "prompt": OTHER}, "prompts"),
        ({"latent": latent, "mask": mask}, "mask"),
    ):
        check = json.loads(refine(**options, recipe=report)[2])["recipe_check"]
        assert check["identical"] is False
        assert check["differs"] == [fact]
        assert check["largest_difference"] > 0


def test_a_recipe_of_a_connected_sampler_needs_it_again(latent, refine):
    sampler = SamplerLMS.execute(2).args[0]
    report = refine(latent, sampler=sampler)[2]
    with pytest.raises(
        ValueError, match=r"recipe: it was made with a SAMPLER .*connected: sample_lms.*connect the same"
    ):
        refine(latent, recipe=report)
    assert json.loads(refine(latent, recipe=report, sampler=sampler)[2])["recipe_check"] == {"identical": True}


def test_the_fingerprint_of_a_model_is_the_same_loaded_and_not(model):
    fresh = random_model("eps")
    before = model_fingerprint(fresh)
    comfy.model_management.load_models_gpu([fresh])
    assert model_fingerprint(fresh) == before == model_fingerprint(model)
    patched = fresh.clone()
    patched.add_patches({"diffusion_model.out.2.weight": ("diff", (torch.ones(4, 32, 3, 3),))}, 0.5)
    assert model_fingerprint(patched) != before


def test_the_fingerprint_sees_what_is_in_a_lora(model):
    """Two LoRAs of one strength on the same weight differ by what is in them; the same one again does not."""

    def with_lora(seed, kind="lora"):
        generator = torch.Generator().manual_seed(seed)
        down, up = torch.randn(2, 32 * 9, generator=generator), torch.randn(4, 2, generator=generator)
        patch = LoRAAdapter(set(), (up, down, None, None, None, None)) if kind == "lora" else ("diff", (up @ down,))
        patched = model.clone()
        patched.add_patches({"diffusion_model.out.2.weight": patch}, 0.5)
        return model_fingerprint(patched)

    assert with_lora(1) == with_lora(1)
    assert len({with_lora(1), with_lora(2), with_lora(1, "diff"), with_lora(2, "diff")}) == 4


def test_the_fingerprint_sees_the_family(model):
    """Noise levels and weights are the same; what the model predicts is not."""
    v = ModelSamplingDiscrete().patch(model, "v_prediction", False)[0]
    assert model_fingerprint(v) != model_fingerprint(model)


def test_drift_is_measured_and_stops_in_time(nodes, latent, refine):
    vae = random_vae()
    out = nodes["ProgressiveRefine"].execute(
        random_model("eps"), POSITIVE, NEGATIVE, latent, "0.1, 0.9", 3, 4.0, "euler", "normal", 5, "increment", vae=vae
    )  # fmt: skip
    report = json.loads(out.args[2])
    first, second = (one["delta_e"] for one in report["passes"])
    assert 0 < first < second
    (shown,) = out.ui["img2img_before_after"]
    assert [pair["name"] for pair in shown["pairs"]] == ["pass 1: 0.1", "pass 2: 0.9"]
    assert f"colors moved by {second:.1f} Delta E" in shown["words"][1]
    between = (first + second) / 2
    final, every, stopped = refine(latent, "0.1, 0.9", vae=vae, max_drift=between, sampler_name="euler")
    stopped = json.loads(stopped)
    assert "pass 2 would move the colors by" in stopped["stopped"]
    assert len(stopped["passes"]) == 1
    assert torch.equal(final["samples"], every["samples"])


def test_matching_follows_every_pass(latent, refine):
    first = match_channels(refine(latent, "0.9")[0]["samples"], latent["samples"])
    assert torch.equal(refine(latent, "0.9", match_colors="latent")[0]["samples"], first)
    second = match_channels(refine({"samples": first}, "0.6", seed=6)[0]["samples"], latent["samples"])
    assert torch.equal(refine(latent, "0.9, 0.6", match_colors="latent")[0]["samples"], second)


def test_drift_without_a_vae_is_refused(latent, refine):
    with pytest.raises(ValueError, match=r"max_drift is 3.0, but colors are only seen with a VAE; connect vae"):
        refine(latent, max_drift=3.0)


@pytest.mark.parametrize(
    ("strengths", "message"), [("", "strengths is empty"), ("0.5, nan", "strengths: 'nan' at character 6")]
)
def test_wrong_strengths_are_refused(latent, refine, strengths, message):
    with pytest.raises(ValueError, match=message):
        refine(latent, strengths)


def test_many_passes_of_nothing_are_nothing(latent, refine):
    final, _, report = refine(latent, "0..0 x200")
    assert torch.equal(final["samples"], latent["samples"])
    assert json.loads(report)["model_calls"] == 0


def test_cancelling_in_the_second_pass_stops_at_once_and_harms_nothing(model, latent, refine, interrupted_at):
    undisturbed = refine(latent)[0]["samples"]
    watched, calls = interrupted_at(model, 5)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        refine(latent, model=watched)
    assert len(calls) == 5
    assert torch.equal(refine(latent)[0]["samples"], undisturbed)


def test_memory_does_not_grow_with_repeated_runs(latent, refine):
    process = psutil.Process()
    for _ in range(10):
        refine(latent)
    before = process.memory_info().rss
    for _ in range(100):
        refine(latent)
    assert process.memory_info().rss - before < 20e6


def test_batches_of_several_pictures_are_refined_each_on_its_own(latent, refine):
    batch = {"samples": torch.cat([latent["samples"], -latent["samples"]]), "batch_index": [0, 1]}
    together = refine(batch)[0]["samples"]
    alone = refine({"samples": -latent["samples"], "batch_index": [1]})[0]["samples"]
    assert torch.allclose(together[1:], alone, rtol=1e-3, atol=1e-3)
