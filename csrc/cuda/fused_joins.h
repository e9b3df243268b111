// What a net's rows leave is joined here: the gradients' sums over pieces of the rows, and the losses of all rows.
#pragma once
#include "cuda/elements.h"
#include "cuda/fused_net.h"
#include "cuda/refuse.h"
#include "math/order.h"

namespace tg::cuda {

// The tree over v[0], .., v[n - 1], n > 0: neighbours join, level by level, and one that has none stays as it is. That is the tree of
// math/order.h.
template <int most>
TG_BODY float tree_of(float (&v)[most], int n) {
  TG_UNROLLED
  for (int half = 1; half < most; half *= 2) {
    TG_UNROLLED
    for (int i = 0; i + half < most; i += 2 * half)
      if (i + half < n) v[i] = v[i] + v[i + half];
  }
  return v[0];
}

// How many targets count, in parts of a block each; notes the first that is no class.
struct CountTargets {
  static constexpr int threads = 256;
  int64_t M, classes, ignore;
  const int64_t* target;
  int64_t target_m;
  int blocks;
  int32_t* counted;  // (blocks)
  uint64_t* note;
  static constexpr size_t bytes = threads * sizeof(float);

  TG_BODY int steps() const { return 3; }
  TG_BODY int64_t rounds(int64_t) const { return 1; }
  TG_BODY void work(int64_t block, int64_t, int step, int thread, float* shared) const {
    int32_t* part = reinterpret_cast<int32_t*>(shared);
    if (step == 0) {
      int32_t n = 0;
      for (int64_t m = block * threads + thread; m < M; m += int64_t(blocks) * threads) {
        const int64_t t = target[m * target_m];
        if (t == ignore) continue;
        n++;
        if (t < 0 || t >= classes) note_first(note, uint64_t(m));
      }
      part[thread] = n;
    } else if (step == 1 && thread < 16) {
      for (int i = 1; i < 16; i++) part[thread] += part[thread + 16 * i];
    } else if (step == 2 && thread == 0) {
      for (int i = 1; i < 16; i++) part[0] += part[i];
      counted[block] = part[0];
    }
  }
};

// Blocks for the gradients, `across` of them each, a lane for a power of two of pieces; and a last one for the loss.
struct NetJoin {
  static constexpr int threads = 512, across = 32, lanes = threads / across, fan = 32, most_pieces = lanes * fan;
  static constexpr int levels = 32;  // of the tree over rounds of the losses
  static constexpr size_t bytes = (threads + levels * row_lanes) * sizeof(float);
  Net net;
  int pieces, per_lane;  // per_lane: a power of two
  int64_t n;             // losses
  float *loss, *total;   // or unwritten

  int blocks() const { return (net.gradients + across - 1) / across + 1; }
  TG_BODY int steps() const { return 3; }
  TG_BODY bool is_loss(int64_t block) const { return block * across >= net.gradients; }
  TG_BODY int64_t rounds(int64_t block) const {
    const int64_t chunk = int64_t(row_lanes) * row_shard * fan;
    return is_loss(block) ? (n + chunk - 1) / chunk : 1;
  }
  TG_BODY void work(int64_t block, int64_t round, int step, int thread, float* shared) const {
    if (is_loss(block)) return losses(round, rounds(block), step, thread, shared);
    const int e = int(block) * across + thread % across, lane = thread / across;
    if (e >= net.gradients || step == 2) return;
    if (step == 0) {
      const int first = lane * per_lane, here = pieces - first < per_lane ? pieces - first : per_lane;
      if (here <= 0) return;
      const float* from = net.partial + int64_t(first) * net.levels * net.gradients + e;
      float v[fan];
      TG_UNROLLED
      for (int i = 0; i < fan; i++) v[i] = i < here ? from[int64_t(i) * net.levels * net.gradients] : 0.0f;
      shared[thread] = tree_of(v, here);
    } else if (lane == 0) {
      float v[lanes];
      const int used = (pieces + per_lane - 1) / per_lane;
      TG_UNROLLED
      for (int i = 0; i < lanes; i++) v[i] = i < used ? shared[i * across + thread] : 0.0f;
      put(e, tree_of(v, used));
    }
  }
  TG_BODY void put(int e, float sum) const {
    for (int l = net.layers - 1; l >= 0; l--) {
      const NetLayer& a = net.layer[l];
      if (e < a.partial) continue;
      const int tasks = a.groups_n * a.groups_k, task = (e - a.partial) % tasks, part = (e - a.partial) / tasks;
      int n = task % a.groups_n + part / 4 * a.groups_n, k = task / a.groups_n + part % 4 * a.groups_k;
      if (net.fast) n = (e - a.partial) / (a.K + 1), k = (e - a.partial) % (a.K + 1);
      if (net.type == Dtype::Float16) sum = widened(to_half(sum));
      if (net.type == Dtype::BFloat16) sum = widened(to_bfloat(sum));
      if (n < a.N && k < a.K && a.dw) set_element<float>(a.dw, a.dw_type, n * a.K + k, sum);
      if (n < a.N && k == a.K && a.db) set_element<float>(a.db, a.db_type, n, sum);
      return;
    }
  }
  // In row order: a thread is a chain of one lane; each round the chains of a lane join, and then with those of rounds before.
  TG_BODY void losses(int64_t round, int64_t all, int step, int thread, float* shared) const {
    const int lane = thread % row_lanes, piece = thread / row_lanes;
    float* stack = shared + threads + lane * levels;
    if (step == 0) {
      const int64_t first = (round * fan + piece) * row_lanes * row_shard + lane;
      float acc = 0;
      for (int i = 0; i < row_shard; i++)
        if (first + i * row_lanes < n) acc = acc + net.losses[first + i * row_lanes];
      shared[thread] = acc;
    } else if (step == 1 && thread < row_lanes) {
      // Pieces of lane 0: one without a term in another lane is +0, and so are none of the sums -0.
      const int64_t chunk = row_lanes * row_shard, left = (n + chunk - 1) / chunk - round * fan;
      float v[fan];
      TG_UNROLLED
      for (int i = 0; i < fan; i++) v[i] = shared[i * row_lanes + lane];
      float sum = tree_of(v, left < fan ? int(left) : fan);
      int entries = 0;
      for (int64_t r = round; r; r >>= 1) entries += r & 1;
      const bool last = round + 1 == all;
      for (int merges = last ? entries : tree_merges(round); merges > 0; merges--) sum = stack[--entries] + sum;
      stack[entries] = sum;
    } else if (step == 2 && thread == 0 && round + 1 == all) {
      const float* sums = shared + threads;
      float folded[row_lanes];
      TG_UNROLLED
      for (int l = 0; l < row_lanes; l++) folded[l] = sums[l * levels];
      TG_UNROLLED
      for (int half = row_lanes / 2; half > 0; half /= 2) {
        TG_UNROLLED
        for (int l = 0; l < row_lanes / 2; l++)
          if (l < half) folded[l] = folded[l] + folded[l + half];
      }
      float divisor = net.divisor ? *net.divisor : net.count;
      if (net.counts) {
        int64_t counted = 0;
        for (int i = 0; i < net.counts; i++) counted += net.counted[i];
        divisor = float(counted);
        if (total) *total = divisor;
      }
      if (loss) *loss = net.mean ? folded[0] / divisor : folded[0];
    }
  }
};

}  // namespace tg::cuda
