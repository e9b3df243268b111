// Dense kernels, compiled once per ISA: included inside tg::TG_ISA_NS after simd.h, order.h, dense.h and pool.h.
//
// Every product C(M,N) = A(M,K) B(K,N) runs through `product`. Each output is its own set of chains (order.h), so it is
// free to put columns or rows into the lanes, to cut M and N into tasks and, for a single chain, to stop after some k
// and go on from the stored partial sum. None of these changes a bit.

TG_FN int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

#include "dense_tile.inl"
#include "dense_pack.inl"

template <class F>
static void run_task(void* f, int64_t task) {
  (*static_cast<F*>(f))(task);
}
template <class F>
TG_FN void for_tasks(int64_t tasks, F f) {
  if (tasks == 1) f(int64_t(0));
  else parallel(tasks, run_task<F>, &f);
}

// Thread-local buffers (pool.h). The first two are the caller's and read by all tasks, the others
// are a task's own.
enum ScratchSlot { packed_b_slot, copied_a_slot, rows_slot, narrow_out_slot, tree_slot };
template <class T>
static T* buffer(ScratchSlot slot, int64_t numbers) {
  return static_cast<T*>(scratch(slot, size_t(numbers) * sizeof(T)));
}

template <class T>
struct Product {
  int64_t M, N, K;
  const T* a;  // unit stride along K
  int64_t a_row;
  const T* b;  // any strides; not read when packed
  int64_t b_k, b_n;
  const T* packed;  // by pack_all, or null
  const T* bias;
  T* c;
  int64_t c_row;
  DenseActivation<T> activation;
};

// The activation of a block of a product, from row m and column n on, in one call where its rows lie one after the other.
template <class T>
static void apply_block(const Product<T>& g, int64_t m, int64_t rows, int64_t n, int64_t columns) {
  const DenseActivation<T>& f = g.activation;
  T* c = g.c + m * g.c_row + n;
  if (g.c_row == columns && (!f.row || f.row == columns)) return f.apply(c, rows * columns, m * f.row + n);
  for (int64_t i = 0; i < rows; i++) f.apply(c + i * g.c_row, columns, (m + i) * f.row + n);
}

// ---- B as the tiles read it ------------------------------------------------------------------------------
// A B of few columns would leave most lanes empty: then, where rows abound, rows go into the lanes. For that the packed
// image of a narrow B ends with its columns one after the other, K numbers each.
template <class V>
TG_FN bool is_narrow(int64_t N) {
  return N <= lane<V>::n / 2;
}

template <class V>
static int64_t packed_size(int64_t N, int64_t K) {
  if (N == 0) return 0;
  const PanelShape s = panel_shape<V>(N);
  return (s.count * s.row + (is_narrow<V>(N) ? N : 0)) * K;
}
template <class T>
static void pack_columns(const T* b, int64_t b_k, int64_t b_n, int64_t N, int64_t K, T* to) {
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) *to++ = b[n * b_n + k * b_k];
}
template <class V>
static void pack_panels(const typename lane<V>::S* b, int64_t b_k, int64_t b_n, int64_t N, int64_t K, int64_t first,
                        int64_t end, typename lane<V>::S* to) {
  const PanelShape s = panel_shape<V>(N);
  for (int64_t p = first; p < end; p++)
    pack_panel<V>(b + p * s.row * b_n, b_k, b_n, K, int(least(s.row, N - p * s.row)), int(s.row / lane<V>::n),
                  to + p * s.row * K);
}
template <class V>
static void pack_all(const typename lane<V>::S* b, int64_t b_k, int64_t b_n, int64_t N, int64_t K,
                     typename lane<V>::S* to) {
  if (N == 0 || K == 0) return;
  const PanelShape s = panel_shape<V>(N);
  pack_panels<V>(b, b_k, b_n, N, K, 0, s.count, to);
  if (is_narrow<V>(N)) pack_columns(b, b_k, b_n, N, K, to + s.count * s.row * K);
}

// Panels in memory: row k of panel p at base + p * panel_step + k * row, the last panel at last + k * last_row.
template <class T>
struct Panels {
  PanelShape shape;
  const T* base;
  int64_t row, panel_step;
  const T* last;
  int64_t last_row;
};

// ---- columns in the lanes --------------------------------------------------------------------------------
constexpr int64_t k_block = 512;          // of a single chain; longer ones go on from the stored sum
constexpr int64_t l2_share = 384 * 1024;  // bytes of panels that one sweep over the rows keeps at hand
constexpr int64_t l1_share = 32 * 1024;   // bytes of a panel that may serve several tiles one after the other

static constexpr int largest_height(int64_t rows, int most) {
  int best = 1;
  for (int h : tile_heights)
    if (h <= rows && h <= most) best = h;
  return best;
}

// Rows m_first .. m_end-1, panels p_first .. p_end-1
template <class V, int S>
static void product_panels(const Product<typename lane<V>::S>& g, const Panels<typename lane<V>::S>& panels,
                           int64_t m_first, int64_t m_end, int64_t p_first, int64_t p_end) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, W = panel_vectors * L, rows_full = tile_rows(S, panel_vectors);
  const PanelShape& s = panels.shape;
  const int most = s.count == 1 ? tile_rows(S, s.last_vectors) : rows_full;
  const int64_t block = S == 1 && m_end - m_first > 2 * most && g.K > k_block + k_block / 2 ? k_block : g.K;
  const int64_t panel_bytes = block * int64_t(W * sizeof(T));
  int64_t group = p_end - p_first;
  if (group * panel_bytes > l2_share && m_end - m_first > most)
    group = panel_bytes < l2_share ? l2_share / panel_bytes : 1;
  const int64_t most_blocks = panel_bytes <= l1_share ? 16 : 1;
  const bool last_fits =
      panels.last_row == panels.row && panels.last == panels.base + (s.count - 1) * panels.panel_step;
  int64_t k = 0;
  do {
    const int64_t k_end = k + block + block / 2 >= g.K ? g.K : k + block;
    for (int64_t p0 = p_first; p0 < p_end; p0 += group) {
      const int64_t p1 = least(p0 + group, p_end);
      for (int64_t m = m_first; m < m_end;) {
        const int rows = largest_height(m_end - m, most);
        const int64_t blocks = least((m_end - m) / rows, most_blocks);
        for (int64_t p = p0; p < p1;) {
          const bool last = p == s.count - 1;
          int together = 1, vectors = last ? s.last_vectors : panel_vectors;
          TileFunction<T> tile = nullptr;
          if (rows <= 2 && p1 - p >= 2) {
            for (int wide = 4; wide >= 2 && !tile; wide--) {
              const bool with_last = p + wide == s.count;
              if (p + wide > p1 || (with_last && !last_fits)) continue;
              tile = wide_tile_of<V, S>(wide, with_last ? s.last_vectors : panel_vectors, rows);
              if (tile) together = wide;
            }
          }
          if (!tile) tile = tile_of<V, S>(vectors, rows);
          const bool at_end = p + together == s.count;
          DenseTile<T> t;
          t.K = k_end - k;
          t.a = g.a + m * g.a_row + k;
          t.a_row = g.a_row;
          t.b_k = last ? panels.last_row : panels.row;
          t.b = (last ? panels.last : panels.base + p * panels.panel_step) + k * t.b_k;
          t.b_panel = panels.panel_step;
          t.c = g.c + m * g.c_row + p * W;
          t.c_row = g.c_row;
          t.blocks = blocks;
          t.start = k > 0 ? t.c : g.bias ? g.bias + p * W : nullptr;
          t.start_row = k > 0 ? g.c_row : 0;
          t.start_scalar = false;
          t.columns = at_end ? s.last_columns : L;
          t.relu = g.activation.kind == Fused::relu && k_end == g.K;
          t.slope = g.activation.is_slope() && k_end == g.K ? g.activation.kind : Fused::nothing;
          t.slope_row = g.activation.row;
          t.slope_of = g.activation.is_slope() ? g.activation.slope_of() + m * t.slope_row + p * W : nullptr;
          tile(t);
          p += together;
        }
        if (g.activation.kind == Fused::function && k_end == g.K) {
          const int64_t n0 = p0 * W;
          apply_block(g, m, blocks * rows, n0, least(p1 * W, g.N) - n0);
        }
        m += blocks * rows;
      }
    }
    k = k_end;
  } while (k < g.K);
}

// ---- rows in the lanes -----------------------------------------------------------------------------------
// Rows m_first .. m_end-1; b holds the columns of B one after the other.
template <class V, int S>
static void product_narrow(const Product<typename lane<V>::S>& g, const typename lane<V>::S* b, int64_t m_first,
                           int64_t m_end) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  const int columns = int(g.N);
  const int64_t budget = 32 * 1024 / (int64_t(L * sizeof(T)) * (g.K + 1));  // the turned block of A stays in L1
  const int vectors = budget >= panel_vectors ? panel_vectors : budget >= 2 && panel_vectors > 2 ? 2 : 1;
  const int block = vectors * L;
  T* turned = buffer<T>(rows_slot, block * g.K);
  T* out = buffer<T>(narrow_out_slot, block * columns);
  for (int64_t m = m_first; m < m_end; m += block) {
    const int rows = int(least(block, m_end - m)), used = (rows + L - 1) / L;
    pack_panel<V>(g.a + m * g.a_row, 1, g.a_row, g.K, rows, used, turned);
    for (int n = 0; n < columns;) {
      const int height = largest_height(columns - n, tile_rows(S, used));
      DenseTile<T> t;
      t.K = g.K;
      t.a = b + n * g.K;
      t.a_row = g.K;
      t.b = turned;
      t.b_k = used * L;
      t.b_panel = 0;
      t.start = g.bias ? g.bias + n : nullptr;
      t.start_row = 0;
      t.start_scalar = true;
      t.c = out + n * block;
      t.c_row = block;
      t.blocks = 1;
      t.columns = L;
      t.relu = g.activation.kind == Fused::relu;
      t.slope = Fused::nothing;
      tile_of<V, S>(used, height)(t);
      n += height;
    }
    T* c = g.c + m * g.c_row;
    if (columns <= 2) {
      for (int i = 0; i < rows; i++)
        for (int n = 0; n < columns; n++) c[i * g.c_row + n] = out[n * block + i];
    } else {
      copy_transposed<V>(out, block, columns, rows, c, g.c_row);
    }
    if (g.activation.goes_aside()) apply_block(g, m, rows, 0, columns);
  }
}

// ---- the whole product -----------------------------------------------------------------------------------
constexpr double flops_of_a_task = 1e6;  // a smaller one costs more to hand over than it brings

// Into how many tasks to cut so much work, for a pool of so many threads; 1: keep it to oneself.
TG_FN int64_t tasks_for(double flops) {
  if (flops < 2 * flops_of_a_task) return 1;
  const int threads = num_threads();
  if (threads == 1) return 1;
  return int64_t(flops / flops_of_a_task < 8.0 * threads ? flops / flops_of_a_task : 8.0 * threads);
}
TG_FN int64_t rounded_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

#include "dense_column.inl"
#include "dense_stream.inl"

// The panels of g.b: packed already, packed here, or in place where B's rows are contiguous and few rows of A use them.
template <class V>
static Panels<typename lane<V>::S> panels_of(const Product<typename lane<V>::S>& g, int64_t tasks) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, W = panel_vectors * L;
  Panels<T> p;
  p.shape = panel_shape<V>(g.N);
  const int64_t last = p.shape.count - 1;
  if (g.packed || g.b_n != 1 || g.M >= 16) {
    p.row = p.last_row = p.shape.row;
    p.panel_step = p.row * g.K;
    p.base = g.packed;
    if (!g.packed) {
      T* to = buffer<T>(packed_b_slot, p.shape.count * p.panel_step);
      const int64_t share = (p.shape.count + tasks - 1) / tasks;
      for_tasks((p.shape.count + share - 1) / share, [&](int64_t task) {
        pack_panels<V>(g.b, g.b_k, g.b_n, g.N, g.K, task * share, least((task + 1) * share, p.shape.count), to);
      });
      p.base = to;
    }
    p.last = p.base + last * p.panel_step;
  } else {
    p.base = g.b;
    p.row = p.last_row = g.b_k;
    p.panel_step = W;
    p.last = g.b + last * W;
    if (p.shape.last_columns < L) {  // tiles read whole vectors
      p.last_row = p.shape.last_vectors * L;
      T* to = buffer<T>(packed_b_slot, p.last_row * g.K);
      pack_panel<V>(p.last, g.b_k, 1, g.K, g.N - last * W, p.shape.last_vectors, to);
      p.last = to;
    }
  }
  return p;
}

template <class V, int S>
static void product_chains(const Product<typename lane<V>::S>& g) {
  using T = typename lane<V>::S;
  const int64_t tasks = tasks_for(2.0 * double(g.M) * double(g.N) * double(g.K));
  if (reads_turned<V>(g)) return product_turned<V, S>(g, tasks);
  if (S == 1 && reads_rows(g)) return product_of_row<V>(g, tasks);
  constexpr int64_t unit = 24;  // rows: a multiple of every tile's height
  const int64_t rows = rounded_up((g.M + tasks - 1) / tasks, unit), row_tasks = (g.M + rows - 1) / rows;
  const bool one_column = S == 4 && g.N == 1;
  if (one_column || (is_narrow<V>(g.N) && g.M >= lane<V>::n)) {
    const PanelShape image = panel_shape<V>(g.N);
    const T* b = g.packed ? g.packed + image.row * g.K : one_column && g.b_k == 1 ? g.b : nullptr;
    if (!b) {
      T* to = buffer<T>(packed_b_slot, g.N * g.K);
      pack_columns(g.b, g.b_k, g.b_n, g.N, g.K, to);
      b = to;
    }
    return for_tasks(row_tasks, [&](int64_t task) {
      const int64_t first = task * rows, end = least((task + 1) * rows, g.M);
      one_column ? product_of_column(g, b, first, end) : product_narrow<V, S>(g, b, first, end);
    });
  }
  const Panels<T> panels = panels_of<V>(g, tasks);
  const int64_t count = panels.shape.count;
  if (row_tasks >= tasks || count < 4)
    return for_tasks(row_tasks, [&](int64_t task) {
      product_panels<V, S>(g, panels, task * rows, least((task + 1) * rows, g.M), 0, count);
    });
  const int64_t share = (count + tasks - 1) / tasks;
  for_tasks((count + share - 1) / share, [&](int64_t task) {
    product_panels<V, S>(g, panels, 0, g.M, task * share, least((task + 1) * share, count));
  });
}

template <class V>
static void product(const Product<typename lane<V>::S>& g) {
  if (g.M <= 0 || g.N <= 0) return;
  switch (dense_chains(g.K, g.N)) {
    case 1: return product_chains<V, 1>(g);
    case 2: return product_chains<V, 2>(g);
    case 4: return product_chains<V, 4>(g);
  }
}

// ---- the table -------------------------------------------------------------------------------------------
template <class V>
static void pack(const typename lane<V>::S* w, int64_t w_n, int64_t w_k, int64_t N, int64_t K,
                 typename lane<V>::S* packed) {
  pack_all<V>(w, w_k, w_n, N, K, packed);
}
// One row and a packed W: what an event in a trigger pays for. Nothing here but the tiles.
template <class V, int S>
static void forward_row(const DenseForward<typename lane<V>::S>& g) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, W = panel_vectors * L;
  const PanelShape s = panel_shape<V>(g.N);
  DenseTile<T> t;
  t.K = g.K;
  t.a = g.x;
  t.a_row = t.start_row = t.c_row = 0;
  t.b = g.packed;
  t.b_k = s.row;
  t.b_panel = s.row * g.K;
  t.start = g.bias;
  t.start_scalar = false;
  t.c = g.y;
  t.blocks = 1;
  t.columns = L;
  t.relu = g.activation.kind == Fused::relu;
  t.slope = Fused::nothing;
  constexpr int most = panels_together(S, 1);
  for (int64_t p = 0; p < s.count;) {
    const int64_t left = s.count - p;
    const int together = int(least(left, most));
    const bool last = together == left;
    const int vectors = last ? s.last_vectors : panel_vectors;
    if (last) t.columns = s.last_columns;
    (together == 1 ? tile_of<V, S>(vectors, 1) : wide_tile_of<V, S>(together, vectors, 1))(t);
    p += together;
    t.b += together * t.b_panel;
    t.c += together * W;
    if (t.start) t.start += together * W;
  }
  if (g.activation.kind == Fused::function) g.activation.apply(g.y, g.N);
}
template <class V>
static void forward(const DenseForward<typename lane<V>::S>& g) {
  if (g.M == 1 && g.N > 0 && g.packed) {
    switch (dense_chains(g.K, g.N)) {
      case 1: return forward_row<V, 1>(g);
      case 2: return forward_row<V, 2>(g);
      case 4: return forward_row<V, 4>(g);
    }
  }
  product<V>({g.M, g.N, g.K, g.x, g.x_row, g.w, g.w_k, g.w_n, g.packed, g.bias, g.y, g.y_row, g.activation});
}
template <class V>
static void grad_input(const DenseGradInput<typename lane<V>::S>& g) {
  product<V>({g.M, g.K, g.N, g.dy, g.dy_row, g.w, g.w_n, g.w_k, nullptr, nullptr, g.dx, g.dx_row, g.slope});
}
template <class V>
static void matmul(const Matmul<typename lane<V>::S>& g) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  const T* a = g.a;
  int64_t a_row = g.a_m;
  if (g.a_k != 1 && g.K > 1 && g.M > 0 && g.N > 0) {  // rows of A must be contiguous
    const int64_t tasks = tasks_for(4.0 * double(g.M) * double(g.K)), share = (g.M + tasks - 1) / tasks;
    a_row = rounded_up(g.K, L);
    T* to = buffer<T>(copied_a_slot, g.M * a_row);
    for_tasks((g.M + share - 1) / share, [&](int64_t task) {
      const int64_t m = task * share;
      pack_panel<V>(g.a + m * g.a_m, g.a_m, g.a_k, least(share, g.M - m), g.K, a_row / L, to + m * a_row);
    });
    a = to;
  }
  product<V>({g.M, g.N, g.K, a, a_row, g.b, g.b_k, g.b_n, nullptr, nullptr, g.c, g.c_row, {}});
}

#include "dense_grad.inl"

template <class V>
static constexpr DenseTable<typename lane<V>::S> dense_table = {packed_size<V>, pack<V>,        forward<V>,
                                                                grad_input<V>,  grad_weight<V>, matmul<V>};
