"""How much memory a run takes at its worst moment."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Set
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of tensors alive that were made under it and do not span one of the given planes.

    planes: [height, width] each. Scratch space inside a kernel is not seen.
    """

    def __init__(self, planes: Set[tuple[int, int]] = frozenset()) -> None:
        super().__init__()
        self.planes = planes
        self.bytes = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor, made=False)  # what was there before, of which the function may give back a view
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor, made=True)
        return out

    def _watch(self, tensor: torch.Tensor, made: bool) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.known or not size:
            return
        self.known.add(key)
        spans = any(pair in self.planes for pair in zip(tensor.shape, tensor.shape[1:], strict=False))
        counted = size if made and not spans else 0
        self.bytes += counted
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._forget, key, counted)

    def _forget(self, key: int, counted: int) -> None:
        self.known.discard(key)
        self.bytes -= counted


def peak(run: Callable[[], Any], gpu: bool) -> int:
    """Bytes of what a run makes, at its worst moment; on a graphics card, of all that lies there."""
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated()
    with LiveTensors() as live:
        run()
    return live.peak
