"""The loss as a function of the parameters alone: what the pictures and numbers of its landscape are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeAlias

from trigrad import _core, ops
from trigrad._autograd import enable_grad, grad, no_grad
from trigrad._core import Tensor
from trigrad._random import default_generator
from trigrad.nn.module import Module
from trigrad.nn.utils import parameters_to_vector, vector_to_parameters

__all__: list[str] = []

Model: TypeAlias = "Module | Tensor | Iterable[Tensor]"
Loss: TypeAlias = "Callable[[], Tensor]"


def learned(op: str, model: Model) -> list[Tensor]:
    """The parameters of a module that learn, or the tensors that were given."""
    listed = [model] if isinstance(model, Tensor) else list(model.parameters() if isinstance(model, Module) else model)
    for p in listed:
        if not isinstance(p, Tensor):
            raise TypeError(f"[{op}] model holds a {type(p).__name__}, expected a module or tensors that are learned")
    if len({id(p) for p in listed}) < len(listed):
        raise ValueError(f"[{op}] model holds a tensor twice, expected each that is learned once")
    found = [p for p in listed if p.requires_grad]
    if not found or (len(found) < len(listed) and not isinstance(model, Module)):
        raise ValueError(f"[{op}] got tensors that require no gradient, expected what the loss is to be varied in")
    return found


class Probe:
    """Reads loss() and its derivatives at any parameters, which are one vector (P,) in the order of the model's. Each reading
    starts from the same buffers and the same state of the default generator, so that a network with dropout drops the same
    units each time. Afterwards parameters, buffers and generator are as they were, bit for bit.
    """

    def __init__(self, op: str, model: Model, loss: Loss) -> None:
        self.op, self._loss = op, loss
        if not callable(loss):
            raise TypeError(f"[{op}] loss is a {type(loss).__name__}, expected a function without arguments")
        self.parameters = learned(op, model)
        buffers = list(model.buffers()) if isinstance(model, Module) else []
        self._held = [(t, t.detach().clone(), t._version) for t in (*self.parameters, *buffers)]
        self._n_parameters = len(self.parameters)
        self._draws = default_generator.get_state()
        self.start = parameters_to_vector(kept for _, kept, _ in self._held[: self._n_parameters])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put_back(self._held)

    def _put_back(self, held: list[tuple[Tensor, Tensor, int]]) -> None:
        with no_grad():
            for t, kept, version in held:
                if t._version != version:  # what no one wrote to stays as it is: a graph may have it
                    t.copy_(kept)
        default_generator.set_state(self._draws)

    def vector(self, what: str, given: Any) -> Tensor:
        """`given` as a vector that may be added to the parameters."""
        if not isinstance(given, Tensor) or tuple(given.shape) != tuple(self.start.shape):
            got = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise ValueError(
                f"[{self.op}] {what} is {got}, expected a vector with a number for each of the {self.start.numel()} "
                "parameters, such as nn.utils.parameters_to_vector gives"
            )
        vector: Tensor = given.detach().to(self.start.dtype)
        return vector

    def move(self, to: Tensor) -> None:
        vector_to_parameters(to, self.parameters)

    def value(self) -> Tensor:
        self._put_back(self._held[self._n_parameters :])
        value: Any = self._loss()
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(f"[{self.op}] loss() returned {got}, expected a tensor of one number: a mean or a sum")
        made: Tensor = value
        return made

    def loss(self) -> float:
        with no_grad():
            return float(self.value())

    def slopes(self, create_graph: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The loss, and its gradient by parameter."""
        with enable_grad():
            value = self.value()
            if not value.requires_grad:
                raise ValueError(
                    f"[{self.op}] loss() does not depend on the parameters of the model, expected one that autograd sees: not of "
                    "a compiled function, nothing detached, not under inference_mode"
                )
            found = grad(value, self.parameters, create_graph=create_graph, allow_unused=True, materialize_grads=True)
        return value.detach(), list(found)

    def gradient(self) -> tuple[float, Tensor]:
        """The loss, and its gradient (P,)."""
        value, slopes = self.slopes()
        return float(value), flat(slopes)

    def hessian_product(self) -> Callable[[Tensor], Tensor]:
        """v (P,) -> H v (P,): the gradient's derivatives along v, by a second pass back through the graph of the first."""
        slopes = [(p, s) for p, s in zip(self.parameters, self.slopes(create_graph=True)[1], strict=True)]
        curved = [i for i, (_, s) in enumerate(slopes) if s.requires_grad]  # the loss is linear in the others

        def product(v: Tensor) -> Tensor:
            v = self.vector("v", v)
            if not curved:
                return ops.fill_(_core.empty(tuple(v.shape), v.dtype, v), 0)
            pieces, first = [], 0
            for p in self.parameters:
                pieces.append(v[first : first + p.numel()].reshape(p.shape))
                first += p.numel()
            outputs, seeds = [slopes[i][1] for i in curved], [pieces[i] for i in curved]
            return flat(
                grad(outputs, self.parameters, seeds, retain_graph=True, allow_unused=True, materialize_grads=True)
            )

        return product


def flat(tensors: Iterable[Tensor]) -> Tensor:
    return parameters_to_vector(tensors).detach()


def length(v: Tensor) -> float:
    """‖v‖"""
    return float(ops.sqrt(ops.sum(ops.square(v.double()))))
