#include "bind/device.h"

#include <string>

#include "bind/tensor_type.h"
#include "cuda/backend.h"

namespace tg::bind {
namespace {

constexpr int64_t kCurrent = -1;  // of a GPU without an index

Place named(const char* op, const std::string& kind, int64_t index) {
  if (kind == "cpu") return {};
  if (kind == "test") return Device::Test;
  if (index == kCurrent) index = cuda::current_device();
  cuda::require(op, index);
  return {Device::Cuda, static_cast<int>(index)};
}

int64_t index_of(PyObject* index) {
  if (index == Py_None) return kCurrent;
  const long long i = PyLong_AsLongLong(index);
  if (i == -1 && PyErr_Occurred()) throw PythonError{};
  return i;
}

// The class trigrad.device, which reads names and refuses those that are none.
PyObject* device_class() {
  static PyObject* const found = [] {
    const Ref module = owned(PyImport_ImportModule("trigrad._device"));
    return checked(PyObject_GetAttrString(module.get(), "device"));
  }();
  return found;
}

thread_local Place default_place;

}  // namespace

void set_default_place(Place place) { default_place = place; }

Place to_place(const char* op, PyObject* device) {
  if (!device) return {};
  if (device == Py_None) return default_place;
  if (is_tensor(device))
    return value_of(device).defined() ? value_of(device).place() : Place{};  // not kept: has no place
  if (PyUnicode_Check(device) && PyUnicode_CompareWithASCIIString(device, "cpu") == 0) return {};
  if (PyLong_CheckExact(device)) return named(op, "cuda", index_of(device));
  const Ref d = owned(PyObject_CallOneArg(device_class(), device));
  const Ref kind = owned(PyObject_GetAttrString(d.get(), "type")),
            index = owned(PyObject_GetAttrString(d.get(), "index"));
  return named(op, checked(PyUnicode_AsUTF8(kind.get())), index_of(index.get()));
}

}  // namespace tg::bind
