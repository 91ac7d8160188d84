"""How far do colors drift over eight gentle passes, in latent space and in the usual loop through the VAE?

Twenty held-out scenes of the demo world, each under its own caption, eight passes at strength 0.3. The usual loop
decodes, encodes and calls KSampler between passes; ProgressiveRefine stays in latent space, and once more with its
match_colors. The drift of a pass is the mean Delta E to what the VAE shows of the scene itself; its growth is what the
later passes add to the first. Each pass repaints a little, and that counts too: on this toy it is nearly all of the
drift, so that staying in latent space alone saves none.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable
from typing import Any

import torch

from ..core.color import delta_e
from ..dev import pack
from . import results, world
from .pairs import median_ratio

SCENES, PASSES, STRENGTH, STEPS, CFG, SEED = 20, 8, 0.3, 5, 4.0, 7
GROWTH_LIMIT, TIME_LIMIT = 0.5, 1.02
TIMED_SCENES, PAIRS = 2, 7


def main() -> None:
    """Run each kind of loop, and write its growth and its time per pass into the table."""
    torch.set_num_threads(1)
    nodes = pack.load()
    with torch.inference_mode():
        loops = Loops(nodes, SCENES)
        usual, stay, matched = loops.drift(loops.usual()), *(loops.drift(loops.refined(m)) for m in ("off", "latent"))
        loops = Loops(nodes, TIMED_SCENES)
        time_of_a_pass = median_ratio(loops.refined, loops.stock, PAIRS)
        time_of_usual = median_ratio(loops.usual, loops.stock, 1)
    on = results.processor()
    share, matched_share = (_growth(drift) / _growth(usual) for drift in (stay, matched))
    for name, drift in (("usual loop", usual), ("in latent space", stay), ("in latent space, matched", matched)):
        shown = " -> ".join(f"{value:.2f}" for value in drift)
        results.write(f"Delta E over {PASSES} passes, {name}", shown, "", on)
    results.write("Growth of drift against the usual loop", f"{share:.2f}", "", on)
    results.write(
        "Growth of drift against the usual loop, matched", f"{matched_share:.2f}", f"at most {GROWTH_LIMIT}", on
    )
    results.write("Time of a pass against KSampler alone", f"{time_of_a_pass:.3f}", f"at most {TIME_LIMIT}", on)
    results.write("Time of a pass of the usual loop against KSampler alone", f"{time_of_usual:.3f}", "", on)


class Loops:
    """The loops that are compared, on the same scenes; each gives the latents after every pass."""

    def __init__(self, nodes: dict[str, Any], scenes: int) -> None:
        self.nodes = nodes
        self.model, clip, self.vae, _ = nodes["Img2ImgDemoCheckpoint"].execute("eps").args
        held_out = world.held_out(scenes)
        self.positive, self.negative = world.prompts(clip, held_out), world.prompts(clip, [])
        self.latent = self.vae.encode(world.drawn(held_out))
        self.first = self.vae.decode(self.latent)

    def stock(self) -> list[torch.Tensor]:
        """KSampler and nothing else."""
        return self._passes(lambda latent: latent)

    def usual(self) -> list[torch.Tensor]:
        """KSampler, and decode and encode between passes."""
        return self._passes(lambda latent: self.vae.encode(self.vae.decode(latent)))

    def _passes(self, between: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        stock, done = importlib.import_module("nodes"), []
        for index in range(PASSES):
            start = between(done[-1]) if done else self.latent
            (painted,) = stock.common_ksampler(
                self.model, SEED + index, STEPS, CFG, "euler", "normal", self.positive, self.negative,
                {"samples": start}, STRENGTH,
            )  # fmt: skip
            done.append(painted["samples"])
        return done

    def refined(self, match_colors: str = "off") -> list[torch.Tensor]:
        """The same passes by ProgressiveRefine."""
        _, every, _ = self.nodes["ProgressiveRefine"].execute(
            self.model, self.positive, self.negative, {"samples": self.latent}, f"{STRENGTH}..{STRENGTH} x{PASSES}",
            STEPS, CFG, "euler", "normal", SEED, "increment", match_colors=match_colors, measure="steps",
        ).args  # fmt: skip
        return list(every["samples"].split(len(self.latent)))

    def drift(self, passes: list[torch.Tensor]) -> list[float]:
        """The mean Delta E of each pass to what the VAE shows of the scenes themselves."""
        return [statistics.mean(delta_e(self.vae.decode(latent), self.first)) for latent in passes]


def _growth(drift: list[float]) -> float:
    return drift[-1] - drift[0]
