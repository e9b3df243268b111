"""How each row of the op table is differentiated: RULES, by the row's name. What a rule is says `rule.py`.

A row is in RULES, or in NOT_DIFFERENTIABLE: masks, integers, places, random numbers.
"""

from __future__ import annotations

from trigrad._vjp import layers, matrices, movement, pointwise, reductions
from trigrad._vjp.rule import NOT_DIFFERENTIABLE, RULES, Rule, rule, sum_to
from trigrad._vjp.views import VIEWS

__all__ = ["NOT_DIFFERENTIABLE", "RULES", "VIEWS", "Rule", "rule", "sum_to"]

pointwise.install()
del layers, matrices, movement, reductions
