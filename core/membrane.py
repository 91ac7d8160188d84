"""The membrane: a difference along a border, spread harmonically inwards.

Added to an edit, that is the same as pasting the edit's gradients (Poisson Image Editing, Pérez et al. 2003).

A harmonic function is the smoother the farther it is from the border, so only a band along the border is solved pixel
by pixel. Behind it every second pixel is solved, then every fourth, and what lies between is their mean (a quadtree,
as in Agarwala, SIGGRAPH 2007). The work is that of the border's length, not of the area. Every value is a mean of its
neighbors, so the membrane never leaves the range of the differences that it spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor

TOLERANCE = 2.0**-13  # a thirtieth of an 8-bit step
MOST_CYCLES = 50
MEMORY = 4  # past cycles that lead on to the next one
GENTLER = 0.03  # how far a gentler gradient may move the edit at its border
CELL, CELL_LEVELS = 8, 3  # a cell of 8 x 8 points is left to the coarser levels where the third one covers it
SMOOTHING = (1.389, 0.562)  # Chebyshev weights that damp the upper three quarters of a Laplacian's spectrum
LAST_SMOOTHING = 4  # how often the coarsest level is smoothed, where nothing is far from the border
FULL_WEIGHTING = (0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25, 0.5, 0.25)  # bilinear interpolation, seen from the coarse point


@dataclass(frozen=True, eq=False, repr=False)
class Level:
    """The points of one lattice that are solved: every pixel, every second, every fourth...

    Lists of indices lead into the values of a level, the hanging points behind them, and one 0 behind those.

    unknowns:     [n] flat index of each solved point in the lattice, ascending
    size:         height and width of that lattice
    stencil:      [n, 4] the neighbors of each point; beyond the picture's edge, the point itself
    hanging:      [h, 4] neighbors that this level does not solve: the means of four points of the next coarser level
    prolongation: [n, 4] points of the next coarser level, whose mean is interpolation at each point
    restriction:  [m, 9] points of this level around each point of the next coarser one, row by row
    """

    unknowns: Tensor
    size: tuple[int, int]
    stencil: Tensor
    hanging: Tensor
    prolongation: Tensor
    restriction: Tensor


def membrane(original: Tensor, edited: Tensor, free: Tensor) -> Tensor:
    """What the edit lacks to meet the original, over the free pixels (Poisson Image Editing, Pérez et al. 2003).

    original, edited: [H, W, C]; what counts are known pixels, and free ones at the border (see ``_pull``)
    free:             [H, W] bool; at the edge of the picture the membrane lies level
    returns:          [H, W, C]; only free pixels count. 0 where nothing is known.
    """
    levels = plan_membrane(free)
    values = solve_membrane(original, edited, levels)
    points = spread(levels, values)
    return torch.zeros_like(original) if points is None else points


def solve_membrane(original: Tensor, edited: Tensor, levels: list[Level]) -> list[Tensor]:
    """The membrane's values on the points of every level.

    Multigrid cycles until nothing moves, each one led on by what the last few have shown (Anderson 1965).
    """
    if not levels:
        return []
    pull = _pull(original, edited, levels[0])
    counts, past = [len(level.unknowns) for level in levels], []
    state = pull.new_zeros(sum(counts), pull.shape[-1])
    for _ in range(MOST_CYCLES):
        cycled = torch.cat(_cycle(levels, list(state.split(counts)), pull))
        step = cycled - state
        if float(step.abs().max()) <= TOLERANCE:
            return list(cycled.split(counts))
        past = [*past[-MEMORY:], (cycled, step)]
        state = _led_on(past)
    return list(state.split(counts))


def _pull(original: Tensor, edited: Tensor, level: Level) -> Tensor:
    """The sum of the wanted differences at the border of each pixel, [n, C].

    Wanted is, at each link across the border, the gentler of the edit's and the original's gradient (after Pérez et
    al. 2003, eq. 13, which takes the steeper), because an edit and its surroundings meet at random. It moves a link by
    ``GENTLER`` at most, and by no more than the border differs there: an edit that meets the original keeps its bits.
    """
    link, inside, outside = border_links(level)
    difference = (original[outside] - edited[outside]).float()
    gradient, own = edited[inside] - edited[outside], original[inside] - original[outside]
    limit = difference.abs().clamp_max(GENTLER)
    change = torch.where(own.abs() < gradient.abs(), own - gradient, 0).float().clamp(-limit, limit)
    return difference.new_zeros(len(level.unknowns), difference.shape[-1]).index_add_(0, link, difference + change)


def border_links(level: Level) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Every pair of a free and a known neighbor: which unknown, and row and column of both, [links] each."""
    width = level.size[1]
    known = (level.stencil == len(level.unknowns) + len(level.hanging)).nonzero()
    link = known[:, 0]
    inside, outside = level.unknowns[link], _neighbors(level.unknowns, *level.size)[link, known[:, 1]]
    return link, (inside // width, inside % width), (outside // width, outside % width)


def _led_on(past: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The mix of past cycles whose steps cancel best."""
    cycled, step = past[-1]
    if len(past) == 1:
        return cycled
    turns = torch.stack([(step - one).flatten() for _, one in past[:-1]])
    squares = (turns @ turns.T).cpu().double()
    ridge = (squares.diagonal().mean() * 1e-7 + 1e-30) * torch.eye(len(squares), dtype=torch.float64)
    weights = torch.linalg.solve(squares + ridge, (turns @ step.flatten()).cpu().double()).tolist()
    mixed = cycled * (1 - sum(weights))
    for weight, (one, _) in zip(weights, past, strict=False):
        mixed.add_(one, alpha=weight)
    return mixed


def _cycle(levels: list[Level], values: list[Tensor], pull: Tensor) -> list[Tensor]:
    """One V-cycle of multigrid in full approximation (Brandt 1977): every level holds values, not corrections.

    Where a coarse point stands for a pixel of the finer level, it hears what is left there; behind the band it is
    solved for its own sake.
    """
    before, pulls = list(values), [pull]
    for i, (level, coarser) in enumerate(pairwise(levels)):
        values[i] = _smooth(levels, values, i, pulls[i])
        center = level.restriction[:, 4]
        finer = (center < len(level.unknowns))[:, None]
        values[i + 1] = before[i + 1] = torch.where(finer, _with_zero(values[i]).index_select(0, center), values[i + 1])
        left = _with_zero(pulls[i] - _laplacian(level, values, i))
        weights = left.new_tensor(FULL_WEIGHTING).expand(level.restriction.shape)
        heard = functional.embedding_bag(level.restriction, left, mode="sum", per_sample_weights=weights.contiguous())
        pulls.append(torch.where(finer, _laplacian(coarser, values, i + 1) + heard, 0))
    for _ in range(LAST_SMOOTHING):
        values[-1] = _smooth(levels, values, len(levels) - 1, pulls[-1])
    for i in reversed(range(len(levels) - 1)):
        values[i] = values[i] + _mean(_with_zero(values[i + 1] - before[i + 1]), levels[i].prolongation)
        values[i] = _smooth(levels, values, i, pulls[i])
    return values


def _smooth(levels: list[Level], values: list[Tensor], i: int, pull: Tensor) -> Tensor:
    values = list(values)
    for weight in SMOOTHING:
        values[i] = torch.add(values[i], pull - _laplacian(levels[i], values, i), alpha=weight / 4)
    return values[i]


def _laplacian(level: Level, values: list[Tensor], i: int) -> Tensor:
    """Four times each value less its four neighbors; known neighbors count as 0."""
    hanging = [_mean(values[i + 1], level.hanging)] if len(level.hanging) else []
    reach = _with_zero(values[i], *hanging)
    return 4 * values[i] - functional.embedding_bag(level.stencil, reach, mode="sum")


def _mean(values: Tensor, indices: Tensor) -> Tensor:
    return functional.embedding_bag(indices, values, mode="sum") / 4


def _with_zero(*parts: Tensor) -> Tensor:
    return torch.cat([*parts, parts[0].new_zeros(1, parts[0].shape[-1])])


def spread(levels: list[Level], values: list[Tensor]) -> Tensor | None:
    """All points of the first of these levels: its own where it has them, and means of the coarser ones between."""
    points = None
    for level, value in zip(reversed(levels), reversed(values), strict=True):
        points = spread_rows(level, value, points, slice(0, level.size[0]))
    return points


def spread_rows(level: Level, value: Tensor, coarse: Tensor | None, rows: slice) -> Tensor:
    """Some rows of a level, from an even one on."""
    count, width = rows.stop - rows.start, level.size[1]
    if coarse is None:
        points = value.new_zeros(count, width, value.shape[-1])
    else:
        points = _stretched(_stretched(coarse[rows.start // 2 : rows.stop // 2 + 1], 1, width), 0, count)
    span = torch.tensor([rows.start * width, rows.stop * width], device=level.unknowns.device)
    first, last = torch.searchsorted(level.unknowns, span).tolist()
    points.flatten(0, 1)[level.unknowns[first:last] - rows.start * width] = value[first:last]
    return points


def _stretched(points: Tensor, axis: int, count: int) -> Tensor:
    """Twice as many points along an axis, the new ones halfway; behind the last, the last."""
    shape = list(points.shape)
    shape[axis] = count
    result = points.new_empty(shape)
    known, wanted = points.movedim(axis, 0), result.movedim(axis, 0)
    between = min(count // 2, len(known) - 1)
    wanted[::2] = known[: (count + 1) // 2]
    wanted[1 : 2 * between : 2] = torch.lerp(known[:between], known[1 : between + 1], 0.5)
    wanted[2 * between + 1 :: 2] = known[-1]
    return result


def plan_membrane(free: Tensor) -> list[Level]:
    """Which points of which lattice are solved for a mask, and how they hang together; [] where nothing is known.

    free: [H, W] bool
    """
    if bool(free.all()) or not bool(free.any()):
        return []
    lattices = [free]
    while bool((inner := _inner(lattices[-1])).any()):
        lattices.append(inner)
    lookups, indices = [], []
    for i, lattice in enumerate(lattices):
        solved = lattice
        if i + CELL_LEVELS < len(lattices):
            solved = lattice & ~_covered(lattices[i + CELL_LEVELS], lattice.shape)
        index = solved.flatten().nonzero().flatten()
        lookup = torch.full((lattice.numel(),), -1, dtype=torch.int32, device=free.device)
        lookup[index] = torch.arange(len(index), dtype=torch.int32, device=free.device)
        lookups.append(lookup)
        indices.append(index)
    return [_level(lattices, lookups, indices, i) for i in range(len(lattices))]


def _inner(free: Tensor) -> Tensor:
    """Every second point whose eight neighbors are free as well, [(H + 1) // 2, (W + 1) // 2]."""
    padded = functional.pad(free, (1, 1, 1, 1), value=True)
    rows = padded[0:-2:2] & padded[1:-1:2] & padded[2::2]
    return rows[:, 0:-2:2] & rows[:, 1:-1:2] & rows[:, 2::2]


def _covered(coarse: Tensor, shape: torch.Size) -> Tensor:
    """True in the cells whose four corners are points of the coarse lattice."""
    down = torch.cat([coarse[1:], coarse[-1:]]) & coarse
    cells = torch.cat([down[:, 1:], down[:, -1:]], 1) & down
    return cells.repeat_interleave(CELL, 0)[: shape[0]].repeat_interleave(CELL, 1)[:, : shape[1]]


def _level(lattices: list[Tensor], lookups: list[Tensor], indices: list[Tensor], i: int) -> Level:
    index, lookup, lattice = indices[i], lookups[i], lattices[i]
    height, width = lattice.shape
    sides = _neighbors(index, height, width)
    stencil = lookup[sides]
    none = stencil.new_empty(0, 4)
    if i + 1 == len(lattices):
        stencil[stencil < 0] = len(index)
        return Level(index, (height, width), stencil, none, none, none)
    coarse, size = lookups[i + 1], lattices[i + 1].shape
    hangs = (stencil < 0) & lattice.flatten()[sides]
    hanging = coarse[_corners(sides[hangs], width, *size)]
    count = len(hanging)
    stencil[hangs] = len(index) + torch.arange(count, dtype=torch.int32, device=index.device)
    stencil[stencil < 0] = len(index) + count
    prolongation = coarse[_corners(index, width, *size)]
    prolongation[prolongation < 0] = len(indices[i + 1])
    row, column = indices[i + 1] // size[1] * 2, indices[i + 1] % size[1] * 2
    restriction = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            y, x = row + down, column + right
            within = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            found = lookup[(y.clamp(0, height - 1) * width + x.clamp(0, width - 1))]
            restriction.append(torch.where(within & (found >= 0), found, len(index)))
    return Level(index, (height, width), stencil, hanging, prolongation, torch.stack(restriction, 1))


def _neighbors(index: Tensor, height: int, width: int) -> Tensor:
    """Above, below, left and right of each point, [n, 4]; beyond the edge, the point itself."""
    row, column = index // width, index % width
    return torch.stack(
        [
            torch.where(row > 0, index - width, index),
            torch.where(row < height - 1, index + width, index),
            torch.where(column > 0, index - 1, index),
            torch.where(column < width - 1, index + 1, index),
        ],
        dim=-1,
    )


def _corners(index: Tensor, width: int, height_above: int, width_above: int) -> Tensor:
    """The points of the next coarser lattice around each point, [n, 4]."""
    row, column = index // width, index % width
    up, left = row // 2, column // 2
    down, right = ((row + 1) // 2).clamp_max(height_above - 1), ((column + 1) // 2).clamp_max(width_above - 1)
    return torch.stack([y * width_above + x for y in (up, down) for x in (left, right)], dim=-1)
