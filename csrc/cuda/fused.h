// Nets of dense layers in one kernel: weights and what rows become on their way stay in the memory that a block shares. Forward,
// or forward, loss and backward with the gradients of the weights, in the orders of math/order.h.
#pragma once
#include <type_traits>

#include "cuda/fused_net.h"
#include "cuda/launch.h"
#include "math/loss.h"
#include "math/order.h"
#include "math/pointwise_forms.h"

namespace tg::cuda {

// The activations that a net may have; relu is part of the products.
// clang-format off
#define TG_NET_ACTIVATIONS(ROW) \
  ROW(tanh) ROW(sigmoid) ROW(relu) ROW(leaky_relu) ROW(elu) ROW(selu) ROW(silu) ROW(gelu) ROW(gelu_tanh) \
  ROW(mish) ROW(celu) ROW(softsign) ROW(logsigmoid) ROW(hardtanh) ROW(hardsigmoid) ROW(hardswish) \
  ROW(threshold) ROW(hardshrink) ROW(softshrink) ROW(softplus)
// clang-format on

TG_BODY Quad quad(const float* at) { return *reinterpret_cast<const Quad*>(at); }
TG_BODY void put(float* at, const Quad& v) { *reinterpret_cast<Quad*>(at) = v; }

// A row of a tile's matrix, as math/loss.h looks at rows: element i lies `pitch` floats after element i - 1. Sums in row order.
struct TileRow {
  using V = float;
  int n, pitch;
  TG_BODY float get(const float* x, int64_t i, int) const { return x[i * pitch]; }
  TG_BODY void put(float* x, int64_t i, int, float v) const { x[i * pitch] = v; }
  TG_BODY float shared(const float*, int64_t, int) const { return 1; }  // classes have no weights here
  TG_BODY bool is_at(int64_t i, int32_t index) const { return i == index; }
  template <class F>
  TG_BODY float largest(F f) const {
    float m = -__builtin_inff();
    for (int i = 0; i < n; i++) m = maximum(m, f(i, 0));
    return m;
  }
  template <class F>
  TG_BODY float sum(F f) const {  // at most kNetWidth terms: each lane is one chain
    static_assert(kNetWidth <= row_lanes * row_shard);
    float lane[row_lanes];
    TG_UNROLLED
    for (int l = 0; l < row_lanes; l++) lane[l] = 0;
    for (int first = 0; first < n; first += row_lanes) {
      TG_UNROLLED
      for (int l = 0; l < row_lanes; l++)
        if (first + l < n) lane[l] = f(lane[l], first + l, 0);
    }
    TG_UNROLLED
    for (int half = row_lanes / 2; half > 0; half /= 2) {
      TG_UNROLLED
      for (int l = 0; l < row_lanes / 2; l++)
        if (l < half) lane[l] = lane[l] + lane[l + half];
    }
    return lane[0];
  }
  template <class F>
  TG_BODY void each(F f) const {
    for (int i = 0; i < n; i++) f(i, 0);
  }
};

template <bool training, int rows>
struct FusedNet {
  static constexpr int threads = 256, pitch = rows + 4;
  Net net;
  int64_t blocks;

  TG_BODY int steps() const { return net.steps; }
  TG_BODY int64_t rounds(int64_t block) const {
    const int64_t end = training ? (block + 1) * net.piece : net.M, last = end < net.M ? end : net.M;
    return training ? (last - block * net.piece + rows - 1) / rows
                    : ((last + rows - 1) / rows - block + blocks - 1) / blocks;
  }
  TG_BODY int64_t first_row(int64_t block, int64_t round) const {
    return training ? block * net.piece + round * rows : (block + round * blocks) * rows;
  }

  TG_BODY void work(int64_t block, int64_t round, int step, int thread, float* s) const {
    const Net::Step now = net.step[step];
    const NetLayer& a = net.layer[now.layer];
    const int64_t first = first_row(block, round);
    const int count = net.M - first < rows ? int(net.M - first) : rows;
    switch (now.what) {
      case Net::load:
        if (round == 0) load_weights(thread, s);
        return load_rows(first, count, thread, s);
      case Net::product:
        if (a.chains == 1) product<1>(a, thread, s);
        else if (a.chains == 2) product<2>(a, thread, s);
        else product<4>(a, thread, s);
        if (training && a.y == a.z) ones(now.layer + 1, thread, s);
        return;
      case Net::activate:
        activate(a, thread, s);
        if (training) ones(now.layer + 1, thread, s);
        return;
      case Net::store: return store(first, count, thread, s);
      default:
        if constexpr (training) {
          if (now.what == Net::judge) return judge(first, count, thread, s);
          if (now.what == Net::slope) return slope_of(a, thread, s);
          weight_gradients(a, block, round, first, count, thread, s);
          if (a.gx < 0) return;
          if (a.back_chains == 1) input_gradients<1>(net.layer[now.layer - 1], a, thread, s);
          else if (a.back_chains == 2) input_gradients<2>(net.layer[now.layer - 1], a, thread, s);
          else input_gradients<4>(net.layer[now.layer - 1], a, thread, s);
        }
    }
  }

  // ---- on the way in

  TG_BODY void load_weights(int thread, float* s) const {
    for (int l = 0; l < net.layers; l++) {
      const NetLayer& a = net.layer[l];
      for (int i = thread; i < a.N * a.K; i += threads) {
        const int n = i / a.K, k = i - n * a.K;
        s[a.weights + k * a.across + n] = a.w[n * a.w_n + k * a.w_k];
      }
      const int spare = a.across - a.N;
      for (int i = thread; i < spare * a.K; i += threads) s[a.weights + i / spare * a.across + a.N + i % spare] = 0;
      for (int n = thread; n < a.across; n += threads) s[a.start + n] = a.bias && n < a.N ? a.bias[n * a.bias_n] : 0.0f;
    }
    if (training && net.counts > 0 && thread == 0) {
      int64_t total = 0;
      for (int i = 0; i < net.counts; i++) total += net.counted[i];
      s[net.total] = float(total);
    }
  }
  // Rows that are not there are zeros, which nobody looks at.
  TG_BODY void load_rows(int64_t first, int count, int thread, float* s) const {
    const NetLayer& a = net.layer[0];
    const float* x = net.x + first * net.x_m;
    int m = thread / a.K, k = thread % a.K;
    const int down = threads / a.K, over = threads % a.K;
    while (m < rows) {
      s[a.x + k * pitch + m] = m < count ? x[m * net.x_m + k * net.x_k] : 0.0f;
      m += down;
      k += over;
      if (k >= a.K) k -= a.K, m++;
    }
    if (training) ones(0, thread, s);
  }
  // The input of layer l has a feature more, which is 1: its weight is the bias.
  TG_BODY void ones(int l, int thread, float* s) const {
    if (l < net.layers && thread < rows) s[net.layer[l].x + net.layer[l].K * pitch + thread] = 1;
  }
  TG_BODY void store(int64_t first, int count, int thread, const float* s) const {
    const NetLayer& a = net.layer[net.layers - 1];
    float* y = net.y + first * a.N;
    for (int i = thread; i < count * a.N; i += threads) {
      const int m = i / a.N, n = i - m * a.N;
      y[i] = s[a.y + n * pitch + m];
    }
  }

  // ---- forward: a task is 4 outputs of some rows, four at a time

  template <int S>
  TG_BODY void product(const NetLayer& a, int thread, float* s) const {
    constexpr int quads = rows < 128 || S == 4 ? 1 : 2, across = rows / 4 / quads;
    const int groups = (a.N + 3) / 4;
    for (int task = thread; task < across * groups; task += threads) {
      const int m = task % across * 4, n = task / across * 4;
      const float *x = s + a.x + m, *w = s + a.weights + n;
      float chain[S][4 * quads][4];
      TG_UNROLLED
      for (int j = 0; j < 4; j++) {
        const float start = s[a.start + n + j];
        TG_UNROLLED
        for (int i = 0; i < 4 * quads; i++) {
          chain[0][i][j] = start;
          TG_UNROLLED
          for (int c = 1; c < S; c++) chain[c][i][j] = 0;
        }
      }
      int k = 0;
      for (; k + 4 <= a.K; k += 4) {
        TG_UNROLLED
        for (int j = 0; j < 4; j++) add<quads>(x + (k + j) * pitch, w + (k + j) * a.across, chain[j % S]);
      }
      TG_UNROLLED
      for (int j = 0; j < 3; j++)  // a term that is not there may not be added as 0: -0 would become +0
        if (k + j < a.K) add<quads>(x + (k + j) * pitch, w + (k + j) * a.across, chain[j % S]);
      const bool relu = a.activation == id_relu;
      TG_UNROLLED
      for (int j = 0; j < 4; j++) {
        if (n + j >= a.N) break;
        TG_UNROLLED
        for (int b = 0; b < quads; b++) {
          Quad y;
          TG_UNROLLED
          for (int i = 0; i < 4; i++) {
            y.at[i] = folded<S>(chain, 4 * b + i, j);
            if (relu) y.at[i] = op_relu::f(y.at[i], 0.0f, 0.0f);
          }
          put(s + a.z + (n + j) * pitch + m + b * (rows / 2), y);
        }
      }
    }
  }
  template <int quads>
  TG_BODY static void add(const float* x, const float* w, float (&chain)[4 * quads][4]) {
    const Quad ws = quad(w);
    TG_UNROLLED
    for (int b = 0; b < quads; b++) {
      const Quad xs = quad(x + b * (rows / 2));
      TG_UNROLLED
      for (int i = 0; i < 4; i++) {
        TG_UNROLLED
        for (int j = 0; j < 4; j++) chain[4 * b + i][j] = fma(xs.at[i], ws.at[j], chain[4 * b + i][j]);
      }
    }
  }
  template <int S, int R>
  TG_BODY static float folded(const float (&chain)[S][R][4], int i, int j) {  // as reference::fold
    if constexpr (S == 4) return (chain[0][i][j] + chain[2][i][j]) + (chain[1][i][j] + chain[3][i][j]);
    else if constexpr (S == 2) return chain[0][i][j] + chain[1][i][j];
    else return chain[0][i][j];
  }

  TG_BODY void activate(const NetLayer& a, int thread, float* s) const {
    switch (a.activation) {
#define TG_CASE(name)                                                        \
  case id_##name:                                                            \
    return elements(a.N, thread, [&](int at) {                               \
      Quad v = quad(s + a.z + at);                                           \
      TG_UNROLLED                                                            \
      for (int i = 0; i < 4; i++) v.at[i] = op_##name::f(v.at[i], a.p, a.q); \
      put(s + a.y + at, v);                                                  \
    });
      TG_NET_ACTIVATIONS(TG_CASE)
#undef TG_CASE
    }
  }
  // f(where four elements of a matrix of n features lie)
  template <class F>
  TG_BODY void elements(int n, int thread, F f) const {
    for (int i = thread; i < n * (rows / 4); i += threads) f(i / (rows / 4) * pitch + i % (rows / 4) * 4);
  }

  // ---- the loss of each row or element, and its gradient, which takes the logits' place unless an activation's slope needs them

  TG_BODY void judge(int64_t first, int count, int thread, float* s) const {
    const NetLayer& a = net.layer[net.layers - 1];
    const float* y = s + a.y;
    const int out = a.activation >= 0 ? a.g : a.y;  // of a slope that follows
    if (net.loss == NetLoss::classes) {
      if (thread >= count) return;
      const int64_t m = first + thread, target = net.classes[m * net.target_m];
      const bool counts = target != net.ignore && target >= 0 && target < a.N;
      const struct {
        bool smoothing;
        float keep, share;
        const float* weight;
      } t{net.smoothing, net.keep, net.share, nullptr};
      const TargetLanes<float> lanes{counts ? int32_t(target) : -1, counts ? 1.0f : 0.0f};
      const TileRow row{a.N, pitch};
      if (net.y)
        for (int n = 0; n < a.N; n++) net.y[m * a.N + n] = y[n * pitch + thread];
      float loss, lse;
      cross_entropy_row(row, y + thread, lanes, counts ? y[int(target) * pitch + thread] : 0.0f, t, &loss, &lse);
      net.losses[m] = loss;
      if (net.lse) net.lse[m] = lse;
      float smoothed = 0;
      if (net.smoothing) smoothed = net.share * row.sum([](float acc, int64_t, int) { return acc + 1.0f; });
      const float scale = net.mean ? net.seed / s[net.total] : net.seed;
      cross_entropy_backward_row(row, y + thread, lanes, lse, scale, t, smoothed, s + out + thread);
      return;
    }
    const float divisor = net.divisor ? *net.divisor : net.count, scale = net.mean ? net.seed / divisor : net.seed;
    for (int i = thread; i < count * a.N; i += threads) {
      const int m = i / a.N, n = i - m * a.N;
      const float x = y[n * pitch + m], t = net.numbers[(first + m) * net.target_m + n * net.target_n];
      if (net.y) net.y[first * a.N + i] = x;
      float loss, g;
      if (net.loss == NetLoss::binary) {
        loss = bce_loss(x, t, false, 0.0f, false, 0.0f);
        g = bce_gradient(x, t, false, 0.0f, false, 0.0f, scale);
      } else {
        const float d = x - t, both[] = {scale, d, 0};
        loss = op_square::f(d, 0.0f, 0.0f);
        g = slope<op_square>::at(both, 0.0f, 0.0f);
      }
      net.losses[first * a.N + i] = loss;
      s[out + n * pitch + m] = g;
    }
  }

  // ---- backward

  TG_BODY void slope_of(const NetLayer& a, int thread, float* s) const {
    switch (a.activation) {
#define TG_CASE(name)                                            \
  case id_##name:                                                \
    return elements(a.N, thread, [&](int at) {                   \
      Quad g = quad(s + a.g + at);                               \
      const Quad x = quad(s + a.z + at), y = quad(s + a.y + at); \
      TG_UNROLLED                                                \
      for (int i = 0; i < 4; i++) {                              \
        const float in[] = {g.at[i], x.at[i], y.at[i]};          \
        g.at[i] = slope<op_##name>::at(in, a.p, a.q);            \
      }                                                          \
      put(s + a.g + at, g);                                      \
    });
      TG_NET_ACTIVATIONS(TG_CASE)
#undef TG_CASE
    }
  }

  // dx(rows, K) of layer a, through the relu of the layer before it if it has one: a task is 4 inputs, a quarter of all apart,
  // of 4 rows
  template <int S>
  TG_BODY void input_gradients(const NetLayer& before, const NetLayer& a, int thread, float* s) const {
    constexpr int across = rows / 4;
    const int groups = (a.K + 3) / 4;
    for (int task = thread; task < across * groups; task += threads) {
      const int m = task / groups * 4, k = task % groups;
      const float *g = s + a.g + m, *w[4];
      TG_UNROLLED
      for (int j = 0; j < 4; j++) w[j] = s + a.weights + (k + j * groups < a.K ? k + j * groups : k) * a.across;
      float chain[S][4][4] = {};
      int n = 0;
      for (; n + 4 <= a.N; n += 4) back_terms<S, true>(4, g + n * pitch, w, n, chain);
      if (n < a.N) back_terms<S, false>(a.N - n, g + n * pitch, w, n, chain);
      const bool relu = before.activation == id_relu;
      TG_UNROLLED
      for (int j = 0; j < 4; j++) {
        if (k + j * groups >= a.K) break;
        const int at = (k + j * groups) * pitch + m;
        Quad d;
        TG_UNROLLED
        for (int i = 0; i < 4; i++) d.at[i] = folded<S>(chain, i, j);
        if (relu) {
          const Quad y = quad(s + before.y + at);
          TG_UNROLLED
          for (int i = 0; i < 4; i++) {
            const float in[] = {d.at[i], y.at[i], y.at[i]};
            d.at[i] = slope<op_relu>::at(in, 0.0f, 0.0f);
          }
        }
        put(s + a.gx + at, d);
      }
    }
  }
  // Terms n to n + 3, or the first of them.
  template <int S, bool all>
  TG_BODY static void back_terms(int there, const float* g, const float* const (&w)[4], int n,
                                 float (&chain)[S][4][4]) {
    Quad ws[4];
    TG_UNROLLED
    for (int j = 0; j < 4; j++) ws[j] = quad(w[j] + n);
    TG_UNROLLED
    for (int t = 0; t < (all ? 4 : 3); t++) {
      if (!all && t >= there) break;
      const Quad gs = quad(g + t * pitch);
      TG_UNROLLED
      for (int i = 0; i < 4; i++) {
        TG_UNROLLED
        for (int j = 0; j < 4; j++) chain[t % S][i][j] = fma(gs.at[i], ws[j].at[t], chain[t % S][i][j]);
      }
    }
  }

  // dw(N,K) and db(N): a task is 4 outputs by 4 inputs, each a quarter of all apart. A shard is a chain over rows; what it has come to
  // after a tile, and the stack of the tree, wait in memory of the device, each thread's own.
  TG_BODY void weight_gradients(const NetLayer& a, int64_t block, int64_t round, int64_t first, int count, int thread,
                                const float* s) const {
    const int tasks = a.groups_n * a.groups_k, inputs = a.K + 1;
    const int64_t shard = round * rows / net.shard, next = (round + 1) * rows;
    const bool begins = round * rows % net.shard == 0, last = first + rows >= net.M || next == net.piece;
    const bool ends = last || next % net.shard == 0;
    int entries = 0;  // of the stack, below this shard
    for (int64_t left = shard; left; left >>= 1) entries += left & 1;
    const int merges = !ends ? 0 : last ? entries : tree_merges(shard);
    for (int task = thread; task < tasks; task += threads) {
      float* stack = net.partial + (block * net.levels + entries) * net.gradients + a.partial + task;
      const float *g[4], *x[4];
      TG_UNROLLED
      for (int i = 0; i < 4; i++) {
        const int n = task % a.groups_n + i * a.groups_n, k = task / a.groups_n + i * a.groups_k;
        g[i] = s + a.g + (n < a.N ? n : 0) * pitch;
        x[i] = s + a.x + (k < inputs ? k : 0) * pitch;
      }
      float chain[4][4];
      TG_UNROLLED
      for (int e = 0; e < 16; e++) chain[e / 4][e % 4] = begins ? 0.0f : stack[e * tasks];
      int m = 0;
      for (; m + 4 <= count; m += 4) row_terms<true>(4, g, x, m, chain);
      if (m < count) row_terms<false>(count - m, g, x, m, chain);
      for (int k = 0; k < merges; k++) {
        stack -= net.gradients;
        TG_UNROLLED
        for (int e = 0; e < 16; e++) chain[e / 4][e % 4] = stack[e * tasks] + chain[e / 4][e % 4];
      }
      TG_UNROLLED
      for (int e = 0; e < 16; e++) stack[e * tasks] = chain[e / 4][e % 4];
    }
  }
  template <bool all>
  TG_BODY static void row_terms(int there, const float* const (&g)[4], const float* const (&x)[4], int m,
                                float (&chain)[4][4]) {
    Quad gs[4], xs[4];
    TG_UNROLLED
    for (int i = 0; i < 4; i++) gs[i] = quad(g[i] + m), xs[i] = quad(x[i] + m);
    TG_UNROLLED
    for (int t = 0; t < (all ? 4 : 3); t++) {
      if (!all && t >= there) break;
      TG_UNROLLED
      for (int i = 0; i < 4; i++) {
        TG_UNROLLED
        for (int j = 0; j < 4; j++) chain[i][j] = fma(gs[i].at[t], xs[j].at[t], chain[i][j]);
      }
    }
  }
};

}  // namespace tg::cuda
