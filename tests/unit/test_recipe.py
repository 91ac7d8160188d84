"""A report of a refinement is enough to run it again and to check the result."""

import json

import pytest
import torch
from img2img_studio.core.passes import PassSettings, plan_passes
from img2img_studio.core.recipe import compare_results, describe_result, read_recipe
from img2img_studio.core.report import Report
from img2img_studio.core.schedule import StrengthPlan, StrengthSettings

RESULT = torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(1))
FACTS = {"input": "a", "model": "b", "torch": "2"}


def written():
    def plan(strength, steps):
        settings = StrengthSettings("karras", steps, strength, "noise")
        return StrengthPlan(torch.linspace(strength / 3, 0, steps + 1), settings, True)

    settings = [PassSettings(0.6), PassSettings(0.3, seed=2**64 - 1)]
    passes = plan_passes(settings, 7, 5.5, 3, "increment", plan)
    facts = [
        {"sigmas": p.plan.sigmas, "strength": p.plan.settings.strength, "steps": p.plan.steps, "measure": "noise",
         "step_count": "exact", "capped": True, "seed": p.seed, "cfg": p.cfg}
        for p in passes
    ]  # fmt: skip
    text = Report({}).text(
        node="ProgressiveRefine",
        passes=facts,
        scheduler="karras",
        sampler="euler",
        match_colors="off",
        facts=FACTS,
        result=describe_result(RESULT),
    )
    return text, passes


def test_passes_come_back_bit_for_bit():
    text, passes = written()
    recipe = read_recipe(text)
    for old, new in zip(passes, recipe.plan.passes, strict=True):
        assert torch.equal(old.plan.sigmas, new.plan.sigmas)
        assert old.plan.settings == new.plan.settings
        assert (old.seed, old.cfg, old.prompt) == (new.seed, new.cfg, new.prompt)
    assert (recipe.plan.sampler, recipe.plan.match_colors) == ("euler", "off")


def test_the_same_result_is_identical_and_another_says_what_differs():
    recipe = read_recipe(written()[0])
    assert compare_results(recipe, FACTS, RESULT.clone()) == {"identical": True}
    check = compare_results(recipe, {**FACTS, "input": "c"}, RESULT + 0.25)
    assert check["identical"] is False
    assert check["largest_difference"] == pytest.approx(0.25)
    assert check["differs"] == ["input"]
    assert compare_results(recipe, FACTS, torch.zeros(1, 4, 2, 2))["largest_difference"] is None


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"node": "VariationBatch"}', '{"node": "ProgressiveRefine"}'])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="recipe: the text is no report of ProgressiveRefine"):
        read_recipe(text)


def test_a_seed_out_of_range_is_refused():
    facts = json.loads(written()[0])
    facts["passes"][1]["seed"] = -1
    with pytest.raises(ValueError, match="seed -1 of pass 2 is out of range"):
        read_recipe(json.dumps(facts))
