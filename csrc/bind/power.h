// x², x³, 1/x, 1/x², √x and 1/√x by products, quotients and roots, which cost a fraction of pow.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

// base ** exponent through such rows; null where the exponent is no such number: then the row pow does it. The tensors
// are the values of the operands, `base` is the object where it is a tensor.
PyObject* simple_power(PyObject* base, const Tensor& value, const Tensor& exponent);

// The same, written into `base`; false where the row must do it.
bool simple_power_inplace(PyObject* base, const Tensor& exponent);

}  // namespace tg::bind
