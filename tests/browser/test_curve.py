"""StrengthScheduler's curve: an estimate before the first run, exact after it, and never part of the workflow."""

import math

import pytest

WORKFLOW = "Try it without a model"
SCHEDULER = "app.graph.nodes.find(node => node.comfyClass === 'StrengthScheduler')"


class Panel:
    """What the node shows."""

    def __init__(self, page):
        self.page = page
        self.element = page.locator(".img2imgstudio-panel:has([data-part=plot])")

    def text(self, part: str) -> str:
        return self.element.locator(f"[data-part={part}]").inner_text()

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

    def wait_until_exact(self) -> None:
        self.element.get_by_text("Exact, from the last run").wait_for()


@pytest.fixture
def panel(frontend, vue_nodes):
    frontend.open(WORKFLOW, vue_nodes)
    panel = Panel(frontend.page)
    panel.set("strength", 0.6)
    panel.set("steps", 4)
    return panel


def test_the_widgets_alone_give_a_curve(frontend, panel):
    sigma = math.sqrt(math.expm1(-log_signal(0.6 * 999)))
    assert panel.text("entry") == f"t 599 \u2192 0 · \u03c3 {sigma:.2f} · SNR \u2212{20 * math.log10(sigma):.1f} dB"
    assert panel.text("source") == "Estimate for SD 1.5, until the first run"
    assert panel.text("notices") == ""
    assert panel.path("line").startswith("M40 ")
    assert panel.path("steps").count("M") == 4
    assert panel.element.evaluate("element => element.offsetHeight") >= 150  # whatever the zoom
    assert frontend.problems == []


def log_signal(timestep: float) -> float:
    """The logarithm of alpha-bar of Stable Diffusion 1.5, between two timesteps as the models read it (log sigma is straight)."""
    below = math.floor(timestep)
    steps = [(math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * t / 999) ** 2 for t in range(1000)]
    logs = [sum(math.log1p(-beta) for beta in steps[: t + 1]) for t in (below, below + 1)]
    low, high = (0.5 * math.log(math.expm1(-log)) for log in logs)
    log_sigma = low + (high - low) * (timestep - below)
    return -math.log1p(math.exp(2 * log_sigma))


def test_warnings(panel):
    panel.set("strength", 0.79)
    assert panel.text("notices") == ""
    panel.set("strength", 0.8)
    assert panel.text("notices") == "From 0.8 on the layout will not survive."
    panel.set("measure", "noise")
    panel.set("strength", 0.99)
    assert panel.text("notices").splitlines()[1] == "Capped at \u03c3 14.6, this model's maximum."
    panel.set("strength", 0)
    assert panel.text("entry") == "Strength 0: the picture stays as it is"
    assert panel.text("notices") == ""


def test_a_run_makes_it_exact_and_a_change_an_estimate_again(frontend, panel):
    frontend.run()
    panel.wait_until_exact()
    payload = frontend.page.evaluate(f"{SCHEDULER}.properties.img2img_strength")
    assert payload["start_timestep"] == pytest.approx(0.6 * 999, abs=1)
    assert f"\u03c3 {payload['start_sigma']:.2f}" in panel.text("entry")
    assert f"{payload['planned_calls']} model calls" in panel.text("cost")
    assert panel.path("steps").count("M") == len(payload["sigmas"]) - 1
    panel.set("strength", 0.5)
    assert panel.text("source").startswith("Estimate")
    panel.set("strength", 0.6)
    assert panel.text("source").startswith("Exact")
    assert frontend.problems == []


def test_it_survives_a_reload_and_a_change_of_tab(frontend, panel):
    panel.set("strength", 0.85)
    frontend.run()
    panel.wait_until_exact()
    frontend.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    panel.element.wait_for(state="hidden")
    frontend.page.locator(".workflow-tabs").get_by_text(WORKFLOW).click()
    panel.wait_until_exact()
    frontend.page.reload()
    frontend.wait_until_ready()
    panel.element.wait_for()
    assert panel.element.count() == 1
    assert panel.text("entry").startswith("t 849 \u2192 0")
    assert panel.text("notices") == "From 0.8 on the layout will not survive."


def test_it_is_no_part_of_the_workflow_or_the_prompt(frontend, panel):
    saved = frontend.page.evaluate(f"{SCHEDULER}.serialize().widgets_values")
    shown = frontend.page.evaluate(f"{SCHEDULER}.widgets.map(widget => widget.name)")
    assert shown[-1] == "curve"
    assert len(saved) == len(shown) - 1
    prompt = frontend.page.evaluate("async () => (await app.graphToPrompt()).output")
    inputs = next(node["inputs"] for node in prompt.values() if node["class_type"] == "StrengthScheduler")
    assert "curve" not in inputs


def test_settings_from_other_nodes_wait_for_a_run(panel):
    panel.page.evaluate(
        f"""() => {{
            const source = LiteGraph.createNode('PrimitiveFloat');
            app.graph.add(source);
            const scheduler = {SCHEDULER};
            source.connect(0, scheduler, scheduler.inputs.findIndex(input => input.name === 'strength'));
        }}"""
    )
    assert panel.text("entry") == "Known after the first run"
    assert panel.path("line") == ""
