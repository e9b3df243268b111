// trigrad._core.Recording (used by _compile.py alone), and what the rest of the room tells it.
#include "bind/recording.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bind/autocast.h"
#include "bind/convert.h"
#include "bind/dtype_type.h"
#include "bind/node.h"
#include "bind/plan.h"
#include "bind/size_type.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/backends.h"
#include "ops/dispatch.h"
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
  std::vector<bool> arguments_require;  // gradients, before anything was written into them
  std::vector<Touched> touched;
  std::unordered_map<PyObject*, size_t> touched_at;
  std::vector<Asked> asked;
  std::unordered_map<PyObject*, size_t> asked_at;
  std::vector<Ref> sources;       // of numbers that are read anew
  std::vector<Ref> expectations;  // error(value) of each
  std::string refused;            // what Python was refused, which it may not pass over
  bool grad_mode = true;
  uint8_t precision = kExact;
  std::optional<Dtype> autocast;
  bool active = false, paused = false;
  uint64_t structure = 0;  // when it began
  uint64_t next = 0;       // the birth number to go on with after a pause
};

thread_local Recorded* current = nullptr;

struct RecordingObject {
  PyObject_HEAD
  Recorded* recorded;
};

PyTypeObject* recording_type = nullptr;

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
      r->arguments_require.push_back(requires_grad(t));
    }
    r->next = (recordings.fetch_add(1) + 1) << 32;
    r->calls = std::make_unique<plan::Recording>(std::move(tensors), r->next);
    r->grad_mode = grad_enabled();
    r->precision = dispatch::precision();
    r->autocast = autocast_dtype();
    r->structure = structure;
    PyObject* self = checked(type->tp_alloc(type, 0));
    reinterpret_cast<RecordingObject*>(self)->recorded = r.release();
    Recorded& made = recorded_of(self);
    made.active = true;
    current = &made;
    threads_recording++;
    listen(made);
    return self;
  });
}

void end(Recorded& r) {
  if (!r.active) return;
  if (!r.paused) stop_listening(r);
  r.active = false;
  current = nullptr;
  threads_recording--;
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

// refused: what was refused while recording, though Python went on; None if nothing was
PyObject* refused(PyObject* self, void*) {
  const std::string& why = recorded_of(self).refused;
  if (why.empty()) Py_RETURN_NONE;
  return PyUnicode_FromString(why.c_str());
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

// Tensors that nobody has any more are gone, with their gradients; of views that went the bases may be gone, too.
void forget_gone(Recorded& r) {
  auto ours = [&](const Touched& t) {
    return Py_REFCNT(t.tensor.get()) == (r.asked_at.contains(t.tensor.get()) ? 2 : 1);
  };
  while (std::erase_if(r.touched, ours) +
         std::erase_if(r.asked, [](const Asked& a) { return Py_REFCNT(a.tensor.get()) == 1; })) {}
}

// What was there before and became part of the graph by a write: an argument leaves it again, as results do.
void leave_graph(Recorded& r) {
  for (const Asked& a : r.asked) {
    TensorObject& t = object_of(a.tensor.get());
    if (!t.node) continue;
    const bool argument =
        std::ranges::any_of(r.arguments, [&](const Ref& g) { return value_of(g.get()).storage == t.value.storage; });
    if (!argument)
      fail(ErrorKind::Runtime, "[compile] a tensor of shape ", t.value.shape,
           " from outside of the step was overwritten with one that requires a gradient, and so became part of the "
           "graph, "
           "expected it to stay outside, as replays have none; write x.detach() into it, or write inside "
           "trigrad.no_grad()");
    Py_CLEAR(t.node);
    t.requires_grad = a.requires_grad;
    t.retains_grad = false;
  }
}

// kept(outputs) -> the shapes of tensors that were made meanwhile, are still there, and are no outputs or gradients.
PyObject* kept(PyObject* self, PyObject* outputs) {
  return guarded([&] {
    Recorded& r = recorded_of(self);
    forget_gone(r);
    leave_graph(r);
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

// found_gradient(tensor): is its memory that of a gradient which the step found, so perhaps another's in each call?
PyObject* found_gradient(PyObject* self, PyObject* tensor) {
  return guarded([&] {
    const StorageRef& storage = value_of(tensor).storage;
    return PyBool_FromLong(std::ranges::any_of(recorded_of(self).touched, [&](const Touched& t) {
      return t.read && t.before && value_of(t.before.get()).storage == storage;
    }));
  });
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

// finish(outputs, others) -> Plan, which shares its arena with one of these plans, of which none runs while it does
PyObject* finish(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2 || !PyList_Check(args[1])) fail(ErrorKind::Type, "[Recording.finish] takes (outputs, plans)");
    PyObject* outputs = args[0];
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
      p->arguments.push_back({v.shape, v.dtype, value_of(r.arguments[i].get()).place(), r.arguments_require[i],
                              object_of(r.arguments[i].get()).inference, v.buffer, written});
    }
    for (Asked& a : r.asked) {
      PyObject* t = a.tensor.get();
      bool argument = false;
      for (const Ref& given : r.arguments) argument |= given.get() == t;
      if (argument || r.calls->made_here(value_of(t))) continue;
      p->leaves.push_back({borrowed(t), a.requires_grad, value_of(t).storage, value_of(t).offset});
    }
    for (const plan::Buffer& b : program.buffers)
      if (b.role == plan::Role::state) p->states.push_back(b.storage.get());
    plan::optimise(program);
    std::shared_ptr<plan::Arena> arena;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[1]) && !arena; i++) {
      arena = arena_of(PyList_GET_ITEM(args[1], i));
      if (!(arena->place == program.place)) arena = nullptr;
    }
    if (!arena) arena = std::make_shared<plan::Arena>(program.place);
    const Backend& backend = *dispatch::backend(program.place.device);
    p->executor = std::make_unique<plan::Executor>(std::move(program), backend, std::move(arena));
    p->expectations = std::move(r.expectations);
    for (const Ref& source : r.sources) p->sources.push_back(borrowed(source.get()));
    p->grad_mode = r.grad_mode;
    p->precision = r.precision;
    p->autocast = r.autocast;
    p->structure = r.structure;
    take_live(*p);
    return wrap_plan(std::move(p));
  });
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
    {"found_gradient", found_gradient, METH_O, "found_gradient(tensor): is it a gradient that was there before?"},
    {"finish", cfunction(finish), METH_FASTCALL, "finish(outputs, plans) -> Plan, on the arena of these plans"},
    {},
};
PyGetSetDef recording_attributes[] = {
    {"refused", refused, nullptr, "What was refused, though Python went on.", nullptr},
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

int threads_recording = 0;
bool this_thread_records() { return current && !current->paused; }
void structure_changed() { structure++; }
uint64_t structure_now() { return structure; }

namespace {

[[noreturn]] void refuse(std::string why) {
  if (current->refused.empty()) current->refused = why;
  throw Error(ErrorKind::Runtime, std::move(why));
}

}  // namespace

void refuse_reading(const char* what) {
  if (!is_recording()) return;
  refuse(std::string("[compile] ") + what +
         " reads a tensor's value while a step is recorded, expected tensors to stay tensors: a replayed step runs "
         "without "
         "Python, so nothing that Python decides by a value can be repeated; use ops (where, clamp, masked_fill), or "
         "return "
         "the tensor and read it outside");
}

void refuse_moving(const char* what, const Tensor& t) {
  if (!is_recording() || current->calls->constant(t)) return;
  refuse(std::string("[compile] ") + what + " moves a tensor of shape " + to_string(t.shape) + " from " +
         name(t.place()) +
         " while a step is recorded, expected all that it works on at one device; move it before the call");
}

void refuse_array(const char* what) {
  if (!is_recording()) return;
  refuse(std::string("[compile] ") + what +
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
void note_asked_for_grad(PyObject* tensor) {
  const TensorObject& t = object_of(tensor);
  if (t.node || current->asked_at.contains(tensor) || current->calls->made_here(t.value)) return;
  current->asked_at.emplace(tensor, current->asked.size());
  current->asked.push_back({borrowed(tensor), t.requires_grad});
}

void init_plan(PyObject* core_module) {
  recording_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&recording_spec)));
  init_plan_type(core_module);
  if (PyModule_AddFunctions(core_module, functions) < 0 ||
      PyModule_AddObjectRef(core_module, "Recording", reinterpret_cast<PyObject*>(recording_type)) < 0)
    throw PythonError{};
}

}  // namespace tg::bind
