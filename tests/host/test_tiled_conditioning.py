"""Conditioning that belongs to places of the picture is cut along with the tiles."""

import comfy.controlnet
import comfy.sampler_helpers
import comfy.utils
import pytest
import torch
from comfy_extras.nodes_sdupscale import SD_4XUpscale_Conditioning
from img2img_studio import host
from img2img_studio.core.tiles import plan_tiles
from img2img_studio.dev.models import random_conditioning, random_control_net, random_model, random_vae
from img2img_studio.host.tiling import area_mask

import nodes as stock

HEIGHT, WIDTH = 20, 28
GRID = plan_tiles(HEIGHT, WIDTH, 12, 4)
POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)


def random(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def single_pixels(_, call):
    """A model whose answer for a pixel depends on that pixel, its prompt and what lies on it."""
    own = call["c"]
    out = call["input"] * 0.5 + own["c_crossattn"].mean((1, 2)).reshape(-1, 1, 1, 1)
    return out + own["c_concat"].mean(1, keepdim=True) if "c_concat" in own else out


@pytest.fixture
def sample(nodes):
    def run(model, positive, negative=NEGATIVE, grid=GRID, batch=1):
        samples = random(batch, 4, HEIGHT, WIDTH, seed=3) - 0.5
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", 2, 0.7).args[0]
        start = host.Start(samples, host.draw_noise(samples, 3), [(3, item) for item in range(batch)])
        chosen, area = host.Sampler.chosen("euler"), host.run_mask(None, samples.shape)
        guidance = host.Guidance(model, positive, negative, 2.0)
        guidance = guidance if grid is None else host.tiled(guidance, grid)
        return host.sample(guidance, chosen, sigmas, start, area, host.Progress(model, 2))

    return run


def placed(**options):
    """A prompt for the whole picture, and one for a place."""
    return [*POSITIVE, [random_conditioning(4)[0][0], options]]


AREA = {"area": (8, 9, 5, 3)}
PLACES = {
    "area": placed(**AREA, strength=0.7),
    "area at the picture's corner": placed(area=(12, 16, 8, 12)),
    "area in percent": placed(area=("percentage", 0.5, 0.4, 0.2, 0.5)),
    "mask": placed(mask=random(1, HEIGHT, WIDTH), mask_strength=0.8),
    "mask of another size": placed(mask=random(1, 64, 64)),
    "mask and area": placed(**AREA, mask=random(1, HEIGHT, WIDTH)),
    "only a part": [[POSITIVE[0][0], AREA]],
    "a mask for each picture": placed(mask=random(2, HEIGHT, WIDTH)),
    "a prompt for each picture": [[random(2, 7, 32), {}]],
}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", PLACES)
def test_places_act_as_in_one_piece(sample, name, batch):
    model = random_model("eps")
    model.set_model_unet_function_wrapper(single_pixels)
    whole, tiled = (sample(model, PLACES[name], grid=grid, batch=batch).samples for grid in (None, GRID))
    assert torch.allclose(tiled, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("inpaint", {"concat_latent_image": random(1, 4, HEIGHT, WIDTH), "concat_mask": random(1, 1, 160, 224)}),
        ("x4 upscaler", {"concat_image": random(2, 3, HEIGHT, WIDTH), "noise_augmentation": 0.3}),
    ],
)
def test_pictures_beside_the_noise_are_cut_along(sample, family, options):
    model = random_model(family)
    model.set_model_unet_function_wrapper(single_pixels)
    prompts = [[[one[0][0], options]] for one in (POSITIVE, NEGATIVE)]
    whole, tiled = (sample(model, *prompts, grid=grid, batch=2).samples for grid in (None, GRID))
    assert torch.allclose(tiled, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


def test_prompts_without_a_share_of_a_tile_cost_nothing(sample):
    model, sizes = random_model("eps"), []

    def watch(apply, call):
        sizes.append(len(call["input"]))
        return apply(call["input"], call["timestep"], **call["c"])

    model.set_model_unet_function_wrapper(watch)
    sample(model, placed(area=(4, 4, 0, 0)))
    # Two steps of six tiles: prompt and negative for each. The small area, for which the host sets a negative of its
    # own, lies in the first group of four alone.
    assert len(GRID) == 6
    assert sum(sizes) == 2 * (6 * 2 + 4 * 2)


def test_a_control_net_sees_the_part_of_its_picture_that_lies_under_the_tile(sample):
    model, network = random_model("eps"), random_control_net()
    seen = []
    network.register_forward_pre_hook(lambda _, __, named: seen.append(named["hint"]), with_kwargs=True)
    chain = [comfy.controlnet.ControlNet(network, load_device=torch.device("cpu")) for _ in range(2)]
    hint = random(1, 90, 120, 3)
    prompts = POSITIVE, NEGATIVE
    for one in chain:
        prompts = stock.ControlNetApplyAdvanced().apply_controlnet(*prompts, one, hint, 1.0, 0.0, 1.0)
    controlled = sample(model, *prompts).samples
    large = comfy.utils.common_upscale(hint.movedim(-1, 1), WIDTH * 8, HEIGHT * 8, "nearest-exact", "center")
    pixels = GRID.scaled(8)
    tiles = [pixels.cut(large, place)[0] for place in pixels]
    # Each step: four tiles together, then two; both ControlNets; prompt and negative answered together.
    expected = [torch.stack(2 * group) for group in (tiles[:4], tiles[4:]) for _ in range(2)]
    assert len(seen) == 2 * len(expected)
    assert all(map(torch.equal, seen, 2 * expected))
    assert not torch.equal(controlled, sample(model, POSITIVE).samples)


@pytest.mark.parametrize("family", ["inpaint", "x4 upscaler"])
def test_models_with_a_picture_beside_the_noise_refine(nodes, family):
    model, vae, image = random_model(family), random_vae(), random(1, 24, 32, 3)
    if family == "x4 upscaler":
        positive, negative, _ = SD_4XUpscale_Conditioning.execute(image, POSITIVE, NEGATIVE, 4.0, 0.1).args
    else:
        mask = (random(1, 24, 32) > 0.5).float()
        positive, negative, _ = stock.InpaintModelConditioning().encode(POSITIVE, NEGATIVE, image, vae, mask)
    values = (image, vae, model, positive, negative, 4.0, 0.5, 2, 3.0, "euler", "normal", 5, 64, 16)
    made = nodes["Img2ImgTiledRefine"].execute(*values).args[0]
    plain = nodes["Img2ImgTiledRefine"].execute(*values[:3], POSITIVE, NEGATIVE, *values[5:]).args[0]
    assert made.shape == (1, 96, 128, 3)
    assert torch.isfinite(made).all()
    assert not torch.equal(made, plain)


@pytest.mark.parametrize(
    ("options", "what"),
    [({"gligen": ("position", None, [])}, "GLIGEN boxes"), ({"reference_latents": [random(1, 4, 8, 8)]}, "a refer")],
)
def test_what_belongs_to_the_whole_picture_is_refused(sample, options, what):
    with pytest.raises(ValueError, match=rf"positive: it carries {what}.* make tile as large as the enlarged picture"):
        sample(random_model("eps"), [[POSITIVE[0][0], options]])


def test_a_control_of_another_making_is_refused_by_its_name(sample):
    class ForeignControl:
        previous_controlnet = None

    with pytest.raises(ValueError, match=r"positive: it carries a ForeignControl of another pack's making"):
        sample(random_model("eps"), [[POSITIVE[0][0], {"control": ForeignControl()}]])


def test_a_model_that_is_already_cut_into_windows_is_refused(sample):
    model = random_model("eps")
    model.model_options["context_handler"] = object()
    with pytest.raises(ValueError, match="model: another node lets it work in context windows"):
        sample(model, POSITIVE)


def test_nodes_behind_the_cfg_see_the_whole_latent_and_the_model_stays_as_it_was(sample):
    model, seen = random_model("eps"), []
    model.set_model_sampler_post_cfg_function(
        lambda arguments: seen.append(arguments["denoised"].shape) or arguments["denoised"]
    )
    before = dict(model.model_options)
    sample(model, POSITIVE)
    assert seen == [torch.Size([1, 4, HEIGHT, WIDTH])] * 2
    assert model.model_options == before
    assert "context_handler" not in model.model_options


def test_room_is_made_for_a_tile_and_not_for_the_whole_picture(sample, monkeypatch):
    shapes, estimate = [], comfy.sampler_helpers.estimate_memory

    def watch(model, shape, conds):
        shapes.append(list(shape))
        return estimate(model, shape, conds)

    monkeypatch.setattr(comfy.sampler_helpers, "estimate_memory", watch)
    sample(random_model("eps"), POSITIVE)
    assert shapes == [[1, 4, 12, 12]]


def test_an_area_fades_inside_the_picture_and_not_at_its_border():
    mask = area_mask((16, 8, 4, 0), (32, 24), faded=True)
    assert torch.equal(mask[:4], torch.zeros(4, 24))
    assert torch.equal(mask[4:8, 0], torch.tensor([0.25, 0.5, 0.75, 1.0]))
    assert torch.equal(mask[10, :9], torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]))
    assert torch.equal(area_mask((16, 8, 4, 0), (2, 32, 24), faded=False)[1, 4:20, :8], torch.ones(16, 8))
    assert not area_mask((4, 4, 40, 40), (32, 24), faded=True).any()
