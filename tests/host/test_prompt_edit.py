"""Edits by words on real models: what both prompts agree about stays, in every family, under masks and patches."""

import json

import comfy.controlnet
import pytest
import torch
from comfy_extras.nodes_model_advanced import RescaleCFG
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from img2img_studio.dev.models import FAMILIES, random_conditioning, random_control_net, random_model

from nodes import ConditioningSetTimestepRange, ControlNetApplyAdvanced

SOURCE, TARGET, NEGATIVE = (random_conditioning(seed) for seed in (1, 2, 3))
USUAL = [name for name in FAMILIES if name not in ("inpaint", "x4 upscaler")]


def picture(model, batch=1, seed=5):
    form = model.get_model_object("latent_format")
    shape = [batch, form.latent_channels, *([3] if form.latent_dimensions == 3 else []), 16, 12]
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(seed)) / form.scale_factor}


@pytest.fixture
def edit(nodes):
    def run(model, latent, source=SOURCE, target=TARGET, **options):
        values = {"steps": 4, "strength": 0.8, "cfg": 1.0, "source_cfg": 1.0, "seed": 7} | options
        out = nodes["Img2ImgPromptEdit"].execute(
            model=model, source=source, positive=target, negative=NEGATIVE, latent=latent, scheduler="normal", **values
        )
        return out.args[0]["samples"], out.args[1], json.loads(out.args[2])

    return run


def counted(model):
    """A clone of the model, and the batch sizes that it is asked for."""
    asked, model = [], model.clone()

    def watch(apply, arguments):
        asked.append(len(arguments["input"]))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(watch)
    return model, asked


def decibels(samples, clean):
    return float(
        10 * torch.log10((clean.max() - clean.min()) ** 2 / (samples - clean).square().mean().clamp_min(1e-20))
    )


@pytest.mark.parametrize("cfg", [(1.0, 1.0), (4.0, 1.0), (4.0, 4.0), (7.5, 2.0)])
@pytest.mark.parametrize("family", USUAL)
def test_equal_prompts_give_the_picture_back(edit, family, cfg):
    model = random_model(family)
    latent = picture(model)
    samples, _, report = edit(model, latent, target=SOURCE, cfg=cfg[0], source_cfg=cfg[1])
    assert decibels(samples, latent["samples"]) > 60
    assert report["model_calls"] == report["planned_calls"] == 4 * (2 if cfg[0] == cfg[1] else 3)
    changed = edit(model, latent, cfg=cfg[0], source_cfg=cfg[1])[0]
    assert torch.isfinite(changed).all()
    if family != "video flow":  # its random weights heed no prompt, and those of the others but little
        assert decibels(changed, latent["samples"]) < decibels(samples, latent["samples"]) - 20


def test_strength_0_and_an_empty_mask_give_the_bits_back_without_a_call(edit):
    model = random_model("eps")
    latent = picture(model)
    for options in ({"strength": 0.0}, {"mask": torch.zeros(1, 16, 12)}):
        samples, _, report = edit(model, latent, **options)
        assert torch.equal(samples, latent["samples"])
        assert report["model_calls"] == 0


@pytest.mark.parametrize("family", ["eps", "flow", "video flow"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("finish", [0.0, 0.5])
def test_where_a_mask_is_0_the_latent_keeps_its_bits(edit, family, soft, finish):
    model = random_model(family)
    latent, mask = picture(model), torch.zeros(1, 16, 12)
    mask[:, 4:12, 3:9] = torch.linspace(0.2, 1, 6) if soft else 1.0
    samples = edit(model, latent, mask=mask, finish=finish)[0]
    outside = (mask == 0).expand_as(samples)
    assert torch.equal(samples[outside], latent["samples"][outside])
    assert bool((samples[~outside] != latent["samples"][~outside]).any())


def test_the_same_bits_twice_and_each_picture_is_edited_as_if_it_were_alone(edit):
    model = random_model("eps")
    latent = picture(model, batch=3)
    together = edit(model, latent, averages=2)[0]
    assert torch.equal(together, edit(model, latent, averages=2)[0])
    alone = edit(model, {"samples": latent["samples"][1:2], "batch_index": [1]}, averages=2)[0]
    assert torch.allclose(together[1:2], alone, atol=1e-4 * float(alone.abs().max()))
    another = edit(model, {"samples": latent["samples"][1:2], "batch_index": [2]}, averages=2)[0]
    assert not torch.allclose(together[1:2], another, atol=1e-2)


def test_each_picture_of_a_batch_has_its_own_pair_of_prompts(edit):
    model = random_model("eps")
    latent = picture(model, batch=2)
    sources, targets = ([random_conditioning(10 + offset + item) for item in range(2)] for offset in (0, 2))

    def joined(prompts):
        return [[torch.cat([prompt[0][0] for prompt in prompts]), {}]]

    for cfg in (1.0, 4.0):
        together = edit(model, latent, joined(sources), joined(targets), cfg=cfg)[0]
        for item in range(2):
            one = {"samples": latent["samples"][item : item + 1], "batch_index": [item]}
            alone = edit(model, one, sources[item], targets[item], cfg=cfg)[0]
            assert torch.allclose(together[item : item + 1], alone, atol=1e-4 * float(alone.abs().max()))


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_in_half_precision(edit, family):
    """What it edits in single precision, to the rounding of half; and equal prompts still give the picture back."""
    half, single = (random_model(family, dtype=dtype) for dtype in (torch.float16, torch.float32))
    latent = picture(half)
    expected = edit(single, latent)[0]
    samples = edit(half, latent)[0]
    assert decibels(samples, expected) > 40
    assert decibels(edit(half, latent, target=SOURCE, cfg=4.0)[0], latent["samples"]) > 60


def test_both_prompts_are_asked_together(edit):
    model, asked = counted(random_model("eps"))
    edit(model, picture(model))
    assert asked == [2] * 4
    asked.clear()
    edit(model, picture(model), cfg=4.0)  # besides, the source prompt about the edited state
    assert asked == [3] * 4
    asked.clear()
    edit(model, picture(model), averages=3)
    assert asked == [2] * 12
    asked.clear()
    report = edit(model, picture(model), cfg=4.0, source_cfg=2.0, averages=2, finish=0.5)[2]
    assert asked == [3, 2] * 4 + [2] * 2  # both negatives besides; at the end the target prompt and its negative alone
    assert report["model_calls"] == report["planned_calls"] == 3 * 4 + 2


def test_prompts_that_cannot_be_asked_together_are_asked_one_after_the_other(edit):
    """A range over the whole run changes nothing but how they are asked."""
    model, asked = counted(random_model("eps"))
    (ranged,) = ConditioningSetTimestepRange().set_range(TARGET, 0.0, 1.0)
    expected = edit(model, picture(model))[0]
    asked.clear()
    samples = edit(model, picture(model), target=ranged)[0]
    assert asked == [1] * 8
    assert torch.allclose(samples, expected, atol=1e-4 * float(expected.abs().max()))


def test_too_little_memory_for_both_asks_one_after_the_other(edit, monkeypatch):
    model, asked = counted(random_model("eps"))
    expected = edit(model, picture(model))[0]
    monkeypatch.setattr("img2img_studio.host.edit._fits", lambda *arguments: False)
    asked.clear()
    samples = edit(model, picture(model))[0]
    assert asked == [1] * 8
    assert torch.allclose(samples, expected, atol=1e-4 * float(expected.abs().max()))


def test_a_control_net_on_either_prompt_takes_part(edit):
    model = random_model("eps")
    latent, hint = picture(model), torch.rand(1, 128, 96, 3, generator=torch.Generator().manual_seed(1))
    control = comfy.controlnet.ControlNet(random_control_net(), load_device=torch.device("cpu"), manual_cast_dtype=None)
    source, target = ControlNetApplyAdvanced().apply_controlnet(SOURCE, TARGET, control, hint, 1.0, 0.0, 1.0)
    plain = edit(model, latent)[0]
    for prompts in ((source, target), (SOURCE, target), (source, TARGET)):
        samples = edit(model, latent, *prompts)[0]
        assert torch.isfinite(samples).all()
        assert not torch.allclose(samples, plain, atol=1e-4)
    same = edit(model, latent, source, source)[0]
    assert decibels(same, latent["samples"]) > 60


@pytest.mark.parametrize("patch", ["RescaleCFG", "PAG"])
def test_patches_of_the_guidance_act(edit, patch):
    model = random_model("eps")
    patched = {
        "RescaleCFG": lambda: RescaleCFG().patch(model, 0.7)[0],
        "PAG": lambda: PerturbedAttentionGuidance.execute(model, 3.0)[0],
    }[patch]()
    latent = picture(model)
    samples = edit(patched, latent, cfg=4.0)[0]
    assert torch.isfinite(samples).all()
    assert not torch.allclose(samples, edit(model, latent, cfg=4.0)[0], atol=1e-4)


def test_a_function_before_the_guidance_is_refused_by_its_name(edit):
    model = random_model("eps")

    def reorder(arguments):
        return arguments["conds_out"]

    model.set_model_sampler_pre_cfg_function(reorder)
    with pytest.raises(ValueError, match=r"model: it carries .*reorder, which works on the prompts of a plain run"):
        edit(model, picture(model))


@pytest.mark.parametrize("family", ["eps", "flow", "video flow"])
def test_the_found_mask_bounds_the_edit(edit, nodes, family):
    model = random_model(family)
    latent = picture(model)
    shown, used = (edit(model, latent, find_mask=kind, threshold=1.0) for kind in ("show", "use"))
    planes = latent["samples"].shape[2] if latent["samples"].ndim == 5 else 1
    for _, mask, _ in (shown, used):
        assert mask.shape == (planes, 128, 96)
        assert 0.0 <= float(mask.min()) <= float(mask.max()) <= 1.0
        assert family != "eps" or float(mask.max()) > 0.5  # the others' random weights hardly heed a prompt
    assert torch.equal(shown[0], edit(model, latent)[0])  # showing it costs nothing and changes nothing
    assert used[2]["model_calls"] == 8 + 14
    found = nodes["Img2ImgPromptMask"].execute(model, SOURCE, TARGET, latent, "normal", 7, 1.0)
    assert torch.equal(found.args[0], used[1])
    assert json.loads(found.args[1])["model_calls"] == 14
    assert float(edit(model, latent)[1].min()) == 1.0  # without, the whole picture


def test_a_noised_latent_is_refused(edit, nodes):
    model = random_model("eps")
    noised = nodes["SDEditNoise"].execute(model, picture(model), torch.tensor([1.0, 0.0]), 3).args[0]
    with pytest.raises(ValueError, match="latent: it is already noised"):
        edit(model, noised)


def test_inputs_model_and_random_state_stay_as_they_were(edit):
    model = random_model("eps")
    latent = picture(model)
    before, options, state = latent["samples"].clone(), dict(model.model_options), torch.get_rng_state()
    edit(model, latent, find_mask="use", cfg=3.0)
    assert torch.equal(latent["samples"], before)
    assert model.model_options == options
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("radius", [0, 5])
def test_detail_comes_back_where_the_edit_left_the_picture_alone(nodes, radius):
    """A blurred copy stands for the VAE's own loss; the edit tints one half of it."""
    generator = torch.Generator().manual_seed(2)
    original = torch.rand(1, 48, 64, 3, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(original.movedim(-1, 1), 3, 1, 1, count_include_pad=False).movedim(1, -1)
    edited = blurred.clone()
    edited[:, :, 32:] = edited[:, :, 32:] * 0.5 + 0.25
    out = nodes["Img2ImgRestoreDetail"].execute(original, edited, restored_from=blurred, radius=radius)
    report = json.loads(out.args[1])
    assert torch.equal(out.args[0][:, :, :16], original[:, :, :16])
    wanted = original[:, :, 48:] * 0.5 + 0.25
    assert float((out.args[0][:, :, 48:] - wanted).abs().mean()) < 0.02
    assert report["kept"] + report["stands"] + report["fitted"] == pytest.approx(1.0)
    assert report["radius"] == (radius or 3)


def test_restoring_refuses_pictures_of_another_size(nodes):
    with pytest.raises(ValueError, match="original, edited, restored_from: they must be of one size"):
        nodes["Img2ImgRestoreDetail"].execute(torch.rand(1, 16, 16, 3), torch.rand(1, 24, 16, 3))
