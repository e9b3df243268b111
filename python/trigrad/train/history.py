"""What the epochs of a training gave."""

from __future__ import annotations


class History(dict[str, list[float]]):
    """One number per epoch under each name: "loss"; "val_loss" if there was something to validate on; "lr", the learning rate
    of the first group, if there was a schedule.
    """

    def append(self, **numbers: float) -> None:
        """What one more epoch gave."""
        for name, number in numbers.items():
            self.setdefault(name, []).append(number)

    def __repr__(self) -> str:
        epochs = len(self.get("loss", ()))
        last = ", ".join(f"{name} {numbers[-1]:.6g}" for name, numbers in self.items())
        return f"<trigrad history of {epochs} epoch{'s' * (epochs != 1)}{': ' * bool(last)}{last}>"
