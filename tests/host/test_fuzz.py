"""Whatever a graph can bring: finite results of a sound shape, or a ValueError that names the input.

`--large` tries ten times as many inputs.
"""

import copy
import math

import comfy.samplers
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from img2img_studio import NODE_CLASS_MAPPINGS as NODES
from img2img_studio.core.noise import digest
from img2img_studio.dev.every_node import WIDTH, is_widget, small_world
from img2img_studio.dev.models import random_conditioning

EACH, EACH_LARGE = 7, 70
TEXTS = (
    "", " ", "a", "0.5", "0.6, 0.4", "0.7..0.3 x3", "nan", "inf", "1e999", "-1", "2", "1, 5, 9..12", "9..1", "1..3 x0",
    "0.5;0.2", "euler", "18446744073709551615", "18446744073709551616", "{style}", "{}", "{", "\n\n", "../..",
    "[", "{}[]", "\u0663", "0,5", "1,", ",", "x" * 5000,
)  # fmt: skip
SHAPES = {
    "IMAGE": [(1, 64, 64, 3), (2, 64, 64, 3), (1, 1, 1, 3), (1, 9, 70, 3), (1, 64, 64, 4), (1, 64, 64, 1),
              (0, 64, 64, 3),               (1, 0, 64, 3), (64, 64, 3), (1, 2, 64, 64, 3), (1, 64, 64, 7), (3,)],
    "MASK": [(1, 64, 64), (2, 64, 64), (3, 64, 64), (64, 64), (64,), (), (1, 1, 64, 64), (1, 3, 64, 64), (1, 5, 3),
             (0, 64, 64), (1, 0, 0)],
    "LATENT": [(1, 4, 8, 8), (2, 4, 8, 8), (1, 4, 1, 1), (1, 4, 7, 9), (1, 16, 8, 8), (1, 3, 8, 8), (0, 4, 8, 8),
               (1, 4, 2, 8, 8), (4, 8, 8), (1, 4, 0, 8)],
}  # fmt: skip
FILLS = ("random", "random", "random", "zeros", "ones", "nan", "inf", "large", "negative")
DTYPES = (torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.bool, torch.uint8)
LARGEST = {"steps": 3, "target": 130, "count": 3, "inner_steps": 2, "tile": 128, "scale": 1.5, "averages": 2,
           "radius": 9, "left": 40, "top": 40, "right": 40, "bottom": 40, "corrector_steps": 3, "feather": 20,
           "context": 1.0, "first_item": 2}  # fmt: skip
"""Values inside the schema that would only take longer."""


@pytest.fixture(scope="module")
def world():
    with torch.inference_mode():
        made = small_world(NODES)
        for node in NODES.values():
            for one in node.GET_SCHEMA().inputs:
                if not is_widget(one):
                    made.socket(one.get_io_type())
    return made


def tensor(draw, kind):
    shape, fill, dtype = (draw(st.sampled_from(choice)) for choice in (SHAPES[kind], FILLS, DTYPES))
    values = torch.rand(shape, generator=torch.Generator().manual_seed(5))
    odd = {"zeros": 0.0, "ones": 1.0, "nan": math.nan, "inf": math.inf, "large": 1e6, "negative": -0.5}
    if fill in odd and values.numel():
        values.view(-1)[: 1 if fill in ("nan", "inf") else None] = odd[fill]
    return values.to(dtype)


def latent(draw):
    made = {"samples": tensor(draw, "LATENT")}
    if draw(st.booleans()):
        made["noise_mask"] = tensor(draw, "MASK")
    if draw(st.booleans()):
        made["batch_index"] = draw(st.sampled_from([[0], [3], [0, 1], [], [7, 7]]))
    return made


def conditioning(draw):
    embedding = draw(st.sampled_from([(1, 7, WIDTH), (1, 77, WIDTH), (2, 7, WIDTH), (0, 7, WIDTH), (WIDTH,)]))
    options = draw(
        st.sampled_from([
            {}, {"area": (8, 8, 0, 0)}, {"area": (8, 8, 0)}, {"area": ("percentage", 0.5, 0.5, 0.0, 0.0)},
            {"strength": 0.5},
            {"mask": torch.ones(1, 64, 64), "mask_strength": 1.0, "set_area_to_bounds": False},
            {"start_percent": 0.0, "end_percent": 0.5}, {"start_percent": 0.9, "end_percent": 0.1},
        ])
    )  # fmt: skip
    entry = [torch.rand(embedding, generator=torch.Generator().manual_seed(6)), options]
    return draw(st.sampled_from([[entry], [entry, entry], [], [*random_conditioning(3, WIDTH), entry]]))


def sigmas(draw):
    return torch.tensor(
        draw(
            st.sampled_from([
                [], [1.0], [1.0, 0.0], [0.0, 1.0], [math.nan, 0.0], [14.6, 3.0, 0.5], [1.0, 1.0, 0.0], [[1.0, 0.0]],
                [0.0], [1e9, 0.0], [-1.0, -2.0], [math.inf, 0.0],
            ])
        )
    )  # fmt: skip


def model(draw, world):
    made = world.model.clone()
    if draw(st.booleans()):
        made.set_model_sampler_post_cfg_function(lambda arguments: arguments["denoised"] * 0.9)
    if draw(st.booleans()):
        made.set_model_sampler_cfg_function(lambda arguments: arguments["cond"])
    return made


def number(draw, one):
    high = min(one.max, LARGEST.get(one.id, one.max))
    inside = st.integers(one.min, high) if one.get_io_type() == "INT" else st.floats(one.min, high)
    outside = [one.min - 1, one.max + 1, 10**12, *([] if one.get_io_type() == "INT" else [math.nan, math.inf])]
    small = [value for value in (one.min, high) if isinstance(value, (int, float))]
    return draw(st.one_of(inside, inside, st.sampled_from(small), st.sampled_from(outside)))


def odd_value(draw, one, world):
    """Something for an input that a graph can bring."""
    kind = one.get_io_type()
    made = {"LATENT": latent, "CONDITIONING": conditioning, "SIGMAS": sigmas}
    if kind in made:
        return made[kind](draw)
    if kind in ("IMAGE", "MASK"):
        return tensor(draw, kind)
    if kind == "MODEL":
        return model(draw, world)
    if kind in ("INT", "FLOAT"):
        return number(draw, one)
    if kind == "COMBO":
        return draw(st.sampled_from([*one.options, "no such thing"]))
    if kind == "STRING":
        return draw(st.sampled_from(TEXTS))
    if kind == "BOOLEAN":
        return draw(st.booleans())
    if kind == "SAMPLER":
        return comfy.samplers.sampler_object(draw(st.sampled_from(["euler", "ddim", "dpmpp_2s_ancestral", "uni_pc"])))
    return world.socket(kind)


def prints(value):
    """Fingerprints of all tensors in an argument."""
    if isinstance(value, torch.Tensor):
        return digest(value) if value.numel() else str(value.shape)
    if isinstance(value, dict):
        return {key: prints(part) for key, part in value.items()}
    return [prints(part) for part in value] if isinstance(value, (list, tuple)) else None


def check_output(value):
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        assert torch.isfinite(value).all()
        assert 0 not in value.shape or value.ndim == 1  # sigmas may be empty
    elif isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict):
        check_output(value.get("samples"))


def test_odd_inputs_give_sound_results_or_say_what_is_wrong(world, node_id, request):
    node, inputs = NODES[node_id], NODES[node_id].GET_SCHEMA().inputs
    count = EACH_LARGE if request.config.getoption("large") else EACH

    @settings(max_examples=count, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def attempt(data):
        odd = data.draw(st.lists(st.sampled_from(inputs), min_size=1, max_size=3, unique_by=id))
        arguments = world.arguments(node_id, **{one.id: odd_value(data.draw, one, world) for one in odd})
        before, random_state = prints(list(arguments.values())), torch.get_rng_state()
        options = copy.deepcopy(world.model.model_options)
        try:
            with torch.inference_mode():
                for value in node.execute(**arguments).args:
                    check_output(value)
        except ValueError as error:
            said = str(error)
            names = {name for one in inputs for name in (one.id, one.display_name) if name}
            assert any(name in said for name in names), said
            assert said[:1].strip(), said
        assert prints(list(arguments.values())) == before
        assert torch.equal(torch.get_rng_state(), random_state)
        assert world.model.model_options.keys() == options.keys()

    attempt()


def pytest_generate_tests(metafunc):
    if "node_id" in metafunc.fixturenames:
        metafunc.parametrize("node_id", NODES)
