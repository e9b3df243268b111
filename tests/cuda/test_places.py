"""Tensors come to a GPU, are made there, leave it again, and keep their place in the graph."""

from __future__ import annotations

import copy
import io
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture
def other() -> str:
    if tg.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    return "cuda:1"


# ---- made there

MADE = {
    "zeros": lambda device: tg.zeros(2, 33, device=device),
    "ones": lambda device: tg.ones((1025,), device=device),
    "full": lambda device: tg.full((3,), 2.5, device=device),
    "none": lambda device: tg.zeros(0, 3, device=device),
    "eye": lambda device: tg.eye(5, 7, device=device),
    "rand": lambda device: tg.rand(1023, device=device, generator=tg.Generator().manual_seed(5)),
    "double": lambda device: tg.rand(
        31, dtype=tg.float64, device=device, generator=tg.Generator(device).manual_seed(5)
    ),
    "tensor": lambda device: tg.tensor([[1.0, 2.0], [3.0, 4.0]], device=device),
    "of an array": lambda device: tg.tensor(np.arange(6.0).reshape(2, 3).T, device=device),
    "of a tensor": lambda device: tg.tensor(tg.ones(3), device=device),
    "as_tensor": lambda device: tg.as_tensor([1, 2, 3], device=device),
    "scalar_tensor": lambda device: tg.scalar_tensor(3, device=device),
    "strided": lambda device: tg.empty_strided((2, 3), (1, 2), device=device).fill_(1.5),
    "mask": lambda device: tg.dropout_mask((70, 3), 0.5, generator=tg.Generator().manual_seed(1), device=device),
    "layer": lambda device: nn.init.ones_(nn.Linear(3, 4, device=device).weight).detach(),
    "statistics": lambda device: nn.BatchNorm1d(4, device=device).running_var,
    "uniform_": lambda device: tg.empty(33, device=device).uniform_(1, 2, generator=tg.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("name", MADE)
def test_new_tensors_are_made_there_with_the_bits_of_the_cpu(name: str) -> None:
    made, want = MADE[name]("cuda"), MADE[name]("cpu")
    assert made.device == tg.device("cuda:0")
    assert (made.dtype, made.shape, made.stride()) == (want.dtype, want.shape, want.stride())
    assert made.cpu().numpy().tobytes() == want.numpy().tobytes()


@pytest.mark.parametrize("draw", [tg.rand, tg.randn])
def test_random_numbers_of_the_default_generator_are_the_cpus(draw: Any) -> None:
    tg.manual_seed(3)
    there = draw(100, device="cuda")
    tg.manual_seed(3)
    assert tg.equal(there.cpu(), draw(100))


def test_beside_a_tensor() -> None:
    x = tg.ones(2, 3, device="cuda")
    likes = [tg.zeros_like(x), tg.ones_like(x), tg.full_like(x, 3), tg.empty_like(x), tg.rand_like(x)]
    news = [x.new_zeros(2), x.new_ones(2), x.new_full((2,), 1.0), x.new_empty(2), x.new_tensor([1.0])]
    assert all(t.is_cuda for t in likes + news)
    assert not any(t.is_cuda for t in (tg.zeros_like(x, device="cpu"), x.new_zeros(2, device="cpu")))
    assert tg.zeros_like(tg.zeros(2), device="cuda").is_cuda
    assert x.get_device() == 0
    assert tg.ones(1).get_device() == -1


def test_the_default_device() -> None:
    try:
        tg.set_default_device("cuda")
        assert tg.zeros(2).is_cuda
        assert tg.tensor([1.0]).is_cuda
        assert nn.Linear(2, 2).weight.is_cuda
        assert not tg.zeros(2, device="cpu").is_cuda
        with tg.device("cpu"):
            assert tg.get_default_device() == tg.device("cpu")
            assert not tg.ones(1).is_cuda
        assert tg.ones(1).is_cuda
        elsewhere: list[bool] = []
        thread = threading.Thread(target=lambda: elsewhere.append(tg.ones(1).is_cuda))
        thread.start()
        thread.join()
        assert elsewhere == [False]
    finally:
        tg.set_default_device(None)
    assert not tg.ones(1).is_cuda
    with pytest.raises(RuntimeError, match="expected cuda:0 to"), tg.device("cuda:60"):
        raise AssertionError
    assert tg.get_default_device() == tg.device("cpu")


def test_the_current_device(other: str) -> None:
    assert tg.cuda.current_device() == 0
    with tg.cuda.device(other):
        assert tg.ones(1, device="cuda").device == tg.device(other)
        assert tg.ones(1).cuda().device == tg.device(other)
        assert tg.ones(1, device=0).device == tg.device("cuda:0")
    assert tg.cuda.current_device() == 0
    with tg.cuda.device_of(tg.ones(1, device=other)):
        assert tg.cuda.current_device() == 1
    with pytest.raises(RuntimeError, match="expected cuda:0 to"):
        tg.cuda.set_device(60)


# ---- moved


def test_what_to_understands() -> None:
    x = tg.ones(2, 3)
    there = x.to("cuda")
    assert x.to(0).device == x.to(tg.device("cuda")).device == x.to(device="cuda").device == there.device
    assert there.to("cuda") is there
    assert there.to(0) is there
    assert there.to("cuda", copy=True) is not there
    assert x.to("cuda", tg.float64, True).dtype is tg.float64
    assert x.to(there.double()).is_cuda
    assert x.to(there.double()).dtype is tg.float64
    assert x.type_as(there).is_cuda


def test_a_move_is_differentiable() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (x.cuda().T * 3).cpu().square().sum().backward()
    assert x.grad is not None
    assert not x.grad.is_cuda
    assert x.grad.tolist() == [[18.0, 36.0], [54.0, 72.0]]
    there = tg.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    assert there.is_leaf
    (there.cpu() ** 2).sum().backward()
    assert there.grad is not None
    assert there.grad.is_cuda
    assert not x.detach().cuda().requires_grad
    with tg.no_grad():
        assert not x.cuda().requires_grad


def test_a_move_is_differentiable_twice() -> None:
    x = tg.tensor([1.0, 2.0, -3.0], requires_grad=True)
    (first,) = tg.autograd.grad((x.cuda() * x.cuda() * x.cuda()).sum(), x, create_graph=True)
    assert not first.is_cuda
    (second,) = tg.autograd.grad(first.sum(), x)
    assert second.tolist() == [6.0, 12.0, -18.0]
    y = x.cuda()
    y.sum().backward(retain_graph=True)
    y.sum().backward()


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_copy_between_devices(dtype: Any) -> None:
    x = tg.arange(6.0).reshape(2, 3)
    there = tg.zeros(2, 3, dtype=dtype, device="cuda")
    version = there._version
    assert there.copy_(x) is there
    assert there._version > version
    assert there.cpu().tolist() == x.tolist()
    back = tg.zeros(3, 2)
    back.copy_(there.T)  # strided
    assert back.tolist() == x.T.tolist()
    back.T.copy_(there * 2, non_blocking=True)
    assert back.tolist() == (2 * x).T.tolist()
    there.copy_(tg.tensor([7.0, 8.0, 9.0]), True)  # broadcast
    assert there.cpu().tolist() == [[7.0, 8.0, 9.0]] * 2
    source = tg.ones(2, 3, requires_grad=True)
    target = tg.zeros(2, 3, dtype=dtype, device="cuda")
    target.copy_(source)
    (target * 4).sum().backward()
    assert source.grad is not None
    assert source.grad.tolist() == [[4.0] * 3] * 2


def test_between_gpus(other: str) -> None:
    x = tg.arange(1025.0).cuda()
    y = x.to(other)
    assert y.device == tg.device(other)
    assert (y * 2).cpu().tolist() == (tg.arange(1025.0) * 2).tolist()
    x.copy_(y + 1)
    assert x.cpu().tolist() == (tg.arange(1025.0) + 1).tolist()
    with pytest.raises(RuntimeError, match="expected one device"):
        x + y


# ---- modules, optimizers, files


def test_a_module_keeps_its_parameters() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    held, norm = list(net.parameters()), net[1]
    for p in held:
        p.grad = tg.ones_like(p)
    buffer = norm.running_mean
    assert net.to("cuda") is net
    assert all(p is q for p, q in zip(net.parameters(), held, strict=True))
    assert all(p.is_cuda and p.is_leaf and p.requires_grad and p.grad is not None and p.grad.is_cuda for p in held)
    assert norm.running_mean.is_cuda
    assert norm.running_mean is not buffer
    assert norm.num_batches_tracked.is_cuda
    assert net.to(0) is net
    assert net.cuda(0) is net
    assert net.to("cpu", tg.float64)[0].weight.dtype is tg.float64
    assert not net[0].weight.is_cuda
    assert net.to_empty(device="cuda")[0].weight.is_cuda


def test_state_goes_where_it_is_wanted() -> None:
    net, twin = nn.Linear(3, 2), nn.Linear(3, 2, device="cuda")
    twin.load_state_dict(net.state_dict())
    assert twin.weight.is_cuda
    assert tg.equal(twin.weight.cpu(), net.weight)
    net.load_state_dict(twin.state_dict())
    assert not net.weight.is_cuda
    optimizer = tg.optim.Adam(net.parameters())
    net(tg.ones(1, 3)).sum().backward()
    optimizer.step()
    moved = tg.optim.Adam(twin.parameters())
    moved.load_state_dict(optimizer.state_dict())
    assert all(s["exp_avg"].is_cuda for s in moved.state.values())


def test_files_and_pickles() -> None:
    x = tg.arange(6.0).reshape(2, 3).cuda()
    file = io.BytesIO()
    tg.save({"x": x}, file)
    for where, want in ((None, "cpu"), ("cpu", "cpu"), ("cuda", "cuda:0"), (tg.device("cuda:0"), "cuda:0")):
        file.seek(0)
        found = tg.load(file, map_location=where)["x"]
        assert found.device == tg.device(want)
        assert found.tolist() == x.tolist()
    parameter = nn.Parameter(x)
    for made in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), pickle.loads(pickle.dumps(parameter))):
        assert made.device == x.device
        assert made.tolist() == x.tolist()
    assert pickle.loads(pickle.dumps(parameter)).requires_grad
    assert str(x[0]) == "tensor([0., 1., 2.], device='cuda:0')"


def test_a_net_is_trained_on_tensors_that_come_batch_by_batch() -> None:
    def losses(device: str) -> list[float]:
        tg.manual_seed(2)
        net = nn.Linear(3, 1).to(device)
        data = tg.utils.data.TensorDataset(tg.rand(64, 3), tg.rand(64, 1))
        found = []
        for x, y in tg.utils.data.DataLoader(data, 16, pin_memory=True):
            assert x.is_pinned()
            loss = (net(x.to(device, non_blocking=True)) - y.to(device, non_blocking=True)).square().mean()
            net.zero_grad()
            loss.backward()
            with tg.no_grad():
                for p in net.parameters():
                    p -= 0.1 * p.grad
            found.append(loss.item())
        return found

    assert losses("cuda") == losses("cpu")


# ---- what comes along from the CPU

READ = {
    "list": lambda x: x[[0, 2]],
    "array": lambda x: x[np.array([2, 0])],
    "mask of numpy's": lambda x: x[np.array([True, False, True])],
    "tensor": lambda x: x[tg.tensor([1, 1]), 1:],
    "mask": lambda x: x[tg.tensor([False, True, True])],
    "number": lambda x: x[tg.tensor(1)],
    "truth": lambda x: x[True],
    "nothing": lambda x: x[[]],
}
WRITTEN = {
    "number by list": ([0, 2], 5.0),
    "number by mask": (np.array([True, False, True]), 1),
    "row": (1, tg.ones(4)),
    "another dtype": (1, tg.ones(4, dtype=tg.float64)),
    "array": ((slice(None), 2), np.arange(3.0)),
    "rows by list": ([0, 1], tg.arange(8.0).reshape(1, 2, 4)),
    "number of the CPU": ((0, 0), tg.tensor(3.0)),
}


@pytest.mark.parametrize("name", READ)
def test_indices_come_along(name: str) -> None:
    x = tg.arange(12.0).reshape(3, 4)
    there = READ[name](x.to("cuda"))
    assert there.is_cuda
    assert there.tolist() == READ[name](x).tolist()


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_comes_along(name: str) -> None:
    key, value = WRITTEN[name]
    x = tg.arange(12.0).reshape(3, 4)
    there = x.to("cuda")
    x[key] = value
    there[key] = value
    assert there.is_cuda
    assert there.tolist() == x.tolist()


def test_the_gradient_of_what_is_written_goes_back() -> None:
    y = tg.tensor([1.0, 2.0], requires_grad=True)
    x = tg.zeros(3, 2, device="cuda")
    x[1] = y
    x[[0, 2]] = y * 3
    (x * x).sum().backward()
    assert y.grad.device == tg.device("cpu")
    assert y.grad.tolist() == [38.0, 76.0]


def test_an_index_on_a_gpu_does_not_come_to_the_cpu() -> None:
    with pytest.raises(RuntimeError, match=r"\[getitem\] tensors are on cpu and cuda:0, expected one device"):
        tg.ones(3)[tg.tensor([0], device="cuda")]


def test_functions_made_of_rows_stay_there() -> None:
    x = tg.tensor([3.0, 1.0, 3.0], device="cuda")
    values, inverse, counts = tg.unique(x, return_inverse=True, return_counts=True)
    assert [t.tolist() for t in (values, inverse, counts)] == [[1.0, 3.0], [1, 0, 1], [1, 2]]
    for made in (values, inverse, counts, tg.quantile(x, 0.5), tg.xlogy(2.0, x), tg.xlogy(x, 2.0), x[:0].median()):
        assert made.is_cuda


def test_a_name_that_is_no_device() -> None:
    for move in (tg.ones(2).to, nn.Linear(2, 2).to):
        with pytest.raises(RuntimeError, match=r"\[device\] got 'gpu', expected 'cpu' or 'cuda'"):
            move("gpu")


@pytest.mark.parametrize("layer", [nn.AlphaDropout, nn.FeatureAlphaDropout, lambda: nn.DropConnect(4, 2)])
def test_masks_are_made_beside_what_they_mask(layer: Any) -> None:
    x = tg.ones(3, 4)
    given = {}
    for device in ("cpu", "cuda"):
        tg.manual_seed(3)
        given[device] = layer().to(device)(x.to(device))
    assert given["cuda"].is_cuda
    assert bytes(given["cuda"].detach().cpu().numpy()) == bytes(given["cpu"].detach().numpy())
