// x[...] and x[...] = value: integers, slices of any step, None, Ellipsis and tuples of them, as views.
#include "bind/indexing.h"

#include "bind/convert.h"
#include "bind/door.h"
#include "bind/numpy.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/table.h"

namespace tg::bind {

bool is_integer(PyObject* item) {
  if (PyLong_CheckExact(item)) return true;
  if (is_tensor(item)) return value_of(item).rank() == 0 && category(value_of(item).dtype) == Category::Integer;
  return !PyBool_Check(item) && !is_numpy_array(item) && PyIndex_Check(item);
}

int64_t integer(PyObject* item) {
  const Py_ssize_t i = PyNumber_AsSsize_t(item, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) throw PythonError{};
  return i;
}

Tensor take_slice(const char* op, const Tensor& t, int axis, PyObject* item) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(item, &start, &stop, &step) < 0) throw PythonError{};
  const Py_ssize_t length = PySlice_AdjustIndices(t.shape[axis], &start, &stop, step);
  return slice(op, t, axis, start, length, step);
}

void write_view(const char* name, PyObject* self, const Tensor& view, PyObject* value) {
  const Ref target = owned(wrap_view(self, view, "strided"));
  PyObject* objects[2] = {target.get(), value};
  if (const Number n = read_number(value); n.kind != Number::Kind::None) {
    require_fits(name, n, view.dtype);
    Attrs attrs;
    attrs.add(n.attr());
    overwrite_object(op(op_fill_), {objects, 1}, {&view, 1}, attrs);
    return;
  }
  const Ref source = owned(as_source(name, value, view.rank(), view.place()));
  objects[1] = source.get();
  const Tensor in[2] = {view, value_of(source.get())};
  overwrite_object(op(op_copy_), objects, in);
}

namespace {

// The items of a key, which need not be a tuple.
struct Key {
  PyObject* single[1];
  PyObject** items = single;
  Py_ssize_t n = 1;
  int used = 0;  // axes that integers and slices consume
  bool ellipsis = false, arrays = false;

  Key(const char* op, PyObject* key) : single{key} {
    if (PyTuple_Check(key)) {
      items = reinterpret_cast<PyTupleObject*>(key)->ob_item;
      n = PyTuple_GET_SIZE(key);
    }
    for (Py_ssize_t i = 0; i < n; i++) {
      if (items[i] == Py_Ellipsis) {
        if (ellipsis) fail(ErrorKind::Index, "[", op, "] got ... twice, expected it once");
        ellipsis = true;
      } else if (items[i] != Py_None) {
        used++;
        arrays = arrays || !(PySlice_Check(items[i]) || is_integer(items[i]));
      }
    }
  }
};

Tensor view_at(const char* op, const Tensor& source, const Key& key) {
  if (key.used > source.rank())
    fail(ErrorKind::Index, "[", op, "] got ", key.used, " indices for a tensor of ", source.rank(),
         " dimensions, shape ", source.shape);
  Tensor t = as_strided(source, source.shape, source.strides, source.offset);
  int axis = 0;
  for (Py_ssize_t i = 0; i < key.n; i++) {
    PyObject* item = key.items[i];
    if (item == Py_Ellipsis) axis += source.rank() - key.used;
    else if (item == Py_None) t = unsqueeze(op, t, axis++);
    else if (PySlice_Check(item)) t = take_slice(op, t, axis, item), axis++;
    else t = select(op, t, axis, integer(item));
  }
  return t;
}

PyObject* get(PyObject* self, PyObject* key) {
  return guarded([&] {
    const Tensor& source = value_of(self);
    if (PyLong_CheckExact(key)) return wrap_view(self, select("getitem", source, 0, integer(key)), "strided");
    const Key k("getitem", key);
    if (!k.arrays) return wrap_view(self, view_at("getitem", source, k), "strided");
    return read_selection("getitem", self, select_by_arrays("getitem", source, k.items, k.n));
  });
}

int set(PyObject* self, PyObject* key, PyObject* value) {
  return guarded(
      [&] {
        if (!value) fail(ErrorKind::Type, "[setitem] elements cannot be deleted");
        const Key k("setitem", key);
        if (k.arrays) {
          write_selection("setitem", self, select_by_arrays("setitem", value_of(self), k.items, k.n), value);
          return 0;
        }
        write_view("setitem", self, view_at("setitem", value_of(self), k), value);
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
  return guarded([&] { return wrap_view(self, select("getitem", value_of(self), 0, i), "strided"); });
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
