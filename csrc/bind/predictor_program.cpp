#include "bind/predictor_program.h"

#include <cstring>
#include <map>
#include <string>

#include "math/lane.h"

namespace tg::bind {
namespace {

using realtime::Code, realtime::Constant, realtime::Instruction, realtime::Program;

constexpr const char* kWho = "Predictor";

PyObject* item(PyObject* dict, const char* key) { return PyDict_GetItemString(dict, key); }  // borrowed, or null

int32_t integer(PyObject* value) {
  const long number = PyLong_AsLong(checked(value));
  if (number == -1 && PyErr_Occurred()) throw PythonError{};
  if (number != static_cast<int32_t>(number))
    fail(ErrorKind::Value, "[", kWho, "] the number ", number, " is too large");
  return static_cast<int32_t>(number);
}
int32_t integer(PyObject* dict, const char* key, int32_t otherwise) {
  PyObject* value = item(dict, key);
  return value ? integer(value) : otherwise;
}
double number(PyObject* dict, const char* key) {
  PyObject* value = item(dict, key);
  if (!value) return 0;
  const double x = PyFloat_AsDouble(value);
  if (x == -1 && PyErr_Occurred()) throw PythonError{};
  return x;
}
std::string text(PyObject* value) {
  const char* s = PyUnicode_AsUTF8(checked(value));
  if (!s) throw PythonError{};
  return s;
}

Constant constant(PyObject* array) {
  Py_buffer view;
  if (PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) throw PythonError{};
  Constant c;
  const bool fits = view.format && !std::strcmp(view.format, "f") && view.ndim >= 1 && view.ndim <= 2;
  if (fits) {
    c.rows = view.ndim == 2 ? static_cast<int32_t>(view.shape[0]) : 1;
    c.columns = static_cast<int32_t>(view.shape[view.ndim - 1]);
    const auto* first = static_cast<const float*>(view.buf);
    c.data.assign(first, first + view.len / static_cast<Py_ssize_t>(sizeof(float)));
  }
  PyBuffer_Release(&view);
  if (!fits) fail(ErrorKind::Type, "[", kWho, "] a constant is not a float32 array of one or two axes");
  return c;
}

// Evaluation as csrc/cpu/norm.cpp defines it.
void batch_norm(const Constant* given, float eps, Constant& scale, Constant& shift) {
  const size_t n = given[0].data.size();
  scale = shift = {1, static_cast<int32_t>(n), std::vector<float>(n)};
  for (size_t i = 0; i < n; i++) {
    const float invstd = 1.0f / sqrt(given[1].data[i] + eps);
    scale.data[i] = given[2].data[i] * invstd;
    shift.data[i] = fma(-given[0].data[i], scale.data[i], given[3].data[i]);
  }
}

Code code_of(const std::string& wanted) {
  for (int c = 0; c < realtime::kCodes; c++)
    if (wanted == realtime::name(static_cast<Code>(c))) return static_cast<Code>(c);
  fail(ErrorKind::Value, "[", kWho, "] there is no instruction '", wanted, "'");
}
int32_t function_of(const std::string& wanted) {
  for (int32_t f = 0; f < kPointwiseOps; f++)
    if (wanted == kPointwiseInfo[f].name) return f;
  fail(ErrorKind::Value, "[", kWho, "] there is no function '", wanted, "'");
}

void add_instruction(Program& p, PyObject* d) {
  Instruction i;
  const std::string code = text(item(d, "code"));
  const bool norm = code == "batch_norm";
  i.code = norm ? Code::affine : code_of(code);
  if (PyObject* f = item(d, "function")) i.function = function_of(text(f));
  i.a = integer(checked(item(d, "a"))), i.b = integer(d, "b", realtime::kNone),
  i.out = integer(checked(item(d, "out")));
  i.a_offset = integer(d, "a_offset", 0), i.out_offset = integer(d, "out_offset", 0), i.count = integer(d, "count", 0);
  i.p = static_cast<float>(number(d, "p")), i.q = static_cast<float>(number(d, "q"));
  if (PyObject* relu = item(d, "relu")) i.relu = PyObject_IsTrue(relu) == 1;
  std::vector<Constant> given;
  if (PyObject* list = item(d, "constants")) {
    const Ref fast = owned(PySequence_Fast(list, "constants is not a list"));
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(fast.get());
    if (n > realtime::kMostConstants) fail(ErrorKind::Value, "[", kWho, "] ", code, " has ", n, " constants");
    for (Py_ssize_t k = 0; k < n; k++) {
      PyObject* c = PySequence_Fast_GET_ITEM(fast.get(), k);
      given.push_back(c == Py_None ? Constant{} : constant(c));
    }
  }
  if (norm) {
    if (given.size() != 4)
      fail(ErrorKind::Value, "[", kWho, "] batch_norm has ", given.size(), " constants, expected 4");
    for (const Constant& c : given)
      if (c.data.size() != given[0].data.size())
        fail(ErrorKind::Value, "[", kWho, "] batch_norm's constants differ in length");
    std::vector<Constant> made(2);
    batch_norm(given.data(), static_cast<float>(number(d, "eps")), made[0], made[1]);
    given = std::move(made);
  }
  for (size_t k = 0; k < given.size(); k++) {
    if (given[k].rows == 0) continue;
    i.constant[k] = static_cast<int32_t>(p.constants.size());
    p.constants.push_back(std::move(given[k]));
  }
  p.instructions.push_back(i);
}

}  // namespace

Program to_program(PyObject* description) {
  if (!PyDict_Check(description)) fail(ErrorKind::Type, "[", kWho, "] the lowered program is not a dict");
  Program p;
  const Ref width = owned(PySequence_Fast(checked(item(description, "width")), "width is not a list"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(width.get()); i++)
    p.width.push_back(integer(PySequence_Fast_GET_ITEM(width.get(), i)));
  const Ref list = owned(PySequence_Fast(checked(item(description, "instructions")), "instructions is not a list"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); i++) {
    PyObject* d = PySequence_Fast_GET_ITEM(list.get(), i);
    if (!PyDict_Check(d)) fail(ErrorKind::Type, "[", kWho, "] an instruction is not a dict");
    add_instruction(p, d);
  }
  if (PyObject* refuse = item(description, "refuse_nan")) p.refuse_nan = PyObject_IsTrue(refuse) == 1;
  return p;
}

}  // namespace tg::bind
