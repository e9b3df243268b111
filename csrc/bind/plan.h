// A plan as Python has it: a program with its executor, what it was recorded under, and the gradients around a run.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "bind/python.h"
#include "bind/tensor_type.h"
#include "plan/executor.h"

namespace tg::bind {

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

// What must be there, or a plan does not hold. Values of Python are compared by value where they are numbers or text.
struct Guard {
  enum class Kind : uint8_t {
    item,      // of a dict
    missing,   // from a dict
    cell,      // of a closure
    length,    // of anything
    element,   // of a sequence
    equal,     // the whole, by ==
    bytes,     // of a buffer
    code,      // of a function
    defaults,  // of a function
    lookup,    // of an attribute in the bases of a class
    slot,      // of an object
    kind,      // the class of an object
  } kind;
  Ref holder, key, expected;
  Py_ssize_t length = 0;  // or the place of an element
  bool equal = false;     // compared by value, not by identity
};

struct Plan {
  std::unique_ptr<plan::Executor> executor;
  struct Argument {
    Dims shape;
    Dtype dtype;
    Place place;
    bool requires_grad, inference;
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
  std::vector<const Storage*> states;  // memory outside of the arguments, which no argument may share
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
  uint8_t precision = kExact;  // what was allowed when it was recorded
  std::optional<Dtype> autocast;
  uint64_t structure = 0, calls = 0;
};

struct PlanObject {
  PyObject_HEAD
  Plan* plan;
};
inline Plan& plan_of(PyObject* self) { return *reinterpret_cast<PlanObject*>(self)->plan; }

PyObject* wrap_plan(std::unique_ptr<Plan> plan);
std::shared_ptr<plan::Arena> arena_of(PyObject* plan);
void init_plan_type(PyObject* core_module);

// The count of structural changes (recording.h).
uint64_t structure_now();

// Contiguous tensors on memory of their own, outside of any graph, while this thread does not record: they are taken as they
// are.
bool are_plain(PyObject* arguments);
// May the plan be run with these arguments, in the state that everything is in?
bool holds(const Plan& p, PyObject* arguments);
bool guards_hold(const Plan& p);

// numbers[source]: all attributes of an update row, or (seed, step) of a random one. False: the program does not hold for them.
bool set_numbers(Plan& p, PyObject* numbers);
// What a run needs beside its numbers, and what it leaves behind.
void bind_arguments(Plan& p, PyObject* arguments);
void bind_gradients(Plan& p, PyObject* arguments);
void bind_outputs(Plan& p);
void set_gradients(Plan& p, PyObject* arguments);
// The error of the expectation that was not met.
[[noreturn]] void raise_unexpected(const Plan& p, const plan::Unexpected& u);

// plan.run_batches(...) and gather_rows(...), see batches.cpp
PyObject* run_batches(PyObject* self, PyObject* const* args, Py_ssize_t n);
PyObject* gather_rows(PyObject* module, PyObject* const* args, Py_ssize_t n);

}  // namespace tg::bind
