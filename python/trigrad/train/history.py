"""What the epochs of a training gave."""

from __future__ import annotations

import math


class History(dict[str, list[float]]):
    """One number per epoch under each name: "loss"; "val_loss" if there was something to validate on; "lr", the learning rate
    of the first group, if there was a schedule.

    >>> import trigrad as tg
    >>> history = tg.History()
    >>> history.append(loss=0.5)
    >>> history.append(loss=0.25)
    >>> history["loss"]
    [0.5, 0.25]
    """

    def append(self, **numbers: float) -> None:
        """What one more epoch gave. A number that some epochs do not have is NaN there."""
        epochs = len(next(iter(self.values()), ()))
        for name, number in numbers.items():
            if name not in self:
                self[name] = [math.nan] * epochs
            self[name].append(number)
        if len(numbers) < len(self):
            for held in self.values():
                held += [math.nan] * (epochs + 1 - len(held))

    def __repr__(self) -> str:
        epochs = len(self.get("loss", ()))
        last = ", ".join(f"{name} {numbers[-1]:.6g}" for name, numbers in self.items())
        return f"<trigrad history of {epochs} epoch{'s' * (epochs != 1)}{': ' * bool(last)}{last}>"
