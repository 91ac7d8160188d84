"""Noise that belongs to a picture: the same alone, in any batch, and on any part of a split run."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

SEED_LIMIT = 2**64
"""Seeds are 0 .. 2^64 - 1, as in ComfyUI."""

ItemKey = tuple[int, int]
"""(seed, item): what the noise of one picture of a batch is drawn from."""


@dataclass(frozen=True, eq=False, repr=False)
class NoisedRecord:
    """What a noised LATENT carries along, so that sampling it loses nothing to rounding.

    clean:  [B, C, ...] the latent before noising, in ComfyUI's latent space
    noise:  the same shape, unit variance
    sigma:  the noise level that the samples stand at
    digest: of the samples it was written with; the record counts only while they are unchanged
    state:  the samples in the model's own space where a run was left part-way, None for freshly noised ones
    inverted: the noise was not drawn but found, and the picture is in it
    space:  the name of the latent space that the model works in, empty where it is not known
    refusal: why no sampler can go on from it, and the way out; empty where samplers can
    """

    clean: Tensor
    noise: Tensor
    sigma: float
    digest: str
    state: Tensor | None = None
    inverted: bool = False
    space: str = ""
    refusal: str = ""


def digest(tensor: Tensor) -> str:
    """A short fingerprint of a tensor's shape, type and bits, the same on every machine."""
    plain = tensor.detach().cpu().contiguous()
    header = f"{plain.dtype}{tuple(plain.shape)}".encode()
    return hashlib.blake2b(header + plain.flatten().view(torch.uint8).numpy().tobytes(), digest_size=12).hexdigest()


def stream_seed(seed: int, item: int, stream: str, *sigmas: float) -> int:
    """A generator seed of its own for every (seed, item, stream, sigmas), 0..2^63 - 1."""
    packed = struct.pack(f"<QQ{len(sigmas)}d", seed % SEED_LIMIT, item, *sigmas)
    return int.from_bytes(hashlib.blake2b(stream.encode() + packed, digest_size=8).digest(), "little") >> 1


Interval = tuple[float, float]
"""The sigmas that a step goes from and to."""
MOST_AHEAD = 2**24
"""How many numbers of noise are drawn ahead, 64 MB."""


class StepNoise:
    """The noise that a stochastic sampler draws at a step, as a ``noise_sampler`` of k-diffusion.

    Every item has its own stream, and a draw depends on nothing but (seed, item, sigma interval): not on the batch
    it is in, the device, or the steps that ran before.

    shape:    of the noised batch, [B, C, ...]
    keys:     (seed, item) for each of the B pictures
    device:   where the sampler wants the noise
    stream:   noises of different streams have nothing in common
    expected: the steps that will be asked for, in order; their noise is drawn and sent to the device ahead
    """

    def __init__(
        self,
        shape: Sequence[int],
        keys: Sequence[ItemKey],
        device: torch.device,
        stream: str = "step",
        expected: Sequence[Interval] = (),
    ) -> None:
        self.shape = tuple(shape[1:])
        self.keys = list(keys)
        self.device = device
        self.stream = stream
        self.expected = list(expected)
        self._ahead: dict[Interval, Tensor] = {}
        self._sigmas: Tensor | None = None
        self._levels: dict[int, float] = {}

    def along(self, sigmas: Tensor) -> None:
        """A run over these sigmas begins: the sampler will hand over parts of this very tensor.

        They are known again by where they lie, because to read a number the CPU would wait for the device.
        """
        levels = sigmas.tolist()
        self._sigmas, self._levels = sigmas, {one.data_ptr(): level for one, level in zip(sigmas, levels, strict=True)}
        self.expected = [interval for interval in pairwise(levels) if interval[1] > 0]

    def __call__(self, sigma: Tensor | float, sigma_next: Tensor | float) -> Tensor:
        """Unit noise for the step between two sigmas."""
        interval = (self._level(sigma), self._level(sigma_next))
        if interval not in self._ahead and interval in self.expected:
            together = max(1, MOST_AHEAD // (len(self.keys) * math.prod(self.shape)))
            first = self.expected.index(interval)
            intervals = self.expected[first : first + together]
            drawn = torch.stack([self._drawn(one) for one in intervals]).to(self.device)
            self._ahead = dict(zip(intervals, drawn, strict=True))
        return self._ahead[interval] if interval in self._ahead else self._drawn(interval).to(self.device)

    def _level(self, sigma: Tensor | float) -> float:
        known = self._levels.get(sigma.data_ptr()) if isinstance(sigma, Tensor) else None
        return float(sigma) if known is None else known

    def _drawn(self, interval: Interval) -> Tensor:
        """The noise of a step, [B, C, ...], on the CPU."""
        seeds = [stream_seed(*key, self.stream, *interval) for key in self.keys]
        return torch.stack([_unit(self.shape, seed) for seed in seeds])


FrameNoise = Literal["clip", "per frame", "constant"]
FRAME_NOISES: tuple[FrameNoise, ...] = get_args(FrameNoise)


def noise_of_frames(noise: Tensor, kind: FrameNoise, keys: Sequence[ItemKey]) -> Tensor:
    """The noise of clips [B, C, T, H, W], where one draw for each whole clip is not what is wanted.

    noise: the one draw, which ``clip`` leaves as it is
    kind:  ``per frame`` draws every frame from (seed, item, frame), so that it has its noise in a clip of any length;
           ``constant`` gives every frame the noise of the first one
    keys:  (seed, item) of each clip
    """
    if kind == "per frame":
        seeds = [[stream_seed(*key, "frame", frame) for frame in range(noise.shape[2])] for key in keys]
        frames = [[_unit(noise[0, :, 0].shape, seed) for seed in clip] for clip in seeds]
        return torch.stack([torch.stack(clip, 1) for clip in frames]).to(noise)
    return noise[:, :, :1].expand_as(noise).clone() if kind == "constant" else noise


def _unit(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Run with torch's global generators seeded, and put them back as they were afterwards."""
    kind = "xpu" if hasattr(torch, "xpu") and torch.xpu.is_available() else "cuda"
    backend = getattr(torch, kind)
    devices = list(range(backend.device_count())) if backend.is_available() and backend.is_initialized() else []
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield


def slerp(start: Tensor, end: Tensor, amount: float) -> Tensor:
    """Spherical linear interpolation of two noises: the result is as strong as they are.

    start, end: [C, ...] one picture's noise each
    amount:     0 (start, bit for bit) .. 1 (end, bit for bit)

    Source: Shoemake 1985, with the length interpolated geometrically apart from the direction. Opposite noises turn
    through a fixed direction at right angles; a zero noise has no direction and is blended linearly.
    """
    if amount <= 0.0 or torch.equal(start, end):
        return start.clone()
    if amount >= 1.0:
        return end.clone()
    a, b = start.double().flatten(), end.double().flatten()
    length_a, length_b = a.norm(), b.norm()
    if not (length_a > 0 and length_b > 0):
        return torch.lerp(start, end, amount)
    a, b = a / length_a, b / length_b
    aside = _at_right_angles(a, b)
    angle = torch.atan2((b * aside).sum(), (a * b).sum()) * amount
    length = length_a ** (1.0 - amount) * length_b**amount
    return (length * (a * angle.cos() + aside * angle.sin())).reshape(start.shape).to(start.dtype)


def _at_right_angles(a: Tensor, b: Tensor) -> Tensor:
    """The unit vector at right angles to ``a`` on the side of ``b``; any fixed one where ``b`` is on a's line."""
    aside = b - a * (a * b).sum()
    if aside.norm() < 1e-9:
        axis = torch.zeros_like(a)
        axis[int(a.abs().argmin())] = 1.0
        aside = axis - a * (a * axis).sum()
    return aside / aside.norm()
