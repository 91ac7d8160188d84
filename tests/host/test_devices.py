"""Every node on a stand-in for a GPU: no mix of devices, no float64 there, and no copy or wait more than stock's.

`--large` runs every option of every node, in half precision and with offloaded models as well.
"""

import contextlib
import functools
import inspect

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import SamplerCustom
from img2img_studio import NODE_CLASS_MAPPINGS as NODES
from img2img_studio.core.inversion_methods import METHODS
from img2img_studio.dev.accelerator import DEVICE, MixedDevices, comfyui_on_stand_in, counted
from img2img_studio.dev.every_node import WIDTH, options_of, small_world
from img2img_studio.dev.models import random_conditioning

GPU_ONLY = {"gpu_only": True}
SETTINGS = {
    "gpu only": (GPU_ONLY, torch.float32, ()),
    "gpu only, masks from the CPU": (GPU_ONLY, torch.float32, ("MASK",)),
    "gpu only, pictures from the CPU": (GPU_ONLY, torch.float16, ("IMAGE", "LATENT")),
    "gpu only, bf16": (GPU_ONLY, torch.bfloat16, ()),
    "latents on the CPU": ({}, torch.float32, ()),
    "latents on the CPU, fp16": ({}, torch.float16, ()),
    "latents on the CPU, bf16, offloaded": ({"offloaded": True}, torch.bfloat16, ()),
}
WITHOUT_DOUBLE = [name for name, method in METHODS.items() if not method.double]
"""exact works in float64, and so on the CPU where the device has none: its states are sent at every step."""
TRIED = ("euler", "dpmpp_2m", "dpmpp_sde", "euler_ancestral", "lcm", "dpmpp_2s_ancestral", "ddim", "res_multistep")


def pytest_generate_tests(metafunc):
    large = metafunc.config.getoption("large")
    if "setting" in metafunc.fixturenames:
        metafunc.parametrize("setting", SETTINGS if large else ["gpu only"])
    if "node_id" in metafunc.fixturenames:
        metafunc.parametrize("node_id", NODES)
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", TRIED if large else TRIED[3:4])
    if "method" in metafunc.fixturenames:
        metafunc.parametrize("method", WITHOUT_DOUBLE if large else ["corrected"])
    if "gpu_only" in metafunc.fixturenames:
        metafunc.parametrize("gpu_only", [True, False] if large else [True])


@contextlib.contextmanager
def world(setting="gpu only"):
    options, dtype, on_cpu = SETTINGS[setting]
    with comfyui_on_stand_in(**options):
        yield built(setting, dtype, on_cpu)


@functools.cache
def built(setting, dtype, on_cpu):
    made = small_world(NODES, dtype=dtype)
    made.on_cpu = on_cpu
    return made


def test_the_stand_in_behaves_as_an_accelerator():
    with comfyui_on_stand_in():
        there, here = torch.ones(3, device=DEVICE), torch.ones(3)
        for mixed in (
            lambda: there + here,
            lambda: torch.cat([here, there]),
            lambda: here[there > 0],
            lambda: torch.where(here > 0, there, 0.0),
            lambda: there.add_(here),
            lambda: there.lerp(there, torch.tensor(0.5)),
            lambda: torch.searchsorted(here, there),
        ):
            with pytest.raises(MixedDevices):
                mixed()
        for wide in (there.double, lambda: torch.zeros(2, device=DEVICE, dtype=torch.float64)):
            with pytest.raises(TypeError, match="float64"):
                wide()
        for action, copies, waits in (
            (lambda: there * 2 + torch.tensor(1.0), 0, 0),
            (lambda: here.to(DEVICE), 1, 0),
            (lambda: torch.tensor([1.0], device=DEVICE), 1, 0),
            (there.cpu, 1, 1),
            (lambda: float(there[0]), 0, 1),
            (lambda: there[there > 0], 0, 1),
            (lambda: bool((there > 0).any()), 0, 1),
        ):
            with counted() as traffic:
                action()
            assert (traffic.copies, traffic.waits) == (copies, waits), inspect.getsource(action)
        assert torch.equal((there * 3).cpu(), here * 3)


def test_every_node_runs_with_everything_it_is_given_there(setting, node_id, request):
    with world(setting) as made:
        changes = list(options_of(NODES, node_id))
        for changed in changes if request.config.getoption("large") else changes[:1]:
            made.call(node_id, **changed)


@pytest.mark.parametrize("masked", ["SDEditNoise", "Img2ImgGuidedSampler", "Img2ImgKeepUnmasked"])
def test_what_comes_out_lies_where_comfyui_keeps_it_and_is_what_the_cpu_gives(masked):
    on_cpu = small_world(NODES).call(masked, mask=...)[0]
    with world() as made:
        there = made.call(masked, mask=...)[0]
        here, there = (one["samples"] if isinstance(one, dict) else one for one in (on_cpu, there))
        assert there.device == DEVICE
        assert torch.allclose(there.cpu(), here, atol=1e-4)


def per_step(run):
    """Copies and waits of a further step, by runs of two and four steps."""
    run(2)
    found = []
    for steps in (2, 4):
        with counted() as traffic:
            run(steps)
        found.append(traffic)
    few, many = found
    return (many.copies - few.copies) / 2, (many.waits - few.waits) / 2


def sigmas(made, steps):
    return made.call("StrengthScheduler", steps=steps)[0]


def stock(made, name="euler", mask=None, cfg=4.0):
    """Copies and waits of a step of ComfyUI's own sampling."""
    sampler = comfy.samplers.sampler_object(name)
    if "noise_sampler" in inspect.signature(sampler.sampler_function).parameters and "sde" not in name:
        # stock's generator of random numbers would be the device's own
        draw = lambda *_: torch.randn(made.latent["samples"].shape, device=DEVICE)  # noqa: E731
        sampler.extra_options = sampler.extra_options | {"noise_sampler": draw}
    latent = made.latent | ({} if mask is None else {"noise_mask": mask})
    positive, negative = made.socket("CONDITIONING"), random_conditioning(2, WIDTH)
    return per_step(
        lambda steps: SamplerCustom.execute(
            made.model, True, 3, cfg, positive, negative, sampler, sigmas(made, steps), latent
        )
    )


def test_guided_sampler_sends_and_waits_no_more_than_stock(name, gpu_only):
    with world("gpu only" if gpu_only else "latents on the CPU") as made:
        for mask in (None, (made.mask > 0.5).float()):
            ours = per_step(
                lambda steps, mask=mask: made.call(
                    "Img2ImgGuidedSampler", sigmas=sigmas(made, steps), sampler_name=name, mask=mask, cfg=4.0
                )
            )
            assert all(a <= b for a, b in zip(ours, stock(made, name, mask), strict=True)), (ours, mask)


def test_the_other_sampling_nodes_send_and_wait_no_more_than_stock(gpu_only, request):
    calls = [
        ("Img2ImgTiledRefine", {"invert": 0.0}),  # what inversion sends is asked below
        ("Img2ImgPromptEdit", {"cfg": 4.0, "source_cfg": 2.0}),
        ("ProgressiveRefine", {"strengths": "0.6"}),
        ("VariationBatch", {"mask": ...}),
        ("Img2ImgAllInOne", {}),
        ("Img2ImgStrengthGrid", {"row_values": "0.5", "column_values": "4"}),
    ]
    with world("gpu only" if gpu_only else "latents on the CPU") as made:
        limit = stock(made)
        for node_id, options in calls if request.config.getoption("large") else calls[:1]:
            changed = {"cfg": 4.0} | options
            ours = per_step(lambda steps, node_id=node_id, changed=changed: made.call(node_id, steps=steps, **changed))
            assert all(a <= b for a, b in zip(ours, limit, strict=True)), (node_id, ours, limit)


def test_inversion_sends_and_waits_no_more_than_stock(method, gpu_only):
    with world("gpu only" if gpu_only else "latents on the CPU") as made:
        limit, found = stock(made, cfg=1.0), {}

        def invert(steps):
            found[steps] = made.call("DDIMInvert", steps=steps, method=method, keep_trajectory=True, cfg=1.0)[0]

        up = per_step(invert)
        down = per_step(lambda steps: made.call("Img2ImgInversionSampler", inversion=found[steps], cfg=4.0))
        for ours in (up, down):
            assert all(a <= b for a, b in zip(ours, limit, strict=True)), (up, down, limit)


def test_thinking_reads_the_level_once_a_step_and_sends_nothing_of_its_own():
    """It asks the model twice, so twice what the model is sent; at which level, only the sampler knows."""
    with world() as made:
        mask = (made.mask > 0.5).float()
        copies, waits = stock(made, mask=mask)
        ours = per_step(
            lambda steps: made.call("Img2ImgGuidedSampler", sigmas=sigmas(made, steps), mask=mask, cfg=4.0, think=1)
        )
        assert ours[0] <= 2 * copies
        assert ours[1] <= waits + 1


def test_a_scheduled_prompt_is_waited_for_once_a_step_however_many_parts_it_has():
    with world() as made:
        plain, early = random_conditioning(1, WIDTH), made.call("Img2ImgPromptSchedule", blend=1.0)[0]
        twice = made.call("Img2ImgPromptSchedule", early=early, blend=1.0, switch_at=0.6)[0]

        def waits(prompt):
            return per_step(
                lambda steps: made.call("Img2ImgGuidedSampler", positive=prompt, sigmas=sigmas(made, steps), cfg=1.0)
            )[1]

        assert waits(twice) <= waits(plain) + 1
