// The rows of the op table as numbers. Plain: backends that are built apart share it.
#pragma once
#include <cstdint>

#include "math/pointwise_ids.h"  // enum of the pointwise ops, generated from math/pointwise.def

namespace tg {

using OpId = uint16_t;  // 0 .. kPointwiseOps-1: the rows of pointwise.def; then the kernel ops below

enum KernelOp : OpId {
  op_where = kPointwiseOps,
  op_cast,
  op_copy_,
  op_fill_,
  op_arange,
  op_sum,
  op_mean,
  op_nansum,
  op_prod,
  op_amax,
  op_amin,
  op_var,
  op_logsumexp,
  op_argmax,
  op_argmin,
  op_any,
  op_all,
  op_norm,
  op_dense,
  op_dense_grad_input,
  op_dense_grad_weight,
  op_dense_grad_bias,
  op_matmul,
  op_dot,
  op_softmax,
  op_softmax_backward,
  op_log_softmax,
  op_log_softmax_backward,
  op_cross_entropy,
  op_cross_entropy_backward,
  op_bce_with_logits,
  op_bce_with_logits_backward,
  op_batch_norm,
  op_batch_norm_backward,
  op_dropout,
  op_dropout_mask,
  op_uniform,
  op_normal,
  op_bernoulli,
  op_integers,
  op_permutation,

  // indexing
  op_index,
  op_index_put,
  op_gather,
  op_scatter,
  op_scatter_add,
  op_masked_fill,
  op_nonzero,
  op_count_nonzero,
  op_searchsorted,

  // shaping
  op_cat,
  op_pad,
  op_tril,
  op_triu,

  // ordering: sorts and scans
  op_cumsum,
  op_cumprod,
  op_sort,
  op_topk,
  op_kthvalue,

  // norms
  op_layer_norm,
  op_layer_norm_backward,

  // optimizers: their steps, in the order of UpdateTable (cpu/update.h)
  op_sgd,
  op_adagrad,
  op_adadelta,
  op_rmsprop,
  op_adam,
  op_adamax,
  op_nadam,
  op_radam,
  op_asgd,
  op_rprop,

  kOps
};

// Parts of rows, into which plans take them apart so that threads can share out their batch. They keep the rows' bits, lie
// beyond the table that users see, and no shape rule checks them.
enum PlanOp : OpId {
  op_class_total = kOps,
  op_channel_squares,
  op_channel_dot,
  op_channel_factors,
  op_channel_gradients,
  op_channel_affine,
  op_channel_backward,
  op_batches,

  kAllOps
};

// What products of matrices on a GPU may give up of their bits, to be made by its tensor cores: one bit each.
enum Precision : uint8_t {
  kExact = 0,
  kTf32 = 1,    // float32 operands may be rounded to tf32
  kHalves = 2,  // float16 and bfloat16 operands may be added up in another order
};

}  // namespace tg
