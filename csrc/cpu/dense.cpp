// Dense layers and matmul: from tensors to the matrices that the ISA's dense table works on.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "cpu/pool.h"
#include "math/order.h"
#include "ops/parameters.h"

namespace tg {
namespace {

// (..., C) as rows of unit stride: (rows, C) with one row stride, copied only where the layout has none.
struct Rows {
  Tensor t;
  int64_t rows, columns, stride;
};

Rows rows_of(const Tensor& x) {
  const int64_t columns = x.shape.back();
  int64_t rows = 1;
  for (int i = 0; i + 1 < x.rank(); i++) rows *= x.shape[i];
  Tensor flat = rows && columns ? try_view("dense", x, {rows, columns}) : Tensor{};
  if (!flat.defined() || (columns > 1 && flat.strides[1] != 1)) {
    flat = contiguous(x);
    return {flat, rows, columns, columns};
  }
  return {flat, rows, columns, flat.strides[0]};
}

// The packed weights of a layer stay beside the storage until it is written. Memory that numpy also sees can change
// behind the door, so nothing is kept for it. For a few rows, packing pays only if the weights stay as they are: then
// the first call with them leaves a mark, an empty block, and the second packs.
template <class T>
std::shared_ptr<const Derived> packed(const Tensor& w, int64_t rows, const DenseTable<T>& table) {
  constexpr int64_t kFewRows = 8;
  Storage& storage = *w.storage.get();
  if (storage.shared_outside() || storage.foreign() || w.storage.fleeting()) return nullptr;
  uint64_t key = reinterpret_cast<uintptr_t>(&table);  // the layout is the ISA's
  for (int64_t part : {w.offset, w.shape[0], w.shape[1], w.strides[0], w.strides[1]})
    key = (key ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15u, key ^= key >> 29;
  const uint64_t version = storage.version();
  if (auto block = storage.derived(key); block && block->bytes) return block;
  else if (!block && rows <= kFewRows) {
    static const auto mark = std::make_shared<const Derived>(size_t(0));
    storage.set_derived(key, version, mark);
    return nullptr;
  }
  auto block = std::make_shared<Derived>(static_cast<size_t>(table.packed_size(w.shape[0], w.shape[1])) * sizeof(T));
  table.pack(w.data<T>(), w.strides[0], w.strides[1], w.shape[0], w.shape[1], static_cast<T*>(block->data));
  storage.set_derived(key, version, block);
  return block;
}

template <class T>
DenseActivation<T> fused_activation(const Call& c) {
  DenseActivation<T> a;
  const Activation wanted = activation_of(c);
  if (!wanted.op) return a;
  if (wanted.op->id == id_relu) {
    a.kind = Fused::relu;
    return a;
  }
  a.kind = Fused::function;
  a.function = isa().pointwise->ops[static_cast<int>(c.out[0].dtype)][wanted.op->id];
  a.p = wanted.p, a.q = wanted.q;
  return a;
}

template <class T>
void dense(const Call& c) {
  const Rows x = rows_of(c.in[0]);
  const Tensor& w = c.in[1];
  const Tensor bias = c.in[2].defined() ? contiguous(c.in[2]) : Tensor{};
  const DenseTable<T>& table = isa().dense<T>();
  const auto block = packed<T>(w, x.rows, table);
  DenseForward<T> f{};
  f.M = x.rows, f.N = w.shape[0], f.K = w.shape[1];
  f.x = x.t.data<T>(), f.x_row = x.stride;
  f.packed = block ? static_cast<const T*>(block->data) : nullptr;
  f.w = w.data<T>(), f.w_n = w.strides[0], f.w_k = w.strides[1];
  f.bias = bias.defined() ? bias.data<T>() : nullptr;
  f.y = c.out[0].data<T>(), f.y_row = f.N;
  f.activation = fused_activation<T>(c);
  table.forward(f);
}

// The derivative of an activation that a product applies to its result (M,K) where it makes it: `c` is the call that would do
// it afterwards.
template <class T>
DenseActivation<T> slope_of(const Call& c) {
  DenseActivation<T> a;
  auto read = [&](const Tensor& t) {  // what the derivative does not need is the gradient itself
    return t.storage == c.in[0].storage && t.offset == c.in[0].offset ? nullptr : t.data<T>();
  };
  a.input = read(c.in[1]), a.output = read(c.in[2]);
  a.row = c.out[0].shape.back();
  a.kind = c.op.id == id_relu_backward && a.input       ? Fused::relu_slope
           : c.op.id == id_tanh_backward && a.output    ? Fused::tanh_slope
           : c.op.id == id_sigmoid_backward && a.output ? Fused::sigmoid_slope
                                                        : Fused::function;
  a.function = isa().pointwise->ops[static_cast<int>(c.out[0].dtype)][c.op.id];
  a.p = pointwise_parameter(c, 0), a.q = pointwise_parameter(c, 1);
  return a;
}

template <class T>
void dense_grad_input(const Call& c, const Tensor& dx, const DenseActivation<T>& slope) {
  const Rows g = rows_of(c.in[0]);
  const Tensor& w = c.in[1];
  DenseGradInput<T> d{};
  d.M = g.rows, d.N = w.shape[0], d.K = w.shape[1];
  d.dy = g.t.data<T>(), d.dy_row = g.stride;
  d.w = w.data<T>(), d.w_n = w.strides[0], d.w_k = w.strides[1];
  d.dx = dx.data<T>(), d.dx_row = d.K;
  d.slope = slope;
  isa().dense<T>().grad_input(d);
}
template <class T>
void dense_grad_input(const Call& c) {
  dense_grad_input<T>(c, c.out[0], {});
}
template <class T>
void input_gradient(std::span<const Call> calls) {
  dense_grad_input<T>(calls[0], calls[1].out[0], slope_of<T>(calls[1]));
}

template <class T>
void dense_grad_weight(const Call& c, T* db) {
  const Rows g = rows_of(c.in[0]), x = rows_of(c.in[1]);
  DenseGradWeight<T> d{};
  d.M = g.rows, d.N = g.columns, d.K = x.columns;
  d.dy = g.t.data<T>(), d.dy_row = g.stride;
  d.x = x.t.data<T>(), d.x_row = x.stride;
  d.dw = c.out[0].data<T>(), d.dw_row = d.K;
  d.shard = shard_rows(c.batch ? c.batch : d.M);
  d.db = db;
  isa().dense<T>().grad_weight(d);
}

template <class T>
void dense_grad_weight(const Call& c) {
  dense_grad_weight<T>(c, nullptr);
}
template <class T>
void parameter_gradients(std::span<const Call> calls) {
  dense_grad_weight<T>(calls[0], calls[1].out[0].data<T>());
}

template <class T>
void dense_grad_bias(const Call& c) {
  const Rows g = rows_of(c.in[0]);
  DenseGradWeight<T> d{};
  d.M = g.rows, d.N = g.columns;
  d.dy = g.t.data<T>(), d.dy_row = g.stride;
  d.db = c.out[0].data<T>();
  d.shard = shard_rows(c.batch ? c.batch : d.M);
  isa().dense<T>().grad_weight(d);
}

// a (..., M, K) @ b (..., K, N): leading axes broadcast; one matrix product per batch item.
template <class T>
struct Batches {
  Tensor a, b, c;  // all (items..., ., .) with one set of leading axes
  int64_t M, N, K;
  void (*product)(const Matmul<T>&);

  static void item(void* self, int64_t index) {
    const Batches& s = *static_cast<const Batches*>(self);
    const int lead = s.c.rank() - 2;
    int64_t at_a = 0, at_b = 0, at_c = 0;
    for (int i = lead - 1; i >= 0; i--) {
      const int64_t k = index % s.c.shape[i];
      index /= s.c.shape[i];
      at_a += k * s.a.strides[i], at_b += k * s.b.strides[i], at_c += k * s.c.strides[i];
    }
    Matmul<T> m{};
    m.M = s.M, m.N = s.N, m.K = s.K;
    m.a = s.a.template data<T>() + at_a, m.a_m = s.a.strides[lead], m.a_k = s.a.strides[lead + 1];
    m.b = s.b.template data<T>() + at_b, m.b_k = s.b.strides[lead], m.b_n = s.b.strides[lead + 1];
    m.c = s.c.template data<T>() + at_c, m.c_row = s.N;
    s.product(m);
  }
};

// Integers wrap around: sums of unsigned products, whose order does not matter.
template <class T>
void integer_product(const Matmul<T>& g) {
  using U = std::make_unsigned_t<T>;
  for (int64_t m = 0; m < g.M; m++) {
    const U* a = reinterpret_cast<const U*>(g.a) + m * g.a_m;
    U* c = reinterpret_cast<U*>(g.c) + m * g.c_row;
    std::fill(c, c + g.N, U(0));
    for (int64_t k = 0; k < g.K; k++) {
      const U* b = reinterpret_cast<const U*>(g.b) + k * g.b_k;
      const U factor = a[k * g.a_k];
      if (g.b_n == 1)
        for (int64_t n = 0; n < g.N; n++) c[n] = static_cast<U>(c[n] + factor * b[n]);
      else
        for (int64_t n = 0; n < g.N; n++) c[n] = static_cast<U>(c[n] + factor * b[n * g.b_n]);
    }
  }
}

template <class T>
auto product_of() {
  if constexpr (std::is_integral_v<T>) return &integer_product<T>;
  else return isa().dense<T>().matmul;
}

template <class T>
void matmul(const Call& c) {
  if (c.out[0].numel() == 0) return;
  const char* op = "matmul";
  Tensor a = c.in[0], b = c.in[1], y = c.out[0];
  if (a.rank() == 1) a = unsqueeze(op, a, 0), y = unsqueeze(op, y, b.rank() == 1 ? 0 : y.rank() - 1);
  if (b.rank() == 1) b = unsqueeze(op, b, 1), y = unsqueeze(op, y, y.rank());
  const int lead = y.rank() - 2;
  auto with_lead = [&](const Tensor& t) {
    Dims shape(y.shape.begin(), lead);
    shape.push_back(t.shape[t.rank() - 2]);
    shape.push_back(t.shape[t.rank() - 1]);
    return expand(op, t, shape);
  };
  Batches<T> s{with_lead(a), with_lead(b), y, y.shape[lead], y.shape[lead + 1], a.shape.back(), product_of<T>()};
  int64_t items = 1;
  for (int i = 0; i < lead; i++) items *= y.shape[i];
  // Large items share the threads among themselves; small ones are shared out whole.
  constexpr int64_t kItemWorthThreads = 1 << 22, kWorthThreads = 1 << 19;  // multiply-adds
  const int64_t work = s.M * s.N * s.K;
  if (work < kItemWorthThreads && work * items >= kWorthThreads) parallel(items, Batches<T>::item, &s);
  else
    for (int64_t i = 0; i < items; i++) Batches<T>::item(&s, i);
}

template <void (*F32)(const Call&), void (*F64)(const Call&)>
void by_dtype(const Call& c) {
  c.out[0].dtype == Dtype::Float32 ? F32(c) : F64(c);
}

}  // namespace

void k_dense(const Call& c) { by_dtype<dense<float>, dense<double>>(c); }
void k_dense_grad_input(const Call& c) { by_dtype<dense_grad_input<float>, dense_grad_input<double>>(c); }
void k_dense_grad_weight(const Call& c) { by_dtype<dense_grad_weight<float>, dense_grad_weight<double>>(c); }
void k_dense_grad_bias(const Call& c) { by_dtype<dense_grad_bias<float>, dense_grad_bias<double>>(c); }
void k_parameter_gradients(std::span<const Call> calls) {
  calls[0].out[0].dtype == Dtype::Float32 ? parameter_gradients<float>(calls) : parameter_gradients<double>(calls);
}
void k_input_gradient(std::span<const Call> calls) {
  calls[0].out[0].dtype == Dtype::Float32 ? input_gradient<float>(calls) : input_gradient<double>(calls);
}
void k_matmul(const Call& c) {
  switch (c.out[0].dtype) {
    case Dtype::Int64: return matmul<int64_t>(c);
    case Dtype::Int32: return matmul<int32_t>(c);
    case Dtype::UInt8: return matmul<uint8_t>(c);
    default: return by_dtype<matmul<float>, matmul<double>>(c);
  }
}

}  // namespace tg
