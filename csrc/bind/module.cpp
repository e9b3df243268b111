// trigrad._core: the table of contents of the extension.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>

#include "bind/arguments.h"
#include "bind/convert.h"
#include "bind/creation.h"
#include "bind/cuda_arrays.h"
#include "bind/device.h"
#include "bind/dlpack.h"
#include "bind/dtype_type.h"
#include "bind/module.h"
#include "bind/numpy.h"
#include "bind/op_function.h"
#include "bind/latency.h"
#include "bind/predictor_type.h"
#include "bind/recording.h"
#include "bind/size_type.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "core/memory.h"
#include "core/version.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "math/pointwise_reads.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace py = pybind11;

namespace tg::bind {
namespace {

py::object as_object(PyObject* owned) { return py::reinterpret_steal<py::object>(checked(owned)); }
py::object as_object(Tensor t) { return as_object(wrap(std::move(t))); }

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (const Isa* i : available_isas()) names.emplace_back(i->name);
  return names;
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

py::dict build_info() {
  py::dict d;
  d["version"] = TRIGRAD_VERSION;
  d["arithmetic_version"] = kArithmeticVersion;
  d["isa"] = isa().name;
  d["isa_available"] = isa_names();
  d["num_threads"] = num_threads();
  d["compiler"] = compiler();
  return d;
}

const char* kind_name(const Param& p) {
  switch (p.kind) {
    case Param::Kind::Tensor:
    case Param::Kind::OptionalTensor: return "Tensor";
    case Param::Kind::Tensors: return "Tensors";
    case Param::Kind::Int: return "Int";
    case Param::Kind::Float: return "Float";
    case Param::Kind::Number: return "Number";
    case Param::Kind::Bool: return "Bool";
    case Param::Kind::Type: return "Type";
    case Param::Kind::Text: return "Text";
    case Param::Kind::Axes: return "Axes";
    case Param::Kind::Shape: return "Shape";
  }
  return "";
}

py::object default_value(const Attr& a) {
  switch (a.kind) {
    case Attr::Kind::Int: return py::int_(a.i);
    case Attr::Kind::Float: return py::float_(a.f);
    case Attr::Kind::Bool: return py::bool_(a.i != 0);
    case Attr::Kind::Type: return py::reinterpret_borrow<py::object>(dtype_object(static_cast<Dtype>(a.i)));
    case Attr::Kind::Text: return py::str(a.text);
    case Attr::Kind::None:
    case Attr::Kind::List: break;
  }
  return py::none();
}

py::list op_table() {
  static constexpr const char* classes[] = {"floats", "numbers", "any", "integers", "bits"};
  py::list rows;
  for (const Op& op : ops()) {
    py::list params;
    for (const Param& p : op.params) {
      py::dict row;
      row["name"] = p.name;
      row["kind"] = kind_name(p);
      row["optional"] = p.nullable;
      if (p.has_default) row["default"] = default_value(p.fallback);
      params.append(row);
    }
    py::dict row;
    row["name"] = op.name;
    row["signature"] = op.signature;
    row["params"] = params;
    row["n_tensors"] = op.n_tensors();
    row["variadic"] = op.variadic;
    row["n_outputs"] = op.n_outputs;
    row["inplace"] = (op.flags & kInplace) != 0;
    row["updates"] = (op.flags & kUpdates) != 0;
    row["random"] = (op.flags & kRandom) != 0;
    row["pointwise"] = py::none();
    if (op.id < kPointwiseOps) {
      const PointwiseInfo& info = kPointwiseInfo[op.id];
      py::dict pointwise;
      pointwise["arity"] = info.arity;
      pointwise["dtypes"] = classes[static_cast<int>(info.cls)];
      pointwise["to_bool"] = info.to_bool;
      const PointwiseReads& reads = kPointwiseReads[op.id];
      py::list read;
      if (reads.input) read.append("input");
      if (reads.other) read.append("other");
      if (reads.output) read.append("output");
      pointwise["reads"] = read;  // of a derivative: the variables of its formula
      pointwise["zero"] = reads.zero;
      row["pointwise"] = pointwise;
    }
    rows.append(row);
  }
  return rows;
}

// The door without conveniences: tensors and attributes in the order of the row.
py::object raw_call(const std::string& name, py::handle tensors, py::handle attributes, const py::object& device) {
  const Op* op = find_op(name);
  if (!op) fail(ErrorKind::Value, "[call] the op table has no row '", name, "'; trigrad._core.op_table() lists them");
  Arguments a;
  read_arguments(*op, tensors.ptr(), attributes.ptr(), device.ptr(), a);
  return as_object(call_op(*op, a));
}

// The opposite of Tensor._bytes().
py::object from_bytes(const py::buffer& bytes, py::handle dtype, py::handle shape) {
  const py::buffer_info info = bytes.request();
  const Dims lengths = to_dims("from_bytes", "shape", shape.ptr());
  const Dtype type = to_dtype("from_bytes", "dtype", dtype.ptr());
  const auto given = info.size * info.itemsize;
  if (!info.ptr || !PyBuffer_IsContiguous(info.view(), 'C') || given != count(lengths) * size_of(type))
    fail(ErrorKind::Value, "[from_bytes] got ", given, " bytes, expected ", count(lengths) * size_of(type),
         " in one piece for shape ", lengths, " of ", name(type));
  Tensor t = empty(lengths, type);
  std::memcpy(t.data(), info.ptr, static_cast<size_t>(given));
  return as_object(std::move(t));
}

void add_functions(py::module_& m) {
  m.def("build_info", build_info, "What this build is and what it runs on.");
  m.def("op_table", op_table, "The rows of the op table, as dictionaries.");
  m.def("call", raw_call, py::arg("name"), py::arg("tensors"), py::arg("attributes") = py::tuple(),
        py::arg("device") = "cpu",
        "Call a row of the op table by name. What a row without tensors makes is on the device.");
  m.def("get_num_threads", num_threads, R"(How many threads a kernel may use.

>>> import trigrad as tg
>>> tg.get_num_threads() >= 1
True)");
  m.def("set_num_threads", set_num_threads, py::arg("n"), R"(Let kernels use n threads. Results do not depend on it.

>>> import trigrad as tg
>>> before = tg.get_num_threads()
>>> tg.set_num_threads(1)
>>> tg.get_num_threads()
1
>>> tg.set_num_threads(before))");
  m.def("available_isas", isa_names, "The instruction sets that this build has and this machine runs, lowest first.");
  m.def(
      "set_isa", [](const std::string& name) { set_isa(name.c_str()); }, py::arg("name"),
      "Choose the instruction set. Results do not depend on it.");
  m.def(
      "memory_stats",
      [] {
        const MemoryStats s = memory_stats();
        return py::dict(py::arg("in_use") = s.in_use, py::arg("peak") = s.peak, py::arg("cached") = s.cached,
                        py::arg("cache_limit") = s.cache_limit, py::arg("allocations") = s.allocations);
      },
      R"(Bytes that tensors hold now (in_use) and held at most (peak), bytes kept for reuse (cached) and the most that are
kept (cache_limit), and how many blocks were handed out so far (allocations).

>>> import trigrad as tg
>>> before = tg.memory_stats()["in_use"]
>>> x = tg.zeros(1000, 1000)
>>> tg.memory_stats()["in_use"] - before >= 4_000_000
True)");
  m.def("reset_peak_memory_stats", [] { reset_peak(); }, R"(Count the peak of memory_stats() anew.

>>> import trigrad as tg
>>> tg.reset_peak_memory_stats()
>>> stats = tg.memory_stats()
>>> stats["peak"] == stats["in_use"]
True)");
  m.def("empty_cache", [] { empty_cache(); }, R"(Give kept memory back to the system.

>>> import trigrad as tg
>>> tg.empty_cache()
>>> tg.memory_stats()["cached"]
0)");

  m.def("from_bytes", from_bytes, py::arg("bytes"), py::arg("dtype"), py::arg("shape"), "A tensor of raw elements.");
  m.def(
      "from_nested",
      [](py::handle data, py::handle dtype, const py::object& device) {
        const Place place = to_place("tensor", device.ptr());
        const Dtype chosen = dtype.is_none() ? Dtype{} : to_dtype("tensor", "dtype", dtype.ptr());
        return as_object(dispatch::moved(from_nested(data.ptr(), dtype.is_none() ? nullptr : &chosen), place));
      },
      py::arg("data"), py::arg("dtype"), py::arg("device") = "cpu", "A tensor of the numbers in nested lists.");
  m.def(
      "as_dtype",
      [](py::handle value) {
        return py::reinterpret_borrow<py::object>(dtype_object(to_dtype("dtype", "dtype", value.ptr())));
      },
      py::arg("value"), "The dtype that a numpy dtype or Python type stands for.");
  m.def(
      "promote_types",
      [](py::handle a, py::handle b) {
        return py::reinterpret_borrow<py::object>(dtype_object(
            promote(to_dtype("promote_types", "type1", a.ptr()), to_dtype("promote_types", "type2", b.ptr()))));
      },
      py::arg("type1"), py::arg("type2"), R"(The dtype that holds both.

>>> import trigrad as tg
>>> tg.promote_types(tg.int64, tg.float32)
trigrad.float32)");
  m.def(
      "set_default_dtype",
      [](py::handle d) {
        set_default_dtype(to_dtype("set_default_dtype", "d", d.ptr()));
        structure_changed();
      },
      py::arg("d"), R"(Let Python floats become float32 or float64.

>>> import trigrad as tg
>>> tg.set_default_dtype(tg.float64)
>>> tg.tensor([1.5]).dtype
trigrad.float64
>>> tg.set_default_dtype(tg.float32))");
  m.def(
      "from_numpy", [](py::handle array) { return as_object(from_buffer("from_numpy", array.ptr())); },
      py::arg("array"), R"(A tensor on the array's memory.

array (...) -> (...)

>>> import numpy as np
>>> import trigrad as tg
>>> array = np.zeros(2)
>>> x = tg.from_numpy(array)
>>> x += 1
>>> array
array([1., 1.]))");
  m.def(
      "from_cuda_array", [](py::handle source) { return as_object(from_cuda_array("as_tensor", source.ptr())); },
      py::arg("source"), "The tensor that shares the memory of an object with __cuda_array_interface__.");
  m.def(
      "from_dlpack", [](py::handle source) { return as_object(from_dlpack(source.ptr())); }, py::arg("source"),
      R"(A tensor on the memory of another library's.

source (...) -> (...)

>>> import numpy as np
>>> import trigrad as tg
>>> tg.from_dlpack(np.arange(3))
tensor([0, 1, 2]))");
}

// Python's view of what C++ throws, for the functions above; the C slots go through guarded().
void translate(std::exception_ptr e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const Error&) {
    set_python_error();
  } catch (const PythonError&) {}
}

}  // namespace
}  // namespace tg::bind

PYBIND11_MODULE(_core, m) {
  using namespace tg::bind;
  m.doc() = "The compiled part of trigrad.";
  py::register_local_exception_translator(translate);
  try {
    init_dtype_type(m.ptr());
    init_size_type(m.ptr());
    init_tensor_type(m.ptr());
    init_tape(m.ptr());
    init_plan(m.ptr());
    init_predictor_type(m.ptr());
    init_latency(m.ptr());
    init_cuda(m.ptr());
    // A module of its own, so that `import trigrad.ops` finds it: it has exactly the rows of the table.
    py::module_ ops = py::reinterpret_steal<py::module_>(checked(PyModule_New("trigrad.ops")));
    ops.attr("__doc__") = "Every row of the op table as a function.";
    init_op_functions(m.ptr(), ops.ptr());
    py::module_::import("sys").attr("modules")["trigrad.ops"] = ops;
    m.attr("ops") = ops;
  } catch (const PythonError&) {
    throw py::error_already_set();
  }
  if (PyModule_AddFunctions(m.ptr(), creation_functions) < 0) throw py::error_already_set();
  add_functions(m);
  py::module_ testing = m.def_submodule("testing", "Doors for the test suite.");
  init_testing(testing.ptr());
}

// By this name threadpoolctl finds the extension among the libraries of a process (python/trigrad/sklearn/_threads.py).
extern "C" PYBIND11_EXPORT int trigrad_get_num_threads() { return tg::num_threads(); }
