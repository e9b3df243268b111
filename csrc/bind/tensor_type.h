// trigrad.Tensor: one C extension type around a core tensor. Its methods come from methods.cpp, from the op table
// (op_function.h) and, where nothing is hot, from Python (_methods.py).
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

struct TensorObject {
  PyObject_HEAD
  PyObject* weak_references;
  Tensor value;
};

extern PyTypeObject* tensor_type;

void init_tensor_type(PyObject* module);

inline bool is_tensor(PyObject* object) { return Py_TYPE(object) == tensor_type; }
inline const Tensor& value_of(PyObject* tensor) { return reinterpret_cast<TensorObject*>(tensor)->value; }
PyObject* wrap(Tensor value);  // new reference

inline PyCFunction keywords(PyObject* (*f)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}
inline constexpr int kKeywords = METH_FASTCALL | METH_KEYWORDS;

// The slots and methods that other files contribute (each ends with an empty row).
extern PyType_Slot operator_slots[];          // operators.cpp
extern PyType_Slot indexing_slots[];          // indexing.cpp
extern PyMethodDef tensor_views[];            // views.cpp
extern PyMethodDef tensor_methods[];          // methods.cpp
extern PyGetSetDef tensor_view_attributes[];  // views.cpp
extern PyGetSetDef tensor_attributes[];       // methods.cpp

}  // namespace tg::bind
