#include "bind/tape.h"

#include <string>
#include <vector>

#include "bind/door.h"
#include "bind/node.h"
#include "bind/recording.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

Formula row_formulas[kOps];

struct ViewFormula {
  std::string kind;
  PyObject* function;
};
std::vector<ViewFormula> view_formulas;

PyObject* view_formula(const char* kind) {
  for (const ViewFormula& v : view_formulas)
    if (v.kind == kind) return v.function;
  return nullptr;
}

thread_local bool recording = true;

uint64_t version_of(const Tensor& t) { return t.defined() ? t.storage->version() : 0; }

Saved save(const Tensor& t, bool value, uint64_t version) { return {value ? t : geometry(t), version, !t.defined()}; }

bool bit(uint32_t mask, size_t i, size_t last) { return mask >> (i < last ? i : last) & 1; }

// ---------------------------------------------------------------- histories of tensors

Ref view_node(PyObject* parent, const Tensor& view, const char* kind) {
  PyObject* formula = view_formula(kind);
  if (!formula) fail(ErrorKind::NotImplemented, "[", kind, "] this view has no gradient formula");
  Ref self = new_node();
  Node& n = node_of(self.get());
  n.name = intern(kind);
  n.formula = borrowed(formula);
  n.edges.push_back(edge_of(parent));
  n.in.push_back({geometry(value_of(parent)), 0, false});
  n.out.push_back({geometry(view), 0, false});
  number(n);
  return self;
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
  p.in.push_back({geometry(value_of(base)), 0, false});
  p.out.push_back({geometry(t.value), 0, false});
  p.extra = borrowed(node.get());
  number(p);
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
  number(n);
  return self;
}

}  // namespace

Formula& row_formula(OpId id) { return row_formulas[id]; }
void add_view_formula(const char* kind, PyObject* function) { view_formulas.push_back({kind, function}); }
void set_recording(bool on) { recording = on; }

void set_history(PyObject* tensor, const Ref& node, int output) {
  TensorObject& t = object_of(tensor);
  Py_XSETREF(t.node, Py_NewRef(node.get()));
  t.output = output;
  t.history++;
}

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

// ---------------------------------------------------------------- what the rest of the room calls

bool grad_enabled() { return recording; }

bool requires_grad(PyObject* tensor) {
  asked_for_grad(tensor);
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
                        ? Saved{{}, 0, true}
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

}  // namespace tg::bind
