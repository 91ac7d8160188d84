"""Scheduled prompts on real models: which prompt acts at which model call, recorded at the model."""

import comfy.controlnet
import pytest
import torch
from comfy.hooks import create_hook_lora, set_hooks_for_conditioning
from comfy_extras.nodes_custom_sampler import CFGGuider, KSamplerSelect, RandomNoise, SamplerCustomAdvanced
from img2img_studio.dev.models import random_conditioning, random_control_net, random_model

from nodes import ControlNetApplyAdvanced

NEGATIVE = random_conditioning(2)
PROMPTS = {"early": random_conditioning(3), "late": random_conditioning(4), "last": random_conditioning(5)}


@pytest.fixture(scope="module")
def models():
    return {name: random_model(name) for name in ("eps", "v", "flow", "flow shift 3", "zero-SNR v")}


def recorded(model):
    """A clone of the model, and the list of (sigma, names of the prompts) of each call it is asked."""
    calls = []

    def watch(apply, arguments):
        context = arguments["c"]["c_crossattn"]
        names = [
            name
            for place, is_negative in enumerate(arguments["cond_or_uncond"])
            for name, prompt in PROMPTS.items()
            if not is_negative and torch.equal(context[place], prompt[0][0][0])
        ]
        calls.append((float(arguments["timestep"][0]), names))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model = model.clone()
    model.set_model_unet_function_wrapper(watch)
    return model, calls


def by_sigma(calls):
    """Prompts per distinct call, those of one call run apart joined."""
    joined = []
    for sigma, names in calls:
        if joined and joined[-1][0] == sigma and not set(names) & set(joined[-1][1]):
            joined[-1][1].extend(names)
        else:
            joined.append((sigma, list(names)))
    return joined


def picture(model):
    form = model.get_model_object("latent_format")
    return {"samples": torch.randn(1, form.latent_channels, 8, 8, generator=torch.Generator().manual_seed(1))}


@pytest.fixture
def run(nodes):
    def go(model, conditioning, sampler, strength, steps=5):
        watched, calls = recorded(model)
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", steps, strength).args[0]
        nodes["Img2ImgGuidedSampler"].execute(watched, conditioning, NEGATIVE, picture(model), sigmas, 2.0, sampler, 1)
        return sigmas, by_sigma(calls)

    return go


@pytest.mark.parametrize("family", ["eps", "v", "zero-SNR v", "flow", "flow shift 3"])
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m", "dpmpp_sde"])
@pytest.mark.parametrize("strength", [0.2, 0.5, 1.0])
def test_the_prompt_of_each_call_is_what_the_share_says(nodes, models, run, family, sampler, strength):
    for switch_at in (0.0, 0.4, 1.0):
        scheduled = nodes["Img2ImgPromptSchedule"].execute(PROMPTS["early"], PROMPTS["late"], switch_at, 0.0).args[0]
        sigmas, calls = run(models[family], scheduled, sampler, strength)
        switch = float(sigmas[round(switch_at * 5)])
        assert calls
        for sigma, names in calls:
            assert names == (["late"] if sigma <= switch else ["early"])


def test_three_prompts_and_a_fade(nodes, models, run):
    schedule = nodes["Img2ImgPromptSchedule"].execute
    first = schedule(PROMPTS["early"], PROMPTS["late"], 0.2, 0.0).args[0]
    _, calls = run(models["eps"], schedule(first, PROMPTS["last"], 0.6, 0.0).args[0], "euler", 0.5)
    assert [names for _, names in calls] == [["early"], ["late"], ["late"], ["last"], ["last"]]
    _, calls = run(models["eps"], schedule(PROMPTS["early"], PROMPTS["late"], 0.6, 0.4).args[0], "euler", 0.5)
    assert [sorted(names) for _, names in calls] == [
        ["early"],
        ["early"],
        ["early", "late"],
        ["early", "late"],
        ["late"],
    ]


def test_with_sigmas_stock_samplers_follow_it(nodes, models):
    model, calls = recorded(models["flow"])
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 5, 0.5).args[0]
    scheduled = (
        nodes["Img2ImgPromptSchedule"].execute(PROMPTS["early"], PROMPTS["late"], 0.4, 0.0, model, sigmas).args[0]
    )
    guider = CFGGuider.execute(model, scheduled, NEGATIVE, 2.0).args[0]
    sampler = KSamplerSelect.execute("euler").args[0]
    SamplerCustomAdvanced.execute(RandomNoise.execute(1).args[0], guider, sampler, sigmas, picture(model))
    assert [names for _, names in by_sigma(calls)] == [["early"]] * 2 + [["late"]] * 3


def test_each_pass_and_variation_works_it_out_for_itself(nodes, models):
    model, calls = recorded(models["eps"])
    scheduled = nodes["Img2ImgPromptSchedule"].execute(PROMPTS["early"], PROMPTS["late"], 0.5, 0.0).args[0]
    expected = [["early"]] * 2 + [["late"]] * 2
    nodes["ProgressiveRefine"].execute(
        model, scheduled, NEGATIVE, picture(model), "0.7, 0.3", 4, 2.0, "euler", "karras", 1, "same"
    )
    assert [names for _, names in by_sigma(calls)] == expected * 2
    calls.clear()
    nodes["VariationBatch"].execute(
        model, scheduled, NEGATIVE, picture(model), 2, 0.5, 4, 2.0, "euler", "karras", 1, 1.0, strengths="0.8, 0.2"
    )
    assert [names for _, names in by_sigma(calls)] == expected * 2


def test_it_lives_beside_ranges_areas_and_masks(nodes, models, run):
    def with_options(name, **options):
        return [[PROMPTS[name][0][0], options]]

    early = with_options("early", start_percent=0.0, end_percent=1.0, strength=0.7, area=(8, 4, 0, 0))
    late = with_options("late", mask=torch.ones(1, 8, 8), mask_strength=0.5, set_area_to_bounds=False)
    scheduled = nodes["Img2ImgPromptSchedule"].execute(early, late, 0.4, 0.0).args[0]
    _, calls = run(models["eps"], scheduled, "euler", 0.5)
    assert [sorted(set(names)) for _, names in calls] == [["early"]] * 2 + [["late"]] * 3


def calls_of(model, look):
    """A clone of the model, and what `look` saw at each call, by the prompt that acted."""
    seen = {name: [] for name in PROMPTS}

    def watch(apply, arguments):
        for place, context in enumerate(arguments["c"]["c_crossattn"]):
            for name, prompt in PROMPTS.items():
                if torch.equal(context, prompt[0][0][0]):
                    seen[name].append(look(model, arguments["c"], place))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model = model.clone()
    model.set_model_unet_function_wrapper(watch)
    return model, seen


def halves(nodes, model, early, late):
    """Four steps, two under each prompt."""
    scheduled = nodes["Img2ImgPromptSchedule"].execute(early, late, 0.5, 0.0).args[0]
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 4, 0.6).args[0]
    nodes["Img2ImgGuidedSampler"].execute(model, scheduled, NEGATIVE, picture(model), sigmas, 2.0, "euler", 1)


def test_a_controlnet_stays_with_its_prompt(nodes, models):
    net = comfy.controlnet.ControlNet(random_control_net(), load_device=torch.device("cpu"))
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(3))
    held, _ = ControlNetApplyAdvanced().apply_controlnet(PROMPTS["early"], NEGATIVE, net, hint, 1.0, 0.0, 1.0)
    model, seen = calls_of(models["eps"], lambda _, c, place: bool(c.get("control")))
    halves(nodes, model, held, PROMPTS["late"])
    assert (seen["early"], seen["late"]) == ([True] * 2, [False] * 2)


def test_a_hook_stays_with_its_prompt(nodes, models):
    def last_weight(model):
        return model.model.diffusion_model.out[2].weight

    before = last_weight(models["eps"]).clone()
    hook = create_hook_lora({"diffusion_model.out.2.diff": torch.ones_like(before)}, 0.5, 0.0)
    late = set_hooks_for_conditioning(PROMPTS["late"], hook)
    model, seen = calls_of(models["eps"], lambda model, *_: float((last_weight(model) - before).mean()))
    halves(nodes, model, PROMPTS["early"], late)
    assert seen["early"] == [0.0] * 2
    assert seen["late"] == pytest.approx([0.5] * 2)
    assert torch.equal(last_weight(models["eps"]), before)
