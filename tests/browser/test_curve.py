"""StrengthScheduler's curve: an estimate at first, the loaded model's own after a run, and a way to set strength."""

import pytest

WORKFLOW = "Try it without a model"
SCHEDULER = "app.graph.nodes.find(node => node.comfyClass === 'StrengthScheduler')"
WIDGET = f"(node => node.widgets.find(widget => widget.name === 'strength'))({SCHEDULER})"
# A second loader of the other family, wired in place of the first.
WIRE_ANOTHER_MODEL = f"""() => {{
    const loader = LiteGraph.createNode('Img2ImgDemoCheckpoint');
    app.graph.add(loader);
    loader.widgets.find(widget => widget.name === 'family').value = 'flow';
    loader.connect(0, {SCHEDULER}, 0);
}}"""
# A mask at the node that noises the latent.
WIRE_A_MASK = """() => {
    const mask = LiteGraph.createNode('SolidMask');
    app.graph.add(mask);
    const noise = app.graph.nodes.find(node => node.comfyClass === 'SDEditNoise');
    mask.connect(0, noise, noise.inputs.findIndex(input => input.name === 'mask'));
}"""


class Panel:
    """What the node shows."""

    def __init__(self, page):
        self.page = page
        self.element = page.locator(".img2imgstudio-panel:has([data-part=plot])")
        self.stock = self.element.locator("input")

    def part(self, name: str):
        return self.element.locator(f"[data-part={name}]")

    def text(self, part: str) -> str:
        return self.part(part).inner_text()

    def shows(self, text: str) -> None:
        """Wait until it does: every change is worked out on the server."""
        self.element.get_by_text(text).wait_for()

    def path(self, name: str) -> str:
        return self.element.locator(f"[data-path={name}]").get_attribute("d") or ""

    def set(self, name: str, value) -> None:
        """Change a widget as a hand would: through the callback that both renderers call."""
        self.page.evaluate(
            f"""([name, value]) => {{
                const widget = {SCHEDULER}.widgets.find(widget => widget.name === name);
                widget.value = value;
                widget.callback?.(value);
            }}""",
            [name, value],
        )

    @property
    def strength(self) -> float:
        return self.page.evaluate(f"() => {WIDGET}.value")


@pytest.fixture
def panel(frontend, vue_nodes):
    frontend.open(WORKFLOW, vue_nodes)
    panel = Panel(frontend.page)
    panel.set("strength", 0.6)
    panel.set("steps", 4)
    panel.shows("t 599 \u2192 0")
    return panel


def test_before_a_run_it_is_an_estimate_that_says_so(frontend, panel):
    panel.shows("Another style; large shapes stay")
    panel.shows("Estimate for SD 1.5")
    panel.shows("4 steps · 4 model calls")
    assert panel.path("line").startswith("M40 ")
    assert panel.path("steps").count("M") == 4
    assert panel.path("ground").startswith("M0 ")
    assert panel.element.evaluate("element => element.offsetHeight") >= 150  # whatever the zoom
    panel.set("measure", "noise")
    panel.set("strength", 0.99)
    panel.shows("Capped at \u03c3 14.6, this model's maximum.")
    panel.set("measure", "steps")
    panel.set("strength", 0.4)
    panel.shows("by timestep")
    assert panel.stock.is_hidden()
    panel.set("strength", 0)
    panel.shows("Nothing changes")
    assert panel.text("notices") == ""
    assert frontend.problems == []


def test_a_hand_drags_the_start_and_types_an_old_denoise(frontend, panel):
    frontend.page.evaluate(f"() => app.canvas.centerOnNode({SCHEDULER})")
    where = frontend.page.evaluate(f"() => [...{SCHEDULER}.pos]")
    frontend.page.wait_for_timeout(300)
    box = panel.part("plot").bounding_box()
    frontend.page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 10)
    frontend.page.mouse.down()
    frontend.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 10, steps=3)
    frontend.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 10, steps=3)
    frontend.page.mouse.up()
    panel.shows("t 300 \u2192 0")
    assert panel.strength == pytest.approx(0.3, abs=0.011)
    assert frontend.page.evaluate(f"() => [...{SCHEDULER}.pos]") == where
    panel.set("scheduler", "karras")
    panel.set("strength", 0.6)
    panel.shows("t 599 \u2192 0")
    denoise = float(panel.stock.input_value())
    panel.set("strength", 0.2)
    panel.shows("t 200 \u2192 0")
    panel.stock.fill(str(denoise))
    panel.stock.press("Enter")
    panel.shows("Another style; large shapes stay")
    assert panel.strength == pytest.approx(0.6, abs=0.05)
    assert frontend.problems == []


def test_the_warning_says_what_to_do_and_is_silent_under_a_mask(frontend, panel):
    panel.set("strength", 0.79)
    panel.shows("t 789 \u2192 0")
    assert panel.text("notices") == ""
    panel.set("strength", 0.85)
    panel.shows("Expect a new layout. To keep yours, set strength below 0.80.")
    frontend.page.evaluate(WIRE_A_MASK)
    panel.set("strength", 0.86)
    panel.shows("t 859 \u2192 0")
    assert panel.text("notices") == ""


def test_after_a_run_every_knob_shows_the_loaded_models_numbers(frontend, panel, server):
    frontend.page.evaluate(WIRE_ANOTHER_MODEL)
    frontend.run()
    panel.shows("From the last run")
    panel.shows("\u03c3 0.600")
    for scheduler, steps, strength, measure in (
        ("karras", 5, 0.37, "timestep"), ("simple", 9, 0.71, "noise"), ("beta", 7, 0.55, "steps"),
    ):  # fmt: skip
        settings = {"scheduler": scheduler, "steps": steps, "strength": strength, "measure": measure}
        for name, value in settings.items():
            panel.set(name, value)
        exact = server.run(
            {
                "1": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "flow"}},
                "2": {"class_type": "StrengthScheduler", "inputs": {"model": ["1", 0], **settings}},
                "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 1]}},
            }
        ).outputs["2"]["img2img_strength"][0]
        panel.shows(f"t {exact['start_timestep']:.0f} \u2192 0")
        _, sigma, ratio = panel.text("entry").split(" · ")
        assert float(sigma.split()[1]) == pytest.approx(exact["start_sigma"], abs=0.01)
        assert ratio == f"SNR {exact['snr_db']:+.1f} dB".replace("-", "\u2212")
        assert panel.text("source") == "For the model of the last run (Demo)"
        assert panel.path("steps").count("M") == steps
    frontend.page.evaluate(f"() => {SCHEDULER}.disconnectInput(0)")
    panel.shows("Estimate for SD 1.5")
    assert frontend.problems == []


def test_it_is_no_part_of_the_prompt_and_settings_from_other_nodes_wait_for_a_run(frontend, panel):
    saved = frontend.page.evaluate(f"{SCHEDULER}.serialize().widgets_values")
    shown = frontend.page.evaluate(f"{SCHEDULER}.widgets.map(widget => widget.name)")
    assert shown[-1] == "curve"
    assert len(saved) == len(shown) - 1
    prompt = frontend.page.evaluate("async () => (await app.graphToPrompt()).output")
    inputs = next(node["inputs"] for node in prompt.values() if node["class_type"] == "StrengthScheduler")
    assert "curve" not in inputs
    frontend.page.evaluate(
        f"""() => {{
            const source = LiteGraph.createNode('PrimitiveFloat');
            app.graph.add(source);
            const scheduler = {SCHEDULER};
            source.connect(0, scheduler, scheduler.inputs.findIndex(input => input.name === 'strength'));
        }}"""
    )
    panel.shows("Known after the first run")
    assert panel.path("line") == ""
