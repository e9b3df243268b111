// Nets of dense layers in one kernel: weights and what rows become on their way stay in the memory that a block shares. Forward,
// or forward, loss and backward with the gradients of the weights, in the orders of math/order.h.
#pragma once
#include <type_traits>

#include "cuda/fused_net.h"
#include "cuda/fused_numbers.h"
#include "cuda/fused_products.h"
#include "math/loss.h"
#include "math/order.h"
#include "math/pointwise_forms.h"
#include "math/pointwise_reads.h"

namespace tg::cuda {

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

// T: what is held on the chip. fast: products by tensor cores.
template <class T, bool training, int rows, bool fast>
struct FusedNet {
  static constexpr bool half = sizeof(T) == 2;
  static constexpr int threads = 256, pitch = rows + 16 / int(sizeof(T));
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
    if constexpr (!fast || kTensorCores) take(block, round, net.step[step], thread, s);
  }
  TG_BODY void take(int64_t block, int64_t round, const Net::Step now, int thread, float* s) const {
    const NetLayer& a = net.layer[now.layer];
    const int64_t first = first_row(block, round);
    const int count = net.M - first < rows ? int(net.M - first) : rows;
    switch (now.what) {
      case Net::load:
        if (round == 0) load_weights(thread, s);
        complete(0, thread, s);
        return load_rows(first, count, thread, s);
      case Net::product:
        if (a.y == a.z) complete(now.layer + 1, thread, s);
        if constexpr (fast) fast_product(a, count, thread, s);
        else if (a.chains == 1) product<1>(a, thread, s);
        else if (a.chains == 2) product<2>(a, thread, s);
        else product<4>(a, thread, s);
        return;
      case Net::activate: complete(now.layer + 1, thread, s); return activate(a, is_wide(now.layer), thread, s);
      case Net::store: return store(first, count, thread, s);
      default:
        if constexpr (training) {
          if (now.what == Net::judge) return judge(first, count, thread, s);
          if (now.what == Net::slope) return slope_of(a, is_wide(now.layer), count, thread, s);
          weight_gradients(a, block, round, first, count, thread, s);
          if (a.gx < 0) return;
          if constexpr (fast) fast_input_gradients(net.layer[now.layer - 1], a, count, thread, s);
          else if (a.back_chains == 1) input_gradients<1>(net.layer[now.layer - 1], a, thread, s);
          else if (a.back_chains == 2) input_gradients<2>(net.layer[now.layer - 1], a, thread, s);
          else input_gradients<4>(net.layer[now.layer - 1], a, thread, s);
        }
    }
  }

  TG_BODY static T* at(float* s, int place) { return reinterpret_cast<T*>(s + place); }
  TG_BODY static const T* at(const float* s, int place) { return reinterpret_cast<const T*>(s + place); }
  // The result of the last layer, and the gradient that a loss makes of it, are float32.
  TG_BODY bool is_wide(int layer) const { return half && layer + 1 == net.layers; }

  // ---- on the way in

  TG_BODY void load_weights(int thread, float* s) const {
    for (int l = 0; l < net.layers; l++) {
      const NetLayer& a = net.layer[l];
      T* w = at(s, a.weights);
      for (int i = thread; i < a.N * a.K; i += threads) {
        const int n = i / a.K, k = i - n * a.K;
        w[k * a.across + n] = narrowed<T>(from_memory(a.w, a.w_type, n * a.w_n + k * a.w_k));
      }
      const int spare = a.across - a.N;
      for (int i = thread; i < spare * a.K; i += threads) w[i / spare * a.across + a.N + i % spare] = narrowed<T>(0.0f);
      if constexpr (fast)
        for (int i = a.K * a.across + thread; i < in_sixteens(a.K) * a.across; i += threads) w[i] = narrowed<T>(0.0f);
      for (int n = thread; n < a.across; n += threads)
        s[a.start + n] = a.bias && n < a.N ? rounded<T>(from_memory(a.bias, a.bias_type, n * a.bias_n)) : 0.0f;
    }
    if (training && net.counts > 0 && thread == 0) {
      int64_t total = 0;
      for (int i = 0; i < net.counts; i++) total += net.counted[i];
      s[net.total] = float(total);
    }
  }
  TG_BODY static float from_memory(const void* data, Dtype type, int64_t i) {
    return half ? element<float>(data, type, i) : static_cast<const float*>(data)[i];
  }
  // Rows that are not there are zeros, which nobody looks at.
  TG_BODY void load_rows(int64_t first, int count, int thread, float* s) const {
    const NetLayer& a = net.layer[0];
    T* x = at(s, a.x);
    const int64_t start = first * net.x_m;
    int m = thread / a.K, k = thread % a.K;
    const int down = threads / a.K, over = threads % a.K;
    while (m < rows) {
      x[k * pitch + m] =
          narrowed<T>(m < count ? from_memory(net.x, net.x_type, start + m * net.x_m + k * net.x_k) : 0.0f);
      m += down;
      k += over;
      if (k >= a.K) k -= a.K, m++;
    }
  }
  // The input of layer l has a feature more, which is 1: its weight is the bias. Features that fill it up are zeros.
  TG_BODY void complete(int l, int thread, float* s) const {
    if (l >= net.layers) return;
    const NetLayer& a = net.layer[l];
    T* from = at(s, a.x) + a.K * pitch;
    if constexpr (fast) {
      for (int i = thread; i < (in_sixteens(a.K + training) - a.K) * rows; i += threads)
        from[i / rows * pitch + i % rows] = narrowed<T>(training && i < rows ? 1.0f : 0.0f);
    } else if (training && thread < rows) {
      from[thread] = narrowed<T>(1.0f);
    }
  }
  TG_BODY void store(int64_t first, int count, int thread, const float* s) const {
    const NetLayer& a = net.layer[net.layers - 1];
    for (int i = thread; i < count * a.N; i += threads) {
      const int m = i / a.N, n = i - m * a.N;
      show(first * a.N + i, s[a.y + n * pitch + m]);
    }
  }
  TG_BODY void show(int64_t i, float y) const {
    if (net.y) net.y[i] = y;
    if constexpr (half)
      if (net.narrow) static_cast<T*>(net.narrow)[i] = narrowed<T>(y);
  }

  // ---- by tensor cores: rows that are not there become zeros, so that they add nothing to the gradients of weights

  static constexpr int across = training ? 4 : rows / 16;  // of eights of columns that a warp takes
  static constexpr Format format = __is_same(T, Half) ? Format::float16 : Format::bfloat16;
  template <bool by_terms>
  TG_BODY static Lines<by_terms> lines(const float* s, int place, int row_length) {
    return {{reinterpret_cast<const uint16_t*>(s + place), row_length}};
  }
  TG_BODY void fast_product(const NetLayer& a, int count, int thread, float* s) const {
    const bool relu = a.activation == id_relu && a.y == a.z;
    products<format, threads, across>(
        lines<false>(s, a.x, pitch), rows, lines<false>(s, a.weights, a.across), a.N, a.K, thread,
        [&](int, int n, Sums16x8& sums) {
          sums.each(thread % kLanes,
                    [&](int, int column, float& sum) { sum = n + column < a.N ? s[a.start + n + column] : 0.0f; });
        },
        [&](int m, int n, Sums16x8& sums) {
          sums.each(thread % kLanes, [&](int row, int column, float& sum) {
            if (n + column >= a.N) return;
            float y = rounded<T>(sum);
            if (relu) y = op_relu::f(y, 0.0f, 0.0f);
            at(s, a.z)[(n + column) * pitch + m + row] = narrowed<T>(m + row < count ? y : 0.0f);
          });
        });
  }
  TG_BODY void fast_input_gradients(const NetLayer& before, const NetLayer& a, int count, int thread, float* s) const {
    clear(at(s, a.gx), a.K, in_sixteens(a.K), thread);
    const bool relu = before.activation == id_relu;
    products<format, threads, across>(
        lines<false>(s, a.g, pitch), rows, lines<true>(s, a.weights, a.across), a.K, a.N, thread,
        [](int, int, Sums16x8& sums) { sums.each(0, [](int, int, float& sum) { sum = 0; }); },
        [&](int m, int k, Sums16x8& sums) {
          sums.each(thread % kLanes, [&](int row, int column, float& sum) {
            if (k + column >= a.K) return;
            const int place = (k + column) * pitch + m + row;
            float d = rounded<T>(sum);
            if (relu) {
              const float y = widened(at(s, before.y)[place]), in[] = {d, y, y};
              d = slope<op_relu>::at(in, 0.0f, 0.0f);
            }
            at(s, a.gx)[place] = narrowed<T>(m + row < count ? d : 0.0f);
          });
        });
  }
  TG_BODY void fast_weight_gradients(const NetLayer& a, bool begins, int merges, float* top, int thread,
                                     const float* s) const {
    const int inputs = a.K + 1;
    // f(sum, where it waits) for those that there are
    auto each = [&](Sums16x8& sums, int n, int k, float* there, auto f) {
      sums.each(thread % kLanes, [&](int row, int column, float& sum) {
        if (n + row < a.N && k + column < inputs) f(sum, there + (n + row) * inputs + k + column);
      });
    };
    products<format, threads, across>(
        lines<true>(s, a.g, pitch), a.N, lines<true>(s, a.x, pitch), inputs, rows, thread,
        [&](int n, int k, Sums16x8& sums) {
          sums.each(0, [](int, int, float& sum) { sum = 0; });
          if (!begins) each(sums, n, k, top, [](float& sum, const float* from) { sum = *from; });
        },
        [&](int n, int k, Sums16x8& sums) {
          float* stack = top;
          for (int i = 0; i < merges; i++) {
            stack -= net.gradients;
            each(sums, n, k, stack, [](float& sum, const float* from) { sum = *from + sum; });
          }
          each(sums, n, k, stack, [](float sum, float* to) { *to = sum; });
        });
  }

  // ---- forward: a task is 4 outputs of some rows, four at a time

  template <int S>
  TG_BODY void product(const NetLayer& a, int thread, float* s) const {
    constexpr int quads = rows < 128 || S == 4 ? 1 : 2, across = rows / 4 / quads;
    const int groups = (a.N + 3) / 4;
    for (int task = thread; task < across * groups; task += threads) {
      const int m = task % across * 4, n = task / across * 4;
      const T *x = at(s, a.x) + m, *w = at(s, a.weights) + n;
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
      const bool relu = a.activation == id_relu && a.y == a.z;
      TG_UNROLLED
      for (int j = 0; j < 4; j++) {
        if (n + j >= a.N) break;
        TG_UNROLLED
        for (int b = 0; b < quads; b++) {
          Quad y;
          TG_UNROLLED
          for (int i = 0; i < 4; i++) {
            y.at[i] = rounded<T>(folded<S>(chain, 4 * b + i, j));
            if (relu) y.at[i] = op_relu::f(y.at[i], 0.0f, 0.0f);
          }
          put(at(s, a.z) + (n + j) * pitch + m + b * (rows / 2), y);
        }
      }
    }
  }
  template <int quads>
  TG_BODY static void add(const T* x, const T* w, float (&chain)[4 * quads][4]) {
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

  TG_BODY void activate(const NetLayer& a, bool wide, int thread, float* s) const {
    auto leave = [&](int place, const Quad& v) {
      if (wide) put(s + a.y + place, v);
      else put(at(s, a.y) + place, v);
    };
    switch (a.activation) {
#define TG_CASE(name)                                                        \
  case id_##name:                                                            \
    return elements(a.N, thread, [&](int place) {                            \
      Quad v = quad(at(s, a.z) + place);                                     \
      TG_UNROLLED                                                            \
      for (int i = 0; i < 4; i++) v.at[i] = op_##name::f(v.at[i], a.p, a.q); \
      leave(place, v);                                                       \
    });
      TG_NET_ACTIVATIONS(TG_CASE)
#undef TG_CASE
      default:
        if constexpr (half) elements(a.N, thread, [&](int place) { leave(place, quad(at(s, a.z) + place)); });
    }
  }
  // f(where four elements of a matrix of n features lie)
  template <class F>
  TG_BODY void elements(int n, int thread, F f) const {
    for (int i = thread; i < n * (rows / 4); i += threads) f(i / (rows / 4) * pitch + i % (rows / 4) * 4);
  }

  // ---- the loss of each row or element, and its gradient, which takes the logits' place unless an activation's slope needs them

  TG_BODY float seed() const { return net.factor ? net.seed * *net.factor : net.seed; }
  TG_BODY void judge(int64_t first, int count, int thread, float* s) const {
    const NetLayer& a = net.layer[net.layers - 1];
    const float* y = s + a.y;
    const int out = !half && a.activation >= 0 ? a.g : a.y;  // of a slope that follows
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
      if (net.y || net.narrow)
        for (int n = 0; n < a.N; n++) show(m * a.N + n, y[n * pitch + thread]);
      float loss, lse;
      cross_entropy_row(row, y + thread, lanes, counts ? y[int(target) * pitch + thread] : 0.0f, t, &loss, &lse);
      net.losses[m] = loss;
      if (net.lse) net.lse[m] = lse;
      float smoothed = 0;
      if (net.smoothing) smoothed = net.share * row.sum([](float acc, int64_t, int) { return acc + 1.0f; });
      const float scale = net.mean ? seed() / s[net.total] : seed();
      cross_entropy_backward_row(row, y + thread, lanes, lse, scale, t, smoothed, s + out + thread);
      return;
    }
    const float divisor = net.divisor ? *net.divisor : net.count, scale = net.mean ? seed() / divisor : seed();
    for (int i = thread; i < count * a.N; i += threads) {
      const int m = i / a.N, n = i - m * a.N;
      const float x = y[n * pitch + m], t = net.numbers[(first + m) * net.target_m + n * net.target_n];
      show(first * a.N + i, x);
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

  // A gradient that is float32 is rounded here; rows that are not there get zeros.
  TG_BODY void slope_of(const NetLayer& a, bool wide, int count, int thread, float* s) const {
    T* gradient = at(s, a.g);
    auto arrived = [&](int place) { return wide ? quad(s + a.y + place) : quad(gradient + place); };
    auto leave = [&](int place, Quad v) {
      if constexpr (half) {
        TG_UNROLLED
        for (int i = 0; i < 4; i++)
          if (place % pitch + i >= count) v.at[i] = 0;
      }
      put(gradient + place, v);
    };
    if (fast && wide) clear(gradient, a.N, in_sixteens(a.N), thread);
    switch (a.activation) {
#define TG_CASE(name)                                                                                   \
  case id_##name:                                                                                       \
    return elements(a.N, thread, [&](int place) {                                                       \
      Quad g = arrived(place);                                                                          \
      const Quad x = quad(at(s, a.z) + place), y = output<op_##name, id_##name>(a, x, s + a.y + place); \
      TG_UNROLLED                                                                                       \
      for (int i = 0; i < 4; i++) {                                                                     \
        const float in[] = {g.at[i], x.at[i], y.at[i]};                                                 \
        g.at[i] = slope<op_##name>::at(in, a.p, a.q);                                                   \
      }                                                                                                 \
      leave(place, g);                                                                                  \
    });
      TG_NET_ACTIVATIONS(TG_CASE)
#undef TG_CASE
      default:
        if constexpr (half) elements(a.N, thread, [&](int place) { leave(place, arrived(place)); });
    }
  }
  // What an activation made of x: kept, or where that was rounded made again.
  template <class Row, int id>
  TG_BODY static Quad output(const NetLayer& a, const Quad& x, const float* kept) {
    Quad y = x;
    if constexpr (!half) y = quad(kept);
    else if constexpr (kPointwiseReads[id + 1].output)
      for (int i = 0; i < 4; i++) y.at[i] = Row::f(x.at[i], a.p, a.q);
    return y;
  }
  // Features of a matrix that are there to fill it up.
  TG_BODY static void clear(T* matrix, int from, int to, int thread) {
    for (int i = from * pitch + thread; i < to * pitch; i += threads) matrix[i] = narrowed<T>(0.0f);
  }

  // dx(rows, K) of layer a, through the relu of the layer before it if it has one: a task is 4 inputs, a quarter of all apart,
  // of 4 rows
  template <int S>
  TG_BODY void input_gradients(const NetLayer& before, const NetLayer& a, int thread, float* s) const {
    constexpr int across = rows / 4;
    const int groups = (a.K + 3) / 4;
    for (int task = thread; task < across * groups; task += threads) {
      const int m = task / groups * 4, k = task % groups;
      const T *g = at(s, a.g) + m, *w[4];
      TG_UNROLLED
      for (int j = 0; j < 4; j++) w[j] = at(s, a.weights) + (k + j * groups < a.K ? k + j * groups : k) * a.across;
      float chain[S][4][4] = {};
      int n = 0;
      for (; n + 4 <= a.N; n += 4) back_terms<S, true>(4, g + n * pitch, w, n, chain);
      if (n < a.N) back_terms<S, false>(a.N - n, g + n * pitch, w, n, chain);
      const bool relu = before.activation == id_relu;
      TG_UNROLLED
      for (int j = 0; j < 4; j++) {
        if (k + j * groups >= a.K) break;
        const int place = (k + j * groups) * pitch + m;
        Quad d;
        TG_UNROLLED
        for (int i = 0; i < 4; i++) d.at[i] = rounded<T>(folded<S>(chain, i, j));
        if (relu) {
          const Quad y = quad(at(s, before.y) + place);
          TG_UNROLLED
          for (int i = 0; i < 4; i++) {
            const float in[] = {d.at[i], y.at[i], y.at[i]};
            d.at[i] = slope<op_relu>::at(in, 0.0f, 0.0f);
          }
        }
        put(at(s, a.gx) + place, d);
      }
    }
  }
  // Terms n to n + 3, or the first of them.
  template <int S, bool all>
  TG_BODY static void back_terms(int there, const T* g, const T* const (&w)[4], int n, float (&chain)[S][4][4]) {
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
    const int64_t shard = round * rows / net.shard, next = (round + 1) * rows;
    const bool begins = round * rows % net.shard == 0, last = first + rows >= net.M || next == net.piece;
    const bool ends = last || next % net.shard == 0;
    int entries = 0;  // of the stack, below this shard
    for (int64_t left = shard; left; left >>= 1) entries += left & 1;
    const int merges = !ends ? 0 : last ? entries : tree_merges(shard);
    float* const top = net.partial + (block * net.levels + entries) * net.gradients + a.partial;
    if constexpr (fast) fast_weight_gradients(a, begins, merges, top, thread, s);
    else exact_weight_gradients(a, begins, merges, top, count, thread, s);
  }
  TG_BODY void exact_weight_gradients(const NetLayer& a, bool begins, int merges, float* top, int count, int thread,
                                      const float* s) const {
    const int tasks = a.groups_n * a.groups_k, inputs = a.K + 1;
    for (int task = thread; task < tasks; task += threads) {
      float* stack = top + task;
      const T *g[4], *x[4];
      TG_UNROLLED
      for (int i = 0; i < 4; i++) {
        const int n = task % a.groups_n + i * a.groups_n, k = task / a.groups_n + i * a.groups_k;
        g[i] = at(s, a.g) + (n < a.N ? n : 0) * pitch;
        x[i] = at(s, a.x) + (k < inputs ? k : 0) * pitch;
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
  TG_BODY static void row_terms(int there, const T* const (&g)[4], const T* const (&x)[4], int m,
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
