// x[array], x[mask] and their mixtures with other items, reading and writing.
#include <string>

#include "bind/arguments.h"
#include "bind/convert.h"
#include "bind/creation.h"
#include "bind/door.h"
#include "bind/indexing.h"
#include "bind/numpy.h"
#include "bind/recording.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

// Errors of the rows that do the work speak for the caller.
template <class F>
auto speaking_as(const char* op, F f) {
  try {
    return f();
  } catch (const Error& e) {
    const std::string text = e.what();
    const size_t end = text.find(']');
    if (text.empty() || text[0] != '[' || end == std::string::npos) throw;
    throw Error(e.kind, std::string("[") + op + text.substr(end));
  }
}

bool is_truth(PyObject* item) { return PyBool_Check(item) || numpy_scalar_kind(item) == 'b'; }

// What is neither an integer nor a slice, None or ...: as a tensor of indices or a mask, which comes along from the CPU to where
// the indexed tensor is.
Tensor as_array(const char* op, PyObject* item, Place place) {
  Tensor t;
  if (is_tensor(item)) {
    t = value_of(item);
  } else if (is_numpy_array(item)) {
    t = from_buffer(op, item);
  } else if (is_truth(item)) {
    t = scalar(static_cast<int64_t>(PyObject_IsTrue(item)), Dtype::Bool);
  } else if (PyList_Check(item) || PyTuple_Check(item) || PyRange_Check(item)) {
    const Ref numbers = PyRange_Check(item) ? owned(PySequence_List(item)) : borrowed(item);
    t = speaking_as(op, [&] { return from_nested(numbers.get(), nullptr); });
    if (t.numel() == 0) t = empty(t.shape, Dtype::Int64);
  } else {
    fail(ErrorKind::Index, "[", op, "] got a ", Py_TYPE(item)->tp_name,
         ", expected integers, slices, None, ..., masks, or arrays or lists of integers");
  }
  if (is_floating(t.dtype))
    fail(ErrorKind::Index, "[", op, "] got an index of ", name(t.dtype),
         ", expected integers or bool; cast it with .to(int64), or compare for a mask");
  if (t.dtype == Dtype::UInt8 && t.rank())
    fail(ErrorKind::Index, "[", op,
         "] got an index of uint8, which may stand for a mask or for indices, expected one of "
         "these; cast it with .to(bool) or .to(int64)");
  if (t.place() == place || t.device() != Device::Cpu) return t;
  if (is_tensor(item)) refuse_reading(op);
  return dispatch::moved(t, place);
}

bool has_index(const Selection& s) {
  for (const Tensor& index : s.index)
    if (index.defined()) return true;
  return false;
}

int64_t count_true(const Tensor& mask) { return element("nonzero", call1(op(op_count_nonzero), {mask})).i; }

Tensor true_places(const Tensor& mask) {
  Attrs attrs;
  attrs.add(Attr::integer(count_true(mask)));
  return call1(op(op_nonzero), {mask}, attrs);
}

void require_mask_shape(const char* op, const Tensor& mask, const Tensor& t, int axis) {
  for (int i = 0; i < mask.rank(); i++)
    if (axis + i >= t.rank() || mask.shape[i] != t.shape[axis + i])
      fail(ErrorKind::Index, "[", op, "] the mask has shape ", mask.shape,
           ", expected that of the indexed dimensions, ", axis, " to ", axis + mask.rank() - 1, " of ", t.shape);
}

// The axes that a mask covers as one, where memory allows it; else the tensor itself.
Tensor with_axes_joined(const Tensor& t, int axis, int n) {
  if (n < 2) return t;
  Dims shape(t.shape.begin(), axis + 1);
  for (int i = 1; i < n; i++) shape.back() *= t.shape[axis + i];
  for (int i = axis + n; i < t.rank(); i++) shape.push_back(t.shape[i]);
  const Tensor joined = try_view("getitem", t, shape);
  return joined.defined() ? joined : t;
}

// Turns the mask whose first axis is `axis` of the view into indices; how many axes of the view they address.
int resolve_mask(Selection& s, const Tensor& mask, int axis) {
  const Tensor joined = with_axes_joined(s.view, axis, mask.rank());
  const bool one = joined.rank() < s.view.rank() || mask.rank() == 1;
  const Tensor flat =
      mask.rank() == 1 || !one ? mask : try_view("getitem", mask.contiguous() ? mask : contiguous_copy(mask), {-1});
  const Tensor places = true_places(flat);  // (axes, how many)
  s.view = joined;
  for (int i = 0; i < places.shape[0]; i++) s.index[axis + i] = tg::select("getitem", places, 0, i);
  return static_cast<int>(places.shape[0]);
}

// The index tensors side by side, as the rows want them: `dim` is the first axis that they address. Where other axes lie
// between them, the addressed ones go to the front.
struct Side {
  Tensor view;
  Few<Tensor> in;         // the view, [the values,] the index tensors
  int dim = 0, rank = 0;  // of the result
};

Side side_by_side(const Selection& s, const Tensor* values) {
  Side side;
  int at[kMaxRank], k = 0, broadcast_rank = 0;
  for (int i = 0; i < s.view.rank(); i++)
    if (s.index[i].defined()) {
      at[k++] = i;
      broadcast_rank = std::max(broadcast_rank, s.index[i].rank());
    }
  side.view = s.view;
  side.dim = at[0];
  side.rank = s.view.rank() - k + broadcast_rank;
  if (at[k - 1] - at[0] >= k) {
    Dims order;
    for (int i = 0; i < k; i++) order.push_back(at[i]);
    for (int i = 0; i < s.view.rank(); i++)
      if (!s.index[i].defined()) order.push_back(i);
    side.view = permute("getitem", s.view, order);
    side.dim = 0;
  }
  const size_t first = values ? 2 : 1;
  side.in.resize(first + static_cast<size_t>(k));
  side.in[0] = side.view;
  if (values) side.in[1] = *values;
  for (int i = 0; i < k; i++) side.in[first + static_cast<size_t>(i)] = s.index[at[i]];
  return side;
}

void fill_mask(const char* op, PyObject* self, const Selection& s, const Number& value) {
  require_fits(op, value, s.view.dtype);
  Dims shape = s.mask.shape, strides = s.mask.strides;  // lined up with the view's last axis
  for (int i = s.mask_axis + s.mask.rank(); i < s.view.rank(); i++) {
    shape.push_back(1);
    strides.push_back(0);
  }
  const Tensor in[2] = {s.view, as_strided(s.mask, shape, strides, s.mask.offset)};
  Attrs attrs;
  attrs.add(value.attr());
  const Ref target = owned(wrap_view(self, s.view, "strided"));
  PyObject* objects[2] = {target.get(), nullptr};
  call_object_inplace(tg::op(op_masked_fill), objects, in, attrs);
}

}  // namespace

Tensor source_of(const char* op, PyObject* value) {
  if (is_tensor(value)) return value_of(value);
  if (is_numpy_array(value)) return from_buffer(op, value);
  fail(ErrorKind::Type, "[", op, "] got a ", Py_TYPE(value)->tp_name,
       ", expected a number, a Tensor or a numpy array; make a tensor with trigrad.tensor(data)");
}

Selection select_by_arrays(const char* op, const Tensor& source, PyObject* const* items, Py_ssize_t n, bool scalars) {
  auto plain = [&](PyObject* item) {
    return item == Py_None || item == Py_Ellipsis || PySlice_Check(item) || (is_integer(item) && !scalars);
  };
  Few<Tensor> arrays;
  arrays.resize(static_cast<size_t>(n));
  int used = 0, count = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    if (items[i] == Py_None || items[i] == Py_Ellipsis) continue;
    if (plain(items[i])) {
      used++;
      continue;
    }
    Tensor& a = arrays[static_cast<size_t>(i)] = as_array(op, items[i], source.place());
    used += a.dtype == Dtype::Bool ? a.rank() : 1;
    count++;
  }
  if (used > source.rank())
    fail(ErrorKind::Index, "[", op, "] got ", used, " indices for a tensor of ", source.rank(), " dimensions, shape ",
         source.shape);
  Selection s;
  s.view = as_strided(source, source.shape, source.strides, source.offset);
  int axis = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject* item = items[i];
    const Tensor& a = arrays[static_cast<size_t>(i)];
    if (item == Py_Ellipsis) {
      axis += source.rank() - used;
    } else if (item == Py_None) {
      s.view = unsqueeze(op, s.view, axis++);
    } else if (PySlice_Check(item)) {
      s.view = take_slice(op, s.view, axis, item);
      axis++;
    } else if (!a.defined()) {
      s.view = select(op, s.view, axis, integer(item));
    } else if (a.dtype != Dtype::Bool && a.rank() == 0 && !scalars) {  // an array of numpy
      s.view = select(op, s.view, axis, element(op, a).i);
    } else if (a.dtype != Dtype::Bool) {
      s.index[axis++] = a;
    } else if (a.rank() == 0) {  // a new axis of which one place is taken, or none
      s.view = unsqueeze(op, s.view, axis);
      Tensor first = empty({element(op, a).i}, Dtype::Int64);
      if (first.numel()) *first.data<int64_t>() = 0;
      s.index[axis++] = dispatch::moved(first, source.place());
    } else {
      require_mask_shape(op, a, s.view, axis);
      if (count == 1) {
        s.mask = a;
        s.mask_axis = axis;
        axis += a.rank();
      } else {
        axis += resolve_mask(s, a, axis);
      }
    }
  }
  return s;
}

PyObject* as_source(const char* op, PyObject* value, int rank, Place place) {
  Ref object = is_tensor(value) ? borrowed(value) : owned(wrap(source_of(op, value)));
  if (value_of(object.get()).place() != place) {
    const Ref module = owned(PyImport_ImportModule("trigrad._moving"));
    object = owned(PyObject_CallMethod(module.get(), "moved", "Os", object.get(), name(place).c_str()));
  }
  while (value_of(object.get()).rank() > rank && value_of(object.get()).shape[0] == 1)
    object = owned(wrap_view(object.get(), tg::select(op, value_of(object.get()), 0, 0), "strided"));
  return object.release();
}

PyObject* read_selection(const char* op, PyObject* self, Selection s) {
  if (s.mask.defined()) resolve_mask(s, s.mask, s.mask_axis);
  if (!has_index(s)) return wrap_view(self, s.view, "strided");
  return speaking_as(op, [&] {
    const Side side = side_by_side(s, nullptr);
    Attrs attrs;
    attrs.add(Attr::integer(side.dim));
    attrs.add(Attr::boolean(true));
    const Ref view = owned(wrap_view(self, side.view, "strided"));
    Few<PyObject*> objects;
    objects.resize(side.in.size());
    objects[0] = view.get();
    return call_object(tg::op(op_index), {objects.data(), objects.size()}, {side.in.data(), side.in.size()}, attrs);
  });
}

void write_selection(const char* op, PyObject* self, Selection s, PyObject* value, bool accumulate) {
  if (!s.mask.defined() && !has_index(s)) return write_view(op, self, s.view, value);
  Number number = read_number(value);
  Tensor values;
  if (number.kind == Number::Kind::None) {
    values = source_of(op, value);
    if (!is_tensor(value) && values.dtype != s.view.dtype) values = cast(values, s.view.dtype);
    if (s.mask.defined() && !accumulate && values.numel() == 1 && values.rank() == 0 && !is_taped({&value, 1}))
      number = element(op, values);
  }
  speaking_as(op, [&] {
    if (s.mask.defined()) {
      if (number.kind != Number::Kind::None && !accumulate && is_compute(s.view.dtype))
        return fill_mask(op, self, s, number);
      resolve_mask(s, s.mask, s.mask_axis);
    }
    if (!values.defined()) {
      require_fits(op, number, s.view.dtype);
      values = number.kind == Number::Kind::Float ? scalar(number.f, s.view.dtype) : scalar(number.i, s.view.dtype);
    }
    Side side = side_by_side(s, &values);
    const Ref given = is_tensor(value) ? borrowed(value) : owned(wrap(values));
    const Ref source = owned(as_source(op, given.get(), side.rank, side.view.place()));
    side.in[1] = value_of(source.get());
    Attrs attrs;
    attrs.add(Attr::integer(side.dim));
    attrs.add(Attr::boolean(accumulate));
    attrs.add(Attr::boolean(true));
    const Ref target = owned(wrap_view(self, side.view, "strided"));
    Few<PyObject*> objects;
    objects.resize(side.in.size());
    objects[0] = target.get();
    objects[1] = source.get();
    call_object_inplace(tg::op(op_index_put), {objects.data(), objects.size()}, {side.in.data(), side.in.size()},
                        attrs);
  });
}

PyObject* index_put(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[3];
    read_names("index_put_", {"indices", "values", "accumulate"}, args, n, keywords, given);
    if (!given[0] || !given[1])
      fail(ErrorKind::Type, "[index_put_] expected index_put_(indices, values, accumulate=False)");
    if (!PyTuple_Check(given[0]) && !PyList_Check(given[0]))
      fail(ErrorKind::Type, "[index_put_] indices is a ", Py_TYPE(given[0])->tp_name,
           ", expected a tuple of tensors, one for each dimension");
    const Ref items = owned(PySequence_Tuple(given[0]));  // a list could change while masks are read
    PyObject** first = PySequence_Fast_ITEMS(items.get());
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(items.get());
    if (count == 0) fail(ErrorKind::Index, "[index_put_] indices is empty, expected a tensor or more");
    for (Py_ssize_t i = 0; i < count; i++)
      if (!is_tensor(first[i]))
        fail(ErrorKind::Type, "[index_put_] indices holds a ", Py_TYPE(first[i])->tp_name, ", expected tensors");
    const bool accumulate = given[2] && to_bool("index_put_", "accumulate", given[2]);
    write_selection("index_put_", self, select_by_arrays("index_put_", value_of(self), first, count, true), given[1],
                    accumulate);
    return Py_NewRef(self);
  });
}

}  // namespace tg::bind
