"""Data: events in a `Table`, seeded splits, standardisation, toy physics that needs no download, public data sets, and files
of one's own.

>>> import trigrad as tg
>>> jets = tg.data.toy_jets(1000, seed=1)
>>> jets
<toy jets, seed 1: 1000 events, 16 features, 5 classes g q w z t>
>>> train, test = jets.split(0.8, 0.2, seed=0)
>>> scale = tg.data.Standardizer().fit(train)
>>> scale.transform(test.X).shape
(200, 16)

Generators are made of trigrad's own random numbers and functions: a seed gives the same bits on every machine, and the first
events of a longer sample are those of a shorter one.
"""

from __future__ import annotations

from trigrad.data._download import folder_of_data as folder_of_data
from trigrad.data._ising import ising as ising
from trigrad.data._jets import toy_jets as toy_jets
from trigrad.data._pairs import toy_susy as toy_susy
from trigrad.data._points import playground as playground
from trigrad.data._points import red_blue as red_blue
from trigrad.data._public import ecal as ecal
from trigrad.data._public import higgs as higgs
from trigrad.data._public import hls4ml_jets as hls4ml_jets
from trigrad.data._public import mnist as mnist
from trigrad.data._public import susy as susy
from trigrad.data._reading import read as read
from trigrad.data._scaling import Standardizer as Standardizer
from trigrad.data._showers import toy_particles as toy_particles
from trigrad.data._showers import toy_showers as toy_showers
from trigrad.data._splits import folds as folds
from trigrad.data._splits import split_rows as split_rows
from trigrad.data._table import Table as Table

__all__ = [
    "Standardizer",
    "Table",
    "ecal",
    "folder_of_data",
    "folds",
    "higgs",
    "hls4ml_jets",
    "ising",
    "mnist",
    "playground",
    "read",
    "red_blue",
    "split_rows",
    "susy",
    "toy_jets",
    "toy_particles",
    "toy_showers",
    "toy_susy",
]
