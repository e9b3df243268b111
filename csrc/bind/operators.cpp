// a + b, a += b, a < b, -a, bool(a), ...: the number protocol, straight to the door.
#include "bind/convert.h"
#include "bind/door.h"
#include "bind/numpy.h"
#include "bind/op_function.h"
#include "bind/power.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

// The operand as a tensor: a tensor, a number, or an array of numpy. False: not ours, let the other side try.
bool operand(PyObject* value, const Tensor* beside, Tensor& result) {
  if (is_tensor(value)) {
    result = value_of(value);
    return true;
  }
  if (const Number n = read_number(value); n.kind != Number::Kind::None) {
    result = number_tensor(n, beside);
    return true;
  }
  if (!is_numpy_array(value)) return false;
  result = from_buffer("operator", value);
  return true;
}

// The tensor in[1 - which] is there; fills in[which]. False: NotImplemented.
bool operands(PyObject* a, PyObject* b, Tensor (&in)[2]) {
  if (is_tensor(a)) {
    in[0] = value_of(a);
    return operand(b, &in[0], in[1]);
  }
  in[1] = value_of(b);
  return operand(a, &in[1], in[0]);
}

template <OpId id>
PyObject* binary(PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Tensor in[2];
    if (!operands(a, b, in)) Py_RETURN_NOTIMPLEMENTED;
    if constexpr (id == id_pow) {
      require_exponent(in[0], b);
      if (PyObject* power = simple_power(a, in[0], in[1])) return power;
    }
    PyObject* objects[2] = {a, b};
    return call_object(op(id), objects, in);
  });
}

template <OpId id>
PyObject* inplace(PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Tensor in[2];
    in[0] = value_of(a);
    if (!operand(b, &in[0], in[1])) Py_RETURN_NOTIMPLEMENTED;
    if constexpr (id == id_pow) {
      require_exponent(in[0], b);
      if (simple_power_inplace(a, in[1])) return Py_NewRef(a);
    }
    PyObject* objects[2] = {a, b};
    call_object_inplace(op(id), objects, in);
    return Py_NewRef(a);
  });
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) {
    PyErr_SetString(PyExc_TypeError, "[pow] a modulus is not supported; take the remainder afterwards: (a ** b) % m");
    return nullptr;
  }
  return binary<id_pow>(a, b);
}
PyObject* inplace_power(PyObject* a, PyObject* b, PyObject*) { return inplace<id_pow>(a, b); }

// Matrices have no numbers for operands.
PyObject* matrix_multiply(PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Tensor in[2];
    if (read_number(a).kind != Number::Kind::None || read_number(b).kind != Number::Kind::None || !operands(a, b, in))
      Py_RETURN_NOTIMPLEMENTED;
    PyObject* objects[2] = {a, b};
    return call_object(op(op_matmul), objects, in);
  });
}

template <OpId id>
PyObject* unary(PyObject* a) {
  return guarded([&] {
    const Tensor in = value_of(a);
    return call_object(op(id), {&a, 1}, {&in, 1});
  });
}
PyObject* positive(PyObject* a) { return Py_NewRef(a); }

PyObject* invert(PyObject* a) {
  return guarded([&] {
    const Tensor& t = value_of(a);
    if (is_floating(t.dtype))
      fail(ErrorKind::Type, "[invert] got ", name(t.dtype),
           ", expected integers or bool; compare first, for instance ~(x != 0)");
    return wrap(call1(op(id_bitwise_not), {t}));
  });
}

PyObject* compare(PyObject* a, PyObject* b, int how) {
  switch (how) {
    case Py_EQ: return binary<id_eq>(a, b);
    case Py_NE: return binary<id_ne>(a, b);
    case Py_LT: return binary<id_lt>(a, b);
    case Py_LE: return binary<id_le>(a, b);
    case Py_GT: return binary<id_gt>(a, b);
    default: return binary<id_ge>(a, b);
  }
}

int truth(PyObject* a) {
  return guarded(
      [&] {
        const Tensor& t = value_of(a);
        if (t.numel() != 1)
          fail(ErrorKind::Runtime, "[bool] the truth of a tensor with ", t.numel() ? "more than one value" : "no value",
               " is ambiguous: shape ", t.shape, ", expected one element; use .any() or .all()");
        const Number n = element("bool", t);
        return static_cast<int>(n.kind == Number::Kind::Float ? n.f != 0 : n.i != 0);
      },
      -1);
}

PyObject* to_float(PyObject* a) {
  return guarded([&] { return PyFloat_FromDouble(element("float", value_of(a)).real()); });
}
PyObject* to_integer(PyObject* a) {
  return guarded([&] {
    const Number n = element("int", value_of(a));
    return n.kind == Number::Kind::Float ? PyLong_FromDouble(n.f) : PyLong_FromLongLong(n.i);
  });
}
PyObject* to_index(PyObject* a) {
  return guarded([&] {
    const Tensor& t = value_of(a);
    if (is_floating(t.dtype) || t.numel() != 1)
      fail(ErrorKind::Type, "[index] got ", name(t.dtype), " of shape ", t.shape,
           ", expected an integer tensor of one element; use int(x)");
    return PyLong_FromLongLong(element("index", t).i);
  });
}

template <class F>
void* slot(F* f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace

PyType_Slot operator_slots[] = {
    {Py_nb_add, slot(binary<id_add>)},
    {Py_nb_subtract, slot(binary<id_sub>)},
    {Py_nb_multiply, slot(binary<id_mul>)},
    {Py_nb_true_divide, slot(binary<id_div>)},
    {Py_nb_floor_divide, slot(binary<id_floor_divide>)},
    {Py_nb_remainder, slot(binary<id_remainder>)},
    {Py_nb_power, slot(power)},
    {Py_nb_matrix_multiply, slot(matrix_multiply)},
    {Py_nb_inplace_add, slot(inplace<id_add>)},
    {Py_nb_inplace_subtract, slot(inplace<id_sub>)},
    {Py_nb_inplace_multiply, slot(inplace<id_mul>)},
    {Py_nb_inplace_true_divide, slot(inplace<id_div>)},
    {Py_nb_inplace_floor_divide, slot(inplace<id_floor_divide>)},
    {Py_nb_inplace_remainder, slot(inplace<id_remainder>)},
    {Py_nb_inplace_power, slot(inplace_power)},
    {Py_nb_negative, slot(unary<id_neg>)},
    {Py_nb_positive, slot(positive)},
    {Py_nb_absolute, slot(unary<id_abs>)},
    {Py_nb_invert, slot(invert)},
    {Py_nb_and, slot(binary<id_bitwise_and>)},
    {Py_nb_or, slot(binary<id_bitwise_or>)},
    {Py_nb_xor, slot(binary<id_bitwise_xor>)},
    {Py_nb_lshift, slot(binary<id_bitwise_left_shift>)},
    {Py_nb_rshift, slot(binary<id_bitwise_right_shift>)},
    {Py_nb_inplace_and, slot(inplace<id_bitwise_and>)},
    {Py_nb_inplace_or, slot(inplace<id_bitwise_or>)},
    {Py_nb_inplace_xor, slot(inplace<id_bitwise_xor>)},
    {Py_nb_inplace_lshift, slot(inplace<id_bitwise_left_shift>)},
    {Py_nb_inplace_rshift, slot(inplace<id_bitwise_right_shift>)},
    {Py_nb_bool, slot(truth)},
    {Py_nb_float, slot(to_float)},
    {Py_nb_int, slot(to_integer)},
    {Py_nb_index, slot(to_index)},
    {Py_tp_richcompare, slot(compare)},
    {},
};

}  // namespace tg::bind
