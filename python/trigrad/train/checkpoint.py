"""All that a training is made of at one moment, so that it goes on elsewhere as if it had not stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from trigrad._autograd import no_grad
from trigrad._core import Tensor
from trigrad._random import Generator, default_generator
from trigrad._random import _rebuild as rebuilt
from trigrad.nn.module import Module
from trigrad.train.history import History

if TYPE_CHECKING:
    from trigrad.train.trainer import Trainer

KIND = "trigrad.train.checkpoint"
KEYS = {"kind", "made_with", "model", "loss", "optimizer", "schedulers", "callbacks"} | {
    "history",
    "position",
    "rng",
    "data",
}
# What comes of parts that are not what they were.
DAMAGES = (TypeError, ValueError, KeyError, AttributeError, RuntimeError, IndexError)


@dataclass
class Position:
    """How far a training is: epochs that were completed, and batches of the one that was begun."""

    epoch: int = 0
    batch: int = 0
    losses: Tensor | None = None  # of these batches
    lr: float | None = None  # the learning rate at the beginning of that epoch
    rows: Tensor | None = None  # how many events each had
    order: Tensor | tuple[int, int] | None = None  # where the generator was before the permutation of this epoch
    split: Tensor | None = None  # and before it drew which events are held out
    generator: Tensor | None = None  # where the generator that fit() was given is now
    default: Tensor | None = None  # where the default generator is now


@dataclass
class Facts:
    """What is remembered of the data of a training."""

    rows: int | None = None
    batch_size: int | None = None
    shuffle: bool = True
    share: float = 0.0  # that is held out
    hash: str | None = None


@dataclass
class Running:
    """The present state of a trainer."""

    position: Position = field(default_factory=Position)
    facts: Facts = field(default_factory=Facts)
    generator: Generator | None = None
    is_torn: bool = False  # was a step interrupted in the middle?


def tensors_of(module: Any) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers of a module, perhaps a compiled one, those included that a state dict leaves out."""
    module = getattr(module, "__wrapped__", module)
    if isinstance(module, Module):
        yield from module.named_parameters()
        yield from module.named_buffers()


def contents(trainer: Trainer) -> dict[str, Tensor]:
    """The numbers of the model by name, and what else the optimizer changes."""
    model = getattr(trainer.model, "__wrapped__", trainer.model)  # of a compiled one
    if not isinstance(model, Module):
        raise TypeError(
            f"[Trainer] the model is a {type(model).__name__}, whose numbers cannot be kept; expected a module, which knows its "
            "parameters and buffers"
        )
    found = dict(tensors_of(model))
    known = {*found.values(), *(t for _, t in tensors_of(trainer.loss))}
    others = (p for group in trainer.optimizer.param_groups for p in group["params"] if p not in known)
    return found | {f"optimizer {i}": p for i, p in enumerate(others)}


def everything(trainer: Trainer) -> dict[str, Tensor]:
    """That, and the numbers of the loss."""
    return contents(trainer) | {f"loss {name}": t for name, t in tensors_of(trainer.loss)}


def copies(trainer: Trainer) -> dict[str, Tensor]:
    """What `everything` gives, as it is now."""
    return {name: t.detach().clone() for name, t in everything(trainer).items()}


def put_back(held: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """The same numbers in the same memory."""
    with no_grad():
        for name, tensor in held.items():
            tensor.copy_(given[name].to(tensor.device))


def kind(part: Any) -> str:
    """The class of an optimizer or a schedule, with those that it is made of."""
    inner = ", ".join(kind(schedule) for schedule in getattr(part, "_schedulers", ()))
    return f"{type(part).__name__}({inner})" if inner else type(part).__name__


def _made_with(trainer: Trainer) -> dict[str, str | None]:
    """What has states that no other class can go on with."""
    parts = zip(("optimizer", "scheduler", "step_scheduler"), (trainer.optimizer, *trainer._schedulers), strict=True)
    return {name: None if part is None else kind(part) for name, part in parts}


def alike(own: Any, given: Any) -> bool:
    """Are these states of the same kind? Numbers may differ, names and lengths may not."""
    if isinstance(own, dict) and isinstance(given, dict):
        words = [{key for key in state if isinstance(key, str)} for state in (own, given)]
        return words[0] == words[1] and all(alike(own[key], given[key]) for key in own if key in given)
    if isinstance(own, (list, tuple)) and isinstance(given, (list, tuple)):
        return len(own) == len(given) and all(map(alike, own, given))
    if isinstance(own, (int, float)):
        return isinstance(given, (int, float))
    return own is None or type(own) is type(given)


def misfit(what: str, held: Mapping[str, Tensor], given: Any) -> str | None:
    if not isinstance(given, dict) or set(given) != set(held):
        odd = sorted(set(given) ^ set(held))[:3] if isinstance(given, dict) else given
        return f"its {what} has other tensors: {odd!r:.200}"
    for name, tensor in held.items():
        other = given[name]
        if not isinstance(other, Tensor) or other.dtype is not tensor.dtype or other.shape != tensor.shape:
            got = f"{tuple(other.shape)} of {other.dtype}" if isinstance(other, Tensor) else f"a {type(other).__name__}"
            return f"{name} of its {what} is {got}, expected {tuple(tensor.shape)} of {tensor.dtype}"
    return None


def gather(trainer: Trainer) -> dict[str, Any]:
    """What a file holds (docs/training.md)."""
    now, held = trainer._running, contents(trainer)
    position = dict(vars(now.position))
    position["generator"] = None if now.generator is None else now.generator.get_state()
    position["default"] = default_generator.get_state()
    if isinstance(position["order"], tuple):
        position["order"] = rebuilt(*position["order"]).get_state()
    rng = {name: position.pop(name) for name in ("default", "generator", "order", "split")}
    return {
        "kind": KIND,
        "made_with": _made_with(trainer),
        "model": {
            "tensors": {name: t.detach() for name, t in held.items()},
            "learned": [name for name, t in held.items() if t.requires_grad],
        },
        "loss": {name: t.detach() for name, t in tensors_of(trainer.loss)},
        "optimizer": trainer.optimizer.state_dict(),
        "schedulers": [None if s is None else s.state_dict() for s in trainer._schedulers],
        "callbacks": [[type(c).__name__, c.state_dict()] for c in trainer._callbacks],
        "history": dict(trainer.history),
        "position": position,
        "rng": rng,
        "data": dict(vars(now.facts)),
    }


def check(trainer: Trainer, state: Any) -> None:
    """Refuses what cannot be gone on from, before anything is changed."""

    def fail(what: str) -> NoReturn:
        raise ValueError(f"[load_checkpoint] {what}")

    if not isinstance(state, dict) or state.get("kind") != KIND:
        fail(
            "the file is no checkpoint of a training; one is written by trainer.save_checkpoint() and train.Checkpoint"
        )
    if set(state) != KEYS:
        missing = sorted(KEYS - set(state))
        fail(
            f"the checkpoint lacks {missing}"
            if missing
            else f"the checkpoint has unknown parts {sorted(set(state) - KEYS)}"
        )
    rng = state["rng"]
    if not isinstance(rng, dict) or not isinstance(rng.get("default"), Tensor):
        fail(
            "the checkpoint has no state of the random generator, without which the training cannot go on as it would have; "
            "load its weights alone with tg.load(path)['model']['tensors']"
        )
    try:
        for generator in rng.values():
            if generator is not None:
                Generator().set_state(generator)
        position, facts = Position(**state["position"], **rng), Facts(**state["data"])
        tensors, schedules, learned = state["model"]["tensors"], tuple(state["schedulers"]), state["model"]["learned"]
        kinds: list[tuple[Any, Any]] = [(x, int) for x in (position.epoch, position.batch)]
        kinds += [(x, Tensor) for x in (position.losses, position.rows) if x is not None]
        kinds += [(x, (int, float, str)) for x in (*vars(facts).values(), position.lr) if x is not None]
        kinds += [(learned, list), *((s, dict) for _, s in state["callbacks"])]
        kinds += [(s, dict) for s in schedules if s is not None]
        kinds += [(numbers, list) for numbers in state["history"].values()]
        sound = all(isinstance(x, kind) for x, kind in kinds)
        sound = sound and all(t.is_floating_point() for name, t in tensors.items() if name in learned)
        sound = (
            sound
            and position.epoch >= 0
            and position.batch == (len(position.losses) if position.losses is not None else 0)
        )
    except DAMAGES as error:
        fail(f"a part of the checkpoint is damaged: {error}")
    if not sound or len(schedules) != len(trainer._schedulers):
        fail("a part of the checkpoint is damaged")
    for what, held, given in (
        ("model", contents(trainer), tensors),
        ("loss", dict(tensors_of(trainer.loss)), state["loss"]),
    ):
        if (wrong := misfit(what, held, given)) is not None:
            fail(f"the checkpoint does not fit: {wrong}")
    for name, mine in _made_with(trainer).items():
        theirs = state["made_with"].get(name) if isinstance(state["made_with"], dict) else "unknown"
        if repr(mine) != repr(theirs):
            got, expected = (f"with the {name} {x}" if x is not None else f"without a {name}" for x in (theirs, mine))
            fail(f"the checkpoint was written {got}, but this trainer is {expected}; expected the same trainer")
    if not _same_numbering(trainer.optimizer, state["optimizer"]):
        fail("the checkpoint does not fit: its optimizer numbers the parameters otherwise")
    for name, schedule, given in zip(("scheduler", "step_scheduler"), trainer._schedulers, schedules, strict=True):
        own = None if schedule is None else schedule.state_dict()
        if type(own) is not type(given) or not alike(own, given):
            fail(f"the checkpoint does not fit: its {name} has the state {given!r:.200}")


def _same_numbering(optimizer: Any, given: Any) -> bool:
    own = [group["params"] for group in optimizer.state_dict()["param_groups"]]
    try:
        same = own == [group["params"] for group in given["param_groups"]]
        strange = set(given["state"]) - {n for numbers in own for n in numbers}
        return same and not (strange and hasattr(optimizer, "_row"))  # one of yours may keep what it likes
    except DAMAGES:
        return False


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Go back to a state that was checked; callbacks get theirs when fit() knows them."""
    try:
        trainer.optimizer.load_state_dict(state["optimizer"])  # whole or not at all
    except DAMAGES as error:
        raise ValueError(f"[load_checkpoint] the state of the optimizer does not fit: {error}") from None
    held = contents(trainer)
    put_back(held, state["model"]["tensors"])
    for name, tensor in held.items():
        if tensor.requires_grad != (name in state["model"]["learned"]):
            tensor.requires_grad_(not tensor.requires_grad)
    put_back(dict(tensors_of(trainer.loss)), state["loss"])
    for schedule, given in zip(trainer._schedulers, state["schedulers"], strict=True):
        if schedule is not None:
            schedule.load_state_dict(given)
    trainer.history = History(state["history"])
    default_generator.set_state(state["rng"]["default"])
    trainer._running = Running(Position(**state["position"], **state["rng"]), Facts(**state["data"]))
    trainer._pending = state["callbacks"]


def restore_callbacks(callbacks: list[Any], saved: list[Any]) -> None:
    """The states of callbacks, in the order in which they were given; those that have none may come and go."""
    with_state = [(name, state) for name, state in saved if state]
    wanted = [c for c in callbacks if c.state_dict()]
    if [name for name, _ in with_state] != [type(c).__name__ for c in wanted]:
        raise ValueError(
            f"[fit] the checkpoint has the state of the callbacks {[n for n, _ in with_state]}, but this fit has "
            f"{[type(c).__name__ for c in wanted]}; give it the same ones"
        )
    for callback, (name, state) in zip(wanted, with_state, strict=True):
        try:
            callback.load_state_dict(state)
        except DAMAGES as error:
            raise ValueError(
                f"[fit] the state of {name} in the checkpoint is damaged or of another one: {error!r}"
            ) from None
