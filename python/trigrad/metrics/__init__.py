"""How good a classifier or a regression is: scikit-learn's names and conventions for what it has, our own for what a trigger
asks (`working_point`, `significance_scan`, `efficiency`, `binomial_interval`, `bootstrap_interval`).

Arguments are NumPy arrays, lists or tensors; results are Python floats and NumPy arrays. All sums are in float64 and in
trigrad's orders, so the result is the same on every machine. NaN is refused.

Negative weights, as of simulations beyond leading order, are taken at their word, with a `NegativeWeightWarning` for each
call: sums run over the weights as they are, and nothing is clipped, sorted or dropped. Curves may then be no longer
monotonic and leave the range from 0 to 1; areas and means are still the unbiased estimates. What needs a positive sum
(a rate of all positives, say) is NaN without one, as for a class that is not there; selections and intervals say what they
do in their own documentation.
"""

from __future__ import annotations

from trigrad.metrics._inputs import NegativeWeightWarning as NegativeWeightWarning
from trigrad.metrics._inputs import UndefinedMetricWarning as UndefinedMetricWarning
from trigrad.metrics.calibration import *
from trigrad.metrics.classification import *
from trigrad.metrics.intervals import *
from trigrad.metrics.ranking import *
from trigrad.metrics.regression import *
from trigrad.metrics.selection import *
