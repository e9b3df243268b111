// The order of every sum, in one place: functions of the lengths that are reduced, never of the machine.
// docs/arithmetic.md tells the rules in words, csrc/math/reference.h as plain loops.
#pragma once
#include "lane.h"

namespace tg {

// ---- dense order: y[m,n] = bias[n] + sum over k of x[m,k] w[n,k] -----------------------------------------------
// Number of interleaved chains of an output with K terms in a row of N outputs, a power of two. Term k belongs to
// chain k mod S; chain 0 starts at the bias (+0 if there is none), the others at +0; each step is
// chain = fma(x, w, chain). At the end chain i takes chain i + h for h = S/2, S/4, ... 1, and chain 0 is the result.
// Few outputs leave few independent sums to hide the latency of an fma, hence more chains, of at least 8 terms each.
// Settled by measurement: docs/decisions/0001-canonical-dense-order.md.
TG_FN constexpr int dense_chains(int64_t K, int64_t N) {
  int chains = N <= 16 ? 4 : N <= 32 ? 2 : 1;
  while (chains > 1 && K < 8 * chains) chains /= 2;
  return chains;
}

// ---- batch order: sums over the rows of a batch -----------------------------------------------------------------
// The M rows are cut into shards of shard_rows(M) rows (the last may be shorter). Each shard is one chain that starts
// at +0; the shards are joined in a binary tree.
TG_FN constexpr int64_t shard_rows(int64_t M) { return M <= 4096 ? 64 : 256; }
TG_FN constexpr int64_t shards_of(int64_t M) { return (M + shard_rows(M) - 1) / shard_rows(M); }

// ---- the binary tree, as a counter ------------------------------------------------------------------------------
// Pieces 0, 1, 2, ... are pushed on a stack. After piece i the two topmost entries merge (lower + upper) this many
// times, so that the stack always mirrors the binary digits of the number of pieces. At the end the leftovers merge
// from the top down, again lower + upper. 64 levels serve every length; log2(pieces) are in use.
TG_FN constexpr int tree_merges(int64_t i) {
  int merges = 0;
  for (; i & 1; i >>= 1) merges++;
  return merges;
}
TG_FN constexpr int tree_depth(int64_t pieces) {  // entries that the stack can hold at once
  int depth = 1;
  for (; pieces > 1; pieces >>= 1) depth++;
  return depth;
}

// ---- row order: sums along the last logical axis -----------------------------------------------------------------
// Element i belongs to lane i mod row_lanes. The elements of a lane are cut into shards of row_shard terms, each one
// chain, joined in the binary tree. At the end lane i takes lane i + h for h = 8, 4, 2, 1.
inline constexpr int row_lanes = 16;
inline constexpr int row_shard = 64;

}  // namespace tg
