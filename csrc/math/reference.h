// Every canonical order as plain loops. The kernels are compared with these bit for bit; exports may paste them.
// S is float or double. Matrices are row-major and contiguous; a stride argument says otherwise.
#pragma once
#include "order.h"

namespace tg::reference {

// A sum of equal pieces, joined in the binary tree of order.h.
template <class S>
struct Tree {
  S entry[64];
  int entries = 0;
  int64_t pieces = 0;
};
template <class S>
TG_FN void push(Tree<S>& tree, S piece) {
  for (int merges = tree_merges(tree.pieces++); merges > 0; merges--) piece = tree.entry[--tree.entries] + piece;
  tree.entry[tree.entries++] = piece;
}
template <class S>
TG_FN S total(const Tree<S>& tree) {  // of no piece at all: +0
  if (tree.entries == 0) return S(0);
  S sum = tree.entry[tree.entries - 1];
  for (int i = tree.entries - 2; i >= 0; i--) sum = tree.entry[i] + sum;
  return sum;
}

// Chain 0 of count chains after folding them by halves; count is a power of two.
template <class S>
TG_FN S fold(S* chain, int count) {
  for (int half = count / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) chain[i] = chain[i] + chain[i + half];
  return chain[0];
}

// start + sum over k < K of a[k a_step] b[k b_step], in the dense order of a row of N outputs
template <class S>
TG_FN S dense_sum(int64_t K, int64_t N, const S* a, int64_t a_step, const S* b, int64_t b_step, S start) {
  S chain[16] = {start};
  const int chains = dense_chains(K, N);
  for (int i = 1; i < chains; i++) chain[i] = S(0);
  for (int64_t k = 0; k < K; k++) chain[k % chains] = fma(a[k * a_step], b[k * b_step], chain[k % chains]);
  return fold(chain, chains);
}

// y(M,N) = x(M,K) w(N,K)^T + bias(N); bias may be null
template <class S>
TG_FN void dense(int64_t M, int64_t N, int64_t K, const S* x, const S* w, const S* bias, S* y) {
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++)
      y[m * N + n] = dense_sum<S>(K, N, x + m * K, 1, w + n * K, 1, bias ? bias[n] : S(0));
}

// dx(M,K) = dy(M,N) w(N,K)
template <class S>
TG_FN void dense_grad_input(int64_t M, int64_t N, int64_t K, const S* dy, const S* w, S* dx) {
  for (int64_t m = 0; m < M; m++)
    for (int64_t k = 0; k < K; k++) dx[m * K + k] = dense_sum<S>(N, K, dy + m * N, 1, w + k, K, S(0));
}

// c(M,N) = a(M,K) b(K,N)
template <class S>
TG_FN void matmul(int64_t M, int64_t N, int64_t K, const S* a, const S* b, S* c) {
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) c[m * N + n] = dense_sum<S>(K, N, a + m * K, 1, b + n, N, S(0));
}

// Batch order: term(m, chain) is the chain after row m.
template <class S, class Term>
TG_FN S batch_sum(int64_t M, Term term) {
  Tree<S> tree;
  const int64_t rows = shard_rows(M);
  for (int64_t first = 0; first < M; first += rows) {
    S chain = S(0);
    for (int64_t m = first; m < M && m < first + rows; m++) chain = term(m, chain);
    push(tree, chain);
  }
  return total(tree);
}

// dw(N,K) = dy(M,N)^T x(M,K)
template <class S>
TG_FN void dense_grad_weight(int64_t M, int64_t N, int64_t K, const S* dy, const S* x, S* dw) {
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++)
      dw[n * K + k] = batch_sum<S>(M, [&](int64_t m, S chain) { return fma(dy[m * N + n], x[m * K + k], chain); });
}

// out(N) = column sums of x(M,N): bias gradients, batch statistics, sums over leading axes
template <class S>
TG_FN void sum_rows(int64_t M, int64_t N, const S* x, S* out) {
  for (int64_t n = 0; n < N; n++) out[n] = batch_sum<S>(M, [&](int64_t m, S chain) { return chain + x[m * N + n]; });
}

// Row order: the sum of x[0], x[step], ... (n terms)
template <class S>
TG_FN S row_sum(int64_t n, const S* x, int64_t step) {
  S lane[row_lanes];
  for (int l = 0; l < row_lanes; l++) {
    Tree<S> tree;
    int terms = 0;
    S chain = S(0);
    for (int64_t i = l; i < n; i += row_lanes) {
      chain = chain + x[i * step];
      if (++terms == row_shard) {
        push(tree, chain);
        chain = S(0), terms = 0;
      }
    }
    if (terms > 0) push(tree, chain);
    lane[l] = total(tree);
  }
  return fold(lane, row_lanes);
}

}  // namespace tg::reference
