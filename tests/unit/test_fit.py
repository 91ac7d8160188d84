"""Fitting a picture to a size and undoing it, against the picture itself, numpy's padding and Pillow's filter."""

import numpy as np
import pytest
import torch
from img2img_studio.core import fit as fitting
from PIL import Image

SIZES = [(1, 1), (1, 9), (7, 3), (8, 8), (33, 64), (64, 33), (57, 61), (100, 75), (3, 200)]


def picture(height: int, width: int, batch: int = 2, channels: int = 3) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("fill", fitting.FILLS)
@pytest.mark.parametrize("shape", fitting.SHAPES)
def test_padding_at_its_own_scale_comes_back_bit_for_bit(size, channels, fill, shape):
    image = picture(*size, channels=channels)
    plan = fitting.plan_fit(*size, target=max(size), fit="pad", shape=shape, fill=fill)
    fitted, mask = fitting.apply_fit(image, plan)
    assert plan.resampled == size
    assert fitted.shape == (2, *plan.canvas, channels)
    assert mask.shape == (2, *plan.canvas)
    assert all(side % 8 == 0 for side in plan.canvas)
    assert torch.equal(fitted[mask == 0].reshape(image.shape), image)
    assert torch.equal(fitting.undo_fit(fitted, plan), image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", fitting.SHAPES)
def test_a_crop_comes_back_bit_for_bit_with_its_original(size, channels, shape):
    image = picture(*size, channels=channels)
    plan = fitting.plan_fit(*size, fit="crop", shape=shape)
    fitted, mask = fitting.apply_fit(image, plan)
    assert fitted.shape[1:3] == plan.canvas
    assert not mask.any()
    if plan.resampled == size:
        assert torch.equal(fitting.undo_fit(fitted, plan, image), image)
    else:
        assert min(size) < 8  # only a picture too narrow for one multiple is enlarged
        assert fitting.undo_fit(fitted, plan, image).shape == image.shape


@pytest.mark.parametrize("fit", fitting.FITS)
def test_a_picture_that_fits_already_is_left_alone(fit):
    image = picture(64, 48)
    fitted, mask = fitting.apply_fit(image, fitting.plan_fit(64, 48, target=64, fit=fit))
    assert torch.equal(fitted, image)
    assert not mask.any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", fitting.FITS)
@pytest.mark.parametrize("shape", fitting.SHAPES)
@pytest.mark.parametrize("target", [1, 20, 64, 100])
@pytest.mark.parametrize("multiple", [1, 8, 16])
def test_every_plan_keeps_its_promises(size, fit, shape, target, multiple):
    plan = fitting.plan_fit(*size, target=target, fit=fit, shape=shape, multiple=multiple)
    image = picture(*size, batch=1)
    fitted, mask = fitting.apply_fit(image, plan)
    assert all(side % multiple == 0 and side >= multiple for side in plan.canvas)
    assert abs(max(plan.canvas) - target) < multiple or max(plan.canvas) == multiple
    assert shape == "keep aspect" or plan.canvas.height == plan.canvas.width
    assert mask.any() == (fit == "pad" and plan.resampled != plan.canvas)
    assert image.min() <= fitted[mask == 0].min()
    assert fitted[mask == 0].max() <= image.max()
    assert fitting.undo_fit(fitted, plan).shape == image.shape
    assert fitting.undo_fit(fitted, plan, image).shape == image.shape


@pytest.mark.parametrize("fill", ["edge", "reflect"])
@pytest.mark.parametrize("size", [(1, 5), (2, 5), (3, 40), (50, 7)])
def test_padding_agrees_with_numpy_however_far_it_reaches(fill, size):
    image = picture(*size, batch=1)
    plan = fitting.plan_fit(*size, shape="square", fill=fill)
    below, after = (outer - inner for outer, inner in zip(plan.canvas, size, strict=True))
    widths = [(0, 0), (plan.top, below - plan.top), (plan.left, after - plan.left), (0, 0)]
    assert np.array_equal(fitting.apply_fit(image, plan)[0].numpy(), np.pad(image.numpy(), widths, mode=fill))


def test_plain_fills_have_their_color():
    image = picture(10, 40)
    for fill, colors in (("black", torch.zeros(2, 3)), ("mean", image.mean(dim=(1, 2)))):
        fitted, mask = fitting.apply_fit(image, fitting.plan_fit(10, 40, fill=fill))
        for item in range(2):
            padding = fitted[item][mask[item] == 1]
            assert len(padding) == 6 * 40
            assert torch.equal(padding, colors[item].expand_as(padding))


def test_lanczos_is_pillows_without_an_8_bit_round_trip():
    image = 0.3 + 0.4 * picture(40, 30, batch=1)  # far enough from 0 and 1 that bytes need no clipping half-way
    scaled = fitting.resize(image, fitting.Size(20, 15))[0]
    rounded = Image.fromarray((image[0] * 255).round().byte().numpy()).resize((15, 20), Image.Resampling.LANCZOS)
    assert torch.allclose(scaled, torch.tensor(np.asarray(rounded)) / 255, atol=1.5 / 255)
    assert len(scaled.unique()) > 256
    ramp = torch.linspace(0, 1, 64).repeat(1, 64, 1)[..., None]
    assert torch.allclose(fitting.resize(ramp, fitting.Size(8, 8))[0, 0, :, 0].diff(), torch.tensor(8 / 63), atol=5e-3)


def test_an_item_is_the_same_alone_and_in_a_batch():
    image = picture(50, 70, batch=4)
    plan = fitting.plan_fit(50, 70, target=32, fill="mean")
    fitted = fitting.apply_fit(image, plan)[0]
    assert torch.equal(fitting.apply_fit(image[2:3], plan)[0], fitted[2:3])
    assert torch.equal(fitting.undo_fit(fitted[2:3], plan), fitting.undo_fit(fitted, plan)[2:3])


def test_a_scaled_crop_lands_where_it_was_cut():
    """A horizontal ramp has its own value at every place, so a shift of the pasted part would show."""
    ramp = torch.linspace(0, 1, 300).repeat(200, 1)[None, :, :, None]
    plan = fitting.plan_fit(200, 300, target=128, fit="crop", shape="square")
    restored = fitting.undo_fit(fitting.apply_fit(ramp, plan)[0], plan, ramp)
    filtered = (restored != ramp).any(dim=1)[0, :, 0]
    assert not filtered[:50].any()
    assert not filtered[250:].any()
    assert filtered[50:250].sum() > 180
    assert (restored - ramp).abs().max() < 3 / 300
    assert (restored - ramp)[:, :, 110:190].abs().max() < 0.2 / 300


@pytest.mark.parametrize("fit", fitting.FITS)
def test_a_mask_of_the_pictures_size_goes_where_the_picture_goes(fit):
    mask = (picture(21, 30, channels=1)[..., 0] > 0.5).float()
    plan = fitting.plan_fit(21, 30, fit=fit)
    fitted, padding = fitting.apply_fit(mask[..., None], plan)
    assert torch.equal(fitting.fit_mask(mask, plan), torch.maximum(fitted[..., 0], padding))
    assert torch.equal(fitting.fit_mask(mask[:, None], plan), fitting.fit_mask(mask, plan))


@pytest.mark.parametrize("size", [(13, 17), (64, 31), (1, 1), (21, 30)])
def test_a_mask_of_another_size_stays_whole_empty_or_hard(size):
    plan = fitting.plan_fit(21, 30, fit="pad")
    padding = fitting.apply_fit(picture(21, 30), plan)[1]
    half = torch.zeros(2, *size)
    half[:, : size[0] // 2] = 1
    assert torch.equal(fitting.fit_mask(torch.ones(2, *size), plan), torch.ones_like(padding))
    assert torch.equal(fitting.fit_mask(torch.zeros(2, *size), plan), padding)
    assert set(fitting.fit_mask(half, plan).unique().tolist()) <= {0.0, 1.0}
    assert fitting.fit_mask(half * 0.5, plan)[padding == 0].max() <= 0.5


def test_one_original_serves_a_batch_and_spare_channels_are_left_out():
    original = picture(21, 30, batch=1, channels=4)
    plan = fitting.plan_fit(21, 30, fit="crop")
    edited = fitting.apply_fit(original, plan)[0][..., :3].repeat(3, 1, 1, 1)
    assert torch.equal(fitting.undo_fit(edited, plan, original), original[..., :3].repeat(3, 1, 1, 1))


def test_inputs_stay_as_they_were_and_outputs_are_their_own():
    image = picture(20, 20)
    before = image.clone()
    plan = fitting.plan_fit(20, 20, fit="crop")
    fitted, _ = fitting.apply_fit(image, plan)
    restored = fitting.undo_fit(fitted, plan, image)
    fitted.zero_()
    restored.zero_()
    fitting.undo_fit(fitting.apply_fit(image, fitting.plan_fit(20, 20))[0], fitting.plan_fit(20, 20)).zero_()
    assert torch.equal(image, before)


def test_an_empty_batch_stays_empty():
    empty = torch.zeros(0, 30, 20, 3)
    plan = fitting.plan_fit(30, 20, target=64)
    fitted, mask = fitting.apply_fit(empty, plan)
    assert fitted.shape == (0, 64, 48, 3)
    assert mask.shape == (0, 64, 48)
    assert fitting.undo_fit(fitted, plan).shape == empty.shape


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"fit": "squash"}, "fit must be one of pad, crop, stretch"),
        ({"shape": "round"}, "shape must be"),
        ({"fill": "red"}, "fill must be"),
        ({"multiple": 0}, "multiple must be at least 1"),
        ({"target": -1}, "target must be a length"),
    ],
)
def test_a_plan_says_what_it_cannot_use(arguments, names):
    with pytest.raises(ValueError, match=names):
        fitting.plan_fit(64, 64, **arguments)


def test_a_picture_of_another_size_is_refused_by_name():
    plan = fitting.plan_fit(21, 30, fit="crop")
    fitted = picture(16, 24, batch=2)
    with pytest.raises(ValueError, match="image is 25 x 16 pixels, but the fit expects 24 x 16"):
        fitting.undo_fit(picture(16, 25), plan)
    with pytest.raises(ValueError, match="original is 30 x 20 pixels"):
        fitting.undo_fit(fitted, plan, picture(20, 30))
    with pytest.raises(ValueError, match="original has 3 pictures and image has 2"):
        fitting.undo_fit(fitted, plan, picture(21, 30, batch=3))
    with pytest.raises(ValueError, match="original has 1 channels"):
        fitting.undo_fit(fitted, plan, picture(21, 30, channels=1))
    with pytest.raises(ValueError, match=r"\[batch, height, width, channels\], got \[21, 30, 3\]"):
        fitting.apply_fit(picture(21, 30)[0], plan)
