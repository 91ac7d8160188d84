"""KeepUnmasked, OutpaintCanvas and TiledRefine on real models."""

import itertools
import json

import comfy.model_management
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from comfy_extras.nodes_upscale_model import ImageUpscaleWithModel
from img2img_studio import host
from img2img_studio.core.fit import Size, resize
from img2img_studio.core.inversion_methods import FOLLOWED, METHODS
from img2img_studio.core.sheet import from_pillow
from img2img_studio.core.tiles import plan_tiles
from img2img_studio.demo.scene import HELD_OUT_SEEDS, random_attributes, scene
from img2img_studio.dev.models import random_conditioning, random_model, random_vae
from spandrel import ModelLoader
from spandrel.architectures.Compact import Compact

import nodes as stock

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)


def picture(height, width, batch=1, channels=3):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(height + width))


def box(height, width):
    mask = torch.zeros(1, height, width)
    mask[:, height // 4 : height // 2, width // 4 : width // 2] = 1
    return mask


@pytest.mark.parametrize("feather", [0, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_outside_the_mask_nothing_changes(nodes, feather, batch):
    original, edited, mask = picture(32, 40), picture(32, 40, batch) * 0.5, box(32, 40)
    image, report = nodes["Img2ImgKeepUnmasked"].execute(original, edited, mask, feather).args
    facts = json.loads(report)
    reach = torch.nn.functional.max_pool2d(mask, 2 * feather + 1, 1, feather)
    for one in image:
        assert torch.equal(one[reach[0] == 0], original[0][reach[0] == 0])
    assert torch.equal(image[0][mask[0] == 1], edited[0][mask[0] == 1])
    assert facts["outside"]["changed"] == facts["outside"]["changed_8bit"] == 0
    assert facts["outside"]["largest_difference"] == 0
    assert facts["outside"]["pixels"] + facts["inside"]["pixels"] == batch * 32 * 40
    assert facts["inside"]["changed"] > 0


def test_feather_is_what_blend_means_where_nothing_is_said(nodes):
    """Workflows saved before there was a blend give the bits that they always gave."""
    keep, values = nodes["Img2ImgKeepUnmasked"], (picture(32, 40), picture(32, 40) * 0.5, box(32, 40))
    for feather in (0, 3):
        assert torch.equal(keep.execute(*values, feather).args[0], keep.execute(*values, feather, "feather").args[0])
    assert torch.equal(keep.execute(*values, 0).args[0], keep.execute(*values, 3, "hard").args[0])


def disc(radius, side=64):
    at = torch.arange(side) - side // 2
    return ((at[:, None] ** 2 + at**2) <= radius**2).float()[None]


def test_a_ring_is_filled_before_it_grows(nodes):
    adjust = nodes["Img2ImgAdjustMask"].execute
    ring = disc(20) - disc(14)
    assert torch.equal(adjust(ring, 0, 0, False).args[0], ring)
    assert torch.equal(adjust(ring, 0, 0, True).args[0], disc(20))
    assert torch.equal(adjust(ring, 5, 0, True).args[0], adjust(disc(20), 5, 0, False).args[0])
    opened = ring.clone()
    opened[:, 30:34, :32] = 0
    assert torch.equal(adjust(opened, 0, 0, True).args[0], opened)
    faint = 0.4 * ring
    assert torch.equal(adjust(faint, 0, 0, True).args[0], faint)


@pytest.mark.parametrize("blur", [1, 4, 9])
def test_a_blurred_border_is_half_at_the_border_and_done_where_it_says(nodes, blur):
    half = torch.zeros(1, 20, 64)
    half[:, :, 32:] = 1
    soft, report = nodes["Img2ImgAdjustMask"].execute(half, 0, blur, False).args
    assert bool((soft.diff(dim=2) >= 0).all())
    assert torch.allclose(soft + soft.flip(2), torch.ones(()), atol=2 / 65535)
    assert torch.equal(soft[:, :, : 32 - blur - 1], half[:, :, : 32 - blur - 1])
    assert torch.equal(soft[:, :, 32 + blur + 1 :], half[:, :, 32 + blur + 1 :])
    assert float(soft[0, 0, 32]) < 1
    assert json.loads(report)["share"] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_seamless_edit_meets_the_original_and_changes_nothing_outside(nodes, channels):
    original, mask = picture(48, 56, channels=channels) * 0.5, box(48, 56)
    darker = original[..., :3] * 0.9 + 0.3
    image, report = nodes["Img2ImgKeepUnmasked"].execute(original, darker, mask, 5, "seamless").args
    facts = json.loads(report)
    assert torch.equal(image[mask == 0], original[mask == 0])
    assert facts["outside"]["changed"] == facts["outside"]["changed_8bit"] == 0
    assert facts["outside"]["pixels"] == int((mask == 0).sum())
    assert (facts["blend"], facts["feather"]) == ("seamless", 0)
    shift = (image[..., :3] - darker)[mask == 1]  # the edit is 0.25 to 0.3 brighter everywhere
    assert float(shift.max()) < -0.24
    assert float(shift.min()) > -0.31


def test_transparency_is_the_originals(nodes):
    original = picture(16, 16, channels=4)
    image = nodes["Img2ImgKeepUnmasked"].execute(original, picture(16, 16), torch.ones(1, 8, 8), 0).args[0]
    assert torch.equal(image[..., 3], original[..., 3])
    assert torch.equal(image[..., :3], picture(16, 16))


def test_pictures_of_different_sizes_are_refused(nodes):
    with pytest.raises(
        ValueError,
        match=r"edited: it is \d+ x \d+ pixels, but the original is \d+ x \d+ pixels; bring both to one size",
    ):
        nodes["Img2ImgKeepUnmasked"].execute(picture(16, 16), picture(16, 24), torch.ones(1, 8, 8), 0)


@pytest.mark.parametrize("sides", [(8, 0, 0, 0), (0, 3, 5, 0), (7, 7, 7, 7), (0, 0, 0, 0)])
@pytest.mark.parametrize("fill", ["edge", "reflect", "mean"])
@pytest.mark.parametrize("multiple", [1, 8])
def test_the_old_picture_stays_on_a_larger_canvas(nodes, sides, fill, multiple):
    image = picture(20, 28)
    left, top, right, bottom = sides
    canvas, mask = nodes["Img2ImgOutpaintCanvas"].execute(image, left, top, right, bottom, 0, fill, multiple).args
    assert canvas.shape[1] % multiple == canvas.shape[2] % multiple == 0
    assert canvas.shape[1] - 20 >= top + bottom
    assert torch.equal(canvas[mask == 0].reshape(image.shape), image)
    assert int((mask == 1).sum()) == canvas[..., 0].numel() - 20 * 28
    if not top:
        assert float(mask[0, 0].min()) == 0.0


def test_feather_reaches_into_the_old_picture(nodes):
    _, mask = nodes["Img2ImgOutpaintCanvas"].execute(picture(16, 16), 0, 0, 8, 0, 4, "edge").args
    row = mask[0, 8]
    assert row[:12].max() == 0
    assert bool((row[11:17].diff() >= 0).all())
    assert 0 < row[13] < 1


@pytest.mark.parametrize("family", ["eps", "flow"])
@pytest.mark.parametrize("feather", [0, 4])
def test_inpainting_scenes_changes_nothing_outside(nodes, family, feather):
    """The whole chain on the demo world; benchmarks/inpaint.py does it on fifty scenes and looks inside as well."""
    model, clip, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute(family).args
    seeds = HELD_OUT_SEEDS[:3]
    original = torch.cat([from_pillow(scene(random_attributes(seed), seed)) for seed in seeds])
    mask = torch.zeros(3, 128, 128)
    for one, (top, left) in zip(mask, ((40, 24), (64, 48), (33, 71)), strict=True):
        one[top : top + 45, left : left + 50] = 1
    red, empty = (stock.CLIPTextEncode().encode(clip, text)[0] for text in ("a red house", ""))
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 2, 0.8).args[0]
    latent = stock.VAEEncode().encode(vae, original)[0]
    noised = nodes["SDEditNoise"].execute(model, latent, sigmas, 3, mask).args[0]
    painted = nodes["Img2ImgGuidedSampler"].execute(model, red, empty, noised, sigmas, 4.0, "euler", 3).args[0]
    edited = stock.VAEDecode().decode(vae, painted)[0]
    image, report = nodes["Img2ImgKeepUnmasked"].execute(original, edited, mask, feather).args
    facts = json.loads(report)
    assert facts["outside"]["changed"] == facts["outside"]["changed_8bit"] == 0
    assert facts["inside"]["changed_8bit"] > 0.9 * float(mask.sum())
    outside = torch.nn.functional.max_pool2d(mask, 2 * feather + 1, 1, feather) == 0
    assert torch.equal(image[outside], original[outside])


@pytest.fixture(scope="module")
def vae():
    return random_vae()


@pytest.fixture
def refine(nodes, vae):
    def run(image, model, scale=1.0, tile=64, overlap=16, strength=0.5, steps=3, sampler_name="euler", **options):
        positive = options.pop("positive", POSITIVE)
        options = {"invert": 0.0} | options
        out = nodes["Img2ImgTiledRefine"].execute(
            image, vae, model, positive, NEGATIVE, scale, strength, steps, 3.0, sampler_name, "normal", 5, tile,
            overlap, **options,
        ).args  # fmt: skip
        return out[0], json.loads(out[1])

    return run


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_one_tile_is_the_untiled_chain(nodes, vae, refine, family):
    model, image = random_model(family), picture(64, 48)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 3, 0.5).args[0]
    latent = stock.VAEEncode().encode(vae, image)[0]
    out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, 3.0, "euler", 5).args[0]
    made, report = refine(image, model)
    assert torch.equal(made, stock.VAEDecode().decode(vae, out)[0])
    assert report["tiles"] == 1


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(517, 333, 448), (40, 200, 64), (71, 99, 64), (64, 64, 64), (9, 9, 64)]
)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_any_size_comes_back_at_its_size(refine, height, width, tile, scale):
    made, report = refine(picture(height, width), random_model("eps"), scale=scale, steps=2, tile=tile)
    assert made.shape[1:3] == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert torch.isfinite(made).all()
    assert report["model_calls"] == 2
    assert report["tile_evaluations"] == 2 * report["tiles"]


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m_sde", "heun"])
@pytest.mark.parametrize("family", ["eps", "flow shift 3", "video flow"])
def test_a_model_that_looks_at_single_pixels_does_not_notice_tiles(nodes, family, sampler):
    """Where the answer for a pixel does not depend on the rest of the picture, tiling changes nothing."""
    model = random_model(family)
    form = model.get_model_object("latent_format")
    shape = [2, form.latent_channels, *([2] if form.latent_dimensions == 3 else []), 20, 28]
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    model.set_model_unet_function_wrapper(lambda apply, arguments: arguments["input"] * 0.9)
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 4, 0.7).args[0]
    start = host.Start(samples, host.draw_noise(samples, 3), [(3, 0), (3, 1)])
    guidance = host.Guidance(model, POSITIVE, NEGATIVE, 2.0)

    def run(guidance):
        chosen, area = host.Sampler.chosen(sampler), host.run_mask(None, samples.shape)
        return host.sample(guidance, chosen, sigmas, start, area, host.Progress(model, 4)).samples

    whole, tiled = run(guidance), run(host.tiled(guidance, plan_tiles(20, 28, 12, 4)))
    assert torch.allclose(tiled, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


def test_eightfold_and_without_overlap(refine):
    made, report = refine(picture(16, 24), random_model("eps"), scale=8.0, overlap=0, steps=1)
    assert made.shape == (1, 128, 192, 3)
    assert (report["rows"], report["columns"]) == (2, 3)
    assert torch.isfinite(made).all()


def test_an_upscale_model_enlarges_first(refine):
    """At strength 0 the picture is the upscale model's, brought to the exact size, there and back through the VAE."""
    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=1, upscale=2)
    upscaler = ModelLoader().load_from_state_dict(network.state_dict()).eval()
    upscaler.patcher = ModelPatcher(
        upscaler.model, torch.device("cpu"), torch.device("cpu")
    )  # as newer loaders give it
    image, model = picture(16, 24), random_model("eps")
    enlarged = ImageUpscaleWithModel.execute(upscaler, image).args[0]
    made, _ = refine(image, model, scale=3.0, strength=0.0, upscale_model=upscaler)
    assert made.shape == (1, 48, 72, 3)
    assert torch.equal(made, refine(enlarged, model, scale=1.5, strength=0.0)[0])
    assert not torch.equal(made, refine(image, model, scale=3.0, strength=0.0)[0])


def test_more_pictures_and_transparency(refine):
    made, _ = refine(picture(96, 96, batch=2, channels=4), random_model("eps"))
    assert made.shape == (2, 96, 96, 3)


def test_masks_are_kept_and_named(refine):
    model, image = random_model("eps"), picture(96, 96)
    kept, report = refine(image, model, mask=torch.zeros(1, 96, 96))
    assert report["model_calls"] == 0
    plain, _ = refine(image, model)
    assert torch.equal(refine(image, model, mask=torch.ones(1, 50, 50))[0], plain)
    dot = torch.zeros(1, 96, 96)
    dot[0, 0, 0] = 1
    with pytest.raises(ValueError, match="mask: it is so small that nothing of it is left"):
        refine(image, model, mask=dot)
    assert kept.shape == plain.shape


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_more_inversion_keeps_more_of_the_picture(nodes, family):
    model, clip, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute(family).args
    empty = stock.CLIPTextEncode().encode(clip, "")[0]
    image = torch.cat(
        [from_pillow(scene(random_attributes(seed), seed))[:, 16:112, :96] for seed in HELD_OUT_SEEDS[:2]]
    )

    def refined(image, strength, invert=0.0):
        values = (1.0, strength, 6, 1.0, "euler", "normal", 5, 64, 16)
        out = nodes["Img2ImgTiledRefine"].execute(image, vae, model, empty, empty, *values, invert=invert)
        return out.args[0], json.loads(out.args[1])

    source, far = refined(image, 0.0)[0], []
    for invert in (0.0, 0.5, 1.0):
        made, report = refined(image, 0.6, invert)
        far.append(float((made - source).square().mean()))
        assert report["model_calls"] == (8 if invert else 6)  # two steps up
    assert far[0] > far[1] > far[2]
    assert torch.allclose(made[:1], refined(image[:1], 0.6, 1.0)[0], atol=1e-4)


@pytest.mark.parametrize("family", ["eps", "flow"])
def test_noise_to_start_from_is_found_by_any_method_of_the_table_that_leaves_it_in_the_noise(nodes, family):
    assert {*METHODS} - {*FOLLOWED} == {"noise_maps", "pinned"}  # one keeps the picture elsewhere, one repeats ddim
    model, clip, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute(family).args
    empty = stock.CLIPTextEncode().encode(clip, "")[0]
    image = from_pillow(scene(random_attributes(HELD_OUT_SEEDS[0]), HELD_OUT_SEEDS[0]))[:, 16:112, :96]

    def refined(strength, invert=0.0, **method):
        values = (1.0, strength, 6, 1.0, "euler", "normal", 5, 64, 16)
        out = nodes["Img2ImgTiledRefine"].execute(image, vae, model, empty, empty, *values, invert=invert, **method)
        return out.args[0], json.loads(out.args[1])

    source = refined(0.0)[0]
    drawn = float((refined(0.6)[0] - source).square().mean())
    made, calls = {}, {}
    for method in FOLLOWED:
        made[method], report = refined(0.6, 1.0, inversion=method)
        calls[method] = report["model_calls"] - 6
        assert report["inversion_method"] == method
        assert float((made[method] - source).square().mean()) < drawn
    assert calls["exact"] == calls["ddim"] < calls["multistep"] < calls["corrected"]
    assert torch.equal(refined(0.6, 1.0)[0], made["ddim"])
    assert not any(torch.equal(made[a], made[b]) for a, b in itertools.combinations(FOLLOWED, 2))


def test_two_halves_of_a_model_are_the_pair_made_by_hand(nodes, vae, refine):
    """Each half asked about tiles of its own; bit for bit two Guided Samplers, one after the other."""
    high, low = random_model("flow"), random_model("flow", seed=1)
    image, tiles = resize(picture(48, 40), Size(96, 80)), plan_tiles(12, 10, 8, 2)
    sigmas = nodes["StrengthScheduler"].execute(high, "normal", 3, 0.5).args[0]
    latent = nodes["SDEditNoise"].execute(high, host.encode_for(high, vae, image, 64), sigmas, 5).args[0]
    halves = nodes["Img2ImgSplitSigmas"].execute(high, sigmas, 0.4).args
    assert [len(part) - 1 for part in halves] == [1, 2]
    for half, part in zip((high, low), halves, strict=True):
        half = host.tiled(host.Guidance(half, POSITIVE, NEGATIVE, 3.0), tiles).model
        values = (POSITIVE, NEGATIVE, latent, part, 3.0, "euler", 5)
        latent = nodes["Img2ImgGuidedSampler"].execute(half, *values).args[0]
    made, report = refine(picture(48, 40), high, 2.0, low_model=low, split_at=0.4, invert=0.5)
    assert torch.equal(made, host.decode(vae, latent, 64))
    assert (report["tiles"], report["low_model_steps"], report["invert"]) == (4, 2, 0)
    low = host.tiled(host.Guidance(low, POSITIVE, NEGATIVE, 3.0), tiles).model
    with pytest.raises(ValueError, match="low_model: another node lets it work in context windows"):
        refine(picture(48, 40), high, 2.0, low_model=low)


def test_a_clone_of_a_tiled_model_copies_no_weights(nodes):
    tiled = host.tiled(host.Guidance(random_model("eps"), POSITIVE, NEGATIVE, 3.0), plan_tiles(12, 10, 8, 2)).model
    handler, other = (one.model_options["context_handler"] for one in (tiled, tiled.clone()))
    assert other is not handler
    assert (other.model, other.grid) == (handler.model, handler.grid)


def test_colors_may_be_brought_back(refine):
    model, image = random_model("eps"), picture(96, 96)
    assert not torch.equal(*(refine(image, model, match_colors=how)[0] for how in ("off", "latent")))


def test_an_overlap_as_large_as_a_tile_is_refused(refine):
    with pytest.raises(ValueError, match="overlap: it is 64 pixels, but a tile is 64"):
        refine(picture(96, 96), random_model("eps"), overlap=64)


def test_cancelling_stops_within_one_model_call(refine, interrupted_at):
    model, calls = interrupted_at(random_model("eps"), 2)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        refine(picture(96, 96), model)
    assert len(calls) == 2


def test_tiled_encoding_and_decoding_leave_no_seams(nodes):
    """Across the lines where tiles begin and end, gradients are those of the picture that was coded in one piece.

    benchmarks/tiles.py measures the whole node.
    """
    model, _, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute("eps").args
    drawing = from_pillow(scene(random_attributes(HELD_OUT_SEEDS[0]), HELD_OUT_SEEDS[0], 256))
    values = (vae, model, POSITIVE, NEGATIVE, 1.0, 0.0, 1, 1.0, "euler", "normal", 5)
    whole, tiled = (nodes["Img2ImgTiledRefine"].execute(drawing, *values, tile, 0).args[0] for tile in (256, 128))
    lines = [63, 127, 191]  # tiles of 128 pixels that reach 64 into each other

    def gradient(image):
        return float(image.diff(dim=2)[:, :, lines].abs().mean() + image.diff(dim=1)[:, lines].abs().mean())

    assert gradient(tiled) == pytest.approx(gradient(whole), rel=0.05)
    assert float((tiled - whole).abs().mean()) < 0.005
