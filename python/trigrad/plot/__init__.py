"""Pictures of trainings, decisions and networks, by matplotlib (`pip install 'trigrad[plot]'`), which is loaded with the first.

Each function draws on `ax`, or on a figure of its own, and gives the Axes back, for titles and whatever else is to be seen in
the picture; one that draws several panels takes and gives an array of Axes. What goes in are tensors, arrays or lists. Text and
reference lines are in the colours of `matplotlib.rcParams`, nothing but legends paints a background, and the other colours stand
out from black and from white, with any colour vision: `plt.style.use("dark_background")` and `savefig(..., transparent=True)` do as
they should.

>>> import trigrad as tg
>>> ax = tg.plot.history({"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7]})
>>> ax.get_xlabel(), ax.get_ylabel()
('epoch', 'loss')
"""

from __future__ import annotations

from trigrad.plot.decisions import *
from trigrad.plot.diagrams import *
from trigrad.plot.layers import *
from trigrad.plot.planes import *
from trigrad.plot.timing import *
from trigrad.plot.trainings import *
