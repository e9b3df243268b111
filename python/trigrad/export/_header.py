"""One freestanding C++17 header from a model: weights, kernels and the maths that they stand on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy

from trigrad import _core
from trigrad._core import Predictor
from trigrad._files import whole_file
from trigrad.export import _plan, _source
from trigrad.export._names import identifier
from trigrad.export._plan import Array, Plan
from trigrad.nn.module import Module

__all__ = ["cpp_header"]


def filled(n: int) -> int:
    return -(-n // 16) * 16


def chains(K: int, N: int) -> int:
    """math/order.h"""
    s = 4 if N <= 16 else 2 if N <= 32 else 1
    while s > 1 and 8 * s > K:
        s //= 2
    return s


def literal(value: Any) -> str:
    """The shortest decimal that is this float32."""
    s = str(numpy.float32(value))
    if s in ("inf", "-inf", "nan"):
        return {"inf": "__builtin_inff()", "-inf": "-__builtin_inff()", "nan": '__builtin_nanf("")'}[s]
    return (s if "." in s or "e" in s else s + ".0") + "f"


CPP_TYPE = {
    "float32": "float",
    "uint16": "uint16_t",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
}


def array(name: str, values: Array) -> str:
    """float32, its upper halves, or integers."""
    kind = CPP_TYPE[values.dtype.name]
    numbers = [literal(v) if kind == "float" else f"{v}" for v in values.ravel()]
    lines = [", ".join(numbers[i : i + 12]) for i in range(0, len(numbers), 12)]
    return f"alignas(64) static constexpr {kind} {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "};\n"


HALVES_FROM = 4096  # weights of bfloat16: fewer are in the first cache as float32, and need no widening
INTEGERS = {"8": "detail::isa::Bytes", "16": "detail::isa::Shorts"}


class _Writer:
    """The body of `run`, and the arrays and functions that it names."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.arrays: list[tuple[str, Array]] = []
        self.functions: dict[str, str] = {}
        self.lines: list[str] = []
        self.answer = plan.instructions[-1]["out"]
        partly = {i["out"] for i in plan.instructions if i["code"] in ("copy", "softmax", "log_softmax", "largest")}
        self.maker = {i["out"]: i for i in plan.instructions}
        for value, maker in self.maker.items():
            if value != self.answer:
                kind = {"quantize8": "uint8_t", "quantize16": "int16_t"}.get(maker["code"], "float")
                room = filled(plan.width[value]) + 16 if kind == "float" else -(-plan.width[value] // 64) * 64
                clear = value in partly or kind != "float"
                self.lines.append(f"alignas(64) {kind} v{value}[{room}]" + (" = {};" if clear else ";"))
        for k, instruction in enumerate(plan.instructions):
            self.add(k, instruction)

    def keep(self, values: Array) -> str:
        name = f"c{len(self.arrays)}"
        self.arrays.append((name, values))
        return name

    def row(self, value: int) -> str:
        return "x" if value == 0 else "y" if value == self.answer else f"v{value}"

    def function(self, name: str) -> str:
        if name not in self.functions:
            arguments, expression = _source.function(name)
            inputs = "V x, V p, V q" if arguments == 1 else "V a, V b, V p, V q"
            self.functions[name] = (
                f"struct f_{name} {{\n  template <class V>\n  TG_FN V f({inputs}) {{\n    (void)p, (void)q;\n"
                f"    return V({expression});\n  }}\n}};\n"
            )
        return f"detail::isa::f_{name}"

    def add(self, k: int, i: dict[str, Any]) -> None:
        plan, code = self.plan, i["code"]
        N, K = plan.width[i["out"]], plan.width[i["a"]]
        a, out = self.row(i["a"]), self.row(i["out"])
        exact = "true" if i["out"] == self.answer else "false"
        reads_event = "true" if 0 in (i["a"], i.get("b")) else "false"
        sizes = f"{N}, {reads_event}, {exact}"
        constants = [None if c < 0 else plan.constants[c] for c in i.get("constants", ())]
        if code == "dense":
            w, bias = constants
            assert w is not None
            column = N == 1 and chains(K, N) == 4
            if w.dtype == numpy.uint16 and (column or w.size <= HALVES_FROM):
                w = (w.astype("<u4") << 16).view("<f4")
            if column:
                packed = w[0]
            else:
                packed = numpy.zeros((K, filled(N)), w.dtype)
                packed[:, :N] = w.T
            start = numpy.zeros(filled(N), "f")
            if bias is not None:
                start[:N] = bias[0]
            relu = "true" if i.get("relu") else "false"
            call = f"dense<{K}, {N}, {relu}, {exact}>({a}, {self.keep(packed)}, {self.keep(start)}, {out})"
        elif code in ("quantize8", "quantize16"):
            packed = numpy.zeros((2, filled(N)), "f")
            for row, c in zip(packed, constants, strict=True):
                assert c is not None
                row[:N] = c[0]
            low, high = map(literal, plan.parameters[k])
            made = f"quantize<{INTEGERS[code[8:]]}, {N}>({a}, {self.keep(packed)}, {low}, {high}, {out})"
            self.lines.append(f"const auto nan{i['out']} = detail::isa::{made};")
            return
        elif code in ("dense8", "dense16"):
            call = self.integer_dense(i, constants, a, out, exact)
        elif code == "unary":
            p, q = map(literal, plan.parameters[k])
            call = f"unary<{sizes}, {self.function(i['function'])}>({a}, {out}, {p}, {q})"
        elif code == "binary":
            call = f"binary<{sizes}, {self.function(i['function'])}>({a}, {self.row(i['b'])}, {out})"
        elif code in ("affine", "prelu", "standardize"):
            packed = numpy.zeros((len(constants), filled(N)), "f")
            for row, c in zip(packed, constants, strict=True):
                assert c is not None
                row[:N] = c[0]
            call = f"{code}<{sizes}>({a}, {self.keep(packed)}, {out})"
        elif code in ("softmax", "log_softmax"):
            call = f"softmax<{N}, {'true' if code == 'log_softmax' else 'false'}>({a}, {out})"
        elif code == "largest":
            call = f"largest<{N}, {K // N}>({a}, {out})"
        elif code == "step":
            call = f"step<{sizes}>({a}, {out})"
        else:
            assert code == "copy", code
            count = i["count"]
            call = f"copy<{count}, {reads_event}, {exact}>({a} + {i['a_offset']}, {out} + {i['out_offset']})"
        self.lines.append(f"detail::isa::{call};")

    def integer_dense(self, i: dict[str, Any], constants: list[Array | None], a: str, out: str, exact: str) -> str:
        """The sums start at -(w zero); weights lie in groups of as many as fill 32 bits."""
        w, bias, scale = constants
        assert w is not None
        assert scale is not None
        zero = self.plan.constants[self.maker[i["a"]]["constants"][1]][0]
        (N, K), terms = w.shape, 4 // w.itemsize
        column = N == 1 and K >= 64
        rows = -(-K // 64) * 64 if column else -(-K // terms) * terms
        packed = numpy.zeros((rows // terms, 1 if column else filled(N), terms), w.dtype)
        whole = numpy.zeros((N, rows), w.dtype)
        whole[:, :K] = w
        packed[:, :N] = whole.reshape(N, -1, terms).transpose(1, 0, 2)
        room = 1 if column else filled(N)
        start, c = numpy.zeros(room, "<i4"), numpy.zeros((2, room), "f")
        start[:N] = -(w.astype("i8") @ zero.astype("i8"))
        c[0, :N] = scale[0]
        if bias is not None:
            c[1, :N] = bias[0]
        relu = "true" if i.get("relu") else "false"
        sizes = f"{K}, {relu}" if column else f"{K}, {N}, {relu}"
        arrays = ", ".join(map(self.keep, (packed, start, c)))
        function = "integer_column" if column else "integer_dense"
        return f"{function}<{INTEGERS[i['code'][5:]]}, {sizes}, {exact}>({a}, nan{i['a']}, {arrays}, {out})"


def _digest(arrays: list[tuple[str, Array]]) -> int:
    h = 0xCBF29CE484222325
    for _, values in arrays:
        words = values.ravel().view("<u4") if values.dtype == numpy.float32 else values.ravel().astype("i8")
        for word in (words & 0xFFFFFFFF).tolist():
            h = (h ^ word) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


HEADER = """\
// A neural network in one header, written by trigrad {version} (arithmetic version {arithmetic}). Do not edit: self_test() would tell.
//
//   {name}::run(x, y)      x[{inputs}] -> y[{outputs}], the bits that trigrad computes, on every processor and with every compiler flag
//   {name}::self_test()    the weights are those that were written, and the answers to {events} events are right
//
// Round to nearest is assumed, and that denormals are not flushed. No memory is allocated, nothing is thrown or linked.
#ifndef {guard}
#define {guard}
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "{name}: -ffast-math and its like change results; compile without"
#endif
#if defined(TG_MATH_NS)
#error "{name}: include this header before the sources of trigrad"
#endif
#include <stdint.h>
#if defined(__x86_64__) || defined(__i386__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__FMA__)
#define TG_ISA_AVX512
#elif defined(__AVX2__) && defined(__FMA__)
#define TG_ISA_AVX2
#endif
namespace {name} {{
inline constexpr int inputs = {inputs}, outputs = {outputs};
namespace detail {{
{source}
{functions}}}  // namespace tg::TG_ISA_NS
namespace isa = tg::TG_ISA_NS;
{arrays}
static constexpr uint32_t test_x[{events} * inputs] = {{
{x}}};
static constexpr uint32_t test_y[{events} * outputs] = {{
{y}}};
template <class Integer, int n>
static inline uint64_t digest(const Integer (&numbers)[n], uint64_t h) {{
  for (int i = 0; i < n; i++) h = (h ^ uint32_t(numbers[i])) * 0x100000001b3u;
  return h;
}}
template <int n>
static inline uint64_t digest(const float (&numbers)[n], uint64_t h) {{
  for (int i = 0; i < n; i++) h = (h ^ uint32_t(tg::bits(numbers[i]))) * 0x100000001b3u;
  return h;
}}
}}  // namespace detail
// static: code of one instruction set, and the weights of models of one name, keep to themselves where objects are linked.
static inline void run(const float* x, float* y) noexcept {{
  using namespace detail;
{body}
}}
static inline bool self_test() noexcept {{
  uint64_t h = 0xcbf29ce484222325u;
{hashes}
  if (h != 0x{digest:016x}u) return false;
  for (int event = 0; event < {events}; event++) {{
    float x[inputs], y[outputs];
    for (int i = 0; i < inputs; i++) x[i] = detail::tg::from_bits<float>(int32_t(detail::test_x[event * inputs + i]));
    run(x, y);
    for (int i = 0; i < outputs; i++) {{
      const float wanted = detail::tg::from_bits<float>(int32_t(detail::test_y[event * outputs + i]));
      if (detail::tg::bits(y[i]) != detail::tg::bits(wanted) && (y[i] == y[i] || wanted == wanted)) return false;
    }}
  }}
  return true;
}}
}}  // namespace {name}
{undefs}#endif
"""


def _words(values: Array) -> str:
    words = [f"0x{w:08x}" for w in numpy.ascontiguousarray(values, "<f4").ravel().view("<u4").tolist()]
    return ",\n".join(", ".join(words[i : i + 12]) for i in range(0, len(words), 12))


def cpp_header(model: Module | Predictor, path: str | Path, name: str = "model", **options: Any) -> str:
    """Write a model as one C++17 header without dependences, and return its text. `namespace name` has `inputs`, `outputs`,
    `void run(const float* x, float* y) noexcept` and `bool self_test() noexcept`; the bits are those of the predictor on
    every processor, with hardware fma or without. `options` are Predictor's, such as raw_logits and scaler. In names, other
    characters than letters and digits become underscores; what C++ or the C library has taken (class, gamma) gets an n in front.

    >>> import tempfile, trigrad as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.ReLU(), tg.nn.Linear(3, 1), tg.nn.Sigmoid())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = tg.export.cpp_header(model, f"{folder}/tagger.h", name="tagger")
    >>> "namespace tagger" in text
    True
    """
    predictor = model if isinstance(model, Predictor) else Predictor(model, **options)
    plan = _plan.read(predictor.to_bytes())
    if plan.header["refuse_nan"]:
        raise ValueError(
            "[cpp_header] the predictor refuses NaN, but run() has no way to say so; use another policy for NaN"
        )
    name = identifier(name)
    writer = _Writer(plan)
    source = _source.paste(_source.function(f)[1] for f in writer.functions)
    text = HEADER.format(
        version=_core.build_info()["version"],
        arithmetic=_core.build_info()["arithmetic_version"],
        name=name,
        guard=f"TRIGRAD_EXPORT_{name}_H",
        inputs=predictor.inputs,
        outputs=predictor.outputs,
        events=len(plan.x),
        source=source,
        functions="".join(writer.functions.values()),
        arrays="".join(array(n, v) for n, v in writer.arrays),
        x=_words(plan.x),
        y=_words(plan.y),
        body="\n".join("  " + line for line in writer.lines),
        hashes="\n".join(f"  h = detail::digest(detail::{n}, h);" for n, _ in writer.arrays),
        digest=_digest(writer.arrays),
        undefs="".join(
            f"#undef {m}\n"
            for m in sorted(set(re.findall(r"#define (TG_\w+)", source)) | {"TG_ISA_AVX512", "TG_ISA_AVX2"})
        ),
    )
    with whole_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return text
