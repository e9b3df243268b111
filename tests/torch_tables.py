"""The tables of torch_cases_*.py as one."""

from __future__ import annotations

import torch_cases_indexing
import torch_cases_linalg
import torch_cases_more
import torch_cases_pointwise
import torch_cases_reducing
import torch_cases_shaping

CASES = [
    *torch_cases_pointwise.CASES,
    *torch_cases_reducing.CASES,
    *torch_cases_linalg.CASES,
    *torch_cases_indexing.CASES,
    *torch_cases_shaping.CASES,
    *torch_cases_more.CASES,
]
