"""What inversion promises: how close pictures of the demo world come back, the same bits each time, and no NaN."""

import json

import comfy.controlnet
import pytest
import torch
from img2img_studio.core.inversion_methods import METHODS
from img2img_studio.core.sheet import from_pillow
from img2img_studio.demo.scene import HELD_OUT_SEEDS, caption, random_attributes, scene
from img2img_studio.dev.models import FAMILIES, random_conditioning, random_control_net, random_model

import nodes as stock

PROMPT, NEGATIVE = random_conditioning(1), random_conditioning(2)
SCENE = HELD_OUT_SEEDS[3]


@pytest.fixture
def round_trip(nodes):
    """Up and down again by the nodes: the latent that comes back, and DDIMInvert's outputs."""

    def run(model, latent, method, steps, cfg=1.0, positive=PROMPT, negative=NEGATIVE):
        found = nodes["DDIMInvert"].execute(
            model, positive, latent, "normal", steps, 1.0, method, 3, cfg, 4, negative=negative
        )
        inversion = found.args[0]
        back = nodes["Img2ImgInversionSampler"].execute(model, positive, negative, inversion, cfg, 1.0)
        return back.args[0]["samples"], found.args

    return run


def random_picture(model, dtype=torch.float32):
    form = model.get_model_object("latent_format")
    shape = [1, form.latent_channels, *([3] if form.latent_dimensions == 3 else []), 8, 8]
    return {"samples": (torch.randn(shape, generator=torch.Generator().manual_seed(5)) / form.scale_factor).to(dtype)}


@pytest.fixture(scope="module")
def demo(nodes):
    """For each family its model, the latent of a held-out scene, its caption and the empty prompt."""
    found = {}
    with torch.inference_mode():
        for family in ("eps", "flow"):
            model, clip, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute(family).args
            attributes = random_attributes(SCENE)
            encode = stock.CLIPTextEncode().encode
            prompts = encode(clip, caption(attributes, SCENE))[0], encode(clip, "")[0]
            found[family] = model, {"samples": vae.encode(from_pillow(scene(attributes, SCENE)))}, *prompts
    return found


BARS = [
    ("exact", 20, 1.0, 1e-8), ("exact", 50, 1.0, 1e-8), ("exact", 50, 7.5, 1e-6),
    ("pinned", 20, 1.0, 1e-8), ("noise_maps", 50, 1.0, 1e-8), ("corrected", 50, 1.0, 2e-5),
]  # fmt: skip


@pytest.mark.parametrize("family", ["eps", "flow"])
@pytest.mark.parametrize(("method", "steps", "cfg", "bar"), BARS)
def test_a_scene_of_the_demo_world_comes_back(demo, round_trip, family, method, steps, cfg, bar):
    model, latent, positive, negative = demo[family]
    back, _ = round_trip(model, latent, method, steps, cfg, positive, negative)
    into = model.get_model_object("process_latent_in")
    assert float((into(back) - into(latent["samples"])).double().square().mean()) <= bar


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_correcting_never_runs_away(demo, nodes, family):
    """Under guidance plain iteration diverges: the noise stays as strong as noise is, and the result gets better."""
    model, latent, positive, negative = demo[family]
    errors = {}
    for iterations in (1, 12):
        found = nodes["DDIMInvert"].execute(
            model, positive, latent, "normal", 10, 1.0, "corrected", iterations, 7.5, 4, negative=negative, grade=True
        )
        errors[iterations] = json.loads(found.args[4])["grade"]["latent_mse"]
        assert float(found.args[0].state.std() / found.args[3][0]) < 5
    assert errors[12] < errors[1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_one_step_works(round_trip, family, method):
    model = random_model(family)
    back, (_, noise, _, sigmas, _) = round_trip(model, random_picture(model), method, 1)
    assert len(sigmas) == 2
    assert torch.isfinite(back).all()
    assert torch.isfinite(noise["samples"]).all()


@pytest.mark.parametrize("family", ["eps", "zero-SNR v", "flow", "video flow"])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_stays_finite(round_trip, family, method):
    model = random_model(family, dtype=torch.float16)
    back, (_, noise, *_) = round_trip(model, random_picture(model, torch.float16), method, 4)
    assert torch.isfinite(back).all()
    assert torch.isfinite(noise["samples"]).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_re_run_after_other_prompts_gives_the_same_bits(round_trip, method):
    """What another run leaves behind, in the model or in torch's generators, does not come in."""
    model = random_model("eps")
    latent = random_picture(model)
    first, (_, first_noise, *_) = round_trip(model, latent, method, 3)
    round_trip(model, latent, method, 5, 4.0, random_conditioning(7), random_conditioning(8))
    torch.manual_seed(99)
    again, (_, again_noise, *_) = round_trip(model, latent, method, 3)
    assert torch.equal(first, again)
    assert torch.equal(first_noise["samples"], again_noise["samples"])


@pytest.mark.parametrize("method", ["exact", "pinned", "noise_maps"])
def test_a_control_net_is_the_same_both_ways(round_trip, method):
    """For a part of the run too: its window is one of sigmas, and both ways ask at the same ones."""
    model = random_model("eps")
    network = comfy.controlnet.ControlNet(random_control_net(), load_device=torch.device("cpu"))
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(3))
    held = stock.ControlNetApplyAdvanced().apply_controlnet(PROMPT, NEGATIVE, network, hint, 1.0, 0.2, 0.7)
    latent = random_picture(model)
    back, (found, *_) = round_trip(model, latent, method, 6, 1.0, *held)
    into = model.get_model_object("process_latent_in")
    assert float((into(back) - into(latent["samples"])).square().mean()) < 1e-8
    bare = round_trip(model, latent, method, 6)[1][0]
    assert not torch.equal(
        torch.stack(found.corrections or (found.state,)), torch.stack(bare.corrections or (bare.state,))
    )
