"""Round trips by the nodes of RES4LYF, another pack, from the folder somebody put it into; it is no part of this one.

Its packages must be there too: opencv-python, matplotlib and pywavelets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch

from . import peers

if TYPE_CHECKING:
    from .inversion import Trial

NAME = "RES4LYF"


def load(folder: str) -> Any:
    """Its sampler node, which goes up (``unsample``) and down (``resample``)."""
    pack = peers.package(folder)
    with peers.quiet():
        return importlib.import_module(f"{pack.__name__}.beta.samplers").ClownsharKSampler_Beta()


def round_trip(node: Any, name: str, trial: Trial, steps: int, cfg: float) -> tuple[torch.Tensor, int]:
    """Up and down again without noise, on the `normal` schedule, as its own nodes are wired.

    name:    `RES4LYF` and the solver
    returns: the samples of the LATENT that comes back, and the calls of the model for each scene
    """
    model, calls = trial.model.clone(), [0]

    def counted(apply: Any, given: dict[str, Any]) -> Any:
        calls[0] += len(given["input"]) // len(given["cond_or_uncond"])  # scenes, together or one at a time
        return apply(given["input"], given["timestep"], **given["c"])

    model.set_model_unet_function_wrapper(counted)
    latent: Any = {"samples": trial.latents.clone()}
    with peers.quiet():
        for way in ("unsample", "resample"):
            latent = node.execute(
                model=model, positive=trial.prompt, negative=trial.toy.empty, latent_image=latent, sampler_mode=way,
                sampler_name=f"multistep/{name.split()[1]}", scheduler="normal", steps=steps, cfg=cfg, seed=0, eta=0.0,
                eta_substep=0.0,
            )[0]  # fmt: skip
    return latent["samples"], calls[0] // len(trial.latents)
