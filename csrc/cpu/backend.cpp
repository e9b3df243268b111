// The CPU backend: which kernel serves which op.
#include "cpu/kernels.h"
#include "cpu/pool.h"
#include "ops/backends.h"

namespace tg {
namespace {

constexpr Backend make_backend() {
  Backend b{"cpu", Device::Cpu, {}, parallel, num_threads};
  for (int i = 0; i < kPointwiseOps; i++) b.kernels[i] = k_pointwise;
  b.kernels[op_where] = k_where;
  b.kernels[op_cast] = k_cast;
  b.kernels[op_copy_] = k_copy_;
  b.kernels[op_fill_] = k_fill_;
  b.kernels[op_arange] = k_arange;

  b.kernels[op_dense] = k_dense;
  b.kernels[op_dense_grad_input] = k_dense_grad_input;
  b.kernels[op_dense_grad_weight] = k_dense_grad_weight;
  b.kernels[op_dense_grad_bias] = k_dense_grad_bias;
  b.kernels[op_matmul] = k_matmul;
  b.kernels[op_dot] = k_dot;

  b.kernels[op_sum] = k_sum;
  b.kernels[op_mean] = k_mean;
  b.kernels[op_nansum] = k_nansum;
  b.kernels[op_prod] = k_prod;
  b.kernels[op_amax] = k_amax;
  b.kernels[op_amin] = k_amin;
  b.kernels[op_var] = k_var;
  b.kernels[op_logsumexp] = k_logsumexp;
  b.kernels[op_argmax] = k_argmax;
  b.kernels[op_argmin] = k_argmin;
  b.kernels[op_any] = k_any;
  b.kernels[op_all] = k_all;
  b.kernels[op_norm] = k_norm;
  b.kernels[op_softmax] = k_softmax;
  b.kernels[op_softmax_backward] = k_softmax_backward;
  b.kernels[op_log_softmax] = k_log_softmax;
  b.kernels[op_log_softmax_backward] = k_log_softmax_backward;
  b.kernels[op_cross_entropy] = k_cross_entropy;
  b.kernels[op_cross_entropy_backward] = k_cross_entropy_backward;
  b.kernels[op_bce_with_logits] = k_bce_with_logits;
  b.kernels[op_bce_with_logits_backward] = k_bce_with_logits_backward;
  b.kernels[op_batch_norm] = k_batch_norm;
  b.kernels[op_batch_norm_backward] = k_batch_norm_backward;
  b.kernels[op_dropout] = k_dropout;
  b.kernels[op_dropout_mask] = k_dropout_mask;
  b.kernels[op_uniform] = k_uniform;
  b.kernels[op_normal] = k_normal;
  b.kernels[op_bernoulli] = k_bernoulli;
  b.kernels[op_integers] = k_integers;
  b.kernels[op_permutation] = k_permutation;

  // ---- indexing
  b.kernels[op_index] = k_index;
  b.kernels[op_index_put] = k_index_put;
  b.kernels[op_gather] = k_gather;
  b.kernels[op_scatter] = k_scatter;
  b.kernels[op_scatter_add] = k_scatter_add;
  b.kernels[op_masked_fill] = k_masked_fill;
  b.kernels[op_nonzero] = k_nonzero;
  b.kernels[op_count_nonzero] = k_count_nonzero;
  b.kernels[op_searchsorted] = k_searchsorted;

  // ---- shaping
  b.kernels[op_cat] = k_cat;
  b.kernels[op_pad] = k_pad;
  b.kernels[op_tril] = k_tril;
  b.kernels[op_triu] = k_triu;

  // ---- ordering: sorts and scans
  b.kernels[op_cumsum] = k_cumsum;
  b.kernels[op_cumprod] = k_cumprod;
  b.kernels[op_sort] = k_sort;
  b.kernels[op_topk] = k_topk;
  b.kernels[op_kthvalue] = k_kthvalue;

  // ---- norms
  b.kernels[op_layer_norm] = k_layer_norm;
  b.kernels[op_layer_norm_backward] = k_layer_norm_backward;

  // ---- optimizers
  for (int i = op_sgd; i <= op_rprop; i++) b.kernels[i] = k_update;

  // ---- parts of rows, for plans
  b.kernels[op_class_total] = k_class_total;
  b.kernels[op_channel_squares] = k_channel_squares;
  b.kernels[op_channel_dot] = k_channel_dot;
  b.kernels[op_channel_factors] = k_channel_factors;
  b.kernels[op_channel_gradients] = k_channel_gradients;
  b.kernels[op_channel_affine] = k_channel_affine;
  b.kernels[op_channel_backward] = k_channel_backward;

  b.together[static_cast<int>(Together::parameter_gradients)] = k_parameter_gradients;
  b.together[static_cast<int>(Together::input_gradient)] = k_input_gradient;

  return b;
}

constexpr Backend backend = make_backend();

}  // namespace

const Backend* cpu_backend() { return &backend; }

}  // namespace tg
