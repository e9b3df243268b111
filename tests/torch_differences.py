"""What differs from PyTorch on purpose: each entry names its row of docs/semantics.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from torch_cases import INTEGERS, Case

Error = BaseException | None
# row of docs/semantics.md -> does it cover this call? (case, arguments, our error, PyTorch's error)
Covers = Callable[[Case, Sequence[Any], Error, Error], bool]


def says(error: Error, *texts: str) -> bool:
    return any(text in str(error) for text in texts)


def has_number(arguments: Sequence[Any]) -> bool:
    return any(isinstance(a, int | float) for a in arguments[1:])


def of_integers(arguments: Sequence[Any]) -> bool:
    return any(isinstance(a, np.ndarray) and a.dtype.kind != "f" for a in arguments)


def without_elements(arguments: Sequence[Any]) -> bool:
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    return bool(arrays) and arrays[0].size == 0


DIFFERENCES: dict[str, Covers] = {
    "more dtypes": lambda case, arguments, ours, theirs: (
        says(theirs, "not implemented for", "LongTensor", "bool tensor is not supported")
        and not ("sub" in case.name and any(a.dtype == bool for a in arguments if isinstance(a, np.ndarray)))
        and (not ours or isinstance(ours, IndexError))
    ),
    "numbers as tensors": lambda case, arguments, ours, theirs: (
        not ours
        and isinstance(theirs, TypeError)
        and says(theirs, "must be Tensor", "combination")
        and has_number(arguments)
    ),
    "index errors": lambda case, arguments, ours, theirs: (
        isinstance(ours, IndexError)
        and says(ours, "is out of range", "is out of bounds", "empty red")
        and isinstance(theirs, RuntimeError)
    ),
    "unused indices": lambda case, arguments, ours, theirs: (
        isinstance(ours, IndexError) and says(ours, "is out of range") and not theirs and says(ours, "] index")
    ),
    "padding ranks": lambda case, arguments, ours, theirs: (
        case.name == "pad" and not ours and isinstance(theirs, NotImplementedError | ValueError)
    ),
    "integer factors": lambda case, arguments, ours, theirs: (
        not theirs
        and says(ours, "expected integers for tensors of", "and the product", "] values is")
        and of_integers(arguments)
    ),
    "integer ranges": lambda case, arguments, ours, theirs: (
        case.name == "arange"
        and any(isinstance(a, float) and not a.is_integer() for a in arguments)
        and dict(arguments[-1]).get("dtype", "float32") in INTEGERS
    ),
    "narrow sums": lambda case, arguments, ours, theirs: (
        not theirs and says(ours, "expected float32, float64 or int64") and says(ours, "] dtype is")
    ),
    "order of checks": lambda case, arguments, ours, theirs: (
        case.name in ("index_add", "BatchNorm1d") and bool(ours) and bool(theirs)
    ),
    "integer layers": lambda case, arguments, ours, theirs: (
        case.name in ("dense", "linear", "bilinear") and not theirs and of_integers(arguments)
    ),
    "eight axes": lambda case, arguments, ours, theirs: says(ours, "at most 8 dimensions"),
    "strides of PyTorch's own": lambda case, arguments, ours, theirs: (
        not case.view and not ours and says(theirs, "view size is not compatible")
    ),
    "arithmetic of bools": lambda case, arguments, ours, theirs: (
        not theirs and says(ours, "got bool, expected a number")
    ),
    "activations of integers": lambda case, arguments, ours, theirs: (
        case.name in ("hardtanh", "threshold") and arguments[0].dtype.kind != "f"
    ),
    "limits": lambda case, arguments, ours, theirs: (
        case.name in ("silu", "gelu", "softsign", "hardswish", "mish", "quantile")
        and any(np.isinf(a).any() for a in arguments if isinstance(a, np.ndarray))
    ),
    "sign of NaN": lambda case, arguments, ours, theirs: case.name == "sign" and np.isnan(arguments[0]).any(),
    "numbers that do not fit": lambda case, arguments, ours, theirs: not theirs and says(ours, "does not fit"),
    "one dtype of several": lambda case, arguments, ours, theirs: (
        (case.name == "clamp" and len(arguments) > 2 and of_integers(arguments))
        or (
            not ours and says(theirs, "did not match", "requires dtype Double", "Boolean alpha", "expected scalar type")
        )
    ),
    "nothing to reshape": lambda case, arguments, ours, theirs: (
        not ours and says(theirs, "cannot reshape tensor of 0 elements")
    ),
    "layers of one dtype": lambda case, arguments, ours, theirs: (
        case.name
        in ("batch_norm", "layer_norm", "rms_norm", "binary_cross_entropy_with_logits", "cross_entropy", "lerp")
        and not theirs
        and says(ours, "expected float32 or float64", "expected one dtype", "as input; cast")
    ),
    "empty tensors": lambda case, arguments, ours, theirs: (
        not theirs and isinstance(ours, TypeError | ValueError | RuntimeError) and without_elements(arguments)
    ),
}

# Modules whose float64 has PyTorch's float32 constants in it: row "digits of constants".
FLOAT32_CONSTANTS = {
    "Hardsigmoid",
    "Hardswish",
    "BCELoss",
    "binary_cross_entropy",
    "CosineEmbeddingLoss",
    "cosine_embedding_loss",
}

# Rows that no call of the comparison meets -> where they are tested, or what is not there to test.
ELSEWHERE = {
    "overlapping writes": "tests/test_refusals.py",
    "no `out=`": "a parameter that is not there",
    "views in place": "methods that are not there, NO_METHOD",
    "dtypes to store": "tests/test_bad_input.py",
    "tensors at several places": "tests/cuda/test_places.py",
    "products in 16 bits on a GPU": "tests/cuda/test_fast.py",
    "`autocast`": "tests/cuda/test_fast.py",
    "`compile`": "tests/test_compile.py",
    "CUDA graphs by hand": "tests/cuda/test_plans.py",
    "absent GPUs": "tests/cuda/test_absence.py",
    "seeds of GPUs": "tests/cuda/test_streams.py",
    '`set_float32_matmul_precision("medium")`': "tests/cuda/test_fast.py",
    "bytes and steps as indices": "tests/test_indexing.py",
    "random numbers": "tests/test_random.py",
    "order of equals": "tests/test_ordering.py",
    "pairs of results": "tests/test_ordering.py",
    "files": "tests/test_saving.py",
    "digits of constants": "FLOAT32_CONSTANTS, tests/parity",
    "gradients at targets of 0": "tests/parity/test_losses.py, which draws none",
    "old arguments": "NO_PARAMETER and NO_MEMBER, as the next four",
    "targets of losses": "tests/nn/test_losses.py",
    "switches": "tests/test_compatibility.py",
    "more keywords": "MORE_KEYWORDS, tests/parity/test_signatures.py",
    "options of groups": "tests/parity/test_optimizers.py, test_a_group_of_adagrad_starts_with_its_own_sum",
    "parameters named twice": "tests/parity/test_bad_input.py",
    "no samples": "tests/parity/test_bad_input.py",
    "machinery": "tests/parity/test_signatures.py",
    "other devices": "tests/parity/test_signatures.py",
    "one process": "tests/parity/test_signatures.py",
    "names of nn.functional": "tests/test_functional.py",
    "writes through data": "tests/autograd/test_states.py",
    "views of parts": "tests/autograd/test_against_torch.py",
    "batched gradients": "tests/autograd/test_states.py",
    "views in no_grad": "tests/autograd/test_states.py",
    "gradients of equals": "tests/autograd/test_public_functions.py",
    "comparisons in place": "tests/autograd/test_public_functions.py",
    "leaves come last": "tests/autograd/test_states.py",
    "options of Embedding": "tests/nn/test_layers.py",
    "steps differentiated": "tests/optim/test_optimizers.py",
}

# Methods of PyTorch that are not there: row "views in place".
NO_METHOD = {
    "as_strided_",
    "squeeze_",
    "swapaxes_",
    "swapdims_",
    "t_",
    "transpose_",
    "unsqueeze_",
}


def difference(
    case: Case, arguments: Sequence[Any], ours: BaseException | None, theirs: BaseException | None
) -> str | None:
    """The row that covers the call, or None."""
    return next((row for row, covers in DIFFERENCES.items() if covers(case, arguments, ours, theirs)), None)


# ---------------------------------------------------------------- signatures, of tests/parity/test_signatures.py

# Parameters that PyTorch does not have: row "more keywords".
MORE_KEYWORDS = {"generator", "sample_weight"}

# function, class or method -> parameters that are not there -> row
NO_PARAMETER: dict[str, dict[str, str]] = {
    "Hardtanh": {"min_value": "old arguments", "max_value": "old arguments"},
    **{name: {"_stacklevel": "old arguments"} for name in ("softmax", "log_softmax", "softmin")},
    "normalize": {"out": "no `out=`"},
}

# function, class or method -> parameters with another default -> row
OTHER_DEFAULT: dict[str, dict[str, str]] = {
    "random_split": {"generator": "random numbers"},
    "LBFGS.step": {"closure": "order of checks"},
}

# class -> members that are not there -> row
NO_MEMBER: dict[str, dict[str, str]] = {
    "Module": {
        "T_destination": "machinery",
        "call_super_init": "machinery",
        "compile": "machinery",
        "dump_patches": "old arguments",
        "ipu": "other devices",
        "mtia": "other devices",
        "register_backward_hook": "old arguments",
        "share_memory": "one process",
        "xpu": "other devices",
    },
    **{
        name: dict.fromkeys(("cls_to_become", "has_uninitialized_params", "initialize_parameters"), "machinery")
        for name in ("LazyLinear", "LazyBatchNorm1d")
    },
    "Optimizer": {
        "OptimizerPostHook": "machinery",
        "OptimizerPreHook": "machinery",
        "profile_hook_step": "machinery",
    },
    "Adagrad": {"share_memory": "one process"},
    "SequentialLR": {"recursive_undo": "machinery"},
    "ConcatDataset": {"cummulative_sizes": "old arguments", "cumsum": "machinery"},
    "DataLoader": {"check_worker_number_rationality": "one process", "multiprocessing_context": "one process"},
}
