"""A report in words says what the report says."""

import pytest
import torch
from img2img_studio.core.metrics import proof_outside
from img2img_studio.core.report import Report, Work
from img2img_studio.core.words import in_words


def words(work=None, **facts):
    return in_words(Report({}).text(work, **facts))


def test_a_run_says_what_it_took_how_strong_it_was_and_its_seed():
    facts = {"sigmas": torch.linspace(2, 0, 21), "strength": 0.6, "start_timestep": 599.4, "seed": 5, "mask": "all"}
    took, happened = words(Work(20, 40, 2.1), **facts)
    assert took.startswith("20 steps, 40 model calls, ")
    assert took.endswith(" s")
    assert happened == "Strength 0.6, started at t 599; seed 5"


def test_guidance_on_top_of_guidance_is_said_first():
    work = Work(4, 8, 1.0) + Work(4, 8, 1.0, guided_twice=True)
    assert words(work, seed=5)[1].startswith("This model has its guidance built in")
    assert words(Work(4, 8, 1.0), seed=5)[1] == "Seed 5"


def test_strength_zero_asks_nothing():
    assert words(Work(), sigmas=[], strength=0.0, start_timestep=0.0)[0].startswith("Nothing new to sample, ")


def test_the_proof_counts_the_pixels_outside():
    before = torch.zeros(1, 100, 100, 3)
    outside = torch.ones(1, 100, 100, dtype=torch.bool)
    outside[:, :50] = False
    after = before + (~outside)[..., None]
    assert words(**proof_outside(before, after, outside)) == ["Outside the mask 0 of 5,000 pixels changed"]
    after[0, 99, 99] = 1
    assert words(**proof_outside(before, after, outside)) == ["Outside the mask 1 of 5,000 pixels changed"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"seed": 5, "seed_counts": False}, "This seed did nothing: the noise came with the latent"),
        ({"seed": 5, "seed_counts": True, "mask": "soft"}, "Seed 5; painted under the mask only"),
        ({"mask": "hard", "through_vae": True}, "Painted under the mask; the rest went through the VAE"),
        ({"method": "ddim", "seed": 5, "strength": 0.8}, "Strength 0.8"),
        ({"inversion": {"strength": 0.8, "seed": 5}, "preserve": 0.6}, "Strength 0.8"),
        (
            {"inversion": {"null_text": {"cfg": 7.5}}, "cfg": 1.0},
            "At cfg 1 what Null-Text tuned has no part: set cfg to 7.5",
        ),
        ({"inversion": {"null_text": {"cfg": 7.5}, "strength": 0.8}, "cfg": 7.5}, "Strength 0.8"),
        ({"inversion": {"strength": 0.8}, "inverted_by": "this model"}, "Strength 0.8"),
        (
            {"inversion": {"strength": 0.8}, "inverted_by": "another model"},
            "Another model inverted it, or this one with other LoRAs: the picture may not come back; strength 0.8",
        ),
        (
            {"items": [{"seed": seed, "strength": 0.5} for seed in range(6)]},
            "Strength 0.5; seeds 0, 1, 2, 3 and 2 more",
        ),
        ({"chosen": "7", "chosen_is_missing": True}, "The chosen one is not among these, so 7 goes on"),
        ({"tiles": 6, "tile_pixels": [512, 640]}, "6 tiles of 640 x 512"),
        ({"identical": True, "changed_pixels": 0}, "The pictures are identical"),
        ({"share": 0.25}, "25% of the picture is under the mask"),
        ({"kept": 0.5, "stands": 0.2, "fitted": 0.3}, "50% is the original's, 20% the edit's, 30% fitted"),
        ({"noised_to": 599.0, "noise_share": 0.7, "seed": 5}, "Noised to t 599: 70% noise; seed 5"),
    ],
)
def test_what_happened(facts, said):
    assert words(**facts) == [said]


def test_a_comparison_says_how_far_apart():
    facts = {"identical": False, "psnr": 23.44, "ssim": 0.8125, "changed_pixels": 1200, "pixels": 16384}
    assert words(**facts) == ["PSNR 23.4 dB, SSIM 0.812; 1,200 of 16,384 pixels differ"]


def test_a_refinement_says_each_strength_and_seed_its_drift_and_its_recipe():
    passes = [{"strength": s, "seed": 5, "delta_e": d, "sigmas": [1, 0]} for s, d in ((0.6, 1.0), (0.4, 2.25))]
    took, happened = words(Work(2, 2, 1.0), passes=passes, recipe_check={"identical": True}, stopped=None)
    assert took.startswith("2 steps, 2 model calls, ")
    assert happened == "Strengths 0.6, 0.4; seed 5; colors moved by 2.2 Delta E; identical to the recipe"


def test_a_grid_says_how_many_are_new_and_which_value_won():
    marks = {"strength": {"0.3": 1, "0.6": 2}, "cfg": {"4.0": 1, "7.5": 1}}
    (said,) = words(runs=4, reused=3, marks=marks, cells=[{"seed": 5, "strength": 0.3}])
    assert said == "Seed 5; 4 pictures, 3 of them kept from before; most marks: strength 0.6"
