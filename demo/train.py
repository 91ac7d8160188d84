"""Train the demo checkpoint from nothing, `python -m nox -s train`: pictures, autoencoder, text encoder and denoisers.

Every stage is seeded and keeps what it has done in the work folder, so that an interrupted run goes on where it
was. A stage ends after its number of steps or its minutes, whichever comes first. The models are ComfyUI's own
classes; their shapes travel in the metadata of the written safetensors files, where the loader reads them.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch

from ..dev import pack
from .fit import DEVICE, Budget

DEMO = Path(__file__).resolve().parent

BUDGETS = {
    "autoencoder": Budget(steps=20_000, minutes=27, batch=4, learning_rate=1e-3),
    "decoder": Budget(steps=20_000, minutes=30, batch=4, learning_rate=6e-4),
    "eps": Budget(steps=40_000, minutes=69, batch=16, learning_rate=6e-4),
    "flow": Budget(steps=20_000, minutes=54, batch=16, learning_rate=5e-4),
}


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the demo checkpoint from nothing.")
    parser.add_argument("--work", type=Path, default=DEMO.parent / ".cache" / "demo", help="folder for what is kept")
    parser.add_argument("--out", type=Path, default=DEMO, help="folder for the safetensors files")
    parser.add_argument("--stage", choices=["all", *BUDGETS], default="all", help="run up to a stage, or all of them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--scenes", type=int, default=20_000, help="pictures the autoencoder learns from")
    parser.add_argument("--encoded", type=int, default=9_000, help="of these, the pictures the denoisers learn from")
    for name, budget in BUDGETS.items():
        parser.add_argument(f"--{name}-steps", type=int, default=budget.steps, help="at most")
        parser.add_argument(f"--{name}-minutes", type=float, default=budget.minutes, help="at most")
    return parser.parse_args()


def main() -> None:
    """Run the asked stages; those that are finished already are only loaded."""
    chosen = options()
    torch.set_num_threads(chosen.threads)
    pack.bring_comfyui(DEVICE.type)
    importlib.import_module("comfy.cli_args").args.use_pytorch_cross_attention = True
    from . import training  # only now: it imports ComfyUI, whose device and attention are set from here on

    chosen.work.mkdir(parents=True, exist_ok=True)
    for name, budget in BUDGETS.items():
        budget.steps = getattr(chosen, f"{name}_steps")
        budget.minutes = getattr(chosen, f"{name}_minutes")

    pictures = training.rendered(chosen.scenes, chosen.work)
    vae = training.train_autoencoder(pictures, BUDGETS["autoencoder"], chosen.work)
    training.calibrate(vae, pictures)
    if chosen.stage == "autoencoder":
        return
    latents = training.encoded(vae, pictures[: chosen.encoded], chosen.work)
    vae = training.train_decoder(vae, pictures, BUDGETS["decoder"], chosen.work)
    if chosen.stage == "decoder":
        return
    eps = training.train_denoiser(training.Family("eps"), latents, vae, BUDGETS["eps"], chosen.work)
    if chosen.stage == "eps":
        return
    flow = training.train_denoiser(
        training.Family("flow"), latents, vae, BUDGETS["flow"], chosen.work, eps.state_dict()
    )
    if chosen.stage == "all":
        training.export(vae, {"eps": eps, "flow": flow}, chosen.work, chosen.out)
