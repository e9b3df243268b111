// Products in the dense order of math/order.h: y(M,N) = bias(N) + a(M,K) b(N,K)^T, one or many of them.
#pragma once
#include "cuda/finish.h"
#include "cuda/product.h"
#include "cuda/walk.h"

namespace tg::cuda {

struct ProductOperands {
  Extents d{};
  Matrix a, b;
  Walk<2> items;               // where each product's a and b start, in elements
  const void* bias = nullptr;  // or none; of b's dtype
  int64_t bias_n = 0;
};

template <class T, class Shape, Along along_a, Along along_b, class Finish>
struct Product : Chains<T, Shape, along_a, along_b> {
  using Base = Chains<T, Shape, along_a, along_b>;
  using typename Base::Stage;
  static constexpr int pitch = Shape::n + 4;
  // Outputs pass through the memory of the stages, in parts, and a little more where the last columns do not fit.
  static constexpr int parts = Shape::m * pitch * sizeof(T) > Shape::stages * sizeof(Stage) ? 2 : 1;
  static constexpr int part_m = Shape::m / parts, part_i = Shape::micro_m / parts;
  static constexpr size_t held = Shape::stages * sizeof(Stage), needed = part_m * pitch * sizeof(T);
  static constexpr size_t extra = needed > held ? needed - held : 0;
  static_assert(part_i % 4 == 0);
  struct Own {
    typename Base::Sums sums;
    int64_t from_a, from_b;
    int m, n;  // the tile
  };
  ProductOperands o;
  int64_t tiles_n, tiles;  // of an item
  Finish finish;

  TG_BODY int64_t steps(int64_t) const { return (o.d.K + Shape::depth - 1) / Shape::depth; }

  TG_BODY void begin(int64_t block, int thread, Own& own, unsigned char*) const {
    int64_t from[2];
    o.items.offsets(block / tiles, from);
    own.from_a = from[0];
    own.from_b = from[1];
    own.m = int(block % tiles / tiles_n);
    own.n = int(block % tiles % tiles_n);
    Base::clear(own.sums);
    if (!o.bias) return;
    TG_UNROLLED
    for (int j = 0; j < Shape::micro_n; j++) {
      const int64_t n = int64_t(own.n) * Shape::n + Base::column(thread, j);
      const T start = n < o.d.N ? element<T>(o.bias, o.b.type, n * o.bias_n) : T(0);
      TG_UNROLLED
      for (int i = 0; i < Shape::micro_m; i++) own.sums[0][i][j] = start;
    }
  }
  TG_BODY void load(int64_t, int64_t step, int thread, Stage& stage, const Own& own) const {
    stage.a.load(o.a, own.from_a, int64_t(own.m) * Shape::m, o.d.M, step * Shape::depth, o.d.K, T(0), thread);
    stage.b.load(o.b, own.from_b, int64_t(own.n) * Shape::n, o.d.N, step * Shape::depth, o.d.K, -T(0), thread);
  }
  TG_BODY void work(int64_t, int64_t, int thread, const Stage& stage, Own& own, unsigned char*) const {
    Base::add(thread, stage, own.sums);
  }
  TG_BODY static T folded(const typename Base::Sums& s, int i, int j) {  // as reference::fold
    if constexpr (Shape::chains == 4) return (s[0][i][j] + s[2][i][j]) + (s[1][i][j] + s[3][i][j]);
    else if constexpr (Shape::chains == 2) return s[0][i][j] + s[1][i][j];
    else return s[0][i][j];
  }
  TG_BODY void put(int64_t, int part, int thread, Own& own, unsigned char* memory) const {
    T* const tile = reinterpret_cast<T*>(memory);  // (part_m, pitch)
    TG_UNROLLED
    for (int i = 0; i < Shape::micro_m; i++) {
      if (i / part_i != part) continue;
      T* const row = tile + (Base::row(thread, i) - part * part_m) * pitch;
      TG_UNROLLED
      for (int j = 0; j < Shape::micro_n; j++) row[Base::column(thread, j)] = folded(own.sums, i, j);
    }
  }
  TG_BODY void take(int64_t block, int part, int thread, unsigned char* memory) const {
    const T* const tile = reinterpret_cast<const T*>(memory);
    const int64_t m0 = block % tiles / tiles_n * Shape::m + part * part_m, n0 = block % tiles % tiles_n * Shape::n;
    const int64_t item = block / tiles * o.d.M;
    TG_ROLLED
    for (int v = thread; v < part_m * Shape::n / 4; v += Shape::threads) {
      const int row = v / (Shape::n / 4), column = v % (Shape::n / 4) * 4;
      if (m0 + row < o.d.M && n0 + column < o.d.N)
        finish(item + m0 + row, n0 + column, *reinterpret_cast<const Four<T>*>(tile + row * pitch + column));
    }
  }
};

template <class T, class Shape, Along along_a, Along along_b, class Finish>
void product_of_shape(const ProductOperands& o, const Finish& finish, Stream stream) {
  const int64_t tiles_n = (o.d.N + Shape::n - 1) / Shape::n, tiles = (o.d.M + Shape::m - 1) / Shape::m * tiles_n;
  Product<T, Shape, along_a, along_b, Finish> body;
  body.o = o;
  body.tiles_n = tiles_n;
  body.tiles = tiles;
  body.finish = finish;
  pipelined(stream, tiles * o.items.n, body.extra, body);
}

// The largest tiles of which there are enough to fill the device and which are not wasted on narrow rows.
template <class T, Along along_a, Along along_b, class Finish>
void product(const ProductOperands& o, const Finish& finish, int multiprocessors, Stream stream) {
  if (o.d.M == 0 || o.d.N == 0) return;
  auto run = [&](auto shape) { product_of_shape<T, decltype(shape), along_a, along_b>(o, finish, stream); };
  const int chains = dense_chains(o.d.K, o.d.N);
  auto count = [&](int m, int n) { return (o.d.M + m - 1) / m * ((o.d.N + n - 1) / n) * o.items.n; };
  auto fill = [&](int m, int n) { return count(m, n) >= multiprocessors; };
  if constexpr (sizeof(T) == 8) {
    if (chains == 4) return run(Shape<32, 16, 4, 4, 4, 2>{});
    if (chains == 2) return run(Shape<32, 32, 4, 4, 2, 2>{});
    return run(Shape<32, 32, 4, 4, 1, 2>{});
  } else {
    if (chains == 4) return fill(128, 16) ? run(Shape<128, 16, 4, 4, 4, 3>{}) : run(Shape<32, 16, 4, 4, 4, 4>{});
    if (chains == 2) return fill(128, 32) ? run(Shape<128, 32, 8, 4, 2, 3>{}) : run(Shape<32, 32, 4, 4, 2, 4>{});
    const bool wasteful = 4 * count(128, 128) * 20 > count(64, 64) * 23;  // over 15 % more outputs are computed
    if (o.d.N > 64 && fill(128, 128) && !wasteful) return run(Shape<128, 128, 8, 8, 1, 2>{});
    if (o.d.N > 32 && fill(64, 64)) return run(Shape<64, 64, 8, 4, 1, 3>{});
    return run(Shape<32, 32, 4, 4, 1, 4>{});
  }
}

}  // namespace tg::cuda
