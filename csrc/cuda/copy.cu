// Elements that are moved, converted or chosen, and which pointwise kernel serves a call.
#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

template <class From, class To>
struct Convert {
  Walk<2> walk;
  Reader<From> from;
  To* to;
  TG_BODY void operator()(int64_t i) const {
    int64_t at[2];
    walk.offsets(i, at);
    to[at[1]] = convert<To>(from[at[0]]);
  }
};
template <class From, class To>
void converted(const Operand& from, const Operand& to, Stream stream) {
  const Operand* both[2] = {&from, &to};
  Convert<From, To> body{walk_over<2>(to.rank, to.shape, both), Reader<From>(from), static_cast<To*>(to.data)};
  each(stream, body.walk.n, body);
}
template <class Word>
struct Choose {
  Walk<4> walk;
  Reader<uint8_t> condition;
  Reader<Word> yes, no;
  Word* to;
  TG_BODY void operator()(int64_t i) const {
    int64_t at[4];
    walk.offsets(i, at);
    to[at[3]] = condition[at[0]] ? yes[at[1]] : no[at[2]];
  }
};

void chosen(const Operand& condition, const Operand& yes, const Operand& no, const Operand& to, Stream stream) {
  const Operand* all[4] = {&condition, &yes, &no, &to};
  with_bytes(dtype_of(to), [&](auto like) {
    using Word = decltype(like);
    Choose<Word> body{walk_over<4>(to.rank, to.shape, all), Reader<uint8_t>(condition), Reader<Word>(yes),
                      Reader<Word>(no), static_cast<Word*>(to.data)};
    each(stream, body.walk.n, body);
  });
}

// out[i] = start + i * step: one rounding in double, one more to the dtype; integers wrap
template <class T, class Number>
struct Progression {
  Number start, step;
  T* out;
  TG_BODY void operator()(int64_t i) const {
    if constexpr (__is_same(Number, double)) out[i] = T(fma(double(i), step, start));
    else out[i] = T(start + Number(i) * step);
  }
};
template <class T>
T number_of(const Attribute& a) {
  return a.kind == Attribute::real ? convert<T>(a.f) : convert<T>(a.i);
}
template <class T, class Number>
void progression(const Call& c, Number start, Number step, Stream stream) {
  each(stream, numel(c.out[0]), Progression<T, Number>{start, step, static_cast<T*>(c.out[0].data)});
}

}  // namespace

void copied(const Operand& from, const Operand& to, Stream stream) {
  with_bytes(dtype_of(to), [&](auto like) { converted<decltype(like), decltype(like)>(from, to, stream); });
}

void cast(const Call& c, Stream stream) {
  const Operand &from = c.in[0], &to = c.out[0];
  if (from.dtype == to.dtype) return copied(from, to, stream);
  with_element(dtype_of(from), [&](auto f) {
    with_element(dtype_of(to), [&](auto t) {
      if constexpr (!__is_same(decltype(f), decltype(t))) converted<decltype(f), decltype(t)>(from, to, stream);
    });
  });
}

Operand contiguous(const Call& c, const Operand& x, Stream stream) {
  const Operand* only[1] = {&x};
  const Walk<1> walk = walk_over<1>(x.rank, x.shape, only);
  if (walk.n == 0 || walk.rank == 0 || (walk.rank == 1 && walk.stride[0][0] == 1)) return x;
  Operand to = x;
  for (int64_t d = x.rank - 1, step = 1; d >= 0; step *= x.shape[d--]) to.strides[d] = step;
  to.data = scratch<unsigned char>(c, walk.n * size_of(dtype_of(x)));
  copied(x, to, stream);
  return to;
}

void copy_(const Call& c, Stream stream) {
  if (c.in[1].dtype != c.out[0].dtype) throw Refusal{ErrorKind::Type, "the elements are of another type"};
  copied(c.in[1], c.out[0], stream);
}

Operand filling(const Attribute& a, Dtype dtype) {
  Operand value;
  value.kind = Operand::number;
  value.dtype = static_cast<int32_t>(dtype);
  with_element(dtype, [&](auto like) {
    using T = decltype(like);
    const T element = a.kind == Attribute::real ? convert<T>(a.f) : convert<T>(a.i);
    __builtin_memcpy(&value.bits, &element, sizeof element);
  });
  return value;
}

void arange(const Call& c, Stream stream) {
  const Dtype dtype = dtype_of(c.out[0]);
  if (is_floating(dtype)) {
    const double start = number_of<double>(c.attribute[0]), step = number_of<double>(c.attribute[1]);
    if (dtype == Dtype::Float32) return progression<float>(c, start, step, stream);
    return progression<double>(c, start, step, stream);
  }
  const auto start = static_cast<uint64_t>(number_of<int64_t>(c.attribute[0])),
             step = static_cast<uint64_t>(number_of<int64_t>(c.attribute[1]));
  if (dtype == Dtype::Int64) return progression<int64_t>(c, start, step, stream);
  if (dtype == Dtype::Int32) return progression<int32_t>(c, start, step, stream);
  progression<uint8_t>(c, start, step, stream);
}

void fill_(const Call& c, Stream stream) { copied(filling(c.attribute[0], dtype_of(c.out[0])), c.out[0], stream); }

void where(const Call& c, Stream stream) { chosen(c.in[0], c.in[1], c.in[2], c.out[0], stream); }
void masked_fill(const Call& c, Stream stream) {
  chosen(c.in[1], filling(c.attribute[0], dtype_of(c.out[0])), c.in[0], c.out[0], stream);
}

// ---- which pointwise kernel

namespace {
PointwiseLaunch launch_of(int op, Dtype t) {
  constexpr const PointwiseLaunch* tables[kComputeDtypes] = {pointwise_float32, pointwise_float64, pointwise_int64,
                                                             pointwise_int32,   pointwise_uint8,   pointwise_bool};
  const PointwiseLaunch found = is_compute(t) ? tables[static_cast<int>(t)][op] : nullptr;
  if (!found) throw Refusal{ErrorKind::NotImplemented, std::string("has no cuda kernel for ") + name(t)};
  return found;
}

struct IsZero {
  TG_BODY bool operator()(int64_t x) const { return x == 0; }
};
// Integers have no quotient by zero.
void refuse_divisors(const Call& c, Stream stream) {
  if (!divides(c.op) || is_floating(dtype_of(c.in[1])) || numel(c.out[0]) == 0) return;
  const Operand& divisors = c.in[1];
  const Check check = Check::of_divisor(divisors.rank, divisors.shape);
  switch (dtype_of(divisors)) {
    case Dtype::Int64: return refuse_integers(c, divisors, check, IsZero{}, stream);
    case Dtype::Int32: return refuse_integers<int32_t>(c, divisors, check, IsZero{}, stream);
    default: return refuse_integers<uint8_t>(c, divisors, check, IsZero{}, stream);
  }
}
}  // namespace

void pointwise(const Call& c, Stream stream) {
  const PointwiseLaunch launch = launch_of(c.op, dtype_of(c.in[0]));
  refuse_divisors(c, stream);
  launch(c.in, c.out[0], c.p, c.q, stream);
}

void activate(int op, Dtype dtype, void* x, int64_t n, double p, double q, Stream stream) {
  Operand o;
  o.kind = Operand::device;
  o.dtype = static_cast<int32_t>(dtype);
  o.data = x;
  o.rank = 1;
  o.shape[0] = n;
  o.strides[0] = 1;
  launch_of(op, dtype)(&o, o, p, q, stream);
}

// ---- bytes of the host

namespace {
struct Put {
  static constexpr size_t most = 1024;
  unsigned char* to;
  unsigned char bytes[most];
  TG_BODY void operator()(int64_t i) const { to[i] = bytes[i]; }
};
}  // namespace

void put(void* to, const void* from, size_t bytes, Stream stream) {
  Put body;
  for (size_t done = 0; done < bytes; done += Put::most) {
    const size_t n = bytes - done < Put::most ? bytes - done : Put::most;
    body.to = static_cast<unsigned char*>(to) + done;
    __builtin_memcpy(body.bytes, static_cast<const unsigned char*>(from) + done, n);
    each(stream, int64_t(n), body);
  }
}

}  // namespace tg::cuda
