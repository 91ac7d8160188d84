"""What the user sees while a node works: progress bar, previews, and events for the node's body."""

from __future__ import annotations

from typing import Any

import comfy.utils
import latent_preview
from comfy.model_patcher import ModelPatcher
from comfy.sd import VAE
from comfy_execution.utils import get_executing_context
from torch import Tensor

from ..core.sheet import from_pillow
from .latent import to_model_space
from .routes import server
from .shown import workflow_of
from .vae import decode


class Progress:
    """One progress bar with previews over a job of several runs; ComfyUI's own starts anew at each run.

    total: steps of the whole job
    """

    def __init__(self, model: ModelPatcher, total: int) -> None:
        self.bar = comfy.utils.ProgressBar(total)
        self.total = total
        self.done = 0
        self.previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

    def __call__(self, step: int, denoised: Tensor, state: Tensor, steps: int) -> None:
        """Called by ComfyUI's sampling after each step."""
        preview = self.previewer.decode_latent_to_preview_image("JPEG", denoised) if self.previewer else None
        self.bar.update_absolute(self.done + step + 1, self.total, preview)

    def advance(self, steps: int) -> None:
        """A run of ``steps`` steps is over; the next one counts on from there."""
        self.done += steps


class StepCounter:
    """Counts the steps of a solver on a progress bar, with previews.

    total: steps of the job
    """

    def __init__(self, model: ModelPatcher, total: int) -> None:
        self.progress = Progress(model, total)
        self.steps = 0

    def __call__(self, state: Tensor) -> None:
        """Called by the solver with each state it finds."""
        self.progress(self.steps, state.float(), state, self.progress.total)
        self.steps += 1


class Thumbnails:
    """Pictures of latents, for the body of a node.

    vae:      decodes them; without one they are ComfyUI's rough previews of latents
    progress: of the same job, for its previewer; without one, or where the user has switched previews off, the
              quickest one is taken
    """

    def __init__(self, model: ModelPatcher, vae: VAE | None = None, progress: Progress | None = None) -> None:
        self.model, self.vae, self.previewer = model, vae, progress.previewer if progress else None
        form = model.model.latent_format
        if self.previewer is None and form.latent_rgb_factors is not None:
            self.previewer = latent_preview.Latent2RGBPreviewer(
                form.latent_rgb_factors, form.latent_rgb_factors_bias, form.latent_rgb_factors_reshape
            )

    def __call__(self, samples: Tensor) -> Tensor | None:
        """One latent [1, C, ...] as a picture [H, W, 3], a video by its first frame; None where there is no way."""
        samples = samples[:, :, :1] if samples.ndim == 5 else samples
        if self.vae is not None:
            return decode(self.vae, {"samples": samples})[0]
        if self.previewer is None:
            return None
        state = to_model_space(self.model, samples).to(self.model.load_device)
        return from_pillow(self.previewer.decode_latent_to_preview(state))[0]


def tell_browser(event: str, **facts: Any) -> None:
    """Send an event about the running node to the browser that queued it; without a browser, nothing happens."""
    running = server()
    context = get_executing_context()
    if running is None or running.client_id is None or context is None:
        return
    prompt_id = getattr(context, "prompt_id", None)
    workflow = workflow_of(running.prompt_queue, prompt_id)
    message = {"node": context.node_id, "prompt_id": prompt_id, "workflow": workflow, **facts}
    running.send_sync(event, message, running.client_id)
