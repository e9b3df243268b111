#include "bind/node.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <string_view>

#include "bind/dtype_type.h"
#include "bind/size_type.h"

namespace tg::bind {
namespace {

struct NodeObject {
  PyObject_HEAD
  Node node;
};

PyTypeObject* node_type = nullptr;
uint64_t next_sequence = 1;  // under the GIL
PyObject* witness = nullptr;

// A chain of any length is freed without recursion: the first node to die frees, one by one, what the others leave here.
void dealloc(PyObject* self) {
  static std::vector<PyObject*> left;  // under the GIL
  static bool freeing = false;
  PyTypeObject* type = Py_TYPE(self);
  for (Edge& e : node_of(self).edges)
    if (e.target) left.push_back(e.target.release());
  if (node_of(self).extra) left.push_back(node_of(self).extra.release());
  node_of(self).~Node();
  type->tp_free(self);
  Py_DECREF(type);
  if (freeing) return;
  freeing = true;
  while (!left.empty()) {
    PyObject* next = left.back();
    left.pop_back();
    Py_DECREF(next);
  }
  freeing = false;
}

PyObject* to_python(const Attr& a, const Dims& list) {
  switch (a.kind) {
    case Attr::Kind::Int: return PyLong_FromLongLong(a.i);
    case Attr::Kind::Float: return PyFloat_FromDouble(a.f);
    case Attr::Kind::Bool: return PyBool_FromLong(a.i != 0);
    case Attr::Kind::Type: return Py_NewRef(dtype_object(static_cast<Dtype>(a.i)));
    case Attr::Kind::Text: return PyUnicode_FromString(a.text);
    case Attr::Kind::List: return make_tuple(list);
    case Attr::Kind::None: break;
  }
  Py_RETURN_NONE;
}

void check_unchanged(const Node& n, const Saved& s, const char* what, size_t i) {
  if (s.value.defined() && s.value.storage->version() != s.version)
    fail(ErrorKind::Runtime, "[backward] ", what, " ", i, " of ", n.name, ", shape ", s.value.shape,
         ", was changed in place after the call: it is at version ", s.value.storage->version(), ", expected ",
         s.version, "; change a copy (x.clone()) or use the op that is not in place");
}

// What was not kept, as a tensor that may be handed to a row which does not read it: of its shape, all NaN (or 0).
Tensor with_values(const Tensor& t) {
  if (t.defined()) return t;
  static Tensor nothing[kDtypes];
  Tensor& one = nothing[static_cast<int>(t.dtype)];
  if (!one.defined()) one = is_floating(t.dtype) ? scalar(std::nan(""), t.dtype) : scalar(int64_t{0}, t.dtype);
  return as_strided(one, t.shape, Dims::filled(t.rank(), 0), 0);
}

// The input as the formula sees it. With `graph` it has its place in the graph, so that what is done with it is recorded.
Ref input_of(Node& n, size_t i, bool graph) {
  const Saved& s = n.in[i];
  if (graph || !s.for_graph) check_unchanged(n, s, "input", i);
  if (s.absent) return borrowed(Py_None);
  const Edge& e = n.edges[i];
  if (graph && e.target && !is_node(e.target.get())) return borrowed(e.target.get());
  Ref t = owned(wrap(n.op ? with_values(s.value) : s.value));
  if (graph && e.target) set_history(t.get(), e.target, e.output);
  return t;
}

Ref attributes_of(const Node& n) {
  if (n.extra) return owned(PyTuple_Pack(1, n.extra.get()));
  Ref all = owned(PyTuple_New(n.attrs.n));
  for (int k = 0; k < n.attrs.n; k++)
    PyTuple_SET_ITEM(all.get(), k, checked(to_python(n.attrs.values[k], n.attrs.list)));
  return all;
}

PyObject* apply(PyObject* self, PyObject* const* args, Py_ssize_t n_args) {
  return guarded([&]() -> PyObject* {
    if (n_args != 3 || !PyTuple_Check(args[0]))
      fail(ErrorKind::Type, "[Node.apply] takes (grads, create_graph, wanted)");
    Node& n = node_of(self);
    if (n.released)
      fail(ErrorKind::Runtime, "[backward] the graph of ", n.name,
           " has been freed by an earlier backward pass; pass "
           "retain_graph=True to that one if you need two");
    const bool graph = PyObject_IsTrue(args[1]) == 1;
    Ref inputs = owned(PyTuple_New(static_cast<Py_ssize_t>(n.in.size())));
    for (size_t i = 0; i < n.in.size(); i++)
      PyTuple_SET_ITEM(inputs.get(), static_cast<Py_ssize_t>(i), input_of(n, i, graph).release());
    Ref outputs = owned(PyTuple_New(static_cast<Py_ssize_t>(n.out.size())));
    for (size_t k = 0; k < n.out.size(); k++) {
      check_unchanged(n, n.out[k], "output", k);
      Ref t = owned(wrap(n.op && !n.out[k].absent ? with_values(n.out[k].value) : n.out[k].value));
      if (graph && (n.carries >> k & 1)) set_history(t.get(), borrowed(self), static_cast<int>(k));
      PyTuple_SET_ITEM(outputs.get(), static_cast<Py_ssize_t>(k), t.release());
    }
    const Ref attributes = attributes_of(n);
    Ref wanted = args[2] == Py_None ? owned(PyTuple_New(static_cast<Py_ssize_t>(n.edges.size()))) : borrowed(args[2]);
    for (size_t i = 0; i < n.edges.size() && args[2] == Py_None; i++)
      PyTuple_SET_ITEM(wanted.get(), static_cast<Py_ssize_t>(i), PyBool_FromLong(n.edges[i].target.get() != nullptr));
    PyObject* arguments[] = {args[0], inputs.get(), outputs.get(), attributes.get(), wanted.get()};
    return checked(PyObject_Vectorcall(n.formula.get(), arguments, 5, nullptr));
  });
}

// Per tensor (the tensor, is it as it was at the call?, its version then); None for one that was not given.
Ref looked_at(const Node& n, const std::vector<Saved>& all) {
  Ref found = owned(PyTuple_New(static_cast<Py_ssize_t>(all.size())));
  for (size_t i = 0; i < all.size(); i++) {
    const Saved& s = all[i];
    const bool kept = s.value.defined() && s.value.storage->version() == s.version;
    PyTuple_SET_ITEM(
        found.get(), static_cast<Py_ssize_t>(i),
        s.absent ? Py_NewRef(Py_None)
                 : checked(Py_BuildValue("(NOK)", wrap(n.op ? with_values(s.value) : s.value),
                                         kept ? Py_True : Py_False, static_cast<unsigned long long>(s.version))));
  }
  return found;
}
PyObject* inspect(PyObject* self, PyObject*) {
  return guarded([&] {
    const Node& n = node_of(self);
    return checked(Py_BuildValue("(NNN)", looked_at(n, n.in).release(), looked_at(n, n.out).release(),
                                 attributes_of(n).release()));
  });
}

PyObject* release(PyObject* self, PyObject*) {
  Node& n = node_of(self);
  n.released = n.keeps;
  for (Saved& s : n.in) s.value.storage = {};
  for (Saved& s : n.out) s.value.storage = {};
  if (!n.extra) Py_RETURN_NONE;
  return is_node(n.extra.get()) ? release(n.extra.get(), nullptr)
                                : PyObject_CallMethod(n.extra.get(), "_release", nullptr);
}

PyObject* edges(PyObject* self, void*) {
  return guarded([&] {
    const Node& n = node_of(self);
    Ref all = owned(PyTuple_New(static_cast<Py_ssize_t>(n.edges.size())));
    for (size_t i = 0; i < n.edges.size(); i++) {
      const Edge& e = n.edges[i];
      PyTuple_SET_ITEM(all.get(), static_cast<Py_ssize_t>(i),
                       e.target ? checked(Py_BuildValue("(Oi)", e.target.get(), e.output)) : Py_NewRef(Py_None));
    }
    return all.release();
  });
}
PyObject* sequence(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(node_of(self).sequence); }
PyObject* node_name(PyObject* self, void*) { return PyUnicode_FromString(node_of(self).name); }
PyObject* is_released(PyObject* self, void*) { return PyBool_FromLong(node_of(self).released); }
PyObject* is_row(PyObject* self, void*) { return PyBool_FromLong(node_of(self).op != nullptr); }
PyObject* get_node_hooks(PyObject* self, void*) {
  return Py_NewRef(node_of(self).hooks ? node_of(self).hooks.get() : Py_None);
}
int set_node_hooks(PyObject* self, PyObject* value, void*) {
  node_of(self).hooks = value && value != Py_None ? borrowed(value) : Ref{};
  return 0;
}
PyObject* get_where(PyObject* self, void*) {
  return Py_NewRef(node_of(self).where ? node_of(self).where.get() : Py_None);
}
PyObject* n_outputs(PyObject* self, void*) {
  return PyLong_FromLong(std::max<long>(1, static_cast<long>(node_of(self).out.size())));
}

// As PyTorch shows it: <AddBackward0> for add, <MineBackward> for a Function, <CopySlices>.
PyObject* repr(PyObject* self) {
  return guarded([&] {
    const Node& n = node_of(self);
    if (n.extra && !is_node(n.extra.get())) return checked(PyUnicode_FromFormat("<%sBackward>", n.name));
    std::string_view name = n.name;
    if (name.starts_with("native_")) name.remove_prefix(7);
    std::string text = "<";
    bool begins = true;  // a word
    for (const char c : name) {
      if (c != '_') text += begins && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      begins = c == '_';
    }
    if (!n.extra) text += "Backward0";
    text += '>';
    return checked(PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
  });
}

PyMethodDef node_methods[] = {
    {"apply", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(apply)), METH_FASTCALL,
     "apply(grads, create_graph, wanted) -> tuple\n\nThe gradients of the inputs, given those of the outputs."},
    {"inspect", inspect, METH_NOARGS,
     "inspect() -> (inputs, outputs, attributes)\n\nPer tensor (it, is it kept as it was?, its version then); None: it "
     "was not given. Of one that is not kept only the geometry may be asked for."},
    {"release", release, METH_NOARGS, "release() -> None\n\nForget the saved tensors."},
    {},
};
PyGetSetDef node_attributes[] = {
    {"edges", edges, nullptr, "Per input the node (or leaf tensor) that takes its gradient, and which output.",
     nullptr},
    {"sequence", sequence, nullptr, "Later nodes have greater numbers.", nullptr},
    {"name", node_name, nullptr, "The row that was called, or the kind of view.", nullptr},
    {"n_outputs", n_outputs, nullptr, "The number of outputs.", nullptr},
    {"is_released", is_released, nullptr, "Were the saved tensors forgotten?", nullptr},
    {"is_row", is_row, nullptr, "Was a row of the op table called?", nullptr},
    {"hooks", get_node_hooks, set_node_hooks, nullptr, nullptr},
    {"where", get_where, nullptr, "While anomalies are looked for: where the call was made.", nullptr},
    {},
};
PyType_Slot node_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_tp_methods, node_methods},
    {Py_tp_getset, node_attributes},
    {},
};
PyType_Spec node_spec = {"trigrad._core.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

}  // namespace

bool is_node(PyObject* object) { return Py_TYPE(object) == node_type; }
Node& node_of(PyObject* object) { return reinterpret_cast<NodeObject*>(object)->node; }

Ref new_node() {
  Ref self = owned(node_type->tp_alloc(node_type, 0));
  new (&node_of(self.get())) Node();
  return self;
}

Ref apply_node(PyObject* node, PyObject* grads, bool create_graph, PyObject* wanted) {
  PyObject* arguments[] = {grads, create_graph ? Py_True : Py_False, wanted};
  return owned(apply(node, arguments, 3));
}
void release_node(PyObject* node) { owned(release(node, nullptr)); }

void number(Node& n) {
  n.sequence = next_sequence++;
  if (witness) n.where = owned(PyObject_CallNoArgs(witness));
}

void set_witness(PyObject* function) { Py_XSETREF(witness, Py_XNewRef(function)); }

Tensor geometry(const Tensor& t) {
  Tensor g;
  g.offset = t.offset;
  g.shape = t.shape;
  g.strides = t.strides;
  g.dtype = t.dtype;
  return g;
}

void init_node_type(PyObject* core_module) {
  node_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&node_spec)));
  if (PyModule_AddObjectRef(core_module, "Node", reinterpret_cast<PyObject*>(node_type)) < 0) throw PythonError{};
}

}  // namespace tg::bind
