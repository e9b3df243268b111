"""trigrad's threads among those that threadpoolctl knows: threadpool_limits(limits=1) holds for them too."""

from __future__ import annotations

from trigrad import _core

__all__ = ["register"]

_done = False


def register() -> None:
    """Once per process; where threadpoolctl is not installed, nothing."""
    global _done
    try:
        import threadpoolctl
    except ImportError:
        return
    if _done or not hasattr(threadpoolctl, "register"):
        return

    class TrigradController(threadpoolctl.LibController):
        user_api = "trigrad"
        internal_api = "trigrad"
        filename_prefixes = ("_core",)
        check_symbols = ("trigrad_get_num_threads",)

        def get_num_threads(self) -> int:
            return int(_core.get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            _core.set_num_threads(num_threads)

        def get_version(self) -> str:
            return str(_core.build_info()["version"])

    threadpoolctl.register(TrigradController)
    _done = True
