#include "bind/tape.h"

#include <cstddef>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "bind/arguments.h"
#include "bind/convert.h"
#include "bind/door.h"
#include "bind/dtype_type.h"
#include "bind/size_type.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

// ---------------------------------------------------------------- formulas

// How a row is differentiated (_vjp.py). Bit i of a mask is input (output) i; the members of a list share one.
struct Formula {
  PyObject* function =
      nullptr;  // (grads, inputs, outputs, attributes, wanted) -> a gradient or None per input; or null
  uint32_t reads_inputs[kMaxInputs] = {};  // whose values the gradient of each input needs: they are kept
  uint32_t reads_outputs[kMaxInputs] = {};
  uint32_t carries = 1;  // the outputs that have a gradient
};

Formula row_formulas[kOps];

struct ViewFormula {
  std::string kind;
  PyObject* function;
};
std::vector<ViewFormula>& view_formulas() {
  static std::vector<ViewFormula> all;
  return all;
}

PyObject* view_formula(const char* kind) {
  for (const ViewFormula& v : view_formulas())
    if (v.kind == kind) return v.function;
  return nullptr;
}

// ---------------------------------------------------------------- nodes

// Where a gradient goes: to output `output` of a node, or to a leaf tensor; nowhere if there is no target.
struct Edge {
  Ref target;
  int output = 0;
};

// A tensor as a formula will see it. One that is not kept has no storage, and only its shape can be asked for.
struct Saved {
  Tensor value;
  uint64_t version = 0;
};

struct Node {
  const Op* op = nullptr;      // the row that was called; null: a view, or a function of Python
  const char* name = nullptr;  // its name, or the kind of view
  Ref formula;
  Ref extra;                // the one attribute of a node that Python made
  Ref hooks;                // Python's: output -> what wants to be called with its gradient
  std::vector<Edge> edges;  // per input
  std::vector<Saved> in, out;
  Attrs attrs;
  uint32_t carries = 1, reads_outputs = 0;
  uint64_t sequence = 0;  // greater than those of the nodes that its edges lead to
  bool released = false;
};

struct NodeObject {
  PyObject_HEAD
  Node node;
};

PyTypeObject* node_type = nullptr;
uint64_t next_sequence = 1;  // under the GIL
thread_local bool recording = true;

bool is_node(PyObject* object) { return Py_TYPE(object) == node_type; }
Node& node_of(PyObject* object) { return reinterpret_cast<NodeObject*>(object)->node; }
TensorObject& object_of(PyObject* tensor) { return *reinterpret_cast<TensorObject*>(tensor); }

Ref new_node() {
  Ref self = owned(node_type->tp_alloc(node_type, 0));
  new (&node_of(self.get())) Node();
  node_of(self.get()).sequence = next_sequence++;
  return self;
}

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

Tensor geometry(const Tensor& t) {
  Tensor g;
  g.offset = t.offset;
  g.shape = t.shape;
  g.strides = t.strides;
  g.dtype = t.dtype;
  return g;
}

uint64_t version_of(const Tensor& t) { return t.defined() ? t.storage->version() : 0; }

Saved save(const Tensor& t, bool value, uint64_t version) { return {value ? t : geometry(t), version}; }

bool bit(uint32_t mask, size_t i, size_t last) { return mask >> (i < last ? i : last) & 1; }

// ---------------------------------------------------------------- histories of tensors

Edge edge_of(PyObject* tensor);

void set_history(PyObject* tensor, const Ref& node, int output) {
  TensorObject& t = object_of(tensor);
  Py_XSETREF(t.node, Py_NewRef(node.get()));
  t.output = output;
  t.history++;
}

Ref view_node(PyObject* parent, const Tensor& view, const char* kind) {
  PyObject* formula = view_formula(kind);
  if (!formula) fail(ErrorKind::NotImplemented, "[", kind, "] this view has no gradient formula");
  Ref self = new_node();
  Node& n = node_of(self.get());
  n.name = intern(kind);
  n.formula = borrowed(formula);
  n.edges.push_back(edge_of(parent));
  n.in.push_back({geometry(value_of(parent)), 0});
  n.out.push_back({geometry(view), 0});
  return self;
}

// A view whose base has been written to since: what it is made of now is the base's new history.
void refresh(PyObject* tensor) {
  TensorObject& t = object_of(tensor);
  if (!t.base || t.base_history == object_of(t.base).history) return;
  t.base_history = object_of(t.base).history;
  if (requires_grad(t.base)) {
    const Ref node = view_node(t.base, t.value, "strided");
    Py_XSETREF(t.node, Py_NewRef(node.get()));
    t.output = 0;
  }
}

Edge edge_of(PyObject* tensor) {
  refresh(tensor);
  const TensorObject& t = object_of(tensor);
  if (t.node) return {borrowed(t.node), t.output};
  if (t.requires_grad) return {borrowed(tensor), 0};
  return {};
}

// `node` made the new values of `tensor`. Behind a view stands its base, which changed as well.
void overwritten(PyObject* tensor, const Ref& node) {
  TensorObject& t = object_of(tensor);
  if (!t.base) {
    set_history(tensor, node, 0);
    return;
  }
  PyObject* base = t.base;
  Ref patch = new_node();
  Node &p = node_of(patch.get()), &inner = node_of(node.get());
  p.name = "copy_slices";
  p.formula = borrowed(checked(view_formula("copy_slices")));
  p.edges.push_back(edge_of(base));
  for (size_t i = 1; i < inner.edges.size(); i++)
    p.edges.push_back(inner.edges[i].target ? Edge{borrowed(inner.edges[i].target.get()), inner.edges[i].output}
                                            : Edge{});
  p.in.push_back({geometry(value_of(base)), 0});
  p.out.push_back({geometry(t.value), 0});
  p.extra = borrowed(node.get());
  set_history(base, patch, 0);
  refresh(tensor);
}

// Which inputs' values the gradients need that the inputs ask for; bit i, the members of a list sharing one.
struct Reads {
  uint32_t inputs = 0, outputs = 0;
};
Reads reads(const Op& op, std::span<PyObject* const> objects) {
  const Formula& f = row_formulas[op.id];
  const size_t last = op.tensors.size() - 1;
  Reads r;
  for (size_t i = 0; i < objects.size(); i++)
    if (objects[i] && is_tensor(objects[i]) && requires_grad(objects[i])) {
      r.inputs |= f.reads_inputs[i < last ? i : last];
      r.outputs |= f.reads_outputs[i < last ? i : last];
    }
  return r;
}

Ref call_node(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in, const Versions& before,
              const Attrs& attrs) {
  const Formula& f = row_formulas[op.id];
  Ref self = new_node();
  Node& n = node_of(self.get());
  n.op = &op;
  n.name = op.name.c_str();
  n.formula = borrowed(f.function);
  n.attrs = attrs;
  n.carries = f.carries;
  const size_t last = op.tensors.size() - 1;
  const Reads r = reads(op, objects);
  n.reads_outputs = r.outputs;
  n.edges.reserve(in.size());
  n.in.reserve(in.size());
  for (size_t i = 0; i < in.size(); i++) {
    n.edges.push_back(objects[i] && is_tensor(objects[i]) ? edge_of(objects[i]) : Edge{});
    n.in.push_back(save(in[i], bit(r.inputs, i, last), before.of[i]));
  }
  return self;
}

}  // namespace

// ---------------------------------------------------------------- what the rest of the room calls

bool grad_enabled() { return recording; }

bool requires_grad(PyObject* tensor) {
  const TensorObject& t = object_of(tensor);
  if (t.node || t.requires_grad) return true;
  return t.base && t.base_history != object_of(t.base).history && requires_grad(t.base);
}

bool is_taped(std::span<PyObject* const> objects) {
  if (!recording) return false;
  for (PyObject* o : objects)
    if (o && is_tensor(o) && requires_grad(o)) return true;
  return false;
}

Versions versions(std::span<const Tensor> in) {
  Versions v;
  v.of.resize(in.size());
  for (size_t i = 0; i < in.size(); i++) v.of[i] = version_of(in[i]);
  return v;
}

void check_overwritable(const char* op, PyObject* target) {
  if (!recording) return;
  const TensorObject& t = object_of(target);
  if (t.requires_grad && !t.node)
    fail(ErrorKind::Runtime, "[", op,
         "] a leaf tensor that requires a gradient cannot be overwritten; do it inside "
         "trigrad.no_grad(), or on a copy: x.clone()");
  if (t.base && object_of(t.base).requires_grad && !object_of(t.base).node)
    fail(ErrorKind::Runtime, "[", op,
         "] a view of a leaf tensor that requires a gradient cannot be overwritten; do it "
         "inside trigrad.no_grad(), or on a copy: x.clone()");
}

void tape_call(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in, const Versions& before,
               const Attrs& attrs, std::span<PyObject* const> made) {
  const Formula& f = row_formulas[op.id];
  if (!f.function) return;
  Ref self = call_node(op, objects, in, before, attrs);
  Node& n = node_of(self.get());
  for (size_t k = 0; k < made.size(); k++)
    n.out.push_back(made[k] == Py_None
                        ? Saved{}
                        : save(value_of(made[k]), n.reads_outputs >> k & 1, version_of(value_of(made[k]))));
  for (size_t k = 0; k < made.size(); k++) {
    if (made[k] == Py_None || !(f.carries >> k & 1) || !is_floating(value_of(made[k]).dtype)) continue;
    if (op.writes[k] >= 0) overwritten(made[k], self);
    else set_history(made[k], self, static_cast<int>(k));
  }
}

void tape_inplace(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in, const Versions& before,
                  const Attrs& attrs) {
  const Formula& f = row_formulas[op.id];
  if (!f.function || !is_floating(in[0].dtype)) return;
  Ref self = call_node(op, objects, in, before, attrs);
  node_of(self.get())
      .out.push_back(
          save(value_of(objects[0]), node_of(self.get()).reads_outputs & 1, version_of(value_of(objects[0]))));
  overwritten(objects[0], self);
}

PyObject* call_object(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                      const Attrs& attrs) {
  Tensor out[kMaxOutputs];
  if (!is_taped(objects)) {
    call(op, in, attrs, {out, 1});
    return wrap(std::move(out[0]));
  }
  const Versions before = versions(in);
  call(op, in, attrs, {out, 1});
  Ref made = owned(wrap(std::move(out[0])));
  PyObject* all[1] = {made.get()};
  tape_call(op, objects, in, before, attrs, all);
  return made.release();
}

void call_object_inplace(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                         const Attrs& attrs) {
  check_overwritable(op.name.c_str(), objects[0]);
  if (!is_taped(objects)) {
    call_inplace(op, in, attrs);
    return;
  }
  Versions before = versions(in);
  if ((reads(op, objects).inputs & 1) == 0) {
    call_inplace(op, in, attrs);
    tape_inplace(op, objects, in, before, attrs);
    return;
  }
  Few<Tensor> kept;  // what is overwritten is needed: a copy of it is saved
  kept.resize(in.size());
  for (size_t i = 1; i < in.size(); i++) kept[i] = in[i];
  kept[0] = contiguous_copy(in[0]);
  before.of[0] = version_of(kept[0]);
  call_inplace(op, in, attrs);
  tape_inplace(op, objects, {kept.data(), kept.size()}, before, attrs);
}

void overwrite_object(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                      const Attrs& attrs) {
  check_overwritable(op.name.c_str(), objects[0]);
  Tensor out[kMaxOutputs];
  const bool taped = is_taped(objects);
  Versions before;
  if (taped) before = versions(in);
  call(op, in, attrs, {out, 1});
  if (taped) tape_call(op, objects, in, before, attrs, {objects.data(), 1});
}

PyObject* clone_object(PyObject* tensor) {
  const Tensor& t = value_of(tensor);
  const Tensor in[2] = {empty(t.shape, t.dtype, t.device()), t};
  Ref copy = owned(wrap(in[0]));
  PyObject* objects[2] = {copy.get(), tensor};
  overwrite_object(op(op_copy_), objects, in);
  return copy.release();
}

PyObject* wrap_view(PyObject* parent, Tensor view, const char* kind) {
  Ref self = owned(wrap(std::move(view)));
  TensorObject& t = object_of(self.get());
  if (!recording || !is_floating(t.value.dtype)) return self.release();
  if (requires_grad(parent)) {
    const Ref node = view_node(parent, t.value, kind);
    t.node = Py_NewRef(node.get());
  }
  PyObject* base = object_of(parent).base ? object_of(parent).base : parent;
  t.base = Py_NewRef(base);
  t.base_history = object_of(base).history;
  return self.release();
}

// ---------------------------------------------------------------- Node, as Python sees it

namespace {

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

// The input as the formula sees it. With `graph` it has its place in the graph, so that what is done with it is recorded.
Ref input_of(Node& n, size_t i, bool graph) {
  const Saved& s = n.in[i];
  check_unchanged(n, s, "input", i);
  if (!s.value.defined() && s.value.shape.empty() && !n.edges[i].target && n.op &&
      n.op->input(static_cast<int>(i)).kind == Param::Kind::OptionalTensor)
    return borrowed(Py_None);
  const Edge& e = n.edges[i];
  if (graph && e.target && !is_node(e.target.get())) return borrowed(e.target.get());
  Ref t = owned(wrap(s.value));
  if (graph && e.target) set_history(t.get(), e.target, e.output);
  return t;
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
      Ref t = owned(wrap(n.out[k].value));
      if (graph && (n.carries >> k & 1)) set_history(t.get(), borrowed(self), static_cast<int>(k));
      PyTuple_SET_ITEM(outputs.get(), static_cast<Py_ssize_t>(k), t.release());
    }
    Ref attributes;
    if (n.extra) {
      attributes = owned(PyTuple_Pack(1, n.extra.get()));
    } else {
      attributes = owned(PyTuple_New(n.attrs.n));
      for (int k = 0; k < n.attrs.n; k++)
        PyTuple_SET_ITEM(attributes.get(), k, checked(to_python(n.attrs.values[k], n.attrs.list)));
    }
    Ref wanted = args[2] == Py_None ? owned(PyTuple_New(static_cast<Py_ssize_t>(n.edges.size()))) : borrowed(args[2]);
    for (size_t i = 0; i < n.edges.size() && args[2] == Py_None; i++)
      PyTuple_SET_ITEM(wanted.get(), static_cast<Py_ssize_t>(i), PyBool_FromLong(n.edges[i].target.get() != nullptr));
    PyObject* arguments[] = {args[0], inputs.get(), outputs.get(), attributes.get(), wanted.get()};
    return checked(PyObject_Vectorcall(n.formula.get(), arguments, 5, nullptr));
  });
}

PyObject* release(PyObject* self, PyObject*) {
  Node& n = node_of(self);
  n.released = true;
  for (Saved& s : n.in) s.value.storage = {};
  for (Saved& s : n.out) s.value.storage = {};
  if (n.extra && is_node(n.extra.get())) Ref(release(n.extra.get(), nullptr));
  Py_RETURN_NONE;
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
PyObject* is_row(PyObject* self, void*) { return PyBool_FromLong(node_of(self).op != nullptr); }
PyObject* get_node_hooks(PyObject* self, void*) {
  return Py_NewRef(node_of(self).hooks ? node_of(self).hooks.get() : Py_None);
}
int set_node_hooks(PyObject* self, PyObject* value, void*) {
  node_of(self).hooks = value && value != Py_None ? borrowed(value) : Ref{};
  return 0;
}
PyObject* n_outputs(PyObject* self, void*) {
  return PyLong_FromLong(std::max<long>(1, static_cast<long>(node_of(self).out.size())));
}

PyMethodDef node_methods[] = {
    {"apply", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(apply)), METH_FASTCALL,
     "apply(grads, create_graph, wanted) -> tuple\n\nThe gradients of the inputs, given those of the outputs."},
    {"release", release, METH_NOARGS, "release() -> None\n\nForget the saved tensors."},
    {},
};
PyGetSetDef node_attributes[] = {
    {"edges", edges, nullptr, "Per input the node (or leaf tensor) that takes its gradient, and which output.",
     nullptr},
    {"sequence", sequence, nullptr, "Later nodes have greater numbers.", nullptr},
    {"name", node_name, nullptr, "The row that was called, or the kind of view.", nullptr},
    {"n_outputs", n_outputs, nullptr, "The number of outputs.", nullptr},
    {"is_row", is_row, nullptr, "Was a row of the op table called?", nullptr},
    {"hooks", get_node_hooks, set_node_hooks, nullptr, nullptr},
    {},
};
PyType_Slot node_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_methods, node_methods},
    {Py_tp_getset, node_attributes},
    {},
};
PyType_Spec node_spec = {"trigrad._core.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

}  // namespace

// ---------------------------------------------------------------- attributes and methods of Tensor

namespace {

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

PyObject* get_post_hooks(PyObject* self, void*) {
  return Py_NewRef(object_of(self).post_hooks ? object_of(self).post_hooks : Py_None);
}
int set_post_hooks(PyObject* self, PyObject* value, void*) {
  Py_XSETREF(object_of(self).post_hooks, value && value != Py_None ? Py_NewRef(value) : nullptr);
  return 0;
}
// Is this the only tensor on its memory, and all of it in order?
PyObject* is_exclusive(PyObject* self, void*) {
  const Tensor& t = value_of(self);
  return PyBool_FromLong(t.storage->references() == 1 && t.contiguous() && !t.storage->foreign() &&
                         !object_of(self).base);
}

PyObject* detach(PyObject* self, PyObject*) {
  return guarded([&] { return wrap(value_of(self)); });
}
PyObject* detach_(PyObject* self, PyObject*) {
  return guarded([&] {
    TensorObject& t = object_of(self);
    if (t.base) fail(ErrorKind::Runtime, "[detach_] got a view, whose base would stay in the graph; use .detach()");
    Py_CLEAR(t.node);
    t.requires_grad = false;
    return Py_NewRef(self);
  });
}

// ---------------------------------------------------------------- functions of the module

PyObject* set_grad_enabled(PyObject*, PyObject* value) {
  const int on = PyObject_IsTrue(value);
  if (on < 0) return nullptr;
  const bool before = recording;
  recording = on != 0;
  return PyBool_FromLong(before);
}
PyObject* is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(recording); }

// set_formula(name, function, reads, carries): reads[i] is "i0 o1", what the gradient of input i needs the values of.
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
        (*at == 'i' ? f.reads_inputs : f.reads_outputs)[i] |= 1u << (at[1] - '0');
      }
    f.carries = 0;
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(carries.get()); k++)
      f.carries |= 1u << to_int("set_formula", "carries", PySequence_Fast_GET_ITEM(carries.get(), k));
    f.function = Py_NewRef(args[1]);
    Py_XDECREF(row_formulas[op->id].function);
    row_formulas[op->id] = f;
    Py_RETURN_NONE;
  });
}

// set_view_formula(kind, function)
PyObject* set_view_formula(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2) fail(ErrorKind::Type, "[set_view_formula] takes (kind, function)");
    view_formulas().push_back({checked(PyUnicode_AsUTF8(args[0])), Py_NewRef(args[1])});
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

// record(name, formula, extra, inputs, outputs): the outputs were made from the inputs by a function of Python, and
// formula(grads, inputs, outputs, (extra,)) gives a gradient or None per input.
PyObject* record(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 5) fail(ErrorKind::Type, "[record] takes (name, formula, extra, inputs, outputs)");
    const Ref inputs = owned(PySequence_Fast(args[3], "inputs")), outputs = owned(PySequence_Fast(args[4], "outputs"));
    Ref self = new_node();
    Node& node = node_of(self.get());
    node.name = intern(checked(PyUnicode_AsUTF8(args[0])));
    node.formula = borrowed(args[1]);
    node.extra = borrowed(args[2]);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(inputs.get()); i++) {
      PyObject* t = PySequence_Fast_GET_ITEM(inputs.get(), i);
      node.edges.push_back(is_tensor(t) ? edge_of(t) : Edge{});
      node.in.push_back({is_tensor(t) ? geometry(value_of(t)) : Tensor{}, 0});
    }
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(outputs.get()); k++) {
      PyObject* t = PySequence_Fast_GET_ITEM(outputs.get(), k);
      node.out.push_back({is_tensor(t) ? geometry(value_of(t)) : Tensor{}, 0});
      if (is_tensor(t) && is_floating(value_of(t).dtype)) set_history(t, self, static_cast<int>(k));
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
    {"set_formula", cfunction(set_formula), METH_FASTCALL, nullptr},
    {"set_view_formula", cfunction(set_view_formula), METH_FASTCALL, nullptr},
    {"edge", edge, METH_O, nullptr},
    {"record", cfunction(record), METH_FASTCALL, nullptr},
    {},
};

}  // namespace

PyGetSetDef tape_attributes[] = {
    {"requires_grad", get_requires_grad, set_requires_grad, "Is a gradient with respect to this tensor wanted?",
     nullptr},
    {"grad", get_grad, set_grad, "The gradient that backward() accumulated, or None.", nullptr},
    {"grad_fn", get_node, nullptr, "The node of the graph that made this tensor; None for a leaf.", nullptr},
    {"output_nr", get_output, nullptr, "Which output of that node.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Was it made by the user, not by a recorded call?", nullptr},
    {"_base", get_base, nullptr, "The tensor that this one is a view of.", nullptr},
    {"_hooks", get_hooks, set_hooks, nullptr, nullptr},
    {"_post_hooks", get_post_hooks, set_post_hooks, nullptr, nullptr},
    {"_exclusive", is_exclusive, nullptr, nullptr, nullptr},
    {},
};

PyMethodDef tape_methods[] = {
    {"requires_grad_", cfunction(requires_grad_), METH_FASTCALL | METH_KEYWORDS,
     "requires_grad_(requires_grad=True) -> Tensor\n\nAsk for a gradient, in place."},
    {"detach", detach, METH_NOARGS, "detach() -> Tensor\n\nThe same memory, outside the graph."},
    {"detach_", detach_, METH_NOARGS, "detach_() -> Tensor\n\nTake the tensor out of the graph."},
    {},
};

void init_tape(PyObject* core_module) {
  node_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&node_spec)));
  if (PyModule_AddObjectRef(core_module, "Node", reinterpret_cast<PyObject*>(node_type)) < 0 ||
      PyModule_AddFunctions(core_module, functions) < 0)
    throw PythonError{};
}

}  // namespace tg::bind
