# A noisy straight line in five dimensions: mini-batches, a schedule, the best model kept
import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(1)
x = torch.randn(600, 5)
truth = torch.linspace(-1, 1, 5)
y = x @ truth + 0.5 + 0.1 * torch.randn(600)
train, valid = random_split(TensorDataset(x, y), [500, 100], generator=torch.Generator().manual_seed(2))
loader = DataLoader(train, batch_size=50, shuffle=True, drop_last=True)

model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
best, best_state = float("inf"), None
history = []

for _epoch in range(15):
    model.train()
    for xb, yb in loader:
        loss = F.mse_loss(model(xb).squeeze(-1), yb)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
        optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        val = sum(F.mse_loss(model(xb)[:, 0], yb, reduction="sum").item() for xb, yb in DataLoader(valid, 32))
    history.append(val / len(valid))
    if history[-1] < best:
        best, best_state = history[-1], copy.deepcopy(model.state_dict())

model.load_state_dict(best_state)
print(f"best validation loss {best:.4f}, last learning rate {scheduler.get_last_lr()[0]:.2e}")
assert best < 0.05
assert best < history[0] / 2
