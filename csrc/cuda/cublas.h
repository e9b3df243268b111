// cuBLASLt, where it is: loaded when fast mode first meets a product that is worth it. trigrad does without it just as well.
#pragma once
#include "cuda/fast.h"

namespace tg::cuda {

// y(M,N) = bias + a b^T by the library, in the numbers that fast mode allows; false: the own kernels are wanted. Takes one product
// alone, with a bias or none, contiguous rows of y in the operands' dtype, and no activation.
bool cublas_product(const Call& c, const ProductOperands& o, Along along_a, Along along_b, const Rows& y,
                    Stream stream);

}  // namespace tg::cuda
