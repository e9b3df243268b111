"""What training needs beside the network."""

from __future__ import annotations

from trigrad.utils import data as data

del annotations
