// x[...] and x[...] = value: integers, slices of any step, None, Ellipsis and tuples of them, as views.
#include "bind/convert.h"
#include "bind/door.h"
#include "bind/numpy.h"
#include "bind/tensor_type.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

constexpr const char* kOp = "getitem";

bool is_integer(PyObject* item) {
  if (is_tensor(item)) return value_of(item).rank() == 0 && category(value_of(item).dtype) == Category::Integer;
  return !PyBool_Check(item) && !is_numpy_array(item) && PyIndex_Check(item);
}

int64_t integer(PyObject* item) {
  const Py_ssize_t i = PyNumber_AsSsize_t(item, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) throw PythonError{};
  return i;
}

Tensor take_slice(const Tensor& t, int axis, PyObject* item) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(item, &start, &stop, &step) < 0) throw PythonError{};
  const Py_ssize_t length = PySlice_AdjustIndices(t.shape[axis], &start, &stop, step);
  return slice(kOp, t, axis, start, length, step);
}

[[noreturn]] void refuse(PyObject* item) {
  const char* remedy =
      PyBool_Check(item) || (is_tensor(item) && value_of(item).dtype == Dtype::Bool)
          ? "for a mask use trigrad.where(mask, x, 0), or index the array: trigrad.from_numpy(x.numpy()[mask.numpy()])"
          : "index the array: trigrad.from_numpy(x.numpy()[indices])";
  fail(ErrorKind::Index, "[", kOp, "] got a ", Py_TYPE(item)->tp_name, ", expected integers, slices, None or ...; ",
       remedy);
}

Tensor view_at(const Tensor& source, PyObject* key) {
  if (PyLong_CheckExact(key)) return select(kOp, source, 0, integer(key));
  PyObject* single[1] = {key};
  PyObject** items = single;
  Py_ssize_t n = 1;
  if (PyTuple_Check(key)) {
    items = reinterpret_cast<PyTupleObject*>(key)->ob_item;
    n = PyTuple_GET_SIZE(key);
  }
  int used = 0;  // axes that the items consume
  bool ellipsis = false;
  for (Py_ssize_t i = 0; i < n; i++) {
    if (items[i] == Py_Ellipsis) {
      if (ellipsis) fail(ErrorKind::Index, "[", kOp, "] got ... twice, expected it once");
      ellipsis = true;
    } else if (items[i] != Py_None) {
      used++;
    }
  }
  if (used > source.rank())
    fail(ErrorKind::Index, "[", kOp, "] got ", used, " indices for a tensor of ", source.rank(), " dimensions, shape ",
         source.shape);
  Tensor t = as_strided(source, source.shape, source.strides, source.offset);
  int axis = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject* item = items[i];
    if (item == Py_Ellipsis) axis += source.rank() - used;
    else if (item == Py_None) t = unsqueeze(kOp, t, axis++);
    else if (PySlice_Check(item)) t = take_slice(t, axis, item), axis++;
    else if (is_integer(item)) t = select(kOp, t, axis, integer(item));
    else refuse(item);
  }
  return t;
}

PyObject* get(PyObject* self, PyObject* key) {
  return guarded([&] { return wrap(view_at(value_of(self), key)); });
}

int set(PyObject* self, PyObject* key, PyObject* value) {
  return guarded(
      [&] {
        if (!value) fail(ErrorKind::Type, "[setitem] elements cannot be deleted");
        const Tensor target = view_at(value_of(self), key);
        if (const Number n = read_number(value); n.kind != Number::Kind::None) {
          require_fits("setitem", n, target.dtype);
          Attrs attrs;
          attrs.add(n.attr());
          call1(op(op_fill_), {target}, attrs);
          return 0;
        }
        Tensor source;
        if (is_tensor(value)) source = value_of(value);
        else if (is_numpy_array(value)) source = from_buffer("setitem", value);
        else
          fail(ErrorKind::Type, "[setitem] got a ", Py_TYPE(value)->tp_name,
               ", expected a number, a Tensor or a numpy array; make a tensor with trigrad.tensor(data)");
        while (source.rank() > target.rank() && source.shape[0] == 1) source = select("setitem", source, 0, 0);
        call1(op(op_copy_), {target, source});
        return 0;
      },
      -1);
}

Py_ssize_t length(PyObject* self) {
  const Tensor& t = value_of(self);
  if (t.rank()) return static_cast<Py_ssize_t>(t.shape[0]);
  PyErr_SetString(PyExc_TypeError, "[len] a 0-d tensor has no length; use .numel()");
  return -1;
}

PyObject* item_at(PyObject* self, Py_ssize_t i) {
  return guarded([&] { return wrap(select(kOp, value_of(self), 0, i)); });
}

PyObject* iterate(PyObject* self) {
  if (value_of(self).rank()) return PySeqIter_New(self);
  PyErr_SetString(PyExc_TypeError, "[iter] a 0-d tensor cannot be iterated over; use .item()");
  return nullptr;
}

}  // namespace

PyType_Slot indexing_slots[] = {
    {Py_mp_subscript, reinterpret_cast<void*>(get)},
    {Py_mp_ass_subscript, reinterpret_cast<void*>(set)},
    {Py_mp_length, reinterpret_cast<void*>(length)},
    {Py_sq_length, reinterpret_cast<void*>(length)},
    {Py_sq_item, reinterpret_cast<void*>(item_at)},
    {Py_tp_iter, reinterpret_cast<void*>(iterate)},
    {},
};

}  // namespace tg::bind
