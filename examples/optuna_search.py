"""Optuna chooses the settings: learning rate, width and depth of a network for toy jets, in a file from which it goes on.

pip install 'trigrad[optuna]'; python examples/optuna_search.py [trials]
"""

from __future__ import annotations

import sys

import optuna

import trigrad as tg
from trigrad import nn


class Report(tg.train.Callback):
    """Tells Optuna how an epoch was, which ends trainings that are worse than others were by then."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_epoch_end(self, trainer: tg.Trainer, numbers: dict[str, float]) -> None:
        self.trial.report(numbers["val_accuracy"], trainer.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def objective(trial: optuna.Trial) -> float:
    """Accuracy on events that were held out."""
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    width = trial.suggest_int("width", 4, 64, log=True)
    depth = trial.suggest_int("depth", 1, 3)
    train, held = tg.data.toy_jets(4000, seed=0).split(0.8, 0.2, seed=0)
    scale = tg.data.Standardizer().fit(train)
    tg.manual_seed(0)
    hidden = [part for k in range(depth) for part in (nn.Linear(width if k else 16, width), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(width, 5))
    trainer = tg.Trainer(model, nn.CrossEntropyLoss(), tg.optim.Adam(model.parameters(), lr=lr), metrics=["accuracy"])
    validation = scale.transform(held.X), held.y
    trainer.fit(
        *(scale.transform(train.X), train.y),
        epochs=10,
        batch_size=100,
        validation_data=validation,
        callbacks=[Report(trial)],
    )
    return trainer.history["val_accuracy"][-1]


def search(trials: int, storage: str | None = "sqlite:///optuna_search.db") -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler, pruner = optuna.samplers.TPESampler(seed=0), optuna.pruners.MedianPruner()
    study = optuna.create_study(
        storage=storage, study_name="jets", direction="maximize", sampler=sampler, pruner=pruner, load_if_exists=True
    )
    study.optimize(objective, n_trials=trials)
    return study


if __name__ == "__main__":
    study = search(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print(f"{len(study.trials)} trials, the best with {study.best_params}: accuracy {study.best_value:.3f}")
