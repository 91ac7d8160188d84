"""A stand-in for a GPU: tensors with a device of their own, for tests and figures on machines that have none.

Its tensors lie in the CPU's memory but say that they are on `DEVICE`, and behave as those of an accelerator do: an
operation refuses tensors of two devices, there is no float64 (as on Apple's GPU), and what comes over from the CPU is a
copy. `Accelerator` counts those copies, and the waits: what makes the CPU wait until the device has done all its work,
as reading a number does. ComfyUI takes it for a DirectML card, whose tensors are PyTorch's PrivateUse1 as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import comfy.model_management
import torch
from comfy.cli_args import args as comfyui_arguments
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("privateuseone:0")
aten = torch.ops.aten

COPIES = (aten._to_copy.default, aten.copy_.default, aten._copy_from.default)
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
SEES_VALUES = (
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.unique_dim.default,
    aten.linalg_eigh.default,
    aten._linalg_eigh.default,
)
"""Operations whose result has a shape, or is a number, that depends on the values."""
NO_SCALARS = ("lerp", "addcmul", "addcdiv", "searchsorted", "bucketize", "index_select", "gather", "scatter", "clamp")
"""Operations that do not take even a single number from another device, as most others do."""


class MixedDevices(RuntimeError):
    """What an accelerator says to tensors of two devices."""


class DeviceTensor(torch.Tensor):
    """A tensor on `DEVICE`; ``inner`` is the tensor in the CPU's memory that holds its values."""

    inner: torch.Tensor

    def __new__(cls, inner: torch.Tensor) -> DeviceTensor:
        """Around a tensor of the CPU's; TypeError for types that the device lacks."""
        if inner.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"the stand-in has no {inner.dtype}, and neither has Apple's GPU")
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=DEVICE,
            requires_grad=inner.requires_grad,
        )
        made.inner = inner.detach() if inner.requires_grad else inner
        return made

    def data_ptr(self) -> int:
        """Where the values lie."""
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        """PyTorch refuses this to subclasses."""
        return self.cpu().tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"on {DEVICE}: {self.inner}"

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every operation on such a tensor arrives here, by PyTorch's rules for subclasses."""
        return _run(function, args, kwargs or {})


@dataclass
class Traffic:
    """What went between the CPU and the device.

    copies: tensors that were sent over, either way
    waits:  times that the CPU waited for the device
    """

    copies: int = 0
    waits: int = 0


TRAFFIC = Traffic()


class Accelerator(TorchDispatchMode):
    """Within it, tensors can be made on and sent to `DEVICE`."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every operation arrives here."""
        return _run(function, args, kwargs or {})


def _run(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Do an operation in the CPU's memory, if an accelerator would do it."""
    flat = list(_flat((*args, *kwargs.values())))
    tensors = [one for one in flat if isinstance(one, torch.Tensor)]
    there = [one for one in tensors if isinstance(one, DeviceTensor)]
    asked = next((one for one in flat if isinstance(one, torch.device)), None)
    if not there and (asked is None or asked.type != DEVICE.type):
        return function(*args, **kwargs)
    if _is_composite(function):
        with Accelerator():
            return function.decompose(*args, **kwargs)
    target = asked.type == DEVICE.type if asked is not None else bool(there)
    _check(function, args, tensors, there)
    _count(function, args, there, target)
    plain_args, plain_kwargs = _plain(args), {name: _plain(value) for name, value in kwargs.items()}
    if function is aten._to_copy.default and isinstance(args[0], DeviceTensor) != target:
        result = plain_args[0].clone().to(plain_kwargs.get("dtype") or plain_args[0].dtype)  # never shared memory
    else:
        result = function(*plain_args, **plain_kwargs)
    return _on_device(result, {id(one.inner): one for one in there}) if target else result


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def _plain(value: Any) -> Any:
    """Arguments with the tensors of the CPU in the place of the device's."""
    if isinstance(value, DeviceTensor):
        return value.inner
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _on_device(result: Any, known: dict[int, DeviceTensor]) -> Any:
    """Results as tensors of the device; what was changed in place stays the object it was."""
    if isinstance(result, torch.Tensor):
        return known[id(result)] if id(result) in known else DeviceTensor(result)
    return type(result)(_on_device(one, known) for one in result) if isinstance(result, (list, tuple)) else result


@cache
def _is_composite(function: Any) -> bool:
    """Whether PyTorch puts an operation together from others; in inference mode they arrive whole."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd")


def _check(function: Any, args: Sequence[Any], tensors: list[torch.Tensor], there: list[DeviceTensor]) -> None:
    """Refuse what an accelerator refuses."""
    if function in COPIES or not there or len(there) == len(tensors):
        return
    if function in INDEXED and isinstance(args[0], DeviceTensor):
        return  # numbers of rows may come from the CPU
    strict = any(name in function.__name__ for name in NO_SCALARS)
    others = [one for one in tensors if not isinstance(one, DeviceTensor) and (one.ndim or strict)]
    if others:
        shapes = [(str(one.device), list(one.shape)) for one in tensors]
        raise MixedDevices(f"{function}: expected all tensors to be on one device, got {shapes}")


def _count(function: Any, args: Sequence[Any], there: list[DeviceTensor], target: bool) -> None:
    if function in COPIES:
        if function is aten._to_copy.default:
            source, goes = isinstance(args[0], DeviceTensor), target
        else:
            source, goes = isinstance(args[1], DeviceTensor), isinstance(args[0], DeviceTensor)
        TRAFFIC.copies += source != goes
        TRAFFIC.waits += source and not goes
    elif function in INDEXED:
        given = [one for one in args[1] if one is not None]
        TRAFFIC.waits += any(one.dtype in (torch.bool, torch.uint8) for one in given)
        TRAFFIC.copies += sum(not isinstance(one, DeviceTensor) for one in given)
    elif there and function in SEES_VALUES:
        TRAFFIC.waits += 1


@contextmanager
def counted() -> Iterator[Traffic]:
    """Counts what goes between the CPU and the device from here on; complete at the end."""
    before, found = Traffic(TRAFFIC.copies, TRAFFIC.waits), Traffic()
    try:
        yield found
    finally:
        found.copies, found.waits = TRAFFIC.copies - before.copies, TRAFFIC.waits - before.waits


@cache
def register() -> None:
    """Tell PyTorch that there is such a device; for the rest of the process, because nothing undoes it."""
    backend_registration._setup_privateuseone_for_python_backend(rename=DEVICE.type)


@contextmanager
def comfyui_on_stand_in(gpu_only: bool = False, offloaded: bool = False) -> Iterator[None]:
    """ComfyUI with the stand-in as its graphics card.

    gpu_only:  as with --gpu-only: latents and pictures stay on the device
    offloaded: as with --novram: a model's weights stay on the CPU and are sent over when they are needed
    """
    management: Any = comfy.model_management
    states = management.VRAMState
    state = states.HIGH_VRAM if gpu_only else states.NO_VRAM if offloaded else states.NORMAL_VRAM
    wanted = {
        "directml_enabled": True,
        "directml_device": DEVICE,
        "lowvram_available": offloaded,
        "vram_state": state,
        "set_vram_to": state,
    }
    before = {name: getattr(management, name, None) for name in wanted}
    arguments = comfyui_arguments.gpu_only
    management.unload_all_models()
    register()
    try:
        for name, value in wanted.items():
            setattr(management, name, value)
        comfyui_arguments.gpu_only = gpu_only
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=DEVICE) would ask a real device
        with Accelerator():
            yield
            management.unload_all_models()
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        comfyui_arguments.gpu_only = arguments
        for name, value in before.items():
            setattr(management, name, value)
