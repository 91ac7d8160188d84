"""The only door to ComfyUI: everything the pack asks of its host, by name. Rooms behind it are for host/ itself."""

from .conditioning import check_prompt, encode_text, resolve_prompts
from .demo import load_demo_checkpoint, load_saved_demo_checkpoint, saved_demo_checkpoints
from .edit import FIND_STEPS, EditGuidance, EditSettings, FindMask, edit_latent, find_mask, picture_mask
from .files import file_state, left_out, load_picture, pictures_in, small_jpeg, with_result
from .gradients import GuidedParts, SolvedWithGradients, solve_with_gradients
from .guider import Guidance
from .inversion import (
    InversionSettings,
    Inverted,
    check_inversion,
    invert_latent,
    inverted_noise,
    partly_inverted,
    preserved_share,
    run_inversion_back,
)
from .latent import (
    OpenLatent,
    close_latent,
    from_model_space,
    input_divisor,
    latent_space,
    noised_samples,
    open_clean_latent,
    open_latent,
    state_of,
    stored,
    to_model_space,
)
from .mask import RunMask, run_mask, stretched_mask
from .model import cell_pixels, is_guidance_distilled, makes_sound, model_fingerprint, picture_rows, takes_guidance, versions
from .noise import FixedNoise, clip_noise, draw_noise
from .panel import Panel, before_after_panel, lines_panel, noised_pictures, panel, silence, with_lines, words_panel
from .plan import shown_plan
from .progress import Progress, StepCounter, Thumbnails, tell_browser
from .refinement import Refined, Refinement, with_colors_of
from .sampler import Sampler, sampler_names
from .sampling import Sampled, Start, batch_size, sample
from .schedule import (
    noise_schedule,
    plan_strength,
    scheduler_names,
    scheduler_of,
    stable_diffusion_schedule,
    start_timestep,
)
from .solver import SOLVER_SEED, solve
from .tiling import tiled
from .vae import BATCHES, Batch, canvas_multiple, decode, encode, encode_for, upscale, vae_multiple

__all__ = [
    "BATCHES",
    "FIND_STEPS",
    "SOLVER_SEED",
    "Batch",
    "EditGuidance",
    "EditSettings",
    "FindMask",
    "FixedNoise",
    "Guidance",
    "GuidedParts",
    "InversionSettings",
    "Inverted",
    "OpenLatent",
    "Panel",
    "Progress",
    "Refined",
    "Refinement",
    "RunMask",
    "Sampled",
    "Sampler",
    "SolvedWithGradients",
    "Start",
    "StepCounter",
    "Thumbnails",
    "batch_size",
    "before_after_panel",
    "canvas_multiple",
    "cell_pixels",
    "check_inversion",
    "check_prompt",
    "clip_noise",
    "close_latent",
    "decode",
    "draw_noise",
    "edit_latent",
    "encode",
    "encode_for",
    "encode_text",
    "file_state",
    "find_mask",
    "from_model_space",
    "input_divisor",
    "invert_latent",
    "inverted_noise",
    "is_guidance_distilled",
    "latent_space",
    "left_out",
    "lines_panel",
    "load_demo_checkpoint",
    "load_picture",
    "load_saved_demo_checkpoint",
    "makes_sound",
    "model_fingerprint",
    "noise_schedule",
    "noised_pictures",
    "noised_samples",
    "open_clean_latent",
    "open_latent",
    "panel",
    "partly_inverted",
    "picture_mask",
    "picture_rows",
    "pictures_in",
    "plan_strength",
    "preserved_share",
    "resolve_prompts",
    "run_inversion_back",
    "run_mask",
    "sample",
    "sampler_names",
    "saved_demo_checkpoints",
    "scheduler_names",
    "scheduler_of",
    "shown_plan",
    "silence",
    "small_jpeg",
    "solve",
    "solve_with_gradients",
    "stable_diffusion_schedule",
    "start_timestep",
    "state_of",
    "stored",
    "stretched_mask",
    "takes_guidance",
    "tell_browser",
    "tiled",
    "to_model_space",
    "upscale",
    "vae_multiple",
    "versions",
    "with_colors_of",
    "with_lines",
    "with_result",
    "words_panel",
]
