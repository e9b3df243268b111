#include "bind/convert.h"

#include <cmath>
#include <sstream>
#include <string>

#include "bind/numpy.h"
#include "bind/recording.h"
#include "bind/tensor_type.h"
#include "core/float_env.h"
#include "math/convert.h"
#include "ops/dispatch.h"

namespace tg::bind {
namespace {

int64_t python_int(PyObject* value) {
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow) fail(ErrorKind::Runtime, "an integer does not fit: expected -2**63 to 2**63 - 1; pass a float");
  if (v == -1 && PyErr_Occurred()) throw PythonError{};
  return v;
}

[[noreturn]] void wrong_type(const char* op, const char* param, PyObject* value, const char* expected) {
  fail(ErrorKind::Type, "[", op, "] ", param, " is a ", Py_TYPE(value)->tp_name, ", expected ", expected);
}

Dims integers(const char* op, const char* param, PyObject* const* items, Py_ssize_t n) {
  if (n > kMaxRank)
    fail(ErrorKind::Value, "[", op, "] ", param, " has ", n, " entries, but a tensor has at most ", kMaxRank,
         " dimensions");
  Dims dims;
  for (Py_ssize_t i = 0; i < n; i++) dims.push_back(to_int(op, param, items[i]));
  return dims;
}

// The number that an attribute is given as: a tensor of one element counts.
Number attribute(const char* op, const char* param, PyObject* value, const char* expected) {
  if (is_tensor(value)) return element(op, value_of(value));
  const Number n = read_number(value);
  if (n.kind == Number::Kind::None) wrong_type(op, param, value, expected);
  return n;
}

}  // namespace

Attr Number::attr() const {
  switch (kind) {
    case Kind::Bool: return Attr::boolean(i != 0);
    case Kind::Int: return Attr::integer(i);
    case Kind::Float: return Attr::real(f);
    case Kind::None: break;
  }
  return {};
}

Number read_number(PyObject* value) {
  if (PyFloat_Check(value)) return {Number::Kind::Float, 0, PyFloat_AS_DOUBLE(value)};
  if (PyBool_Check(value)) return {Number::Kind::Bool, value == Py_True, 0};
  if (PyLong_Check(value)) return {Number::Kind::Int, python_int(value), 0};
  switch (numpy_scalar_kind(value)) {
    case 'b': return {Number::Kind::Bool, PyObject_IsTrue(value) > 0, 0};
    case 'i': {
      const Ref integer = owned(PyNumber_Index(value));
      return {Number::Kind::Int, python_int(integer.get()), 0};
    }
    case 'f': {
      const Ref real = owned(PyNumber_Float(value));
      return {Number::Kind::Float, 0, PyFloat_AS_DOUBLE(real.get())};
    }
  }
  return {};
}

Tensor number_tensor(const Number& number, const Tensor* beside) {
  const FloatEnv env;  // the rounding to float32 must not depend on a foreign control word
  Dtype natural = number.kind == Number::Kind::Float  ? Dtype::Float64
                  : number.kind == Number::Kind::Bool ? Dtype::Bool
                                                      : Dtype::Int64;
  if (beside && is_compute(beside->dtype) && category(natural) <= category(beside->dtype)) natural = beside->dtype;
  Tensor t = number.kind == Number::Kind::Float ? scalar(number.f, natural) : scalar(number.i, natural);
  t.number = true;
  return t;
}

void require_fits(const char* op, const Number& number, Dtype t) {
  const bool real = number.kind == Number::Kind::Float;
  if (category(t) != Category::Integer || (t == Dtype::Int64 && !real)) return;
  const bool is_signed = name(t)[0] != 'u';
  const double end = std::ldexp(1.0, static_cast<int>(size_of(t)) * 8 - (is_signed ? 1 : 0));
  const double whole = std::trunc(number.real());  // exact: up to 32 bits, or a double anyway
  if (whole >= (is_signed ? -end : 0) && whole < end) return;
  std::ostringstream value;
  real ? value << number.f : value << number.i;
  fail(ErrorKind::Runtime, "[", op, "] ", value.str(), " does not fit ", name(t), ", expected ",
       is_signed ? "-2**" : "0", is_signed ? std::to_string(size_of(t) * 8 - 1) : "", " to 2**",
       size_of(t) * 8 - (is_signed ? 1 : 0), " - 1; choose a wider dtype");
}

void require_exponent(const Tensor& base, PyObject* exponent) {
  if (category(base.dtype) > Category::Integer) return;
  const Number n = read_number(exponent);
  if (n.kind == Number::Kind::Int && n.i < 0)
    fail(ErrorKind::Runtime, "[pow] got the exponent ", n.i, " for ", name(base.dtype),
         ", expected 0 or more: Integers to negative integer powers are not allowed; cast to a float first, with "
         ".float()");
}

Number load(const Tensor& t, int64_t offset) {
  if (t.device() == Device::Cuda) return load(dispatch::moved(as_strided(t, {}, {}, offset), {}), 0);
  const std::byte* at = t.storage->data() + offset * size_of(t.dtype);
  auto as = [&]<class T>(T) { return *reinterpret_cast<const T*>(at); };
  auto integer = [](int64_t v) { return Number{Number::Kind::Int, v, 0}; };
  auto real = [](double v) { return Number{Number::Kind::Float, 0, v}; };
  switch (t.dtype) {
    case Dtype::Float32: return real(static_cast<double>(as(float{})));
    case Dtype::Float64: return real(as(double{}));
    case Dtype::Int64: return integer(as(int64_t{}));
    case Dtype::Int32: return integer(as(int32_t{}));
    case Dtype::UInt8: return integer(as(uint8_t{}));
    case Dtype::Bool: return {Number::Kind::Bool, as(uint8_t{}) != 0, 0};
    case Dtype::Int8: return integer(as(int8_t{}));
    case Dtype::Int16: return integer(as(int16_t{}));
    case Dtype::UInt16: return integer(as(uint16_t{}));
    case Dtype::UInt32: return integer(as(uint32_t{}));
    case Dtype::Float16: return real(half_to_float(as(uint16_t{})));
    case Dtype::BFloat16: return real(bfloat_to_float(as(uint16_t{})));
  }
  return {};
}

Number element(const char* what, const Tensor& t) {
  refuse_reading(what);
  if (t.numel() != 1)
    fail(ErrorKind::Runtime, "[", what, "] got a tensor of shape ", t.shape,
         ", expected exactly one element; index it or reduce it first, or use .tolist()");
  const FloatEnv env;  // widening a denormal must not flush it
  return load(t, t.offset);
}

PyObject* to_python(const Number& number) {
  switch (number.kind) {
    case Number::Kind::Bool: return PyBool_FromLong(number.i != 0);
    case Number::Kind::Int: return PyLong_FromLongLong(number.i);
    case Number::Kind::Float: return PyFloat_FromDouble(number.f);
    case Number::Kind::None: break;
  }
  Py_RETURN_NONE;
}

int64_t to_int(const char* op, const char* param, PyObject* value) {
  const Number n = attribute(op, param, value, "an integer");
  if (n.kind == Number::Kind::Float) wrong_type(op, param, value, "an integer");
  return n.i;
}

double to_real(const char* op, const char* param, PyObject* value) {
  return attribute(op, param, value, "a number").real();
}

bool to_bool(const char* op, const char* param, PyObject* value) {
  const Number n = attribute(op, param, value, "True or False");
  if (n.kind == Number::Kind::Float) wrong_type(op, param, value, "True or False");
  return n.i != 0;
}

Dims to_dims(const char* op, const char* param, PyObject* value) {
  if (!PyTuple_Check(value) && !PyList_Check(value)) {
    const Number n = is_tensor(value) ? element(op, value_of(value)) : read_number(value);
    if (n.kind != Number::Kind::Int) wrong_type(op, param, value, "an integer or a tuple of integers");
    return {n.i};
  }
  const Ref items = owned(PySequence_Fast(value, "expected a tuple or a list"));
  return integers(op, param, PySequence_Fast_ITEMS(items.get()), PySequence_Fast_GET_SIZE(items.get()));
}

Dims to_dims(const char* op, const char* param, PyObject* const* args, Py_ssize_t n) {
  if (n == 1 && (PyTuple_Check(args[0]) || PyList_Check(args[0]))) return to_dims(op, param, args[0]);
  return integers(op, param, args, n);
}

}  // namespace tg::bind
