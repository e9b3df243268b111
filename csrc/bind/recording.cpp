// Recordings and plans as Python has them: trigrad._core.Recording and trigrad._core.Plan (used by _compile.py alone).
#include "bind/recording.h"

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bind/convert.h"
#include "bind/dtype_type.h"
#include "bind/node.h"
#include "bind/size_type.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/backends.h"
#include "ops/dispatch.h"
#include "ops/update.h"
#include "plan/batches.h"
#include "plan/executor.h"
#include "plan/passes.h"
#include "plan/recorder.h"

namespace tg::bind {
namespace {

uint64_t structure = 0;  // under the GIL

// What happened to .grad of one tensor.
struct Touched {
  Ref tensor;
  Ref before;         // its .grad when it was first touched, null for None
  bool read = false;  // before it was set
};

// A tensor that was asked whether it requires a gradient, and its memory.
struct Asked {
  Ref tensor;
  bool requires_grad;
};

struct Recorded {
  std::unique_ptr<plan::Recording> calls;
  std::vector<Ref> arguments;
  std::vector<Touched> touched;
  std::unordered_map<PyObject*, size_t> touched_at;
  std::vector<Asked> asked;
  std::unordered_map<PyObject*, size_t> asked_at;
  std::vector<Ref> sources;       // of numbers that are read anew
  std::vector<Ref> expectations;  // error(value) of each
  bool grad_mode = true;
  bool active = false, paused = false;
  uint64_t next = 0;  // the birth number to go on with after a pause
};

thread_local Recorded* current = nullptr;

struct RecordingObject {
  PyObject_HEAD
  Recorded* recorded;
};

PyTypeObject* recording_type = nullptr;
PyTypeObject* plan_type = nullptr;

Recorded& recorded_of(PyObject* self) { return *reinterpret_cast<RecordingObject*>(self)->recorded; }

void listen(Recorded& r) {
  dispatch::set_recorder(r.calls.get());
  next_birth = r.next;
}
void stop_listening(Recorded& r) {
  dispatch::set_recorder(nullptr);
  r.next = next_birth;
  next_birth = 0;
}

Touched& touch(PyObject* tensor) {
  const auto known = current->touched_at.find(tensor);
  if (known != current->touched_at.end()) return current->touched[known->second];
  current->touched_at.emplace(tensor, current->touched.size());
  PyObject* before = object_of(tensor).grad;
  current->touched.push_back({borrowed(tensor), before ? borrowed(before) : Ref{}, false});
  return current->touched.back();
}

// ---------------------------------------------------------------- Recording

// Recording(arguments): this thread records from now on, until stop().
PyObject* new_recording(PyTypeObject* type, PyObject* args, PyObject*) {
  return guarded([&]() -> PyObject* {
    PyObject* arguments;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &arguments)) throw PythonError{};
    if (dispatch::recorder()) fail(ErrorKind::Runtime, "[compile] another recorder listens on this thread");
    static std::atomic<uint64_t> recordings{0};
    auto r = std::make_unique<Recorded>();
    std::vector<Tensor> tensors;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); i++) {
      PyObject* t = PyTuple_GET_ITEM(arguments, i);
      if (!is_tensor(t)) fail(ErrorKind::Type, "[compile] an argument is no tensor");
      tensors.push_back(value_of(t));
      r->arguments.push_back(borrowed(t));
    }
    r->next = (recordings.fetch_add(1) + 1) << 32;
    r->calls = std::make_unique<plan::Recording>(std::move(tensors), r->next);
    r->grad_mode = grad_enabled();
    PyObject* self = checked(type->tp_alloc(type, 0));
    reinterpret_cast<RecordingObject*>(self)->recorded = r.release();
    Recorded& made = recorded_of(self);
    made.active = true;
    current = &made;
    listen(made);
    return self;
  });
}

void end(Recorded& r) {
  if (!r.active) return;
  if (!r.paused) stop_listening(r);
  r.active = false;
  current = nullptr;
}

void dealloc_recording(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  if (Recorded* r = reinterpret_cast<RecordingObject*>(self)->recorded) {
    end(*r);
    delete r;
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* stop(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    end(recorded_of(self));
    Py_RETURN_NONE;
  });
}

// undo(): states, arguments and gradients as they were before.
PyObject* undo(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    Recorded& r = recorded_of(self);
    end(r);
    r.calls->undo();
    for (Touched& t : r.touched) Py_XSETREF(object_of(t.tensor.get()).grad, Py_XNewRef(t.before.get()));
    Py_RETURN_NONE;
  });
}

PyObject* sources(PyObject* self, void*) {
  return guarded([&] {
    const Recorded& r = recorded_of(self);
    Ref list = owned(PyList_New(static_cast<Py_ssize_t>(r.sources.size())));
    for (size_t i = 0; i < r.sources.size(); i++)
      PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), Py_NewRef(r.sources[i].get()));
    return list.release();
  });
}

std::vector<Tensor> tensors_of(PyObject* sequence) {
  const Ref items = owned(PySequence_Fast(sequence, "expected a sequence of tensors"));
  std::vector<Tensor> found;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); i++)
    found.push_back(value_of(PySequence_Fast_GET_ITEM(items.get(), i)));
  return found;
}

// kept(outputs) -> the shapes of tensors that were made meanwhile, are still there, and are no outputs or gradients.
PyObject* kept(PyObject* self, PyObject* outputs) {
  return guarded([&] {
    Recorded& r = recorded_of(self);
    std::vector<Tensor> known = tensors_of(outputs);
    for (const Touched& t : r.touched)
      if (PyObject* grad = object_of(t.tensor.get()).grad) known.push_back(value_of(grad));
    Ref list = owned(PyList_New(0));
    auto add = [&](const Dims& dims) {
      const Ref shape = owned(make_tuple(dims));
      if (PyList_Append(list.get(), shape.get()) < 0) throw PythonError{};
    };
    for (const plan::View& v : r.calls->kept(known)) add(v.shape);
    // Of the known ones nobody else has a hold: each is one tensor here and one in `known`.
    for (const Tensor& t : known) {
      int64_t holds = 0;
      for (const Tensor& other : known) holds += other.storage == t.storage ? 2 : 0;
      if (r.calls->made_here(t) && t.storage->references() > holds) add(t.shape);
    }
    for (const Touched& t : r.touched) {
      PyObject* grad = object_of(t.tensor.get()).grad;
      if (grad && r.calls->made_here(value_of(grad)) && Py_REFCNT(grad) > 1) add(value_of(grad).shape);
    }
    return list.release();
  });
}

// made_here(tensor): is its memory of this recording?
PyObject* made_here(PyObject* self, PyObject* tensor) {
  return guarded([&] { return PyBool_FromLong(recorded_of(self).calls->made_here(value_of(tensor))); });
}

// ---------------------------------------------------------------- Plan

// The gradient of one tensor around a run.
struct Gradient {
  Ref leaf;  // null: argument number `argument`
  int argument = -1;
  enum class Before : uint8_t { any, none, present } before = Before::any;  // what must be there
  int before_buffer = -1;                                                   // of one that is read or added to
  Dims before_strides;
  int64_t before_offset = 0;
  enum class After : uint8_t { none, made, given } after = After::none;
  int after_buffer = -1;
  plan::View made;  // the view of it that becomes .grad
  Ref own;          // the tensor that was put there last
  Ref given;        // an existing tensor that is put there
};

struct Guard {
  enum class Kind : uint8_t { item, cell, length } kind;
  Ref holder, key, expected;
  Py_ssize_t length = 0;
  bool equal = false;  // compared by value, not by identity
};

struct Plan {
  std::unique_ptr<plan::Executor> executor;
  struct Argument {
    Dims shape;
    Dtype dtype;
    bool requires_grad;
    int buffer;
    bool written;
  };
  std::vector<Argument> arguments;
  std::vector<Gradient> gradients;
  struct Leaf {
    Ref tensor;
    bool requires_grad;
    StorageRef storage;
    int64_t offset;
  };
  std::vector<Leaf> leaves;
  std::vector<Guard> guards;
  std::vector<plan::View> outputs;
  std::vector<Ref> expectations;
  struct Live {
    size_t instruction;
    int source;
    bool random;
    int seed = -1, step = -1;  // attributes of a random row
  };
  std::vector<Live> live;
  std::vector<Ref> sources;  // ("numbers", optimizer, group) or ("draw", generator, seed, step)
  bool grad_mode = true;
  uint64_t structure = 0, calls = 0;
};

struct PlanObject {
  PyObject_HEAD
  Plan* plan;
};
Plan& plan_of(PyObject* self) { return *reinterpret_cast<PlanObject*>(self)->plan; }

void dealloc_plan(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<PlanObject*>(self)->plan;
  type->tp_free(self);
  Py_DECREF(type);
}

void take_gradients(Recorded& r, Plan& p, std::vector<Tensor>& asked_for) {
  for (Touched& t : r.touched) {
    Gradient g;
    PyObject *leaf = t.tensor.get(), *now = object_of(leaf).grad;
    if (r.calls->made_here(value_of(leaf))) continue;  // of a tensor that was made meanwhile: it is gone after the step
    for (size_t i = 0; i < r.arguments.size(); i++)
      if (r.arguments[i].get() == leaf) g.argument = static_cast<int>(i);
    if (g.argument < 0) g.leaf = borrowed(leaf);
    if (t.read) g.before = t.before ? Gradient::Before::present : Gradient::Before::none;
    if (t.before && t.read) {
      const Tensor& old = value_of(t.before.get());
      const plan::View v = r.calls->view_of(old);
      g.before_buffer = v.buffer;
      g.before_strides = old.strides;
      g.before_offset = old.offset;
    }
    if (now && r.calls->made_here(value_of(now))) {
      g.after = Gradient::After::made;
      g.own = borrowed(now);
      asked_for.push_back(value_of(now));
    } else if (now) {
      g.after = Gradient::After::given;
      if (!t.before || now != t.before.get()) g.given = borrowed(now);  // null: what was there before
    }
    if (g.after == Gradient::After::given && !g.given && g.before == Gradient::Before::any)
      continue;  // nothing happened
    p.gradients.push_back(std::move(g));
  }
}

void take_live(Plan& p) {
  const auto& instructions = p.executor->program().instructions;
  for (size_t i = 0; i < instructions.size(); i++) {
    const plan::Instruction& step = instructions[i];
    if (step.live < 0) continue;
    Plan::Live live{i, step.live, (step.op->flags & kRandom) != 0};
    for (int k = 0; live.random && k < step.attrs.n; k++) {
      if (step.op->attribute(k).name == "seed") live.seed = k;
      if (step.op->attribute(k).name == "step") live.step = k;
    }
    p.live.push_back(live);
  }
}

// finish(outputs) -> Plan
PyObject* finish(PyObject* self, PyObject* outputs) {
  return guarded([&]() -> PyObject* {
    Recorded& r = recorded_of(self);
    auto p = std::make_unique<Plan>();
    std::vector<Tensor> wanted = tensors_of(outputs);
    const size_t n_outputs = wanted.size();
    take_gradients(r, *p, wanted);
    plan::Program program = r.calls->finish(wanted);
    p->outputs.assign(program.outputs.begin(), program.outputs.begin() + static_cast<std::ptrdiff_t>(n_outputs));
    size_t next = n_outputs;
    for (Gradient& g : p->gradients) {
      if (g.after != Gradient::After::made) continue;
      g.made = program.outputs[next++];
      g.after_buffer = g.made.buffer;
      for (const Gradient& other : p->gradients)
        if (&other != &g && other.after == Gradient::After::made && other.after_buffer == g.after_buffer)
          fail(ErrorKind::Runtime, "[compile] two tensors share the memory of one gradient, expected one each; use ",
               "grad.clone()");
    }
    for (size_t i = 0; i < r.arguments.size(); i++) {
      const plan::View& v = program.inputs[i];
      bool written = false;
      for (const plan::Instruction& step : program.instructions) written |= step.writes(v.buffer);
      p->arguments.push_back({v.shape, v.dtype, requires_grad(r.arguments[i].get()), v.buffer, written});
    }
    for (Asked& a : r.asked) {
      PyObject* t = a.tensor.get();
      bool argument = false;
      for (const Ref& given : r.arguments) argument |= given.get() == t;
      if (argument || Py_REFCNT(t) == 1 || r.calls->made_here(value_of(t))) continue;
      p->leaves.push_back({borrowed(t), a.requires_grad, value_of(t).storage, value_of(t).offset});
    }
    plan::optimise(program);
    p->executor = std::make_unique<plan::Executor>(std::move(program), *dispatch::backend(Device::Cpu));
    p->expectations = std::move(r.expectations);
    for (const Ref& source : r.sources) p->sources.push_back(borrowed(source.get()));
    p->grad_mode = r.grad_mode;
    p->structure = structure;
    take_live(*p);
    PyObject* made = checked(plan_type->tp_alloc(plan_type, 0));
    reinterpret_cast<PlanObject*>(made)->plan = p.release();
    return made;
  });
}

// Contiguous tensors on memory of their own, outside of any graph, while this thread does not record: they are taken as they
// are.
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

bool holds(const Guard& g) {
  PyObject* found = nullptr;
  if (g.kind == Guard::Kind::length) return PyObject_Size(g.holder.get()) == g.length;
  if (g.kind == Guard::Kind::cell) found = PyCell_GET(g.holder.get());
  else found = PyDict_GetItemWithError(g.holder.get(), g.key.get());
  if (PyErr_Occurred()) throw PythonError{};
  if (found == g.expected.get()) return true;
  if (!found || !g.expected || !g.equal || Py_TYPE(found) != Py_TYPE(g.expected.get())) return false;
  const int same = PyObject_RichCompareBool(found, g.expected.get(), Py_EQ);
  if (same < 0) throw PythonError{};
  return same == 1;
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

bool holds(const Plan& p, PyObject* arguments) {
  if (static_cast<size_t>(PyTuple_GET_SIZE(arguments)) != p.arguments.size()) return false;
  for (size_t i = 0; i < p.arguments.size(); i++) {
    PyObject* t = PyTuple_GET_ITEM(arguments, static_cast<Py_ssize_t>(i));
    const Plan::Argument& a = p.arguments[i];
    if (!(value_of(t).shape == a.shape) || value_of(t).dtype != a.dtype || requires_grad(t) != a.requires_grad)
      return false;
  }
  if (grad_enabled() != p.grad_mode) return false;
  for (const Plan::Leaf& l : p.leaves) {
    const TensorObject& t = object_of(l.tensor.get());
    if (t.requires_grad != l.requires_grad || !(t.value.storage == l.storage) || t.value.offset != l.offset)
      return false;
  }
  for (const Gradient& g : p.gradients)
    if (!gradient_matches(g, arguments)) return false;
  for (const Guard& g : p.guards)
    if (!holds(g)) return false;
  return true;
}

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
         t.storage->references() ==
             1 + (p.executor->bound(g.after_buffer) == t.storage);
}

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
    t.storage = StorageRef(new Storage(p.executor->program().buffers[static_cast<size_t>(g.after_buffer)].bytes));
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

Attr as_attribute(const Attr& like, PyObject* value) {
  const Number n = read_number(value);
  if (like.kind == Attr::Kind::Float) return Attr::real(n.real());
  if (like.kind == Attr::Kind::Bool) return Attr::boolean(n.real() != 0);
  return Attr::integer(n.i);
}

// numbers[source]: all attributes of an update row, or (seed, step) of a random one. False: the program does not hold for them.
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
      if (!gradient)
        p.executor->bind(
            v.buffer, StorageRef(new Storage(p.executor->program().buffers[static_cast<size_t>(v.buffer)].bytes)), 0);
    }
}

// Does the run without the GIL, and says what was not as expected.
template <class Run>
void run_without_gil(const Plan& p, Run run) {
  try {
    const WithoutGil released(true);
    run();
  } catch (const plan::Unexpected& u) {
    const Ref value = owned(to_python(load(u.value, u.value.offset)));
    const Ref error = owned(PyObject_CallOneArg(p.expectations[static_cast<size_t>(u.id)].get(), value.get()));
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
    throw PythonError{};
  }
}

// False: the program does not hold for the numbers.
bool make_ready(Plan& p, PyObject* arguments, PyObject* numbers) {
  if (!set_numbers(p, numbers)) return false;
  bind_arguments(p, arguments);
  bind_gradients(p, arguments);
  bind_outputs(p);
  return true;
}

bool run_program(Plan& p, PyObject* arguments, PyObject* numbers, std::vector<double>* times) {
  if (!make_ready(p, arguments, numbers)) return false;
  run_without_gil(p, [&] { times ? p.executor->run_timed(*times) : p.executor->run(); });
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
    if (p.outputs.size() != 1 || p.structure != structure || !are_plain(arguments) || !holds(p, arguments))
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

// ---- batches of a data set

plan::Batches batches_of(PyObject* batch, PyObject* tables, PyObject* order, int64_t first, int64_t count) {
  if (!PyTuple_Check(batch) || !PyTuple_Check(tables)) fail(ErrorKind::Type, "[batches] takes tuples of tensors");
  plan::Batches b{tensors_of(tables), tensors_of(batch), {}};
  if (b.tables.size() != b.batch.size() || b.batch.empty())
    fail(ErrorKind::Runtime, "[batches] got ", b.tables.size(), " tables for a batch of ", b.batch.size(), " tensors");
  for (size_t k = 0; k < b.batch.size(); k++) {
    const Tensor &from = b.tables[k], &to = b.batch[k];
    bool same = from.rank() == to.rank() && from.rank() > 0 && from.dtype == to.dtype && from.contiguous() &&
                to.contiguous() && from.shape[0] == b.tables[0].shape[0] && to.shape[0] == b.batch[0].shape[0];
    for (int i = 1; same && i < from.rank(); i++) same = from.shape[i] == to.shape[i];
    if (!same)
      fail(ErrorKind::Runtime, "[batches] a batch ", to.shape, " of ", name(to.dtype), " cannot hold rows of ", from.shape,
           " of ", name(from.dtype));
  }
  if (order != Py_None) {
    if (!is_tensor(order) || value_of(order).dtype != Dtype::Int64 || !value_of(order).contiguous())
      fail(ErrorKind::Type, "[batches] the order is no contiguous tensor of int64");
    const Tensor& t = value_of(order);
    b.order = {t.data<const int64_t>(), static_cast<size_t>(t.numel())};
  }
  const int64_t rows = b.batch[0].shape[0], n = order == Py_None ? b.tables[0].shape[0] : static_cast<int64_t>(b.order.size());
  if (rows < 1 || first < 0 || count < 1 || count > (n - first) / rows)
    fail(ErrorKind::Index, "[batches] got ", count, " batches of ", rows, " rows from row ", first, " on, expected them among ", n);
  return b;
}

// gather_rows(batch, tables, order, first): rows order[first], … of the tables into the batch.
PyObject* gather_rows(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 4) fail(ErrorKind::Type, "[gather_rows] takes (batch, tables, order, first)");
    const int64_t first = to_int("gather_rows", "first", args[3]);
    const plan::Batches b = batches_of(args[0], args[1], args[2], first, 1);
    b.gather(first);
    for (const Tensor& t : b.batch) t.storage->written();
    Py_RETURN_NONE;
  });
}

// May the next run follow with nothing done in between?
bool repeatable(const Plan& p) {
  for (const Gradient& g : p.gradients)
    if (g.before != Gradient::Before::any && !(g.before == Gradient::Before::none && g.after == Gradient::After::none))
      return false;
  return true;
}

// run_batches(arguments, numbers, tables, order, first, losses, milliseconds) -> how many steps were made: one for each of
// `losses` (float64), fewer when the time is over. None if the numbers need another program.
PyObject* run_batches(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 7 || !PyTuple_Check(args[0]) || !PyTuple_Check(args[1]) || !is_tensor(args[5]))
      fail(ErrorKind::Type,
           "[Plan.run_batches] takes (arguments, numbers, tables, order, first, losses, milliseconds)");
    Plan& p = plan_of(self);
    const int64_t first = to_int("run_batches", "first", args[4]);
    const Tensor& losses = value_of(args[5]);
    if (losses.dtype != Dtype::Float64 || !losses.contiguous() || p.outputs.size() != 1 || p.outputs[0].numel() != 1)
      fail(ErrorKind::Runtime, "[Plan.run_batches] expected a contiguous float64 tensor, and a program of one number");
    const plan::Batches batches = batches_of(args[0], args[2], args[3], first, losses.numel());
    if (!make_ready(p, args[0], args[1])) Py_RETURN_NONE;
    std::vector<plan::Draw> draws;
    for (const Plan::Live& l : p.live)
      if (l.random)
        draws.push_back({l.instruction, l.step,
                         to_int("run_batches", "draws", PyTuple_GET_ITEM(PyTuple_GET_ITEM(args[1], l.source), 2))});
    const size_t wanted = repeatable(p) ? static_cast<size_t>(losses.numel()) : 1;
    const auto time = std::chrono::milliseconds(to_int("run_batches", "milliseconds", args[6]));
    size_t made = 0;
    run_without_gil(p, [&] {
      made = plan::run_batches(*p.executor, batches, first, p.outputs[0], draws, {losses.data<double>(), wanted}, time);
    });
    losses.storage->written();
    set_gradients(p, args[0]);
    p.calls += made;
    return PyLong_FromSize_t(made);
  });
}

// guard(kind, holder, key, expected, equal): "item" of a dict, "cell", "length" (expected: an integer)
PyObject* add_guard(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 5) fail(ErrorKind::Type, "[Plan.guard] takes (kind, holder, key, expected, equal)");
    const std::string kind = checked(PyUnicode_AsUTF8(args[0]));
    Guard g{kind == "item"   ? Guard::Kind::item
            : kind == "cell" ? Guard::Kind::cell
                             : Guard::Kind::length,
            borrowed(args[1]), borrowed(args[2]), borrowed(args[3])};
    g.equal = PyObject_IsTrue(args[4]) == 1;
    if (g.kind == Guard::Kind::length) g.length = PyLong_AsSsize_t(args[3]);
    plan_of(self).guards.push_back(std::move(g));
    Py_RETURN_NONE;
  });
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
PyObject* arena_bytes(PyObject* self, void*) {
  return PyLong_FromSize_t(plan_of(self).executor->arena_bytes());
}
// schedule: (rows of each shard, numbers of the instructions of each slot, negative ones - 1 - k where shards run them)
PyObject* schedule(PyObject* self, void*) {
  return guarded([&] {
    const plan::Schedule& s = plan_of(self).executor->schedule();
    Ref shards = owned(PyList_New(0)), slots = owned(PyList_New(0));
    for (const plan::Rows& r : s.shards) {
      const Ref rows = owned(PyLong_FromLongLong(r.end - r.first));
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
PyObject* n_instructions(PyObject* self, void*) {
  return PyLong_FromSize_t(plan_of(self).executor->program().instructions.size());
}

template <class F>
PyCFunction cfunction(F* f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef recording_methods[] = {
    {"stop", stop, METH_NOARGS, "Record no more."},
    {"undo", undo, METH_NOARGS, "Stop, and give everything the values that it had."},
    {"kept", kept, METH_O, "kept(outputs): the shapes of tensors that were made meanwhile and outlive it."},
    {"made_here", made_here, METH_O, "made_here(tensor): was its memory made while recording?"},
    {"finish", finish, METH_O, "finish(outputs) -> Plan"},
    {},
};
PyGetSetDef recording_attributes[] = {
    {"sources", sources, nullptr, "What was marked as the source of numbers that are read anew.", nullptr},
    {},
};
PyType_Slot recording_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_recording)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_recording)},
    {Py_tp_methods, recording_methods},
    {Py_tp_getset, recording_attributes},
    {},
};
PyType_Spec recording_spec = {"trigrad._core.Recording", sizeof(RecordingObject), 0, Py_TPFLAGS_DEFAULT,
                              recording_slots};

PyMethodDef plan_methods[] = {
    {"matches", matches, METH_O, "matches(arguments): may it be run with them now?"},
    {"run", cfunction(run), METH_FASTCALL, "run(arguments, numbers) -> outputs"},
    {"replay", replay, METH_O, "replay(arguments) -> result, or NotImplemented"},
    {"profile", cfunction(profile), METH_FASTCALL, "profile(arguments, numbers) -> [(row, seconds)]"},
    {"run_batches", cfunction(run_batches), METH_FASTCALL,
     "run_batches(arguments, numbers, tables, order, first, losses, milliseconds) -> steps made"},
    {"guard", cfunction(add_guard), METH_FASTCALL, "guard(kind, holder, key, expected, equal)"},
    {"text", text, METH_NOARGS, "The program, one instruction per line."},
    {},
};
PyGetSetDef plan_attributes[] = {
    {"structure", get_structure, set_structure, "The structure under which it holds.", nullptr},
    {"calls", calls, nullptr, "How often it was run.", nullptr},
    {"arena_bytes", arena_bytes, nullptr, "Bytes of all temporaries.", nullptr},
    {"schedule", schedule, nullptr, "Shards, and what they run.", nullptr},
    {"n_instructions", n_instructions, nullptr, "How many instructions it has.", nullptr},
    {},
};
PyType_Slot plan_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_plan)},
    {Py_tp_methods, plan_methods},
    {Py_tp_getset, plan_attributes},
    {},
};
PyType_Spec plan_spec = {"trigrad._core.Plan", sizeof(PlanObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, plan_slots};

// ---------------------------------------------------------------- functions of the module

PyObject* recording_now(PyObject*, PyObject*) { return PyBool_FromLong(is_recording()); }

// pause_recording(): what follows is not part of the program. Returns whether there was something to pause.
PyObject* pause_recording(PyObject*, PyObject*) {
  if (!is_recording()) Py_RETURN_FALSE;
  stop_listening(*current);
  current->paused = true;
  Py_RETURN_TRUE;
}
PyObject* resume_recording(PyObject*, PyObject*) {
  if (current && current->paused) {
    current->paused = false;
    listen(*current);
  }
  Py_RETURN_NONE;
}

// mark_live(source): the attributes of the next update row come from `source` in each run.
PyObject* mark_live(PyObject*, PyObject* source) {
  return guarded([&]() -> PyObject* {
    if (!is_recording()) Py_RETURN_NONE;
    current->calls->mark_live(static_cast<int>(current->sources.size()));
    current->sources.push_back(borrowed(source));
    Py_RETURN_NONE;
  });
}
// mark_draw(source, seed, step): random rows with these take what `source` gives in each run.
PyObject* mark_draw(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 3) fail(ErrorKind::Type, "[mark_draw] takes (source, seed, step)");
    if (!is_recording()) Py_RETURN_NONE;
    current->calls->mark_draw(static_cast<int>(current->sources.size()), to_int("mark_draw", "seed", args[1]),
                              to_int("mark_draw", "step", args[2]));
    current->sources.push_back(borrowed(args[0]));
    Py_RETURN_NONE;
  });
}

// expect(value, low, high, error): raises error(value) unless the one element lies between; a plan asks again in each run.
PyObject* expect(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 4 || !is_tensor(args[0])) fail(ErrorKind::Type, "[expect] takes (tensor, low, high, error)");
    const Tensor& t = value_of(args[0]);
    if (t.numel() != 1) fail(ErrorKind::Runtime, "[expect] got shape ", t.shape, ", expected one element");
    const double low = to_real("expect", "low", args[1]), high = to_real("expect", "high", args[2]);
    const Number value = load(t, t.offset);
    if (!(value.real() >= low && value.real() <= high)) {
      const Ref number = owned(to_python(value)), error = owned(PyObject_CallOneArg(args[3], number.get()));
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
      throw PythonError{};
    }
    if (is_recording()) {
      current->calls->expect(t, low, high, static_cast<int>(current->expectations.size()));
      current->expectations.push_back(borrowed(args[3]));
    }
    Py_RETURN_NONE;
  });
}

// plain(arguments): can they be taken as they are?
PyObject* plain(PyObject*, PyObject* arguments) { return PyBool_FromLong(are_plain(arguments)); }

PyObject* py_structure_changed(PyObject*, PyObject*) {
  structure++;
  Py_RETURN_NONE;
}
PyObject* py_structure(PyObject*, PyObject*) { return PyLong_FromUnsignedLongLong(structure); }

PyMethodDef functions[] = {
    {"is_recording", recording_now, METH_NOARGS, "Is this thread recording a plan?"},
    {"pause_recording", pause_recording, METH_NOARGS, nullptr},
    {"resume_recording", resume_recording, METH_NOARGS, nullptr},
    {"mark_live", mark_live, METH_O, nullptr},
    {"mark_draw", cfunction(mark_draw), METH_FASTCALL, nullptr},
    {"expect", cfunction(expect), METH_FASTCALL, nullptr},
    {"gather_rows", cfunction(gather_rows), METH_FASTCALL, nullptr},
    {"plain", plain, METH_O, nullptr},
    {"structure_changed", py_structure_changed, METH_NOARGS, nullptr},
    {"structure", py_structure, METH_NOARGS, nullptr},
    {},
};

}  // namespace

bool is_recording() { return current && !current->paused; }
void structure_changed() { structure++; }

void refuse_reading(const char* what) {
  if (!is_recording()) return;
  fail(ErrorKind::Runtime, "[compile] ", what,
       " reads a tensor's value while a step is recorded, expected tensors to stay tensors: a replayed step runs "
       "without ",
       "Python, so nothing that Python decides by a value can be repeated; use ops (where, clamp, masked_fill), or "
       "return ",
       "the tensor and read it outside");
}

void refuse_array(const char* what) {
  if (!is_recording()) return;
  fail(ErrorKind::Runtime, "[compile] ", what,
       " takes in a numpy array while a step is recorded, expected the array as an argument of the step: a replayed "
       "step "
       "would see the numbers of this call for ever");
}

void about_to_read_grad(PyObject* tensor) {
  if (!is_recording()) return;
  const bool known = current->touched_at.contains(tensor);
  Touched& t = touch(tensor);
  if (!known) t.read = true;
}
void about_to_set_grad(PyObject* tensor) {
  if (is_recording()) touch(tensor);
}
void asked_for_grad(PyObject* tensor) {
  if (!is_recording()) return;
  const TensorObject& t = object_of(tensor);
  if (t.node || current->asked_at.contains(tensor) || current->calls->made_here(t.value)) return;
  current->asked_at.emplace(tensor, current->asked.size());
  current->asked.push_back({borrowed(tensor), t.requires_grad});
}

void init_plan(PyObject* core_module) {
  recording_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&recording_spec)));
  plan_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&plan_spec)));
  if (PyModule_AddFunctions(core_module, functions) < 0 ||
      PyModule_AddObjectRef(core_module, "Recording", reinterpret_cast<PyObject*>(recording_type)) < 0 ||
      PyModule_AddObjectRef(core_module, "Plan", reinterpret_cast<PyObject*>(plan_type)) < 0)
    throw PythonError{};
}

}  // namespace tg::bind
