#include "bind/creation.h"

#include <cmath>
#include <limits>
#include <vector>

#include "bind/convert.h"
#include "bind/tensor_type.h"
#include "core/float_env.h"
#include "core/half.h"

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

void read_numbers(PyObject* data, const Dims& shape, int axis, std::vector<Number>& numbers) {
  if (axis == shape.size()) {
    const Number n = is_tensor(data) ? element("tensor", value_of(data)) : read_number(data);
    if (n.kind == Number::Kind::None)
      fail(ErrorKind::Type, "[tensor] got a ", Py_TYPE(data)->tp_name,
           is_sequence(data) ? " where other rows have a number, expected rows of one depth"
                             : ", expected a number, a numpy array, or nested lists of numbers");
    numbers.push_back(n);
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

template <class T>
T as_integer(const Number& n, Dtype t) {
  if (n.kind == Number::Kind::Float) {
    const double whole = std::trunc(n.f);
    // The upper bound + 1 is a power of two, exact in double.
    if (!(whole >= static_cast<double>(std::numeric_limits<T>::min()) &&
          whole < std::ldexp(1.0, std::numeric_limits<T>::digits)))
      fail(ErrorKind::Runtime, "[tensor] ", n.f, " does not fit ", name(t), "; choose a wider dtype");
    return static_cast<T>(whole);
  }
  if (n.i < static_cast<int64_t>(std::numeric_limits<T>::min()) ||
      n.i > static_cast<int64_t>(std::numeric_limits<T>::max()))
    fail(ErrorKind::Runtime, "[tensor] ", n.i, " does not fit ", name(t), "; choose a wider dtype");
  return static_cast<T>(n.i);
}

void store(const Number& n, const Tensor& t, int64_t at) {
  const bool real = n.kind == Number::Kind::Float;
  switch (t.dtype) {
    case Dtype::Float32: t.data<float>()[at] = real ? static_cast<float>(n.f) : static_cast<float>(n.i); return;
    case Dtype::Float64: t.data<double>()[at] = n.real(); return;
    case Dtype::Int64: t.data<int64_t>()[at] = as_integer<int64_t>(n, t.dtype); return;
    case Dtype::Int32: t.data<int32_t>()[at] = as_integer<int32_t>(n, t.dtype); return;
    case Dtype::UInt8: t.data<uint8_t>()[at] = as_integer<uint8_t>(n, t.dtype); return;
    case Dtype::Bool: t.data<uint8_t>()[at] = real ? n.f != 0 : n.i != 0; return;
    case Dtype::Int8: t.data<int8_t>()[at] = as_integer<int8_t>(n, t.dtype); return;
    case Dtype::Int16: t.data<int16_t>()[at] = as_integer<int16_t>(n, t.dtype); return;
    case Dtype::UInt16: t.data<uint16_t>()[at] = as_integer<uint16_t>(n, t.dtype); return;
    case Dtype::UInt32: t.data<uint32_t>()[at] = as_integer<uint32_t>(n, t.dtype); return;
    case Dtype::Float16: t.data<uint16_t>()[at] = float_to_half(n.real()); return;
    case Dtype::BFloat16: t.data<uint16_t>()[at] = float_to_bfloat(n.real()); return;
  }
}

}  // namespace

Tensor from_nested(PyObject* data, const Dtype* dtype) {
  const Dims shape = shape_of(data);
  std::vector<Number> numbers;
  numbers.reserve(static_cast<size_t>(std::min<int64_t>(count(shape), 1 << 20)));
  read_numbers(data, shape, 0, numbers);
  if (static_cast<int64_t>(numbers.size()) != count(shape))
    fail(ErrorKind::Runtime, "[tensor] the lists changed while they were read");
  Number::Kind kind = numbers.empty() ? Number::Kind::Float : Number::Kind::Bool;
  for (const Number& n : numbers) kind = std::max(kind, n.kind);
  const Dtype natural = kind == Number::Kind::Float ? Dtype::Float32
                        : kind == Number::Kind::Int ? Dtype::Int64
                                                    : Dtype::Bool;
  const Tensor t = empty(shape, dtype ? *dtype : natural);
  const FloatEnv env;
  for (size_t i = 0; i < numbers.size(); i++) store(numbers[i], t, static_cast<int64_t>(i));
  return t;
}

}  // namespace tg::bind
