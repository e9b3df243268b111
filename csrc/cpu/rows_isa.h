// What every source of csrc/cpu/isa/rows_*.cpp starts from, and the functions that they give to the tables. These are
// overloads per dtype with external linkage, so that one table can gather them from several sources.
#pragma once
#include "cpu/simd.h"

#include "cpu/row16.h"
#include "math/order.h"
namespace tg::TG_ISA_NS {
#include "cpu/random_bits.inl"
}
#include "cpu/rows.h"
#include "math/loss.h"
#include "math/reduce.h"
#include "math/softmax.h"

namespace tg::TG_ISA_NS {

#define TG_ROWS_KERNELS(T)                                        \
  void reduce_rows(const ReduceRows<T>&);                         \
  void reduce_columns(const ReduceColumns<T>&);                   \
  void dot_rows(const DotRows<T>&);                               \
  void arg_rows(const ArgRows<T>&);                               \
  void arg_columns(const ArgColumns<T>&);                         \
  void add_log(int64_t n, const T* sum, T* inout);                \
  void softmax(const Softmax<T>&);                                \
  void softmax_backward(const SoftmaxBackward<T>&);               \
  void cross_entropy(const CrossEntropy<T>&);                     \
  void cross_entropy_backward(const CrossEntropyBackward<T>&);    \
  void bce_with_logits(const BceWithLogits<T>&);                  \
  void bce_with_logits_backward(const BceWithLogitsBackward<T>&); \
  void layer_norm(const LayerNorm<T>&);                           \
  void layer_norm_backward(const LayerNormBackward<T>&);          \
  void channel_affine(const ChannelAffine<T>&);                   \
  void channel_norm_backward(const ChannelNormBackward<T>&);      \
  void uniform(const RandomUniform<T>&);                          \
  void normal(const RandomNormal<T>&);                            \
  void bernoulli(const RandomBernoulli<T>&);                      \
  void dropout(const Dropout<T>&);
TG_ROWS_KERNELS(float)
TG_ROWS_KERNELS(double)
#undef TG_ROWS_KERNELS
void dropout_mask(const DropoutMask&);
void random_bits(const RandomBits&);

namespace {
#include "cpu/rows.inl"
}

// The overloads of `name` for both dtypes, out of the template name_of<V>.
#define TG_ROWS_KERNEL(name, Args)                      \
  void name(const Args<float>& a) { name##_of<vf>(a); } \
  void name(const Args<double>& a) { name##_of<vd>(a); }

}  // namespace tg::TG_ISA_NS
