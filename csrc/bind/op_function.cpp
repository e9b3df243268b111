#include "bind/op_function.h"

#include <cstddef>
#include <memory>
#include <string>

#include <structmember.h>

#include "bind/arguments.h"
#include "bind/autocast.h"
#include "bind/door.h"
#include "bind/power.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/table.h"
#include "ops/update.h"

namespace tg::bind {
namespace {

struct OpFunction {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  const Op* op;
  bool inplace;
  PyObject *name, *doc;  // strings
};

PyTypeObject* function_type = nullptr;

OpFunction* cast_self(PyObject* self) { return reinterpret_cast<OpFunction*>(self); }

// A fresh output becomes a new tensor; one that overwrote an input is that input's own object.
PyObject* output(const Arguments& arguments, Tensor& out) {
  if (!out.defined()) Py_RETURN_NONE;
  for (size_t i = 0; i < arguments.in.size(); i++)
    if (arguments.in[i].defined() && arguments.in[i].storage == out.storage && same_view(arguments.in[i], out))
      return Py_NewRef(arguments.objects[i]);
  return wrap(std::move(out));
}

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* names) {
  return guarded([&]() -> PyObject* {
    const Op& op = *cast_self(self)->op;
    Arguments a;
    read_arguments(op, args, PyVectorcall_NARGS(nargsf), names, a);
    if (cast_self(self)->inplace) return call_op_inplace(op, a);
    PyObject* power = op.id == id_pow ? simple_power(a.objects[0], a.in[0], a.in[1]) : nullptr;
    return power ? power : call_op(op, a);
  });
}

PyObject* bind_to(PyObject* self, PyObject* object, PyObject*) {
  return object ? PyMethod_New(self, object) : Py_NewRef(self);
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(cast_self(self)->name);
  Py_XDECREF(cast_self(self)->doc);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) { return PyUnicode_FromFormat("<trigrad op %U>", cast_self(self)->name); }
// Pickled by name, as functions are.
PyObject* reduce(PyObject* self, PyObject*) { return Py_NewRef(cast_self(self)->name); }

PyObject* module_name(PyObject*, void*) { return PyUnicode_FromString("trigrad.ops"); }
PyObject* signature(PyObject* self, void*) {
  return guarded([&] {
    const std::string s = python_signature(*cast_self(self)->op);
    return PyUnicode_FromString(s.substr(s.find('(')).c_str());
  });
}
PyObject* doc(PyObject* self, void*) {
  OpFunction* f = cast_self(self);
  return f->doc ? Py_NewRef(f->doc) : PyUnicode_FromString(python_signature(*f->op).c_str());
}
int set_doc(PyObject* self, PyObject* value, void*) {
  if (!value || !PyUnicode_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "__doc__ must be a string");
    return -1;
  }
  Py_XSETREF(cast_self(self)->doc, Py_NewRef(value));
  return 0;
}

PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {}};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpFunction, vectorcall), READONLY, nullptr},
    {"__name__", T_OBJECT_EX, offsetof(OpFunction, name), READONLY, nullptr},
    {"__qualname__", T_OBJECT_EX, offsetof(OpFunction, name), READONLY, nullptr},
    {},
};
PyGetSetDef attributes[] = {
    {"__module__", module_name, nullptr, nullptr, nullptr},
    {"__text_signature__", signature, nullptr, nullptr, nullptr},
    {"__doc__", doc, set_doc, nullptr, nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(bind_to)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {},
};
PyType_Spec spec = {
    "trigrad.ops.Op", sizeof(OpFunction), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    slots};

Ref make_function(const Op& op, bool inplace) {
  Ref self = owned(function_type->tp_alloc(function_type, 0));
  OpFunction* f = cast_self(self.get());
  f->vectorcall = vectorcall;
  f->op = &op;
  f->inplace = inplace;
  f->name = checked(PyUnicode_FromString((op.name + (inplace ? "_" : "")).c_str()));
  PyUnicode_InternInPlace(&f->name);
  return self;
}

void set(PyObject* target, const std::string& name, PyObject* value) {
  if (PyObject_SetAttrString(target, name.c_str(), value) < 0) throw PythonError{};
}

// Rows whose first tensor is what one would call the method on. A Python function wraps the rows called native_...
bool is_method(const Op& op) {
  if (op.tensors.empty()) return false;
  const std::string& first = op.params[0].name;
  return first == "self" || (first == "input" && !op.name.starts_with("native_"));
}

// Rows that users see as trigrad.<name>; the others are what Python functions and derivatives are made of.
bool is_public(const Op& op) {
  return op.id == op_where || (is_method(op) && op.params[0].name == "input") ||
         (op.variadic && op.tensors.size() == 1 && !(op.flags & kUpdates));
}

// The gradients may be on the tape; what is overwritten may not.
void check_updatable(const Op& op, const Arguments& a) {
  const UpdateLayout layout = update_layout(op, a.attrs);
  const size_t n = a.objects.size(), groups = static_cast<size_t>(layout.groups());
  for (size_t i = 0; i < n && n % groups == 0; i++)  // else the row's rule refuses
    if (overwrites(layout, i, n)) check_overwritable(op.name.c_str(), a.objects[i], true);
}

// As many tensors as a row has outputs: most have one.
class Outputs {
 public:
  explicit Outputs(size_t n) : n_(n) { std::uninitialized_default_construct_n(first(), n); }
  ~Outputs() { std::destroy_n(first(), n_); }
  Outputs(const Outputs&) = delete;
  Outputs& operator=(const Outputs&) = delete;
  std::span<Tensor> all() { return {first(), n_}; }

 private:
  Tensor* first() { return reinterpret_cast<Tensor*>(room_); }
  size_t n_;
  alignas(Tensor) std::byte room_[kMaxOutputs * sizeof(Tensor)];
};

// copy_ alone takes its source from another device: Python moves it, with its history.
PyObject* copy_across(const Arguments& a) {
  const Ref module = owned(PyImport_ImportModule("trigrad._moving"));
  return checked(PyObject_CallMethod(module.get(), "copy_across", "OOO", a.objects[0], a.objects[1],
                                     a.non_blocking ? Py_True : Py_False));
}

}  // namespace

PyObject* call_op(const Op& op, Arguments& a) {
  if (op.id == op_copy_ && a.in[0].place() != a.in[1].place() && !a.in[1].number) [[unlikely]]
    return copy_across(a);
  const std::unique_ptr<Autocast> cast = is_autocasting() ? autocast(op, a.given(), a.inputs()) : nullptr;
  if (cast) a.objects = cast->objects, a.in = cast->in;
  const auto n = static_cast<size_t>(op.n_outputs);
  Outputs out(n);
  const bool taped = is_taped(a.given());
  Versions before;
  for (size_t k = 0; k < n; k++)
    if (op.writes[k] >= 0)
      if (PyObject* target = a.objects[static_cast<size_t>(op.writes[k])]; target && is_tensor(target))
        check_overwritable(op.name.c_str(), target, taped);
  if (taped) {
    before = versions(op, a.given(), a.inputs());
    if (op.flags & kUpdates) check_updatable(op, a);
  }
  call(op, a.inputs(), a.attrs, out.all(), a.place);
  Ref made[kMaxOutputs];
  PyObject* objects[kMaxOutputs];
  for (size_t k = 0; k < n; k++) objects[k] = (made[k] = owned(output(a, out.all()[k]))).get();
  if (taped) tape_call(op, a.given(), a.inputs(), before, a.attrs, {objects, n});
  if (n == 0) Py_RETURN_NONE;
  if (n == 1) return made[0].release();
  Ref all = owned(PyTuple_New(op.n_outputs));
  for (size_t k = 0; k < n; k++) PyTuple_SET_ITEM(all.get(), static_cast<Py_ssize_t>(k), made[k].release());
  return all.release();
}

PyObject* call_op_inplace(const Op& op, Arguments& a) {
  if (!is_tensor(a.objects[0]))
    fail(ErrorKind::Type, "[", op.name, "_] writes into a tensor, got a ", Py_TYPE(a.objects[0])->tp_name);
  if (op.id != id_pow || !simple_power_inplace(a.objects[0], a.in[1]))
    call_object_inplace(op, a.given(), a.inputs(), a.attrs);
  return Py_NewRef(a.objects[0]);
}

void init_op_functions(PyObject* core_module, PyObject* ops_module) {
  function_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  set(core_module, "Op", reinterpret_cast<PyObject*>(function_type));
  const Ref type = borrowed(reinterpret_cast<PyObject*>(tensor_type));
  const Ref names = owned(PyList_New(0));  // __all__: what `from trigrad.ops import *` brings
  set(ops_module, "__all__", names.get());
  for (const Op& op : ops()) {
    const Ref f = make_function(op, false);
    set(ops_module, op.name, f.get());
    if (is_public(op) && PyList_Append(names.get(), cast_self(f.get())->name) < 0) throw PythonError{};
    if (is_method(op)) set(type.get(), op.name, f.get());
    if ((op.flags & kInplace) && (is_method(op) || op.name.starts_with("native_")))
      set(type.get(), op.name + "_", make_function(op, true).get());
  }
}

}  // namespace tg::bind
