"""The reference: every public name of trigrad, its signature and its docstring, as pages of Markdown.

`pages()` is also what the tests go through: each name has a docstring and an example, which runs.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import textwrap
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trigrad
from trigrad import _docs, ops

Op = type(ops.exp)  # a row of the op table as a function

# What `import trigrad` has at once is spread over several pages, by the file (or the file of docstrings) it comes from.
ROOMS: dict[str, tuple[str, ...]] = {
    "Tensors": ("_core", "_creation", "_dtypes", "_device", "_legacy", "_printing", ""),
    "Random numbers": ("_random",),
    "Elementwise": ("_docs.pointwise", "_docs.activations", "_elementwise"),
    "Reductions, sorts and scans": ("_reductions", "_ordering", "_docs.kernels", "_docs.ordering"),
    "Indexing": ("_indexing", "_docs.indexing"),
    "Shapes": ("_views", "_shaping", "_docs.shaping"),
    "Products": ("_linalg", "_einsum"),
    "Layers as functions": ("_functional",),
    "Gradients, plans, files": (
        "_autograd",
        "_anomaly",
        "_compile",
        "_graph",
        "_saving",
        "_paths",
        "_switches",
        "_autocast",
    ),
}
# Every other place with public names; a name that several places have is described in the first.
PLACES = (
    *("nn", "nn.functional", "nn.init", "nn.utils", "optim", "optim.lr_scheduler", "utils.data", "train", "data"),
    *("metrics", "diagnostics", "plot", "search", "realtime", "export", "sklearn", "testing"),
    *(
        "autograd",
        "autograd.functional",
        "cuda",
        "cuda.amp",
        "amp",
        "accelerator",
        "version",
        "backends",
        "backends.cuda",
        "backends.cudnn",
        "backends.mps",
    ),
)
NOT_OURS = ("annotations", "TYPE_CHECKING")


@dataclass
class Page:
    """A page: its title, the module that has the names, and what they name."""

    title: str
    module: types.ModuleType
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return "reference/" + re.sub(r"\W+", "_", self.title.lower()) + ".md"


def public(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """The public names of a module and what they stand for, other modules left out."""
    for name in getattr(module, "__all__", None) or dir(module):
        if not name.startswith("_") and name not in NOT_OURS:
            thing = getattr(module, name)
            if not inspect.ismodule(thing):
                yield name, thing


def imported(places: Iterable[str], skip_missing: bool) -> Iterator[Page]:
    for place in places:
        try:
            yield Page(f"trigrad.{place}", importlib.import_module(f"trigrad.{place}"))
        except ImportError:
            if not skip_missing:
                raise


def pages(skip_missing: bool = False) -> list[Page]:
    """All pages; those of a place whose extra is not installed are left out, or an ImportError."""
    documented = {id(getattr(ops, name)): room.__name__ for room in _docs.ROOMS for name in room.DOCS}
    rooms = [Page(title, trigrad) for title in ROOMS]
    titles = {room: page for page, names in zip(rooms, ROOMS.values(), strict=True) for room in names}
    for name, thing in public(trigrad):
        home = documented.get(id(thing)) or getattr(thing, "__module__", None) or "trigrad"
        if home.startswith("trigrad.train"):
            continue  # Trainer and History, which are described there
        titles[home.removeprefix("trigrad").removeprefix(".")].names[name] = thing
    known = {id(thing) for page in rooms for thing in page.names.values() if callable(thing)}
    places = list(imported(PLACES, skip_missing))
    for page in places:
        page.names = {name: thing for name, thing in public(page.module) if id(thing) not in known}
        known |= {id(thing) for thing in page.names.values() if callable(thing)}
    return [page for page in (*rooms, *places) if page.names]


# ---- signatures


class Said(str):
    """An annotation as it is written in the source."""

    def __repr__(self) -> str:
        return str(self)


def said(annotation: Any) -> Any:
    written = getattr(annotation, "__forward_arg__", annotation)
    return Said(written.replace("builtins.", "")) if isinstance(written, str) else annotation


def signature(name: str, thing: Any) -> str:
    """`name(a: Tensor, b=1)`, on a line per parameter where it is long; of rows of the op table the first line."""
    if isinstance(thing, Op):
        return str(thing.__doc__).partition("\n")[0]
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        first = (inspect.getdoc(thing) or "").partition("\n")[0]
        return first if first.startswith(name + "(") else name
    parameters = [p.replace(annotation=said(p.annotation)) for p in found.parameters.values() if p.name != "self"]
    kept = parameters and all(not isinstance(p.default, enum.Enum) for p in parameters)
    returns = inspect.Signature.empty if isinstance(thing, type) else said(found.return_annotation)
    text = name + str(found.replace(parameters=parameters if kept else [], return_annotation=returns))
    text = re.sub(r"<object object at \w+>|<\w+ '([\w.]+)'>|<(?:function|module) ([\w.]+)[^>]*>", r"\1\2", text)
    if len(text) <= 100:
        return text
    head, _, rest = text.partition("(")
    inner, _, result = rest.rpartition(")")
    return f"{head}(\n    " + ",\n    ".join(split(inner)) + f",\n){result}"


def split(text: str) -> list[str]:
    """At the commas that stand in no brackets and no quotes."""
    parts, depth, quoted = [""], 0, False
    for c in text:
        quoted ^= c == "'"
        depth += not quoted and (c in "([{") - (c in ")]}")
        if c == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


# ---- docstrings

SPECIAL = re.compile(r"([\\*_<>\[\]#])")


def text(lines: list[str]) -> str:
    """Plain text as Markdown: what stands between backticks stays, all else means itself."""
    pieces = re.split(r"(`+[^`]+`+)", "\n".join(lines))
    return "".join(piece if i % 2 else SPECIAL.sub(r"\\\1", piece) for i, piece in enumerate(pieces))


def fenced(language: str, lines: list[str]) -> str:
    code = textwrap.dedent("\n".join(lines))
    return f"```{language}\n" + re.sub(r"\s+# doctest:.*", "", code) + "\n```"


def markdown(docstring: str) -> str:
    """A docstring as Markdown: paragraphs, lists, indented code, examples."""
    blocks = []
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.splitlines()
        example = next((i for i, line in enumerate(lines) if line.startswith(">>>")), len(lines))
        before, after = lines[:example], lines[example:]
        if before and all(line.startswith("    ") for line in before):
            blocks.append(fenced("python", before))
        elif before:
            blocks.append(text(before))
        if after:
            blocks.append(fenced("pycon", after))
    return "\n\n".join(blocks)


def description(thing: Any) -> str:
    """The docstring without the signature that those of rows begin with."""
    found = inspect.getdoc(thing) or ""
    first, _, rest = found.partition("\n\n")
    return rest if isinstance(thing, Op) or re.fullmatch(r"\w+\(.*\)( -> .*)?", first) else found


# ---- pages


def own(thing: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class adds to those it derives from, and Tensor to the functions."""
    for name, member in vars(thing).items():
        if name.startswith("_") or (thing is trigrad.Tensor and (name.endswith("_") or hasattr(trigrad, name))):
            continue
        if inspect.isroutine(member) or isinstance(member, (property, types.GetSetDescriptorType)):
            found = getattr(thing, name)
            if inspect.getdoc(found):
                yield name, found


def in_place(name: str, thing: Any) -> bool:
    """Is it a method such as `Tensor.relu_`, by itself?"""
    return name.endswith("_") and getattr(trigrad.Tensor, name, None) is thing


def entry(module: str, name: str, thing: Any) -> str:
    full = f"{module}.{name}"
    head = f"## {name} {{ #{full} }}\n\n"
    if not callable(thing):
        kind = type(thing).__name__
        return head + f"`{full}`: " + (f"{kind}" if "object at" in repr(thing) else f"`{thing!r}`")
    if in_place(name, thing):
        return head + f"What `{name[:-1]}` does, written over its input."
    kind = "class " if isinstance(thing, type) else ""
    parts = [head + fenced("python", [kind + signature(name, thing)]), markdown(description(thing))]
    if isinstance(thing, type):
        for method, member in own(thing):
            parts.append(f"### {name}.{method} {{ #{full}.{method} }}")
            if inspect.isroutine(member):
                parts.append(fenced("python", [signature(method, member)]))
            parts.append(markdown(description(member)))
    return "\n\n".join(parts)


def methods() -> str:
    """Of `Tensor`: the methods that are functions too, which need no description of their own."""
    same = [name for name in dir(trigrad.Tensor) if not name.startswith("_") and hasattr(trigrad, name)]
    in_place = [name for name in dir(trigrad.Tensor) if not name.startswith("_") and name.endswith("_")]
    return (
        "\n\nMethods that do what the function of the same name does, with the tensor as first argument: "
        + ", ".join(f"`{name}`" for name in same)
        + ".\n\nIn place: "
        + ", ".join(f"`{name}`" for name in in_place)
        + "."
    )


def groups(page: Page) -> Iterator[tuple[str, list[str]]]:
    """Each thing's own name, and the others that it has."""
    found: dict[object, list[str]] = {}
    for name, thing in page.names.items():
        found.setdefault(id(thing) if callable(thing) or isinstance(thing, trigrad.dtype) else name, []).append(name)
    for names in found.values():
        own_name = getattr(page.names[names[0]], "__name__", None)
        first = own_name if own_name in names else names[0]
        yield first, [name for name in names if name != first]


def write(page: Page) -> str:
    module = page.module.__name__
    about = markdown(inspect.getdoc(page.module) or "") if page.module is not trigrad else ""
    parts = [f"# {page.title}", about] if about else [f"# {page.title}"]
    for name, others in groups(page):
        thing = page.names[name]
        part = entry(module, name, thing)
        if others:
            part += "\n\nAlso called " + ", ".join(f"`{module}.{other}`" for other in others) + "."
        if thing is trigrad.Tensor:
            part += methods()
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def index(all_pages: list[Page]) -> str:
    """All names, as links."""
    lines = ["# Reference", "", "Every public name, with an example that the tests run.", ""]
    for page in all_pages:
        file = page.file.partition("/")[2]
        links = [f"[`{name}`]({file}#{page.module.__name__}.{name})" for name, _ in groups(page)]
        lines.append(f"- [{page.title}]({file}): " + ", ".join(links))
    return "\n".join(lines) + "\n"
