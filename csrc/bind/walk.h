// What Python calls for a backward pass (walk.cpp).
#pragma once
#include "bind/python.h"

namespace tg::bind {

// walk(edges, grads, leading, targets, captured, create_graph, retain_graph, hooked, check) -> [(leaf, gradient), ...]
PyObject* walk(PyObject*, PyObject* const* args, Py_ssize_t n);

// accumulate(leaves, create_graph): adds each gradient to its leaf's .grad: in place where there is one, else as it is if
// nobody else holds it, else as a copy.
PyObject* accumulate(PyObject*, PyObject* const* args, Py_ssize_t n);

}  // namespace tg::bind
