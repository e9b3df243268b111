"""Training scripts as they are written for PyTorch, with the import changed: mixed precision, a model on several GPUs, batches that
are brought while the one before is learned, steps kept as graphs, times by events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trigrad as torch
from trigrad import nn
from trigrad.amp import GradScaler, autocast
from trigrad.nn import functional as F
from trigrad.utils.data import DataLoader, Dataset, TensorDataset

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture(autouse=True)
def _switches() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.allow_tf32
    yield
    cudnn.benchmark, cudnn.allow_tf32 = before
    torch.cuda.allow_tf32 = False


class Toys(Dataset):
    def __init__(self, events: int) -> None:
        self.x = torch.randn(events, 8, generator=torch.Generator().manual_seed(1))
        self.y = (self.x.sum(1) > 0).long()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        return self.x[i], self.y[i]


def test_mixed_precision_with_a_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.cuda.manual_seed_all(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    assert torch.cuda.is_available()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    said = f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, "
    assert torch.cuda.get_device_name(0) in said + f"{torch.cuda.get_device_properties(device)}"
    data = Toys(256)
    loader = DataLoader(TensorDataset(data.x, data.y), 64, shuffle=True, num_workers=2, pin_memory=True, drop_last=True)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    scaler = GradScaler("cuda", enabled=True)
    torch.cuda.reset_peak_memory_stats()
    losses = []
    for _ in range(3):
        total = 0.0
        for x, y in loader:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            optimizer.zero_grad(set_to_none=True)
            with autocast(device_type="cuda", dtype=torch.float16):
                out = model(x)
                loss = F.cross_entropy(out, y)
            assert out.dtype is torch.float16
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            total += loss.item() * x.size(0)
        schedule.step()
        losses.append(total / len(loader.dataset))
    assert losses[-1] < 0.8 * losses[0]
    assert 0 < torch.cuda.max_memory_allocated(device) <= torch.cuda.max_memory_reserved()
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    checkpoint = {name: part.state_dict() for name, part in parts.items()}
    checkpoint |= {"rng": torch.get_rng_state(), "cuda_rng": torch.cuda.get_rng_state_all()}
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    want = torch.rand(4, device=device).tolist()
    found = torch.load(tmp_path / "checkpoint.pt", map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(found[name])
    torch.set_rng_state(found["rng"].cpu())
    torch.cuda.set_rng_state_all([state.cpu() for state in found["cuda_rng"]])
    assert torch.rand(4, device=device).tolist() == want


def test_a_model_on_two_gpus() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 16).to("cuda:0"), nn.Linear(16, 2).cuda(1)

        def forward(self, x: Any) -> Any:
            return self.b(torch.relu(self.a(x.to("cuda:0", non_blocking=True))).to(self.b.weight.device))

    torch.manual_seed(0)
    data, net = Toys(128), Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9, foreach=True)
    targets = data.y.to(torch.device("cuda", 1))
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(data.x), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert (loss.device.index, loss.get_device(), loss.is_cuda) == (1, 1, True)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(2**50, device="cuda:1")
    for k in range(torch.cuda.device_count()):
        torch.cuda.synchronize(k)
    torch.accelerator.set_device_index(1)
    assert torch.ones(2, device="cuda").device.index == torch.accelerator.current_device_index() == 1
    torch.accelerator.set_device_index(0)


def test_batches_come_on_a_stream_of_their_own() -> None:
    class Prefetcher:
        def __init__(self, loader: Any) -> None:
            self.loader, self.stream = iter(loader), torch.cuda.Stream()
            self.preload()

        def preload(self) -> None:
            self.batch = next(self.loader, None)
            if self.batch is not None:
                with torch.cuda.stream(self.stream):
                    self.batch = [t.cuda(non_blocking=True) for t in self.batch]

        def next(self) -> Any:
            torch.cuda.current_stream().wait_stream(self.stream)
            batch = self.batch
            if batch is not None:
                for t in batch:
                    t.record_stream(torch.cuda.current_stream())
                self.preload()
            return batch

    loader = DataLoader(Toys(300), batch_size=64, shuffle=True, pin_memory=True, generator=torch.Generator())
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2)).cuda()
    optimizer, criterion = torch.optim.Adam(model.parameters(), 1e-2), nn.CrossEntropyLoss().cuda()
    losses = []
    for _ in range(3):
        batches, running = Prefetcher(loader), torch.zeros((), device="cuda")
        while (batch := batches.next()) is not None:
            assert batch[0].is_cuda
            loss = criterion(model(batch[0]), batch[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.detach()
        losses.append((running / len(loader)).item())
    assert losses[-1] < 0.7 * losses[0]
    host = torch.empty(64, 8, pin_memory=True)
    there = torch.randn(64, 8, device="cuda")
    host.copy_(there, non_blocking=True)
    torch.cuda.current_stream().synchronize()
    assert torch.equal(host, there.cpu())


def test_a_step_as_a_graph_and_its_time() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, capturable=True)

    @torch.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    data = Toys(256)
    x, y = torch.empty(64, 8, device="cuda"), torch.empty(64, dtype=torch.long, device="cuda")
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    losses, times = [], []
    for k in range(12):
        rows = slice(64 * (k % 4), 64 * (k % 4) + 64)
        x.copy_(data.x[rows], non_blocking=True)
        y.copy_(data.y[rows], non_blocking=True)
        begin.record()
        losses.append(step(x, y).item())
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    assert losses[-1] < losses[0]
    assert min(times) >= 0
    with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16):
        assert model(x).dtype is torch.bfloat16
