"""Grids of equal tiles, and blending that leaves what tiles agree on as it is."""

import math
from itertools import pairwise

import pytest
import torch
from img2img_studio.core.tiles import (
    blend_tiles,
    convert_tiles,
    plan_tiles,
    plan_vae_tiles,
    tile_weight,
    total_weight,
)


def blended(plane, grid, function, at_once=3):
    weight = tile_weight(grid, plane)
    total = total_weight(grid, weight, *plane.shape[-2:])
    (out,) = blend_tiles(plane, grid, lambda *group: [function(*group)], at_once, weight, total)
    return out


@pytest.mark.parametrize("size", [(64, 64), (65, 41), (517, 333), (10, 200), (8, 8), (1, 1)])
@pytest.mark.parametrize(("tile", "overlap"), [(32, 8), (32, 0), (64, 63), (9, 3)])
def test_tiles_of_one_size_cover_everything(size, tile, overlap):
    grid = plan_tiles(*size, tile, overlap)
    covered = torch.zeros(size)
    for offset in grid:
        cut = grid.cut(covered, offset)
        assert cut.shape == grid.size
        cut.add_(1)
    assert bool((covered > 0).all())
    for starts, length, side in zip((grid.tops, grid.lefts), size, grid.size, strict=True):
        assert len(starts) <= max(1, math.ceil((length - overlap) / (tile - overlap)))
        gaps = [after - before for before, after in pairwise(starts)]
        assert all(side - gap >= overlap for gap in gaps)


def test_an_overlap_as_large_as_the_tile_is_refused():
    with pytest.raises(ValueError, match="overlap is 32, but a tile is 32"):
        plan_tiles(100, 100, 32, 32)


@pytest.mark.parametrize("at_once", [1, 2, 100])
@pytest.mark.parametrize("shape", [(1, 4, 40, 56), (2, 3, 2, 33, 47)])
def test_what_does_not_depend_on_the_tile_is_unchanged(at_once, shape):
    plane = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = plan_tiles(*shape[-2:], 16, 6)
    assert torch.allclose(blended(plane, grid, lambda tiles, _: 3 * tiles + 1, at_once), 3 * plane + 1)


def test_tiles_that_disagree_fade_into_each_other():
    plane = torch.zeros(1, 1, 16, 40)
    grid = plan_tiles(16, 40, 16, 8)
    levels = iter(torch.arange(100.0))
    out = blended(plane, grid, lambda tiles, _: tiles + next(levels), at_once=1)[0, 0, 8]
    steps = out.diff()
    assert bool((steps >= -1e-6).all())
    assert float(steps.max()) < 0.25  # of a jump of 1 between neighbors
    assert float(out[0]) == 0.0
    assert float(out[-1]) == len(grid) - 1


@pytest.mark.parametrize(("length", "shared"), [(36, 4), (30, 10), (20, 0)])
def test_tiles_fade_over_all_that_they_share(length, shared):
    """Four cells were asked for; the plan gives more where tiles do not fit exactly."""
    grid = plan_tiles(20, length, 20, 4)
    assert grid.overlap == (0, shared)
    weight = tile_weight(grid, torch.zeros(1))
    row = weight[10]
    assert bool((row[:shared].diff() > 0).all())
    assert torch.equal(row[shared : 20 - shared], torch.ones(20 - 2 * shared))
    inside = total_weight(grid, weight, 20, length)[:, shared : length - shared]
    assert torch.allclose(inside, torch.ones(1))  # what one tile loses, the next one gains


def test_neighbors_see_the_same_noise_where_they_overlap():
    noise = torch.randn(1, 4, 48, 48)
    grid = plan_tiles(48, 48, 32, 16)
    (first, second) = list(grid)[:2]
    shared = first[1] + grid.size[1] - second[1]
    assert torch.equal(grid.cut(noise, first)[..., -shared:], grid.cut(noise, second)[..., :shared])


@pytest.mark.parametrize("factor", [1, 4])
def test_tiles_that_come_back_larger_meet_where_they_belong(factor):
    plane = torch.randn(2, 3, 33, 47, generator=torch.Generator().manual_seed(0))
    grid = plan_tiles(33, 47, 16, 6)

    def enlarged(tile):
        return tile.repeat_interleave(factor, -1).repeat_interleave(factor, -2)[:, :1]

    sides = (33 * factor, 47 * factor)
    large = convert_tiles(plane, grid, grid.scaled(factor), sides, enlarged)
    assert torch.allclose(large, enlarged(plane), atol=1e-6)


def test_each_answer_is_blended_as_if_it_were_the_only_one():
    plane = torch.randn(1, 4, 33, 47, generator=torch.Generator().manual_seed(0))
    grid = plan_tiles(33, 47, 16, 6)
    weight = tile_weight(grid, plane)
    total = total_weight(grid, weight, 33, 47)
    both = blend_tiles(plane, grid, lambda tiles, _: [tiles.sin(), tiles.cos()], 3, weight, total)
    alone = [blended(plane, grid, lambda tiles, _, one=one: one(tiles)) for one in (torch.sin, torch.cos)]
    assert all(torch.equal(a, b) for a, b in zip(both, alone, strict=True))


@pytest.mark.parametrize("tile", [64, 160, 512])
@pytest.mark.parametrize("unit", [8, 16, 32])
def test_a_vae_does_no_work_twice_over_because_the_models_tiles_are_small(tile, unit):
    height, width = 2048 // unit, 1536 // unit
    grid = plan_vae_tiles(height, width, tile, unit)
    assert len(grid) * grid.size[0] * grid.size[1] < 2 * height * width
    assert grid.tops[1] * unit <= grid.size[0] * unit - 128
