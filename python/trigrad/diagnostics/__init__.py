"""What a network does inside, and the landscape that its loss is: numbers that say whether it can learn."""

from __future__ import annotations

from trigrad.diagnostics.flow import *
from trigrad.diagnostics.landscape import *
from trigrad.diagnostics.phases import *
from trigrad.diagnostics.saturation import *
from trigrad.diagnostics.sharpness import *
from trigrad.diagnostics.smoothness import *
