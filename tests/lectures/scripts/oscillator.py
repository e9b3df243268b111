# u'' + 4u' + 400u = 0 with u(0) = 1, u'(0) = 0: a network that learns a differential equation from its derivatives
import numpy as np
import torch
import torch.nn as nn

device = (
    "cuda" if torch.cuda.is_available()
    else "mps" if torch.backends.mps.is_available()
    else "cpu"
)
torch.manual_seed(5)
torch.use_deterministic_algorithms(True)


class FCN(nn.Module):
    def __init__(self, n_input, n_output, n_hidden, n_layers):
        super().__init__()
        activation = nn.Tanh
        self.start = nn.Sequential(*[nn.Linear(n_input, n_hidden), activation()])
        self.hidden = nn.Sequential(
            *[nn.Sequential(*[nn.Linear(n_hidden, n_hidden), activation()]) for _ in range(n_layers - 1)]
        )
        self.end = nn.Linear(n_hidden, n_output)

    def forward(self, x):
        return self.end(self.hidden(self.start(x)))


d, w0 = 2, 20
times = torch.Tensor(np.linspace(0, 0.3, 31)).view(-1, 1).to(device)
exact = torch.exp(-d * times) * (torch.cos((w0**2 - d**2) ** 0.5 * times) + d / (w0**2 - d**2) ** 0.5 * torch.sin((w0**2 - d**2) ** 0.5 * times))
pinn = FCN(1, 1, 16, 2).to(device)
t0 = torch.tensor(0.0).view(-1, 1).to(device).requires_grad_(True)
t = times.clone().requires_grad_(True)
optimizer = torch.optim.LBFGS(pinn.parameters(), max_iter=150, line_search_fn="strong_wolfe")


def derivative(y, x):
    return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]


def closure():
    optimizer.zero_grad()
    u0 = pinn(t0)
    loss = (torch.squeeze(u0) - 1) ** 2 + 1e-2 * torch.squeeze(derivative(u0, t0)) ** 2
    u = pinn(t)
    du = derivative(u, t)
    ddu = derivative(du, t)
    loss = loss + 1e-4 * torch.mean((ddu + 2 * d * du + w0**2 * u) ** 2)
    loss.backward()
    return loss


first = closure().item()
for _ in range(4):
    last = optimizer.step(closure)
error = (pinn(times) - exact).abs().max().item()
print(f"loss {first:.3f} -> {closure().item():.5f}, greatest error {error:.3f}")
assert closure() < first / 100
assert error < 0.1
