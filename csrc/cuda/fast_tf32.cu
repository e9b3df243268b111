// Products of float32 by tensor cores, which take 11 significant bits of it (tf32).
#include "cuda/fast_product.h"

namespace tg::cuda {

void fast_tf32(const FastOperands& f, Along along_a, Along along_b, const Activated<float>& finish, int multiprocessors,
               Stream stream) {
  fast_product_of<Format::tf32>(f, along_a, along_b, finish, multiprocessors, stream);
}

}  // namespace tg::cuda
