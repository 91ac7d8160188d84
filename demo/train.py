"""Train the demo checkpoint from nothing, `python -m nox -s train`: pictures, autoencoder, text encoder and denoisers.

Every stage is seeded and keeps what it has done in the work folder, so that an interrupted run goes on where it
was; `--from-shipped` begins with the weights of this folder and trains them on. A stage ends after its number of steps
or its minutes, whichever comes first. The models are ComfyUI's own classes; their shapes travel in the metadata of the
written safetensors files, where the loader reads them.
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
    "sharper": Budget(steps=20_000, minutes=70, batch=4, learning_rate=8e-4),
    "decoder": Budget(steps=20_000, minutes=23, batch=4, learning_rate=5e-4),
    "eps": Budget(steps=40_000, minutes=69, batch=16, learning_rate=6e-4),
    "flow": Budget(steps=20_000, minutes=54, batch=16, learning_rate=5e-4),
}


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the demo checkpoint from nothing.")
    parser.add_argument("--work", type=Path, default=DEMO.parent / ".cache" / "demo", help="folder for what is kept")
    parser.add_argument("--out", type=Path, default=DEMO, help="folder for the safetensors files")
    parser.add_argument("--stage", choices=["all", *BUDGETS], default="all", help="run up to a stage, or all of them")
    parser.add_argument("--from-shipped", action="store_true", help="train the weights of this folder on")
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
    if chosen.from_shipped:
        vae = training.shipped_autoencoder()
    else:
        vae = training.train_autoencoder(pictures, BUDGETS["autoencoder"], chosen.work)
        training.calibrate(vae, pictures)
    if chosen.stage == "autoencoder":
        return
    vae = training.sharpen(vae, pictures, BUDGETS["sharper"], chosen.work)
    if chosen.stage == "sharper":
        return
    vae = training.settle(vae, pictures, BUDGETS["decoder"], chosen.work)
    if chosen.stage == "decoder":
        return
    latents = training.encoded(vae, pictures[: chosen.encoded], chosen.work)
    denoisers: dict[str, torch.nn.Module] = {}
    for name in ("eps", "flow"):
        start = denoisers["eps"].state_dict() if denoisers else None
        if chosen.from_shipped:
            start = training.shipped(name)
        family = training.Family(name)
        denoisers[name] = training.train_denoiser(family, latents, vae, BUDGETS[name], chosen.work, start)
        if chosen.stage == name:
            return
    training.export(vae, denoisers, chosen.work, chosen.out, chosen.from_shipped)
