"""TiledRefine: enlarge a picture and paint its details, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.latest import io

from .. import host
from ..core.fit import Borders, Fit, Size, apply_fit, fit_mask, plan_canvas, resize, undo_fit
from ..core.inversion_methods import FOLLOWED
from ..core.report import Report, Work
from ..core.schedule import Measure, StepCount, StrengthSettings
from ..core.tiles import TileGrid, plan_tiles, tile_report
from . import inputs


class TiledRefine(io.ComfyNode):
    """Enlarge with detail, in flat memory and without seams."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgTiledRefine",
            display_name="Upscale",
            category="img2img/sampling",
            search_aliases=["upscale", "ultimate sd upscale", "tiled diffusion", "hires fix", "tile", "multidiffusion"],
            folded=["overlap", "match_colors", "split_at", "inversion"],
            description="Enlarges a picture and repaints it at low strength for detail. All tiles are cut from one "
            "noised picture and blended at every step, so there are no seams and no repeated noise.",
            inputs=[
                io.Image.Input("image", tooltip="The picture to enlarge."),
                inputs.vae(),
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
                    tooltip="How far neighboring tiles reach into each other, in pixels. More hides more, costs more.",
                ),
                io.UpscaleModel.Input(
                    "upscale_model", optional=True, tooltip="Enlarges the picture first. Without: Lanczos."
                ),
                inputs.mask(),
                inputs.measure(),
                inputs.step_count(),
                inputs.sampler(),
                io.Float.Input(
                    "invert",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much of the starting noise is found by inverting the enlarged picture, for two "
                    "more calls, without guidance. 0: all of it is drawn. Higher keeps more of what the picture was, "
                    "also at high strength; the detail that it lacks is always drawn.",
                ),
                io.Combo.Input(
                    "match_colors",
                    options=["off", "latent"],
                    optional=True,
                    tooltip="latent: each region gets back the colors of the enlarged picture, and keeps its new "
                    "detail.",
                ),
                *inputs.low_model(),
                io.Combo.Input(
                    "inversion",
                    options=list(FOLLOWED),
                    default=FOLLOWED[0],
                    optional=True,
                    tooltip="How the share of invert is found. ddim, exact: the fewest calls. multistep: a closer path "
                    "for one more. corrected: for twice as many.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        vae: io.Vae.Type,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
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
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
        sampler: io.Sampler.Type | None = None,
        invert: float = 1.0,
        match_colors: str = "off",
        low_model: io.Model.Type | None = None,
        split_at: float = 0.875,
        inversion: str = FOLLOWED[0],
    ) -> io.NodeOutput:
        report = Report(host.versions())
        plan = host.plan_strength(model, StrengthSettings(scheduler, steps, strength, measure, step_count))
        chosen = host.Sampler.chosen(sampler_name, sampler)
        enlarged = _enlarged(image[..., :3], scale, upscale_model)
        laid = _lay_out(enlarged, host.vae_multiple(vae), host.canvas_multiple(model, vae), (tile, overlap))
        opened, area = laid.opened(model, vae, mask)
        guidance = host.tiled(host.Guidance(model, positive, negative, cfg).with_low(low_model, split_at), laid.grid)
        share = 0.0 if area.kind == "none" or low_model else invert  # no single model would find the way up
        start, work = _start(guidance, opened, plan.sigmas, seed, (share, inversion))
        run = host.sample(guidance, chosen, plan.sigmas, start, area, host.Progress(model, plan.steps))
        run = run if match_colors == "off" else host.with_colors_of(opened, area, run, contrast=False)
        out = undo_fit(host.decode(vae, {"samples": run.samples}, laid.vae_tile), laid.canvas)
        facts = plan.describe(host.noise_schedule(model)) | tile_report(laid.grid, laid.unit)
        facts |= {"sampler": chosen.label, "cfg": cfg, "seed": seed, "mask": area.kind, "match_colors": match_colors}
        facts |= {"invert": share, "inversion_method": inversion}
        facts |= {"tile_evaluations": (work + run.work).calls * len(laid.grid)}
        text = report.text(work + run.work, **facts, **guidance.facts_of_parts(plan.sigmas))
        return io.NodeOutput(out, text, ui=host.before_after_panel(text, enlarged, out))


@dataclass(frozen=True, eq=False, repr=False)
class LaidOut:
    """An enlarged picture and its tiles.

    picture:  [B, H, W, 3] with borders that make its sides whole multiples of the model's
    canvas:   how to take the borders off again
    grid:     tiles in cells of the latent
    unit:     pixels of a cell
    vae_tile: side of the VAE's tiles in pixels; None for the whole picture at once
    """

    picture: torch.Tensor
    canvas: Fit
    grid: TileGrid
    unit: int
    vae_tile: int | None

    def opened(
        self, model: io.Model.Type, vae: io.Vae.Type, mask: torch.Tensor | None
    ) -> tuple[host.OpenLatent, host.RunMask]:
        """The picture as a latent, and where a mask lets it change."""
        latent = host.encode_for(model, vae, self.picture, self.vae_tile)
        opened = host.open_clean_latent(model, latent, None if mask is None else fit_mask(mask, self.canvas))
        return opened, host.run_mask(opened.mask, opened.samples.shape)


def _start(
    guidance: host.Guidance, opened: host.OpenLatent, sigmas: torch.Tensor, seed: int, inverted: tuple[float, str]
) -> tuple[host.Start, Work]:
    """The enlarged picture and the noise to start from, and what finding a share of it by inversion took.

    inverted: the share, and by which method
    """
    noise, work = host.partly_inverted(guidance, opened, sigmas, host.draw_noise(opened.samples, seed), *inverted)
    return host.Start(opened.samples, noise, opened.keys(seed)), work


def _lay_out(image: torch.Tensor, unit: int, multiple: int, sizes: tuple[int, int]) -> LaidOut:
    """A picture and its tiles; ValueError where these would not meet.

    unit:     pixels of a cell of the latent
    multiple: of pixels, that the sides of the picture and of a tile become
    sizes:    of a tile and of the overlap, in pixels
    """
    tile, overlap = sizes
    side, reach = max(1, tile // multiple) * (multiple // unit), overlap // unit
    if reach >= side:
        raise ValueError(
            f"overlap: it is {overlap} pixels, but a tile is {tile}; make it smaller than the tile, an eighth of it is "
            f"a good one"
        )
    canvas = plan_canvas(Size(*image.shape[1:3]), Borders(), multiple=multiple)
    picture = apply_fit(image, canvas)[0]
    grid = plan_tiles(picture.shape[1] // unit, picture.shape[2] // unit, side, reach)
    return LaidOut(picture, canvas, grid, unit, None if len(grid) == 1 else tile)


def _enlarged(image: torch.Tensor, scale: float, upscale_model: Any) -> torch.Tensor:
    """The picture at its new size, by the upscale model where there is one, then by Lanczos to the exact size."""
    size = Size(max(1, round(image.shape[1] * scale)), max(1, round(image.shape[2] * scale)))
    if upscale_model is not None:
        image = host.upscale(upscale_model, image)
    return resize(image, size)
