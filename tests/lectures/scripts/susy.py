# Two overlapping classes in 18 features, in the manner of the lectures' notebook on SUSY
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

use_cuda = torch.cuda.is_available()
device = torch.device("cuda" if use_cuda else "cpu")
kwargs = {"num_workers": 0, "pin_memory": True} if use_cuda else {}
torch.manual_seed(3)
torch.cuda.manual_seed_all(3)
torch.backends.cudnn.deterministic = True
torch.backends.cudnn.benchmark = False


class EventDataset(torch.utils.data.Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 2, n)
        self.features = rng.normal(size=(n, 18)).astype(np.float32)
        self.features[:, :4] += 1.5 * self.labels[:, None]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        return torch.from_numpy(self.features[idx]), int(self.labels[idx])


class Model(nn.Module):
    def __init__(self):
        super(Model, self).__init__()
        self.fc1 = nn.Linear(18, 50)
        self.batchnorm1 = nn.BatchNorm1d(50, eps=1e-05, momentum=0.1)
        self.batchnorm2 = nn.BatchNorm1d(20, eps=1e-05, momentum=0.1)
        self.fc2 = nn.Linear(50, 20)
        self.fc3 = nn.Linear(20, 2)

    def forward(self, x):
        x = F.relu(self.batchnorm1(self.fc1(x)))
        x = F.dropout(x, p=0.2, training=self.training)
        x = F.relu(self.batchnorm2(self.fc2(x)))
        x = self.fc3(x)
        return F.log_softmax(x, dim=1)


DNN = Model().to(device)
optimizer = optim.SGD(DNN.parameters(), lr=0.05, momentum=0.8)
train_loader = torch.utils.data.DataLoader(EventDataset(800, 0), batch_size=40, shuffle=True, **kwargs)
test_loader = torch.utils.data.DataLoader(EventDataset(400, 1), batch_size=400)

for _ in range(4):
    DNN.train()
    for data, label in train_loader:
        data, label = data.to(device), label.to(device)
        optimizer.zero_grad()
        output = DNN(data)
        loss = F.nll_loss(output, label)
        loss.backward()
        optimizer.step()


def evaluate(net):
    net.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for data, label in test_loader:
            output = net(data)
            test_loss += F.nll_loss(output, label, reduction="sum").item()
            pred = output.data.max(1, keepdim=True)[1]
            correct += pred.eq(label.data.view_as(pred)).cpu().sum().item()
    return test_loss / len(test_loader.dataset), correct / len(test_loader.dataset)


loss, accuracy = evaluate(DNN)
print("test loss {:.3f}, accuracy {:.1f}%".format(loss, 100 * accuracy))
assert accuracy > 0.88

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.pt")
    torch.save({"model": DNN.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 4}, path)
    checkpoint = torch.load(path)
again = Model()
again.load_state_dict(checkpoint["model"])
assert checkpoint["epoch"] == 4
assert evaluate(again) == (loss, accuracy)
