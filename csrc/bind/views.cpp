// Views: methods of Tensor that share its memory, and `flip`, a copy of one.
#include <algorithm>
#include <vector>

#include "bind/arguments.h"
#include "bind/convert.h"
#include "bind/door.h"
#include "bind/dtype_type.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"

namespace tg::bind {
namespace {

// (2, 3) or 2, 3 or name=(2, 3)
Dims dims_argument(const char* op, const char* param, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  if (!keywords || !PyTuple_GET_SIZE(keywords)) return to_dims(op, param, args, n);
  PyObject* value[1];
  read_names(op, {param}, args, n, keywords, value);
  return to_dims(op, param, value[0]);
}

// The bytes read as another type; the last axis grows or shrinks with the size of the elements.
Tensor view_as_dtype(const Tensor& t, Dtype dtype) {
  const int64_t from = size_of(t.dtype), to = size_of(dtype);
  Tensor v = as_strided(t, t.shape, t.strides, t.offset);
  v.dtype = dtype;
  if (from == to) return v;
  if (t.rank() == 0)
    fail(ErrorKind::Runtime, "[view] a 0-d tensor of ", name(t.dtype), " cannot be seen as ", name(dtype),
         ", expected a dtype of ", from, " bytes; use .to(dtype) to convert it");
  const int last = t.rank() - 1;
  const int64_t ratio = from > to ? from / to : to / from;
  bool fits = t.strides[last] == 1 || t.shape[last] == 1;
  if (from < to) {
    fits &= t.shape[last] % ratio == 0 && t.offset % ratio == 0;
    for (int i = 0; i < last; i++) fits &= t.strides[i] % ratio == 0;
  }
  if (!fits)
    fail(ErrorKind::Runtime, "[view] ", name(t.dtype), " of shape ", t.shape, " and strides ", t.strides,
         " cannot be seen as ", name(dtype), ", expected a contiguous last dimension that holds whole elements; use ",
         ".contiguous() first, or .to(dtype) to convert");
  if (from < to && t.numel() && reinterpret_cast<uintptr_t>(t.data()) % static_cast<uintptr_t>(to))
    fail(ErrorKind::Runtime, "[view] the memory is not aligned to the ", to, "-byte elements of ", name(dtype),
         ", expected memory that is; take a .clone() first");
  for (int i = 0; i < last; i++) v.strides[i] = from > to ? t.strides[i] * ratio : t.strides[i] / ratio;
  v.strides[last] = 1;
  v.shape[last] = from > to ? t.shape[last] * ratio : t.shape[last] / ratio;
  v.offset = from > to ? t.offset * ratio : t.offset / ratio;
  return v;
}

PyObject* view(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    const Tensor& t = value_of(self);
    if (n == 1 && is_dtype(args[0])) return wrap_alias(self, view_as_dtype(t, to_dtype("view", "dtype", args[0])));
    const Dims shape = dims_argument("view", "shape", args, n, keywords);
    Tensor v = try_view("view", t, shape);
    if (!v.defined())
      fail(ErrorKind::Runtime, "[view] shape ", shape, " needs a copy: the tensor has shape ", t.shape, " and strides ",
           t.strides, ", expected one whose axes lie behind each other; use .reshape()");
    return wrap_view(self, std::move(v), "reshape");
  });
}

// The view where there is one, else that of a copy.
PyObject* view_or_copy(const char* op, PyObject* self, const Dims& shape) {
  Tensor v = try_view(op, value_of(self), shape);
  if (v.defined()) return wrap_view(self, std::move(v), "reshape");
  const Ref copy = owned(clone_object(self));
  return wrap_view(copy.get(), try_view(op, value_of(copy.get()), shape), "reshape");
}

PyObject* reshape(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] { return view_or_copy("reshape", self, dims_argument("reshape", "shape", args, n, keywords)); });
}

PyObject* permute(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    return wrap_view(self, tg::permute("permute", value_of(self), dims_argument("permute", "dims", args, n, keywords)),
                     "strided");
  });
}

PyObject* expand(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    return wrap_view(self, tg::expand("expand", value_of(self), dims_argument("expand", "size", args, n, keywords)),
                     "expand");
  });
}

// Two axes swapped, under each of PyTorch's names.
PyObject* swapped(const char* op, std::initializer_list<const char*> names, PyObject* self, PyObject* const* args,
                  Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* dims[2];
    const char *first = names.begin()[0], *second = names.begin()[1];
    read_names(op, names, args, n, keywords, dims);
    if (!dims[0] || !dims[1])
      fail(ErrorKind::Type, "[", op, "] expected two dimensions: ", op, "(", first, ", ", second, ")");
    return wrap_view(self, tg::transpose(op, value_of(self), to_int(op, first, dims[0]), to_int(op, second, dims[1])),
                     "strided");
  });
}
PyObject* transpose(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return swapped("transpose", {"dim0", "dim1"}, self, args, n, keywords);
}
PyObject* swapdims(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return swapped("swapdims", {"dim0", "dim1"}, self, args, n, keywords);
}
PyObject* swapaxes(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return swapped("swapaxes", {"axis0", "axis1"}, self, args, n, keywords);
}

PyObject* t(PyObject* self, PyObject*) {
  return guarded([&] {
    const Tensor& x = value_of(self);
    if (x.rank() > 2)
      fail(ErrorKind::Runtime, "[t] got shape ", x.shape,
           ", expected at most 2 dimensions; use .transpose(dim0, dim1) or .mT");
    return wrap_view(self, x.rank() < 2 ? x : tg::transpose("t", x, 0, 1), "strided");
  });
}

PyObject* squeeze(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* dim[1];
    read_names("squeeze", {"dim"}, args, n, keywords, dim);
    if (!dim[0]) return wrap_view(self, tg::squeeze("squeeze", value_of(self), nullptr), "reshape");
    const Dims dims = to_dims("squeeze", "dim", dim[0]);
    return wrap_view(self, tg::squeeze("squeeze", value_of(self), &dims), "reshape");
  });
}

PyObject* unsqueeze(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* dim[1];
    read_names("unsqueeze", {"dim"}, args, n, keywords, dim);
    if (!dim[0]) fail(ErrorKind::Type, "[unsqueeze] dim is missing: unsqueeze(dim)");
    return wrap_view(self, tg::unsqueeze("unsqueeze", value_of(self), to_int("unsqueeze", "dim", dim[0])), "reshape");
  });
}

PyObject* flatten(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[2];
    read_names("flatten", {"start_dim", "end_dim"}, args, n, keywords, given);
    const Tensor& x = value_of(self);
    const int first = normalize_axis("flatten", given[0] ? to_int("flatten", "start_dim", given[0]) : 0, x.rank());
    const int last = normalize_axis("flatten", given[1] ? to_int("flatten", "end_dim", given[1]) : -1, x.rank());
    if (first > last) fail(ErrorKind::Runtime, "[flatten] start_dim ", first, " comes after end_dim ", last);
    Dims shape(x.shape.begin(), first);
    int64_t joined = 1;
    for (int i = first; i <= last && i < x.rank(); i++) joined *= x.shape[i];
    shape.push_back(joined);
    for (int i = last + 1; i < x.rank(); i++) shape.push_back(x.shape[i]);
    return view_or_copy("flatten", self, shape);
  });
}
PyObject* ravel(PyObject* self, PyObject*) {
  return guarded([&] { return view_or_copy("ravel", self, {value_of(self).numel()}); });
}

PyObject* narrow(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[3];
    read_names("narrow", {"dim", "start", "length"}, args, n, keywords, given);
    if (!given[0] || !given[1] || !given[2])
      fail(ErrorKind::Type, "[narrow] expected three arguments: narrow(dim, start, length)");
    return wrap_view(self,
                     tg::narrow("narrow", value_of(self), to_int("narrow", "dim", given[0]),
                                to_int("narrow", "start", given[1]), to_int("narrow", "length", given[2])),
                     "strided");
  });
}

PyObject* select(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[2];
    read_names("select", {"dim", "index"}, args, n, keywords, given);
    if (!given[0] || !given[1]) fail(ErrorKind::Type, "[select] expected two arguments: select(dim, index)");
    return wrap_view(
        self,
        tg::select("select", value_of(self), to_int("select", "dim", given[0]), to_int("select", "index", given[1])),
        "strided");
  });
}

PyObject* movedim(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[2];
    read_names("movedim", {"source", "destination"}, args, n, keywords, given);
    if (!given[0] || !given[1]) fail(ErrorKind::Type, "[movedim] expected two arguments: movedim(source, destination)");
    return wrap_view(self,
                     tg::movedim("movedim", value_of(self), to_dims("movedim", "source", given[0]),
                                 to_dims("movedim", "destination", given[1])),
                     "strided");
  });
}

PyObject* diagonal(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[3];
    read_names("diagonal", {"offset", "dim1", "dim2"}, args, n, keywords, given);
    return wrap_view(self,
                     tg::diagonal("diagonal", value_of(self), given[0] ? to_int("diagonal", "offset", given[0]) : 0,
                                  given[1] ? to_int("diagonal", "dim1", given[1]) : 0,
                                  given[2] ? to_int("diagonal", "dim2", given[2]) : 1),
                     "strided");
  });
}

PyObject* flip(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    if (n == 0 && !keywords) fail(ErrorKind::Type, "[flip] dims is missing: flip(dims)");
    Tensor v = value_of(self);
    bool turned[kMaxRank] = {};
    for (const int64_t dim : dims_argument("flip", "dims", args, n, keywords)) {
      const int axis = normalize_axis("flip", dim, v.rank());
      if (turned[axis]) fail(ErrorKind::Runtime, "[flip] dimension ", axis, " appears twice, expected each once");
      turned[axis] = true;
      if (v.rank()) v = slice("flip", v, axis, v.shape[axis] - 1, v.shape[axis], -1);
    }
    const Ref turned_view = owned(wrap_view(self, std::move(v), "strided"));
    return clone_object(turned_view.get());
  });
}

PyObject* unfold(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[3];
    read_names("unfold", {"dimension", "size", "step"}, args, n, keywords, given);
    if (!given[0] || !given[1] || !given[2])
      fail(ErrorKind::Type, "[unfold] expected three arguments: unfold(dimension, size, step)");
    return wrap_view(self,
                     tg::unfold("unfold", value_of(self), to_int("unfold", "dimension", given[0]),
                                to_int("unfold", "size", given[1]), to_int("unfold", "step", given[2])),
                     "strided");
  });
}

PyObject* as_strided(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[3];
    read_names("as_strided", {"size", "stride", "storage_offset"}, args, n, keywords, given);
    if (!given[0] || !given[1])
      fail(ErrorKind::Type, "[as_strided] expected as_strided(size, stride, storage_offset=None)");
    const Tensor& t = value_of(self);
    const bool has_offset = given[2] && given[2] != Py_None;
    return wrap_view(self,
                     tg::strided_view("as_strided", t, to_dims("as_strided", "size", given[0]),
                                      to_dims("as_strided", "stride", given[1]),
                                      has_offset ? to_int("as_strided", "storage_offset", given[2]) : t.offset),
                     "strided");
  });
}

// ---- views in a row: a tuple of them

// Piece i has the length that `length(i)` says; together they cover the axis.
template <class Length>
PyObject* pieces(const char* op, PyObject* self, int axis, int64_t n, Length length) {
  Ref tuple = owned(PyTuple_New(n));
  int64_t start = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t here = length(i);
    PyTuple_SET_ITEM(tuple.get(), i, wrap_view(self, slice(op, value_of(self), axis, start, here, 1), "strided"));
    start += here;
  }
  return tuple.release();
}

int axis_of_pieces(const char* op, const Tensor& t, PyObject* dim) {
  if (t.rank() == 0) fail(ErrorKind::Runtime, "[", op, "] got a 0-d tensor, expected at least one dimension");
  return normalize_axis(op, dim ? to_int(op, "dim", dim) : 0, t.rank());
}

// In pieces of `size`, the last one shorter.
PyObject* split_evenly(const char* op, PyObject* self, int axis, int64_t size) {
  const int64_t all = value_of(self).shape[axis], n = all == 0 ? 1 : (all - 1) / size + 1;
  return pieces(op, self, axis, n, [&](int64_t i) { return std::min(size, all - i * size); });
}

PyObject* split(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[2];
    read_names("split", {"split_size", "dim"}, args, n, keywords, given);
    if (!given[0]) fail(ErrorKind::Type, "[split] split_size is missing: split(split_size, dim=0)");
    const Tensor& t = value_of(self);
    const int axis = axis_of_pieces("split", t, given[1]);
    const int64_t all = t.shape[axis];
    if (!PyList_Check(given[0]) && !PyTuple_Check(given[0])) {
      const int64_t size = to_int("split", "split_size", given[0]);
      if (size < 0 || (size == 0 && all > 0))
        fail(ErrorKind::Runtime, "[split] split_size is ", size, ", expected 1 or more for dimension ", axis,
             " of length ", all);
      return split_evenly("split", self, axis, size);
    }
    const Ref list = owned(PySequence_Fast(given[0], "expected a list of lengths"));
    std::vector<int64_t> lengths;
    int64_t sum = 0, least = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); i++) {
      lengths.push_back(to_int("split", "split_size", PySequence_Fast_GET_ITEM(list.get(), i)));
      least = std::min(least, lengths.back());
      if (__builtin_add_overflow(sum, lengths.back(), &sum)) least = -1;
    }
    if (least < 0 || sum != all)
      fail(ErrorKind::Runtime, "[split] the lengths sum to ", sum, least < 0 ? " and one is negative" : "",
           ", expected lengths of 0 or more that sum to ", all, ", the length of dimension ", axis);
    return pieces("split", self, axis, static_cast<int64_t>(lengths.size()),
                  [&](int64_t i) { return lengths[static_cast<size_t>(i)]; });
  });
}

PyObject* chunk(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[2];
    read_names("chunk", {"chunks", "dim"}, args, n, keywords, given);
    if (!given[0]) fail(ErrorKind::Type, "[chunk] chunks is missing: chunk(chunks, dim=0)");
    const Tensor& t = value_of(self);
    const int axis = axis_of_pieces("chunk", t, given[1]);
    const int64_t chunks = to_int("chunk", "chunks", given[0]), all = t.shape[axis];
    if (chunks < 1) fail(ErrorKind::Runtime, "[chunk] chunks is ", chunks, ", expected 1 or more");
    if (all == 0) return pieces("chunk", self, axis, chunks, [](int64_t) { return int64_t{0}; });
    return split_evenly("chunk", self, axis, (all - 1) / chunks + 1);
  });
}

PyObject* unbind(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[1];
    read_names("unbind", {"dim"}, args, n, keywords, given);
    const Tensor& t = value_of(self);
    const int64_t dim = given[0] ? to_int("unbind", "dim", given[0]) : 0;
    if (t.rank() == 0) fail(ErrorKind::Index, "[unbind] got a 0-d tensor, expected at least one dimension");
    const int axis = normalize_axis("unbind", dim, t.rank());
    Ref tuple = owned(PyTuple_New(t.shape[axis]));
    for (int64_t i = 0; i < t.shape[axis]; i++)
      PyTuple_SET_ITEM(tuple.get(), i, wrap_view(self, tg::select("unbind", t, axis, i), "strided"));
    return tuple.release();
  });
}

// ---- attributes

PyObject* reversed(PyObject* self, void*) {
  return guarded([&] {
    Dims order;
    for (int i = value_of(self).rank(); i-- > 0;) order.push_back(i);
    return wrap_view(self, tg::permute("T", value_of(self), order), "strided");
  });
}
PyObject* matrix_transpose(PyObject* self, void*) {
  return guarded([&] {
    const Tensor& x = value_of(self);
    if (x.rank() < 2) fail(ErrorKind::Runtime, "[mT] got shape ", x.shape, ", expected at least 2 dimensions");
    return wrap_view(self, tg::transpose("mT", x, -2, -1), "strided");
  });
}
PyObject* data(PyObject* self, void*) {
  return guarded([&] { return wrap_alias(self, value_of(self)); });
}
int replace_data(PyObject* self, PyObject* source, void*) {
  return guarded(
      [&] {
        set_data(self, source);
        return 0;
      },
      -1);
}

}  // namespace

PyMethodDef tensor_views[] = {
    {"view", keywords(view), kKeywords,
     "view(*shape) -> Tensor\n\nThe same memory under another shape; one length may be -1."},
    {"reshape", keywords(reshape), kKeywords, "reshape(*shape) -> Tensor\n\nA view if there is one, else a copy."},
    {"permute", keywords(permute), kKeywords, "permute(*dims) -> Tensor\n\nThe axes in another order, as a view."},
    {"transpose", keywords(transpose), kKeywords, "transpose(dim0, dim1) -> Tensor\n\nTwo axes swapped, as a view."},
    {"t", t, METH_NOARGS, "t() -> Tensor\n\nThe transposed matrix, as a view."},
    {"squeeze", keywords(squeeze), kKeywords, "squeeze(dim=None) -> Tensor\n\nWithout axes of length 1, as a view."},
    {"unsqueeze", keywords(unsqueeze), kKeywords,
     "unsqueeze(dim) -> Tensor\n\nWith a new axis of length 1, as a view."},
    {"expand", keywords(expand), kKeywords,
     "expand(*size) -> Tensor\n\nAxes of length 1 repeated without copying; -1 keeps one."},
    {"flatten", keywords(flatten), kKeywords, "flatten(start_dim=0, end_dim=-1) -> Tensor\n\nAxes joined into one."},
    {"ravel", ravel, METH_NOARGS, "ravel() -> Tensor\n\nAll axes joined into one."},
    {"swapdims", keywords(swapdims), kKeywords, "swapdims(dim0, dim1) -> Tensor\n\nThe same as transpose."},
    {"swapaxes", keywords(swapaxes), kKeywords, "swapaxes(axis0, axis1) -> Tensor\n\nThe same as transpose."},
    {"narrow", keywords(narrow), kKeywords,
     "narrow(dim, start, length) -> Tensor\n\n`length` elements from `start` on along `dim`, as a view."},
    {"select", keywords(select), kKeywords,
     "select(dim, index) -> Tensor\n\nWhat lies at `index` along `dim`, as a view without that axis."},
    {"movedim", keywords(movedim), kKeywords,
     "movedim(source, destination) -> Tensor\n\nAxes moved to other places, as a view."},
    {"moveaxis", keywords(movedim), kKeywords, "moveaxis(source, destination) -> Tensor\n\nThe same as movedim."},
    {"diagonal", keywords(diagonal), kKeywords,
     "diagonal(offset=0, dim1=0, dim2=1) -> Tensor\n\nThe diagonal of two axes as the last axis of a view."},
    {"flip", keywords(flip), kKeywords, "flip(*dims) -> Tensor\n\nAxes in reverse, as a copy."},
    {"unfold", keywords(unfold), kKeywords,
     "unfold(dimension, size, step) -> Tensor\n\nWindows of `size` elements, `step` apart, as the last axis of a "
     "view."},
    {"as_strided", keywords(as_strided), kKeywords,
     "as_strided(size, stride, storage_offset=None) -> Tensor\n\nThe storage under any shape and strides."},
    {"split", keywords(split), kKeywords,
     "split(split_size, dim=0) -> tuple\n\nViews of so many elements, or of the lengths in a list."},
    {"chunk", keywords(chunk), kKeywords, "chunk(chunks, dim=0) -> tuple\n\nAt most so many views of one length."},
    {"unbind", keywords(unbind), kKeywords, "unbind(dim=0) -> tuple\n\nA view for each index of `dim`."},
    {},
};

PyGetSetDef tensor_view_attributes[] = {
    {"T", reversed, nullptr, "The axes in reverse order, as a view.", nullptr},
    {"mT", matrix_transpose, nullptr, "The last two axes swapped, as a view.", nullptr},
    {"data", data, replace_data, "The same memory, apart from any history.", nullptr},
    {},
};

}  // namespace tg::bind
