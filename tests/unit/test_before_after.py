"""Pictures before and after: small, of one size, and their difference shows every changed pixel."""

import numpy as np
import torch
from img2img_studio.core.before_after import SIDE, before_and_after


def noise(height, width, batch=1):
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(3))


def test_equal_pictures_have_a_black_difference():
    picture = noise(40, 30)
    (pair,) = before_and_after(picture, picture)
    assert pair.largest == 0
    assert pair.before.tobytes() == pair.after.tobytes()
    assert pair.before.size == pair.difference.size == (30, 40)
    assert pair.difference.getextrema() == ((0, 0),) * 3


def test_one_changed_pixel_of_a_large_picture_is_white_and_the_rest_black():
    before = noise(1200, 900)
    after = before.clone()
    after[0, 1000, 300] = 1 - before[0, 1000, 300].round()
    whole, detail = before_and_after(before, after)
    assert max(whole.after.size) == max(whole.before.size) == max(whole.difference.size) == SIDE
    lit = np.argwhere(np.asarray(whole.difference)[..., 0])
    assert len(lit) in range(1, 5)  # patches may overlap by a pixel
    assert abs(lit.mean(0) - np.array([1000, 300]) * SIDE / 1200).max() <= 1
    assert np.asarray(whole.difference).max() == 255
    assert detail.name == "pixel by pixel"
    assert detail.after.size == (SIDE, SIDE)
    assert np.count_nonzero(np.asarray(detail.difference)[..., 0]) == 1
    assert detail.largest == whole.largest == (after - before).abs().max()


def test_a_batch_is_numbered_and_one_original_stands_for_all():
    before, after = noise(20, 20), noise(20, 20, 3)
    pairs = before_and_after(before, after)
    assert [pair.name for pair in pairs] == ["1", "2", "3"]
    assert len({pair.before.tobytes() for pair in pairs}) == 1
    assert len({pair.after.tobytes() for pair in pairs}) == 3
    assert before_and_after([], []) == []


def test_the_original_is_brought_to_the_size_of_the_result():
    (pair,) = before_and_after(noise(20, 30), noise(40, 60))
    assert pair.before.size == pair.after.size == (60, 40)
