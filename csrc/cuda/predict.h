// The kernel of a predictor: one block that takes an event out of the host's memory, runs a net over it and puts the answer
// back, once, or again and again until it is told to end.
//
// A number travels with its event's tag in one word of 64 bits, which either side reads and writes whole. So each word is its
// own flag: who sees the tag has the number, and nothing hangs on the order in which words arrive. The host writes an event
// only when it has the answer to the one before, which is written after all of its words were read.
#pragma once
#include "cuda/launch.h"
#include "cuda/event_net.h"
#include "math/order.h"
#include "math/pointwise.h"

namespace tg::cuda {

inline constexpr int kEventThreads = 256;
// Tags are 1, 2, 3, ...; these mean something else.
inline constexpr uint32_t kNoTag = 0, kEndTag = 0xffffffff;
TG_FN constexpr uint32_t tag_after(uint32_t tag) { return tag + 1 == kEndTag ? 1 : tag + 1; }

// ---- words that host and device share

using Word = uint64_t;
TG_FN Word word_of(uint32_t tag, float number) { return Word(tag) << 32 | uint32_t(bits(number)); }
TG_FN uint32_t tag_of(Word w) { return uint32_t(w >> 32); }
TG_FN float number_of(Word w) { return from_bits<float>(int32_t(uint32_t(w))); }

// From memory each time, whole, visible to all of the system.
#if defined(__CUDA_ARCH__)
TG_FN Word read_word(const Word* at) { return *static_cast<const volatile Word*>(at); }
TG_FN void write_word(Word* at, Word w) { *static_cast<volatile Word*>(at) = w; }
#else
TG_FN Word read_word(const Word* at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
TG_FN void write_word(Word* at, Word w) { __atomic_store_n(at, w, __ATOMIC_RELEASE); }
#endif

// What host and device share: in the host's memory, at another address for the device.
struct Mailbox {
  Word* in = nullptr;     // (inputs)
  Word* out = nullptr;    // (outputs)
  Word* ended = nullptr;  // tag: how many kernels have ended
};

// ---- the net

// The net where a thread reads it: steps and numbers on the chip or in the device's memory, values likewise.
struct EventPlace {
  const EventStep* steps;
  const float* numbers;
  float* values;

  TG_BODY static float function(const EventStep& s, float x) {
    switch (s.function) {
#define TG_CASE(name) \
  case id_##name: return op_##name::f(x, s.p, s.q);
      TG_EVENT_FUNCTIONS(TG_CASE)
#undef TG_CASE
      default: return x;
    }
  }
  // Sixteen lanes folded by halves (math/order.h).
  template <class Join>
  TG_BODY static float folded(const float* lanes, Join join) {
    float v[row_lanes];
    TG_UNROLLED
    for (int l = 0; l < row_lanes; l++) v[l] = lanes[l];
    TG_UNROLLED
    for (int half = row_lanes / 2; half > 0; half /= 2) {
      TG_UNROLLED
      for (int l = 0; l < row_lanes / 2; l++)
        if (l < half) v[l] = join(v[l], v[l + half]);
    }
    return v[0];
  }
  TG_BODY static float greatest(const float* lanes) {
    return folded(lanes, [](float a, float b) { return b > a ? b : a; });
  }
  TG_BODY static float sum(const float* lanes) {
    return folded(lanes, [](float a, float b) { return a + b; });
  }

  // Output i in S chains; w(K, n) lies k after k, so that neighbouring threads read neighbouring numbers.
  template <int S>
  TG_BODY static float dense(const EventStep& s, const float* a, const float* w, float start, int i) {
    float chain[S];
    TG_UNROLLED
    for (int c = 0; c < S; c++) chain[c] = c == 0 ? start : 0.0f;
    w += i;
    constexpr int block = 8;
    int k = 0;
    for (; k + block <= s.K; k += block) {
      float x[block], v[block];
      TG_UNROLLED
      for (int j = 0; j < block; j++) x[j] = a[k + j], v[j] = w[int64_t(k + j) * s.n];
      TG_UNROLLED
      for (int j = 0; j < block; j++) chain[j % S] = fma(x[j], v[j], chain[j % S]);
    }
    TG_UNROLLED
    for (int j = 0; j < block - 1; j++)  // a term that is not there may not be added as 0: -0 would become +0
      if (k + j < s.K) chain[j % S] = fma(a[k + j], w[int64_t(k + j) * s.n], chain[j % S]);
    if constexpr (S == 4) return (chain[0] + chain[2]) + (chain[1] + chain[3]);
    else if constexpr (S == 2) return chain[0] + chain[1];
    else return chain[0];
  }

  // Number i of a step.
  TG_BODY float element(const EventStep& s, int i) const {
    const float *a = values + s.a, *b = values + s.b, *w = numbers + s.w;
    float y;
    switch (s.code) {
      case EventStep::dense: {
        const float start = s.c < 0 ? 0.0f : numbers[s.c + i];
        y = s.chains == 4   ? dense<4>(s, a, w, start, i)
            : s.chains == 2 ? dense<2>(s, a, w, start, i)
                            : dense<1>(s, a, w, start, i);
        break;
      }
      case EventStep::affine: y = fma(a[i], w[i], w[s.n + i]); break;
      case EventStep::prelu: y = a[i] > 0 ? a[i] : w[i] * a[i]; break;
      case EventStep::standardize: {
        const float x = is_nan(a[i]) ? w[i] : a[i];
        y = (minimum(tg::maximum(x, w[s.n + i]), w[2 * s.n + i]) - w[3 * s.n + i]) * w[4 * s.n + i];
        break;
      }
      case EventStep::add: y = a[i] + b[i]; break;
      case EventStep::sub: y = a[i] - b[i]; break;
      case EventStep::mul: y = a[i] * b[i]; break;
      case EventStep::maximum: y = tg::maximum(a[i], b[i]); break;
      case EventStep::step: y = a[i] >= 0 ? 1.0f : 0.0f; break;
      case EventStep::largest:
        y = a[i * s.K];
        for (int j = 1; j < s.K; j++) y = tg::maximum(y, a[i * s.K + j]);
        break;
      case EventStep::lane_max:
        y = -__builtin_inff();
        for (int j = i; j < s.K; j += row_lanes) y = a[j] > y ? a[j] : y;
        break;
      case EventStep::lane_sum:
        y = 0;
        for (int j = i; j < s.K; j += row_lanes) y = y + a[j];
        break;
      case EventStep::exp_less: y = exp(a[i] - greatest(b)); break;
      case EventStep::share: y = a[i] * (1.0f / sum(b)); break;
      case EventStep::log_share: y = (a[i] - greatest(b)) - log(sum(values + s.w)); break;
      default: y = a[i];
    }
    return function(s, y);
  }
};

// ---- the kernel of a net that fits on the chip

struct EventBody {
  EventNet net;  // its pointers are the device's
  Mailbox mail;
  uint32_t tag = kNoTag;   // of the first event; none: whatever is there, once
  uint32_t end_count = 0;  // told when it ends
  uint64_t patience = 0;   // nanoseconds without an event after which it ends by itself

  static TG_BODY size_t rounded(size_t bytes) { return (bytes + 15) / 16 * 16; }
  static size_t bytes(const EventNet& n) {
    return rounded(size_t(n.count) * sizeof(EventStep)) + rounded(size_t(n.floats) * 4) + rounded(size_t(n.values) * 4);
  }
  TG_BODY EventPlace place(char* chip) const {
    char *numbers = chip + rounded(size_t(net.count) * sizeof(EventStep)),
         *values = numbers + rounded(size_t(net.floats) * 4);
    return {reinterpret_cast<const EventStep*>(chip), reinterpret_cast<const float*>(numbers),
            reinterpret_cast<float*>(values)};
  }
  TG_BODY bool once() const { return tag == kNoTag; }

  TG_BODY void load(int thread, char* chip) const {
    const EventPlace at = place(chip);
    auto* steps = reinterpret_cast<int32_t*>(const_cast<EventStep*>(at.steps));
    const auto* from = reinterpret_cast<const int32_t*>(net.steps);
    for (int i = thread; i < int(net.count * sizeof(EventStep) / 4); i += kEventThreads) steps[i] = from[i];
    for (int i = thread; i < net.floats; i += kEventThreads) const_cast<float*>(at.numbers)[i] = net.numbers[i];
  }
  // This thread's words of event `now` have come; `waited(polls)` says when to give up.
  template <class Waited>
  TG_BODY bool receive(uint32_t now, int thread, char* chip, Waited waited) const {
    float* x = place(chip).values;
    uint32_t polls = 0;
    for (int i = thread; i < net.inputs; i += kEventThreads) {
      Word w = read_word(mail.in + i);
      while (now != kNoTag && tag_of(w) != now) {
        if (tag_of(w) == kEndTag || waited(++polls)) return false;
        w = read_word(mail.in + i);
      }
      x[i] = number_of(w);
    }
    return true;
  }
  TG_BODY void work(int step, int thread, char* chip) const {
    const EventPlace at = place(chip);
    const EventStep& s = at.steps[step];
    for (int i = thread; i < s.n; i += kEventThreads) at.values[s.out + i] = at.element(s, i);
  }
  TG_BODY void send(uint32_t now, int thread, char* chip) const {
    const float* y = place(chip).values + net.answer;
    if (now == kNoTag) now = tag_of(read_word(mail.in));
    for (int i = thread; i < net.outputs; i += kEventThreads) write_word(mail.out + i, word_of(now, y[i]));
  }
};

#if defined(TG_THREADS)
// What a thread of the block does; `nanoseconds()` is a clock.
template <class Clock>
__device__ __forceinline__ void answer_events(const EventBody& body, int thread, char* chip, Clock nanoseconds) {
  body.load(thread, chip);
  __syncthreads();
  for (uint32_t now = body.tag;; now = tag_after(now)) {
    uint64_t since = 0;
    const bool come = body.receive(now, thread, chip, [&](uint32_t polls) {
      if (polls % 256) return false;
      const uint64_t t = nanoseconds();
      if (since == 0) since = t;
      return t - since > body.patience;
    });
    if (!__syncthreads_and(come)) break;
    for (int step = 0; step < body.net.count; step++) {
      body.work(step, thread, chip);
      __syncthreads();
    }
    body.send(now, thread, chip);
    if (body.once()) return;
  }
  if (thread == 0) write_word(body.mail.ended, word_of(body.end_count, 0));
}
#endif

// ---- a net that does not: a launch for each step, spread over the device, values in its memory

struct ReceivePart {
  Mailbox mail;
  float* values;
  TG_BODY void operator()(int64_t i) const { values[i] = number_of(read_word(mail.in + i)); }
};
struct SendPart {
  Mailbox mail;
  const float* answer;
  TG_BODY void operator()(int64_t i) const { write_word(mail.out + i, word_of(tag_of(read_word(mail.in)), answer[i])); }
};
// Blocks of one warp, for a layer has few outputs and many multiprocessors are there.
struct StepPart {
  static constexpr int threads = 32;
  struct Shared {};
  struct Own {};
  EventPlace at;
  EventStep s;
  TG_BODY int64_t steps() const { return 0; }
  TG_BODY void begin(int64_t, int, Own&) const {}
  TG_BODY void load(int64_t, int64_t, int, Shared&) const {}
  TG_BODY void work(int64_t, int64_t, int, Shared&, Own&) const {}
  TG_BODY void end(int64_t block, int thread, Own&) const {
    const int i = int(block) * threads + thread;
    if (i < s.n) at.values[s.out + i] = at.element(s, i);
  }
};

}  // namespace tg::cuda
