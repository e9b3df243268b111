// trigrad.Tensor: one C extension type around a core tensor. Its methods come from methods.cpp, from the op table
// (op_function.h) and, where nothing is hot, from Python (_methods.py).
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

struct TensorObject {
  PyObject_HEAD
  PyObject* weak_references;
  // What the tape knows of it (tape.h); all null and 0 while nothing was recorded.
  PyObject* node;                  // what made it
  PyObject* grad;                  // a Tensor
  PyObject* base;                  // the tensor that it is a view of
  PyObject* hooks;                 // what Python wants called with its gradient
  PyObject* post_hooks;            // and after that was added to .grad
  int output;                      // which output of the node
  uint32_t history, base_history;  // rises when `node` changes; the base's when ours was taken from it
  bool requires_grad;              // a leaf whose gradient is wanted
  bool retains_grad;               // no leaf, but .grad is wanted all the same
  bool inference;                  // made in inference mode: it has no place in any graph
  bool unrecorded;                 // a view that was taken while nothing was recorded
  uint8_t role;                    // what it is to a module: 0 nothing, else as nn/parameter.py says
  Tensor value;
};

extern PyTypeObject* tensor_type;

void init_tensor_type(PyObject* module);

inline bool is_tensor(PyObject* object) { return Py_TYPE(object) == tensor_type; }
inline const Tensor& value_of(PyObject* tensor) { return reinterpret_cast<TensorObject*>(tensor)->value; }
PyObject* wrap(Tensor value);  // new reference
// The same memory as that of the tensor `of`, apart from its history.
PyObject* wrap_alias(PyObject* of, Tensor value);

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
extern PyMethodDef tape_methods[];            // tape.cpp
extern PyGetSetDef tape_attributes[];         // tape.cpp

}  // namespace tg::bind
