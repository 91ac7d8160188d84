"""Canceled at any call of a model, a node leaves nothing behind: the next run gives the same bits."""

import comfy.model_management
import comfy.samplers
import pytest
import torch
from img2img_studio import NODE_CLASS_MAPPINGS as NODES
from img2img_studio.core.noise import digest
from img2img_studio.dev.every_node import small_world

FAST = ("Img2ImgGuidedSampler", "DDIMInvert")


@pytest.fixture(scope="module")
def world():
    with torch.inference_mode():
        return small_world(NODES)


def pytest_generate_tests(metafunc):
    if "node_id" in metafunc.fixturenames:
        asks = [name for name, node in NODES.items() if any(one.id == "model" for one in node.GET_SCHEMA().inputs)]
        metafunc.parametrize("node_id", asks if metafunc.config.getoption("large") else FAST)


def prints(values):
    tensors = [one.get("samples") if isinstance(one, dict) else one for one in values]
    return [digest(one) for one in tensors if isinstance(one, torch.Tensor)]


def test_canceled_at_every_call_the_next_run_is_the_same(world, node_id, monkeypatch):
    answer, calls, stop = comfy.samplers.calc_cond_batch, 0, None

    def counting(*args):
        nonlocal calls
        calls += 1
        if calls == stop:
            comfy.model_management.interrupt_current_processing()
            comfy.model_management.throw_exception_if_processing_interrupted()
        return answer(*args)

    monkeypatch.setattr(comfy.samplers, "calc_cond_batch", counting)
    for one in NODES[node_id].GET_SCHEMA().inputs:  # what other nodes make for it is made before anything is counted
        if not hasattr(one, "default"):
            world.socket(one.get_io_type())
    weights = {name: digest(one) for name, one in world.model.model.state_dict().items()}
    calls = 0
    wanted, total = prints(world.call(node_id, model=world.model.clone())), calls
    random_state = torch.get_rng_state()
    for at in range(1, total + 1):
        calls, stop = 0, at
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            world.call(node_id, model=world.model.clone())
    calls, stop = 0, None
    assert prints(world.call(node_id, model=world.model.clone())) == wanted
    assert calls == total
    assert torch.equal(torch.get_rng_state(), random_state)
    assert {name: digest(one) for name, one in world.model.model.state_dict().items()} == weights
    assert not comfy.model_management.processing_interrupted()
