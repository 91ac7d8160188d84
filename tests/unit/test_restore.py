"""Detail given back to edited pictures, where it is known what ought to come out."""

import pytest
import torch
from img2img_studio.core.restore import restore_detail, window_mean


@pytest.fixture
def original():
    """Coarse colors with a fine grain on them, [2, 48, 40, 3] in 0..1."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (48, 40), mode="bicubic").movedim(1, -1).clamp(0.1, 0.9)
    return (smooth * 0.6 + 0.2 + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


@pytest.fixture
def decoded(original):
    """The same without its grain, as an autoencoder gives it back."""
    return window_mean(original.movedim(-1, 1), 3).movedim(1, -1)


def test_what_was_not_edited_is_the_original_bit_for_bit(original, decoded):
    restored = restore_detail(original, decoded, decoded, 6)
    assert torch.equal(restored.image, original)
    assert not restored.stands.any()


def test_a_faint_edit_is_carried_over_as_well(original, decoded):
    """A tint that an autoencoder could have made, were it not the strongest change of all."""
    tint = torch.tensor([0.015, -0.01, 0.005])
    edited = decoded.clone()
    edited[:, :, 20:] += tint
    restored = restore_detail(original, edited, decoded, 4).image
    assert torch.equal(restored[:, :, :16], original[:, :, :16])
    assert torch.allclose(restored[:, :, 32:], original[:, :, 32:] + tint, atol=2e-3)


@pytest.mark.parametrize("radius", [6, 21])
def test_a_change_of_light_is_carried_over_to_the_original(original, decoded, radius):
    """A map of colors that is the same everywhere: the grain comes back with the light of the edit."""
    matrix = torch.tensor([[0.5, 0.1, 0.0], [0.0, 0.6, 0.05], [0.05, 0.0, 0.4]])
    edited, wanted = (picture @ matrix + 0.05 for picture in (decoded, original))
    restored = restore_detail(original, edited, decoded, radius)
    without = float((edited - wanted).square().mean())
    assert float((restored.image - wanted).square().mean()) < 0.01 * without
    assert not restored.stands.any()


def test_what_was_painted_anew_stands_and_the_rest_keeps_its_grain(original, decoded):
    edited = decoded.clone()
    new = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    edited[:, 16:32, 12:28] = new
    restored = restore_detail(original, edited, decoded, 4)
    assert torch.allclose(restored.image[:, 18:30, 14:26], edited[:, 18:30, 14:26], atol=0.06)
    assert float(restored.stands[:, 18:30, 14:26].mean()) > 0.9
    assert torch.equal(restored.image[:, :8], original[:, :8])
    assert bool((restored.kept[:, :8] == 1).all())


def test_a_new_style_stands_as_it_was_painted(original, decoded):
    """Faint everywhere, but of grain and edges, not of colors: the old ones must not come back."""
    strokes = 0.04 * torch.randn(decoded.shape, generator=torch.Generator().manual_seed(2))
    strokes[:, :10] *= 0.01  # where it hardly shows, it is as edited as well
    restored = restore_detail(original, decoded + strokes, decoded, 6)
    assert bool((restored.stands == 1).all())
    assert torch.allclose(restored.image, (decoded + strokes).clamp(0, 1), atol=1e-6)


def test_a_mask_keeps_the_original_outside(original, decoded):
    mask = torch.zeros(1, 48, 40)
    mask[:, 10:30], mask[:, 30:] = 1.0, 0.5
    whole = restore_detail(original, 0.6 * decoded, decoded, 6).image
    masked = restore_detail(original, 0.6 * decoded, decoded, 6, mask).image
    assert torch.equal(masked[:, :10], original[:, :10])
    assert torch.equal(masked[:, 10:30], whole[:, 10:30])
    assert torch.allclose(masked[:, 30:], (original / 2 + whole / 2)[:, 30:])


def test_an_item_alone_is_the_item_in_the_batch(original, decoded):
    edited = decoded.flip(2)
    together, alone = (
        restore_detail(original, edited, decoded, 6),
        restore_detail(original[1:], edited[1:], decoded[1:], 6),
    )
    assert torch.equal(together.image[1:], alone.image)


def test_pictures_of_other_sizes_and_an_empty_window_are_refused(original, decoded):
    with pytest.raises(ValueError, match="one size"):
        restore_detail(original, decoded[:, :40], decoded, 6)
    with pytest.raises(ValueError, match="radius"):
        restore_detail(original, decoded, decoded, 0)


def test_a_window_at_the_border_counts_what_is_inside():
    values = torch.arange(12.0, dtype=torch.float64).view(1, 1, 3, 4)
    assert float(window_mean(values, 3)[0, 0, 0, 0]) == pytest.approx((0 + 1 + 4 + 5) / 4)
    assert float(window_mean(values, 3)[0, 0, 1, 1]) == pytest.approx(values[..., :3].mean())
