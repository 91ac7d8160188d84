"""How good is the demo world's toy checkpoint? Writes the tables of demo/README.md and the figure about strength.

Everything is measured on held-out scenes, and sampled by the nodes inside ComfyUI. The reader of benchmarks/reader.py
says what a picture shows.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from ..core.plot import BARS, CURVE, PAPER, SHARPNESS, Panel
from ..demo.scene import WORDS
from ..dev import pack
from . import reader, world
from .results import processor

README = pack.ROOT / "demo" / "README.md"
FIGURE = pack.ROOT / "pictures" / "strength_truth.png"
START, END = "<!-- measured by benchmarks/demo_world.py -->\n", "<!-- end of the measured part -->\n"
FAMILIES = ("eps", "flow")
STRENGTHS = tuple(tenth / 10 for tenth in range(1, 11))
PAINT_CFG, PAINT_STEPS, EDIT_CFG, EDIT_STEPS = 5.0, 20, 3.0, 10


@dataclass(frozen=True)
class Ceiling:
    """Held-out scenes as drawn, and as the autoencoder gives them back: nothing painted through it can be better."""

    scenes: list[world.Scene]
    drawings: torch.Tensor
    again: torch.Tensor

    @classmethod
    def of(cls, toy: world.Toy, count: int) -> Ceiling:
        """Draw scenes, and send them through the autoencoder."""
        scenes = world.held_out(count)
        drawings = world.drawn(scenes)
        return cls(scenes, drawings, reader.round_trip(toy.vae, drawings))


def quality_of_the_vae(ceiling: Ceiling) -> str:
    """Round trips through the autoencoder, over all scenes and by style."""
    quality = [world.decibels(a, b) for a, b in zip(ceiling.again, ceiling.drawings, strict=True)]
    by_style = {style: [q for q, (said, _) in zip(quality, ceiling.scenes, strict=True) if said.style == style]
                for style in WORDS["style"]}  # fmt: skip
    means = [statistics.mean(quality), *map(statistics.mean, by_style.values())]
    return f"Autoencoder, there and back, PSNR in dB, mean of {len(quality)} scenes:\n\n" + table(
        ["all", *by_style], [[f"{mean:.1f}" for mean in means]]
    )


Shown = dict[str, tuple[torch.Tensor, list[world.Scene]]]
"""Pictures and what they should show, by where they come from."""


def shown_by(toys: list[world.Toy], ceiling: Ceiling, count: int) -> Shown:
    """The drawings, the same after the autoencoder, and what each family paints for the prompts of `count` scenes."""
    scenes = world.held_out(count)
    return {
        f"{len(ceiling.scenes)} scenes as drawn": (ceiling.drawings, ceiling.scenes),
        "the same through the autoencoder": (ceiling.again, ceiling.scenes),
        **{f"painted by {toy.family}": (toy.painted(scenes, PAINT_CFG, PAINT_STEPS), scenes) for toy in toys},
    }


def strength_of_edges(shown: Shown) -> str:
    """How sharp flat scenes are, beside the drawn ones: only there is every edge one of the drawing."""
    found = []
    for pictures, scenes in shown.values():
        flat = torch.tensor([attributes.style == "flat" for attributes, _ in scenes])
        found.append(world.mean_gradient(pictures[flat]))
    return "Edges of flat scenes, their mean gradient over that of the drawn ones:\n\n" + table(
        list(shown)[1:], [[f"{one / found[0]:.2f}" for one in found[1:]]]
    )


def what_is_painted(shown: Shown, judge: reader.Reader, count: int) -> str:
    """How often text to image shows what was asked for, and how often the reader is right about true drawings."""
    rows = []
    for name, (pictures, asked) in shown.items():
        shares = reader.accuracy(judge, pictures, [attributes for attributes, _ in asked])
        rows.append([name, *(f"{100 * share:.1f}" for share in shares.values())])
    return (
        f"Text to image, {count} prompts, cfg {PAINT_CFG:g}, {PAINT_STEPS} steps: in how many of 100 pictures the "
        f"reader (a small network, benchmarks/reader.py) finds the value that was asked for.\n\n"
        + table(["", *WORDS, "mean"], rows)
    )


@dataclass(frozen=True)
class Course:
    """The scores of the edits at each strength, for one family."""

    family: str
    scores: list[world.Score]

    def rows(self) -> Iterator[list[str]]:
        """The lines of the table, as text."""
        shown: dict[str, tuple[Callable[[world.Score], float], str]] = {
            "success": (lambda score: score.success, ".0%"),
            "kept part, PSNR": (lambda score: score.kept, ".1f"),
            "whole picture to the truth, PSNR": (lambda score: score.psnr, ".1f"),
        }
        for name, (value, form) in shown.items():
            yield [f"{self.family}: {name}", *(format(value(score), form) for score in self.scores)]

    def remark(self) -> str:
        """In words, whether success only rises and faithfulness only falls."""
        success, kept = [s.success for s in self.scores], [s.kept for s in self.scores]
        rises = "rises" if success == sorted(success) else "rises in the large, not at every step"
        falls = "falls at every step" if kept == sorted(kept, reverse=True) else "falls in the large, not at every step"
        return f"{self.family}: success {rises}; faithfulness {falls}."


def course_of_strength(toys: list[world.Toy], judge: reader.Reader, count: int) -> tuple[str, list[Course]]:
    """Edits of one attribute at every strength, against their known truth."""
    edits = world.Edits(count)
    courses = []
    for toy in toys:
        latents = toy.encoded(edits.before)
        scores = [
            edits.score(judge, toy.repainted(latents, edits.targets, EDIT_CFG, EDIT_STEPS, strength)[0])
            for strength in STRENGTHS
        ]
        courses.append(Course(toy.family, scores))
    text = (
        f"Image to image, {count} edits of one attribute each (day to night, red to blue, flat to oil …), cfg "
        f"{EDIT_CFG:g}, {EDIT_STEPS} steps at strength 1 and in proportion below. Success: the changed attribute reads "
        f"as asked. Kept part: the pixels that the true target shares with the input; how faithful they stay, in dB. "
        f"Whole picture: against the true target.\n\n"
    )
    rows = [row for course in courses for row in course.rows()]
    remarks = " ".join(course.remark() for course in courses)
    return text + table(["strength", *map(str, STRENGTHS)], rows) + f"\n{remarks}\n", courses


def speed(toys: list[world.Toy]) -> str:
    """How long loading takes, and one evaluation of prompt and negative prompt together at 128 x 128."""
    (toy, *_) = toys
    cells = [["loading", *(f"{one.seconds:.2f} s ({one.family})" for one in toys)]]
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(f"{1000 * _evaluation(toy):.0f} ms ({threads} thread{'s' * (threads > 1)})")
    torch.set_num_threads(1)
    cells.append(["one evaluation at 128 x 128, prompt and negative together, the fastest of forty", *found])
    return f"Time, on {processor()}:\n\n" + table(["", "", ""], cells)


def _evaluation(toy: world.Toy, times: int = 40) -> float:
    """Seconds of one evaluation, the fastest of a run: the others are stretched by whatever else the machine does."""
    seconds: list[float] = []

    def timed(apply: Callable[..., torch.Tensor], options: dict[str, Any]) -> torch.Tensor:
        began = time.perf_counter()
        out = apply(options["input"], options["timestep"], **options["c"])
        seconds.append(time.perf_counter() - began)
        return out

    model = toy.model.clone()
    model.set_model_unet_function_wrapper(timed)
    sample = importlib.import_module("nodes").common_ksampler
    prompt = world.prompts(toy.clip, world.held_out(1))
    sample(model, 1, times, 5.0, "euler", "normal", prompt, toy.empty, {"samples": torch.zeros(1, 4, 16, 16)})
    return min(seconds)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def figure(courses: list[Course], count: int) -> Image.Image:
    """Success, faithfulness and closeness to the truth over strength; one line for each family."""
    image = Image.new("RGB", (1280 * SHARPNESS, 500 * SHARPNESS), PAPER)
    draw = ImageDraw.Draw(image)
    panels: list[tuple[str, str, tuple[float, float], list[float], Callable[[world.Score], float]]] = [
        ("Asked for, and there", f"of {count} edits, in %", (0, 100), [0, 25, 50, 75, 100], lambda s: 100 * s.success),
        ("To be kept, and kept", "PSNR in dB of that part", (12, 30), [15, 20, 25, 30], lambda s: s.kept),
        ("Close to the true answer", "PSNR in dB", (14, 20), [15, 16, 17, 18, 19, 20], lambda s: s.psnr),
    ]
    for index, (title, detail, span, ticks, value) in enumerate(panels):
        panel = Panel(draw, (180 + 840 * index, 220, 820 + 840 * index, 840), (0.05, 1.05), span)
        panel.title(title, detail)
        panel.y_axis(ticks, lambda tick: f"{tick:g}")
        for course, color in zip(courses, (CURVE, BARS), strict=True):
            _line(panel, [value(score) for score in course.scores], color)
        for strength in STRENGTHS[1::2]:
            panel.x_label(strength, f"{strength:g}")
        panel.x_name("strength")
    for row, (course, color) in enumerate(zip(courses, (CURVE, BARS), strict=True)):
        draw.text((2430, 76 + 50 * row), course.family, color, ImageFont.load_default(40))
    return image.reduce(SHARPNESS)


def _line(panel: Panel, values: list[float], color: str) -> None:
    points = [panel.at(strength, value) for strength, value in zip(STRENGTHS, values, strict=True)]
    panel.draw.line(points, color, 9, joint="curve")
    for x, y in points:
        panel.draw.ellipse((x - 13, y - 13, x + 13, y + 13), PAPER, color, 7)


def write(text: str) -> None:
    """Put the measured part into demo/README.md, between its two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8", newline="\n")


def main() -> None:
    """Measure, print, and write what was measured in full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200, help="for the autoencoder")
    parser.add_argument("--prompts", type=int, default=400, help="for text to image")
    parser.add_argument("--edits", type=int, default=100, help="for image to image")
    parser.add_argument("--print-only", action="store_true", help="leave demo/README.md and the figure as they are")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    nodes = pack.load()
    with torch.inference_mode():
        toys = [world.Toy(nodes, family) for family in FAMILIES]
        judge = reader.load(toys[0].vae)
        ceiling = Ceiling.of(toys[0], chosen.scenes)
        parts = [quality_of_the_vae(ceiling)]
        print(parts[0], flush=True)
        shown = shown_by(toys, ceiling, chosen.prompts)
        parts += [strength_of_edges(shown), what_is_painted(shown, judge, chosen.prompts)]
        print(*parts[1:], sep="\n", flush=True)
        text, courses = course_of_strength(toys, judge, chosen.edits)
        parts += [text, speed(toys)]
    print(*parts[-2:], sep="\n", flush=True)
    if not chosen.print_only:
        write("\n".join(parts))
        picture = figure(courses, chosen.edits)
        picture.quantize(64, dither=Image.Dither.NONE).save(FIGURE, optimize=True)
