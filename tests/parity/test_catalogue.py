"""Nothing public is left without its comparison, and nothing of PyTorch's that belongs here is missing."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="compares with torch")

import trigrad as tg
from parity.test_losses import LOSSES
from parity.test_modules import ROWS
from parity.test_optimizers import OPTIONS
from parity.test_schedulers import ARGUMENTS
from torch_tables import CASES

TESTS = Path(__file__).resolve().parents[1]

# Classes and functions that have tests of another kind -> where. The first ones of each list are not PyTorch's.
ELSEWHERE: dict[str, dict[str, str]] = {
    "nn": {
        "nn/test_layers.py": "DenseConcat DropConnect Hebbian Highway Lambda LinearSVM Maxout Perceptron Residual Square Step",
        "nn/test_losses.py": "HingeLoss",
        "nn/test_lazy.py": "LazyBatchNorm1d LazyLinear",
        "nn/test_containers.py": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
        "nn/test_module.py": "Buffer Module Parameter",
        "nn/test_folding.py": "collapse fold_batchnorm",
        "datasets/test_tables.py": "Standardize",
    },
    "nn.functional": {
        "nn/test_losses.py": "hinge_loss",
        "nn/test_functional.py": "alpha_dropout feature_alpha_dropout gumbel_softmax rrelu rrelu_ prelu celu_ elu_ hardtanh_ leaky_relu_ relu_ selu_ threshold_",
        "parity/test_functions.py": "cosine_similarity normalize pairwise_distance",
    },
    "nn.init": {
        "nn/test_init.py": "lecun_normal_ lecun_uniform_ calculate_gain constant_ eye_ kaiming_normal_ kaiming_uniform_ normal_ "
        "ones_ orthogonal_ sparse_ trunc_normal_ uniform_ xavier_normal_ xavier_uniform_ zeros_"
    },
    "nn.utils": {
        "parity/test_functions.py": "clip_grad_value_ clip_grad_norm_ get_total_norm parameters_to_vector vector_to_parameters",
        "nn/test_utils.py": "clip_grads_with_norm_ weight_norm remove_weight_norm",
    },
    "optim": {"optim/test_minima.py": "GradientDescent ProximalSGD", "optim/test_optimizers.py": "Optimizer"},
    "optim.lr_scheduler": {
        "parity/test_schedulers.py": "SequentialLR ChainedScheduler",
        "optim/test_lr_schedulers.py": "LRScheduler",
    },
    "utils.data": {
        "data/test_data.py": "BatchSampler ChainDataset ConcatDataset DataLoader Dataset IterableDataset RandomSampler Sampler "
        "SequentialSampler StackDataset Subset SubsetRandomSampler TensorDataset WeightedRandomSampler default_collate "
        "default_convert get_worker_info random_split"
    },
}
COMPARED: dict[str, set[str]] = {
    "nn": {*ROWS, *LOSSES},
    "nn.functional": {c.name for c in CASES} | {function for function, _ in LOSSES.values()},
    "nn.init": set(),
    "nn.utils": set(),
    "optim": set(OPTIONS),
    "optim.lr_scheduler": set(ARGUMENTS),
    "utils.data": set(),
}

# Of PyTorch's, what is not there: what it is for.
NOT_HERE: dict[str, dict[str, str]] = {
    "nn": {
        "convolutions and images": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Fold Unfold AdaptiveAvgPool1d "
        "AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d "
        "FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d "
        "MaxUnpool2d MaxUnpool3d BatchNorm2d BatchNorm3d CrossMapLRN2d GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d "
        "LocalResponseNorm ChannelShuffle PixelShuffle PixelUnshuffle Upsample UpsamplingBilinear2d UpsamplingNearest2d "
        "Dropout1d Dropout2d Dropout3d CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d "
        "ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d "
        "ZeroPad3d NLLLoss2d",
        "sequences and attention": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase MultiheadAttention Transformer "
        "TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer CTCLoss EmbeddingBag",
        "vocabularies": "AdaptiveLogSoftmaxWithLoss LinearCrossEntropyLoss LinearCrossEntropyOptions",
        "shapes that are found at the first call": "LazyBatchNorm2d LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d "
        "LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d "
        "UninitializedBuffer UninitializedParameter",
        "several devices": "DataParallel SyncBatchNorm",
        "old": "Container",
    },
    "optim": {"other nets": "Adafactor Muon SparseAdam"},
    "optim.lr_scheduler": {},
    "utils.data": {
        "several processes": "DistributedSampler",
        "pipes": "DFIterDataPipe DataChunk IterDataPipe MapDataPipe functional_datapipe guaranteed_datapipes_determinism "
        "non_deterministic runtime_validation_disabled",
    },
}


def words(table: dict[str, str]) -> set[str]:
    return {name for names in table.values() for name in names.split()}


def module(root: Any, path: str) -> Any:
    for part in path.split("."):
        root = getattr(root, part)
    return root


def public(root: Any, path: str) -> set[str]:
    """Classes and functions of the module, without what it imported."""
    where = module(root, path)
    found = {n for n in getattr(where, "__all__", dir(where)) if not n.startswith("_") and callable(getattr(where, n))}
    return {n for n in found if (getattr(getattr(where, n), "__module__", None) or "trigrad").startswith(root.__name__)}


@pytest.mark.parametrize("path", ELSEWHERE)
def test_everything_public_is_compared(path: str) -> None:
    names = public(tg, path)
    assert sorted(names - COMPARED[path] - words(ELSEWHERE[path])) == []
    assert sorted(words(ELSEWHERE[path]) - names) == [], "listed, but not there"
    assert sorted(words(ELSEWHERE[path]) & COMPARED[path]) == [], "listed, but compared"
    for file, listed in ELSEWHERE[path].items():
        text = (TESTS / file).read_text()
        assert [n for n in listed.split() if n not in text] == [], file


@pytest.mark.parametrize("path", NOT_HERE)
def test_what_is_missing_is_named(path: str) -> None:
    theirs = {n for n in public(torch, path) if inspect.isclass(getattr(module(torch, path), n))}
    assert sorted(theirs - public(tg, path) - words(NOT_HERE[path])) == []
    assert sorted(words(NOT_HERE[path]) & public(tg, path)) == [], "listed, but there"


def test_only_what_pytorch_lacks_is_our_own() -> None:
    """What has no comparison because PyTorch has nothing like it."""
    own = {n for n in public(tg, "nn") if not hasattr(torch.nn, n)}
    listed = ("nn/test_layers.py", "nn/test_losses.py", "nn/test_folding.py", "datasets/test_tables.py")
    assert own == words({file: ELSEWHERE["nn"][file] for file in listed})
