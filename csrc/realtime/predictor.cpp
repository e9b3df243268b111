#include "realtime/predictor.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/float_env.h"
#include "cpu/pool.h"

namespace tg::realtime {
namespace {

constexpr int kTileScratch = 6;        // pool.h's slot for the activations of a tile
constexpr double kWorkOfTask = 5e5;    // multiply-adds worth handing to a thread
constexpr int64_t kTileFrom = 3;       // a tile costs as much as a third of its events one by one
constexpr int64_t kStreams = 8 << 20;  // floats of answers, more than caches hold: they go to memory directly

// x with room for `rows` rows of activations, aligned, on the stack: no allocation, and a page that is in use already.
#define TG_STACK_FLOATS(floats) \
  static_cast<float*>(__builtin_alloca_with_align(sizeof(float) * static_cast<size_t>(floats), 512))

bool has_nan(const float* x, int64_t n) noexcept {
  bool found = false;
  for (int64_t i = 0; i < n; i++) found |= x[i] != x[i];
  return found;
}

// A stretch of memory, cut at the ends of lines into at most as many pieces as a tile has steps, so that what is asked of
// memory is spread over the time that the layers take: many lines at once would stop the processor.
class Pieces {
 public:
  Pieces(const float* first, int64_t floats, int64_t parts)
      : floats_(floats),
        part_((floats + kLine + parts * kLine - 1) / (parts * kLine) * kLine),
        at_(-static_cast<int64_t>(reinterpret_cast<uintptr_t>(first) / sizeof(float) % kLine)) {}
  template <class Take>
  void next(Take take) noexcept {  // take(first, count)
    const int64_t from = at_ < 0 ? 0 : at_;
    at_ += part_;
    const int64_t to = at_ < floats_ ? at_ : floats_;
    if (from < to) take(from, to - from);
  }

 private:
  static constexpr int64_t kLine = 16;
  int64_t floats_, part_, at_;
};

template <int write>
void fetch(const float* first, int64_t floats) noexcept {
  for (int64_t i = 0; i < floats; i += 16) __builtin_prefetch(first + i, write);
}

// What `stream` wrote comes before whatever is written next.
void after_streams() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

template <class Body>
inline __attribute__((always_inline)) void in_float_env(bool flush, Body body) {
  if (flush) [[unlikely]] {
    const FlushDenormals env;
    body();
  } else {
    const FloatEnv env;
    body();
  }
}

}  // namespace

inline void Predictor::run_steps(const Steps& steps, const float* x, float* y) const noexcept {
  float* scratch = TG_STACK_FLOATS(steps.scratch);
  const float* const in[kBases] = {scratch, x, y};
  float* const out[kBases] = {scratch, nullptr, y};
  for (const Step* s = steps.first; s != steps.last; s++)
    s->kernel(*s, in[s->a_base] + s->a, in[s->b_base] + s->b, out[s->out_base] + s->out);
}

bool Predictor::run(const float* x, float* y) const noexcept {
  if (refuse_nan_ && has_nan(x, inputs_)) [[unlikely]]
    return false;
  in_float_env(flush_denormals_, [&] { run_steps(one_, x, y); });
  return true;
}

// ---- many events

void Predictor::run_tiles(const float* x, int64_t rows, float* y, bool streams) const noexcept {
  const int64_t E = kernels_->tile_events, parts = tile_.last - tile_.first;
  // Answers that go past the caches wait here while the next tile runs.
  const int64_t room = streams ? (E * outputs_ + 31) / 16 * 16 : 0;
  const size_t bytes = sizeof(float) * static_cast<size_t>(tile_.scratch + room);
  auto* const waiting = tile_.first ? static_cast<float*>(scratch(kTileScratch, bytes)) : nullptr;
  float* const tile = waiting + room;
  int64_t there = 0;  // how many
  in_float_env(flush_denormals_, [&] {
    while (tile_.first && rows * kTileFrom > E) {
      const int64_t count = rows < E ? rows : E, next = rows - count < E ? rows - count : E;
      kernels_->turn_in(x, inputs_, static_cast<int32_t>(count), tile);
      // What comes from memory and goes there is on its way while the layers run.
      Pieces in(x + count * inputs_, next * inputs_, parts), out(y - there, streams ? there : count * outputs_, parts);
      for (const Step* s = tile_.first; s != tile_.last; s++) {
        in.next([&](int64_t i, int64_t n) { fetch<0>(x + count * inputs_ + i, n); });
        out.next([&](int64_t i, int64_t n) {
          if (streams) kernels_->stream(waiting + i, n, y - there + i);
          else fetch<1>(y + i, n);
        });
        s->kernel(*s, tile + s->a, tile + s->b, tile + s->out);
      }
      kernels_->turn_out(tile + tile_.answer, outputs_, static_cast<int32_t>(count), streams ? waiting : y);
      there = streams ? count * outputs_ : 0;
      rows -= count, x += count * inputs_, y += count * outputs_;
    }
    if (streams) {
      kernels_->stream(waiting, there, y - there);
      after_streams();
    }
    for (int64_t i = 0; i < rows; i++) run_steps(one_, x + i * inputs_, y + i * outputs_);
  });
}

int64_t Predictor::accepted(const float* x, int64_t rows) const noexcept {
  if (!refuse_nan_ || !has_nan(x, rows * inputs_)) return rows;
  int64_t i = 0;
  while (i < rows && !has_nan(x + i * inputs_, inputs_)) i++;
  return i;
}

int64_t Predictor::run_rows(const float* x, int64_t rows, float* y) const noexcept {
  if (accepted(x, rows) != rows) return accepted(x, rows);
  const int64_t E = kernels_->tile_events;
  struct Job {
    const Predictor& p;
    const float* x;
    float* y;
    int64_t rows, of_task;
    bool streams;
  };
  Job job{*this,
          x,
          y,
          rows,
          E * (1 + static_cast<int64_t>(kWorkOfTask / (work_ * static_cast<double>(E)))),
          rows * outputs_ >= kStreams};
  if (num_threads() == 1 || rows < 2 * job.of_task) {
    run_tiles(x, rows, y, job.streams);
    return rows;
  }
  parallel((rows + job.of_task - 1) / job.of_task,
           [](void* context, int64_t task) {
             const Job& j = *static_cast<const Job*>(context);
             const int64_t first = task * j.of_task, left = j.rows - first;
             j.p.run_tiles(j.x + first * j.p.inputs_, left < j.of_task ? left : j.of_task, j.y + first * j.p.outputs_,
                           j.streams);
           },
           &job);
  return rows;
}

// ---- decisions

Cut Predictor::cut(float threshold) const {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const double t = threshold, up = 1 - t;
  // Elsewhere a logit alone decides nothing.
  if (!decides_by_logit_ || !(t > 1e-30) || !(up > 0x1p-20)) return {threshold, inf, -inf};
  // The sigmoid is within 2 ulp; 16 of them leave room for the rounding of the bounds.
  const double logit = std::log(t / up), margin = 0x1p-19 / up + 0x1p-20 * std::fabs(logit);
  return {threshold, static_cast<float>(logit + margin), static_cast<float>(logit - margin)};
}

bool Predictor::passes(const float* x, const Cut& cut, int32_t index, bool* refused) const noexcept {
  const bool refuses = refuse_nan_ && has_nan(x, inputs_);
  if (refused) *refused = refuses;
  if (refuses) [[unlikely]]
    return false;
  bool passed = false, clear = false;
  float* y = TG_STACK_FLOATS(outputs_);
  const float* answer = y + index;
  in_float_env(flush_denormals_, [&] {
    if (!decides_by_logit_) {
      run_steps(one_, x, y);
      return;
    }
    run_steps(logits_, x, y);
    const float z = y[index];
    passed = z > cut.above;
    clear = passed || z < cut.below;
    if (!clear) [[unlikely]] {
      const Step& last = one_.last[-1];
      Step alone = last;
      alone.n = alone.m = 1;
      last.kernel(alone, &z, nullptr, y);
      answer = y;
    }
  });
  // Compared as the caller would: a threshold that is a denormal number is not 0, even where those are flushed.
  return clear ? passed : *answer >= cut.threshold;
}

}  // namespace tg::realtime
