"""A study: events become a trained network with its numbers, its report and its files, in one call.

settings.py   what is asked for, and the network that is described
progress.py   the line that tells how the training goes
judging.py    how good the network is on events that it has not seen
page.py       the report
running.py    all of it, in order
folder.py     files that appear when all of them are there
"""

from __future__ import annotations

from trigrad._study.running import run as run
from trigrad._study.saved import Saved as Saved
from trigrad._study.settings import Settings as Settings

__all__ = ["Saved", "Settings", "run"]
