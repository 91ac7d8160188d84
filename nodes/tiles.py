"""TiledRefine: enlarge a picture and paint its details, tile by tile."""

from __future__ import annotations

import time
from typing import Any

import torch
from comfy_api.latest import io

from ..core.fit import Size, apply_fit, fit_mask, plan_canvas, resize, undo_fit
from ..core.report import report
from ..core.tiles import plan_tiles, tile_report
from . import host, inputs
from .schedule import describe, plan_strength


class TiledRefine(io.ComfyNode):
    """Enlarge with detail, in flat memory and without seams."""

    SEARCH_ALIASES = ["upscale", "ultimate sd upscale", "tiled diffusion", "hires fix", "tile", "multidiffusion"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgTiledRefine",
            display_name="Tiled Refine",
            category="img2img/sampling",
            description="Enlarges a picture and repaints it at low strength for detail. All tiles are cut from one "
            "noised picture and blended at every step, so there are no seams and no repeated noise.",
            inputs=[
                io.Image.Input("image", tooltip="The picture to enlarge."),
                io.Vae.Input("vae", tooltip="The VAE of the model."),
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                io.Float.Input(
                    "scale",
                    default=2.0,
                    min=0.25,
                    max=16.0,
                    step=0.25,
                    tooltip="How much larger. 1 refines at the same size.",
                ),
                inputs.strength(0.3),
                inputs.steps(),
                inputs.cfg(7.0),
                inputs.sampler_name(),
                inputs.scheduler(),
                inputs.seed(),
                io.Int.Input(
                    "tile",
                    default=512,
                    min=64,
                    max=8192,
                    step=8,
                    tooltip="Side of a tile in pixels: the size the model likes, 512 for SD1.5, 1024 for SDXL, Flux.",
                ),
                io.Int.Input(
                    "overlap",
                    default=64,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="How far neighbouring tiles reach into each other, in pixels. More hides more, costs more.",
                ),
                io.UpscaleModel.Input(
                    "upscale_model", optional=True, tooltip="Enlarges the picture first. Without: Lanczos."
                ),
                inputs.mask(),
                inputs.measure(),
                inputs.step_count(),
                inputs.sampler(),
            ],
            outputs=[io.Image.Output(display_name="image"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        vae: Any,
        model: Any,
        positive: Any,
        negative: Any,
        scale: float,
        strength: float,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        tile: int,
        overlap: int,
        upscale_model: Any = None,
        mask: torch.Tensor | None = None,
        measure: str = "timestep",
        step_count: str = "exact",
        sampler: Any = None,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        plan = plan_strength(model, scheduler, steps, strength, measure, step_count)
        chosen = host.resolve_sampler(sampler_name, sampler)
        large = _enlarged(image[..., :3], scale, upscale_model)
        unit = host.vae_multiple(vae)
        canvas = plan_canvas(large.shape[1], large.shape[2], 0, 0, 0, 0, unit)
        picture, _ = apply_fit(large, canvas)
        grid = plan_tiles(picture.shape[1] // unit, picture.shape[2] // unit, max(1, tile // unit), overlap // unit)
        latent = host.encode(vae, picture, None if len(grid) == 1 else tile)
        opened = host.open_clean_latent(model, latent, None if mask is None else fit_mask(mask, canvas))
        area = host.run_mask(opened.mask, opened.samples.shape)
        start = host.Start(opened.samples, host.draw_noise(opened.samples, seed))
        progress = host.Progress(model, plan.steps)
        run = host.sample(
            model, positive, negative, cfg, chosen, plan.sigmas, start, opened.keys(seed), area, progress,
            None if len(grid) == 1 else grid,
        )  # fmt: skip
        out = undo_fit(host.decode(vae, {"samples": run.samples}, None if len(grid) == 1 else tile), canvas)
        facts = host.run_facts(run, plan.sigmas, cfg, sampler_name, sampler)
        text = report(
            **describe(plan, host.noise_schedule(model), scheduler) | facts | tile_report(grid, unit),
            seed=seed, mask=area.kind, tile_evaluations=run.calls * len(grid),
            whole_seconds=round(time.perf_counter() - began, 3),
        )  # fmt: skip
        return io.NodeOutput(out, text)


def _enlarged(image: torch.Tensor, scale: float, upscale_model: Any) -> torch.Tensor:
    """The picture at its new size, by the upscale model where there is one, then by Lanczos to the exact size."""
    size = Size(max(1, round(image.shape[1] * scale)), max(1, round(image.shape[2] * scale)))
    if upscale_model is not None:
        image = host.upscale(upscale_model, image)
    return resize(image, size)
