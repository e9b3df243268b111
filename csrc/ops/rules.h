// Shape rules of the kernel ops, one per family. Each reads shapes, dtypes and attributes only.
#pragma once
#include "ops/op.h"

namespace tg::rules {

void where(Inference& c);
void cast(Inference& c);
void copy_(Inference& c);
void fill_(Inference& c);
void arange(Inference& c);

void sum(Inference& c);       // sum, prod: integers become int64
void mean(Inference& c);      // mean, var, logsumexp: floating only
void extremum(Inference& c);  // amax, amin: keep the dtype, refuse an empty reduction
void arg_extremum(Inference& c);
void truth(Inference& c);  // any, all
void norm(Inference& c);

void dense(Inference& c);
void dense_grad_input(Inference& c);
void dense_grad_weight(Inference& c);
void dense_grad_bias(Inference& c);
void dot(Inference& c);
void matmul(Inference& c);

void softmax(Inference& c);
void softmax_backward(Inference& c);
void cross_entropy(Inference& c);
void cross_entropy_backward(Inference& c);
void bce_with_logits(Inference& c);
void bce_with_logits_backward(Inference& c);
void batch_norm(Inference& c);
void batch_norm_backward(Inference& c);

void dropout(Inference& c);
void dropout_mask(Inference& c);
void random_real(Inference& c);
void bernoulli(Inference& c);
void integers(Inference& c);
void permutation(Inference& c);

// indexing
void index(Inference& c);
void index_put(Inference& c);
void gather(Inference& c);
void scatter(Inference& c);  // scatter, scatter_add
void masked_fill(Inference& c);
void nonzero(Inference& c);
void count_nonzero(Inference& c);
void searchsorted(Inference& c);

void cat(Inference& c);
void pad(Inference& c);
void triangle(Inference& c);  // tril, triu

void update(Inference& c);  // the steps of the optimizers

void scan(Inference& c);  // cumsum, cumprod: integers become int64
void sort(Inference& c);
void topk(Inference& c);
void kthvalue(Inference& c);

void layer_norm(Inference& c);
void layer_norm_backward(Inference& c);

// Pointwise rows: broadcast, promote, and per dtype class of the row.
void pointwise(Inference& c, int arity, PointwiseClass cls, bool to_bool);
void pointwise_parameters(const Inference& c);  // of the rows that refuse some

}  // namespace tg::rules
