// Indexing by arrays and masks. What integers, slices, None and ... select is a view (indexing.cpp); the rest is here.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

// One item of a key.
bool is_integer(PyObject* item);  // an integer of Python or numpy, or an integer tensor without axes
int64_t integer(PyObject* item);
Tensor take_slice(const char* op, const Tensor& t, int axis, PyObject* item);

// `view` is one of the memory of `self`.
void write_view(const char* op, PyObject* self, const Tensor& view, PyObject* value);

// x[key] where the key holds arrays: `view` is what the other items make of x, index[i] (if defined) selects along its
// axis i. A lone mask stays one: then `mask` is defined, its first axis is `mask_axis` of the view, and there is no index.
struct Selection {
  Tensor view;
  Tensor index[kMaxRank];
  Tensor mask;
  int mask_axis = 0;
};
// `scalars`: integer tensors without axes count as arrays too.
Selection select_by_arrays(const char* op, const Tensor& source, PyObject* const* items, Py_ssize_t n,
                           bool scalars = false);

PyObject* read_selection(const char* op, PyObject* self, Selection selection);
void write_selection(const char* op, PyObject* self, Selection selection, PyObject* value, bool accumulate = false);

// The value of x[key] = value as a tensor; and at a place, with its history, without leading axes of length 1 beyond `rank`.
Tensor source_of(const char* op, PyObject* value);
PyObject* as_source(const char* op, PyObject* value, int rank, Place place);

// index_put_(indices, values, accumulate=False)
PyObject* index_put(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords);

}  // namespace tg::bind
