"""Does an edit come out as it should? Edits by words, inversions and SDEdit against the known truth of the demo world.

Each edit changes one attribute of a held-out scene (day to night, red to blue, summer to winter, flat to oil, house to
boat), or two, so the true target is the same scene drawn with that attribute. A scene is inverted under its own caption
and sampled under the target's; an edit by words takes both captions at once. Writes benchmarks/edit_truth.md, row by
row.
"""

from __future__ import annotations

import argparse
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from ..core.edit import noised
from ..core.inversion import Denoise
from ..core.metrics import intersection_over_union
from ..dev import pack
from . import reader, side_by_side, world

TABLE = Path(__file__).with_suffix(".md")
FAMILIES = ("eps", "flow")
STEPS, CFG = 10, 3.0
TUNED_ON, UNSEEN, PAIRS = 0, 83_000, 62_000  # the held-out scenes to begin with
THRESHOLD, WELL_FOUND, DIFFEDIT_NOISES = 0.4, 0.6, 10
SWEPT = (1.0, 1.5, 2.0, 3.0, 5.0)
WORDS, STOCK, FLIPPED = "Edit by Words", "stock KSampler", "stock FlipSigmas, euler"


@dataclass(frozen=True)
class Way:
    """A way to edit.

    method:  one of DDIMInvert's, `SDEdit`, `Edit by Words`, or a stock way
    steps:   at strength 1, and in proportion below
    restore: give the picture its own detail back afterwards
    find:    Edit by Words finds its mask first
    """

    method: str
    strength: float
    preserve: float = 0.0
    cfg: float = CFG
    steps: int = STEPS
    restore: bool = False
    find: bool = False

    def name(self) -> str:
        """What the table calls it."""
        parts = [self.method]
        parts += [f"preserve {self.preserve:g}"] if self.method == "pinned" else []
        parts += ["find_mask use"] if self.find else []
        return ", ".join(parts) + (" + Restore Detail" if self.restore else "")


BY_WORDS = Way(WORDS, 0.95, cfg=1.0, steps=14)
DEFAULT = Way("noise_maps", 0.8)
CHEAP = replace(DEFAULT, strength=1.0, cfg=1.0)
WAYS = (
    Way(STOCK, 0.6), Way("SDEdit", 0.6), Way(FLIPPED, 1.0, cfg=1.0), Way(FLIPPED, 0.9), Way(FLIPPED, 0.9, cfg=1.0),
    Way("ddim", 0.8),
    Way("corrected", 0.8), Way("multistep", 0.8), Way("multistep", 1.0, cfg=1.0), Way("exact", 0.8),
    Way("pinned", 0.8, preserve=0.6), Way("pinned", 1.0, preserve=0.6, cfg=1.0), DEFAULT, CHEAP, BY_WORDS,
    replace(BY_WORDS, find=True), replace(BY_WORDS, restore=True),
)  # fmt: skip
GUIDED = (
    Way("SDEdit", 0.6), Way("ddim", 0.8), Way("corrected", 0.8), Way("multistep", 0.8), Way("exact", 0.8),
    Way("pinned", 0.8, preserve=0.6), DEFAULT, CHEAP, BY_WORDS,
)  # fmt: skip
CHOSEN = (DEFAULT, CHEAP, BY_WORDS, replace(BY_WORDS, restore=True))
UNEDITED = (DEFAULT, CHEAP, BY_WORDS, replace(BY_WORDS, cfg=4.0))


class Trial:
    """The edits, and one family of the toy that attempts them.

    said: whether the source's caption is given; else the empty prompt stands in its place
    """

    def __init__(self, toy: world.Toy, edits: world.Edits, judge: reader.Reader, said: bool = True) -> None:
        self.toy, self.edits, self.judge, self.said = toy, edits, judge, said
        self.latents = toy.encoded(edits.before)
        self.asked = 0
        self.inversions: dict[tuple[str, int, float, int], tuple[Any, int]] = {}
        self.edited: dict[Way, tuple[torch.Tensor, float]] = {}
        self.model = toy.model.clone()
        self.model.set_model_unet_function_wrapper(self._counted)

    def _counted(self, apply: Callable[..., Any], given: dict[str, Any]) -> Any:
        self.asked += len(given["input"])
        return apply(given["input"], given["timestep"], **given["c"])

    def pictures(self, way: Way) -> tuple[torch.Tensor, float]:
        """What comes out, IMAGE, and how often the model looked at each picture."""
        plain = replace(way, restore=False)
        if plain not in self.edited:
            self.edited[plain] = self._edited(plain)
        pictures, asked = self.edited[plain]
        if way.restore:
            pictures = self.toy.nodes["Img2ImgRestoreDetail"].execute(
                self.edits.before, pictures, vae=self.toy.vae
            )[0]  # fmt: skip
        return pictures, asked

    def _edited(self, way: Way) -> tuple[torch.Tensor, float]:
        run = {"SDEdit": self._sdedit, WORDS: self._by_words, STOCK: self._stock, FLIPPED: self._flipped}
        self.asked, latents = 0, []
        for start in range(0, len(self.latents), world.BATCH):
            some = slice(start, start + world.BATCH)
            said = [world.prompts(self.toy.clip, scenes[some]) for scenes in (self.edits.sources, self.edits.targets)]
            source = said[0] if self.said else self.toy.empty
            latent = {"samples": self.latents[some]}
            latents.append(run.get(way.method, self._inverted)(way, latent, source, said[1], world.SEED + start))
        pictures = torch.cat([self.toy.vae.decode(latent["samples"]) for latent in latents]).clamp(0, 1)
        return pictures, self.asked / len(self.latents)

    def found(self, find: Callable[[Any, Any, Any, int], torch.Tensor]) -> tuple[torch.Tensor, float]:
        """Masks of the edits by a way to find them, MASK, and how often the model looked at each picture."""
        self.asked, found = 0, []
        for start in range(0, len(self.latents), world.BATCH):
            some = slice(start, start + world.BATCH)
            source, target = (
                world.prompts(self.toy.clip, scenes[some]) for scenes in (self.edits.sources, self.edits.targets)
            )
            found.append(find({"samples": self.latents[some]}, source, target, world.SEED + start))
        return torch.cat(found), self.asked / len(self.latents)

    def mask_by_words(self, latent: Any, source: Any, target: Any, seed: int) -> torch.Tensor:
        """Mask by Words at its default threshold."""
        return self.toy.nodes["Img2ImgPromptMask"].execute(
            self.model, source, target, latent, "normal", seed, threshold=THRESHOLD
        )[0]  # fmt: skip

    def mask_shown(self, latent: Any, source: Any, target: Any, seed: int) -> torch.Tensor:
        """What Edit by Words shows of where it changed the picture."""
        return self.toy.nodes["Img2ImgPromptEdit"].execute(
            self.model, source, target, self.toy.empty, latent, "simple", BY_WORDS.steps, BY_WORDS.strength,
            BY_WORDS.cfg, 1.0, seed, find_mask="show", threshold=THRESHOLD,
        )[1]  # fmt: skip

    def mask_by_diffedit(self, latent: Any, source: Any, target: Any, seed: int) -> torch.Tensor:
        """DiffEdit (arXiv:2210.11427, section 3.2): the mean difference of both prompts' answers at half strength.

        It is clipped at three times its own mean, and cut at a half of that.
        """
        from .. import host  # only now, when the pack is loaded: it imports ComfyUI

        sigmas = self.toy.nodes["StrengthScheduler"].execute(self.model, "normal", STEPS, 0.5)[0]
        sigma, flow = float(sigmas[0]), host.noise_schedule(self.model).flow
        generator = torch.Generator().manual_seed(seed)
        noises = [torch.randn(latent["samples"].shape, generator=generator) for _ in range(DIFFEDIT_NOISES)]

        def ask(denoise: Denoise, x: torch.Tensor) -> list[torch.Tensor]:
            return [denoise(noised(x, noise, sigma, flow), sigma) for noise in noises]

        seen = [
            host.solve(host.Guidance(self.model, prompt, self.toy.empty, 1.0), sigmas, latent["samples"], ask).result
            for prompt in (source, target)
        ]
        apart = torch.stack([(a - b).abs().mean(1, keepdim=True) for a, b in zip(*seen, strict=True)]).mean(0)
        share = (apart / (3 * apart.mean((1, 2, 3), keepdim=True)).clamp_min(1e-12)).clamp(0, 1)
        size = self.edits.same.shape[1:]
        return torch.nn.functional.interpolate((share >= 0.5).to(share), size, mode="nearest")[:, 0].cpu()

    def _sdedit(self, way: Way, latent: Any, source: Any, target: Any, seed: int) -> Any:
        sigmas = self.toy.nodes["StrengthScheduler"].execute(
            self.model, "normal", way.steps, way.strength, step_count="proportional"
        )[0]
        return self.toy.nodes["Img2ImgGuidedSampler"].execute(
            self.model, target, self.toy.empty, latent, sigmas, way.cfg, "euler", seed
        )[0]

    def _by_words(self, way: Way, latent: Any, source: Any, target: Any, seed: int) -> Any:
        return self.toy.nodes["Img2ImgPromptEdit"].execute(
            self.model, source, target, self.toy.empty, latent, "simple", way.steps, way.strength, way.cfg, 1.0, seed,
            find_mask="use" if way.find else "off",
        )[0]  # fmt: skip

    def _inverted(self, way: Way, latent: Any, source: Any, target: Any, seed: int) -> Any:
        inversion, asked = self._up(way, latent, source, seed)
        self.asked += asked
        return self.toy.nodes["Img2ImgInversionSampler"].execute(
            self.model, target, self.toy.empty, inversion, way.cfg, way.preserve
        )[0]

    def _up(self, way: Way, latent: Any, source: Any, seed: int) -> tuple[Any, int]:
        """The inversion, and the evaluations it took; made once, since it does not ask at which cfg it will be edited.

        They are counted by whoever takes it, each time.
        """
        steps = max(1, round(way.steps * way.strength))
        made = way.method, steps, way.strength, seed
        if made not in self.inversions:
            before = self.asked
            inversion = self.toy.nodes["DDIMInvert"].execute(
                self.model, source, latent, "normal", steps, way.strength, way.method, 3, 1.0, seed
            )[0]
            self.inversions[made] = inversion, self.asked - before
            self.asked = before
        return self.inversions[made]

    def _stock(self, way: Way, latent: Any, source: Any, target: Any, seed: int) -> Any:
        sample = importlib.import_module("nodes").common_ksampler
        steps = round(way.steps * way.strength)
        return sample(
            self.model, seed, steps, way.cfg, "euler", "normal", target, self.toy.empty, latent, way.strength
        )[0]  # fmt: skip

    def _flipped(self, way: Way, latent: Any, source: Any, target: Any, seed: int) -> Any:
        """Up under the source's caption at cfg 1 and down under the target's, as users wire it."""
        stock = importlib.import_module("comfy_extras.nodes_custom_sampler")
        still, euler = stock.DisableNoise.execute()[0], stock.KSamplerSelect.execute("euler")[0]
        falling = stock.BasicScheduler.execute(self.model, "normal", way.steps, way.strength)[0]
        for prompt, cfg, sigmas in (
            (source, 1.0, stock.FlipSigmas.execute(falling)[0]),
            (target, way.cfg, falling),
        ):
            guider = stock.CFGGuider.execute(self.model, prompt, self.toy.empty, cfg)[0]
            latent = stock.SamplerCustomAdvanced.execute(still, guider, euler, sigmas, latent)[0]
        return latent


HEAD = """# Edits against the truth

Edits in the demo world, whose true target picture is known. {steps} steps at strength 1, in proportion below; Edit by
Words takes 14. PSNR and SSIM to the true target; local: the PSNR of edits in one place (color, object), global: that of
edits everywhere (time, season, style); kept: PSNR of the pixels that must not change; success: the reader of
`reader.py` finds what was asked for. All in the mean. Evaluations: how often the model looks at each picture, prompt
and negative prompt apart, inversion included. The toy heeds its prompts at cfg 1; large models want more, so its best
cfg is not theirs. A blank: no number came out. On flow models FlipSigmas ends so from strength 1, because ComfyUI's
sampler node hands the noise out divided by 1 - sigma, and sigma is 1 there; so it has rows at 0.9 too. Made by
`python -m nox -s benchmarks -- edit_truth`.
"""
SECTION = "\n## "
COLUMNS = "| way | strength | cfg | PSNR, dB | local | global | SSIM | kept, dB | success | evaluations |\n"


def row(way: Way | None, score: world.Score, asked: float = 0.0) -> str:
    """A line of a table; without a way, of the autoencoder alone."""
    said = ["autoencoder alone", "", ""] if way is None else [way.name(), f"{way.strength:g}", f"{way.cfg:g}"]
    numbers = [score.psnr, score.local, score.global_, score.ssim, score.kept]
    forms = [".2f", ".2f", ".2f", ".3f", ".2f"]
    said += ["" if math.isnan(one) else format(one, form) for one, form in zip(numbers, forms, strict=True)]
    said += ["" if math.isnan(score.psnr) else f"{score.success:.0%}", f"{asked:.3g}" if asked else ""]
    return f"| {' | '.join(said)} |\n"


def table(title: str, trial: Trial, ways: Sequence[Way], judge: reader.Reader) -> Iterator[str]:
    """A table of edits, line by line."""
    ceiling = reader.round_trip(trial.toy.vae, trial.edits.truth)
    yield f"{SECTION}{title}, {trial.toy.family}\n\n{COLUMNS}" + "| --- " * COLUMNS.count(" | ") + "| --- |\n"
    yield row(None, trial.edits.score(judge, ceiling))
    for way in ways:
        pictures, asked = trial.pictures(way)
        yield row(way, trial.edits.score(judge, pictures), asked)


def unedited(toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    """The same caption as source and as target: how far the picture moves, in dB to its own latent's picture."""
    trial = Trial(toy, world.Edits(few, UNSEEN, attributes=0), judge)
    still = toy.vae.decode(trial.latents)
    yield (
        f"{SECTION}Nothing asked for, {few} scenes, {toy.family}\n\n"
        f"The same caption twice; PSNR to the picture as the autoencoder gives it back.\n\n"
        f"| way | strength | cfg | PSNR, dB | evaluations |\n{'| --- ' * 5}|\n"
    )
    for way in UNEDITED:
        pictures, asked = trial.pictures(way)
        mean = sum(world.decibels(a, b) for a, b in zip(pictures, still.clamp(0, 1), strict=True)) / few
        yield f"| {way.name()} | {way.strength:g} | {way.cfg:g} | {mean:.1f} | {asked:.3g} |\n"


def masks(toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    """How well the places of local edits are found, beside the recipe that DiffEdit was published with."""
    edits = world.Edits(count, UNSEEN, only=world.LOCAL)
    trial = Trial(toy, edits, judge)
    yield (
        f"{SECTION}Found masks, {len(edits.edits)} local edits that nothing was tuned on, {toy.family}\n\n"
        f"Intersection over union with the pixels that change in the truth, a mask's pixel counting from a half on; in "
        f"the mean, and for how many edits it is {WELL_FOUND:g} and more.\n\n"
        f"| way | overlap | {WELL_FOUND:g} and more | evaluations |\n{'| --- ' * 4}|\n"
    )
    ways = {"Mask by Words": trial.mask_by_words, "Edit by Words, find_mask show": trial.mask_shown}
    for name, find in (ways | {f"DiffEdit, {DIFFEDIT_NOISES} noises": trial.mask_by_diffedit}).items():
        found, asked = trial.found(find)
        overlap = intersection_over_union(found >= 0.5, ~edits.same)
        well = (overlap >= WELL_FOUND).double().mean()
        yield f"| {name} | {overlap.mean():.2f} | {well:.0%} | {asked:.3g} |\n"


def _large(first: int, which: str, toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    return table(f"{count} edits that {which}", Trial(toy, world.Edits(count, first), judge), CHOSEN, judge)


def _every_way(toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    return table(f"Every way, {few} of them", Trial(toy, world.Edits(few, UNSEEN), judge), WAYS, judge)


def _pairs(toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    trial = Trial(toy, world.Edits(few, PAIRS, attributes=2), judge)
    return table(f"Two attributes at once, {few} edits", trial, CHOSEN, judge)


def _unsaid(toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    trial = Trial(toy, world.Edits(few, UNSEEN), judge, said=False)
    return table(f"Without a source prompt, {few} edits", trial, CHOSEN[:3], judge)


def _guidance(toy: world.Toy, judge: reader.Reader, count: int, few: int) -> Iterator[str]:
    trial = Trial(toy, world.Edits(few, TUNED_ON), judge)
    ways = [replace(way, cfg=cfg) for way in GUIDED for cfg in SWEPT]
    return table(f"Guidance, {few} edits that methods were tuned on", trial, ways, judge)


TABLES: dict[str, Callable[[world.Toy, reader.Reader, int, int], Iterator[str]]] = {
    "unseen": partial(_large, UNSEEN, "nothing was tuned on"),
    "tuned": partial(_large, TUNED_ON, "methods were tuned on"),
    "every": _every_way,
    "pairs": _pairs,
    "unsaid": _unsaid,
    "unedited": unedited,
    "masks": masks,
    "guidance": _guidance,
}
"""What makes the tables of a family, line by line: (toy, reader, edits of the large tables, edits of the others)."""


def page(toy: world.Toy, judge: reader.Reader, chosen: argparse.Namespace) -> Iterator[str]:
    """The tables of a family, piece by piece."""
    yield HEAD.format(steps=STEPS)
    for name in chosen.tables:
        yield from TABLES[name](toy, judge, chosen.edits, chosen.few)


def updated(page: str, found: str) -> str:
    """A page with the tables that were measured anew in the place of those before, by their titles; new ones last."""
    (head, *before), (_, *after) = page.split(SECTION), found.split(SECTION)
    tables = {section.partition("\n")[0]: section for section in (*before, *after)}
    return SECTION.join(part.rstrip() + "\n" for part in (head, *tables.values()))


def woven(pages: Sequence[str]) -> str:
    """The pages of the families as one, each table of a family followed by that of the next."""
    (head, *_), *_ = split = [text.split(SECTION) for text in pages]
    rows = zip_longest(*(sections for _, *sections in split))
    return SECTION.join([head, *(section for row in rows for section in row if section)])


def main() -> None:
    """Try every way on every family, and write the page as it comes, unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=100, help="of the first tables")
    parser.add_argument("--few", type=int, default=25, help="edits of the others")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="only these; others stay")
    parser.add_argument("--family", choices=FAMILIES, help="only this one, which is printed and not written")
    parser.add_argument("--print-only", action="store_true", help=f"leave {TABLE.name} as it is")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        toy = world.Toy(pack.load(), chosen.family or FAMILIES[0])
        judge = reader.load(toy.vae)  # fitted once, before there are several processes
        if chosen.family:
            for piece in page(toy, judge, chosen):
                print(piece, end="", flush=True)
            return
    counts = ["--edits", str(chosen.edits), "--few", str(chosen.few), "--tables", *chosen.tables]
    before = TABLE.read_text(encoding="utf-8") if len(chosen.tables) < len(TABLES) else ""
    pages: dict[str, str] = dict.fromkeys(FAMILIES, "")
    for family, line in side_by_side.lines("edit_truth", {one: ["--family", one, *counts] for one in FAMILIES}):
        pages[family] += line
        print(line, end="", flush=True)
        if not chosen.print_only and all(pages.values()):
            found = woven(list(pages.values()))
            TABLE.write_text(updated(before, found) if before else found, encoding="utf-8", newline="\n")
