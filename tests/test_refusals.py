"""Bad arguments of every public function: a refusal that names the function, what it got and what it expected, before
anything was written. The texts themselves are looked at in test_bad_input.py and test_errors.py.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import TABLE, bits

# Names in the expressions: floats x (2, 3), y (4, 3), v (3,), z (), b (2, 2, 3), e (0, 3); integers i (2, 3), k (3,), huge
# (3,) = 0, 99, 1; masks m (2, 3), n (4,); half (2, 3) of a storage dtype; strided views of one buffer: s (5,), t (5,)
# overlap; wide (3, 3) is expanded.


def names() -> dict[str, Any]:
    buffer = tg.arange(8.0)
    return {
        "tg": tg,
        "F": tg,
        "x": tg.arange(6.0).reshape(2, 3).clone(),
        "y": tg.ones(4, 3),
        "v": tg.arange(3.0),
        "z": tg.tensor(1.5),
        "b": tg.ones(2, 2, 3),
        "e": tg.zeros(0, 3),
        "i": tg.arange(6).reshape(2, 3).clone(),
        "k": tg.arange(3),
        "huge": tg.tensor([0, 99, 1]),
        "m": tg.ones(2, 3) > 0,
        "n": tg.ones(4) > 0,
        "half": tg.ones(2, 3).to(tg.float16),
        "double": tg.ones(2, 3, dtype=tg.float64),
        "s": buffer[:5],
        "t": buffer[2:7],
        "wide": tg.arange(3.0).expand(3, 3),
    }


# expression | exception, one line per kind of mistake
LINES = """
tg.add(x, y) | RuntimeError
tg.add(x, half) | TypeError
tg.add(m, k, alpha=0.5) | RuntimeError
tg.sub(m, m) | TypeError RuntimeError
tg.div(x, x, rounding_mode='up') | ValueError RuntimeError
tg.div(x, y) | RuntimeError
tg.remainder(i, i * 0) | RuntimeError
tg.fmod(i, i * 0) | RuntimeError
tg.floor_divide(i, 0) | RuntimeError
tg.pow(i, -2) | RuntimeError
tg.bitwise_and(x, x) | TypeError NotImplementedError
tg.bitwise_not(x) | TypeError NotImplementedError
tg.hypot(x, y) | RuntimeError
tg.lerp(x, y, 0.5) | RuntimeError
tg.lerp(x, double, 0.5) | RuntimeError TypeError
tg.round(x, decimals='two') | TypeError
tg.clamp(x) | RuntimeError ValueError
tg.where(x, x, x) | TypeError
tg.where(m, x, y) | RuntimeError
tg.masked_fill(x, i, 0.0) | TypeError RuntimeError
tg.masked_fill(x, n, 0.0) | RuntimeError
tg.gelu(x, approximate='almost') | ValueError RuntimeError
tg.glu(v) | RuntimeError
tg.glu(x, 7) | IndexError
tg.threshold(x, 'a', 0.0) | TypeError
tg.sum(x, 2) | IndexError
tg.sum(x, (0, 0)) | RuntimeError
tg.mean(i) | RuntimeError
tg.mean(x, -3) | IndexError
tg.prod(x, 5) | IndexError
tg.var(i) | RuntimeError TypeError
tg.var(x, 3) | IndexError
tg.std(x, 3) | IndexError
tg.norm(x, 2, 3) | IndexError
tg.norm(i) | RuntimeError TypeError
tg.any(x, 2) | IndexError
tg.all(x, 2) | IndexError
tg.amax(e, 0) | IndexError
tg.amin(x, 2) | IndexError
tg.max(e) | RuntimeError
tg.max(x, 4) | IndexError
tg.min(e, 0) | IndexError
tg.argmax(e, 0) | IndexError
tg.argmin(x, 2) | IndexError
tg.logsumexp(x, 2) | IndexError
tg.cumsum(x, 2) | IndexError
tg.cumprod(x, -3) | IndexError
tg.sort(x, 2) | IndexError
tg.argsort(x, 2) | IndexError
tg.topk(x, 4) | RuntimeError IndexError
tg.topk(x, -1) | RuntimeError IndexError
tg.kthvalue(x, 0) | RuntimeError IndexError
tg.kthvalue(x, 9) | RuntimeError IndexError
tg.median(x, 2) | IndexError
tg.quantile(x, 1.5) | RuntimeError ValueError
tg.quantile(i, 0.5) | RuntimeError TypeError
tg.quantile(x, 0.5, 2) | IndexError
tg.searchsorted(b, v) | RuntimeError
tg.searchsorted(v, x, side='up') | RuntimeError ValueError
tg.bincount(x) | RuntimeError TypeError
tg.bincount(-k) | RuntimeError IndexError ValueError
tg.bincount(k, minlength=-1) | RuntimeError ValueError
tg.softmax(x, 2) | IndexError
tg.log_softmax(x, 2) | IndexError
tg.softmin(x, 2) | IndexError
tg.softmax(i, 0) | TypeError RuntimeError NotImplementedError
F.layer_norm(x, (2,)) | RuntimeError
F.layer_norm(x, (3,), y) | RuntimeError
F.layer_norm(i, (3,)) | TypeError RuntimeError
F.batch_norm(x, None, None) | ValueError
F.batch_norm(x, v, v, v[:2]) | RuntimeError
F.dropout(x, 1.5) | ValueError
tg.pad(x, 1) | TypeError
tg.device(3.5) | TypeError
tg.set_printoptions(precision='two') | TypeError
F.cross_entropy(x, k) | ValueError RuntimeError
F.cross_entropy(x, huge[:2]) | IndexError
F.binary_cross_entropy_with_logits(x, y) | ValueError
tg.matmul(x, x) | RuntimeError
tg.matmul(x, double) | RuntimeError TypeError
tg.matmul(z, v) | RuntimeError
tg.mm(x, v) | RuntimeError
tg.mm(x, x) | RuntimeError
tg.bmm(x, x) | RuntimeError
tg.bmm(b, b) | RuntimeError
tg.mv(x, x) | RuntimeError
tg.mv(x, v[:2]) | RuntimeError
tg.dot(x, x) | RuntimeError
tg.dot(v, v[:2]) | RuntimeError
tg.outer(x, v) | RuntimeError
tg.addmm(x, x, y) | RuntimeError
tg.addmm(y, x, x.T) | RuntimeError
tg.baddbmm(x, x, x) | RuntimeError
tg.einsum('ij,jk->ik', x, x) | RuntimeError ValueError
tg.einsum('ij', x, x) | RuntimeError ValueError
tg.einsum('i->j', v) | RuntimeError ValueError
tg.dense(x, x.T) | RuntimeError
tg.dense(i, i) | TypeError
tg.gather(x, 2, i) | IndexError
tg.gather(x, 1, huge) | RuntimeError IndexError
tg.gather(x, 1, i * 99) | IndexError
tg.gather(x, 1, x) | IndexError RuntimeError TypeError
tg.scatter_add(x, 0, i, x) | IndexError
tg.scatter_add(x, 0, i * 0, v) | RuntimeError
tg.scatter_add(x, 0, i * 0, double) | RuntimeError TypeError
tg.index_select(x, 1, huge) | IndexError
tg.index_select(x, 1, i) | IndexError RuntimeError
tg.index_select(x, 5, k) | IndexError
tg.index_select(x, 1, v) | RuntimeError TypeError IndexError
tg.index_add(x, 1, huge, x) | IndexError
tg.index_add(x, 0, k, x) | RuntimeError IndexError
tg.index_put(x, (huge,), 1.0) | IndexError
tg.index_put(x, (v,), v) | IndexError TypeError
tg.take_along_dim(x, i, 2) | IndexError
tg.take_along_dim(x, i * 99, 1) | IndexError
tg.masked_select(x, i) | RuntimeError TypeError
tg.masked_select(x, n) | RuntimeError
F.embedding(huge, y) | IndexError
F.embedding(v, y) | IndexError RuntimeError TypeError
F.embedding(k, b) | RuntimeError
F.one_hot(v) | IndexError RuntimeError TypeError
F.one_hot(k, 2) | RuntimeError IndexError
x[huge] | IndexError
x[5] | IndexError
x[:, n] | IndexError
x[v] | IndexError
x[0, 0, 0] | IndexError
x[..., ...] | IndexError
x['a'] | IndexError TypeError
tg.cat((x, y), 1) | RuntimeError
tg.cat((x, z)) | RuntimeError
tg.cat(()) | RuntimeError ValueError
tg.cat((x, x), 2) | IndexError
tg.cat(x) | TypeError
tg.stack((x, y)) | RuntimeError
tg.stack(()) | RuntimeError ValueError
tg.split(x, -1) | RuntimeError ValueError
tg.split(x, (1, 5)) | RuntimeError ValueError
tg.chunk(x, 0) | RuntimeError ValueError
F.pad(x, (1,)) | RuntimeError ValueError
F.pad(x, (-5, 0)) | RuntimeError
F.pad(x, (1, 1), 'round') | NotImplementedError ValueError RuntimeError
F.pad(x, (9, 9), 'reflect') | RuntimeError
tg.narrow(x, 1, 1, 3) | RuntimeError IndexError
tg.narrow(x, 1, 0, -1) | RuntimeError
tg.flip(x, (0, 0)) | RuntimeError
tg.flip(x, (2,)) | IndexError
tg.roll(x, (1, 2), (0,)) | RuntimeError
tg.roll(x, 1, 4) | IndexError
tg.tril(v) | RuntimeError
tg.triu(v) | RuntimeError
tg.diag(b) | RuntimeError
x.repeat(2) | RuntimeError
x.repeat(-1, 2) | RuntimeError
x.reshape(4) | RuntimeError
x.reshape(-2, 3) | RuntimeError
x.view(-1, -1) | RuntimeError
x.T.view(6) | RuntimeError
x.permute(0, 0) | RuntimeError
x.permute(0) | RuntimeError
x.transpose(0, 2) | IndexError
x.expand(2, 4) | RuntimeError
x.expand(-2, 3) | RuntimeError
x.squeeze(3) | IndexError
x.unsqueeze(4) | IndexError
x.flatten(1, 0) | RuntimeError
x.unfold(0, 5, 1) | RuntimeError
x.unfold(0, 1, 0) | RuntimeError
x.movedim(0, 5) | IndexError
x.movedim((0, 1), (0,)) | RuntimeError
b.t() | RuntimeError
v.mT | RuntimeError
x.item() | RuntimeError
x.to('no such dtype') | TypeError RuntimeError
x.to('cuda') | RuntimeError
tg.zeros(-1) | RuntimeError
tg.ones(2, -3) | RuntimeError
tg.full((-1,), 1.0) | RuntimeError
tg.empty(-4) | RuntimeError
tg.zeros(2, dtype='no such dtype') | TypeError
tg.arange(0, 5, 0) | RuntimeError
tg.arange(0, 1e308, 1e-308) | RuntimeError
tg.arange(0, 5, -1) | RuntimeError
tg.linspace(0, 1, -1) | RuntimeError
tg.logspace(0, 1, -1) | RuntimeError
tg.eye(-1) | RuntimeError
tg.rand(-1) | RuntimeError
tg.randn(-1) | RuntimeError
tg.randint(5, 5, (2,)) | RuntimeError
tg.randint(5, (-2,)) | RuntimeError
tg.randperm(-1) | RuntimeError ValueError
tg.bernoulli(x * 9) | RuntimeError
tg.tensor([[1], [2, 3]]) | ValueError
tg.tensor('a') | TypeError ValueError
x.add_(y) | RuntimeError
i.add_(0.5) | RuntimeError
x.copy_(y) | RuntimeError
wide.add_(1) | RuntimeError
wide.zero_() | RuntimeError
wide.copy_(tg.ones(3, 3)) | RuntimeError
wide.masked_fill_(wide > 0, 1.0) | RuntimeError
wide.cumsum_(0) | RuntimeError
wide.clamp_(0, 1) | RuntimeError
i.div_(2) | RuntimeError
i.sqrt_() | RuntimeError
x.scatter_add_(1, i * 99, x) | IndexError
x.index_add_(0, huge, y[:3]) | IndexError
x.masked_fill_(n, 1.0) | RuntimeError
x.__setitem__(huge, 1.0) | IndexError
x.__setitem__((0, 9), 1.0) | IndexError
x.__setitem__(m, v[:2]) | RuntimeError
x.__setitem__(slice(0, 1), y) | RuntimeError
tg.batch_norm(b[0], v, v, training=True) | RuntimeError
tg.allclose(x, y) | RuntimeError
tg.set_default_dtype(tg.int64) | TypeError RuntimeError
tg.set_num_threads(0) | ValueError RuntimeError
"""
# What a text says of got and expected, in one word or another.
SAYS = (
    "expected|expects|got|cannot|can't|must|needs|only|is out of range|appears twice|(does|do) not (fit|broadcast)|comes after|"
    "negative length|no parameter|is not in this build|is not usable"
)
CASES = [tuple(part.strip() for part in line.split("|")) for line in LINES.strip().splitlines()]


def refused(expression: str) -> tuple[BaseException, bool]:
    """The exception, and whether all tensors are as they were."""
    given = names()
    tensors = {k: v for k, v in given.items() if isinstance(v, tg.Tensor)}
    before = {
        k: (bits(np.array(v.numpy() if k != "half" else v.float().numpy())), v._version) for k, v in tensors.items()
    }
    with pytest.raises((RuntimeError, TypeError, ValueError, IndexError)) as caught:
        eval(expression, given)
    after = {
        k: (bits(np.array(v.numpy() if k != "half" else v.float().numpy())), v._version) for k, v in tensors.items()
    }
    return caught.value, before == after


@pytest.mark.parametrize(("expression", "kinds"), CASES, ids=[c[0] for c in CASES])
def test_refusal(expression: str, kinds: str) -> None:
    error, unchanged = refused(expression)
    assert type(error).__name__ in kinds.split(), repr(error)
    text = str(error)
    assert re.match(r"\[\w+\] |a dimension cannot be negative|expected sequence", text), text
    assert re.search(SAYS, text), text
    assert unchanged


ROWS = [
    name for name, row in TABLE.items() if "Tensor input" in row["signature"] and not row["name"].endswith("backward")
]


@pytest.mark.parametrize("name", ROWS)
def test_rows_refuse_what_is_no_tensor(name: str) -> None:
    function = getattr(tg.ops, name)
    for wrong in ([1.0], "a", np.ones(2), None, 1.5):
        with pytest.raises(TypeError, match=r"^\[\w+\] .*(expected|is missing)"):
            function(wrong)
    with pytest.raises(TypeError, match=r"^\[\w+\] .*no parameter 'colour'"):
        function(tg.ones(2), colour=1)


@pytest.mark.parametrize(
    "write",
    [
        *("t.add_(s)", "t.mul_(s)", "t.copy_(s)", "s.copy_(t)", "s[1:].copy_(s[:-1])", "t.masked_fill_(s > 0, 1.0)"),
        *("s.scatter_add_(0, tg.arange(5), t)", "s.index_add_(0, tg.arange(5), t)", "s.lerp_(t, 0.5)", "s.add_(s)"),
        *("s[tg.tensor([4, 0])] = s[:2]", "s[1:] = s[:-1]", "s.reshape(1, 5).T[:, 0].add_(t)"),
    ],
)
def test_overlapping_writes_read_what_was_there(write: str) -> None:
    """PyTorch refuses these where it notices (docs/semantics.md: overlapping writes); here they mean what they say."""
    given = names()
    apart = names()
    apart |= {"s": apart["s"].clone(), "t": apart["t"].clone()}
    for library in (given, apart):
        exec(write, library)  # noqa: S102
    target = write[0]
    got, want = given[target].numpy(), apart[target].numpy()
    if write.startswith("s[1:]"):  # both sides are one clone in either case
        want = np.array([0.0, 0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(got, want)
