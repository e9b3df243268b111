#include "bind/predictor_cuda.h"

#include <cstring>
#include <vector>

namespace tg::bind {

std::unique_ptr<cuda::Predictor> predictor_on_gpu(const realtime::Program& program, int index, bool persistent,
                                                  const realtime::SelfTest& test) {
  cuda::Predictor::Options o;
  o.persistent = persistent;
  auto made = std::make_unique<cuda::Predictor>(program, index, o);
  std::vector<float> y(static_cast<size_t>(program.outputs()));
  for (int32_t row = 0; row < test.rows; row++) {
    run_on_gpu(*made, test.x.data() + int64_t(row) * program.inputs(), y.data());
    for (size_t k = 0; k < y.size(); k++) {
      const float got = y[k], expected = test.y[static_cast<size_t>(row) * y.size() + k];
      if (std::memcmp(&got, &expected, sizeof got) && !(got != got && expected != expected))
        fail(ErrorKind::Runtime, "[Predictor] the self test failed: event ", row, ", output ", k, " is ", got,
             " on cuda:", index, ", ", expected, " on cpu");
    }
  }
  return made;
}

void run_on_gpu(cuda::Predictor& predictor, const float* x, float* y) {
  cuda::Predictor::Turn turn(predictor);
  if (turn.run(x, y)) return;
  const WithoutGil gil(true);
  turn.wait(y);  // ends the turn before the GIL is taken again
}

namespace {

PyObject* close_predictors(PyObject*, PyObject*) {
  return guarded([] {
    cuda::close_predictors();
    return Py_NewRef(Py_None);
  });
}
PyMethodDef functions[] = {
    {"close_predictors", close_predictors, METH_NOARGS,
     "close_predictors()\n\nClose all predictors on GPUs: a kernel must not outlive the process."},
    {},
};

}  // namespace

void init_predictor_cuda(PyObject* module) {
  if (PyModule_AddFunctions(module, functions) < 0) throw PythonError{};
}

}  // namespace tg::bind
