#include "bind/creation.h"

#include <algorithm>
#include <vector>

#include "bind/convert.h"
#include "bind/device.h"
#include "bind/door.h"
#include "bind/dtype_type.h"
#include "bind/numpy.h"
#include "bind/tensor_type.h"
#include "core/float_env.h"
#include "math/convert.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

bool is_sequence(PyObject* data) { return PyList_Check(data) || PyTuple_Check(data); }

Dims shape_of(PyObject* data) {
  Dims shape;
  while (is_sequence(data)) {
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(data);
    shape.push_back(n);
    if (n == 0) break;
    data = PySequence_Fast_GET_ITEM(data, 0);
  }
  return shape;
}

struct Numbers {
  std::vector<Number> values;
  Dtype natural = Dtype::Bool;  // what holds them all
};

// The dtype of one number: a tensor's and a numpy scalar's own, otherwise by its Python type.
Dtype natural_dtype(PyObject* data, Number::Kind kind) {
  if (is_tensor(data)) return value_of(data).dtype;
  if (!PyFloat_CheckExact(data) && numpy_scalar_kind(data)) {
    const Ref dtype = owned(PyObject_GetAttrString(data, "dtype"));
    return to_dtype("tensor", "data", dtype.get());
  }
  return kind == Number::Kind::Float ? default_dtype() : kind == Number::Kind::Int ? Dtype::Int64 : Dtype::Bool;
}

void read_numbers(PyObject* data, const Dims& shape, int axis, Numbers& numbers) {
  if (axis == shape.size()) {
    const Number n = is_tensor(data) ? element("tensor", value_of(data)) : read_number(data);
    if (n.kind == Number::Kind::None)
      fail(ErrorKind::Type, "[tensor] got a ", Py_TYPE(data)->tp_name,
           is_sequence(data) ? " where other rows have a number, expected rows of one depth"
                             : ", expected a number, a numpy array, or nested lists of numbers");
    const Dtype dtype = natural_dtype(data, n.kind);
    numbers.natural = numbers.values.empty() ? dtype : promote(numbers.natural, dtype);
    numbers.values.push_back(n);
    return;
  }
  if (!is_sequence(data))
    fail(ErrorKind::Type, "[tensor] got a ", Py_TYPE(data)->tp_name, " at dim ", axis,
         " where other rows have a sequence of ", shape[axis], ", expected rows of one depth");
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(data);
  if (n != shape[axis])
    fail(ErrorKind::Value, "[tensor] expected sequence of length ", shape[axis], " at dim ", axis, " (got ", n,
         "); pad the rows to one length");
  for (Py_ssize_t i = 0; i < n && i < PySequence_Fast_GET_SIZE(data); i++)
    read_numbers(PySequence_Fast_GET_ITEM(data, i), shape, axis + 1, numbers);
}

void store(const Number& n, const Tensor& t, int64_t at) {
  const bool real = n.kind == Number::Kind::Float;
  require_fits("tensor", n, t.dtype);
  auto as = [&]<class T>(T) { return real ? static_cast<T>(n.f) : static_cast<T>(n.i); };
  switch (t.dtype) {
    case Dtype::Float32: t.data<float>()[at] = as(float{}); return;
    case Dtype::Float64: t.data<double>()[at] = n.real(); return;
    case Dtype::Int64: t.data<int64_t>()[at] = as(int64_t{}); return;
    case Dtype::Int32: t.data<int32_t>()[at] = as(int32_t{}); return;
    case Dtype::UInt8: t.data<uint8_t>()[at] = as(uint8_t{}); return;
    case Dtype::Bool: t.data<uint8_t>()[at] = real ? n.f != 0 : n.i != 0; return;
    case Dtype::Int8: t.data<int8_t>()[at] = as(int8_t{}); return;
    case Dtype::Int16: t.data<int16_t>()[at] = as(int16_t{}); return;
    case Dtype::UInt16: t.data<uint16_t>()[at] = as(uint16_t{}); return;
    case Dtype::UInt32: t.data<uint32_t>()[at] = as(uint32_t{}); return;
    case Dtype::Float16: t.data<uint16_t>()[at] = float_to_half(n.real()); return;
    case Dtype::BFloat16: t.data<uint16_t>()[at] = float_to_bfloat(n.real()); return;
  }
}

}  // namespace

Tensor from_nested(PyObject* data, const Dtype* dtype) {
  const Dims shape = shape_of(data);
  Numbers numbers;
  std::vector<Number>& values = numbers.values;
  values.reserve(static_cast<size_t>(std::min<int64_t>(count(shape), 1 << 20)));
  read_numbers(data, shape, 0, numbers);
  if (static_cast<int64_t>(values.size()) != count(shape))
    fail(ErrorKind::Runtime, "[tensor] the lists changed while they were read");
  const Tensor t = empty(shape, dtype ? *dtype : values.empty() ? default_dtype() : numbers.natural);
  const FloatEnv env;
  for (size_t i = 0; i < values.size(); i++) store(values[i], t, static_cast<int64_t>(i));
  return t;
}

namespace {

// dtype=None is the default dtype.
Dtype chosen_dtype(const char* op, PyObject* dtype) {
  return dtype == Py_None ? default_dtype() : to_dtype(op, "dtype", dtype);
}

// The last argument may be left out: then what is made is on the CPU.
PyObject* last(const char* signature, PyObject* const* args, Py_ssize_t n, Py_ssize_t before) {
  if (n != before && n != before + 1) fail(ErrorKind::Type, "got ", n, " arguments, expected ", signature);
  return n > before ? args[before] : nullptr;
}

// The lengths in (2, 3) or in ((2, 3),): what f(2, 3) and f((2, 3)) hand on.
Dims lengths(const char* op, PyObject* size) {
  if (!PyTuple_CheckExact(size)) return to_dims(op, "size", size);
  return to_dims(op, "size", reinterpret_cast<PyTupleObject*>(size)->ob_item, PyTuple_GET_SIZE(size));
}

PyObject* empty_function(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    const Place place = to_place("empty", last("empty(size, dtype, device)", args, n, 2));
    return wrap(empty(lengths("empty", args[0]), chosen_dtype("empty", args[1]), place));
  });
}

PyObject* filled_function(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    PyObject* device = last("filled(op, size, value, dtype, device)", args, n, 4);
    const char* op = checked(PyUnicode_AsUTF8(args[0]));
    const Place place = to_place(op, device);
    const Dims shape = lengths(op, args[1]);
    const Number value = is_tensor(args[2]) ? element(op, value_of(args[2])) : read_number(args[2]);
    if (value.kind == Number::Kind::None)
      fail(ErrorKind::Type, "[", op, "] fill_value is a ", Py_TYPE(args[2])->tp_name, ", expected a number");
    const Dtype dtype = chosen_dtype(op, args[3]);
    require_fits(op, value, dtype);
    Attrs attrs;
    attrs.add(value.attr());
    return wrap(call1(tg::op(op_fill_), {empty(shape, dtype, place)}, attrs));
  });
}

PyObject* get_default_dtype_function(PyObject*, PyObject*) { return Py_NewRef(dtype_object(default_dtype())); }

}  // namespace

PyMethodDef creation_functions[] = {
    {"empty", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(empty_function)), METH_FASTCALL,
     "empty(size, dtype, device='cpu')\n\nAn uninitialised tensor, on a device or beside a tensor."},
    {"filled", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(filled_function)), METH_FASTCALL,
     "filled(op, size, value, dtype, device='cpu')\n\nA tensor full of one number, on a device or beside a tensor; "
     "errors "
     "name `op`."},
    {"get_default_dtype", get_default_dtype_function, METH_NOARGS,
     R"(get_default_dtype()

What Python floats become: float32 unless set otherwise.

>>> import trigrad as tg
>>> tg.get_default_dtype()
trigrad.float32)"},
    {},
};

}  // namespace tg::bind
