# Three classes of unequal size: weights of classes, accuracy, the confusion matrix
import torch
from torch import nn, optim
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

torch.manual_seed(4)
counts = torch.tensor([300, 60, 60])
means = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
labels = torch.repeat_interleave(torch.arange(3), counts)
points = means[labels] + 0.8 * torch.randn(len(labels), 2)

net = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.1), nn.Linear(16, 3))


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        m.bias.data.fill_(0.01)


net.apply(init_weights)
criterion = nn.CrossEntropyLoss(weight=counts.sum() / (3 * counts), label_smoothing=0.05)
optimizer = optim.Adam([{"params": net[0].parameters(), "lr": 0.02}, {"params": net[2].parameters()}], lr=0.01)
plateau = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=5)
steps = StepLR(optimizer, step_size=40, gamma=0.5)

for _epoch in range(80):
    order = torch.randperm(len(labels))
    running = 0.0
    for batch in order.split(70):
        optimizer.zero_grad()
        loss = criterion(net(points[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        running += loss.item() * len(batch)
    plateau.step(running)
    steps.step()

with torch.inference_mode():
    scores = net(points)
    _, predicted = torch.max(scores, 1)
    top = scores.softmax(dim=-1).topk(2).indices
confusion = torch.zeros(3, 3, dtype=torch.int64)
for t, p in zip(labels, predicted, strict=True):
    confusion[t, p] += 1
per_class = confusion.diag() / confusion.sum(1)
print(confusion, per_class)
assert (predicted == labels).float().mean() > 0.9
assert per_class.min() > 0.85
assert torch.equal(top[:, 0], predicted)
