// Products by tensor cores: a block makes m by n outputs, each warp warp_m by warp_n of them.
#pragma once
#include "cuda/fast.h"
#include "cuda/tensor_cores.h"

namespace tg::cuda {

template <int M, int N, int WarpM, int WarpN, int Stages>
struct WarpShape {
  static constexpr int m = M, n = N, warp_m = WarpM, warp_n = WarpN, stages = Stages;
  static constexpr int across = N / WarpN, threads = M / WarpM * across * kLanes;
};

template <Format format, class Shape, Along along_a, Along along_b>
struct FastProduct {
  using Element = typename Fragments<format>::Element;
  static constexpr int threads = Shape::threads, stages = Shape::stages, blocks = 1, depth = 32, parts = 2;
  static constexpr int fragments_m = Shape::warp_m / 16, fragments_n = Shape::warp_n / 8;
  static constexpr int pitch = Shape::n + 4, part_m = Shape::m / parts;
  struct Stage {
    Panel<Element, along_a, Shape::m, depth, threads, 8> a;
    Panel<Element, along_b, Shape::n, depth, threads, 8> b;
  };
  static_assert(part_m * pitch * sizeof(float) <= Shape::stages * sizeof(Stage) && part_m % 16 == 0);
  struct Own {
    Sums16x8 sums[fragments_m][fragments_n];
    int64_t from_a, from_b, terms;
    int m, n;  // the tile
  };
  FastOperands f;
  int64_t tiles_n, tiles;  // of an item
  Activated<float> finish;

  TG_BODY int64_t terms(int64_t block) const {
    if (f.piece == 0) return f.o.d.K;
    const int64_t left = f.o.d.K - block / tiles * f.piece;
    return left < f.piece ? left : f.piece;
  }
  TG_BODY int64_t steps(int64_t block) const { return (terms(block) + depth - 1) / depth; }
  TG_BODY static int warp_m(int thread) { return thread / kLanes / Shape::across * Shape::warp_m; }
  TG_BODY static int warp_n(int thread) { return thread / kLanes % Shape::across * Shape::warp_n; }

  TG_BODY void begin(int64_t block, int thread, Own& own, unsigned char*) const {
    int64_t from[2];
    f.o.items.offsets(block / tiles, from);
    own.terms = terms(block);
    own.m = int(block % tiles / tiles_n);
    own.n = int(block % tiles % tiles_n);
    own.from_a = f.piece ? block / tiles * f.piece * f.o.a.term : from[0];
    own.from_b = f.piece ? block / tiles * f.piece * f.o.b.term : from[1];
    const int64_t n0 = int64_t(own.n) * Shape::n + warp_n(thread);
    TG_UNROLLED
    for (int i = 0; i < fragments_m; i++) {
      TG_UNROLLED
      for (int j = 0; j < fragments_n; j++)
        own.sums[i][j].each(thread % kLanes, [&](int, int column, float& sum) {
          const int64_t n = n0 + j * 8 + column;
          sum = f.o.bias && n < f.o.d.N ? element<float>(f.o.bias, f.o.b.type, n * f.o.bias_n) : 0.0f;
        });
    }
  }
  TG_BODY void load(int64_t, int64_t step, int thread, Stage& stage, const Own& own) const {
    stage.a.load(f.o.a, own.from_a, int64_t(own.m) * Shape::m, f.o.d.M, step * depth, own.terms, Element(0), thread);
    stage.b.load(f.o.b, own.from_b, int64_t(own.n) * Shape::n, f.o.d.N, step * depth, own.terms, Element(0), thread);
  }
  TG_BODY void work(int64_t, int64_t, int thread, const Stage& stage, Own& own, unsigned char*) const {
    const int lane = thread % kLanes;
    TG_UNROLLED
    for (int k = 0; k < depth; k += Fragments<format>::depth) {
      B8<format> b[fragments_n];
      TG_UNROLLED
      for (int j = 0; j < fragments_n; j++) b[j].load(stage.b, warp_n(thread) + j * 8, k, lane);
      TG_UNROLLED
      for (int i = 0; i < fragments_m; i++) {
        A16<format> a;
        a.load(stage.a, warp_m(thread) + i * 16, k, lane);
        TG_UNROLLED
        for (int j = 0; j < fragments_n; j++) multiply_add(own.sums[i][j], a, b[j]);
      }
    }
  }
  TG_BODY void put(int64_t, int part, int thread, Own& own, unsigned char* memory) const {
    float* const tile = reinterpret_cast<float*>(memory);  // (part_m, pitch)
    TG_UNROLLED
    for (int i = 0; i < fragments_m; i++) {
      const int m = warp_m(thread) + i * 16 - part * part_m;
      if (m < 0 || m >= part_m) continue;
      TG_UNROLLED
      for (int j = 0; j < fragments_n; j++)
        own.sums[i][j].each(thread % kLanes, [&](int row, int column, float& sum) {
          tile[(m + row) * pitch + warp_n(thread) + j * 8 + column] = sum;
        });
    }
  }
  TG_BODY void take(int64_t block, int part, int thread, unsigned char* memory) const {
    const float* const tile = reinterpret_cast<const float*>(memory);
    const int64_t m0 = block % tiles / tiles_n * Shape::m + part * part_m, n0 = block % tiles % tiles_n * Shape::n;
    const int64_t item = block / tiles * f.o.d.M;
    TG_ROLLED
    for (int v = thread; v < part_m * Shape::n / 4; v += threads) {
      const int row = v / (Shape::n / 4), column = v % (Shape::n / 4) * 4;
      if (m0 + row < f.o.d.M && n0 + column < f.o.d.N)
        finish(item + m0 + row, n0 + column, *reinterpret_cast<const Four<float>*>(tile + row * pitch + column));
    }
  }
};

template <Format format, class Shape>
void fast_of_shape(const FastOperands& f, Along along_a, Along along_b, const Activated<float>& finish, Stream stream) {
  auto run = [&](auto body) {
    body.f = f;
    body.tiles_n = (f.o.d.N + Shape::n - 1) / Shape::n;
    body.tiles = (f.o.d.M + Shape::m - 1) / Shape::m * body.tiles_n;
    body.finish = finish;
    const int64_t items = f.piece ? (f.o.d.K + f.piece - 1) / f.piece : f.o.items.n;
    pipelined(stream, body.tiles * items, 0, body);
  };
  if (along_b == Along::terms) run(FastProduct<format, Shape, Along::terms, Along::terms>{});
  else if (along_a == Along::terms) run(FastProduct<format, Shape, Along::terms, Along::lines>{});
  else run(FastProduct<format, Shape, Along::lines, Along::lines>{});
}

template <Format format>
void fast_product_of(const FastOperands& f, Along along_a, Along along_b, const Activated<float>& finish,
                     int multiprocessors, Stream stream) {
  const int64_t items = f.piece ? (f.o.d.K + f.piece - 1) / f.piece : f.o.items.n;
  const bool fills = (f.o.d.M + 127) / 128 * ((f.o.d.N + 127) / 128) * items >= multiprocessors;
  if (f.o.d.N > 64 && fills) fast_of_shape<format, WarpShape<128, 128, 64, 32, 2>>(f, along_a, along_b, finish, stream);
  else fast_of_shape<format, WarpShape<64, 64, 32, 32, 3>>(f, along_a, along_b, finish, stream);
}

}  // namespace tg::cuda
