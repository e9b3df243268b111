// The walk of a backward pass over the graph, from the latest node to the earliest. What a node's formula computes, which
// gradients are asked for and what becomes of them is Python's business (_autograd.py).
#include "bind/walk.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <unordered_map>
#include <vector>

#include "bind/autocast.h"
#include "bind/node.h"
#include "bind/recording.h"
#include "bind/tape.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

Ref add(PyObject* a, PyObject* b) {
  PyObject* objects[2] = {a, b};
  const Tensor in[2] = {value_of(a), value_of(b)};
  if (size_of(in[0].dtype) != 2 || !is_floating(in[0].dtype)) return owned(call_object(op(id_add), objects, in));
  const Ref x = cast_object(a, Dtype::Float32), y = cast_object(b, Dtype::Float32);  // 16 bits are storage alone
  PyObject* wide[2] = {x.get(), y.get()};
  const Tensor values[2] = {value_of(x.get()), value_of(y.get())};
  return cast_object(owned(call_object(op(id_add), wide, values)).get(), in[0].dtype);
}

bool contains(PyObject* set, PyObject* object) {
  const int found = PySet_Contains(set, object);
  if (found < 0) throw PythonError{};
  return found != 0;
}

// May a leaf keep this gradient as its own? Nobody else may hold the tensor (one reference: the caller's) or its memory.
bool exclusive(PyObject* grad) {
  const Tensor& t = value_of(grad);
  return Py_REFCNT(grad) == 1 && !object_of(grad).base && t.contiguous() && !t.storage->foreign() &&
         t.storage->references() == 1;
}

class Walk {
 public:
  // leading: the nodes to be differentiated, and targets: the leaves that a gradient is asked for (None: all there are).
  // captured: (node, output) -> None, where its gradient is put. hooked(hooks, grad): what hooks make of a gradient.
  // check(node, grads, made): looks at what a node made, or None.
  Walk(PyObject* leading, PyObject* targets, PyObject* captured, bool create_graph, bool retain_graph, PyObject* hooked,
       PyObject* check)
      : leading_(leading == Py_None ? nullptr : leading),
        targets_(targets),
        captured_(captured),
        create_graph_(create_graph),
        retain_graph_(retain_graph),
        hooked_(hooked),
        check_(check == Py_None ? nullptr : check) {}

  void give(PyObject* target, int output, Ref grad) {
    if (!is_node(target)) {
      if (leading_ && !contains(targets_, target)) return;
      const auto [at, fresh] = place_.try_emplace(target, leaves_.size());
      if (fresh) leaves_.push_back({borrowed(target), std::move(grad)});
      else leaves_[at->second].grad = add(leaves_[at->second].grad.get(), grad.get());
      return;
    }
    if (leading_ && !contains(leading_, target) && !is_captured(target, output)) return;
    Pending& p = pending_[node_of(target).sequence];
    if (!p.node) {
      p.node = borrowed(target);
      p.grads.resize(std::max<size_t>(1, node_of(target).out.size()));
    }
    Ref& so_far = p.grads[static_cast<size_t>(output)];
    so_far = so_far ? add(so_far.get(), grad.get()) : std::move(grad);
  }

  void run() {
    while (!pending_.empty()) {
      const auto latest = std::prev(pending_.end());
      const Pending p = std::move(latest->second);
      pending_.erase(latest);
      step(p);
    }
    for (Leaf& leaf : leaves_)
      if (PyObject* hooks = object_of(leaf.tensor.get()).hooks) leaf.grad = hooked(hooks, leaf.grad.get());
  }

  // [(leaf, gradient), ...] in the order of their first gradients
  PyObject* leaves() {
    Ref all = owned(PyList_New(static_cast<Py_ssize_t>(leaves_.size())));
    for (size_t i = 0; i < leaves_.size(); i++) {
      Ref pair = owned(PyTuple_New(2));
      PyTuple_SET_ITEM(pair.get(), 0, leaves_[i].tensor.release());
      PyTuple_SET_ITEM(pair.get(), 1, leaves_[i].grad.release());
      PyList_SET_ITEM(all.get(), static_cast<Py_ssize_t>(i), pair.release());
    }
    return all.release();
  }

 private:
  struct Pending {
    Ref node;
    std::vector<Ref> grads;  // per output the gradient summed so far
  };
  struct Leaf {
    Ref tensor, grad;
  };

  Ref hooked(PyObject* hooks, PyObject* grad) {
    PyObject* arguments[] = {hooks, grad};
    return owned(PyObject_Vectorcall(hooked_, arguments, 2, nullptr));
  }

  bool is_captured(PyObject* node, int output) {
    if (!PyDict_GET_SIZE(captured_)) return false;
    const int found = PyDict_Contains(captured_, owned(Py_BuildValue("(Oi)", node, output)).get());
    if (found < 0) throw PythonError{};
    return found != 0;
  }

  // What the node's hooks make of its gradients, as a tuple; those that were asked for are put where they belong.
  Ref settled(const Pending& p) {
    const Ref grads = owned(PyTuple_New(static_cast<Py_ssize_t>(p.grads.size())));
    PyObject* hooks = node_of(p.node.get()).hooks.get();
    for (size_t k = 0; k < p.grads.size(); k++) {
      Ref grad = borrowed(p.grads[k] ? p.grads[k].get() : Py_None);
      if (hooks && p.grads[k]) {
        PyObject* own = PyDict_GetItemWithError(hooks, owned(PyLong_FromSize_t(k)).get());
        if (own) grad = hooked(own, grad.get());
        else if (PyErr_Occurred()) throw PythonError{};
      }
      if (is_captured(p.node.get(), static_cast<int>(k)) &&
          PyDict_SetItem(captured_, owned(Py_BuildValue("(On)", p.node.get(), k)).get(), grad.get()) < 0)
        throw PythonError{};
      PyTuple_SET_ITEM(grads.get(), static_cast<Py_ssize_t>(k), grad.release());
    }
    return borrowed(grads.get());
  }

  // Per edge: does it lead to where a gradient is asked for? None: they all do.
  Ref wanted(const std::vector<Edge>& edges) {
    if (!leading_) return borrowed(Py_None);
    Ref all = owned(PyTuple_New(static_cast<Py_ssize_t>(edges.size())));
    for (size_t i = 0; i < edges.size(); i++) {
      PyObject* target = edges[i].target.get();
      const bool want = target && (is_node(target) ? contains(leading_, target) || is_captured(target, edges[i].output)
                                                   : contains(targets_, target));
      PyTuple_SET_ITEM(all.get(), static_cast<Py_ssize_t>(i), PyBool_FromLong(want));
    }
    return all;
  }

  void step(const Pending& p) {
    PyObject* node = p.node.get();
    const Ref grads = settled(p);
    if (leading_ && !contains(leading_, node)) return;
    const std::vector<Edge>& edges = node_of(node).edges;
    const WithoutAutocast off;
    const dispatch::WithPrecision as_called(node_of(node).precision);
    const Ref returned = apply_node(node, grads.get(), create_graph_, wanted(edges).get());
    const Ref made = owned(PySequence_Fast(returned.get(), "[backward] a formula returned no sequence of gradients"));
    if (PySequence_Fast_GET_SIZE(made.get()) != static_cast<Py_ssize_t>(edges.size()))
      fail(ErrorKind::Runtime, "[backward] ", node_of(node).name, " got ", PySequence_Fast_GET_SIZE(made.get()),
           " gradients, expected one per input: ", edges.size());
    if (check_) {
      PyObject* arguments[] = {node, grads.get(), made.get()};
      owned(PyObject_Vectorcall(check_, arguments, 3, nullptr));
    }
    if (!retain_graph_) release_node(node);
    for (size_t i = 0; i < edges.size(); i++) {
      PyObject* grad = PySequence_Fast_GET_ITEM(made.get(), static_cast<Py_ssize_t>(i));
      if (!edges[i].target || grad == Py_None) continue;
      if (!is_tensor(grad))
        fail(ErrorKind::Type, "[backward] the gradient of ", node_of(node).name, ", input ", i, ", is a ",
             Py_TYPE(grad)->tp_name, ", expected a tensor or None");
      give(edges[i].target.get(), edges[i].output, borrowed(grad));
    }
  }

  PyObject *leading_, *targets_, *captured_;
  bool create_graph_, retain_graph_;
  PyObject *hooked_, *check_;
  std::map<uint64_t, Pending> pending_;  // by the number of the node
  std::vector<Leaf> leaves_;
  std::unordered_map<PyObject*, size_t> place_;  // of a leaf among the leaves
};

}  // namespace

PyObject* walk(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 9 || !PyList_Check(args[0]) || !PyList_Check(args[1]) ||
        PyList_GET_SIZE(args[0]) != PyList_GET_SIZE(args[1]))
      fail(ErrorKind::Type,
           "[walk] takes (edges, grads, leading, targets, captured, create_graph, retain_graph, hooked, check)");
    Walk w(args[2], args[3], args[4], args[5] == Py_True, args[6] == Py_True, args[7], args[8]);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
      PyObject* edge = PyList_GET_ITEM(args[0], i);
      w.give(PyTuple_GET_ITEM(edge, 0), static_cast<int>(PyLong_AsLong(PyTuple_GET_ITEM(edge, 1))),
             borrowed(PyList_GET_ITEM(args[1], i)));
    }
    w.run();
    return w.leaves();
  });
}

PyObject* accumulate(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2 || !PyList_Check(args[0])) fail(ErrorKind::Type, "[accumulate] takes (leaves, create_graph)");
    const bool create_graph = args[1] == Py_True;
    static PyObject* const name = checked(PyUnicode_InternFromString("grad"));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
      PyObject *leaf = PyTuple_GET_ITEM(PyList_GET_ITEM(args[0], i), 0),
               *grad = PyTuple_GET_ITEM(PyList_GET_ITEM(args[0], i), 1);
      about_to_read_grad(leaf);
      const Ref before = borrowed(object_of(leaf).grad ? object_of(leaf).grad : Py_None);
      Ref after;
      if (before.get() == Py_None) {
        after = create_graph || exclusive(grad) ? borrowed(grad) : owned(clone_object(grad));
      } else if (create_graph) {
        after = add(before.get(), grad);
      } else {
        PyObject* objects[2] = {before.get(), grad};
        const Tensor in[2] = {value_of(before.get()), value_of(grad)};
        call_object_inplace(op(id_add), objects, in);
        continue;
      }
      if (PyObject_SetAttr(leaf, name, after.get()) < 0) throw PythonError{};
    }
    Py_RETURN_NONE;
  });
}

}  // namespace tg::bind
