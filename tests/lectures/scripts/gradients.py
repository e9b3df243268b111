# What a script does with gradients by itself: functions of its own, second derivatives, hooks, descent by hand
import torch
from torch.autograd import Function, Variable, grad


class Exp(Function):
    @staticmethod
    def forward(ctx, i):
        result = i.exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        (result,) = ctx.saved_tensors
        return grad_output * result


x = torch.tensor([0.0, 1.0, 2.0], dtype=torch.double, requires_grad=True)
(first,) = grad(Exp.apply(x).sum(), x, create_graph=True)
(second,) = grad(first.sum(), x)
assert torch.allclose(first, x.exp())
assert torch.allclose(second, x.exp())
assert torch.autograd.gradcheck(Exp.apply, (x,))

a = Variable(torch.ones(2, 2), requires_grad=True)
seen = []
b = a * 3
handle = b.register_hook(lambda g: seen.append(g.clone()))
(b**2).mean().backward()
handle.remove()
assert torch.equal(a.grad, torch.full((2, 2), 4.5))
assert torch.equal(seen[0], torch.full((2, 2), 1.5))

theta = torch.zeros(2, requires_grad=True)
target = torch.tensor([torch.pi, -torch.e])
for _ in range(200):
    cost = ((theta - target) ** 2).sum()
    cost.backward()
    with torch.no_grad():
        theta -= 0.1 * theta.grad
        theta.grad.zero_()
print(theta)
assert torch.allclose(theta.detach(), target, atol=1e-5)

hessian = torch.autograd.functional.hessian(lambda w: (w**3).sum(), torch.tensor([1.0, 2.0]))
assert torch.equal(hessian, torch.diag(torch.tensor([6.0, 12.0])))
assert not torch.isnan(hessian).any()
assert torch.tensor(torch.inf).isinf()
