"""What a network does inside: numbers that say whether it can learn."""

from __future__ import annotations

from trigrad.diagnostics.flow import *
from trigrad.diagnostics.generalization import *
from trigrad.diagnostics.landscape import *
from trigrad.diagnostics.membership import *
from trigrad.diagnostics.phases import *
from trigrad.diagnostics.recording import *
from trigrad.diagnostics.saturation import *
from trigrad.diagnostics.sharpness import *
from trigrad.diagnostics.shift import *
from trigrad.diagnostics.smoothness import *
