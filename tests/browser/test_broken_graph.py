"""A wire that is missing in one part of a workflow is said aloud, also where another part of it runs."""

import pytest

TOY = {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}}


@pytest.fixture
def workflow():
    """Two outputs: the toy's example, and what comes of it encoded and decoded."""
    return {
        "1": TOY,
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 3], "vae": ["1", 2]}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["1", 3]}},
    }


def test_a_part_that_cannot_run_is_named(frontend, workflow):
    frontend.open()
    del workflow["3"]["inputs"]["vae"]
    frontend.put("3", workflow)
    frontend.run()
    toast = frontend.page.locator(".p-toast-message").filter(has_text="Part of this workflow cannot run")
    toast.wait_for()
    assert "VAE Decode, vae: Required input is missing" in toast.inner_text()
    assert frontend.page.get_by_role("dialog").count() == 0


def test_where_nothing_runs_there_is_one_dialog(frontend, workflow):
    del workflow["3"]["inputs"]["vae"], workflow["5"]
    frontend.open()
    frontend.put("3", workflow)
    frontend.page.get_by_test_id("queue-button").get_by_role("button").first.click()
    dialog = frontend.page.get_by_role("dialog").filter(has_text="Required input is missing: vae")
    dialog.wait_for()
    assert frontend.page.locator(".p-toast-message").filter(has_text="cannot run").count() == 0
