// The kernels of the CPU backend: one function per op, listed in backend.cpp.
#pragma once
#include "ops/op.h"

namespace tg {

// pointwise.cpp
void k_pointwise(const Call& call);  // every row of pointwise.def and its derivatives
void k_where(const Call& call);

// dense.cpp
void k_dense(const Call& call);
void k_dense_grad_input(const Call& call);
void k_dense_grad_weight(const Call& call);
void k_dense_grad_bias(const Call& call);
void k_parameter_gradients(std::span<const Call> calls);
void k_input_gradient(std::span<const Call> calls);
void k_matmul(const Call& call);
void k_dot(const Call& call);

// copy.cpp
void k_cast(const Call& call);
void k_copy_(const Call& call);
void k_fill_(const Call& call);
void k_arange(const Call& call);

// reduce.cpp
void k_sum(const Call& call);
void k_mean(const Call& call);
void k_nansum(const Call& call);
void k_prod(const Call& call);
void k_amax(const Call& call);
void k_amin(const Call& call);
void k_var(const Call& call);
void k_logsumexp(const Call& call);
void k_argmax(const Call& call);
void k_argmin(const Call& call);
void k_any(const Call& call);
void k_all(const Call& call);
void k_norm(const Call& call);

// softmax.cpp
void k_softmax(const Call& call);
void k_softmax_backward(const Call& call);
void k_log_softmax(const Call& call);
void k_log_softmax_backward(const Call& call);

// loss.cpp
void k_cross_entropy(const Call& call);
void k_cross_entropy_backward(const Call& call);
void k_bce_with_logits(const Call& call);
void k_bce_with_logits_backward(const Call& call);

// norm.cpp
void k_batch_norm(const Call& call);
void k_batch_norm_backward(const Call& call);

// random.cpp
void k_dropout(const Call& call);
void k_dropout_mask(const Call& call);
void k_uniform(const Call& call);
void k_normal(const Call& call);
void k_bernoulli(const Call& call);
void k_integers(const Call& call);
void k_permutation(const Call& call);

// ---- indexing
void k_masked_fill(const Call& call);  // copy.cpp

// indexing.cpp
void k_index(const Call& call);
void k_index_put(const Call& call);
void k_gather(const Call& call);
void k_scatter(const Call& call);
void k_scatter_add(const Call& call);

// search.cpp
void k_nonzero(const Call& call);
void k_count_nonzero(const Call& call);
void k_searchsorted(const Call& call);

// ---- shaping.cpp
void k_cat(const Call& call);
void k_pad(const Call& call);
void k_tril(const Call& call);
void k_triu(const Call& call);

// ---- ordering: sorts and scans
// scan.cpp
void k_cumsum(const Call& call);
void k_cumprod(const Call& call);

// sort.cpp, select.cpp
void k_sort(const Call& call);
void k_topk(const Call& call);
void k_kthvalue(const Call& call);

// ---- norms
// layer_norm.cpp
void k_layer_norm(const Call& call);
void k_layer_norm_backward(const Call& call);

// update.cpp
void k_update(const Call& call);  // the step of every optimizer

// ---- parts of rows, for plans
void k_class_total(const Call& call);  // loss.cpp

// norm.cpp
void k_channel_squares(const Call& call);
void k_channel_dot(const Call& call);
void k_channel_factors(const Call& call);
void k_channel_gradients(const Call& call);
void k_channel_affine(const Call& call);
void k_channel_backward(const Call& call);

}  // namespace tg
