"""Minimizing a loss within a budget of steps and minutes, in runs that may be interrupted."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from tqdm import tqdm

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SAVE_EVERY = 180.0  # seconds


@dataclass
class Budget:
    """How long a stage may take and how fast it learns."""

    steps: int
    minutes: float
    batch: int
    learning_rate: float


Model = TypeVar("Model", bound=torch.nn.Module)


class Fit(Generic[Model]):
    """Minimizes `loss(model, step)` with AdamW and keeps an average (EMA) of the weights.

    The state goes to `<work>/<name>.pt` every few minutes and at the end, with a picture drawn by `sheet`.
    """

    def __init__(self, name: str, model: Model, budget: Budget, work: Path) -> None:
        self.name, self.budget, self.path = name, budget, work / f"{name}.pt"
        self.model = model.to(DEVICE).train()
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, budget.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
        self.step, self.spent = 0, 0.0
        if self.path.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.path, map_location=DEVICE)
        for part in ("model", "average", "optimizer"):
            getattr(self, part).load_state_dict(state[part])
        self.step, self.spent = state["step"], state["spent"]

    def _save(self, sheet: Callable[[Model, Path], None]) -> None:
        state = {part: getattr(self, part).state_dict() for part in ("model", "average", "optimizer")}
        partial = self.path.with_suffix(".part")
        torch.save({**state, "step": self.step, "spent": self.spent}, partial)
        partial.replace(self.path)
        with torch.no_grad():
            sheet(self.average, self.path.with_suffix(".png"))

    def _done(self) -> float:
        """Share of the budget that is used up: of the steps or of the time, whichever is more."""
        return max(self.step / self.budget.steps, self.spent / (60 * self.budget.minutes))

    def _update(self, loss: Callable[[Model, int], torch.Tensor]) -> float:
        """One step at a rate that warms up over 200 steps and then falls along a cosine to 2 %."""
        falling = 0.02 + 0.49 * (1 + math.cos(math.pi * self._done()))
        for group in self.optimizer.param_groups:
            group["lr"] = self.budget.learning_rate * min(1.0, (self.step + 1) / 200) * falling
        with torch.autocast(DEVICE.type, torch.bfloat16):
            value = loss(self.model, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.step += 1
        remembered = min(0.999, self.step / (self.step + 20))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, 1 - remembered)
        return value.item()

    def run(self, loss: Callable[[Model, int], torch.Tensor], sheet: Callable[[Model, Path], None]) -> Model:
        """Use up the budget; returns the averaged model."""
        progress = tqdm(total=self.budget.steps, initial=self.step, desc=self.name, mininterval=10)
        smooth, saved = 0.0, time.monotonic()
        finished = self._done() >= 1
        while self._done() < 1:
            began = time.monotonic()
            value = self._update(loss)
            now = time.monotonic()
            self.spent += now - began
            smooth = 0.99 * smooth + 0.01 * value if smooth else value
            progress.set_postfix(loss=f"{smooth:.5f}", refresh=False)
            progress.update()
            if now - saved > SAVE_EVERY:
                self._save(sheet)
                saved = time.monotonic()
        progress.close()
        if not finished:
            self._save(sheet)
        return self.average
