#include "bind/latency.h"

#include <cstring>
#include <memory>

#include "bind/predictor_type.h"
#include "cpu/isa.h"
#include "realtime/latency.h"

namespace tg::bind {
namespace {

using realtime::Subject;

constexpr const char* kWho = "study";

void* address(PyObject* number) {
  void* found = PyLong_AsVoidPtr(number);
  if (!found && PyErr_Occurred()) throw PythonError{};
  return found;
}

// A predictor; None: nothing; or a function (address, inputs, outputs, [(address, bytes) of its weights, ...]).
struct Timed {
  Subject subject;
  int inputs = 0, outputs = 1;
};
Timed timed(PyObject* what, int width) {
  if (what == Py_None) return {realtime::nothing(), width, 1};
  if (is_predictor(what)) {
    const realtime::Predictor& p = predictor_of(what);
    if (cuda::Predictor* gpu = gpu_of(what)) {
      const Subject::Run run = [](const void* on_gpu, const float* x, float* y) -> int32_t {
        const_cast<cuda::Predictor*>(static_cast<const cuda::Predictor*>(on_gpu))->run(x, y);
        return 1;
      };
      return {{run, gpu, {}}, p.inputs(), p.outputs()};
    }
    return {realtime::subject_of(p), p.inputs(), p.outputs()};
  }
  Timed t;
  PyObject *run, *ranges;
  if (!PyArg_ParseTuple(what, "OiiO!", &run, &t.inputs, &t.outputs, &PyList_Type, &ranges)) throw PythonError{};
  t.subject = {reinterpret_cast<Subject::Run>(address(run)), nullptr, {}};
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(ranges); i++) {
    PyObject* begin;
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(PyList_GET_ITEM(ranges, i), "On", &begin, &bytes)) throw PythonError{};
    t.subject.weights.push_back({address(begin), static_cast<size_t>(bytes)});
  }
  return t;
}

PyObject* time_calls(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *what, *x;
    long long calls, other_bytes, idle_us;
    int flush;
    if (!PyArg_ParseTuple(args, "OOLLpL:time_calls", &what, &x, &calls, &other_bytes, &flush, &idle_us))
      throw PythonError{};
    Py_buffer view;
    if (PyObject_GetBuffer(x, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) throw PythonError{};
    auto release = [](Py_buffer* v) { PyBuffer_Release(v); };
    const std::unique_ptr<Py_buffer, decltype(release)> held(&view, release);
    const bool rows = view.format && !std::strcmp(view.format, "f") && view.ndim == 2 && view.shape[0] > 0;
    const Timed t = timed(what, rows ? static_cast<int>(view.shape[1]) : 0);
    if (!rows || view.shape[1] != t.inputs || calls < 1 || calls > 100'000'000 || other_bytes < 0 || idle_us < 0)
      fail(ErrorKind::Value, "[", kWho, "] got ", calls, " calls, expected 1 to 100000000, of events (N, ", t.inputs,
           ") in float32, and no negative numbers");
    std::vector<float> times;
    {
      const WithoutGil gil(true);
      times = realtime::time_calls(t.subject, static_cast<const float*>(view.buf), view.shape[0], t.inputs, t.outputs,
                                   calls, {other_bytes, flush != 0, idle_us});
    }
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(times.data()),
                                     static_cast<Py_ssize_t>(times.size() * sizeof(float)));
  });
}

PyObject* clock_of_calls(PyObject*, PyObject*) {
  return guarded([&] {
    const realtime::Clock c = realtime::clock_of_calls();
    return checked(Py_BuildValue("sdO", c.name, c.step, c.flushes ? Py_True : Py_False));
  });
}

PyObject* limits(PyObject*, PyObject* predictor) {
  return guarded([&] {
    if (!is_predictor(predictor)) fail(ErrorKind::Type, "[", kWho, "] expected a Predictor");
    const realtime::Predictor& p = predictor_of(predictor);
    const realtime::Limits found = realtime::limits(p.isa(), p.block_bytes());
    return checked(Py_BuildValue("dddL", found.fma_ns, found.fmas_per_ns, found.bytes_per_ns,
                                 static_cast<long long>(realtime::longest_chain(program_of(predictor)))));
  });
}

PyMethodDef functions[] = {
    {"time_calls", time_calls, METH_VARARGS,
     "time_calls(what, x, calls, other_bytes, flush, idle_us)\n\nfloat32 nanoseconds of calls, one by one, and of an "
     "empty measurement, as bytes."},
    {"clock_of_calls", clock_of_calls, METH_NOARGS,
     "clock_of_calls()\n\nIts name, its step (ns), and whether data can be flushed to memory."},
    {"limits", limits, METH_O,
     "limits(predictor)\n\nOf this machine: ns from an fma to the next, fmas per ns, bytes loaded per ns from where so "
     "many as the weights lie; of the predictor: fmas that wait for each other."},
    {},
};

}  // namespace

void init_latency(PyObject* module) {
  if (PyModule_AddFunctions(module, functions) < 0) throw PythonError{};
}

}  // namespace tg::bind
