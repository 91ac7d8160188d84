"""What a mask means, and what it keeps."""

import pytest
import torch
from img2img_studio.core.mask import (
    composite,
    fill_inwards,
    grown,
    keep_outside,
    mask_kind,
    masked_content,
    same_shape,
    soft_mask_at,
)


def square(size=16, low=4, high=12):
    mask = torch.zeros(1, 1, size, size)
    mask[..., low:high, low:high] = 1
    return mask


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (torch.ones(2, 3), "all"),
        (torch.zeros(2, 3), "none"),
        (square(), "hard"),
        (square() * 0.5, "soft"),
        (torch.ones(2, 3) * 0.99, "soft"),
    ],
)
def test_kinds(mask, kind):
    assert mask_kind(mask) == kind


def test_outside_keeps_its_bits():
    original, changed = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 16, 16)
    mask = square() * 0.5
    kept = keep_outside(mask, original, changed)
    assert torch.equal(kept[..., :4, :], original[..., :4, :])
    assert torch.equal(kept[..., 4:12, 4:12], changed[..., 4:12, 4:12])


def test_composite_blends_only_between():
    original, changed = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 16, 16)
    mask = square()
    mask[..., 8, 8] = 0.25
    out = composite(mask, original, changed)
    assert torch.equal(out[..., 0, 0], original[..., 0, 0])
    assert torch.equal(out[..., 5, 5], changed[..., 5, 5])
    assert torch.allclose(out[..., 8, 8], 0.75 * original[..., 8, 8] + 0.25 * changed[..., 8, 8])


def test_a_soft_mask_frees_lighter_pixels_earlier():
    mask = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    free = [soft_mask_at(mask, torch.tensor(left)).tolist() for left in (1.0, 0.6, 0.5, 0.0)]
    assert free == [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 1]]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (16, 16), (33, 20)])
def test_fill_of_one_color_is_that_color(size):
    picture = torch.full((2, 3, *size), 0.3)
    mask = (torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    mask[..., 0, 0] = 0
    assert torch.allclose(fill_inwards(picture, mask), picture, atol=1e-5)


def test_fill_takes_the_near_side():
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., 8:] = 1
    filled = fill_inwards(picture * (1 - square()), square())
    assert float(filled[..., 7, 4]) < 0.3
    assert float(filled[..., 7, 11]) > 0.7


@pytest.mark.parametrize("content", ["original", "fill", "noise", "neutral"])
def test_masked_content_leaves_the_outside_alone(content):
    latent, noise = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 16, 16)
    neutral = torch.zeros_like(latent)
    out = masked_content(latent, square(), content, noise, neutral)
    assert torch.equal(out[..., :4, :], latent[..., :4, :])
    inside = out[..., 4:12, 4:12]
    expected = {"original": latent, "noise": noise, "neutral": neutral}.get(content)
    if expected is None:
        assert float(inside.std()) < float(latent.std())
    else:
        assert torch.equal(inside, expected[..., 4:12, 4:12])


@pytest.mark.parametrize("reach", [0, 1, 3, 8, 20])
def test_a_grown_point_is_the_octagon_whose_sides_lie_so_far_away(reach):
    mask = torch.zeros(1, 61, 63)
    mask[0, 30, 31] = 0.5
    down, right = (torch.arange(61)[:, None] - 30).abs(), (torch.arange(63) - 31).abs()
    square = round(reach * (2**0.5 - 1))
    inside = (down <= reach) & (right <= reach) & (down + right <= reach + square)
    assert torch.equal(grown(mask, reach)[0], 0.5 * inside)
    distance = (down**2 + right**2).sqrt()
    assert bool(inside[distance <= reach - 1].all())
    assert not bool(inside[distance >= 1.09 * reach + 1].any())


def test_one_mask_of_a_batch_grows_alone():
    mask = torch.rand(2, 12, 15, generator=torch.Generator().manual_seed(0))
    for reach in (-2, 3):
        assert torch.equal(grown(mask, reach)[1:], grown(mask[1:], reach))


def test_a_mask_shrinks_where_black_grows_and_not_at_the_edge_of_the_picture():
    mask = torch.zeros(1, 40, 40)
    mask[:, :, 10:] = 1
    narrower = grown(mask, -4)
    assert torch.equal(narrower, grown(mask.flip(2), -4).flip(2))
    assert torch.equal(narrower[:, :, 14:], mask[:, :, 14:])
    assert float(narrower[:, :, :14].max()) == 0
    assert torch.equal(grown(torch.ones(1, 9, 9), -3), torch.ones(1, 9, 9))


@pytest.mark.parametrize(
    ("mask", "picture", "same"),
    [
        ((64, 64), (512, 512), True),
        ((1067, 1600), (133, 200), True),  # the latent of a picture whose sides are no multiples of 8
        ((133, 200), (1067, 1600), True),
        ((341, 512), (1067, 1600), True),  # a preview of it
        ((512, 512), (1067, 1600), False),
        ((1600, 1067), (1067, 1600), False),
        ((512, 520), (1024, 1024), False),
        ((1, 1), (1, 1), True),
    ],
)
def test_the_shape_of_a_mask_is_that_of_its_picture_up_to_rounding(mask, picture, same):
    assert same_shape(mask, picture) is same
