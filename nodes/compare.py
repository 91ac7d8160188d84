"""StrengthPlot: what strength means on a model, as a picture."""

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..core.plot import draw_strengths, strength_figures
from ..core.schedule import STEP_COUNTS
from ..core.text import parse_strengths
from . import host, inputs

MOST_STRENGTHS = 101


class StrengthPlot(io.ComfyNode):
    """Draws signal to noise, executed steps and signal left."""

    SEARCH_ALIASES = ["denoise", "sigmas", "SNR", "alpha bar", "visualize schedule", "curve", "graph"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgStrengthPlot",
            display_name="Strength Plot",
            category="img2img/compare",
            description="Draws what each strength means on this model: how much of the picture is left at the start, "
            "how many steps are executed, and how the signal fades over the timesteps.",
            inputs=[
                io.Model.Input("model", tooltip="The model whose noise schedule is drawn."),
                inputs.scheduler(),
                io.Int.Input("steps", default=50, min=1, max=10000, tooltip="Steps of the whole schedule."),
                io.String.Input(
                    "strengths",
                    default="0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0",
                    tooltip="Strengths to mark, from 0 to 1, separated by commas.",
                ),
                inputs.measure(),
                io.Combo.Input(
                    "step_count",
                    options=list(STEP_COUNTS),
                    default="proportional",
                    optional=True,
                    tooltip="proportional: strength x steps are executed. exact: always as many as steps says, as "
                    "Strength Scheduler does unless told otherwise.",
                ),
            ],
            outputs=[io.Image.Output(display_name="plot")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        scheduler: str,
        steps: int,
        strengths: str,
        measure: str = "timestep",
        step_count: str = "proportional",
    ) -> io.NodeOutput:
        values = parse_strengths(strengths)
        if not 1 <= len(values) <= MOST_STRENGTHS:
            raise ValueError(f"strengths: name 1 to {MOST_STRENGTHS} numbers, like 0.2, 0.5, 0.8; got {len(values)}")
        figures = strength_figures(
            host.noise_schedule(model), host.spacing(model, scheduler), steps, values, measure, step_count
        )
        plot = draw_strengths(figures, f"{steps} steps, scheduler {scheduler}, measure {measure}, {step_count}")
        return io.NodeOutput(torch.from_numpy(np.asarray(plot, dtype=np.float32) / 255)[None])
