"""Recommended strength, cfg and steps for common jobs."""

from dataclasses import dataclass
from typing import NamedTuple

from .schedule import NoiseSchedule, executed_steps, start_sigma, timestep_strength

USUAL_CFG = 7.5
USUAL_STEPS = 50
FLOW_SHARE, FLOW_LIMIT = 0.4, 5.0
"""Flow models (SD3, Qwen-Image, Wan...) follow a prompt at 1 to 5 as strictly as others do at up to 15."""


NOTICEABLE = 0.03
"""Strengths that are closer than this are as good as the same."""


class Range(NamedTuple):
    """The gentle and the bold end of a recommendation."""

    low: float
    high: float

    def at(self, amount: float) -> float:
        """The value at `amount` 0..1 of the way, rounded so that no float dust shows in a report."""
        return round(self.low + (self.high - self.low) * amount, 6)


@dataclass(frozen=True)
class Recommendation:
    """What is known about one kind of job; None where the sources name no value."""

    strength: Range
    cfg: Range | None = None
    steps: int | None = None


class Settings(NamedTuple):
    """Values to wire into a sampler. `steps` are the steps to execute; `note` says in words where they come from."""

    strength: float
    cfg: float
    steps: int
    note: str


RECOMMENDATIONS: dict[str, Recommendation] = {
    "enhancement": Recommendation(Range(0.2, 0.3), Range(5, 7), 30),
    "style transfer": Recommendation(Range(0.5, 0.7), Range(8, 12), 50),
    "sketch to art": Recommendation(Range(0.6, 0.8), Range(10, 15), 50),
    "color adjustment": Recommendation(Range(0.2, 0.4), Range(5, 8), 30),
    "variations": Recommendation(Range(0.4, 0.6), Range(3, 5), 40),
    "object change": Recommendation(Range(0.4, 0.4), Range(10, 10)),
    "scene change": Recommendation(Range(0.5, 0.7)),
    "upscaling": Recommendation(Range(0.2, 0.4)),
    "inpainting": Recommendation(Range(0.5, 0.9)),
    "outpainting": Recommendation(Range(0.7, 0.9)),
}


def recommend(use_case: str, amount: float, guidance_distilled: bool = False, flow: bool = False) -> Settings:
    """Look a job up.

    use_case: a key of RECOMMENDATIONS
    amount:   0..1, from the gentle to the bold end of the recommended ranges
    guidance_distilled: the model has its guidance built in, so cfg is 1
    flow:     it is a flow model, which wants a smaller cfg
    returns:  strength 0..1, cfg, and the steps to execute: the schedule's steps times the strength
    raises:   ValueError for an unknown job or an amount outside 0..1
    """
    if use_case not in RECOMMENDATIONS:
        raise ValueError(f"use_case must be one of {', '.join(RECOMMENDATIONS)}, got {use_case!r}")
    if not 0 <= amount <= 1:
        raise ValueError(f"amount must be within 0..1 (0 is the gentle end, 1 the bold end), got {amount}")
    known = RECOMMENDATIONS[use_case]
    strength = known.strength.at(amount)
    schedule_steps = known.steps or USUAL_STEPS
    steps = executed_steps(schedule_steps, strength, "proportional")
    cfg, about_cfg = known.cfg.at(amount) if known.cfg else USUAL_CFG, _origin(known.cfg)
    if guidance_distilled:
        cfg, about_cfg = 1.0, "this model has its guidance built in"
    elif flow:
        cfg = min(round(cfg * FLOW_SHARE, 6), FLOW_LIMIT)
        about_cfg += f", times {FLOW_SHARE:g} and {FLOW_LIMIT:g} at most for a flow model"
    note = (
        f"{use_case}\n"
        f"strength {strength:g}: {_origin(known.strength)}\n"
        f"cfg {cfg:g}: {about_cfg}\n"
        f"steps {steps}: {strength:g} of {schedule_steps}, {'recommended' if known.steps else _origin(None)}"
    )
    return Settings(strength, cfg, steps, note)


def noise_note(strength: float, schedule: NoiseSchedule, usual: NoiseSchedule) -> str:
    """What a strength, by timesteps, is on a model whose noise levels are not those that the recommendations are for.

    Flow models shift their noise levels upwards (Esser et al., arXiv:2403.03206, equation 23), so that most of their
    strengths lie near full noise. Empty where it makes no difference.

    schedule, usual: of the model, and of Stable Diffusion 1.5, from which the recommendations come
    """
    share, expected = (one.noise_share(start_sigma(one, strength, "timestep")[0]) for one in (schedule, usual))
    same = timestep_strength(schedule, schedule.sigma_of_share(expected))
    if abs(same - strength) < NOTICEABLE:
        return ""
    return (
        f"on this model, strength {strength:g} starts with {share:.0%} noise; on Stable Diffusion, which these values "
        f"are for, with {expected:.0%}: for as much, set {same:.2f}, or keep {strength:g} for a bigger change"
    )


def _origin(values: Range | None) -> str:
    """Where a value comes from, in words."""
    if values is None:
        return "the usual value, since the sources name none"
    return f"recommended {values.low:g}" + (f" to {values.high:g}" if values.high > values.low else "")
