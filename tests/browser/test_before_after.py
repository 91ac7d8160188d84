"""The slider between before and after, the view of the difference, and the choice of a pass."""

import pytest

CUT = "stage => getComputedStyle(stage).getPropertyValue('--cut')"


@pytest.fixture
def panel(frontend, vue_nodes, request):
    """Three passes on the toy, with previews of its own; ComfyUI knows none of them already."""
    refine = {
        "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0], "latent": ["2", 0], "strengths": "0.8, 0.5, 0.2",
        "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "seed": 5, "seed_mode": "same",
        "vae": ["1", 2],
    }  # fmt: skip
    workflow = {
        "1": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 3], "vae": ["1", 2]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": request.node.name}},
        "4": {"class_type": "ProgressiveRefine", "inputs": refine},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 2]}},
    }
    frontend.open(vue_nodes=vue_nodes)
    frontend.page.evaluate("() => { app.canvas.ds.scale = 0.7; }")  # all of a tall node in view
    frontend.put("4", workflow)
    panel = frontend.page.locator(".img2imgstudio-panel")
    panel.wait_for()
    return panel


def source(panel, name):
    return panel.locator(f"[data-image={name}]").get_attribute("src")


def test_the_slider_the_difference_and_every_pass(frontend, panel):
    stage = panel.locator("[data-part=stage]")
    assert stage.is_hidden()
    assert "after each pass" in panel.inner_text()
    frontend.run()
    stage.wait_for()
    passes = panel.locator("[data-part=choices] button")
    assert passes.all_inner_texts() == ["pass 1: 0.8", "pass 2: 0.5", "pass 3: 0.2", "difference"]
    assert passes.nth(2).get_attribute("aria-pressed") == "true"
    for image in stage.locator("img").all():
        frontend.page.wait_for_function("image => image.naturalWidth === 128", arg=image.element_handle())
    box, outer = stage.bounding_box(), panel.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)
    assert outer["y"] < box["y"]
    assert box["y"] + box["height"] < outer["y"] + outer["height"]

    x, y = box["x"], box["y"] + box["height"] / 2
    frontend.page.mouse.move(x + box["width"] / 2, y)
    frontend.page.mouse.down()
    frontend.page.mouse.move(x + box["width"] / 4, y)
    frontend.page.mouse.up()
    assert float(stage.evaluate(CUT).strip("%")) == pytest.approx(25, abs=3)
    place = frontend.page.evaluate("() => [...app.graph.getNodeById(4).pos]")

    last, before = source(panel, "after"), source(panel, "before")
    passes.nth(0).click()
    assert source(panel, "after") != last
    assert source(panel, "before") == before
    passes.nth(3).click()
    assert panel.locator("[data-image=difference]").is_visible()
    assert not stage.locator("input").is_visible()
    assert stage.get_attribute("data-caption").startswith("White: ")
    assert frontend.page.evaluate("() => [...app.graph.getNodeById(4).pos]") == place
    assert frontend.problems == []
