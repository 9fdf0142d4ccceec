"""State dicts that others made, read without running anything."""

import pickle
import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from model.networks import FILES
from pipeline.errors import ModelError, PickledError, UnreadableError


def is_file(weights: str) -> bool:
    """Whether ``weights`` names a file, and not published weights."""
    return weights.endswith(FILES)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, by name, on the CPU.

    Raises PickledError for a pickle of anything but tensors, without running it, and ModelError for a file
    that holds no tensors by name.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the format of a file that we did not write
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), file=path) from None
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from None
    except Exception as error:  # whatever a damaged file makes the unpickler and the archive reader raise
        raise ModelError(
            f"what cannot be read ({type(error).__name__})", file=path, remedy="download it again"
        ) from None
    if not isinstance(state, Mapping) or not state:
        raise ModelError(f"{'an empty ' if state == {} else 'a '}{type(state).__name__}", file=path)
    strange = [
        str(name)
        for name, value in state.items()
        if not isinstance(value, Tensor) or value.layout != torch.strided
    ]
    if strange:
        raise ModelError(f"no tensors under {' '.join(strange[:4])}", file=path)
    return {str(name): value for name, value in state.items()}


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ModelError(f"what cannot be read ({error})", file=path, remedy="download it again") from None
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), file=path) from None
    return found


def _refused(path: Path, error: pickle.UnpicklingError) -> PickledError | ModelError:
    """The error for a file that the unpickler of tensors stops at."""
    if "nsupported" not in str(error):  # of a global, a class or an operand; else the file is damaged
        return ModelError("what cannot be read (UnpicklingError)", file=path, remedy="download it again")
    command = "python -c " + shlex.quote(
        f"import torch; torch.save(torch.load({path.name!r}).state_dict(), {path.stem + '.pth'!r})"
    )
    remedy = f"where it was made, and if you trust it, since that runs it: {command}"
    return PickledError("a pickle of Python objects", file=path, remedy=remedy)
