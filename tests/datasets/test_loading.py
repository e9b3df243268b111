"""trigrad.data comes when it is asked for, and with NumPy alone."""

from __future__ import annotations

import subprocess
import sys


def test_it_is_loaded_when_asked_for_and_needs_numpy_alone() -> None:
    code = """if True:
        import sys, trigrad as tg
        assert "trigrad.data" not in sys.modules
        print(tg.data.toy_jets(5))
        print(*sorted({"sklearn", "pandas", "h5py", "uproot", "pyarrow", "scipy"} & set(sys.modules)))
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "<toy jets, seed 0: 5 events, 16 features, 5 classes g q w z t>\n\n"
