# XOR by a network with one hidden layer
import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(0)
X = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float)
Y = torch.tensor([[0], [1], [1], [0]]).float()


class XOR(nn.Module):
    def __init__(self, hidden=8):
        super(XOR, self).__init__()
        self.fc1 = nn.Linear(2, hidden)
        self.fc2 = nn.Linear(hidden, 1)

    def forward(self, x):
        x = torch.tanh(self.fc1(x))
        return torch.sigmoid(self.fc2(x))


model = XOR()
criterion = nn.BCELoss()
optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)

for epoch in range(300):
    optimizer.zero_grad()
    output = model(X)
    loss = criterion(output, Y)
    loss.backward()
    optimizer.step()
    if epoch % 100 == 0:
        print("epoch {}: loss {:.4f}".format(epoch, loss.item()))

with torch.no_grad():
    predicted = model(X).round()
print(model)
assert torch.equal(predicted, Y)
