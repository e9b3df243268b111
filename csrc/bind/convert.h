// Between Python values and the core's: numbers, axis lists, elements.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"
#include "ops/op.h"

namespace tg::bind {

// A Python or numpy number.
struct Number {
  enum class Kind { None, Bool, Int, Float };
  Kind kind = Kind::None;
  int64_t i = 0;
  double f = 0;
  double real() const { return kind == Kind::Float ? f : static_cast<double>(i); }
  Attr attr() const;
};

// Kind::None if `value` is no number. A tensor or an array is none, whatever its size.
Number read_number(PyObject* value);

// The number as a 0-d tensor that gives way in promotion. `beside` is the one tensor it will be combined with, or
// null: a number that does not outrank it is made in its dtype at once, which saves the door a cast.
Tensor number_tensor(const Number& number, const Tensor* beside);

// Raises if an integer dtype cannot hold the number, fractions cut off.
void require_fits(const char* op, const Number& number, Dtype t);
// Raises if an integer would be raised to a negative integer power, which is no integer.
void require_exponent(const Tensor& base, PyObject* exponent);

// The single element of a tensor; `what` names the caller in the error.
Number element(const char* what, const Tensor& t);
PyObject* to_python(const Number& number);
Number load(const Tensor& t, int64_t offset);  // the element at `offset` elements from the storage's start

int64_t to_int(const char* op, const char* param, PyObject* value);
double to_real(const char* op, const char* param, PyObject* value);
bool to_bool(const char* op, const char* param, PyObject* value);
// An integer, or a sequence of integers.
Dims to_dims(const char* op, const char* param, PyObject* value);
// The arguments of x.view(2, 3) or x.view((2, 3)).
Dims to_dims(const char* op, const char* param, PyObject* const* args, Py_ssize_t n);

}  // namespace tg::bind
