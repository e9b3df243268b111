// The gradients of a dense layer's weight and bias.
#include "cuda/dense_grad.h"
#include "cuda/fast.h"
#include "cuda/matrices.h"

namespace tg::cuda {
namespace {

// What there is of dw (N,K) and db (N).
void parameter_gradients(const Call& c, const Operand& dw, const Operand* db, Stream stream) {
  with_products(dtype_of(dw), [&](auto t) {
    using T = decltype(t);
    const Table dy = table_of(c, c.in[0], stream), x = table_of(c, c.in[1], stream);
    GradientOperands o;
    o.d = {dy.columns, x.columns, dy.rows};
    o.dy = matrix(dy.x, dy.column, dy.row, Along::lines);
    o.x = matrix(x.x, x.column, x.row, Along::lines);
    o.shard = shard_rows(c.batch ? c.batch : dy.rows);
    o.bias = db != nullptr;
    if (o.d.N && is_fast(c)) {
      fast_gradient(c, o, dw, stream);
      if (!db) return;
      o.d.N = 0;  // what is left are the sums of dy's columns, as ever
    }
    const device::Traits device = device::traits(c.index);
    gradient<T>(o, {dw.data, db ? db->data : nullptr, dtype_of(dw)}, device.multiprocessors, device.block_memory,
                stream,
                [&](int64_t bytes) -> void* { return scratch<unsigned char>(c, std::max<int64_t>(bytes, 16)); });
  });
}

}  // namespace

void dense_grad_weight(const Call& c, Stream stream) { parameter_gradients(c, c.out[0], nullptr, stream); }
// Both gradients of a layer, from one look at dy.
void parameter_gradients(const Call* calls, Stream stream) {
  parameter_gradients(calls[0], calls[0].out[0], &calls[1].out[0], stream);
}
// In 16 bits as the sums of a layer without inputs.
void dense_grad_bias(const Call& c, Stream stream) {
  if (size_of(dtype_of(c.in[0])) != 2) return column_sums(c, stream);
  Operand in[2] = {c.in[0], c.in[0]}, none = c.out[0];
  in[1].shape[in[1].rank - 1] = 0;
  Call sums = c;
  sums.in = in;
  parameter_gradients(sums, none, &c.out[0], stream);
}

}  // namespace tg::cuda
