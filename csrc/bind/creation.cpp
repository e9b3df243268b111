#include "bind/creation.h"

#include <algorithm>
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
  std::vector<Number> numbers;
  numbers.reserve(static_cast<size_t>(std::min<int64_t>(count(shape), 1 << 20)));
  read_numbers(data, shape, 0, numbers);
  if (static_cast<int64_t>(numbers.size()) != count(shape))
    fail(ErrorKind::Runtime, "[tensor] the lists changed while they were read");
  Number::Kind kind = numbers.empty() ? Number::Kind::Float : Number::Kind::Bool;
  for (const Number& n : numbers) kind = std::max(kind, n.kind);
  const Dtype natural = kind == Number::Kind::Float ? default_dtype()
                        : kind == Number::Kind::Int ? Dtype::Int64
                                                    : Dtype::Bool;
  const Tensor t = empty(shape, dtype ? *dtype : natural);
  const FloatEnv env;
  for (size_t i = 0; i < numbers.size(); i++) store(numbers[i], t, static_cast<int64_t>(i));
  return t;
}

}  // namespace tg::bind
