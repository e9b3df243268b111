"""Where the package keeps what C++ programs need."""

from __future__ import annotations

from pathlib import Path

from trigrad import _core

__all__ = ["get_cmake_dir", "get_include"]


def _part(name: str) -> str:
    place = Path(_core.__file__).resolve().parent / name
    if not place.is_dir():
        raise RuntimeError(f"[get_{name}] this trigrad has no folder {place}: it was built without its C++ library")
    return str(place)


def get_include() -> str:
    """The folder of the C and C++ headers: `#include <trigrad/predictor.h>`.

    >>> from pathlib import Path
    >>> import trigrad as tg
    >>> sorted(p.name for p in Path(tg.get_include(), "trigrad").iterdir())
    ['predictor.h', 'predictor_c.h']
    """
    return _part("include")


def get_cmake_dir() -> str:
    """The folder of the CMake package: `find_package(trigrad)` finds it by -Dtrigrad_DIR=...

    >>> from pathlib import Path
    >>> import trigrad as tg
    >>> Path(tg.get_cmake_dir(), "trigradConfig.cmake").is_file()
    True
    """
    return _part("cmake")
