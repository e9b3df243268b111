#include "bind/tape.h"

#include <algorithm>
#include <string>
#include <vector>

#include "bind/autocast.h"
#include "bind/door.h"
#include "bind/node.h"
#include "bind/recording.h"
#include "ops/dispatch.h"
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

// Per thread. `recording` is what matters to calls: grad_mode outside of inference mode.
thread_local bool grad_mode = true, inferring = false, recording = true;
int threads_inferring = 0;  // under the GIL: most programs ask one integer alone

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

// The hook that fills .grad of a tensor that is no leaf goes where the tensor's history goes.
void move_retaining_hook(TensorObject& t, const Ref& node, int output) {
  if (!t.node || !node_of(t.node).hooks) return;
  const Ref place = owned(PyLong_FromLong(t.output)), key = owned(PyLong_FromLong(kRetainingHook));
  PyObject* of_output = PyDict_GetItemWithError(node_of(t.node).hooks.get(), place.get());
  PyObject* hook = of_output ? PyDict_GetItemWithError(of_output, key.get()) : nullptr;
  if (!hook) return;
  Ref& hooks = node_of(node.get()).hooks;
  if (!hooks) hooks = owned(PyDict_New());
  const Ref there = owned(PyDict_New()), at = owned(PyLong_FromLong(output));
  if (PyDict_SetItem(there.get(), key.get(), hook) < 0 || PyDict_SetItem(hooks.get(), at.get(), there.get()) < 0 ||
      PyDict_DelItem(of_output, key.get()) < 0)
    throw PythonError{};
}

void set_node(TensorObject& t, const Ref& node, int output) {
  if (t.retains_grad) move_retaining_hook(t, node, output);
  Py_XSETREF(t.node, Py_NewRef(node.get()));
  t.output = output;
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
  uint32_t inputs = 0, outputs = 0, for_graph = 0;
};
Reads reads(const Op& op, std::span<PyObject* const> objects) {
  const Formula& f = row_formulas[op.id];
  const size_t last = op.tensors.size() - 1;
  Reads r;
  for (size_t i = 0; i < objects.size(); i++)
    if (objects[i] && is_tensor(objects[i]) && requires_grad(objects[i])) {
      r.inputs |= f.reads_inputs[i < last ? i : last];
      r.for_graph |= f.reads_for_graph[i < last ? i : last];
      r.outputs |= f.reads_outputs[i < last ? i : last];
    }
  r.for_graph &= ~r.inputs;
  return r;
}

void check_savable(const Op& op, std::span<PyObject* const> objects) {
  const auto is_inference = [](PyObject* o) { return o && is_tensor(o) && object_of(o).inference; };
  if (std::none_of(objects.begin(), objects.end(), is_inference)) return;
  const size_t last = op.tensors.size() - 1;
  const Reads r = reads(op, objects);
  for (size_t i = 0; i < objects.size(); i++)
    if (is_inference(objects[i]) && bit(r.inputs | r.for_graph, i, last))
      fail(ErrorKind::Runtime, "[", op.name, "] input ", i,
           " was made in inference mode, expected a tensor that may be kept for the backward pass; take a copy "
           "outside: x.clone()");
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
  n.precision = dispatch::own_precision();
  const size_t last = op.tensors.size() - 1;
  const Reads r = reads(op, objects);
  n.reads_outputs = r.outputs;
  n.keeps = r.outputs != 0;
  n.edges.reserve(in.size());
  n.in.reserve(in.size());
  for (size_t i = 0; i < in.size(); i++) {
    n.edges.push_back(objects[i] && is_tensor(objects[i]) ? edge_of(objects[i]) : Edge{});
    const bool for_graph = bit(r.for_graph, i, last), read = for_graph || bit(r.inputs, i, last);
    const bool number = objects[i] && !is_tensor(objects[i]);  // nobody else has its tensor: kept for whoever looks
    n.keeps |= read && in[i].defined();
    n.in.push_back(save(in[i], number || read, before.of[i]));
    n.in.back().for_graph = for_graph;
  }
  number(n);
  return self;
}

}  // namespace

Formula& row_formula(OpId id) { return row_formulas[id]; }
void add_view_formula(const char* kind, PyObject* function) { view_formulas.push_back({kind, function}); }
void set_grad_mode(bool on) {
  grad_mode = on;
  recording = on && !inferring;
}
void set_inference_mode(bool on) {
  threads_inferring += on - inferring;
  inferring = on;
  recording = grad_mode && !on;
}

void set_history(PyObject* tensor, const Ref& node, int output) {
  TensorObject& t = object_of(tensor);
  set_node(t, node, output);
  t.history++;
}

void refresh(PyObject* tensor) {
  TensorObject& t = object_of(tensor);
  if (!t.base || t.base_history == object_of(t.base).history) return;
  if (t.unrecorded) {
    if (recording && requires_grad(t.base))
      fail(
          ErrorKind::Runtime,
          "[view] got a view that was taken inside trigrad.no_grad() or inference_mode(), or that a Function returned, "
          "of a tensor that a recorded call has overwritten since, expected one whose history is known; take the view "
          "again");
    return;
  }
  t.base_history = object_of(t.base).history;
  if (requires_grad(t.base)) set_node(t, view_node(t.base, t.value, "strided"), 0);
}

Edge edge_of(PyObject* tensor) {
  refresh(tensor);
  const TensorObject& t = object_of(tensor);
  if (t.node) return {borrowed(t.node), t.output};
  if (t.requires_grad) return {borrowed(tensor), 0};
  return {};
}

// ---------------------------------------------------------------- what the rest of the room calls

bool grad_enabled() { return grad_mode; }
bool inference_mode() { return threads_inferring && inferring; }

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

Versions versions(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in) {
  check_savable(op, objects);
  Versions v;
  v.of.resize(in.size());
  for (size_t i = 0; i < in.size(); i++) v.of[i] = version_of(in[i]);
  return v;
}

void check_overwritable(const char* op, PyObject* target, bool taped) {
  const TensorObject& t = object_of(target);
  if (t.inference && !inference_mode())
    fail(ErrorKind::Runtime, "[", op,
         "] got a tensor that was made in inference mode, expected one that may be overwritten outside of it; write to "
         "a "
         "copy: x.clone()");
  if (!recording) return;
  if (t.requires_grad && !t.node)
    fail(ErrorKind::Runtime, "[", op,
         "] a leaf tensor that requires a gradient cannot be overwritten; do it inside "
         "trigrad.no_grad(), or on a copy: x.clone()");
  if (t.base && object_of(t.base).requires_grad && !object_of(t.base).node)
    fail(ErrorKind::Runtime, "[", op,
         "] a view of a leaf tensor that requires a gradient cannot be overwritten; do it "
         "inside trigrad.no_grad(), or on a copy: x.clone()");
  if (t.unrecorded && (taped || requires_grad(t.base)))
    fail(ErrorKind::Runtime, "[", op,
         "] got a view that was taken inside trigrad.no_grad() or inference_mode(), or that a Function returned, "
         "expected one whose history is known, since what is written must be differentiated; take the view outside, or "
         "write inside trigrad.no_grad() or to a copy: x.clone()");
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
  if (!is_floating(in[0].dtype)) return;
  if (!row_formulas[op.id].function) {  // comparisons and the like: the values do not depend on what they were made of
    if (op.id != op_fill_ && requires_grad(objects[0]))
      tape_inplace(tg::op(op_fill_), objects.first(1), in.first(1), before, {});
    return;
  }
  Ref self = call_node(op, objects, in, before, attrs);
  node_of(self.get())
      .out.push_back(
          save(value_of(objects[0]), node_of(self.get()).reads_outputs & 1, version_of(value_of(objects[0]))));
  overwritten(objects[0], self);
}

PyObject* call_object(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                      const Attrs& attrs) {
  if (is_autocasting()) [[unlikely]]
    if (const auto c = autocast(op, objects, in))
      return call_object(op, {c->objects.data(), in.size()}, {c->in.data(), in.size()}, attrs);
  Tensor out[1];
  if (!is_taped(objects)) {
    call(op, in, attrs, {out, 1});
    return wrap(std::move(out[0]));
  }
  const Versions before = versions(op, objects, in);
  call(op, in, attrs, {out, 1});
  Ref made = owned(wrap(std::move(out[0])));
  PyObject* all[1] = {made.get()};
  tape_call(op, objects, in, before, attrs, all);
  return made.release();
}

Ref cast_object(PyObject* tensor, Dtype dtype) {
  Attrs to;
  to.add(Attr::type(dtype));
  const Tensor in = value_of(tensor);
  return owned(call_object(tg::op(op_cast), {&tensor, 1}, {&in, 1}, to));
}

void call_object_inplace(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                         const Attrs& attrs) {
  const bool taped = is_taped(objects);
  check_overwritable(op.name.c_str(), objects[0], taped);
  if (!taped) {
    call_inplace(op, in, attrs);
    return;
  }
  Versions before = versions(op, objects, in);
  const Reads r = reads(op, objects);
  if (((r.inputs | r.for_graph) & 1) == 0) {
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
  const bool taped = is_taped(objects);
  check_overwritable(op.name.c_str(), objects[0], taped);
  Tensor out[kMaxOutputs];
  Versions before;
  if (taped) before = versions(op, objects, in);
  call(op, in, attrs, {out, 1});
  if (taped) tape_call(op, objects, in, before, attrs, {objects.data(), 1});
}

PyObject* clone_object(PyObject* tensor) {
  const Tensor& t = value_of(tensor);
  const Tensor in[2] = {empty(t.shape, t.dtype, t.place()), t};
  Ref copy = owned(wrap(in[0]));
  PyObject* objects[2] = {copy.get(), tensor};
  overwrite_object(op(op_copy_), objects, in);
  return copy.release();
}

PyObject* wrap_view(PyObject* parent, Tensor view, const char* kind) {
  Ref self = owned(wrap_alias(parent, std::move(view)));
  TensorObject& t = object_of(self.get());
  if (t.inference || !is_floating(t.value.dtype)) return self.release();
  t.unrecorded = !recording || object_of(parent).unrecorded;
  if (recording && requires_grad(parent)) {
    const Ref node = view_node(parent, t.value, kind);
    t.node = Py_NewRef(node.get());
  }
  PyObject* base = object_of(parent).base ? object_of(parent).base : parent;
  t.base = Py_NewRef(base);
  t.base_history = object_of(base).history;
  return self.release();
}

}  // namespace tg::bind
