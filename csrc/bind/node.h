// Nodes of the graph that the tape makes (tape.h): what was called, what its rule will read, where gradients go.
#pragma once
#include <vector>

#include "bind/python.h"
#include "bind/tensor_type.h"
#include "ops/op.h"

namespace tg::bind {

// How a row is differentiated (_vjp). Bit i of a mask is input (output) i; the members of a list share one.
struct Formula {
  PyObject* function =
      nullptr;  // (grads, inputs, outputs, attributes, wanted) -> a gradient or None per input; or null
  uint32_t reads_inputs[kMaxInputs] = {};     // whose values the gradient of each input needs: they are kept
  uint32_t reads_for_graph[kMaxInputs] = {};  // the same, where the gradient will be differentiated again
  uint32_t reads_outputs[kMaxInputs] = {};
  uint32_t carries = 1;  // the outputs that have a gradient
};

// Where a gradient goes: to output `output` of a node, or to a leaf tensor; nowhere if there is no target.
struct Edge {
  Ref target;
  int output = 0;
};

// A tensor as a formula will see it. One that is not kept has no storage, and only its shape can be asked for.
struct Saved {
  Tensor value;
  uint64_t version = 0;
  bool absent = false;     // an optional tensor that was not given
  bool for_graph = false;  // read only where the gradient will be differentiated again
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
  uint8_t precision = 0;  // of the thread when it was called: its gradient is made as it was
  uint64_t sequence = 0;  // greater than those of the nodes that its edges lead to
  bool keeps = false;     // values, which released() gives up
  bool released = false;
  Ref where;  // while anomalies are looked for: where the call was made
};

void init_node_type(PyObject* core_module);
bool is_node(PyObject* object);
Node& node_of(PyObject* node);
Ref new_node();
// What Node.apply and Node.release do.
Ref apply_node(PyObject* node, PyObject* grads, bool create_graph, PyObject* wanted);
void release_node(PyObject* node);
// To be called when the edges are known: finding them may make nodes, for views whose base has changed.
void number(Node& node);

// Shape, strides and dtype without the values.
Tensor geometry(const Tensor& t);
inline TensorObject& object_of(PyObject* tensor) { return *reinterpret_cast<TensorObject*>(tensor); }

// ---- histories of tensors (tape.cpp)

Edge edge_of(PyObject* tensor);
void set_history(PyObject* tensor, const Ref& node, int output);
// A view whose base has been written to since: what it is made of now is the base's new history.
void refresh(PyObject* tensor);

Formula& row_formula(OpId id);
void add_view_formula(const char* kind, PyObject* function);
void set_grad_mode(bool on);
void set_inference_mode(bool on);

// The key under which a node's hooks for an output hold the one that fills .grad, which comes last.
inline constexpr long kRetainingHook = -1;
// While anomalies are looked for: asked, for each node, where the call was made (null: nobody asks).
void set_witness(PyObject* function);

}  // namespace tg::bind
