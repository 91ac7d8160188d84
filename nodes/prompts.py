"""PromptSchedule: prompts that change during a run."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .. import host
from ..core.prompts import schedule_prompts
from ..core.schedule import check_sigmas
from . import inputs


class PromptSchedule(io.ComfyNode):
    """One prompt first, another one later."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgPromptSchedule",
            display_name="Prompt Schedule",
            category="img2img/conditioning",
            search_aliases=["prompt scheduling", "prompt editing", "prompt travel", "timestep range", "fade prompts"],
            description="The early prompt leads first, the late one takes over: composition first, details later. The "
            "share counts the run that is really executed, at any strength. Chain it for more than two prompts.",
            inputs=[
                io.Conditioning.Input("early", tooltip="The prompt of the first part: the composition."),
                io.Conditioning.Input("late", tooltip="The prompt of the last part: the details."),
                io.Float.Input(
                    "switch_at",
                    default=0.4,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The share of the run after which the late prompt takes over. 0: at once. 1: never.",
                ),
                io.Float.Input(
                    "blend",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The share of the run over which one fades into the other. Faded steps take twice as long.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Only needed with sigmas, where a prompt already has a timestep range.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="For stock samplers: the sigmas of the run. The pack's own samplers need none here, they "
                    "work it out for each of their runs.",
                ),
            ],
            outputs=[io.Conditioning.Output(display_name="conditioning")],
        )

    @classmethod
    def execute(
        cls,
        early: io.Conditioning.Type,
        late: io.Conditioning.Type,
        switch_at: float,
        blend: float,
        model: io.Model.Type | None = None,
        sigmas: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        scheduled = schedule_prompts(early, late, switch_at, blend)
        if sigmas is None:
            return io.NodeOutput(scheduled)
        check_sigmas(sigmas)
        percent_to_sigma = None if model is None else host.noise_schedule(model).percent_to_sigma
        return io.NodeOutput(host.resolve_prompts(scheduled, sigmas, percent_to_sigma))
