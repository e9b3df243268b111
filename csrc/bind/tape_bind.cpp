// What Python sees of the tape: attributes and methods of Tensor, and the functions by which _autograd.py works.
#include "bind/arguments.h"
#include "bind/convert.h"
#include "bind/node.h"
#include "bind/tape.h"
#include "bind/walk.h"
#include "ops/table.h"

namespace tg::bind {

namespace {

// ---------------------------------------------------------------- attributes and methods of Tensor

PyObject* get_requires_grad(PyObject* self, void*) { return PyBool_FromLong(requires_grad(self)); }

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded(
      [&] {
        if (!value) fail(ErrorKind::Type, "[requires_grad] cannot be deleted; set it to False");
        const int on = PyObject_IsTrue(value);
        if (on < 0) throw PythonError{};
        TensorObject& t = object_of(self);
        if (on && !is_floating(t.value.dtype))
          fail(ErrorKind::Runtime, "[requires_grad] got a tensor of ", name(t.value.dtype),
               ", expected a floating dtype: only real numbers have gradients; cast it with .float()");
        if (on && t.inference && !inference_mode())
          fail(
              ErrorKind::Runtime,
              "[requires_grad] got a tensor that was made in inference mode, expected one that may be part of a graph; "
              "take a copy outside: x.clone()");
        refresh(self);
        if (t.node && !on)
          fail(ErrorKind::Runtime,
               "[requires_grad] this tensor was made of others that require gradients, expected a leaf; "
               "use .detach()");
        if (!t.node) t.requires_grad = on != 0;
        return 0;
      },
      -1);
}

PyObject* requires_grad_(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[1];
    read_names("requires_grad_", {"requires_grad"}, args, n, keywords, given);
    if (set_requires_grad(self, given[0] ? given[0] : Py_True, nullptr) < 0) throw PythonError{};
    return Py_NewRef(self);
  });
}

PyObject* get_grad(PyObject* self, void*) {
  const TensorObject& t = object_of(self);
  if (t.node && !t.grad && !t.retains_grad &&
      PyErr_WarnEx(PyExc_UserWarning,
                   "[grad] the tensor was made of others, and backward() fills the .grad of leaves alone; call its "
                   "retain_grad() before, or look at the .grad of what it was made of",
                   1) < 0)
    return nullptr;
  return Py_NewRef(t.grad ? t.grad : Py_None);
}

int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded(
      [&] {
        TensorObject& t = object_of(self);
        if (!value || value == Py_None) {
          Py_CLEAR(t.grad);
          return 0;
        }
        if (!is_tensor(value))
          fail(ErrorKind::Type, "[grad] got a ", Py_TYPE(value)->tp_name, ", expected a Tensor or None");
        if (value == self) fail(ErrorKind::Runtime, "[grad] a tensor cannot be its own gradient");
        const Tensor& g = value_of(value);
        if (!(g.shape == t.value.shape) || g.dtype != t.value.dtype)
          fail(ErrorKind::Runtime, "[grad] got shape ", g.shape, " of ", name(g.dtype),
               ", expected those of the tensor: ", t.value.shape, " of ", name(t.value.dtype));
        Py_XSETREF(t.grad, Py_NewRef(value));
        return 0;
      },
      -1);
}

// Without the warning.
PyObject* get_plain_grad(PyObject* self, void*) {
  const TensorObject& t = object_of(self);
  return Py_NewRef(t.grad ? t.grad : Py_None);
}
PyObject* get_retains_grad(PyObject* self, void*) { return PyBool_FromLong(object_of(self).retains_grad); }
int set_retains_grad(PyObject* self, PyObject* value, void*) {
  object_of(self).retains_grad = value == Py_True;
  return 0;
}

PyObject* get_node(PyObject* self, void*) {
  return guarded([&] {
    refresh(self);
    return Py_NewRef(object_of(self).node ? object_of(self).node : Py_None);
  });
}
PyObject* get_output(PyObject* self, void*) { return PyLong_FromLong(object_of(self).output); }
PyObject* get_is_leaf(PyObject* self, void*) {
  return guarded([&] {
    refresh(self);
    return PyBool_FromLong(object_of(self).node == nullptr);
  });
}
PyObject* get_base(PyObject* self, void*) { return Py_NewRef(object_of(self).base ? object_of(self).base : Py_None); }
PyObject* get_hooks(PyObject* self, void*) {
  return Py_NewRef(object_of(self).hooks ? object_of(self).hooks : Py_None);
}
int set_hooks(PyObject* self, PyObject* value, void*) {
  Py_XSETREF(object_of(self).hooks, value && value != Py_None ? Py_NewRef(value) : nullptr);
  return 0;
}

PyObject* get_role(PyObject* self, void*) { return PyLong_FromLong(object_of(self).role); }
int set_role(PyObject* self, PyObject* value, void*) {
  const long role = value ? PyLong_AsLong(value) : 0;
  if (role == -1 && PyErr_Occurred()) return -1;
  object_of(self).role = static_cast<uint8_t>(role);
  return 0;
}

PyObject* get_post_hooks(PyObject* self, void*) {
  return Py_NewRef(object_of(self).post_hooks ? object_of(self).post_hooks : Py_None);
}
int set_post_hooks(PyObject* self, PyObject* value, void*) {
  Py_XSETREF(object_of(self).post_hooks, value && value != Py_None ? Py_NewRef(value) : nullptr);
  return 0;
}

PyObject* detach(PyObject* self, PyObject*) {
  return guarded([&] { return wrap_alias(self, value_of(self)); });
}
PyObject* is_inference(PyObject* self, PyObject*) { return PyBool_FromLong(object_of(self).inference); }
PyObject* detach_(PyObject* self, PyObject*) {
  return guarded([&] {
    TensorObject& t = object_of(self);
    if (t.base) fail(ErrorKind::Runtime, "[detach_] got a view, whose base would stay in the graph; use .detach()");
    Py_CLEAR(t.node);
    t.requires_grad = t.retains_grad = false;
    return Py_NewRef(self);
  });
}
// ---------------------------------------------------------------- functions of the module

PyObject* set_grad_enabled(PyObject*, PyObject* value) {
  const int on = PyObject_IsTrue(value);
  if (on < 0) return nullptr;
  const bool before = grad_enabled();
  set_grad_mode(on != 0);
  return PyBool_FromLong(before);
}
PyObject* set_inference(PyObject*, PyObject* value) {
  const bool before = inference_mode();
  set_inference_mode(value == Py_True);
  return PyBool_FromLong(before);
}
PyObject* is_inference_mode_enabled(PyObject*, PyObject*) { return PyBool_FromLong(inference_mode()); }

PyObject* set_witness_function(PyObject*, PyObject* function) {
  set_witness(function == Py_None ? nullptr : function);
  Py_RETURN_NONE;
}
PyObject* is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(grad_enabled()); }

// set_formula(name, function, reads, carries): reads[i] is "i0 o1", what the gradient of input i needs the values of; with
// "?" only if it will be differentiated again.
PyObject* set_formula(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 4) fail(ErrorKind::Type, "[set_formula] takes (name, function, reads, carries)");
    const Op* op = find_op(checked(PyUnicode_AsUTF8(args[0])));
    if (!op) fail(ErrorKind::Value, "[set_formula] the op table has no row '", PyUnicode_AsUTF8(args[0]), "'");
    const Ref reads = owned(PySequence_Fast(args[2], "reads")), carries = owned(PySequence_Fast(args[3], "carries"));
    if (PySequence_Fast_GET_SIZE(reads.get()) != op->n_tensors())
      fail(ErrorKind::Value, "[set_formula] ", op->name, " has ", op->n_tensors(), " tensors, but reads has ",
           PySequence_Fast_GET_SIZE(reads.get()), " entries");
    Formula f;
    for (int i = 0; i < op->n_tensors(); i++)
      for (const char* at = checked(PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(reads.get(), i))); *at; at++) {
        if (*at != 'i' && *at != 'o') continue;
        const bool for_graph = at[2] == '?';
        (*at != 'i' ? f.reads_outputs : for_graph ? f.reads_for_graph : f.reads_inputs)[i] |= 1u << (at[1] - '0');
      }
    f.carries = 0;
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(carries.get()); k++)
      f.carries |= 1u << to_int("set_formula", "carries", PySequence_Fast_GET_ITEM(carries.get(), k));
    f.function = Py_NewRef(args[1]);
    Py_XDECREF(row_formula(op->id).function);
    row_formula(op->id) = f;
    Py_RETURN_NONE;
  });
}

// set_view_formula(kind, function)
PyObject* set_view_formula(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2) fail(ErrorKind::Type, "[set_view_formula] takes (kind, function)");
    add_view_formula(checked(PyUnicode_AsUTF8(args[0])), Py_NewRef(args[1]));
    Py_RETURN_NONE;
  });
}

// edge(tensor) -> (node or leaf, output) or None
PyObject* edge(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor)) fail(ErrorKind::Type, "[edge] got a ", Py_TYPE(tensor)->tp_name, ", expected a Tensor");
    const Edge e = edge_of(tensor);
    if (!e.target) Py_RETURN_NONE;
    return Py_BuildValue("(Oi)", e.target.get(), e.output);
  });
}

// rejoin(tensor, other): the tensor gets the other's place in the graph.
PyObject* rejoin(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2 || !is_tensor(args[0]) || !is_tensor(args[1])) fail(ErrorKind::Type, "[rejoin] takes two tensors");
    const Edge e = edge_of(args[1]);
    if (e.target && is_node(e.target.get())) set_history(args[0], e.target, e.output);
    Py_RETURN_NONE;
  });
}

// record(name, formula, extra, inputs, outputs, constants=()): the outputs were made from the inputs by a function of
// Python, and formula(grads, inputs, outputs, (extra,)) gives a gradient or None per input. The outputs whose places are
// among the constants have none.
PyObject* record(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 5 && n != 6) fail(ErrorKind::Type, "[record] takes (name, formula, extra, inputs, outputs, constants=())");
    const Ref constants = n == 6 ? owned(PySequence_Tuple(args[5])) : owned(PyTuple_New(0));
    const Ref inputs = owned(PySequence_Fast(args[3], "inputs")), outputs = owned(PySequence_Fast(args[4], "outputs"));
    Ref self = new_node();
    Node& node = node_of(self.get());
    node.name = intern(checked(PyUnicode_AsUTF8(args[0])));
    node.formula = borrowed(args[1]);
    node.extra = borrowed(args[2]);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(inputs.get()); i++) {
      PyObject* t = PySequence_Fast_GET_ITEM(inputs.get(), i);
      node.edges.push_back(is_tensor(t) ? edge_of(t) : Edge{});
      node.in.push_back({is_tensor(t) ? geometry(value_of(t)) : Tensor{}, 0, !is_tensor(t)});
    }
    number(node);
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(outputs.get()); k++) {
      PyObject* t = PySequence_Fast_GET_ITEM(outputs.get(), k);
      node.out.push_back({is_tensor(t) ? geometry(value_of(t)) : Tensor{}, 0, !is_tensor(t)});
      const int constant = PySequence_Contains(constants.get(), owned(PyLong_FromSsize_t(k)).get());
      if (constant < 0) throw PythonError{};
      if (is_tensor(t) && !constant && is_floating(value_of(t).dtype)) set_history(t, self, static_cast<int>(k));
    }
    return self.release();
  });
}

template <class F>
PyCFunction cfunction(F* f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef functions[] = {
    {"set_grad_enabled", set_grad_enabled, METH_O, "Record calls in this thread? Returns what was before."},
    {"is_grad_enabled", is_grad_enabled, METH_NOARGS, "Are calls recorded in this thread?"},
    {"set_inference_mode", set_inference, METH_O, "Inference mode in this thread on or off. Returns what was before."},
    {"is_inference_mode_enabled", is_inference_mode_enabled, METH_NOARGS, "Is this thread in inference mode?"},
    {"set_witness", set_witness_function, METH_O, "What each new node is to keep as `where`: function() or None."},
    {"set_formula", cfunction(set_formula), METH_FASTCALL, nullptr},
    {"set_view_formula", cfunction(set_view_formula), METH_FASTCALL, nullptr},
    {"edge", edge, METH_O, nullptr},
    {"record", cfunction(record), METH_FASTCALL, nullptr},
    {"walk", cfunction(walk), METH_FASTCALL, nullptr},
    {"accumulate", cfunction(accumulate), METH_FASTCALL, nullptr},
    {"rejoin", cfunction(rejoin), METH_FASTCALL, nullptr},
    {},
};

}  // namespace

void set_data(PyObject* tensor, PyObject* source) {
  if (!source || !is_tensor(source))
    fail(ErrorKind::Type, "[data] got ", source ? Py_TYPE(source)->tp_name : "nothing", ", expected a Tensor");
  TensorObject& t = object_of(tensor);
  if (t.node || t.base)
    fail(ErrorKind::Runtime, "[data] got a view or a tensor made of others, expected a leaf; use .detach()");
  if (t.requires_grad && !is_floating(value_of(source).dtype))
    fail(ErrorKind::Runtime, "[data] got a tensor of ", name(value_of(source).dtype),
         " for a leaf that requires a gradient, expected a floating dtype");
  t.value = value_of(source);
}

PyGetSetDef tape_attributes[] = {
    {"requires_grad", get_requires_grad, set_requires_grad, "Is a gradient with respect to this tensor wanted?",
     nullptr},
    {"grad", get_grad, set_grad, "The gradient that backward() accumulated, or None.", nullptr},
    {"grad_fn", get_node, nullptr, "The node of the graph that made this tensor; None for a leaf.", nullptr},
    {"output_nr", get_output, nullptr, "Which output of that node.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Was it made by the user, not by a recorded call?", nullptr},
    {"_base", get_base, nullptr, "The tensor that this one is a view of.", nullptr},
    {"_grad", get_plain_grad, set_grad, nullptr, nullptr},
    {"_hooks", get_hooks, set_hooks, nullptr, nullptr},
    {"retains_grad", get_retains_grad, nullptr, "Is .grad filled although the tensor is no leaf?", nullptr},
    {"_retains_grad", get_retains_grad, set_retains_grad, nullptr, nullptr},
    {"_role", get_role, set_role, nullptr, nullptr},
    {"_post_hooks", get_post_hooks, set_post_hooks, nullptr, nullptr},
    {},
};

PyMethodDef tape_methods[] = {
    {"requires_grad_", cfunction(requires_grad_), METH_FASTCALL | METH_KEYWORDS,
     "requires_grad_(requires_grad=True) -> Tensor\n\nAsk for a gradient, in place."},
    {"is_inference", is_inference, METH_NOARGS, "is_inference() -> bool\n\nWas it made in inference mode?"},
    {"detach", detach, METH_NOARGS, "detach() -> Tensor\n\nThe same memory, outside the graph."},
    {"detach_", detach_, METH_NOARGS, "detach_() -> Tensor\n\nTake the tensor out of the graph."},
    {},
};

void init_tape(PyObject* core_module) {
  init_node_type(core_module);
  if (PyModule_AddFunctions(core_module, functions) < 0) throw PythonError{};
}

}  // namespace tg::bind
