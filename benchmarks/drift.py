"""How far do colours drift over eight gentle passes, in latent space and in the usual loop through the VAE?

Twenty held-out scenes of the demo world, each under its own caption, eight passes at strength 0.3. The usual loop
decodes, encodes and calls KSampler between passes; ProgressiveRefine stays in latent space, and once more with its
match_colors. The drift of a pass is the mean Delta E to what the VAE shows of the scene itself; its growth is what the
later passes add to the first. Each pass repaints a little, and that counts too: on this toy it is nearly all of the
drift, so that staying in latent space alone saves none.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import pack, results

SCENES, PASSES, STRENGTH, STEPS, CFG, SEED = 20, 8, 0.3, 5, 4.0, 7
GROWTH_LIMIT, TIME_LIMIT = 0.5, 1.02


def main() -> None:
    """Run each kind of loop, and write its growth and its time per pass into the table."""
    nodes = pack.load()
    with torch.inference_mode():
        model, clip, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute("eps").args
        pictures, positive, negative = _scenes(clip)
        loops = Loops(nodes, model, vae, positive, negative, pictures)
        usual, usual_seconds = loops.usual()
        stay, stay_seconds = loops.refined("off")
        matched, _ = loops.refined("latent")
    on = results.processor()
    share, matched_share = (_growth(drift) / _growth(usual) for drift in (stay, matched))
    for name, drift in (("usual loop", usual), ("in latent space", stay), ("in latent space, matched", matched)):
        shown = " → ".join(f"{value:.2f}" for value in drift)
        results.write(f"Delta E over {PASSES} passes, {name}", shown, "", on)
    results.write("Growth of drift against the usual loop", f"{share:.2f}", "", on)
    results.write(
        "Growth of drift against the usual loop, matched", f"{matched_share:.2f}", f"at most {GROWTH_LIMIT}", on
    )
    ratio = statistics.median(a / b for a, b in zip(stay_seconds, loops.stock_seconds, strict=True))
    results.write("Time of a pass against KSampler alone", f"{ratio:.3f}", f"at most {TIME_LIMIT}", on)
    whole = statistics.median(usual_seconds) / statistics.median(loops.stock_seconds)
    results.write("Time of a pass of the usual loop against KSampler alone", f"{whole:.3f}", "", on)


def _scenes(clip: Any) -> tuple[torch.Tensor, Any, Any]:
    """Held-out scenes as one batch, and their captions as one conditioning with an entry for each."""
    world = importlib.import_module("demo.scene")
    to_tensor = importlib.import_module("img2img_studio.core.sheet").from_pillow
    encode = importlib.import_module("nodes").CLIPTextEncode().encode
    seeds = world.HELD_OUT_SEEDS[:SCENES]
    drawn = [(world.random_attributes(seed), seed) for seed in seeds]
    captions = [encode(clip, world.caption(*one))[0][0][0] for one in drawn]
    return torch.cat([to_tensor(world.scene(*one)) for one in drawn]), [[torch.cat(captions), {}]], encode(clip, "")[0]


class Loops:
    """The loops that are compared, on the same scenes."""

    def __init__(
        self, nodes: dict[str, Any], model: Any, vae: Any, positive: Any, negative: Any, pictures: Any
    ) -> None:
        self.nodes, self.model, self.vae = nodes, model, vae
        self.positive, self.negative = positive, negative
        self.latent = vae.encode(pictures)
        self.first = vae.decode(self.latent)
        self.stock_seconds: list[float] = []

    def usual(self) -> tuple[list[float], list[float]]:
        """Decode and encode between passes of KSampler; KSampler's own time goes into ``stock_seconds``."""
        stock, latent, drift, seconds = importlib.import_module("nodes"), self.latent, [], []
        for place in range(PASSES):
            began = time.perf_counter()
            latent = self.vae.encode(self.vae.decode(latent)) if place else latent
            sampling = time.perf_counter()
            latent = stock.common_ksampler(
                self.model, SEED + place, STEPS, CFG, "euler", "normal", self.positive, self.negative,
                {"samples": latent}, STRENGTH,
            )[0]["samples"]  # fmt: skip
            seconds.append(time.perf_counter() - began)
            self.stock_seconds.append(time.perf_counter() - sampling)
            drift.append(self._drift(latent))
        return drift, seconds

    def refined(self, match_colors: str) -> tuple[list[float], list[float]]:
        """The same passes by ProgressiveRefine."""
        _, every, report = self.nodes["ProgressiveRefine"].execute(
            self.model, self.positive, self.negative, {"samples": self.latent}, f"{STRENGTH}..{STRENGTH} x{PASSES}",
            STEPS, CFG, "euler", "normal", SEED, "increment", match_colors=match_colors, measure="steps",
        ).args  # fmt: skip
        passes = every["samples"].split(SCENES)
        return [self._drift(one) for one in passes], [one["seconds"] for one in json.loads(report)["passes"]]

    def _drift(self, latent: torch.Tensor) -> float:
        delta_e: Callable[..., list[float]] = importlib.import_module("img2img_studio.core.color").delta_e
        return statistics.mean(delta_e(self.vae.decode(latent), self.first))


def _growth(drift: list[float]) -> float:
    return drift[-1] - drift[0]


if __name__ == "__main__":
    main()
