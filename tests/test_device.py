"""What a GPU or the memory refuses is told with what to do about it; the rest stays what it is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from model.device import GpuError, told
from pipeline.cli import run_cli
from pipeline.errors import MemoryShortError
from pipeline.pool import parallel
from pipeline.provenance import ROOT

FAULTS = {
    "E-GPU": [
        "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: uncorrectable ECC error encountered",  # Xid 48
        "CUDA error: uncorrectable NVLink error detected during the execution",  # Xid 74
        "Unexpected error from cudaGetDeviceCount(): CUDA driver error: 999",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`",
    ],
    "E-OOM": [
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
    ],
}


@told()
def failing(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in FAULTS.items() for text in texts])
def test_an_error_of_torch_is_one_line_with_what_to_do(code: str, text: str) -> None:
    with pytest.raises((GpuError, MemoryShortError)) as caught:
        failing(RuntimeError(text))
    line = str(caught.value)
    assert line.startswith(code)
    assert "\n" not in line
    assert ("Xid" in line) == (code == "E-GPU")


def test_the_device_that_failed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(GpuError, match=r"^E-GPU GPU 3: expected a GPU that works, found CUDA error: bad;"):
        failing(RuntimeError("CUDA error: bad"))


def test_a_full_gpu_says_how_much_was_asked_for() -> None:
    text = (
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.00 GiB of which"
    )
    with pytest.raises(MemoryShortError, match=r"^E-OOM: .* found CUDA out of memory; .*lower batch_size"):
        failing(torch.OutOfMemoryError(text))


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("CUDA error")])
def test_a_bug_of_ours_stays_one(error: Exception) -> None:
    with pytest.raises(type(error)):
        failing(error)


@pytest.mark.parametrize(
    "name", ["bootstrap.guess", "training.train", "inference.score_views", "predict", "export"]
)
def test_every_command_that_runs_a_network_tells_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = __import__(f"model.{name}", fromlist=["main"])
    for parse in ("parse", "parser", "ArgumentParser"):  # the first thing that a command does
        owner = module if hasattr(module, parse) else module.argparse
        monkeypatch.setattr(
            owner, parse, lambda *_, **__: failing(RuntimeError("CUDA error: x")), raising=False
        )
    with pytest.raises(GpuError):
        module.main([])


def test_memory_that_there_is_not_is_one_line_whoever_asked_for_it() -> None:
    for ask in (lambda _: np.empty(2**60, "u1"), told()(lambda _: torch.empty(2**60))):
        with pytest.raises(SystemExit) as caught:
            run_cli(ask)
        assert str(caught.value.code).startswith("E-OOM: expected enough memory, found ")
        assert "\n" not in str(caught.value.code)


def _die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory is short
    return number


def test_a_worker_that_the_system_killed_ends_the_step_with_one_line() -> None:
    with pytest.raises(MemoryShortError, match="found the end of a process that the system killed"):
        list(parallel(_die, range(6), processes=2, label="x"))


def test_a_step_with_a_network_imports_no_compiler_and_no_reader_of_images() -> None:
    code = (
        "import sys; from model.device import set_up; import model.inference.score_views; set_up(0);"
        "import torch; assert torch.are_deterministic_algorithms_enabled();"
        "print({'torch._dynamo', 'sympy', 'pydicom', 'nibabel', 'SimpleITK'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


DRAWING = {
    **dict.fromkeys(
        (
            "pipeline.report.drawing",
            "pipeline.report.contact_sheet",
            "pipeline.report.red_dots",
            "pipeline.report.fingerprint_plot",
            "pipeline.report.saw",
        ),
        "from pipeline.report.drawing import save; import matplotlib.pyplot as plt; save(plt.figure(), sys.argv[1])",
    ),
    **dict.fromkeys(
        ("model.report.plots", "model.report.forest"),
        "from matplotlib.figure import Figure; from model.report.plots import save; save(Figure(), sys.argv[1])",
    ),
}


@pytest.mark.parametrize(
    ("module", "backend"),
    [*((module, "TkAgg") for module in DRAWING), ("model.report.plots", "module://none")],
)
def test_a_step_that_draws_needs_no_display_whatever_the_site_has_set(
    tmp_path: Path, module: str, backend: str
) -> None:
    script = f"import sys, {module}; {DRAWING[module]}; assert 'tkinter' not in sys.modules"
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.png")], cwd=ROOT, capture_output=True, text=True,
        env={**environment, "MPLBACKEND": backend, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
