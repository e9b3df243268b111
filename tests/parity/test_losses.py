"""Every loss on hypothesis-made shapes, as class and as function: all reductions and options, weights of classes, ignored and
soft targets; gradients with respect to inputs, targets and weights; refusals.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_compare import Built, Followed, assert_followed, assert_parity, differentiate, largest, wide_of
from torch_cases import Case, Draw, Shape
from torch_compare import OURS, REFUSALS, THEIRS, Library, examples
from torch_differences import difference

REDUCTIONS = ("none", "mean", "sum")


def length(d: Draw) -> int:
    return int(d.pick(1, 2, 3, 5, 8, 17, 0))


def some(d: Draw) -> int:
    return int(d.pick(1, 2, 3, 5, 8))


def rng(d: Draw) -> np.random.Generator:
    return np.random.default_rng(d.integer(0, 1 << 16))


def reals(d: Draw, shape: Shape) -> Any:
    return d.x(dtypes=("float32",), shape=shape, finite=True)


def unit(d: Draw, shape: Shape) -> Any:
    """From 0 to 1, the ends included."""
    values = rng(d).uniform(0.01, 0.99, shape)
    return np.asarray(np.round(values) if d.integer(0, 4) == 0 else values, "float32")


def positive(d: Draw, shape: Shape) -> Any:
    return np.asarray(rng(d).uniform(0.1, 2, shape), "float32")


def signs(d: Draw, shape: Shape) -> Any:
    return np.asarray(rng(d).choice([-1.0, 1.0], shape), "float32")


def log_p(d: Draw, shape: Shape) -> Any:
    x = rng(d).standard_normal(shape)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)) if np.size(x) > 1 else x, "float32")


def shape(d: Draw) -> Shape:
    return tuple(length(d) for _ in range(d.integer(0, 3)))


def options(d: Draw, **values: Any) -> dict[str, Any]:
    return {"reduction": d.pick(*REDUCTIONS, "mean"), **d.keywords(**values)}


def pair(
    second: Callable[[Draw, Shape], Any] = reals, first: Callable[[Draw, Shape], Any] = reals, **values: Any
) -> Any:
    """Two arrays of one shape; rarely of two."""

    def row(d: Draw) -> Built:
        s = shape(d)
        return Built((), options(d, **values), [first(d, s), second(d, (*s, 2) if d.rarely() else s)])

    return row


def binary(first: Callable[[Draw, Shape], Any], pos_weight: bool) -> Any:
    def row(d: Draw) -> Built:
        s = shape(d)
        kwargs = options(d)
        if d.flag():
            kwargs["weight"] = positive(d, d.pick(s, s[-1:], ()))
        if pos_weight and d.flag():
            kwargs["pos_weight"] = positive(d, d.pick(s, s[-1:], ()))
        return Built((), kwargs, [first(d, s), unit(d, s)])

    return row


def classified(d: Draw, first: Callable[[Draw, Shape], Any], soft: bool) -> Built:
    n, c = length(d), some(d)
    rest = tuple(some(d) for _ in range(d.integer(0, 2)))
    s = d.pick((c,), (n, c), (n, c), (n, c, *rest))
    kwargs = options(d, ignore_index=(0, 1, -1))
    if soft:
        kwargs |= d.keywords(label_smoothing=(0.1, 0.5))
    if d.flag():
        kwargs["weight"] = positive(d, (c,) if not d.rarely() else (c + 1,))
    x = first(d, s)
    if soft and d.flag():
        kwargs.pop("ignore_index", None)
        return Built((), kwargs, [x, unit(d, s)])
    targets = d.index(s[:1] * (len(s) > 1) + s[2:], c)
    if "ignore_index" in kwargs and d.flag():
        targets = np.where(np.asarray(targets) == c - 1, kwargs["ignore_index"], targets)
    return Built((), kwargs, [x, np.asarray(targets)])


def kl_div(d: Draw) -> Built:
    s = shape(d)
    kwargs = options(d, log_target=(True,))
    if d.rarely() or d.integer(0, 3) == 0:
        kwargs["reduction"] = "batchmean"
    # PyTorch's gradient at a target of 0 is NaN
    target = log_p(d, s) if kwargs.get("log_target") else np.asarray(np.maximum(unit(d, s), 0.01))
    return Built((), kwargs, [log_p(d, s), target])


def poisson(d: Draw) -> Built:
    s = shape(d)
    kwargs = options(d, log_input=(False,), full=(True,), eps=(1e-3,))
    counts = rng(d).poisson(3.0, s) + 1.0 * kwargs.get("full", False)  # PyTorch's gradient at a count of 0 is NaN
    return Built(
        (), kwargs, [reals(d, s) if kwargs.get("log_input", True) else positive(d, s), np.asarray(counts, "float32")]
    )


def gaussian(d: Draw) -> Built:
    s = (length(d), length(d))
    variances = d.pick(s, s[:1], (s[0], 1))
    kwargs = options(d, full=(True,), eps=(0.5,))
    return Built((), kwargs, [reals(d, s), reals(d, s), positive(d, variances)])


def ranking(d: Draw) -> Built:
    s = shape(d)
    return Built((), options(d, margin=(0.5, -0.5)), [reals(d, s), reals(d, s), signs(d, s)])


def cosine(d: Draw) -> Built:
    n, m = length(d), length(d)
    rows = d.pick((n,), ())
    x, y = (v + np.sign(v) / 4 for v in (reals(d, (*rows, m)), reals(d, (*rows, m))))
    return Built((), options(d, margin=(0.5, -0.5)), [x, y, signs(d, rows)])


def triplet(d: Draw) -> Built:
    s = (*shape(d)[:1], length(d))
    return Built(
        (), options(d, margin=(0.5, 3.0), p=(1.0, 3.0), eps=(1e-3,), swap=(True,)), [reals(d, s) for _ in range(3)]
    )


def triplet_with_distance(d: Draw) -> Built:
    s = (*shape(d)[:1], length(d))
    kwargs = options(d, margin=(0.5, 3.0), swap=(True,))
    if d.flag():
        kwargs["distance_function"] = lambda x, y: ((x - y) ** 2).sum(-1)
    return Built((), kwargs, [reals(d, s) for _ in range(3)])


def multi_margin(d: Draw) -> Built:
    n, c = some(d), some(d)  # of no rows PyTorch's mean is whatever the memory held
    rows = d.pick((n,), ())
    kwargs = options(d, p=(2,), margin=(0.5,))
    if d.flag():
        kwargs["weight"] = positive(d, (c,))
    return Built((), kwargs, [reals(d, (*rows, c)), d.index(rows, c)])


def multilabel_margin(d: Draw) -> Built:
    n, c = some(d), some(d)  # as above
    rows, r = d.pick((n,), ()), rng(d)
    targets = np.full((*rows, c), -1)
    for row in targets.reshape(-1, c):
        k = r.integers(0, c + 1)
        row[:k] = r.permutation(c)[:k]
    return Built((), options(d), [reals(d, (*rows, c)), targets])


def multilabel_soft(d: Draw) -> Built:
    s = (*shape(d)[:2], some(d))
    kwargs = options(d)
    if d.flag():
        kwargs["weight"] = positive(d, s[-1:])
    return Built((), kwargs, [reals(d, s), unit(d, s)])


#  class -> function, row
LOSSES: dict[str, tuple[str, Any]] = {
    "BCELoss": ("binary_cross_entropy", binary(unit, pos_weight=False)),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", binary(reals, pos_weight=True)),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", cosine),
    "CrossEntropyLoss": ("cross_entropy", lambda d: classified(d, reals, soft=True)),
    "GaussianNLLLoss": ("gaussian_nll_loss", gaussian),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", pair(signs, margin=(0.5, 2.0))),
    "HuberLoss": ("huber_loss", pair(delta=(0.5, 2.0))),
    "KLDivLoss": ("kl_div", kl_div),
    "L1Loss": ("l1_loss", pair()),
    "MSELoss": ("mse_loss", pair()),
    "MarginRankingLoss": ("margin_ranking_loss", ranking),
    "MultiLabelMarginLoss": ("multilabel_margin_loss", multilabel_margin),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", multilabel_soft),
    "MultiMarginLoss": ("multi_margin_loss", multi_margin),
    "NLLLoss": ("nll_loss", lambda d: classified(d, log_p, soft=False)),
    "PoissonNLLLoss": ("poisson_nll_loss", poisson),
    "SmoothL1Loss": ("smooth_l1_loss", pair(beta=(0.5, 2.0, 0.0))),
    "SoftMarginLoss": ("soft_margin_loss", pair(signs)),
    "TripletMarginLoss": ("triplet_margin_loss", triplet),
    "TripletMarginWithDistanceLoss": ("triplet_margin_with_distance_loss", triplet_with_distance),
}


@pytest.mark.parametrize("name", LOSSES)
def test_class(name: str) -> None:
    @examples(20)
    @given(st.data())
    def agree(data: Any) -> None:
        built = LOSSES[name][1](Draw(data.draw))
        built.modes = ("train",)
        built.fixed = (1, 2)
        assert_parity(f"{name}({built.kwargs})", lambda library: library.find(f"nn.{name}"), built, None)

    agree()


def call(library: Library, path: str, built: Built, leaves: tuple[str, ...]) -> Followed:
    """The function; the arrays named in `leaves` are differentiated."""
    found = Followed(stage="call")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            named = {f"input {k}": x for k, x in enumerate(built.inputs)} | built.kwargs
            tensors = {k: library.take(x.copy() if isinstance(x, np.ndarray) else x) for k, x in named.items()}
            wanted = {k: tensors[k].requires_grad_() for k in leaves}
            inputs = [tensors.pop(f"input {k}") for k in range(len(built.inputs))]
            differentiate(library, library.find(f"nn.functional.{path}")(*inputs, **tensors), wanted, "", found.results)
        except REFUSALS as error:
            found.error = error
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_function(name: str) -> None:
    """With gradients of the targets and weights where PyTorch has them."""
    path, row = LOSSES[name]

    @examples(20)
    @given(st.data())
    def agree(data: Any) -> None:
        built = row(Draw(data.draw))
        named = {f"input {k}": x for k, x in enumerate(built.inputs)} | built.kwargs
        floats = [k for k, x in named.items() if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
        wide_built, text = wide_of(built), f"{path}({built.kwargs})"
        # PyTorch refuses to differentiate some arguments: those are left out
        leaves: tuple[str, ...] = ()
        for k in floats:
            error = call(THEIRS, path, wide_built, (k,)).error
            if not (error and "not differentiable" in str(error)):
                leaves += (k,)
        truth, wide = call(THEIRS, path, wide_built, leaves), call(OURS, path, wide_built, leaves)
        if difference(Case(path, lambda d: ()), built.inputs, wide.error, truth.error):
            return
        assert_followed(text, wide, truth, None, largest(built))
        assert_followed(text, call(OURS, path, built, leaves), call(THEIRS, path, built, leaves), truth, largest(built))

    agree()
