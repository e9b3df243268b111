// Fast mode: products by tensor cores, where a call allows it (ops/op.h, Precision) and the device has what they need. The same call
// gives the same bits on the same kind of device; what they may be off by says docs/arithmetic.md.
#pragma once
#include "cuda/dense.h"
#include "cuda/dense_grad.h"
#include "cuda/kernels.h"

namespace tg::cuda {

bool is_fast(const Call& c);

// Does the product, or says that the call wants the exact kernels. `finish` as of a call in float32 or 16 bits.
bool fast_product(const Call& c, const ProductOperands& o, Along along_a, Along along_b, const Activated<float>& finish,
                  Stream stream);
inline bool fast_product(const Call&, const ProductOperands&, Along, Along, const Activated<double>&, Stream) {
  return false;
}
// The gradient of a weight, of a call that is fast.
void fast_gradient(const Call& c, const GradientOperands& o, const Operand& dw, Stream stream);

// Many products, or one whose terms are taken in pieces.
struct FastOperands {
  ProductOperands o;
  int64_t piece = 0;  // > 0: the terms of an item, which starts so many after the one before
};
// fast_<format>.cu
using FastKernel = void (*)(const FastOperands& f, Along along_a, Along along_b, const Activated<float>& finish,
                            int multiprocessors, Stream stream);
void fast_tf32(const FastOperands&, Along, Along, const Activated<float>&, int, Stream);
void fast_bfloat16(const FastOperands&, Along, Along, const Activated<float>&, int, Stream);
void fast_float16(const FastOperands&, Along, Along, const Activated<float>&, int, Stream);

}  // namespace tg::cuda
