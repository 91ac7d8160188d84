"""Where two prompts disagree, as a mask."""

import pytest
import torch
from img2img_studio.core.found_mask import found_mask
from img2img_studio.core.metrics import intersection_over_union


@pytest.fixture
def change():
    """Two pictures: a strong change in one corner, and next to nothing elsewhere, [2, 4, 10, 10]."""
    change = 0.02 * torch.randn(2, 4, 10, 10, generator=torch.Generator().manual_seed(0))
    change[0, :, :3, :4] += 1.0
    change[1, :, 5:, 5:] -= 0.5
    return change


def test_a_local_change_is_found(change):
    found = found_mask(change, 0.4)[:, 0]
    truth = torch.zeros(2, 10, 10, dtype=torch.bool)
    truth[0, :3, :4], truth[1, 5:, 5:] = True, True
    assert intersection_over_union(found >= 0.5, truth).tolist() == [1.0, 1.0]
    assert not found[0, 4:].any()


def test_it_does_not_depend_on_how_strong_the_change_is(change):
    assert torch.allclose(found_mask(change, 0.4), found_mask(3 * change, 0.4), atol=1e-6)


def test_a_higher_threshold_finds_less(change):
    low, high = (found_mask(change, threshold) for threshold in (0.2, 0.8))
    assert bool((high <= low).all())
    assert not torch.equal(low, high)


def test_prompts_that_say_the_same_are_found_nowhere():
    assert not found_mask(torch.zeros(2, 4, 8, 8), 0.4).any()
    assert not found_mask(1e-4 * torch.randn(2, 4, 8, 8), 0.4).any()


def test_items_are_scaled_alone_and_video_has_its_frames(change):
    assert torch.equal(found_mask(change, 0.4)[1:], found_mask(change[1:], 0.4))
    assert found_mask(change[:, :, None].expand(-1, -1, 3, -1, -1), 0.4).shape == (2, 1, 3, 10, 10)


def test_a_threshold_of_nothing_is_refused(change):
    with pytest.raises(ValueError, match="threshold"):
        found_mask(change, 0.0)


def test_overlap_is_intersection_over_union():
    one, other = (torch.zeros(2, 2, 4, dtype=torch.bool) for _ in range(2))
    one[0, 0], other[0, :, :2] = True, True
    assert intersection_over_union(one, other).tolist() == [pytest.approx(2 / 6), 1.0]
