"""Where and how the arithmetic is done."""

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model import gpus
from pipeline.errors import InputError, MemoryShortError

FAULTS = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "CUDNN_STATUS")
"""What stands in an error that torch raises where a GPU, its driver or the way to it has failed."""
log = logging.getLogger("typhon")


def set_up(gpu: int) -> torch.device:
    """Choose the device and make its results repeatable.

    ``gpu`` is how many GPUs the job was given: 0 means CPU, more means CUDA if there is one, else CPU.
    Which GPU is the environment's business (CUDA_VISIBLE_DEVICES); where it leaves several, one that is free.
    The CPU works in one thread, because the number of threads changes the last bits.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if gpu > 0:
        gpus.take()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = torch.device("cuda" if gpu > 0 and torch.cuda.is_available() else "cpu")
    if gpu > 0 and device.type == "cpu":
        log.info("no CUDA device is visible: running on the CPU")
    torch.set_num_threads(1)
    # Same bytes are promised on the CPU only; a CUDA kernel without a deterministic form may be used.
    # This is torch.use_deterministic_algorithms without importing the compiler, which takes a second.
    torch.set_deterministic_debug_mode("warn" if device.type == "cuda" else "error")
    # Otherwise every new tensor is filled first, which costs time and changes nothing here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # no stub
    # float32 means float32: TF32 has 10 bits of mantissa.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    _keep_memory()
    return device


def _keep_memory() -> None:
    """Let glibc keep freed memory: returning it after each batch costs a page fault per 4 KiB."""
    if sys.platform == "linux":
        trim_threshold, mmap_max = -1, -4  # malloc.h
        try:
            libc = ctypes.CDLL(None)
            libc.mallopt(trim_threshold, 2**31 - 1)
            libc.mallopt(mmap_max, 0)
        except (OSError, AttributeError):  # another libc: slower, nothing else
            return


class GpuError(InputError):
    """A GPU, its driver or the way to it has failed; the process cannot use it any more."""

    code = "E-GPU"
    expected = "a GPU that works"
    remedy = (
        "run again: it goes on from its checkpoint; if it comes back, look for Xid in the kernel's log"
        " (dmesg) and leave the device out (CUDA_VISIBLE_DEVICES)"
    )


@contextmanager
def told() -> Iterator[None]:
    """Tell an error of a GPU, or of too little memory, as what a user can do about it."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in text:
            raise MemoryShortError(text.split(". ")[0]) from error
        if any(fault in text for fault in FAULTS):
            name = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            raise GpuError(text.splitlines()[0], file=f"GPU {name}" if name else "") from error
        raise


def describe(device: torch.device) -> str:
    """Name of a device for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
