"""What a network does inside: numbers that say whether it can learn."""

from __future__ import annotations

from trigrad.diagnostics.phases import *
from trigrad.diagnostics.saturation import *
