#include "cpu/strided.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace tg {
namespace {

constexpr int64_t kChunk = 1024;   // elements that are gathered at once: they stay in the first-level cache
constexpr int64_t kLongRow = 512;  // rows of this length are worth a kernel call each
constexpr double kTaskNanoseconds = 10'000;
constexpr int kScratch = 4;

// A kernel over operands that are contiguous or, among the inputs, a single element.
struct Direct {
  PointwiseFn fn;
  double p, q;
  int operands;  // the inputs, then the output
  bool singles;  // there are inputs of a single element
  std::byte* base[Loops::kOperands];
  int64_t size[Loops::kOperands];
  bool single[Loops::kOperands];

  // False where an operand is laid out otherwise.
  bool fill(std::span<const Tensor> in, const Tensor& out) {
    operands = 0;
    singles = false;
    for (const Tensor& t : in) {
      single[operands] = !(t.shape == out.shape) && t.numel() == 1;
      if (single[operands]) singles = true;
      else if (!(t.shape == out.shape) || !t.contiguous()) return false;
      add(t);
    }
    single[operands] = false;
    add(out);
    return out.contiguous();
  }
  void add(const Tensor& t) {
    base[operands] = t.data();
    size[operands++] = size_of(t.dtype);
  }

  static void run(void* ctx, int64_t first, int64_t last) {
    const Direct& d = *static_cast<const Direct*>(ctx);
    const void* in[kMaxInputs];
    const int out = d.operands - 1;
    int64_t step = last - first;
    if (d.singles) {
      step = std::min(step, kChunk);
      std::byte* buffer = static_cast<std::byte*>(scratch(kScratch, static_cast<size_t>(kChunk * 8 * out)));
      const int64_t one = 1, none = 0;
      for (int i = 0; i < out; i++, buffer += kChunk * 8)
        if (d.single[i]) {
          copy_elements(static_cast<int>(d.size[i]), 1, &step, buffer, &one, d.base[i], &none);
          in[i] = buffer;
        }
    }
    for (; first < last; first += step) {
      for (int i = 0; i < out; i++)
        if (!d.single[i]) in[i] = d.base[i] + first * d.size[i];
      d.fn(in, d.base[out] + first * d.size[out], std::min(step, last - first), d.p, d.q);
    }
  }
};

// A kernel over operands of any strides. The index space is cut into pieces of about kChunk elements: `rows`
// steps of the axis `split` with everything inside it. An operand that is not contiguous within a piece goes
// through scratch memory.
struct Strided {
  struct Operand {
    std::byte* base;
    int size;
    bool direct;   // contiguous within each piece
    bool repeats;  // the same elements in each piece
  };
  PointwiseFn fn;
  double p, q;
  int operands;  // the inputs, then the output
  Operand operand[Loops::kOperands];
  Loops loops;
  int split;
  int64_t inner;          // elements of a step of the axis `split`
  int64_t rows;           // steps of it in a piece (the last one of a row of pieces may be shorter)
  int64_t pieces_across;  // pieces along the axis `split`

  Strided(PointwiseFn fn, std::span<const Tensor> in, const Tensor& out, double p, double q)
      : fn(fn), p(p), q(q), operands(static_cast<int>(in.size()) + 1), loops(shared_loops(in, out)) {
    choose_pieces();
    for (int o = 0; o < operands; o++) {
      const Tensor& t = o + 1 < operands ? in[o] : out;
      operand[o] = {t.data(), static_cast<int>(size_of(t.dtype)), is_direct(o), repeats(o)};
    }
  }

  void choose_pieces() {
    split = loops.rank - 1;
    inner = 1;
    if (loops.length[split] < kLongRow)
      while (split > 0 && inner * loops.length[split] <= kChunk) inner *= loops.length[split--];
    const int64_t most = std::max<int64_t>(kChunk / inner, 1);
    pieces_across = (loops.length[split] + most - 1) / most;
    rows = (loops.length[split] + pieces_across - 1) / pieces_across;
    pieces_across = (loops.length[split] + rows - 1) / rows;
  }
  int64_t pieces() const {
    int64_t n = pieces_across;
    for (int i = 0; i < split; i++) n *= loops.length[i];
    return n;
  }
  bool is_direct(int o) const {
    int64_t step = 1;
    for (int i = loops.rank - 1; i >= split; i--) {
      const int64_t length = i == split ? rows : loops.length[i];
      if (length > 1 && loops.stride[o][i] != step) return false;
      step *= length;
    }
    return true;
  }
  bool repeats(int o) const {
    for (int i = 0; i < split; i++)
      if (loops.stride[o][i]) return false;
    return pieces_across == 1 || loops.stride[o][split] == 0;
  }

  // Between the memory of an operand and scratch memory, `steps` of the axis `split`.
  void move(int o, int64_t steps, std::byte* memory, std::byte* buffer, bool gather) const {
    const int rank = loops.rank - split;
    int64_t length[kMaxRank], packed[kMaxRank], step = 1;
    for (int i = rank - 1; i >= 0; i--) {
      length[i] = i ? loops.length[split + i] : steps;
      packed[i] = step;
      step *= length[i];
    }
    const int64_t* strides = loops.stride[o] + split;
    if (gather && rank == 1 && strides[0] == 0)
      return isa().move->fill[std::countr_zero(static_cast<unsigned>(operand[o].size))](buffer, memory, steps);
    if (gather) copy_elements(operand[o].size, rank, length, buffer, packed, memory, strides);
    else copy_elements(operand[o].size, rank, length, memory, strides, buffer, packed);
  }

  static void run(void* ctx, int64_t first, int64_t last) {
    const Strided& s = *static_cast<const Strided*>(ctx);
    const int64_t buffer_bytes = (s.rows * s.inner * 8 + 63) / 64 * 64;
    std::byte* buffers = static_cast<std::byte*>(scratch(kScratch, static_cast<size_t>(buffer_bytes * s.operands)));
    const int out = s.operands - 1;
    const void* in[kMaxInputs] = {};
    for (int64_t piece = first; piece < last; piece++) {
      const int64_t start = piece % s.pieces_across * s.rows;
      const int64_t steps = std::min(s.rows, s.loops.length[s.split] - start);
      int64_t index[kMaxRank], rest = piece / s.pieces_across;
      for (int i = s.split - 1; i >= 0; i--) {
        index[i] = rest % s.loops.length[i];
        rest /= s.loops.length[i];
      }
      std::byte* target = nullptr;
      for (int o = 0; o <= out; o++) {
        const Operand& operand = s.operand[o];
        int64_t offset = start * s.loops.stride[o][s.split];
        for (int i = 0; i < s.split; i++) offset += index[i] * s.loops.stride[o][i];
        std::byte* memory = operand.base + offset * operand.size;
        std::byte* buffer = buffers + o * buffer_bytes;
        if (o == out) {
          std::byte* to = operand.direct ? memory : buffer;
          s.fn(in, to, steps * s.inner, s.p, s.q);
          target = memory;
        } else if (operand.direct) {
          in[o] = memory;
        } else if (!operand.repeats || !in[o]) {
          s.move(o, operand.repeats ? s.rows : steps, memory, buffer, true);  // the first piece may be a short one
          in[o] = buffer;
        }
      }
      if (!s.operand[out].direct) s.move(out, steps, target, buffers + out * buffer_bytes, false);
    }
  }
};

// A large operand that is dense along another axis than the output would be gathered a cache line per
// element.
bool transposed(const Tensor& t, const Tensor& out) {
  if (t.rank() != out.rank() || t.rank() < 2 || out.numel() < 16 * kChunk) return false;
  int densest = 0, innermost = 0;
  for (int i = 1; i < t.rank(); i++) {
    if (out.shape[i] == 1) continue;
    if (std::abs(t.strides[i]) < std::abs(t.strides[densest]) || out.shape[densest] == 1) densest = i;
    if (std::abs(out.strides[i]) < std::abs(out.strides[innermost]) || out.shape[innermost] == 1) innermost = i;
  }
  return densest != innermost && t.shape == out.shape && !self_overlaps(t);
}

}  // namespace

Loops shared_loops(std::span<const Tensor> in, const Tensor& out) {
  Loops l;
  const int operands = static_cast<int>(in.size()) + 1;
  auto stride = [&](int o, int axis) {
    if (o + 1 == operands) return out.strides[axis];
    const int own = axis - (out.rank() - in[o].rank());
    return own < 0 || in[o].shape[own] == 1 ? int64_t{0} : in[o].strides[own];
  };
  int order[kMaxRank], n = 0;
  for (int axis = 0; axis < out.rank(); axis++) {
    if (out.shape[axis] == 1) continue;
    int at = n++;
    for (; at > 0 && std::abs(out.strides[order[at - 1]]) < std::abs(out.strides[axis]); at--)
      order[at] = order[at - 1];
    order[at] = axis;
  }
  for (int k = 0; k < n; k++) {
    const int axis = order[k], last = l.rank - 1;
    bool joins = l.rank > 0;
    for (int o = 0; o < operands && joins; o++) joins = l.stride[o][last] == stride(o, axis) * out.shape[axis];
    const int at = joins ? last : l.rank++;
    l.length[at] = out.shape[axis] * (joins ? l.length[at] : 1);
    for (int o = 0; o < operands; o++) l.stride[o][at] = stride(o, axis);
  }
  if (l.rank == 0) {
    l.rank = 1;
    l.length[0] = 1;
    for (int o = 0; o < operands; o++) l.stride[o][0] = 1;
  }
  return l;
}

void parallel_range(int64_t n, double nanoseconds, void (*body)(void*, int64_t, int64_t), void* ctx) {
  const double total = static_cast<double>(n) * nanoseconds;
  if (total < 2 * kTaskNanoseconds) return body(ctx, 0, n);
  const int64_t most = std::min<int64_t>(n, 8 * num_threads());
  struct Tasks {
    void (*body)(void*, int64_t, int64_t);
    void* ctx;
    int64_t n, step;
  };
  const int64_t tasks = std::min(static_cast<int64_t>(total / kTaskNanoseconds), most);
  int64_t step = (n + tasks - 1) / tasks;
  if (step > 64) step = (step + 63) / 64 * 64;  // tasks share no cache line of an aligned output
  Tasks t{body, ctx, n, step};
  parallel((n + step - 1) / step,
           [](void* c, int64_t task) {
             const Tasks& t = *static_cast<const Tasks*>(c);
             t.body(t.ctx, task * t.step, std::min(t.n, (task + 1) * t.step));
           },
           &t);
}

void elementwise(PointwiseFn fn, std::span<const Tensor> in, const Tensor& out, double p, double q,
                 double nanoseconds) {
  const int64_t n = out.numel();
  if (n == 0) return;
  Direct d;
  if (d.fill(in, out)) {
    d.fn = fn;
    d.p = p;
    d.q = q;
    return parallel_range(n, nanoseconds, Direct::run, &d);
  }
  Tensor dense[kMaxInputs];
  for (size_t i = 0; i < in.size(); i++) dense[i] = transposed(in[i], out) ? contiguous(in[i]) : in[i];
  Strided s(fn, {dense, in.size()}, out, p, q);
  parallel_range(s.pieces(), static_cast<double>(s.rows * s.inner) * (nanoseconds + 0.2), Strided::run, &s);
}

}  // namespace tg
