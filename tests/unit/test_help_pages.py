"""The numbers in the help pages are the numbers of the code."""

import re
from pathlib import Path

import pytest
import torch
from img2img_studio.core.curve import LAYOUT_SHARE
from img2img_studio.core.preset import RECOMMENDATIONS

PAGES = Path(__file__).resolve().parents[2] / "js" / "docs"


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the Markdown table whose header starts with `heading`, as stripped cells."""
    lines = (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(next(line for line in lines if line.startswith(f"| {heading} |"))) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def span(text: str) -> tuple[float, float] | None:
    """A cell such as `0.2 – 0.3`, `10` or a dash, as (low, high)."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", text)]
    return (numbers[0], numbers[-1]) if numbers else None


def test_the_signal_table_is_that_of_stable_diffusion_1_5():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = torch.cumprod(1 - betas, dim=0)
    rows = table("StrengthScheduler", "t")
    assert [int(row[0]) for row in rows] == [100, 300, 500, 700, 900]
    for row in rows:
        assert float(row[2]) == pytest.approx(float(signal[int(row[0])]), abs=0.005)


def test_the_table_of_shifts_is_what_the_shift_does():
    """sigma = shift t / (1 + (shift - 1) t), solved for t at half noise and where the layout is lost."""
    for shift, _, half, lost in table("StrengthScheduler", "shift"):
        for sigma, strength in ((0.5, half), (LAYOUT_SHARE, lost)):
            time = sigma / (float(shift) - (float(shift) - 1) * sigma)
            assert float(strength) == pytest.approx(time, abs=0.0051)


def test_the_preset_table_is_that_of_the_node():
    rows = table("Img2ImgStrengthPreset", "use_case")
    assert [row[0] for row in rows] == list(RECOMMENDATIONS)
    for use_case, strength, cfg, steps in rows:
        known = RECOMMENDATIONS[use_case]
        assert span(strength) == known.strength
        assert span(cfg) == known.cfg
        assert span(steps) == (known.steps and (known.steps, known.steps))


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_pictures_of_a_page_exist(page: Path):
    for link in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", page.read_text(encoding="utf-8")):
        assert (PAGES / link).is_file(), f"{page.name} shows {link}, which is not there"
