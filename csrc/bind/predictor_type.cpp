#include "bind/predictor_type.h"

#include <pybind11/numpy.h>
#include <structmember.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "bind/predictor_cuda.h"
#include "bind/predictor_pickle.h"
#include "bind/predictor_program.h"
#include "cpu/isa.h"
#include "realtime/narrow.h"
#include "realtime/plan_file.h"

namespace tg::bind {
namespace {

using pybind11::detail::array_proxy, pybind11::detail::npy_api;
using realtime::Cut, realtime::Predictor;

constexpr const char* kWho = "Predictor";
constexpr int64_t kMostRows = 262'144;
constexpr double kReleaseGil = 2e5;  // multiply-adds of a call above which other threads may run meanwhile

struct PredictorObject {
  PyObject_HEAD
  vectorcallfunc call;
  const Predictor* predictor;
  const realtime::Program* program;
  cuda::Predictor* gpu;  // where it answers on a GPU, else null
  int64_t batch;
  int32_t inputs, outputs;
  Cut cut;          // of the last threshold of decide
  PyObject* error;  // how far the calibration's answers are from those of float32: a dict, or null
};
PredictorObject* object(PyObject* self) { return reinterpret_cast<PredictorObject*>(self); }

PyTypeObject* predictor_type = nullptr;
// Set by trigrad.realtime: (*args, **kwargs) -> (program, options), path -> bytes, (path, bytes) -> None,
// (device, persistent, batch, flush_denormals) -> the GPU's index, or None for the CPU.
PyObject *lowering = nullptr, *read_file = nullptr, *write_file = nullptr, *placing = nullptr;

// Numpy's C interface, as far as a call needs it.
struct Numpy {
  PyTypeObject* array = nullptr;
  PyObject *float32 = nullptr, *boolean = nullptr;
  decltype(npy_api::PyArray_NewFromDescr_) make = nullptr;
};
Numpy numpy;

// Arrays out of a pickle have a descr of their own.
bool is_float32(PyObject* descr) {
  const auto* d = pybind11::detail::array_descriptor1_proxy(descr);
  return descr == numpy.float32 || (d->type_num == npy_api::NPY_FLOAT_ && d->byteorder == '=');
}

void load_numpy() {
  if (numpy.array) return;
  try {
    const npy_api& api = npy_api::get();
    numpy = {api.PyArray_Type_, checked(api.PyArray_DescrFromType_(npy_api::NPY_FLOAT_)),
             checked(api.PyArray_DescrFromType_(npy_api::NPY_BOOL_)), api.PyArray_NewFromDescr_};
  } catch (pybind11::error_already_set& e) {
    e.restore();
    throw PythonError{};
  }
}

// ---- arrays

constexpr int kReadable = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_;
constexpr int kWritable = kReadable | npy_api::NPY_ARRAY_WRITEABLE_;

std::string numbers(const Py_ssize_t* n, int count) {
  std::string s = "(";
  for (int i = 0; i < count; i++) s += (i ? ", " : "") + std::to_string(n[i]);
  return s + (count == 1 ? ",)" : ")");
}
std::string shape_of(PyObject* array) { return numbers(array_proxy(array)->dimensions, array_proxy(array)->nd); }

[[noreturn]] void refuse(const PredictorObject& p, PyObject* value, const char* which) {
  if (!PyObject_TypeCheck(value, numpy.array))
    fail(ErrorKind::Type, "[", kWho, "] ", which, " is a ", Py_TYPE(value)->tp_name,
         ", expected a float32 numpy array; ",
         *which == 'o' ? "make it with numpy.empty(shape, 'float32')"
                       : "for a Tensor pass x.numpy(), for lists numpy.asarray(x, 'float32')");
  const auto* a = array_proxy(value);
  if (!is_float32(a->descr)) {
    const Ref text(PyObject_Str(a->descr));
    fail(ErrorKind::Type, "[", kWho, "] ", which, " has dtype ", text ? PyUnicode_AsUTF8(text.get()) : "?",
         ", expected float32 in the machine's byte order; ",
         *which == 'o' ? "make it with numpy.empty(shape, 'float32')" : "convert it with x.astype('float32')");
  }
  const int32_t width = *which == 'o' ? p.outputs : p.inputs;
  if (a->nd < 1 || a->nd > 2 || a->dimensions[a->nd - 1] != width)
    fail(ErrorKind::Value, "[", kWho, "] ", which, " has shape ", shape_of(value), ", expected (", width,
         ",) or (rows, ", width, ")");
  if (!(a->flags & npy_api::NPY_ARRAY_ALIGNED_))
    fail(ErrorKind::Value, "[", kWho, "] ", which, " is not aligned to its 4 bytes; copy it with ", which, ".copy()");
  if ((a->flags & kReadable) != kReadable)
    fail(ErrorKind::Value, "[", kWho, "] ", which, " is not C-contiguous: its strides are ", numbers(a->strides, a->nd),
         " bytes; ",
         *which == 'o' ? "make it with numpy.empty(shape, 'float32')" : "copy it with numpy.ascontiguousarray(x)");
  if (*which == 'o' && !(a->flags & npy_api::NPY_ARRAY_WRITEABLE_))
    fail(ErrorKind::Value, "[", kWho, "] out is read-only, expected an array that may be written");
  fail(ErrorKind::Value, "[", kWho, "] ", which, " has ", a->dimensions[0], " rows, expected 1 to ", p.batch,
       ": the batch that the predictor was made for, by batch=");
}

// Rows of an array of events, 0 for a single one of one axis.
inline int64_t rows_of(const PredictorObject& p, PyObject* x) {
  if (PyObject_TypeCheck(x, numpy.array)) [[likely]] {
    const auto* a = array_proxy(x);
    if (is_float32(a->descr) && (a->flags & kReadable) == kReadable) [[likely]] {
      if (a->nd == 1 && a->dimensions[0] == p.inputs) return 0;
      if (a->nd == 2 && a->dimensions[1] == p.inputs && a->dimensions[0] >= 1 && a->dimensions[0] <= p.batch)
        return a->dimensions[0];
    }
  }
  refuse(p, x, "x");
}

float* answers(const PredictorObject& p, PyObject* out, PyObject* x, int64_t rows) {
  const auto *a = array_proxy(out), *b = array_proxy(x);
  if (!PyObject_TypeCheck(out, numpy.array) || !is_float32(a->descr) || (a->flags & kWritable) != kWritable ||
      a->nd != b->nd || a->dimensions[a->nd - 1] != p.outputs || (rows && a->dimensions[0] != rows)) {
    if (PyObject_TypeCheck(out, numpy.array) && is_float32(a->descr) && (a->flags & kWritable) == kWritable)
      fail(ErrorKind::Value, "[", kWho, "] out has shape ", shape_of(out), ", expected ",
           rows ? "(" + std::to_string(rows) + ", " : std::string("("), p.outputs, rows ? ")" : ",)", " for x ",
           shape_of(x));
    refuse(p, out, "out");
  }
  const int64_t count = rows ? rows : 1;
  const char *first = a->data, *other = b->data;
  if (first < other + count * p.inputs * 4 && other < first + count * p.outputs * 4)
    fail(ErrorKind::Value, "[", kWho, "] out shares memory with x, expected an array of its own");
  return reinterpret_cast<float*>(a->data);
}

Ref new_array(PyObject* descr, int nd, int64_t rows, int64_t columns) {
  const Py_intptr_t shape[2] = {nd == 2 ? rows : columns, columns};
  return owned(numpy.make(numpy.array, Py_NewRef(descr), nd, shape, nullptr, nullptr, 0, nullptr));
}

[[noreturn]] void refuse_nan(int64_t row, bool single) {
  if (single) fail(ErrorKind::Value, "[", kWho, "] x has a NaN, which this predictor refuses");
  fail(ErrorKind::Value, "[", kWho, "] row ", row, " of x has a NaN, which this predictor refuses");
}

bool has_nan(const float* x, int32_t n) {
  for (int32_t i = 0; i < n; i++)
    if (x[i] != x[i]) return true;
  return false;
}

void run(const PredictorObject& p, const float* x, int64_t rows, float* y) {
  if (p.gpu) [[unlikely]] {
    if (p.program->refuse_nan && has_nan(x, p.inputs)) refuse_nan(0, rows == 0);
    return run_on_gpu(*p.gpu, x, y);
  }
  if (rows == 0) {
    if (!p.predictor->run(x, y)) [[unlikely]]
      refuse_nan(0, true);
    return;
  }
  int64_t taken;
  {
    const WithoutGil gil(p.predictor->work() * static_cast<double>(rows) > kReleaseGil);
    taken = p.predictor->run_rows(x, rows, y);
  }
  if (taken != rows) [[unlikely]]
    refuse_nan(taken, false);
}

// ---- p(x), p(x, out)

PyObject* predict(PyObject* self, PyObject* const* args, size_t flags, PyObject* names) {
  return guarded([&]() -> PyObject* {
    const PredictorObject& p = *object(self);
    const Py_ssize_t n = PyVectorcall_NARGS(flags), named = names ? PyTuple_GET_SIZE(names) : 0;
    const bool out_named = named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "out") == 0;
    if (n < 1 || n + named > 2 || (named && !out_named)) [[unlikely]]
      fail(ErrorKind::Type, "[", kWho, "] expected p(x) or p(x, out), got ", n, " positional and ", named,
           " named arguments");
    PyObject *x = args[0], *out = n + named == 2 ? args[1] : Py_None;
    const int64_t rows = rows_of(p, x);
    const auto* events = reinterpret_cast<const float*>(array_proxy(x)->data);
    if (out != Py_None) {
      run(p, events, rows, answers(p, out, x, rows));
      return Py_NewRef(out);
    }
    Ref made = new_array(numpy.float32, rows ? 2 : 1, rows, p.outputs);
    run(p, events, rows, reinterpret_cast<float*>(array_proxy(made.get())->data));
    return made.release();
  });
}

// ---- p.decide(x, threshold, output)

// float32 >= float32 for a Python float, as numpy compares; other real numbers keep their digits: the least float32 that
// is not below them decides the same.
float threshold_of(PyObject* value) {
  const double exact = PyFloat_AsDouble(value);
  if (exact == -1 && PyErr_Occurred()) throw PythonError{};
  const auto near = static_cast<float>(exact);
  if (PyFloat_CheckExact(value) || PyLong_CheckExact(value) || !(static_cast<double>(near) < exact)) return near;
  return std::nextafter(near, std::numeric_limits<float>::infinity());
}

PyObject* decide(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&]() -> PyObject* {
    PredictorObject& p = *object(self);
    const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    const bool output_named = named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "output") == 0;
    if (n < 2 || n + named > 3 || (named && !output_named))
      fail(ErrorKind::Type, "[", kWho, "] expected decide(x, threshold) or decide(x, threshold, output=k)");
    int64_t output = 0;
    if (n + named == 3) {
      output = PyLong_AsLongLong(args[2]);
      if (output == -1 && PyErr_Occurred()) throw PythonError{};
      if (output < -p.outputs || output >= p.outputs)
        fail(ErrorKind::Index, "[", kWho, "] output is ", output, ", expected one of the ", p.outputs, " outputs");
      if (output < 0) output += p.outputs;
    } else if (p.outputs > 1) {
      fail(ErrorKind::Value, "[", kWho, "] the model has ", p.outputs,
           " outputs; say which one decides: decide(x, threshold, output=k)");
    }
    const int64_t rows = rows_of(p, args[0]);
    const auto* events = reinterpret_cast<const float*>(array_proxy(args[0])->data);
    const float threshold = threshold_of(args[1]);
    if (rows == 0 && p.gpu) {
      std::vector<float> answer(static_cast<size_t>(p.outputs));
      run(p, events, rows, answer.data());
      return Py_NewRef(answer[static_cast<size_t>(output)] >= threshold ? Py_True : Py_False);
    }
    if (rows == 0) {
      if (p.cut.threshold != threshold) p.cut = p.predictor->cut(threshold);
      bool refused = false;
      const bool passed = p.predictor->passes(events, p.cut, static_cast<int32_t>(output), &refused);
      if (refused) [[unlikely]]
        refuse_nan(0, true);
      return Py_NewRef(passed ? Py_True : Py_False);
    }
    const Ref y = new_array(numpy.float32, 2, rows, p.outputs);
    auto* answer = reinterpret_cast<float*>(array_proxy(y.get())->data);
    run(p, events, rows, answer);
    Ref made = new_array(numpy.boolean, 1, 0, rows);
    auto* passed = reinterpret_cast<bool*>(array_proxy(made.get())->data);
    for (int64_t i = 0; i < rows; i++) passed[i] = answer[i * p.outputs + output] >= threshold;
    return made.release();
  });
}

// ---- the object

bool is_true(PyObject* options, const char* key) {
  PyObject* value = PyDict_GetItemString(options, key);
  return value && PyObject_IsTrue(value) == 1;
}

// Where and how events are answered.
struct Place {
  bool on_gpu = false, persistent = false;
  int index = 0;
};
Place place_of(PyObject* device, bool persistent, long long rows, bool flush_denormals) {
  const Ref found = owned(PyObject_CallFunction(placing, "OOLO", device, persistent ? Py_True : Py_False, rows,
                                                flush_denormals ? Py_True : Py_False));
  if (found.get() == Py_None) return {};
  const long index = PyLong_AsLong(found.get());
  if (index == -1 && PyErr_Occurred()) throw PythonError{};
  return {true, persistent, static_cast<int>(index)};
}

PyObject* made(PyTypeObject* type, std::unique_ptr<realtime::Program> program, long long rows, bool flush_denormals,
               bool lock_memory, const Place& place, const realtime::SelfTest* test) {
  if (rows < 1 || rows > kMostRows)
    fail(ErrorKind::Value, "[", kWho, "] batch is ", rows, ", expected 1 to ", kMostRows);
  realtime::Options o;
  o.tiles = rows > 1;
  o.lock_memory = lock_memory;
  o.flush_denormals = flush_denormals;
  auto predictor = std::make_unique<Predictor>(*program, *realtime::kernel_table(isa().name), o);
  if (test && !flush_denormals) realtime::check_self_test(*predictor, *test, kWho);
  std::unique_ptr<cuda::Predictor> gpu;
  if (place.on_gpu)
    gpu = predictor_on_gpu(*program, place.index, place.persistent, test ? *test : realtime::self_test_of(*program));
  Ref self = owned(type->tp_alloc(type, 0));
  PredictorObject& p = *object(self.get());
  p.call = predict;
  p.batch = rows;
  p.inputs = predictor->inputs(), p.outputs = predictor->outputs();
  p.cut.threshold = std::numeric_limits<float>::quiet_NaN();
  p.predictor = predictor.release();
  p.program = program.release();
  p.gpu = gpu.release();
  // The first call finds code and weights in cache, and the stack's pages there.
  const std::vector<float> event(static_cast<size_t>(p.inputs), 0.0f);
  std::vector<float> answer(static_cast<size_t>(p.outputs));
  p.predictor->run(event.data(), answer.data());
  return self.release();
}

void require_realtime() {
  if (!lowering) owned(PyImport_ImportModule("trigrad.realtime"));
  load_numpy();
}

// options: "precision", and "calibration", a float32 array (N, inputs) or None, on which the error is measured.
void narrow(realtime::Program& program, PyObject* options, Ref& error) {
  const char* wanted = PyUnicode_AsUTF8(checked(PyDict_GetItemString(options, "precision")));
  if (!wanted) throw PythonError{};
  int storage = 0;
  while (storage < realtime::kStorages && std::strcmp(wanted, realtime::name(static_cast<realtime::Storage>(storage))))
    storage++;
  if (storage == realtime::kStorages)
    fail(ErrorKind::Value, "[", kWho, "] precision is '", wanted,
         "', expected 'float32', 'bfloat16', 'int16' or 'int8'");
  realtime::Events events;
  PyObject* given = checked(PyDict_GetItemString(options, "calibration"));
  if (given != Py_None) {
    PredictorObject any{};
    any.inputs = program.inputs(), any.batch = std::numeric_limits<int64_t>::max();
    events = {nullptr, rows_of(any, given)};
    if (events.rows == 0) refuse(any, given, "calibration");
    events.x = reinterpret_cast<const float*>(array_proxy(given)->data);
  }
  realtime::Program made = realtime::narrowed(program, static_cast<realtime::Storage>(storage), events);
  if (events.rows > 0) {
    realtime::validate(made, kWho);
    const realtime::Difference d = realtime::difference(made, program, events);
    error = owned(Py_BuildValue("{s:L,s:d,s:d}", "events", static_cast<long long>(events.rows), "largest", d.largest,
                                "rms", d.rms));
  }
  program = std::move(made);
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    require_realtime();
    const Ref lowered = owned(PyObject_Call(lowering, args, kwargs));
    PyObject *description, *options;
    if (!PyArg_ParseTuple(lowered.get(), "OO!", &description, &PyDict_Type, &options)) throw PythonError{};
    auto program = std::make_unique<realtime::Program>(to_program(description));
    realtime::validate(*program, kWho);
    realtime::fuse(*program);
    Ref error;
    narrow(*program, options, error);
    const long long rows = PyLong_AsLongLong(checked(PyDict_GetItemString(options, "batch")));
    if (rows == -1 && PyErr_Occurred()) throw PythonError{};
    const bool flush = is_true(options, "flush_denormals");
    const Place place =
        place_of(checked(PyDict_GetItemString(options, "device")), is_true(options, "persistent"), rows, flush);
    PyObject* self = made(type, std::move(program), rows, flush, is_true(options, "lock_memory"), place, nullptr);
    object(self)->error = error.release();
    return self;
  });
}

// ---- plan files

Ref file_bytes(PyObject* self) {
  const realtime::Program& program = *object(self)->program;
  const auto bytes = realtime::to_bytes({program, realtime::self_test_of(program)});
  return owned(
      PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()), static_cast<Py_ssize_t>(bytes.size())));
}
PyObject* to_bytes(PyObject* self, PyObject*) {
  return guarded([&] { return file_bytes(self).release(); });
}
PyObject* save(PyObject* self, PyObject* path) {
  return guarded(
      [&] { return owned(PyObject_CallFunctionObjArgs(write_file, path, file_bytes(self).get(), nullptr)).release(); });
}

PyObject* from_plan(PyObject* type, PyObject* args, PyObject* kwargs, bool is_path) {
  return guarded([&]() -> PyObject* {
    require_realtime();
    static const char* names[] = {"", "batch", "flush_denormals", "lock_memory", "device", "persistent", nullptr};
    PyObject *source, *device = Py_None;
    long long rows = 1;
    int flush_denormals = 0, lock_memory = 0, persistent = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, is_path ? "O|L$ppOp:load" : "O|L$ppOp:from_bytes",
                                     const_cast<char**>(names), &source, &rows, &flush_denormals, &lock_memory, &device,
                                     &persistent))
      throw PythonError{};
    const Place place = place_of(device, persistent, rows, flush_denormals);
    const Ref read = is_path ? owned(PyObject_CallOneArg(read_file, source)) : borrowed(source);
    Py_buffer view;
    if (PyObject_GetBuffer(read.get(), &view, PyBUF_SIMPLE) < 0) throw PythonError{};
    auto release = [](Py_buffer* v) { PyBuffer_Release(v); };
    const std::unique_ptr<Py_buffer, decltype(release)> held(&view, release);
    auto plan = realtime::from_bytes({static_cast<const std::byte*>(view.buf), static_cast<size_t>(view.len)}, kWho);
    return made(reinterpret_cast<PyTypeObject*>(type), std::make_unique<realtime::Program>(std::move(plan.program)),
                rows, flush_denormals, lock_memory, place, &plan.test);
  });
}
PyObject* load(PyObject* type, PyObject* args, PyObject* kwargs) { return from_plan(type, args, kwargs, true); }
PyObject* from_bytes(PyObject* type, PyObject* args, PyObject* kwargs) { return from_plan(type, args, kwargs, false); }

// What a pickle holds beside the plan file: the error.
PyObject* set_state(PyObject* self, PyObject* error) {
  return guarded([&] {
    if (!PyDict_Check(error)) fail(ErrorKind::Type, "[", kWho, "] the state is no dict of errors");
    Py_XSETREF(object(self)->error, checked(PyDict_Copy(error)));
    return Py_NewRef(Py_None);
  });
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  {
    const WithoutGil gil(object(self)->gpu != nullptr);  // its kernel has to end
    delete object(self)->gpu;
  }
  delete object(self)->predictor;
  delete object(self)->program;
  Py_XDECREF(object(self)->error);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
  const PredictorObject& p = *object(self);
  if (p.gpu)
    return PyUnicode_FromFormat("Predictor(%d -> %d, cuda:%d%s)", static_cast<int>(p.inputs),
                                static_cast<int>(p.outputs), p.gpu->index(), p.gpu->persistent() ? ", persistent" : "");
  return PyUnicode_FromFormat("Predictor(%d -> %d, batch=%lld, %s)", static_cast<int>(p.inputs),
                              static_cast<int>(p.outputs), static_cast<long long>(p.batch), p.predictor->isa());
}

PyObject* inputs(PyObject* self, void*) { return PyLong_FromLong(object(self)->inputs); }
PyObject* outputs(PyObject* self, void*) { return PyLong_FromLong(object(self)->outputs); }
PyObject* batch(PyObject* self, void*) { return PyLong_FromLongLong(object(self)->batch); }
PyObject* work(PyObject* self, void*) { return PyFloat_FromDouble(object(self)->predictor->work()); }
PyObject* precision(PyObject* self, void*) {
  return PyUnicode_FromString(realtime::name(realtime::precision(*object(self)->program)));
}
PyObject* error(PyObject* self, void*) {
  PyObject* found = object(self)->error;
  return found ? PyDict_Copy(found) : Py_NewRef(Py_None);
}
PyObject* isa_name(PyObject* self, void*) { return PyUnicode_FromString(object(self)->predictor->isa()); }
PyObject* nbytes(PyObject* self, void*) { return PyLong_FromSize_t(object(self)->predictor->block_bytes()); }
PyObject* stack_bytes(PyObject* self, void*) { return PyLong_FromSize_t(object(self)->predictor->stack_bytes()); }
PyObject* locked(PyObject* self, void*) { return PyBool_FromLong(object(self)->predictor->locked()); }

PyObject* device(PyObject* self, void*) {
  const cuda::Predictor* gpu = object(self)->gpu;
  return gpu ? PyUnicode_FromFormat("cuda:%d", gpu->index()) : PyUnicode_FromString("cpu");
}
PyObject* persistent(PyObject* self, void*) {
  return PyBool_FromLong(object(self)->gpu && object(self)->gpu->persistent());
}

PyObject* close(PyObject* self, PyObject*) {
  return guarded([&] {
    if (cuda::Predictor* gpu = object(self)->gpu) {
      const WithoutGil gil(true);
      gpu->close();
    }
    return Py_NewRef(Py_None);
  });
}
PyObject* enter(PyObject* self, PyObject*) { return Py_NewRef(self); }
PyObject* leave(PyObject* self, PyObject*) { return close(self, nullptr); }

PyObject* set_realtime(PyObject*, PyObject* args) {
  PyObject *lower, *read, *write, *place;
  if (!PyArg_ParseTuple(args, "OOOO", &lower, &read, &write, &place)) return nullptr;
  Py_XSETREF(placing, Py_NewRef(place));
  Py_XSETREF(lowering, Py_NewRef(lower));
  Py_XSETREF(read_file, Py_NewRef(read));
  Py_XSETREF(write_file, Py_NewRef(write));
  Py_RETURN_NONE;
}

template <class F>
PyCFunction as_c_function(F* f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef methods[] = {
    {"decide", as_c_function(decide), METH_FASTCALL | METH_KEYWORDS,
     "decide(x, threshold, output=0)\n\nIs output `output` at least the threshold: `p(x)[..., output] >= threshold`, "
     "as a bool for one event and an array of bools for rows. A single event of a model that ends in a sigmoid is "
     "decided by its logit where that is clear. A model of several outputs needs `output`."},
    {"save", save, METH_O,
     "save(path)\n\nWrite a plan file: the program, its numbers, and events with their answers. `Predictor.load` and "
     "the C++ library read it."},
    {"to_bytes", to_bytes, METH_NOARGS, "to_bytes()\n\nWhat `save` writes."},
    {"load", as_c_function(load), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "load(path, batch=1, *, flush_denormals=False, lock_memory=False, device=\"cpu\", persistent=False)\n\nThe "
     "predictor of a plan file. Every byte of the file is checked before anything is made of it, then its self test is "
     "run: it answers bit for bit as where it was saved."},
    {"from_bytes", as_c_function(from_bytes), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "from_bytes(bytes, batch=1, *, flush_denormals=False, lock_memory=False, device=\"cpu\", "
     "persistent=False)\n\n`load` of a file's bytes."},
    {"close", close, METH_NOARGS,
     "close()\n\nGive back what the predictor holds on a GPU: a persistent one's kernel ends. It answers nothing "
     "afterwards. On the CPU there is nothing to do. Used in `with`, it is closed at the end."},
    {"__reduce__", reduce_predictor, METH_NOARGS, nullptr},
    {"__setstate__", set_state, METH_O, nullptr},
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", leave, METH_VARARGS, nullptr},
    {},
};
PyGetSetDef properties[] = {
    {"inputs", inputs, nullptr, "How many features an event has.", nullptr},
    {"outputs", outputs, nullptr, "How many numbers answer an event.", nullptr},
    {"batch", batch, nullptr, "The most rows that a call may have.", nullptr},
    {"multiply_adds", work, nullptr, "Multiply-adds of an event, about.", nullptr},
    {"precision", precision, nullptr, "Of the dense layers: float32, bfloat16, int16 or int8.", nullptr},
    {"error", error, nullptr,
     "How far the answers to the calibration's `events` are from those of float32: {'events', 'largest', 'rms'}; None "
     "without a calibration, and of a file.",
     nullptr},
    {"isa", isa_name, nullptr, "The instruction set that the weights are packed for.", nullptr},
    {"nbytes", nbytes, nullptr, "Bytes of the packed block.", nullptr},
    {"stack_bytes", stack_bytes, nullptr, "Bytes of the caller's stack that one event takes.", nullptr},
    {"device", device, nullptr, "Where events are answered: 'cpu', or for instance 'cuda:0'.", nullptr},
    {"persistent", persistent, nullptr, "Does a kernel stay on the GPU to wait for events?", nullptr},
    {"locked", locked, nullptr, "Is the block locked in memory?", nullptr},
    {},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PredictorObject, call), READONLY, nullptr},
    {},
};
constexpr const char* kDoc =
    R"(Predictor(model, batch=1, precision="float32", *, calibration=None, raw_logits=False, scaler=None, inputs=None, flush_denormals=False, lock_memory=False, device="cpu", persistent=False)
--

A model in evaluation, packed for decisions in nanoseconds: `p(x)` takes a float32 array (features,) or (rows, features), C
contiguous, of at most `batch` rows, and answers in kind; `p(x, out)` writes into `out` and returns it. Each row has the bits
of the eager model, whatever else is in the batch. Anything but such an array is an error that names the remedy.

The model is made of dense layers, activations, batch norms, dropouts, Residual, Highway, DenseConcat and Sequential; anything
else is refused by name. Its weights are copied. A call for one event allocates nothing but the answer, takes no lock and asks
the system for nothing; threads may share a predictor.

precision says what dense layers hold: float32; bfloat16, weights rounded and widened again for the sums; int16 or int8, in
which inputs are rounded as well, sums are exact and all between the layers stays float32. For integers `calibration` is
needed: typical events (N, features), whose ranges are taken. `error` tells how far their answers are from float32.

raw_logits leaves out the softmax or sigmoid at the end. A `scaler` prepares the event. `inputs` is needed only where no layer
says how many features there are. flush_denormals=True takes denormal numbers for zero: faster where they occur, and no
longer the bits of the model. lock_memory=True keeps the packed block from being swapped out.

device="cuda" answers single events (batch 1, float32 or bfloat16) on a GPU, with the same bits: by a CUDA graph for each, or,
persistent=True, by a kernel that stays on the GPU with the weights on its chip, waits for events and holds a multiprocessor until
`close()` or the end of a `with`.

>>> import numpy as np
>>> import trigrad as tg
>>> model = tg.nn.Sequential(tg.nn.Linear(16, 64), tg.nn.ReLU(), tg.nn.Linear(64, 5))
>>> p = tg.realtime.Predictor(model)
>>> p(np.zeros(16, "float32")).shape
(5,))";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(kDoc)},
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {},
};
PyType_Spec spec = {"trigrad.realtime.Predictor", sizeof(PredictorObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE, slots};

PyMethodDef functions[] = {
    {"set_realtime", set_realtime, METH_VARARGS,
     "set_realtime(lower, read, write, place)\n\nWhat makes a program and options of arguments, reads and writes "
     "files, "
     "and says on which GPU a predictor is."},
    {},
};

}  // namespace

bool is_predictor(PyObject* value) { return PyObject_TypeCheck(value, predictor_type); }
const Predictor& predictor_of(PyObject* value) { return *object(value)->predictor; }
const realtime::Program& program_of(PyObject* value) { return *object(value)->program; }
cuda::Predictor* gpu_of(PyObject* value) { return object(value)->gpu; }

void init_predictor_type(PyObject* module) {
  predictor_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddObjectRef(module, "Predictor", reinterpret_cast<PyObject*>(predictor_type)) < 0 ||
      PyModule_AddFunctions(module, functions) < 0)
    throw PythonError{};
  init_predictor_cuda(module);
}

}  // namespace tg::bind
