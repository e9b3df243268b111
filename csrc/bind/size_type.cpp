#include "bind/size_type.h"

namespace tg::bind {
namespace {

PyTypeObject* size_type = nullptr;

void fill(PyObject* tuple, const Dims& values) {
  for (int i = 0; i < values.size(); i++) PyTuple_SET_ITEM(tuple, i, checked(PyLong_FromLongLong(values[i])));
}

// A Size with the items of any tuple. Steals nothing.
PyObject* from_tuple(PyObject* tuple) {
  const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  PyObject* size = checked(size_type->tp_alloc(size_type, n));
  for (Py_ssize_t i = 0; i < n; i++) PyTuple_SET_ITEM(size, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
  return size;
}

PyObject* repr(PyObject* self) {
  return guarded([&] {
    const Ref list = owned(PySequence_List(self));
    return PyUnicode_FromFormat("trigrad.Size(%R)", list.get());
  });
}

PyObject* numel(PyObject* self, PyObject*) {
  return guarded([&] {
    Ref product = owned(PyLong_FromLong(1));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); i++)
      product = owned(PyNumber_Multiply(product.get(), PyTuple_GET_ITEM(self, i)));
    return product.release();
  });
}

// Slices and sums of sizes are sizes.
PyObject* subscript(PyObject* self, PyObject* key) {
  return guarded([&] {
    Ref part = owned(PyTuple_Type.tp_as_mapping->mp_subscript(self, key));
    return PySlice_Check(key) ? from_tuple(part.get()) : part.release();
  });
}
PyObject* concat(PyObject* self, PyObject* other) {
  return guarded([&] {
    const Ref both = owned(PyTuple_Type.tp_as_sequence->sq_concat(self, other));
    return from_tuple(both.get());
  });
}
PyObject* reduce(PyObject* self, PyObject*) {
  return guarded([&] {
    const Ref list = owned(PySequence_List(self));
    return Py_BuildValue("O(O)", size_type, list.get());
  });
}

PyMethodDef methods[] = {
    {"numel", numel, METH_NOARGS, "numel() -> int\n\nThe product of the lengths."},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(R"(A shape: a tuple of lengths.

>>> import trigrad as tg
>>> tg.zeros(2, 3).shape
trigrad.Size([2, 3])
>>> tg.Size((2, 3)).numel()
6)")},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_mp_subscript, reinterpret_cast<void*>(subscript)},
    {Py_sq_concat, reinterpret_cast<void*>(concat)},
    {Py_tp_methods, methods},
    {},
};
PyType_Spec spec = {"trigrad.Size", 0, 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

void init_size_type(PyObject* module) {
  const Ref bases = owned(PyTuple_Pack(1, &PyTuple_Type));
  size_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpecWithBases(&spec, bases.get())));
  if (PyModule_AddObjectRef(module, "Size", reinterpret_cast<PyObject*>(size_type)) < 0) throw PythonError{};
}

PyObject* make_size(const Dims& shape) {
  Ref size = owned(size_type->tp_alloc(size_type, shape.size()));
  fill(size.get(), shape);
  return size.release();
}

PyObject* make_tuple(const Dims& values) {
  Ref tuple = owned(PyTuple_New(values.size()));
  fill(tuple.get(), values);
  return tuple.release();
}

}  // namespace tg::bind
