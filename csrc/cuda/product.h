// c(M,N) = sum over k of a(m,k) b(n,k) in chains of fma: what dense layers, their gradients and matmul have in common.
#pragma once
#include "cuda/elements.h"
#include "cuda/pipeline.h"
#include "math/order.h"

namespace tg::cuda {

// An operand: lines (rows of the product for a, its columns for b) of K terms, the product's depth.
struct Matrix {
  const void* data = nullptr;
  Dtype type = Dtype::Float32;
  int64_t line = 0, term = 0;  // strides, in elements
  int wide = 1;                // so many neighbours along the unit stride can be moved as one
};

// The axis along which an operand is contiguous, and four elements are moved and read as one.
enum class Along { terms, lines };

// A block makes m by n outputs, each thread micro_m by micro_n of them with `chains` chains each.
template <int M, int N, int MicroM, int MicroN, int Chains, int Stages>
struct Shape {
  static constexpr int m = M, n = N, micro_m = MicroM, micro_n = MicroN, chains = Chains, stages = Stages;
  static constexpr int threads_m = M / MicroM, threads_n = N / MicroN, threads = threads_m * threads_n, depth = 16;
  // So many share a multiprocessor: of 128 registers a thread, or 168 where several chains of many sums need more.
  static constexpr int blocks = Chains > 1 && MicroM * MicroN * Chains >= 64 ? 384 / threads : 512 / threads;
  static_assert(micro_m % 4 == 0 && micro_n % 4 == 0 && depth % (4 * Chains) == 0 && threads % 32 == 0);
};

// The terms of one step of an operand's lines. Terms beyond the last are `nothing`: the product of +0 and -0 is -0, which changes
// no sum, whereas +0 would make +0 of -0. Lines beyond the last are copies of it, which no output takes in.
// Elements of T are copied as they are, or widened to it.
template <class T, Along along, int lines, int depth, int threads, int padding = 0>
struct Panel {
  static constexpr bool by_terms = along == Along::terms;
  static constexpr int wide = sizeof(T) == 2 ? 8 : 4;  // elements that are moved as one
  // A few more in each line keep neighbours out of each other's banks.
  static constexpr int pitch = by_terms ? depth + wide : lines + padding, rows = by_terms ? lines : depth;
  alignas(16) T at[rows][pitch];

  TG_BODY void load(const Matrix& x, int64_t from, int64_t first_line, int64_t lines_of, int64_t first_term,
                    int64_t terms_of, T nothing, int thread) {
    if (lines_of == 0) return;
    TG_ROLLED
    for (int v = thread; v < lines * depth / wide; v += threads) {
      const int line = by_terms ? v / (depth / wide) : v % (lines / wide) * wide;
      const int term = by_terms ? v % (depth / wide) * wide : v / (lines / wide);
      T* to = by_terms ? &at[line][term] : &at[term][line];
      const int64_t l = first_line + line, k = first_term + term, last = lines_of - 1;
      const bool whole = by_terms ? k + wide <= terms_of : l + wide <= lines_of && k < terms_of;
      if (x.wide >= wide && whole) {
        move(to, x, from + (by_terms && l > last ? last : l) * x.line + k * x.term);
        continue;
      }
      TG_UNROLLED
      for (int e = 0; e < wide; e++) {
        const int64_t le = by_terms ? l : l + e, ke = by_terms ? k + e : k;
        const int64_t place = from + (le < last ? le : last) * x.line + ke * x.term;
        if (ke >= terms_of) to[e] = nothing;
        else if constexpr (sizeof(T) == 2) to[e] = static_cast<const T*>(x.data)[place];
        else if (x.type == dtype_like<T>) copy_ahead<sizeof(T)>(to + e, static_cast<const T*>(x.data) + place);
        else to[e] = element<T>(x.data, x.type, place);
      }
    }
  }
  TG_BODY static void move(T* to, const Matrix& x, int64_t place) {
    if (sizeof(T) == 2 || x.type == dtype_like<T>) {
      const T* from = static_cast<const T*>(x.data) + place;
      TG_UNROLLED
      for (int e = 0; e < wide; e += 16 / int(sizeof(T))) copy_ahead<16>(to + e, from + e);
    } else if constexpr (sizeof(T) == 4) {
      const FourHalves h = *reinterpret_cast<const FourHalves*>(static_cast<const uint16_t*>(x.data) + place);
      Four<T> f;
      TG_UNROLLED
      for (int e = 0; e < 4; e++)
        f.at[e] = x.type == Dtype::Float16 ? widened(Half{h.at[e]}) : widened(BFloat{h.at[e]});
      *reinterpret_cast<Four<T>*>(to) = f;
    }
  }
  TG_BODY Four<T> four(int row, int column) const { return *reinterpret_cast<const Four<T>*>(&at[row][column]); }
};

// Line i of a thread's: threads side by side have lines side by side, or four each.
template <Along along, int threads>
TG_BODY int line_of(int thread, int i) {
  return along == Along::terms ? thread + i * threads : i / 4 * 4 * threads + thread * 4 + i % 4;
}

struct Extents {
  int64_t M, N, K;
};

// The part of a product's block that all have: its loads and its chains.
template <class T, class Shape, Along along_a, Along along_b>
struct Chains {
  static constexpr int threads = Shape::threads, stages = Shape::stages, depth = Shape::depth;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // what is copied passes through registers
  static constexpr int blocks = sizeof(T) == 8 || threads == 256 ? 1 : Shape::blocks;
#else
  static constexpr int blocks = sizeof(T) == 8 ? 1 : Shape::blocks;
#endif
  static constexpr int micro_m = Shape::micro_m, micro_n = Shape::micro_n, chains = Shape::chains;
  struct Stage {
    Panel<T, along_a, Shape::m, depth, threads> a;
    Panel<T, along_b, Shape::n, depth, threads> b;
  };
  using Sums = T[chains][micro_m][micro_n];

  TG_BODY static int row(int thread, int i) { return line_of<along_a, Shape::threads_m>(thread / Shape::threads_n, i); }
  TG_BODY static int column(int thread, int j) {
    return line_of<along_b, Shape::threads_n>(thread % Shape::threads_n, j);
  }

  TG_BODY static void clear(Sums& sums) {
    TG_UNROLLED
    for (int s = 0; s < chains; s++) {
      TG_UNROLLED
      for (int i = 0; i < micro_m; i++) {
        TG_UNROLLED
        for (int j = 0; j < micro_n; j++) sums[s][i][j] = T(0);
      }
    }
  }
  TG_BODY static void add(int thread, const Stage& stage, Sums& sums) {
    if constexpr (along_a == Along::lines) {
      static_assert(along_b == Along::lines);
      TG_UNROLLED
      for (int k = 0; k < depth; k++) {
        T a[micro_m];
        TG_UNROLLED
        for (int i = 0; i < micro_m; i += 4) {
          const Four<T> f = stage.a.four(k, row(thread, i));
          TG_UNROLLED
          for (int e = 0; e < 4; e++) a[i + e] = f.at[e];
        }
        add_lines(thread, stage, k, [&](int i) { return a[i]; }, sums);
      }
    } else {
      // Four terms at a time where both go by terms and a thread has 8 by 8 sums, for which 128 registers would not do otherwise.
      [[maybe_unused]] constexpr int times = along_b == Along::terms && micro_m * micro_n >= 64 ? 1 : depth / 4;
      TG_UNROLLED_BY(times)
      for (int k = 0; k < depth; k += 4) {
        Four<T> a[micro_m];  // four terms of each line
        TG_UNROLLED
        for (int i = 0; i < micro_m; i++) a[i] = stage.a.four(row(thread, i), k);
        if constexpr (along_b == Along::lines) {
          TG_UNROLLED
          for (int q = 0; q < 4; q++) add_lines(thread, stage, k + q, [&](int i) { return a[i].at[q]; }, sums);
        } else {
          TG_UNROLLED
          for (int j = 0; j < micro_n; j++) {
            const Four<T> b = stage.b.four(column(thread, j), k);
            TG_UNROLLED
            for (int q = 0; q < 4; q++)
              add_column((k + q) % chains, j, [&](int i) { return a[i].at[q]; }, b.at[q], sums);
          }
        }
      }
    }
  }
  // Term k of the columns, of a panel by its lines; a(i) is that of line i.
  template <class A>
  TG_BODY static void add_lines(int thread, const Stage& stage, int k, A a, Sums& sums) {
    TG_UNROLLED
    for (int j = 0; j < micro_n; j += 4) {
      const Four<T> b = stage.b.four(k, column(thread, j));
      TG_UNROLLED
      for (int e = 0; e < 4; e++) add_column(k % chains, j + e, a, b.at[e], sums);
    }
  }
  template <class A>
  TG_BODY static void add_column(int chain, int j, A a, T b, Sums& sums) {
    TG_UNROLLED
    for (int i = 0; i < micro_m; i++) sums[chain][i][j] = fma(a(i), b, sums[chain][i][j]);
  }
};

}  // namespace tg::cuda
