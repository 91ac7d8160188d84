"""Does an edit come out as it should? Edits by words, inversions and SDEdit against the known truth of the demo world.

Each edit changes one attribute of a held-out scene (day to night, red to blue, summer to winter, flat to oil, house to
boat), so the true target is the same scene drawn with that attribute. A scene is inverted under its own caption and
sampled under the target's; an edit by words takes both captions at once. Writes benchmarks/edit_truth.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..dev import pack
from . import reader, world

TABLE = Path(__file__).with_suffix(".md")
FAMILIES = ("eps", "flow")
STEPS, CFG = 10, 3.0
WORDS = "Edit by Words"


@dataclass(frozen=True)
class Way:
    """A way to edit.

    method:  one of DDIMInvert's, `SDEdit`, or `Edit by Words`
    steps:   at strength 1, and in proportion below
    restore: give the picture its own detail back afterwards
    """

    method: str
    strength: float
    preserve: float = 0.0
    cfg: float = CFG
    steps: int = STEPS
    restore: bool = False

    def name(self) -> str:
        """What the table calls it."""
        parts = [self.method]
        parts += [f"preserve {self.preserve:g}"] if self.method == "pinned" else []
        parts += [f"cfg {self.cfg:g}"] if self.cfg != CFG else []
        return ", ".join(parts) + (" + Restore Detail" if self.restore else "")


WAYS = (
    *(Way("SDEdit", strength) for strength in (0.5, 0.6, 0.7)),
    *(Way(method, strength) for method in ("ddim", "corrected") for strength in (0.8, 1.0)),
    Way("exact", 0.8),
    *(Way("pinned", strength, preserve=0.6) for strength in (0.8, 1.0)),
    *(Way("noise_maps", strength) for strength in (0.7, 0.8)),
    Way("noise_maps", 1.0, cfg=1.0),
    *(Way(WORDS, 1.0, cfg=1.0, steps=14, restore=restore) for restore in (False, True)),
)


class Trial:
    """The edits, and one family of the toy that attempts them."""

    def __init__(self, toy: world.Toy, edits: world.Edits, judge: reader.Reader) -> None:
        self.toy, self.edits, self.judge = toy, edits, judge
        self.latents = toy.encoded(edits.before)

    def score(self, way: Way) -> tuple[world.Score, int]:
        """How well the edits come out this way, and the model calls for each."""
        ways = {"SDEdit": self._sdedit, WORDS: self._by_words}
        pictures, calls = ways.get(way.method, self._inverted)(way)
        if way.restore:
            restore = self.toy.nodes["Img2ImgRestoreDetail"].execute
            pictures = restore(self.edits.before, pictures, vae=self.toy.vae)[0]
        return self.edits.score(self.judge, pictures), calls

    def _sdedit(self, way: Way) -> tuple[torch.Tensor, int]:
        return self.toy.repainted(self.latents, self.edits.targets, way.cfg, way.steps, way.strength)

    def _by_words(self, way: Way) -> tuple[torch.Tensor, int]:
        toy, pictures, calls = self.toy, [], 0
        for start in range(0, len(self.latents), world.BATCH):
            some = slice(start, start + world.BATCH)
            prompts = (world.prompts(toy.clip, scenes[some]) for scenes in (self.edits.sources, self.edits.targets))
            latent, _, report = toy.nodes["Img2ImgPromptEdit"].execute(
                toy.model, *prompts, toy.empty, {"samples": self.latents[some]}, "normal", way.steps, way.strength,
                way.cfg, 1.0, world.SEED + start,
            ).args  # fmt: skip
            pictures.append(toy.vae.decode(latent["samples"]))
            calls = json.loads(report)["model_calls"]
        return torch.cat(pictures), calls

    def _inverted(self, way: Way) -> tuple[torch.Tensor, int]:
        toy, pictures, calls = self.toy, [], 0
        for start in range(0, len(self.latents), world.BATCH):
            some = slice(start, start + world.BATCH)
            inversion, *_, first = toy.nodes["DDIMInvert"].execute(
                toy.model, world.prompts(toy.clip, self.edits.sources[some]), {"samples": self.latents[some]}, "normal",
                max(1, round(way.steps * way.strength)), way.strength, way.method, 3, 1.0, world.SEED + start,
            ).args  # fmt: skip
            latent, second = toy.nodes["Img2ImgInversionSampler"].execute(
                toy.model, world.prompts(toy.clip, self.edits.targets[some]), toy.empty, inversion, way.cfg,
                way.preserve,
            ).args  # fmt: skip
            pictures.append(toy.vae.decode(latent["samples"]))
            calls = sum(json.loads(report)["model_calls"] for report in (first, second))
        return torch.cat(pictures), calls


HEAD = """# Edits against the truth

{count} edits of one attribute each in the demo world, beginning with held-out scene {first}, whose true target picture
is known; cfg {cfg:g} and {steps} steps at strength 1, in proportion below, where nothing else is said (Edit by Words
takes 14 steps). PSNR and SSIM to the true target, success (the reader of `reader.py` finds the asked value of the
changed attribute) and kept (PSNR of the pixels that must not change) in the mean; calls are model calls for each
picture, inversion included. The autoencoder alone, on the true targets, is the ceiling. Bold: the best PSNR of a kind.
Made by `python -m nox -s benchmarks -- edit_truth`.
"""


def measured(trial: Trial, ways: Sequence[Way], ceiling: world.Score) -> str:
    """The table of one family."""
    rows = [("autoencoder alone", "", ceiling, 0)]
    for way in ways:
        began = time.perf_counter()
        score, calls = trial.score(way)
        rows.append((way.name(), f"{way.strength:g}", score, calls))
        print(trial.toy.family, way, score, calls, f"{time.perf_counter() - began:.0f} s", flush=True)
    best = {name: max(score.psnr for other, _, score, _ in rows if other == name) for name, *_ in rows}
    lines = [f"\n## {trial.toy.family}\n", "| method | strength | PSNR, dB | SSIM | kept, dB | success | calls |"]
    lines.append("| --- " * 7 + "|")
    for name, strength, score, calls in rows:
        quality = f"**{score.psnr:.2f}**" if score.psnr == best[name] else f"{score.psnr:.2f}"
        lines.append(f"| {name} | {strength} | {quality} | {score.ssim:.3f} | {score.kept:.2f} | {score.success:.0%} | "
                     f"{calls or ''} |")  # fmt: skip
    return "\n".join(lines) + f"\n\n{_compared(rows[1:])}\n"


def _compared(rows: Sequence[tuple[str, str, world.Score, int]]) -> str:
    """The best inversion beside the best SDEdit, in a sentence; empty unless both were tried."""
    others = [row for row in rows if not row[0].startswith(WORDS)]
    kinds = [[row for row in others if (row[0] == "SDEdit") == plain] for plain in (True, False)]
    if not all(kinds):
        return ""
    plain, inverted = (max(kind, key=lambda row: row[2].psnr) for kind in kinds)
    return (
        f"The best inversion ({inverted[0]}, strength {inverted[1]}) comes {inverted[2].psnr - plain[2].psnr:+.1f} dB "
        f"closer to the truth than SDEdit at its best strength ({plain[1]}) and keeps what must not change by "
        f"{inverted[2].kept - plain[2].kept:+.1f} dB."
    )


def main() -> None:
    """Try every way on every family, and write the table unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the held-out scene to begin with")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="one or more; all, unless told")
    parser.add_argument("--method", action="append", help="one or more, SDEdit included; all, unless told")
    parser.add_argument("--print-only", action="store_true", help=f"leave {TABLE.name} as it is")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    nodes = pack.load()
    ways = [way for way in WAYS if chosen.method is None or way.method in chosen.method]
    text = HEAD.format(count=chosen.edits, first=chosen.first, cfg=CFG, steps=STEPS)
    with torch.inference_mode():
        edits = world.Edits(chosen.edits, chosen.first)
        toys = [world.Toy(nodes, family) for family in chosen.family or FAMILIES]
        judge = reader.load(toys[0].vae)
        ceiling = edits.score(judge, reader.round_trip(toys[0].vae, edits.truth))
        for toy in toys:
            text += measured(Trial(toy, edits, judge), ways, ceiling)
    print(text)
    if not chosen.print_only:
        TABLE.write_text(text, encoding="utf-8", newline="\n")
