"""How well do pictures come back from an inversion, for the model calls it takes?

Held-out scenes of the demo world, each under its own caption. First the error of the solvers alone, up and down again
in float64, beside ComfyUI's FlipSigmas with euler; then from pixels to pixels by the nodes, beside the autoencoder
alone. Writes benchmarks/inversion.md with a plot, and what must hold into the table. The full run, with many scenes,
is `python -m nox -s benchmarks -- inversion --steps 5 10 25 50 100 --scenes 4 --pixel-scenes 50`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..core.inversion import Denoise, Inversion
from ..core.inversion_methods import METHODS, Ascent, invert
from ..core.metrics import mse
from ..dev import pack
from . import res4lyf, results, side_by_side, world
from .compared_methods import COMPARED
from .round_trips import COLORS, STOCK, Curves, Figure, plot

PAGE, PLOT = (Path(__file__).with_suffix(suffix) for suffix in (".md", ".png"))
FAMILIES, SCALES = ("eps", "flow"), (1.0, 7.5)
EXACT = ("exact", "pinned", "noise_maps")
ITERATIONS, SEED, PIXEL_STEPS, PIXEL_LIMIT, VAE_MARGIN = 3, 7, 50, 0.01, 0.01

ROUNDING = 1e-18
PEER = " RES4LYF is that pack's own nodes, unsample and resample, run beside ours."


class Trial:
    """Round trips of some scenes by one family of the toy.

    beside: where RES4LYF lies, to be measured too; see ``res4lyf.py``
    """

    def __init__(self, toy: world.Toy, scenes: Sequence[world.Scene], beside: str = "") -> None:
        from .. import host  # only now, when the pack is loaded: it imports ComfyUI

        self.toy, self.model = toy, toy.model
        self.host = host
        self.flow = self.host.noise_schedule(self.model).flow
        self.prompt = world.prompts(toy.clip, scenes)
        self.latents = toy.encoded(world.drawn(scenes))
        self.peer = res4lyf.load(beside) if beside else None

    def curves(self, steps: Sequence[int], cfg: float) -> Curves:
        """Every method at every number of steps; stock also at the calls of the most expensive one."""
        asked = {STOCK: sorted({*steps, 2 * max(steps)})}
        curves = {}
        for name in COLORS:
            if name.startswith(res4lyf.NAME) and self.peer is None:
                continue
            curves[name] = [self.figure(name, count, cfg) for count in asked.get(name, steps)]
            shown = ", ".join(f"{figure.calls} calls {figure.error:.1e}" for figure in curves[name])
            print(f"{self.toy.family}, cfg {cfg:g}, {name}: {shown}", flush=True)
        return curves

    def figure(self, name: str, steps: int, cfg: float) -> Figure:
        """One round trip, with states in float64."""
        if name.startswith(res4lyf.NAME):
            back, calls = res4lyf.round_trip(self.peer, name, self, steps, cfg)
            return Figure(steps, mse(*(self._space(one) for one in (back, self.latents))), calls)
        sigmas = self.sigmas(steps)

        def error(denoise: Denoise, x: torch.Tensor) -> float:
            back = _stock_round_trip(denoise, x, sigmas) if name == STOCK else self._back(name, denoise, x, sigmas)
            return mse(back, x)

        guidance = self.host.Guidance(self.model, self.prompt, self.toy.empty, cfg)
        solved = self.host.solve(guidance, sigmas, self.latents, error, double=True)
        return Figure(steps, solved.result, solved.work.calls)

    def sigmas(self, steps: int) -> torch.Tensor:
        """The `normal` schedule from pure noise."""
        return self.toy.nodes["StrengthScheduler"].execute(self.model, "normal", steps, 1.0).args[0]

    def _back(self, name: str, denoise: Denoise, x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
        name, _, iterations = name.partition(" ")
        method, generator = (METHODS | COMPARED)[name], torch.Generator().manual_seed(SEED)
        ascent = Ascent(
            sigmas=sigmas.flip(0).tolist(),
            flow=self.flow,
            input_divisor=self.host.input_divisor(self.model),
            iterations=int(iterations or ITERATIONS),
            noise_at=lambda sigma: torch.randn(x.shape, generator=generator, dtype=x.dtype),
            keep=False,
            watch=lambda state: None,
        )
        walk, _ = invert(denoise, x, method, ascent)
        found = Inversion(name, sigmas, x, walk.state, self.flow, below=walk.below, corrections=walk.corrections)
        *_, back = method.down(denoise, found, 1.0)
        return back

    def stock_nodes(self, steps: int) -> float:
        """Latent MSE of FlipSigmas and euler as users wire them; not finite where the noise is lost on the way."""
        stock = importlib.import_module("comfy_extras.nodes_custom_sampler")
        guider = stock.CFGGuider.execute(self.model, self.prompt, self.toy.empty, 1.0).args[0]
        still, euler = stock.DisableNoise.execute().args[0], stock.KSamplerSelect.execute("euler").args[0]
        falling = self.sigmas(steps)
        latent = {"samples": self.latents}
        for sigmas in (stock.FlipSigmas.execute(falling).args[0], falling):
            latent = stock.SamplerCustomAdvanced.execute(still, guider, euler, sigmas, latent).args[0]
        return mse(*(self._space(samples) for samples in (latent["samples"], self.latents)))

    def _space(self, samples: torch.Tensor) -> torch.Tensor:
        return self.host.to_model_space(self.model, samples.float())

    def pixels(self, method: str) -> torch.Tensor:
        """The scenes after encoding, inverting and sampling by the nodes at their defaults, and decoding."""
        inversion = self.toy.nodes["DDIMInvert"].execute(
            model=self.model, positive=self.prompt, latent={"samples": self.latents}, scheduler="normal",
            steps=PIXEL_STEPS, strength=1.0, method=method, corrector_steps=ITERATIONS, cfg=1.0, seed=SEED,
        ).args[0]  # fmt: skip
        latent = (
            self.toy.nodes["Img2ImgInversionSampler"]
            .execute(
                model=self.model,
                positive=self.prompt,
                negative=self.toy.empty,
                inversion=inversion,
                cfg=1.0,
                preserve=1.0,
            )
            .args[0]
        )
        return self.toy.vae.decode(latent["samples"])


def _stock_round_trip(denoise: Denoise, x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """ComfyUI's euler up the sigmas of its FlipSigmas, and down; its samplers' rescaling of flow states left out."""
    euler = importlib.import_module("comfy.k_diffusion.sampling").sample_euler
    flip = importlib.import_module("comfy_extras.nodes_custom_sampler").FlipSigmas.execute

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return denoise(x, float(sigma[0]))

    for way in (flip(sigmas).args[0], sigmas):
        x = euler(model, x, way, extra_args={}, disable=True)
    return x


def at_calls(figures: Sequence[Figure], calls: int) -> float:
    """A method's error at a number of calls, interpolated linearly between its figures on logarithmic scales."""
    points = [(math.log(figure.calls), math.log(figure.error)) for figure in figures]
    ends = next((pair for pair in pairwise(points) if math.log(calls) <= pair[1][0]), points[-2:])
    (left, low), (right, high) = ends
    return math.exp(low + (high - low) * (math.log(calls) - left) / (right - left))


def factors(curves: Curves, method: str) -> list[float]:
    """The error of stock as a multiple of a method's, at the calls of each of the method's figures."""
    return [at_calls(curves[STOCK], figure.calls) / max(figure.error, 1e-300) for figure in curves[method]]


def pixel_errors(toy: world.Toy, count: int) -> dict[str, float]:
    """MSE in 0..1 from the drawings to what comes back, of the autoencoder alone and by each method."""
    sums = dict.fromkeys(("autoencoder", *METHODS), 0.0)
    scenes = world.held_out(count)
    for start in range(0, count, world.BATCH):
        some = scenes[start : start + world.BATCH]
        trial, drawings = Trial(toy, some), world.drawn(some)
        sums["autoencoder"] += len(some) * mse(toy.vae.decode(trial.latents), drawings)
        for method in METHODS:
            sums[method] += len(some) * mse(trial.pixels(method), drawings)
            print(f"{toy.family}, pixels, {method}, {start + len(some)} scenes", flush=True)
    return {name: total / count for name, total in sums.items()}


def table(curves: Curves, steps: Sequence[int]) -> str:
    """Errors and calls of every method, a column for each number of steps, and the factor against stock."""
    head = ["method", *(f"{count} steps" for count in steps), "stock's error at equal calls"]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, figures in curves.items():
        cells = [f"{_shown(figure.error)} ({figure.calls})" for figure in figures if figure.steps in steps]
        times = "" if name == STOCK else " / ".join(_times(factor) for factor in factors(curves, name))
        lines.append(f"| {name} | {' | '.join(cells)} | {times} |")
    return "\n".join(lines) + "\n"


def _times(factor: float) -> str:
    return f"{factor:.3g} ×" if factor < 1e3 else f"10^{math.log10(factor):.0f} ×" if factor < 1e9 else "over 10^9 ×"


def _shown(error: float) -> str:
    return f"{error:.1e}" if error >= ROUNDING else f"below {ROUNDING:g}"


def write_page(
    measured: dict[tuple[str, float], Curves], pixels: dict[str, dict[str, float]], stock: dict[str, float],
    chosen: argparse.Namespace,
) -> None:  # fmt: skip
    """The tables and the plot, beside this file."""
    peer = any(name.startswith(res4lyf.NAME) for curves in measured.values() for name in curves)
    text = (
        f"# What comes back from an inversion\n\nUp to pure noise and back down under the same caption, "
        f"{chosen.scenes} held-out scene{'s' * (chosen.scenes > 1)} of the demo world, "
        f"`normal` schedule. Mean square error of the latent, in "
        f"the model's space, and in brackets the model calls, up and down together; prompt and negative prompt count "
        f"as one. The last column is the factor by which {STOCK} misses more with as many calls. fireflow, leapfrog "
        f"and res_2m are not in the menu; corrected 1 is corrected with one corrector step, which is Uni-Inv. ddim is "
        f"of the same, first order as {STOCK}: it asks at the sigma above, about a picture that has not its noise yet, "
        f"where the other asks at the sigma below. Neither is better everywhere. Made by `python -m nox -s benchmarks "
        f"-- inversion`.{PEER * peer}\n\n"
        f"![Error over calls]({PLOT.name})\n"
    )
    for (family, cfg), curves in measured.items():
        text += f"\n## {family}, cfg {cfg:g}\n\n{table(curves, chosen.steps)}"
    found = ", ".join(f"{family} {error:.1e}" for family, error in stock.items())
    text += (
        f"\nHere {STOCK} is spared the rescaling that ComfyUI's sampler nodes do on flow models. Wired as nodes, its "
        f"error at {PIXEL_STEPS} steps and cfg 1 is: {found} (nan: not a number comes out).\n"
    )
    if pixels:
        text += (
            f"\n## From pixels to pixels\n\nEncoded, inverted and sampled by the nodes at {PIXEL_STEPS} steps and cfg "
            f"1, decoded; mean square error in 0..1 over {chosen.pixel_scenes} held-out scenes.\n\n"
            f"| | autoencoder alone | {' | '.join(METHODS)} |\n{'| --- ' * (len(METHODS) + 2)}|\n"
        )
        for family, errors in pixels.items():
            text += f"| {family} | {' | '.join(f'{error:.6f}' for error in errors.values())} |\n"
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    plot(measured).quantize(256, dither=Image.Dither.NONE).save(PLOT, optimize=True)


def write_rows(measured: dict[tuple[str, float], Curves], pixels: dict[str, dict[str, float]]) -> list[str]:
    """The rows of the table; returns what does not hold."""
    on, failed = results.processor(), []
    for (family, cfg), curves in measured.items():
        least = {method: min(factors(curves, method)) for method in METHODS}
        shown = ", ".join(f"{method} {_times(factor)}" for method, factor in least.items())
        limit = "above 1, except ddim" if cfg == 1 else ""
        results.write(f"Error of {STOCK} against ours at equal calls, {family}, cfg {cfg:g}", shown, limit, on)
        failed += [
            f"{method} on {family} does not beat {STOCK}" for method in least
            if limit and method != "ddim" and least[method] <= 1
        ]  # fmt: skip
    for family, errors in pixels.items():
        shown = ", ".join(f"{name} {error:.6f}" for name, error in errors.items())
        limit = f"below {PIXEL_LIMIT}; {', '.join(EXACT)} within {VAE_MARGIN:.0%} of the autoencoder"
        results.write(f"Inverted and back at {PIXEL_STEPS} steps, pixel MSE, {family}", shown, limit, on)
        failed += [f"{method} on {family} misses pixels" for method in METHODS if errors[method] >= PIXEL_LIMIT]
        alone = errors["autoencoder"]
        failed += [
            f"{name} on {family} is not at the autoencoder" for name in EXACT
            if abs(errors[name] / alone - 1) > VAE_MARGIN
        ]  # fmt: skip
    return failed


def measured(family: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """All figures of a family, as JSON can hold them."""
    toy = world.Toy(pack.load(), family)
    trial = Trial(toy, world.held_out(chosen.scenes), chosen.beside)
    return {
        "curves": [
            {name: [asdict(one) for one in figures] for name, figures in trial.curves(chosen.steps, cfg).items()}
            for cfg in SCALES
        ],
        "stock": trial.stock_nodes(PIXEL_STEPS),
        "pixels": pixel_errors(toy, chosen.pixel_scenes) if chosen.pixel_scenes else {},
    }


def measured_apart(arguments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The figures of every family, each measured in a process of its own; what they print meanwhile is shown."""
    last = {}
    copies = {family: [*arguments, "--family", family] for family in FAMILIES}
    for family, line in side_by_side.lines("inversion", copies):
        last[family] = line
        if not line.startswith("{"):
            print(line, end="", flush=True)
    return {family: json.loads(last[family]) for family in FAMILIES}


def main() -> None:
    """Measure, write, and fail where something that must hold does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--scenes", type=int, default=1, help="for the curves")
    parser.add_argument("--pixel-scenes", type=int, default=10, help="from pixels to pixels; 0 leaves that out")
    parser.add_argument("--print-only", action="store_true", help="write nothing")
    parser.add_argument("--beside", default="", metavar="FOLDER", help="where RES4LYF lies, to be measured too")
    parser.add_argument("--family", choices=FAMILIES, help="only this one, whose figures are printed as JSON at last")
    chosen = parser.parse_args()
    if chosen.family:
        torch.set_num_threads(1)
        with torch.inference_mode():
            print(json.dumps(measured(chosen.family, chosen)), flush=True)
        return
    found = measured_apart(sys.argv[1:])
    curves = {
        (family, cfg): {name: [Figure(**one) for one in figures] for name, figures in of_family.items()}
        for family, figures in found.items()
        for cfg, of_family in zip(SCALES, figures["curves"], strict=True)
    }
    pixels = {family: figures["pixels"] for family, figures in found.items() if figures["pixels"]}
    if chosen.print_only:
        return
    write_page(curves, pixels, {family: figures["stock"] for family, figures in found.items()}, chosen)
    failed = write_rows(curves, pixels)
    sys.exit("\n".join(failed) or 0)
