#include "bind/tensor_type.h"

#include <cstddef>
#include <new>
#include <vector>

#include <structmember.h>

#include "bind/tape.h"

namespace tg::bind {

PyTypeObject* tensor_type = nullptr;

namespace {

void dealloc(PyObject* self) {
  auto* object = reinterpret_cast<TensorObject*>(self);
  PyTypeObject* type = Py_TYPE(self);
  if (object->weak_references) PyObject_ClearWeakRefs(self);
  Py_CLEAR(object->node);
  Py_CLEAR(object->grad);
  Py_CLEAR(object->base);
  Py_CLEAR(object->hooks);
  Py_CLEAR(object->post_hooks);
  object->value.~Tensor();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* refuse_new(PyTypeObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError, "[Tensor] the type is not called: use trigrad.tensor(data) or trigrad.empty(shape)");
  return nullptr;
}

Py_hash_t hash(PyObject* self) {
  const auto address = reinterpret_cast<uintptr_t>(self);
  return static_cast<Py_hash_t>(address >> 4);  // identity; objects are 16-byte aligned
}

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak_references), READONLY, nullptr},
    {},
};

}  // namespace

PyObject* wrap(Tensor value) {
  PyObject* self = checked(tensor_type->tp_alloc(tensor_type, 0));
  auto* object = reinterpret_cast<TensorObject*>(self);
  new (&object->value) Tensor(std::move(value));
  object->inference = inference_mode();
  return self;
}

PyObject* wrap_alias(PyObject* of, Tensor value) {
  PyObject* self = wrap(std::move(value));
  reinterpret_cast<TensorObject*>(self)->inference = reinterpret_cast<TensorObject*>(of)->inference;
  return self;
}

void init_tensor_type(PyObject* module) {
  static std::vector<PyMethodDef> methods;  // the type keeps their addresses
  for (const PyMethodDef* part : {tensor_views, tensor_methods, tape_methods})
    for (; part->ml_name; part++) methods.push_back(*part);
  methods.push_back({});
  static std::vector<PyGetSetDef> attributes;
  for (const PyGetSetDef* part : {tensor_view_attributes, tensor_attributes, tape_attributes})
    for (; part->name; part++) attributes.push_back(*part);
  attributes.push_back({});
  std::vector<PyType_Slot> slots = {
      {Py_tp_doc, const_cast<char*>(R"(An array of numbers of one dtype, of 0 to 8 axes. Make one with `trigrad.tensor`.

>>> import trigrad as tg
>>> x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> (x @ x).sum().backward()
>>> x.shape, x.dtype
(trigrad.Size([2, 2]), trigrad.float32)
>>> x.grad
tensor([[ 7., 11.],
        [ 9., 13.]]))")},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_new, reinterpret_cast<void*>(refuse_new)},
      {Py_tp_hash, reinterpret_cast<void*>(hash)},
      {Py_tp_members, members},
      {Py_tp_methods, methods.data()},
      {Py_tp_getset, attributes.data()},
  };
  for (PyType_Slot* part : {operator_slots, indexing_slots})
    for (; part->slot; part++) slots.push_back(*part);
  slots.push_back({});
  PyType_Spec spec = {"trigrad.Tensor", sizeof(TensorObject), 0, Py_TPFLAGS_DEFAULT, slots.data()};
  tensor_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  // numpy leaves arithmetic with tensors to them: `array * tensor` is a tensor. It looks these up on the type.
  auto* type = reinterpret_cast<PyObject*>(tensor_type);
  const Ref priority = owned(PyLong_FromLong(1000));
  if (PyObject_SetAttrString(type, "__array_ufunc__", Py_None) < 0 ||
      PyObject_SetAttrString(type, "__array_priority__", priority.get()) < 0 ||
      PyModule_AddObjectRef(module, "Tensor", type) < 0)
    throw PythonError{};
}

}  // namespace tg::bind
