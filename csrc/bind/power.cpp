#include "bind/power.h"

#include "bind/convert.h"
#include "bind/tape.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

Ref call_row(OpId id, const Ref& x) {
  PyObject* objects[1] = {x.get()};
  const Tensor in = value_of(x.get());
  return owned(call_object(op(id), objects, {&in, 1}));
}

Ref multiply(const Ref& a, const Ref& b) {
  PyObject* objects[2] = {a.get(), b.get()};
  const Tensor in[2] = {value_of(a.get()), value_of(b.get())};
  return owned(call_object(op(id_mul), objects, in));
}

bool is_simple(const Tensor& base, const Tensor& exponent) {
  const bool promoted = base.dtype == Dtype::Bool || category(base.dtype) < category(exponent.dtype);
  if (!exponent.number || base.number || promoted || !is_compute(base.dtype)) return false;
  const double e = load(exponent, exponent.offset).real();
  return e == 2 || e == 3 || e == 0.5 || e == -0.5 || e == -1 || e == -2;
}

Ref power(const Ref& base, double e) {
  if (e == 2) return call_row(id_square, base);
  if (e == 3) return multiply(call_row(id_square, base), base);
  if (e == 0.5) return call_row(id_sqrt, base);
  if (e == -0.5) return call_row(id_rsqrt, base);
  if (e == -1) return call_row(id_reciprocal, base);
  return call_row(id_square, call_row(id_reciprocal, base));
}

}  // namespace

PyObject* simple_power(PyObject* base, const Tensor& value, const Tensor& exponent) {
  if (!is_simple(value, exponent)) return nullptr;
  return power(borrowed(base), load(exponent, exponent.offset).real()).release();
}

bool simple_power_inplace(PyObject* base, const Tensor& exponent) {
  if (!is_simple(value_of(base), exponent)) return false;
  const bool taped = is_taped({&base, 1});
  check_overwritable("pow", base, taped);
  // The formulas of the rows read what is overwritten here: they get a copy of it.
  const Ref x = taped ? owned(clone_object(base)) : borrowed(base);
  const Ref y = power(x, load(exponent, exponent.offset).real());
  PyObject* objects[2] = {base, y.get()};
  const Tensor in[2] = {value_of(base), value_of(y.get())};
  overwrite_object(op(op_copy_), objects, in);
  return true;
}

}  // namespace tg::bind
