// The tape: what was called on tensors that require gradients, as a graph of nodes that dies by reference count.
//
// A node knows the row that was called (or the kind of view that was taken), the numbers that the row's gradient formula
// reads (core tensors with their versions, never Python's, so that no cycle arises), and for each input where its gradient
// goes: to an output of an earlier node, or to a leaf. What is done with the graph is Python's business (_autograd.py); the
// formulas are in _vjp.py, which gives them to set_formula() when it is imported.
#pragma once
#include <span>

#include "bind/python.h"
#include "bind/tensor_type.h"
#include "ops/op.h"

namespace tg::bind {

struct Arguments;

void init_tape(PyObject* core_module);

// Does this thread record? Off inside no_grad() and inference_mode().
bool grad_enabled();

// Is this thread inside inference_mode()? What is made there is never part of a graph.
bool inference_mode();

// Does one of the objects require a gradient, and does this thread record?
bool is_taped(std::span<PyObject* const> objects);

// What a call on the tape needs to know from before the call: the versions of the inputs. Raises if an input whose value
// the gradients need was made in inference mode.
struct Versions {
  Few<uint64_t> of;
};
Versions versions(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in);

// Raises if `target`, which is about to be overwritten by a call that is taped or not, may not be: a leaf that requires a
// gradient, a view of one, a view that hides from the tape, a tensor of inference mode outside of that.
void check_overwritable(const char* op, PyObject* target, bool taped);

// After a call of a row: `made` holds its outputs as Python has them: new tensors, inputs that were overwritten, or None.
void tape_call(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in, const Versions& before,
               const Attrs& attrs, std::span<PyObject* const> made);

// After the row wrote into its first tensor.
void tape_inplace(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in, const Versions& before,
                  const Attrs& attrs);

// A call of a row with one fresh output, and one that writes into its first tensor: the door and the tape in one.
PyObject* call_object(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                      const Attrs& attrs = {});
void call_object_inplace(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                         const Attrs& attrs = {});

// The elements in another dtype.
Ref cast_object(PyObject* tensor, Dtype dtype);

// The same for a row whose output 0 is what it overwrites (copy_, fill_).
void overwrite_object(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in,
                      const Attrs& attrs = {});
// A copy with its own memory.
PyObject* clone_object(PyObject* tensor);

// A view of `parent`. `kind` names the rule by which it is differentiated: "reshape", "expand", or for all others "strided".
PyObject* wrap_view(PyObject* parent, Tensor view, const char* kind);

// Does the tensor require a gradient, be it a leaf or made of such?
bool requires_grad(PyObject* tensor);

// The leaf `tensor` gets the memory, shape and dtype of `source`, and stays the same object.
void set_data(PyObject* tensor, PyObject* source);

}  // namespace tg::bind
