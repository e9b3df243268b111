"""Sessions for development: ``nox`` runs the quick ones, ``nox -s NAME`` one of them, ``nox -l`` lists all."""

from __future__ import annotations

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests-3.11"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Install as a user would, then run pytest; arguments after -- go to it."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def coverage(session: nox.Session) -> None:
    """Pytest with torch to compare with, and the coverage report."""
    session.install(".[test,peers]")
    session.run("pytest", "--cov", "--cov-report=term", *session.posargs)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Ruff and clang-format, which change files here."""
    session.install("-e", ".[dev]")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Mypy, strict, over the package."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the site into build/site, broken links being errors."""
    session.install(".[docs]")
    session.run("python", "tools/site_pages.py")


@nox.session(python=PYTHONS[0])
@nox.parametrize("preset", ["dev", "release", "asan-ubsan", "tsan", "clang-tidy"])
def cpp(session: nox.Session, preset: str) -> None:
    """Build the core without Python and run its tests."""
    session.install("cmake", "ninja", *(["clang-tidy"] if preset == "clang-tidy" else []))
    session.run("cmake", "--preset", preset)
    session.run("cmake", "--build", "--preset", preset)
    if preset != "clang-tidy":
        session.run("ctest", "--preset", preset, *session.posargs)


@nox.session(python=PYTHONS[0])
def build(session: nox.Session) -> None:
    """Source archive and wheel into dist/."""
    session.install("build")
    session.run("python", "-m", "build")
