#include "bind/dtype_type.h"

#include <cstring>

#include "bind/numpy.h"

namespace tg::bind {
namespace {

struct DtypeObject {
  PyObject_HEAD
  Dtype value;
};

PyTypeObject* dtype_type = nullptr;
PyObject* objects[kDtypes] = {};

Dtype value_of(PyObject* self) { return reinterpret_cast<DtypeObject*>(self)->value; }

PyObject* repr(PyObject* self) { return PyUnicode_FromFormat("trigrad.%s", name(value_of(self))); }
// Pickled and copied by name: there is one object per type.
PyObject* reduce(PyObject* self, PyObject*) { return PyUnicode_FromString(name(value_of(self))); }

PyObject* itemsize(PyObject* self, void*) { return PyLong_FromLongLong(size_of(value_of(self))); }
PyObject* is_floating_point(PyObject* self, void*) { return PyBool_FromLong(is_floating(value_of(self))); }
PyObject* is_signed(PyObject* self, void*) {
  const char* n = name(value_of(self));
  return PyBool_FromLong(n[0] != 'u' && std::strcmp(n, "bool"));
}

PyObject* refuse_new(PyTypeObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError, "[dtype] the dtypes are fixed: use trigrad.float32, trigrad.int64, ...");
  return nullptr;
}

PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {}};
PyGetSetDef attributes[] = {
    {"itemsize", itemsize, nullptr, "Bytes of one element.", nullptr},
    {"is_floating_point", is_floating_point, nullptr, "True for float and half types.", nullptr},
    {"is_signed", is_signed, nullptr, "Can it hold negative numbers?", nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(R"(What the elements of a tensor are, such as `trigrad.float32`.

>>> import trigrad as tg
>>> tg.float32.itemsize, tg.float32.is_floating_point
(4, True)
>>> tg.tensor([1, 2]).dtype
trigrad.int64)")},
    {Py_tp_new, reinterpret_cast<void*>(refuse_new)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {},
};
PyType_Spec spec = {"trigrad.dtype", sizeof(DtypeObject), 0, Py_TPFLAGS_DEFAULT, slots};

Dtype from_numpy_dtype(const char* op, const char* param, PyObject* value) {
  const Ref numpy = owned(PyImport_ImportModule("numpy"));
  const Ref made(PyObject_CallMethod(numpy.get(), "dtype", "O", value));
  if (!made) {
    PyErr_Clear();
    fail(ErrorKind::Type, "[", op, "] ", param, " is a ", Py_TYPE(value)->tp_name,
         ", expected a dtype such as trigrad.float32");
  }
  const Ref text = owned(PyObject_GetAttrString(made.get(), "str"));
  const char* typestr = checked(PyUnicode_AsUTF8(text.get()));
  for (int t = 0; t < kDtypes; t++)
    if (kDtypeInfo[t].interface && !std::strcmp(kDtypeInfo[t].interface, typestr)) return static_cast<Dtype>(t);
  fail(ErrorKind::Type, "[", op, "] ", param, " is numpy's ", typestr,
       ", which trigrad does not have; expected one of ",
       "trigrad.float32, float64, int64, int32, uint8, bool, int8, int16, uint16, uint32, float16");
}

}  // namespace

void init_dtype_type(PyObject* module) {
  dtype_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddObjectRef(module, "dtype", reinterpret_cast<PyObject*>(dtype_type)) < 0) throw PythonError{};
  for (int t = 0; t < kDtypes; t++) {
    objects[t] = checked(dtype_type->tp_alloc(dtype_type, 0));
    reinterpret_cast<DtypeObject*>(objects[t])->value = static_cast<Dtype>(t);
    if (PyModule_AddObjectRef(module, kDtypeInfo[t].name, objects[t]) < 0) throw PythonError{};
  }
}

bool is_dtype(PyObject* value) { return Py_TYPE(value) == dtype_type; }

PyObject* dtype_object(Dtype t) { return objects[static_cast<int>(t)]; }

Dtype to_dtype(const char* op, const char* param, PyObject* value) {
  if (Py_TYPE(value) == dtype_type) return value_of(value);
  if (value == reinterpret_cast<PyObject*>(&PyFloat_Type)) return Dtype::Float64;  // as in PyTorch
  if (value == reinterpret_cast<PyObject*>(&PyLong_Type)) return Dtype::Int64;
  if (value == reinterpret_cast<PyObject*>(&PyBool_Type)) return Dtype::Bool;
  if (value == Py_None)
    fail(ErrorKind::Type, "[", op, "] ", param, " is None, expected a dtype such as trigrad.float32");
  return from_numpy_dtype(op, param, value);
}

}  // namespace tg::bind
