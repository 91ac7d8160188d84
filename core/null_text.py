"""Null-text optimization: an unconditional embedding for every step, to hold a guided run to an inverted path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from .inversion import InputDivisor, Inversion, euler_step

GOOD_ENOUGH = 1e-5
"""The loss at which the first step is done (the paper's code, for latents of unit variance)."""
GOOD_ENOUGH_GROWTH = 1e-3
"""How much later steps may add to it, in all: 2e-5 for each of the paper's 50 steps."""


class GuidedModel(Protocol):
    """A guided model in parts. x is a state [1, C, ...], an embedding is [1, tokens, width], every answer is x0."""

    def conditional(self, x: Tensor, sigma: float) -> Tensor:
        """The answer to the positive prompt."""
        ...

    def unconditional(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        """The answer to an embedding in the place of the negative prompt's; differentiable in it."""
        ...

    def combine(self, x: Tensor, sigma: float, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Both under guidance."""
        ...

    def denoise(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        """All three at once, as a run that plays the embeddings back asks it."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class NullTextInversion(Inversion):
    """An inversion whose way down is DDIM's under guidance, with an embedding of its own at each step.

    embeddings: [B, tokens, width] for each sigma above 0, falling: the negative prompt there
    negative:   the conditioning whose embedding they take the place of, as the host knows it
    """

    embeddings: tuple[Tensor, ...] = ()
    negative: Any = None


@dataclass(frozen=True, eq=False, repr=False)
class NullTextStep:
    """What was found for one step.

    embedding: [1, tokens, width]
    state:     [1, C, ...] where the guided step lands with it
    first, last: mean squared distance to the inverted path before and after, as if pictures were noised to variance 1
    rounds:    how often the embedding was changed
    """

    embedding: Tensor
    state: Tensor
    first: float
    last: float
    rounds: int


def null_text(
    model: GuidedModel,
    path: Sequence[Tensor],
    sigmas: Sequence[float],
    embedding: Tensor,
    input_divisor: InputDivisor,
    rounds: int,
    learning_rate: float,
) -> Iterator[NullTextStep]:
    """Null-text optimization (arXiv:2211.09794, algorithm 1), step by step.

    For t = T … 1: ``rounds`` times E <- E - eta grad |z*[t-1] - z[t-1](zb[t], E, C)|², where E stands for the negative
    prompt's embedding and zb for the states found; then zb[t-1] = z[t-1](zb[t], E, C), and the next step
    starts from the same E. eta falls to half over the run, and a step ends early once it is close enough, as in the
    paper's code. Call it outside inference mode.

    path:      the inverted states z*, [1, C, ...] in the model's space, from the noise down to the picture
    sigmas:    theirs, falling
    embedding: E to start from
    """
    state, steps = path[0], len(path) - 1
    for index, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        share = index / steps
        scale = input_divisor(sigma_next)
        step = partial(_guided_step, model, state, sigma, sigma_next, model.conditional(state, sigma))
        embedding, losses = _fit(
            lambda tried, step=step, scale=scale: step(tried) / scale,
            path[index + 1] / scale,
            embedding,
            rounds,
            learning_rate * (1 - share / 2),
            GOOD_ENOUGH + GOOD_ENOUGH_GROWTH * share,
        )
        state = euler_step(lambda x, sigma, at=embedding: model.denoise(x, sigma, at), state, sigma, sigma_next)
        yield NullTextStep(embedding, state, losses[0], min(losses), len(losses) - 1)


def _guided_step(
    model: GuidedModel, x: Tensor, sigma: float, sigma_next: float, conditional: Tensor, embedding: Tensor
) -> Tensor:
    """A step down under guidance, differentiable in the embedding; the positive prompt's answer is known already."""

    def guided(x: Tensor, sigma: float) -> Tensor:
        return model.combine(x, sigma, conditional, model.unconditional(x, sigma, embedding))

    return euler_step(guided, x, sigma, sigma_next)


def _fit(
    step: Callable[[Tensor], Tensor],
    target: Tensor,
    embedding: Tensor,
    rounds: int,
    learning_rate: float,
    good_enough: float,
) -> tuple[Tensor, list[float]]:
    """The best of the embeddings on the way of Adam towards ``step(embedding) = target``, and the losses on that way.

    Not the last but the best, so that a learning rate that is too high never makes it worse.
    """
    tried = embedding.clone().requires_grad_()
    adam = torch.optim.Adam([tried], lr=learning_rate)
    best, losses = embedding, []
    for left in range(rounds, -1, -1):
        with torch.set_grad_enabled(left > 0):
            squares = (step(tried) - target).square()
            if left > 0 and not squares.requires_grad:
                raise ValueError(
                    "model: another node guides it without the negative prompt, so there is nothing to optimize; "
                    "connect the model without that node"
                )
        losses.append(float(squares.detach().mean()))
        if losses[-1] <= min(losses):
            best = tried.detach().clone()
        if left == 0 or losses[-1] < good_enough:
            break
        # The sum, not the mean: its gradients are large enough for half precision, and Adam scales them anyway.
        (tried.grad,) = torch.autograd.grad(squares.sum(), tried)
        adam.step()
    return best, losses


def bytes_for_backward(answer: Callable[[], Tensor], kept: Iterable[Tensor]) -> int:
    """How many bytes a backward pass through ``answer()`` would need to hold, found out without holding them.

    kept: tensors that are there anyway, such as weights
    raises: ValueError where the answer, a model's to an embedding, does not depend on it
    """
    counted: dict[int, StorageWeakRef] = {}
    total = 0

    def count(tensor: Tensor) -> None:
        nonlocal total
        storage = tensor.untyped_storage()
        known = counted.get(storage._cdata)
        if known is None or known.expired():  # let go in the meantime, and the place taken by something new
            counted[storage._cdata] = StorageWeakRef(storage)
            total += storage.nbytes()

    for tensor in kept:
        count(tensor)
    total = 0
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda nothing: nothing):
        depends = answer().requires_grad
    if not depends:
        raise ValueError("model: the prompt's embedding changes nothing in its answer, so there is nothing to optimize")
    return total


@contextmanager
def differentiable(network: torch.nn.Module, claim: Callable[[int], None]) -> Iterator[None]:
    """Stand others in for weights that want gradients or were made in inference mode, and take them out again.

    Autograd refuses the latter, so these are copied; ``claim`` is told the bytes of the copies before they are made.
    """
    tables: list[dict[str, Any]] = [
        table for module in network.modules() for table in (module._parameters, module._buffers)
    ]
    own = [(table, name, weight) for table in tables for name, weight in table.items() if weight is not None]
    stand_ins: dict[int, Tensor] = {id(weight): weight for *_, weight in own}
    claim(sum(weight.nbytes for weight in stand_ins.values() if weight.is_inference()))
    try:
        for table, name, weight in own:
            if stand_ins[id(weight)] is weight:
                stand_in = weight.clone() if weight.is_inference() else weight.detach()
                stand_ins[id(weight)] = torch.nn.Parameter(stand_in, requires_grad=False)
            table[name] = stand_ins[id(weight)]
        yield
    finally:
        for table, name, weight in own:
            table[name] = weight
        stand_ins.clear()
