"""Nothing public is missing: every function and method is compared with PyTorch and timed beside it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import trigrad as tg
from torch_tables import CASES

# What a script of dense networks reaches for.
PROMISED = """
all any argmin cumsum cumprod std norm matmul mm bmm mv dot outer addmm baddbmm einsum gather scatter_add index_select
index_add take_along_dim masked_fill masked_select nonzero embedding one_hot bincount searchsorted cat stack split chunk pad
narrow flip roll tril triu diag sort topk argsort kthvalue median quantile layer_norm celu softsign mish hardtanh hardswish
hardsigmoid softmin threshold relu6 tanhshrink logsigmoid glu log2 log10 exp2 tan asin acos atan atan2 sinh cosh asinh acosh
atanh hypot remainder fmod isfinite nan_to_num lerp round div add softmax gelu var logical_and logical_or logical_xor
logical_not bitwise_and bitwise_or bitwise_xor bitwise_not movedim tensor as_tensor from_numpy zeros ones full empty arange
linspace logspace eye rand randn randint randperm zeros_like ones_like full_like empty_like rand_like randn_like randint_like
device Size set_default_dtype get_num_threads set_num_threads manual_seed Generator allclose equal isclose testing
set_printoptions save load memory_stats long float double
""".split()  # noqa: SIM905
PROMISED_METHODS = """
reshape view transpose permute expand squeeze unsqueeze flatten narrow unfold movedim repeat to float double long cpu data T
mT item tolist numpy clone contiguous detach
""".split()  # noqa: SIM905

# Functions that are no ops, and the tests that they have instead.
NOT_COMPARED = {
    "test_random.py": "bernoulli dropout_mask initial_seed manual_seed multinomial normal seed",
    "test_threads.py": "get_num_threads set_num_threads",
    "test_interop.py": "from_dlpack from_numpy",
    "test_compile.py": "compile",
    "test_printing.py": "set_printoptions",
    "test_saving.py": "save load",
    "test_models.py": "provenance",
    "realtime/test_plan.py": "get_cmake_dir get_include",
    "autograd/test_graph.py": "graph",
    "test_memory.py": "memory_stats",
    "test_creation.py": "set_default_dtype get_default_dtype is_tensor get_rng_state set_rng_state empty_cache "
    "reset_peak_memory_stats",
    "test_compatibility.py": "are_deterministic_algorithms_enabled use_deterministic_algorithms",
    "test_ops.py": "cast",
    "test_elementary.py": "gelu_tanh gelu_tanh_",
    "cuda/test_fast.py": "get_autocast_dtype is_autocast_enabled get_float32_matmul_precision set_float32_matmul_precision",
    "cuda/test_places.py": "get_default_device set_default_device",
    "autograd/test_states.py": "is_anomaly_enabled",
    "autograd/test_modes.py": "is_grad_enabled is_inference is_inference_mode_enabled",
}
METHODS_NOT_COMPARED = {
    "test_compatibility.py": "cuda",
    "cuda/test_places.py": "get_device pin_memory",
    "cuda/test_streams.py": "is_pinned record_stream",
    "test_tensor.py": "device dtype shape ndim itemsize nbytes is_cuda type half bfloat16 element_size data_ptr numpy",
    "autograd/test_semantics.py": "detach_ grad grad_fn is_leaf output_nr requires_grad requires_grad_ retain_grad "
    "retains_grad",
    "autograd/test_passes.py": "backward register_hook register_post_accumulate_grad_hook",
}


def listed(table: dict[str, str]) -> set[str]:
    return {name for names in table.values() for name in names.split()}


def listed_all(*tables: dict[str, str]) -> set[str]:
    return set().union(*map(listed, tables))


def functions() -> set[str]:
    """The public functions of the package, without classes and modules."""
    found = {n for n in dir(tg) if not n.startswith("_") and callable(getattr(tg, n))}
    return {n for n in found if not inspect.isclass(getattr(tg, n))}


def methods() -> set[str]:
    """The public methods; native_... are rows of the table that methods written in Python call."""
    return {n for n in dir(tg.Tensor) if not n.startswith(("_", "native_"))}


def test_nothing_promised_is_missing() -> None:
    assert [n for n in PROMISED if not hasattr(tg, n)] == []
    assert [n for n in PROMISED_METHODS if not hasattr(tg.Tensor, n)] == []


COMPARED = {c.name for c in CASES}


def test_every_function_is_compared_with_torch() -> None:
    assert sorted(functions() - COMPARED - listed(NOT_COMPARED)) == []
    assert sorted(listed(NOT_COMPARED) - functions() - methods()) == [], "listed, but not there"


def test_every_method_is_compared_with_torch() -> None:
    in_place = {f"{n}_" for n in COMPARED | listed(NOT_COMPARED)}
    assert sorted(methods() - COMPARED - in_place - listed_all(NOT_COMPARED, METHODS_NOT_COMPARED)) == []


def test_tests_named_here_name_what_they_test() -> None:
    for file, names in (*NOT_COMPARED.items(), *METHODS_NOT_COMPARED.items()):
        words = set(re.findall(r"\w+", (Path(__file__).parent / file).read_text()))
        assert [n for n in names.split() if not words & {n, n.removesuffix("_")}] == [], file


def test_the_comparison_has_no_case_of_nothing() -> None:
    names = {n for c in CASES for n in (c.name, (c.ours or c.name).removeprefix("Tensor.").partition(".")[0])}
    assert sorted(n for n in names if not hasattr(tg, n) and not hasattr(tg.Tensor, n)) == []


def test_every_function_is_timed() -> None:
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "operations.py"
    spec = importlib.util.spec_from_file_location("operations", path)
    assert spec
    assert spec.loader
    operations = sys.modules["operations"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(operations)
    timed = {n for o in operations.OPERATIONS.values() for n in compile(o.ours, o.name, "eval").co_names}
    objects = [getattr(tg, n) for n in timed if hasattr(tg, n)]
    missing = functions() - timed - listed(operations.UNTIMED) - listed(NOT_COMPARED)
    assert sorted(n for n in missing if getattr(tg, n) not in objects) == []  # second names are timed as the first
