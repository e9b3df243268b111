// Which calls are made by tensor cores.
#include "cuda/fast.h"

#include "cuda/cublas.h"
#include "cuda/matrices.h"

namespace tg::cuda {
namespace {

FastKernel kernel_of(Dtype t) {
  return t == Dtype::Float32 ? fast_tf32 : t == Dtype::BFloat16 ? fast_bfloat16 : fast_float16;
}

// Before compute capability 8 they know neither tf32 nor bfloat16, and code for it does not ask for them, wherever it runs.
bool has_tensor_cores(int capability) {
#if defined(__CUDACC__)
  for (const int compiled : {__CUDA_ARCH_LIST__})
    if (compiled >= 800 && compiled / 10 <= capability) return true;
  return false;
#else
  return capability >= 80;
#endif
}

}  // namespace

bool is_fast(const Call& c) {
  const Dtype t = dtype_of(c.in[0]);
  const int asked = t == Dtype::Float32 ? kTf32 : size_of(t) == 2 ? kHalves : 0;
  return (c.precision & asked) != 0 && has_tensor_cores(device::traits(c.index).capability);
}

bool fast_product(const Call& c, const ProductOperands& o, Along along_a, Along along_b, const Activated<float>& finish,
                  Stream stream) {
  if (!is_fast(c)) return false;
  if (o.d.M == 0 || o.d.N == 0) return true;
  const bool follows = finish.op >= 0;  // after the library's product, in place
  if ((!follows || finish.rows.type == Dtype::Float32) && cublas_product(c, o, along_a, along_b, finish.rows, stream)) {
    if (follows)
      activate(finish.op, Dtype::Float32, finish.rows.data, o.d.M * o.d.N, double(finish.p), double(finish.q), stream);
    return true;
  }
  kernel_of(o.a.type)({o, 0}, along_a, along_b, finish, device::traits(c.index).multiprocessors, stream);
  return true;
}

// The rows are cut into pieces where the weight alone would leave the device idle: so many blocks that each multiprocessor has two.
void fast_gradient(const Call& c, const GradientOperands& g, const Operand& dw, Stream stream) {
  const int multiprocessors = device::traits(c.index).multiprocessors;
  FastOperands f;
  f.o.d = g.d;
  f.o.a = g.dy;
  f.o.b = g.x;
  constexpr int64_t kLeast = 256;  // rows of a piece
  const int64_t tiles = (g.d.M + 63) / 64 * ((g.d.N + 63) / 64), n = g.d.M * g.d.N;
  const int64_t most = (g.d.K + kLeast - 1) / kLeast, wanted = (2 * multiprocessors + tiles - 1) / tiles;
  int64_t pieces = std::max<int64_t>(1, std::min(most, wanted));
  if (n == 0) return;
  f.piece = ((g.d.K + pieces - 1) / pieces + 31) / 32 * 32;
  pieces = f.piece ? (g.d.K + f.piece - 1) / f.piece : 1;
  float* partial = pieces > 1 ? scratch<float>(c, pieces * n) : nullptr;
  Operand to = dw;
  if (partial) to.data = partial, to.dtype = static_cast<int32_t>(Dtype::Float32);
  if (pieces == 1) f.piece = 0;
  kernel_of(g.x.type)(f, Along::lines, Along::lines, Activated<float>{rows_of(to, g.d.N)}, multiprocessors, stream);
  join_all<float>(n, pieces, partial, dw.data, dtype_of(dw), stream,
                  [&](int64_t bytes) -> void* { return scratch<unsigned char>(c, bytes); });
}

}  // namespace tg::cuda
