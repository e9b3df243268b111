// Products of float16 by tensor cores.
#include "cuda/fast_product.h"

namespace tg::cuda {

void fast_float16(const FastOperands& f, Along along_a, Along along_b, const Activated<float>& finish,
                  int multiprocessors, Stream stream) {
  fast_product_of<Format::float16>(f, along_a, along_b, finish, multiprocessors, stream);
}

}  // namespace tg::cuda
