"""The membrane against closed forms, a dense solve, and masks of every kind."""

import pytest
import torch
from img2img_studio.core.membrane import membrane
from img2img_studio.core.seam import seamless


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def disc(height, width, radius, center=(0.5, 0.5)):
    rows, columns = torch.arange(height)[:, None] - height * center[0], torch.arange(width) - width * center[1]
    return rows**2 + columns**2 < radius**2


MASKS = {
    "disc": disc(60, 70, 25),
    "wide disc": disc(300, 280, 120),
    "at the edge": disc(90, 100, 60, (0.0, 0.3)),
    "in the corner": disc(65, 51, 40, (1.0, 1.0)),
    "dots": drawn(50, 50) > 0.95,
    "all but dots": drawn(90, 77) > 0.003,
    "half": drawn(61, 64) > 0.5,
    "checkerboard": (torch.arange(33)[:, None] + torch.arange(40)) % 2 == 0,
    "a line": (torch.arange(40)[:, None] == 7).expand(40, 50),
    "a crossing": (torch.arange(40)[:, None] == 7) | (torch.arange(50) == 49),
    "half the picture": (torch.arange(80)[:, None] >= 33).expand(80, 64),
    "two regions": disc(120, 90, 20, (0.2, 0.3)) | disc(120, 90, 25, (0.7, 0.7)),
}
SMALL = [name for name, mask in MASKS.items() if mask.numel() < 5200]
every_mask = pytest.mark.parametrize("free", MASKS.values(), ids=MASKS.keys())


def dense_answer(known, free):
    """The five-point Laplace equation on the free pixels, solved as one dense system in float64."""
    height, width, channels = known.shape
    number = torch.full(free.shape, -1, dtype=torch.long)
    number[free] = torch.arange(int(free.sum()))
    matrix = torch.zeros(int(free.sum()), int(free.sum()), dtype=torch.float64)
    wanted = torch.zeros(len(matrix), channels, dtype=torch.float64)
    for y, x in free.nonzero().tolist():
        here = number[y, x]
        for row, column in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= row < height and 0 <= column < width:
                matrix[here, here] += 1
                if free[row, column]:
                    matrix[here, number[row, column]] -= 1
                else:
                    wanted[here] += known[row, column]
    return torch.linalg.solve(matrix, wanted)


@pytest.mark.parametrize("name", SMALL)
def test_the_membrane_is_the_dense_answer(name):
    free = MASKS[name]
    known = drawn(*free.shape, 3, seed=1)
    solved = membrane(known, torch.zeros_like(known), free)
    # Behind the band along the border it is solved on coarser points, which costs most at the picture's edge.
    assert float((solved[free] - dense_answer(known, free)).abs().max()) < 0.015


def test_near_the_border_the_membrane_is_the_dense_answer_to_the_last_digits():
    for seed, free in enumerate((drawn(40, 44) > 0.2, disc(40, 36, 15))):
        known = drawn(*free.shape, 3, seed=seed)
        solved = membrane(known, torch.zeros_like(known), free)
        assert float((solved[free] - dense_answer(known, free)).abs().max()) < 5e-4


@every_mask
def test_a_constant_difference_is_a_constant_shift(free):
    edited = drawn(*free.shape, 2)
    assert torch.allclose(membrane(edited + 0.3, edited, free)[free], torch.tensor(0.3), atol=1e-3)


@pytest.mark.parametrize("name", ["disc", "wide disc", "dots", "half", "two regions"])
def test_harmonic_functions_are_reproduced(name):
    """Inside the picture; at its edge the membrane lies level, and a ramp does not."""
    free = torch.nn.functional.pad(MASKS[name], (1, 1, 1, 1))
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, max(free.shape))[:side] for side in free.shape), indexing="ij")
    known = torch.stack([x, y, 0.3 + x - y, x * y, x * x - y * y], -1)
    solved = membrane(known, torch.zeros_like(known), free)
    wrong = (solved - known)[free].abs().amax(0)
    assert float(wrong[:3].max()) < 1e-3
    assert float(wrong.max()) < 5e-3  # what is curved is a little flatter behind the band, between coarser points


@every_mask
def test_the_membrane_stays_within_the_differences_it_spans(free):
    known = drawn(*free.shape, 1, seed=3)
    solved = membrane(known, torch.zeros_like(known), free)[free]
    assert float(solved.min()) > float(known[~free].min()) - 1e-3
    assert float(solved.max()) < float(known[~free].max()) + 1e-3


@every_mask
@pytest.mark.parametrize("soft", [False, True])
def test_outside_keeps_its_bits(free, soft):
    original, edited = drawn(2, *free.shape, 3), drawn(2, *free.shape, 3, seed=1)
    mask = free * (drawn(*free.shape, seed=2) if soft else 1.0)
    result = seamless(original, edited, mask[None])
    assert torch.equal(result[:, mask == 0], original[:, mask == 0])
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_pictures_of_other_dtypes_keep_theirs_under_a_soft_mask(dtype):
    original, edited = drawn(1, 40, 50, 3).to(dtype), drawn(1, 40, 50, 3, seed=1).to(dtype)
    mask = drawn(1, 40, 50, seed=2) * (drawn(1, 40, 50, seed=3) > 0.5)
    result = seamless(original, edited, mask)
    assert result.dtype == dtype
    assert torch.equal(result[mask == 0], original[mask == 0])
    single = seamless(original.float(), edited.float(), mask)
    assert torch.allclose(result.float(), single, atol=2e-3)


def test_nothing_known_leaves_the_edit_and_nothing_free_the_original():
    original, edited = drawn(1, 20, 30, 3), drawn(1, 20, 30, 3, seed=1)
    assert torch.equal(seamless(original, edited, torch.ones(1, 20, 30)), edited)
    assert torch.equal(seamless(original, edited, torch.zeros(1, 20, 30)), original)


def test_an_edit_that_meets_the_original_keeps_its_bits():
    free = MASKS["disc"]
    original = drawn(1, *free.shape, 3)
    edited = torch.where(free[..., None], drawn(1, *free.shape, 3, seed=1), original)
    assert torch.equal(seamless(original, edited, free[None].float()), edited)


def test_one_picture_of_a_batch_is_the_picture_alone():
    names = ("at the edge", "in the corner", "disc")
    masks = torch.stack([torch.nn.functional.pad(MASKS[name], (0, 100, 0, 90))[:128, :128] for name in names]).float()
    original, edited = drawn(3, 128, 128, 3), drawn(3, 128, 128, 3, seed=1)
    together, shared = seamless(original, edited, masks), seamless(original, edited, masks[:1])
    for i in range(3):
        some = slice(i, i + 1)
        assert torch.equal(together[some], seamless(original[some], edited[some], masks[some]))
        assert torch.equal(shared[some], seamless(original[some], edited[some], masks[:1]))


def pytest_generate_tests(metafunc):
    if "mask_seed" in metafunc.fixturenames:
        metafunc.parametrize("mask_seed", range(1000 if metafunc.config.getoption("large") else 60))


def test_masks_of_every_kind_settle(mask_seed):
    """What is found satisfies the equation: every pixel next to the border is the mean of its neighbors."""
    numbers = torch.Generator().manual_seed(mask_seed)
    height, width = (int(torch.randint(1, 150, (1,), generator=numbers)) for _ in range(2))
    grain = 2 ** int(torch.randint(0, 6, (1,), generator=numbers))
    blobs = torch.rand(1, 1, -(-height // grain), -(-width // grain), generator=numbers)
    field = torch.nn.functional.interpolate(blobs, scale_factor=grain, mode="bilinear")[0, 0, :height, :width]
    free = field > torch.rand(1, generator=numbers)
    if mask_seed % 4 == 0:
        free = ~free ^ (torch.rand(free.shape, generator=numbers) < 0.02)
    known = torch.rand(height, width, 1, generator=numbers)
    field = torch.where(free[..., None], membrane(known, torch.zeros_like(known), free), known)[..., 0]
    around = torch.nn.functional.pad(field[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    means = (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 4
    near = torch.nn.functional.max_pool2d((~free).float()[None, None], 13, 1, 6)[0, 0] > 0
    wrong = (field - means)[free & near].abs()
    assert bool((wrong < 1e-3).all())


def test_colors_that_shifted_as_a_whole_come_back_by_a_gain():
    free = MASKS["disc"]
    original = drawn(1, *free.shape, 3)
    for shifted in (original * 0.8, original * 0.8 + 0.1, original * torch.tensor([0.6, 0.9, 1.0])):
        assert torch.allclose(seamless(original, shifted, free[None].float()), original, atol=2e-3)


@pytest.mark.parametrize(("outside", "expected"), [(0.52, 0.56), (0.4, 0.67), (0.5, 0.6)])
def test_the_gentler_gradient_moves_a_border_within_its_limits(outside, expected):
    """A free pixel of 0.6 in a flat 0.5: the flat original is gentler, but the edit moves by no more than it differs
    there, nor by more than 0.03, beside what the membrane asks for."""
    original, edited = torch.full((1, 3, 3, 1), 0.5), torch.full((1, 3, 3, 1), outside)
    mask = torch.zeros(1, 3, 3)
    edited[0, 1, 1], mask[0, 1, 1] = 0.6, 1.0
    assert float(seamless(original, edited, mask)[0, 1, 1, 0]) == pytest.approx(expected, abs=1e-4)
