"""Every public function, timed beside PyTorch's of the same name on 16 to 4 million elements.

A line is a name and an expression that both libraries understand: `t` is the library, `F` where its activations are,
and the other names are inputs (INPUTS), drawn for a number of elements. A second expression is PyTorch's, where it is
another. There is no NumPy reference here: what the libraries answer is compared (`answer` in worker.py), and that the
answers are right is proven by tests/test_torch_truth.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
SIZES = (16, 1 << 10, 1 << 16, 1 << 22)
EACH = "op "  # what the cases' operations start with, so that `exp` of pointwise cases is another


@dataclass(frozen=True)
class Operation:
    name: str
    ours: str
    theirs: str
    random: bool = False  # or unspecified, as places of equal elements are: answers are not compared
    group: str = ""

    @property
    def inputs(self) -> list[str]:
        return sorted(set(compile(self.ours, self.name, "eval").co_names) & set(INPUTS))

    def bind(self, expression: str, library: Any, functional: Any, inputs: dict[str, Any]) -> Callable[[], Any]:
        """The expression as a function without arguments, all names bound early."""
        names = {"t": library, "F": functional, "inf": math.inf, **inputs}
        used = sorted(set(compile(expression, self.name, "eval").co_names) & set(names))
        code = f"lambda {', '.join(used)}: (lambda: {expression})"
        made: Callable[[], Any] = eval(code)(*(names[n] for n in used))
        return made


# ---- inputs, for n elements

Draw = Callable[[np.random.Generator, int], Array]


def side(n: int) -> int:
    """Rows and columns of a square of n elements."""
    return math.isqrt(n)


def normal(*of: Callable[[int], int]) -> Draw:
    return lambda rng, n: rng.standard_normal([f(n) for f in of], dtype=np.float32)


def flat(low: float, high: float) -> Draw:
    return lambda rng, n: rng.uniform(low, high, n).astype(np.float32)


def whole(high: Callable[[int], int], *of: Callable[[int], int]) -> Draw:
    return lambda rng, n: rng.integers(0, high(n), [f(n) for f in of])


def all_of(n: int) -> int:
    return n


def groups(n: int) -> int:
    """Matrices of 16 x 16 (of 4 x 4) that n elements make."""
    return max(1, n // 256)


def group_side(n: int) -> int:
    return min(16, side(n))


INPUTS: dict[str, Draw] = {
    # flat: normal, positive, within (-1, 1), above 1, integers, masks
    "x": normal(all_of),
    "y": normal(all_of),
    "z": normal(all_of),
    "p": flat(0.1, 4),
    "u": flat(-0.99, 0.99),
    "o": flat(1, 9),
    "i": whole(lambda n: 100, all_of),
    "j": whole(lambda n: 100, all_of),
    "few": whole(lambda n: 10, all_of),
    "m": lambda rng, n: rng.random(n) < 0.5,
    "k": lambda rng, n: rng.random(n) < 0.5,
    "at": whole(all_of, all_of),
    "ordered": lambda rng, n: np.sort(rng.standard_normal(n, dtype=np.float32)),
    # squares, their rows and columns
    "a": normal(side, side),
    "b": normal(side, side),
    "c": normal(side, side),
    "ma": lambda rng, n: rng.random((side(n), side(n))) < 0.5,
    "v": normal(side),
    "w": normal(side),
    "row": whole(side, side),
    "each": whole(side, side, side),
    # batches of small matrices
    "ba": normal(groups, group_side, group_side),
    "bb": normal(groups, group_side, group_side),
    "bc": normal(groups, group_side, group_side),
}


def drawn(operation: Operation, n: int) -> dict[str, Array]:
    """The inputs of a case, the same in every process."""
    rng = np.random.default_rng(n)
    return {name: INPUTS[name](rng, n) for name in operation.inputs}


def words(text: str) -> list[str]:
    return text.split()


# ---- the table: name | expression | PyTorch's expression

UNARY = words(
    "abs neg sign square sqrt rsqrt reciprocal floor ceil round trunc exp exp2 expm1 log log2 log10 log1p sin cos tan asin "
    "acos atan sinh cosh asinh acosh atanh erf tanh sigmoid relu isnan isinf isfinite nan_to_num selu"
)
DOMAINS = (
    dict.fromkeys(words("sqrt rsqrt log log2 log10 log1p"), "p")
    | {"acosh": "o"}
    | dict.fromkeys(["asin", "acos", "atanh"], "u")
)
ACTIVATIONS = words(
    "relu6 leaky_relu elu celu silu gelu softplus softsign mish hardtanh hardswish hardsigmoid tanhshrink logsigmoid"
)
BINARY = words("add sub mul div floor_divide remainder fmod atan2 hypot maximum minimum eq ne lt le gt ge")
BITS = words("logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor")

LINES = """
add alpha           | t.add(x, y, alpha=2)
sub alpha           | t.sub(x, y, alpha=2)
add number          | x + 1.5
add integers        | i + j
rsub                | t.rsub(x, y)
float_power         | t.float_power(p, y)
copysign            | t.copysign(x, y)
logaddexp           | t.logaddexp(x, y)
xlogy               | t.xlogy(x, p)
addcmul             | t.addcmul(x, y, z)
addcdiv             | t.addcdiv(x, y, p)
clamp_min           | t.clamp_min(x, 0.5)
clamp_max           | t.clamp_max(x, 0.5)
deg2rad             | t.deg2rad(x)
rad2deg             | t.rad2deg(x)
frac                | t.frac(x)
positive            | t.positive(x)
signbit             | t.signbit(x)
isneginf            | t.isneginf(x)
isposinf            | t.isposinf(x)
add row             | a + v
div floor           | t.div(x, y, rounding_mode='floor')
div trunc           | t.div(x, y, rounding_mode='trunc')
pow                 | t.pow(p, y)
pow 2               | t.pow(x, 2)
pow 3               | t.pow(x, 3)
round decimals      | t.round(x, decimals=2)
gelu tanh           | F.gelu(x, approximate='tanh')
threshold           | F.threshold(x, 0.5, 0.0)
glu                 | F.glu(a, 1)
clamp               | t.clamp(x, -1.0, 1.0)
clamp tensors       | t.clamp(x, y, z)
lerp                | t.lerp(x, y, 0.25)
lerp tensor         | t.lerp(x, y, p)
where               | t.where(m, x, y)
masked_fill         | t.masked_fill(x, m, 0.5)
logical_not         | t.logical_not(m)
bitwise_not         | t.bitwise_not(m)
isclose             | t.isclose(x, y)
allclose            | t.allclose(x, x)
equal               | t.equal(x, x)
sum                 | t.sum(x)
sum dim0            | t.sum(a, 0)
sum dim1            | t.sum(a, 1)
sum integers        | t.sum(i)
mean                | t.mean(x)
mean dim1           | t.mean(a, 1)
prod                | t.prod(u)
prod dim1           | t.prod(a, 1)
var                 | t.var(x)
var dim0            | t.var(a, 0)
var dim1            | t.var(a, 1)
std                 | t.std(x)
std dim1            | t.std(a, 1)
norm                | t.norm(x)
norm dim1           | t.norm(a, 2, 1)
norm 1              | t.norm(x, 1)
any                 | t.any(m)
any dim1            | t.any(ma, 1)
all                 | t.all(m)
all dim1            | t.all(ma, 1)
amax                | t.amax(x)                            | t.max(x)
amax dim1           | t.amax(a, 1)
amin                | t.amin(x)                            | t.min(x)
amin dim0           | t.amin(a, 0)
max                 | t.max(x)
max dim1            | t.max(a, 1)
max other           | t.max(x, y)
min                 | t.min(x)
min dim0            | t.min(a, 0)
argmax              | t.argmax(x)
argmax dim1         | t.argmax(a, 1)
argmin              | t.argmin(x)
argmin dim0         | t.argmin(a, 0)
logsumexp           | t.logsumexp(a, 1)
cumsum              | t.cumsum(x, 0)
cumsum dim0         | t.cumsum(a, 0)
cumsum dim1         | t.cumsum(a, 1)
cumprod             | t.cumprod(x, 0)
cumprod dim1        | t.cumprod(a, 1)
sort                | t.sort(x)                            | t.sort(x)                    | random
sort rows           | t.sort(a, 1)                         | t.sort(a, 1)                 | random
sort columns        | t.sort(a, 0)                         | t.sort(a, 0)                 | random
sort integers       | t.sort(i)                            | t.sort(i)                    | random
argsort             | t.argsort(x)                         | t.argsort(x)                 | random
argsort rows        | t.argsort(a, 1)                      | t.argsort(a, 1)              | random
topk                | t.topk(x, 4)                         | t.topk(x, 4)                 | random
topk rows           | t.topk(a, 4, 1)                      | t.topk(a, 4, 1)              | random
kthvalue            | t.kthvalue(x, 4)                     | t.kthvalue(x, 4)             | random
kthvalue rows       | t.kthvalue(a, 4, 1)                  | t.kthvalue(a, 4, 1)          | random
median              | t.median(x)
median rows         | t.median(a, 1)                       | t.median(a, 1)               | random
quantile            | t.quantile(a, 0.25, 1)
searchsorted        | t.searchsorted(ordered, x)
bincount            | t.bincount(i)
bincount weights    | t.bincount(i, x)
softmax             | t.softmax(a, 1)
softmax dim0        | t.softmax(a, 0)
log_softmax         | t.log_softmax(a, 1)
softmin             | F.softmin(a, 1)
layer_norm          | F.layer_norm(a, (a.shape[1],), v, w)
rms_norm            | F.rms_norm(a, (a.shape[1],), v)
batch_norm          | F.batch_norm(a, v, t.exp(w), v, w)
batch_norm training | F.batch_norm(a, None, None, v, w, True)
dropout             | F.dropout(x, 0.25, True)             | F.dropout(x, 0.25, True)     | random
cross_entropy       | F.cross_entropy(a, row)
binary_cross_entropy_with_logits | F.binary_cross_entropy_with_logits(x, p)
matmul              | t.matmul(a, b)
mm                  | t.mm(a, b)
bmm                 | t.bmm(ba, bb)
mv                  | t.mv(a, v)
dot                 | t.dot(x, y)
outer               | t.outer(v, w)
addmm               | t.addmm(c, a, b)
addmm alpha beta    | t.addmm(c, a, b, beta=0.5, alpha=2)
baddbmm             | t.baddbmm(bc, ba, bb)
einsum              | t.einsum('ik,kj->ij', a, b)
einsum batch        | t.einsum('bik,bkj->bij', ba, bb)
einsum sum          | t.einsum('ik,ik->i', a, b)
dense               | t.dense(a, b, v)                     | F.linear(a, b, v)
gather              | t.gather(a, 1, each)
gather dim0         | t.gather(a, 0, each)
scatter_add         | t.scatter_add(a, 1, each, b)
scatter_add dim0    | t.scatter_add(a, 0, each, b)
index_select        | t.index_select(a, 0, row)
index_select dim1   | t.index_select(a, 1, row)
index_add           | t.index_add(a, 0, row, b)
take_along_dim      | t.take_along_dim(a, each, 1)
masked_select       | t.masked_select(x, m)
nonzero             | t.nonzero(m)
index_put           | t.index_put(x, (at,), y)             | t.index_put(x, (at,), y)     | random
index_put accumulate | t.index_put(x, (at,), y, True)
embedding           | F.embedding(row, a)
one_hot             | F.one_hot(few)
index int           | a[1]
index slice         | a[1:3, ::2]
index list          | a[[1, 0, 2]]
index array         | x[at]
index rows          | a[row]
index mask          | x[m]
index pair          | a[row, row]
cat                 | t.cat((x, y))
cat dim1            | t.cat((a, b), 1)
stack               | t.stack((x, y))
stack dim1          | t.stack((x, y), 1)
split               | t.split(a, 2)
chunk               | t.chunk(a, 2)
pad                 | F.pad(a, (1, 1, 1, 1))
pad reflect         | F.pad(ba, (1, 1), 'reflect')
flip                | t.flip(a, (0,))
flip dim1           | t.flip(a, (1,))
roll                | t.roll(x, 3)
roll dim1           | t.roll(a, 1, 1)
tril                | t.tril(a)
triu                | t.triu(a)
diag                | t.diag(v)
diag of matrix      | t.diag(a)
repeat              | v.repeat(3, 1)
reshape             | t.reshape(a, (-1,))
view                | a.view(-1)
permute             | t.permute(ba, (2, 0, 1))
transpose           | t.transpose(a, 0, 1)
t                   | t.t(a)
T                   | a.T
mT                  | a.mT
expand              | v.expand(3, -1)
broadcast_to        | t.broadcast_to(v, (3, v.shape[0]))
squeeze             | t.squeeze(a)
unsqueeze           | t.unsqueeze(a, 0)
flatten             | t.flatten(a)
flatten copy        | t.flatten(a.T)
narrow              | t.narrow(a, 0, 1, 2)
unfold              | x.unfold(0, 4, 2)
movedim             | t.movedim(ba, 0, 2)
detach              | t.detach(x)
clone               | t.clone(x)
contiguous copy     | a.T.contiguous()
to float64          | x.to(t.float64)
to int64            | x.to(t.int64)
to bool             | x.to(t.bool)
float of integers   | i.float()
numel               | t.numel(x)
zeros               | t.zeros(x.shape)
ones                | t.ones(x.shape)
full                | t.full(x.shape, 1.5)
empty               | t.empty(x.shape)                     | t.empty(x.shape)             | random
zeros_like          | t.zeros_like(x)
ones_like           | t.ones_like(x)
full_like           | t.full_like(x, 1.5)
empty_like          | t.empty_like(x)                     | t.empty_like(x)              | random
arange              | t.arange(x.shape[0])
linspace            | t.linspace(0, 1, x.shape[0])
logspace            | t.logspace(0, 1, x.shape[0])
eye                 | t.eye(a.shape[0])
rand                | t.rand(x.shape)                      | t.rand(x.shape)              | random
randn               | t.randn(x.shape)                     | t.randn(x.shape)             | random
randint             | t.randint(0, 9, x.shape)             | t.randint(0, 9, x.shape)     | random
randperm            | t.randperm(x.shape[0])               | t.randperm(x.shape[0])       | random
rand_like           | t.rand_like(x)                       | t.rand_like(x)               | random
randn_like          | t.randn_like(x)                      | t.randn_like(x)              | random
randint_like        | t.randint_like(x, 9)                 | t.randint_like(x, 9)         | random
bernoulli           | t.bernoulli(t.sigmoid(x))            | t.bernoulli(t.sigmoid(x))    | random
multinomial         | t.multinomial(t.sigmoid(x), 8, True) | t.multinomial(t.sigmoid(x), 8, True) | random
is_floating_point   | x.is_floating_point()
addmv               | t.addmv(w, a, v)
addr                | t.addr(a, v, w)
addbmm              | t.addbmm(bc[0], ba, bb)
inner               | t.inner(a, v)
vdot                | t.vdot(x, y)
ger                 | t.ger(v, w)
kron                | t.kron(v, w)
linear              | F.linear(a, b, v)
bilinear            | F.bilinear(ba[:, 0], bb[:, 0], ba[:1])
tensordot           | t.tensordot(a, b, dims=1)
cross               | t.cross(x[: x.shape[0] // 3 * 3].view(-1, 3), y[: y.shape[0] // 3 * 3].view(-1, 3), dim=1)
trace               | t.trace(a)
trapezoid           | t.trapezoid(a)
trapz               | t.trapz(a)
diff                | t.diff(a)
aminmax             | t.aminmax(x)
count_nonzero       | t.count_nonzero(m)
nanmean             | t.nanmean(x)
nansum              | t.nansum(x)
std_mean            | t.std_mean(a, 1)
var_mean            | t.var_mean(a, 1)
nanmedian           | t.nanmedian(x)
msort               | t.msort(a)
unique              | t.unique(x)
bucketize           | t.bucketize(x, ordered)
argwhere            | t.argwhere(ma)
take                | t.take(a, at)
scatter             | t.scatter(a, 1, each, b)               | t.scatter(a, 1, each, b)     | random
scatter number      | t.scatter(a, 1, each, 1.5)
index_copy          | t.index_copy(a, 0, row, b)             | t.index_copy(a, 0, row, b)   | random
index_fill          | t.index_fill(a, 0, row, 1.5)
masked_scatter      | t.masked_scatter(x, m, y)
bitwise_left_shift  | t.bitwise_left_shift(i, few)
bitwise_right_shift | t.bitwise_right_shift(i, few)
hardshrink          | F.hardshrink(x)
softshrink          | F.softshrink(x)
tril_indices        | t.tril_indices(a.shape[0], a.shape[0])
triu_indices        | t.triu_indices(a.shape[0], a.shape[0])
as_strided          | t.as_strided(x, (2, 2), (1, 1))
select              | t.select(a, 0, 1)
unbind              | t.unbind(a[:4])
unflatten           | t.unflatten(x, 0, (2, -1))
diagonal            | t.diagonal(a)
diag_embed          | t.diag_embed(v)
diagflat            | t.diagflat(v)
tensor_split        | t.tensor_split(a, 2)
swapaxes            | t.swapaxes(a, 0, 1)
swapdims            | t.swapdims(a, 0, 1)
moveaxis            | t.moveaxis(a, 0, 1)
ravel               | t.ravel(a)
atleast_1d          | t.atleast_1d(x)
atleast_2d          | t.atleast_2d(x)
atleast_3d          | t.atleast_3d(x)
broadcast_shapes    | t.broadcast_shapes(x.shape, (1,))
broadcast_tensors   | t.broadcast_tensors(a, v)
cartesian_prod      | t.cartesian_prod(v, w)
meshgrid            | t.meshgrid(v, w, indexing='ij')
concat              | t.concat((x, y))
concatenate         | t.concatenate((x, y))
hstack              | t.hstack((a, b))
vstack              | t.vstack((a, b))
dstack              | t.dstack((a, b))
column_stack        | t.column_stack((x, y))
fliplr              | t.fliplr(a)
flipud              | t.flipud(a)
rot90               | t.rot90(a)
tile                | t.tile(a, (2, 1))
repeat_interleave   | t.repeat_interleave(x, 2)
repeat_interleave counts | t.repeat_interleave(x, few)
tensor of array     | t.tensor(x.numpy())
tensor of list      | t.tensor([[1.0, 2.0], [3.0, 4.0]])
as_tensor           | t.as_tensor(x.numpy())
asarray             | t.asarray(x.numpy())
scalar_tensor       | t.scalar_tensor(1.5)
empty_strided       | t.empty_strided(x.shape, (2,))         | t.empty_strided(x.shape, (2,)) | random
add_                | x.add_(0.0)
mul_                | x.mul_(1.0)
relu_               | p.relu_()
fill_               | x.fill_(1.5)
zero_               | x.zero_()
copy_               | x.copy_(y)
masked_fill_        | x.masked_fill_(m, 0.5)
write slice         | a[1:3].fill_(1.5)
"""


def line(text: str, group: str) -> Operation:
    name, ours, *rest = (part.strip() for part in text.split("|"))
    return Operation(name, ours, rest[0] if rest else ours, "random" in rest[1:], group)


def tables() -> Iterator[Operation]:
    for n in UNARY:
        yield line(f"{n} | t.{n}({DOMAINS.get(n, 'x')})", "of one")
    for n in ACTIVATIONS:
        yield line(f"{n} | F.{n}(x)", "activations")
    for n in BINARY:
        yield line(f"{n} | t.{n}(x, y)", "of two")
    for n in BITS:
        yield line(f"{n} | t.{n}(m, k)", "of two")
    for text in filter(None, LINES.splitlines()):
        yield line(text, "the rest")


OPERATIONS: dict[str, Operation] = {EACH + o.name: o for o in tables()}

# Functions that are not timed by themselves, and why.
UNTIMED = {
    "facts about dtypes": "can_cast promote_types result_type",
    "the allocator's own": "empty_cache reset_peak_memory_stats",
    "timed as `gelu tanh`": "gelu_tanh",
}
