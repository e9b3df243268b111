"""Data sets, samplers, and the loader that makes batches of them, under PyTorch's names. All in this process."""

from __future__ import annotations

from trigrad.utils.data.dataloader import DataLoader as DataLoader
from trigrad.utils.data.dataloader import default_collate as default_collate
from trigrad.utils.data.dataloader import default_convert as default_convert
from trigrad.utils.data.dataloader import get_worker_info as get_worker_info
from trigrad.utils.data.dataset import ChainDataset as ChainDataset
from trigrad.utils.data.dataset import ConcatDataset as ConcatDataset
from trigrad.utils.data.dataset import Dataset as Dataset
from trigrad.utils.data.dataset import IterableDataset as IterableDataset
from trigrad.utils.data.dataset import StackDataset as StackDataset
from trigrad.utils.data.dataset import Subset as Subset
from trigrad.utils.data.dataset import TensorDataset as TensorDataset
from trigrad.utils.data.dataset import random_split as random_split
from trigrad.utils.data.sampler import BatchSampler as BatchSampler
from trigrad.utils.data.sampler import RandomSampler as RandomSampler
from trigrad.utils.data.sampler import Sampler as Sampler
from trigrad.utils.data.sampler import SequentialSampler as SequentialSampler
from trigrad.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from trigrad.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler

del annotations
