// trigrad._core.Plan (used by _compile.py alone).
#include "bind/plan.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "bind/autocast.h"
#include "bind/convert.h"
#include "bind/node.h"
#include "bind/recording.h"
#include "bind/size_type.h"
#include "bind/tape.h"
#include "ops/dispatch.h"
#include "ops/update.h"
#include "plan/replay.h"

namespace tg::bind {
namespace {

PyTypeObject* plan_type = nullptr;

// f for everything of Python's that the plan holds: functions, modules and optimizers that may hold the plan themselves.
template <class F>
int each_held(Plan& p, F f) {
  auto held = [&](Ref& r) { return r ? f(r) : 0; };
  int stop = 0;
  for (Gradient& g : p.gradients)
    for (Ref* r : {&g.leaf, &g.own, &g.given})
      if (!stop) stop = held(*r);
  for (Plan::Leaf& l : p.leaves)
    if (!stop) stop = held(l.tensor);
  for (Guard& g : p.guards)
    for (Ref* r : {&g.holder, &g.key, &g.expected})
      if (!stop) stop = held(*r);
  for (std::vector<Ref>* list : {&p.expectations, &p.sources})
    for (Ref& r : *list)
      if (!stop) stop = held(r);
  return stop;
}

int traverse_plan(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  PlanObject* object = reinterpret_cast<PlanObject*>(self);
  return object->plan ? each_held(*object->plan, [&](Ref& r) { return visit(r.get(), arg); }) : 0;
}

// A cycle is broken: no one will run this plan again.
int clear_plan(PyObject* self) {
  PlanObject* object = reinterpret_cast<PlanObject*>(self);
  if (!object->plan) return 0;
  std::vector<Ref> dropped;  // what their going may do, it does when the plan is in order again
  each_held(*object->plan, [&](Ref& r) {
    dropped.push_back(std::move(r));
    return 0;
  });
  object->plan->gradients.clear();
  object->plan->leaves.clear();
  object->plan->guards.clear();
  return 0;
}

void dealloc_plan(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  delete reinterpret_cast<PlanObject*>(self)->plan;
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace

bool are_plain(PyObject* arguments) {
  if (is_recording() || !PyTuple_Check(arguments)) return false;
  const Py_ssize_t n = PyTuple_GET_SIZE(arguments);
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject* t = PyTuple_GET_ITEM(arguments, i);
    if (!is_tensor(t) || object_of(t).node || !value_of(t).contiguous()) return false;
    for (Py_ssize_t j = 0; j < i; j++)
      if (value_of(PyTuple_GET_ITEM(arguments, j)).storage == value_of(t).storage) return false;
  }
  return true;
}

namespace {

// Has the buffer these bytes?
bool same_bytes(PyObject* buffer, PyObject* bytes) {
  Py_buffer view;
  if (PyObject_GetBuffer(buffer, &view, PyBUF_FULL_RO) < 0) throw PythonError{};
  std::vector<char> now(static_cast<size_t>(view.len));
  const bool read = PyBuffer_ToContiguous(now.data(), &view, view.len, 'C') == 0;
  PyBuffer_Release(&view);
  if (!read) throw PythonError{};
  return static_cast<size_t>(PyBytes_GET_SIZE(bytes)) == now.size() &&
         std::equal(now.begin(), now.end(), PyBytes_AS_STRING(bytes));
}

bool equal(PyObject* a, PyObject* b) {
  const int same = PyObject_RichCompareBool(a, b, Py_EQ);
  if (same < 0) throw PythonError{};
  return same == 1;
}

// What is there now; null: nothing.
Ref found_by(const Guard& g) {
  PyObject* holder = g.holder.get();
  auto perhaps = [](PyObject* made) {
    if (!made) PyErr_Clear();
    return Ref(made);
  };
  auto there = [](PyObject* found) { return found ? borrowed(found) : Ref{}; };
  switch (g.kind) {
    case Guard::Kind::cell: return there(PyCell_GET(holder));
    case Guard::Kind::code: return there(PyFunction_GET_CODE(holder));
    case Guard::Kind::defaults: {
      PyObject* found = PyFunction_GET_DEFAULTS(holder);
      return borrowed(found ? found : Py_None);
    }
    case Guard::Kind::kind: return borrowed(reinterpret_cast<PyObject*>(Py_TYPE(holder)));
    case Guard::Kind::lookup: return there(_PyType_Lookup(reinterpret_cast<PyTypeObject*>(holder), g.key.get()));
    case Guard::Kind::slot: return perhaps(PyObject_GetAttr(holder, g.key.get()));
    case Guard::Kind::element:
      if (PyList_Check(holder))
        return there(g.length < PyList_GET_SIZE(holder) ? PyList_GET_ITEM(holder, g.length) : nullptr);
      return perhaps(PySequence_GetItem(holder, g.length));
    default: {
      PyObject* found = PyDict_GetItemWithError(holder, g.key.get());
      if (PyErr_Occurred()) throw PythonError{};
      return there(found);
    }
  }
}

bool holds(const Guard& g) {
  if (g.kind == Guard::Kind::length) return PyObject_Size(g.holder.get()) == g.length;
  if (g.kind == Guard::Kind::equal) return equal(g.holder.get(), g.expected.get());
  if (g.kind == Guard::Kind::bytes) return same_bytes(g.holder.get(), g.expected.get());
  const Ref there = found_by(g);
  PyObject* found = there.get();
  if (g.kind == Guard::Kind::missing) return !found;
  if (found == g.expected.get()) return true;
  if (!found || !g.equal || Py_TYPE(found) != Py_TYPE(g.expected.get())) return false;
  if (PyFloat_CheckExact(found))  // bits, as 0.0 == -0.0
    return std::bit_cast<uint64_t>(PyFloat_AS_DOUBLE(found)) ==
           std::bit_cast<uint64_t>(PyFloat_AS_DOUBLE(g.expected.get()));
  return equal(found, g.expected.get());
}

PyObject* leaf_of(const Gradient& g, PyObject* arguments) {
  return g.leaf ? g.leaf.get() : PyTuple_GET_ITEM(arguments, g.argument);
}

bool gradient_matches(const Gradient& g, PyObject* arguments) {
  if (g.before == Gradient::Before::any) return true;
  PyObject* grad = object_of(leaf_of(g, arguments)).grad;
  if (!grad) return g.before == Gradient::Before::none;
  if (g.before == Gradient::Before::none) return false;
  if (g.before_buffer < 0) return true;
  const Tensor& t = value_of(grad);
  for (int i = 0; i < t.rank(); i++)
    if (t.shape[i] > 1 && t.strides[i] != g.before_strides[i]) return false;
  return true;
}

}  // namespace

bool holds(const Plan& p, PyObject* arguments) {
  if (static_cast<size_t>(PyTuple_GET_SIZE(arguments)) != p.arguments.size()) return false;
  for (size_t i = 0; i < p.arguments.size(); i++) {
    PyObject* t = PyTuple_GET_ITEM(arguments, static_cast<Py_ssize_t>(i));
    const Plan::Argument& a = p.arguments[i];
    if (!(value_of(t).shape == a.shape) || value_of(t).dtype != a.dtype || !(value_of(t).place() == a.place) ||
        requires_grad(t) != a.requires_grad || object_of(t).inference != a.inference)
      return false;
  }
  for (size_t i = 0; i < p.arguments.size(); i++) {
    const Storage* given = value_of(PyTuple_GET_ITEM(arguments, static_cast<Py_ssize_t>(i))).storage.get();
    for (const Storage* state : p.states)
      if (state == given) return false;
    for (const Gradient& g : p.gradients)
      if (g.before_buffer >= 0)
        if (PyObject* grad = object_of(leaf_of(g, arguments)).grad; grad && value_of(grad).storage.get() == given)
          return false;
  }
  for (const Plan::Leaf& l : p.leaves) {
    const TensorObject& t = object_of(l.tensor.get());
    if (t.requires_grad != l.requires_grad || !(t.value.storage == l.storage) || t.value.offset != l.offset)
      return false;
  }
  for (const Gradient& g : p.gradients)
    if (!gradient_matches(g, arguments)) return false;
  return guards_hold(p);
}

bool guards_hold(const Plan& p) {
  return grad_enabled() == p.grad_mode && dispatch::precision() == p.precision && autocast_dtype() == p.autocast &&
         std::ranges::all_of(p.guards, [](const Guard& g) { return holds(g); });
}

namespace {

// matches(arguments): may this plan be run with them, in the state that everything is in? Arguments are contiguous tensors.
PyObject* matches(PyObject* self, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    if (!PyTuple_Check(arguments)) fail(ErrorKind::Type, "[Plan.matches] takes a tuple");
    return PyBool_FromLong(holds(plan_of(self), arguments));
  });
}

// ---- around a run

bool unshared(const Plan& p, const Gradient& g, PyObject* leaf) {
  if (!g.own) return false;
  const Tensor& t = value_of(g.own.get());
  const bool in_place = object_of(leaf).grad == g.own.get();
  return Py_REFCNT(g.own.get()) == 1 + in_place &&
         t.storage->references() == 1 + (p.executor->bound(g.after_buffer) == t.storage);
}

}  // namespace

void bind_arguments(Plan& p, PyObject* arguments) {
  for (size_t i = 0; i < p.arguments.size(); i++) {
    const Tensor& t = value_of(PyTuple_GET_ITEM(arguments, static_cast<Py_ssize_t>(i)));
    if (p.arguments[i].written && !t.storage->writable())
      fail(ErrorKind::Runtime, "[compile] argument ", i, " is read-only, but the function writes into it; pass a copy");
    p.executor->bind(p.arguments[i].buffer, t.storage, t.offset * size_of(t.dtype));
  }
}

void bind_gradients(Plan& p, PyObject* arguments) {
  for (Gradient& g : p.gradients) {
    PyObject* leaf = leaf_of(g, arguments);
    if (g.before_buffer >= 0) {
      const Tensor& t = value_of(object_of(leaf).grad);
      p.executor->bind(g.before_buffer, t.storage, (t.offset - g.before_offset) * size_of(t.dtype));
    }
    if (g.after != Gradient::After::made) continue;
    if (unshared(p, g, leaf)) {
      const StorageRef& storage = value_of(g.own.get()).storage;
      if (!(p.executor->bound(g.after_buffer) == storage)) p.executor->bind(g.after_buffer, storage, 0);
      continue;
    }
    Tensor t;
    t.storage = p.executor->room(g.after_buffer);
    t.offset = g.made.offset;
    t.shape = g.made.shape;
    t.strides = g.made.strides;
    t.dtype = g.made.dtype;
    p.executor->bind(g.after_buffer, t.storage, 0);
    g.own = owned(wrap(std::move(t)));
  }
}

void set_gradients(Plan& p, PyObject* arguments) {
  for (Gradient& g : p.gradients) {
    PyObject*& grad = object_of(leaf_of(g, arguments)).grad;
    if (g.after == Gradient::After::none) Py_CLEAR(grad);
    else if (g.after == Gradient::After::made) Py_XSETREF(grad, Py_NewRef(g.own.get()));
    else if (g.given) Py_XSETREF(grad, Py_NewRef(g.given.get()));
  }
}

namespace {

Attr as_attribute(const Attr& like, PyObject* value) {
  const Number n = read_number(value);
  if (like.kind == Attr::Kind::Float) return Attr::real(n.real());
  if (like.kind == Attr::Kind::Bool) return Attr::boolean(n.real() != 0);
  return Attr::integer(n.i);
}

}  // namespace

bool set_numbers(Plan& p, PyObject* numbers) {
  for (const Plan::Live& l : p.live) {
    Attrs attrs = p.executor->attrs(l.instruction);
    PyObject* given = PyTuple_GET_ITEM(numbers, l.source);
    if (l.random) {
      attrs.values[l.seed] = as_attribute(attrs.values[l.seed], PyTuple_GET_ITEM(given, 0));
      attrs.values[l.step] = as_attribute(attrs.values[l.step], PyTuple_GET_ITEM(given, 1));
      p.executor->set_attrs(l.instruction, attrs);
      continue;
    }
    const plan::Instruction& recorded = p.executor->program().instructions[l.instruction];
    Attrs fresh = attrs;
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(given); k++)
      fresh.values[k] = as_attribute(attrs.values[k], PyTuple_GET_ITEM(given, k));
    const UpdateLayout then = update_layout(*recorded.op, recorded.attrs), now = update_layout(*recorded.op, fresh);
    if (then.states != now.states || then.scalars != now.scalars) return false;
    p.executor->set_attrs(l.instruction, fresh);
  }
  return true;
}

void bind_outputs(Plan& p) {
  for (const plan::View& v : p.outputs)
    if (p.executor->program().buffers[static_cast<size_t>(v.buffer)].role == plan::Role::output) {
      bool gradient = false;  // has its memory already
      for (const Gradient& g : p.gradients) gradient |= g.after_buffer == v.buffer;
      if (!gradient) p.executor->bind(v.buffer, p.executor->room(v.buffer), 0);
    }
}

void raise_unexpected(const Plan& p, const plan::Unexpected& u) {
  const Ref value = owned(to_python(load(u.value, u.value.offset)));
  const Ref error = owned(PyObject_CallOneArg(p.expectations[static_cast<size_t>(u.id)].get(), value.get()));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
  throw PythonError{};
}

namespace {

// False: the program does not hold for the numbers.
bool run_program(Plan& p, PyObject* arguments, PyObject* numbers, std::vector<double>* times) {
  if (!set_numbers(p, numbers)) return false;
  bind_arguments(p, arguments);
  bind_gradients(p, arguments);
  bind_outputs(p);
  try {
    const WithoutGil released(true);
    times ? p.executor->run_timed(*times) : p.executor->run();
  } catch (const plan::Unexpected& u) {
    raise_unexpected(p, u);
  }
  set_gradients(p, arguments);
  p.calls++;
  return true;
}

PyObject* run_plan(PyObject* self, PyObject* const* args, Py_ssize_t n, std::vector<double>* times) {
  if (n != 2 || !PyTuple_Check(args[0]) || !PyTuple_Check(args[1]))
    fail(ErrorKind::Type, "[Plan.run] takes (arguments, numbers)");
  Plan& p = plan_of(self);
  if (!run_program(p, args[0], args[1], times)) Py_RETURN_NONE;
  Ref results = owned(PyTuple_New(static_cast<Py_ssize_t>(p.outputs.size())));
  for (size_t k = 0; k < p.outputs.size(); k++)
    PyTuple_SET_ITEM(results.get(), static_cast<Py_ssize_t>(k), wrap(p.executor->tensor(p.outputs[k])));
  return results.release();
}

// run(arguments, numbers) -> the outputs; None if the numbers need another program.
PyObject* run(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] { return run_plan(self, args, n, nullptr); });
}

// profile(arguments, numbers) -> [(row, seconds)]
PyObject* profile(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    std::vector<double> times;
    Ref(run_plan(self, args, n, &times));
    const auto& instructions = plan_of(self).executor->program().instructions;
    Ref list = owned(PyList_New(0));
    for (size_t i = 0; i < times.size(); i++) {
      const Ref entry = owned(
          Py_BuildValue("(sd)", instructions[i].op ? instructions[i].op->name.c_str() : "expect", times[i] * 1e-9));
      if (PyList_Append(list.get(), entry.get()) < 0) throw PythonError{};
    }
    return list.release();
  });
}

// The short way: replay(arguments) does all that _compile.py does for plain arguments, one result and no random numbers.
// NotImplemented: the long way has to look.
PyObject* replay(PyObject* self, PyObject* arguments) {
  return guarded([&]() -> PyObject* {
    Plan& p = plan_of(self);
    if (p.outputs.size() != 1 || p.structure != structure_now() || !are_plain(arguments) || !holds(p, arguments))
      Py_RETURN_NOTIMPLEMENTED;
    Ref numbers = owned(PyTuple_New(static_cast<Py_ssize_t>(p.sources.size())));
    static PyObject* method = checked(PyUnicode_InternFromString("_numbers"));
    for (size_t k = 0; k < p.sources.size(); k++) {
      PyObject* call[] = {PyTuple_GET_ITEM(p.sources[k].get(), 1), PyTuple_GET_ITEM(p.sources[k].get(), 2)};
      PyTuple_SET_ITEM(numbers.get(), static_cast<Py_ssize_t>(k),
                       checked(PyObject_VectorcallMethod(method, call, 2, nullptr)));
    }
    if (!run_program(p, arguments, numbers.get(), nullptr)) Py_RETURN_NOTIMPLEMENTED;
    return wrap(p.executor->tensor(p.outputs[0]));
  });
}

// guard(kind, holder, key, expected, equal), see Guard; the expected length is an integer, a function's defaults a tuple or
// None
PyObject* add_guard(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 5) fail(ErrorKind::Type, "[Plan.guard] takes (kind, holder, key, expected, equal)");
    const std::string kind = checked(PyUnicode_AsUTF8(args[0]));
    using Kind = Guard::Kind;
    const std::pair<const char*, Kind> kinds[] = {
        {"item", Kind::item},   {"missing", Kind::missing}, {"cell", Kind::cell},   {"length", Kind::length},
        {"equal", Kind::equal}, {"element", Kind::element}, {"bytes", Kind::bytes}, {"code", Kind::code},
        {"slot", Kind::slot},   {"lookup", Kind::lookup},   {"class", Kind::kind},  {"defaults", Kind::defaults}};
    const auto* known = std::ranges::find(kinds, kind, [](const auto& k) { return std::string(k.first); });
    if (known == std::end(kinds)) fail(ErrorKind::Runtime, "[Plan.guard] got ", kind, ", which is no kind of guard");
    Guard g{known->second, borrowed(args[1]), borrowed(args[2]), borrowed(args[3])};
    g.equal = PyObject_IsTrue(args[4]) == 1;
    if (g.kind == Kind::length) g.length = PyLong_AsSsize_t(args[3]);
    if (g.kind == Kind::element) g.length = PyLong_AsSsize_t(args[2]);
    plan_of(self).guards.push_back(std::move(g));
    Py_RETURN_NONE;
  });
}

PyObject* guards_hold_now(PyObject* self, PyObject*) {
  return guarded([&] { return PyBool_FromLong(guards_hold(plan_of(self))); });
}

PyObject* text(PyObject* self, PyObject*) {
  return guarded([&] { return PyUnicode_FromString(plan_of(self).executor->program().text().c_str()); });
}
PyObject* get_structure(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(plan_of(self).structure); }
int set_structure(PyObject* self, PyObject* value, void*) {
  plan_of(self).structure = PyLong_AsUnsignedLongLong(value);
  return PyErr_Occurred() ? -1 : 0;
}
PyObject* calls(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(plan_of(self).calls); }
PyObject* arena_bytes(PyObject* self, void*) { return PyLong_FromSize_t(plan_of(self).executor->arena_bytes()); }
// schedule: (rows of each shard, numbers of the instructions of each slot, negative ones - 1 - k where shards run them)
PyObject* schedule(PyObject* self, void*) {
  return guarded([&] {
    const plan::Schedule& s = plan_of(self).executor->schedule();
    Ref shards = owned(PyList_New(0)), slots = owned(PyList_New(0));
    for (const plan::Rows& r : s.shards) {
      const Ref rows = owned(PyLong_FromLongLong(r.count()));
      if (PyList_Append(shards.get(), rows.get()) < 0) throw PythonError{};
    }
    for (const plan::Slot& slot : s.slots) {
      Ref list = owned(PyList_New(0));
      for (const plan::Scheduled& step : slot.steps) {
        const Ref k = owned(PyLong_FromLong(slot.sharded ? -1 - step.instruction : step.instruction));
        if (PyList_Append(list.get(), k.get()) < 0) throw PythonError{};
      }
      if (PyList_Append(slots.get(), list.get()) < 0) throw PythonError{};
    }
    return Py_BuildValue("(NN)", shards.release(), slots.release());
  });
}
PyObject* launches(PyObject* self, void*) {
  const plan::Replay* replay = plan_of(self).executor->replay();
  return PyLong_FromUnsignedLongLong(replay ? replay->launches() : 0);
}
PyObject* n_instructions(PyObject* self, void*) {
  return PyLong_FromSize_t(plan_of(self).executor->program().instructions.size());
}

template <class F>
PyCFunction cfunction(F* f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef plan_methods[] = {
    {"matches", matches, METH_O, "matches(arguments): may it be run with them now?"},
    {"run", cfunction(run), METH_FASTCALL, "run(arguments, numbers) -> outputs"},
    {"replay", replay, METH_O, "replay(arguments) -> result, or NotImplemented"},
    {"run_batches", cfunction(run_batches), METH_FASTCALL,
     "run_batches(arguments, numbers, tables, order, first, losses, milliseconds) -> how many were run"},
    {"profile", cfunction(profile), METH_FASTCALL, "profile(arguments, numbers) -> [(row, seconds)]"},
    {"guard", cfunction(add_guard), METH_FASTCALL, "guard(kind, holder, key, expected, equal)"},
    {"guards_hold", guards_hold_now, METH_NOARGS, "guards_hold(): is all there that was to be there?"},
    {"text", text, METH_NOARGS, "The program, one instruction per line."},
    {},
};
PyGetSetDef plan_attributes[] = {
    {"structure", get_structure, set_structure, "The structure under which it holds.", nullptr},
    {"calls", calls, nullptr, "How often it was run.", nullptr},
    {"arena_bytes", arena_bytes, nullptr, "Bytes of all temporaries.", nullptr},
    {"schedule", schedule, nullptr, "Shards, and what they run.", nullptr},
    {"launches", launches, nullptr, "How often it was run by launching a graph.", nullptr},
    {"n_instructions", n_instructions, nullptr, "How many instructions it has.", nullptr},
    {},
};
PyType_Slot plan_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_plan)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_plan)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_plan)},
    {Py_tp_methods, plan_methods},
    {Py_tp_getset, plan_attributes},
    {},
};
PyType_Spec plan_spec = {"trigrad._core.Plan", sizeof(PlanObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_HAVE_GC, plan_slots};

}  // namespace

PyObject* wrap_plan(std::unique_ptr<Plan> plan) {
  PyObject* made = checked(plan_type->tp_alloc(plan_type, 0));
  reinterpret_cast<PlanObject*>(made)->plan = plan.release();
  return made;
}

std::shared_ptr<plan::Arena> arena_of(PyObject* plan) {
  if (Py_TYPE(plan) != plan_type) fail(ErrorKind::Type, "[Recording.finish] got something that is no plan");
  return plan_of(plan).executor->arena();
}

void init_plan_type(PyObject* core_module) {
  plan_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&plan_spec)));
  if (PyModule_AddObjectRef(core_module, "Plan", reinterpret_cast<PyObject*>(plan_type)) < 0) throw PythonError{};
}

}  // namespace tg::bind
