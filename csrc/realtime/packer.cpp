// From a program to steps and packed weights in one block.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "core/error.h"
#include "math/lane.h"
#include "math/order.h"
#include "realtime/predictor.h"

namespace tg::realtime {
namespace {

constexpr const char* kWho = "Predictor";
constexpr int32_t kMostStack = 64 * 1024;  // floats: 256 KiB, within the smallest stacks that threads have
constexpr int64_t kHalvesFrom = 4096;      // weights: fewer are in the first cache as they are, and need no widening
constexpr size_t kPage = 4096, kHugePage = size_t(2) << 20;

int32_t rounded_up(int32_t n, int32_t unit) { return (n + unit - 1) / unit * unit; }
int log2_of(int chains) { return chains == 4 ? 2 : chains == 2 ? 1 : 0; }

// Where the values lie while they live: the lowest gap that is wide enough.
class Places {
 public:
  // Offsets of every value that the first `count` instructions write, or kNone; size(value) floats each.
  template <class Size>
  Places(const Program& p, size_t count, bool place_event, Size size) : offset(p.width.size(), kNone) {
    std::vector<size_t> last(p.width.size(), 0);
    for (size_t i = 0; i < count; i++) {
      const Instruction& s = p.instructions[i];
      last[static_cast<size_t>(s.a)] = i;
      if (s.b != kNone) last[static_cast<size_t>(s.b)] = i;
      last[static_cast<size_t>(s.out)] = std::max(last[static_cast<size_t>(s.out)], i);
    }
    last[static_cast<size_t>(p.instructions[count - 1].out)] = count;
    if (place_event) place(0, size(0), last[0]);
    for (size_t i = 0; i < count; i++) {
      std::erase_if(live_, [&](const Live& l) { return l.last < i; });
      const auto out = static_cast<size_t>(p.instructions[i].out);
      if (offset[out] == kNone) place(out, size(out), last[out]);
    }
  }
  std::vector<int32_t> offset;
  int64_t floats = 0;

 private:
  struct Live {
    int64_t first, end;
    size_t last;
  };
  void place(size_t value, int64_t size, size_t last) {
    int64_t at = 0;
    for (const Live& l : live_) {  // sorted by place
      if (l.first >= at + size) break;
      at = std::max(at, l.end);
    }
    live_.push_back({at, at + size, last});
    std::sort(live_.begin(), live_.end(), [](const Live& a, const Live& b) { return a.first < b.first; });
    offset[value] = static_cast<int32_t>(at);
    floats = std::max(floats, at + size);
    if (floats > (int64_t(1) << 30)) fail(ErrorKind::Value, "[", kWho, "] the model's activations are too wide");
  }
  std::vector<Live> live_;
};

}  // namespace

class Predictor::Packer {
 public:
  // A list of steps: which of all, until `finish` has made the block.
  struct List {
    size_t first = 0, last = 0;
    int32_t scratch = 0, answer = 0;
  };

  Packer(const Program& program, const KernelTable& kernels, bool vnni)
      : p_(program), k_(kernels), ints_(integer_table(kernels, vnni)), L_(kernels.lanes), maker_(program.width.size()) {
    for (const Instruction& i : program.instructions) maker_[static_cast<size_t>(i.out)] = &i;
  }

  // Steps of the first `count` instructions for one event; their last output is the answer.
  List one(size_t count) {
    // A vector more: a copy writes whole vectors from wherever it begins, and a row of integers begins with one.
    const Places places(p_, count, false, [&](size_t value) { return rounded_up(p_.width[value], L_) + L_; });
    if (places.floats > kMostStack)
      fail(ErrorKind::Value, "[", kWho, "] the model keeps ", places.floats * 4,
           " bytes of activations, expected at most ", kMostStack * 4,
           ": they live on the stack of the thread that calls");
    return list(places, count, false);
  }
  List tile() {
    const int32_t E = k_.tile_events;
    const Places places(p_, p_.instructions.size(), true, [&](size_t value) {
      const bool integers = maker_[value] && is_quantize(maker_[value]->code);
      const int64_t width = p_.width[value];
      return (integers ? 1 + groups(maker_[value]->code, p_.width[value]) : width) * E;
    });
    return list(places, p_.instructions.size(), true);
  }

  // Everything into one block.
  void finish(Block& block, bool lock) {
    const size_t steps_bytes = steps_.size() * sizeof(Step);
    size_t bytes = steps_bytes + numbers_.size() * sizeof(float);
    // Wide models are bound by how fast weights arrive, and pages of 2 MiB cost no look-ups: 7 % for 1.1 MB of weights.
    const size_t page = bytes >= kHugePage / 2 ? kHugePage : kPage;
    bytes = (bytes + page - 1) / page * page;
    block.data = static_cast<std::byte*>(std::aligned_alloc(page, bytes));
    if (!block.data) fail(ErrorKind::Memory, "[", kWho, "] no memory for ", bytes, " bytes of weights");
    block.bytes = bytes;
#if defined(MADV_HUGEPAGE)
    if (page == kHugePage) ::madvise(block.data, bytes, MADV_HUGEPAGE);  // a wish: without them all is as before
#endif
    std::memset(block.data, 0, bytes);
    auto* numbers = reinterpret_cast<float*>(block.data + steps_bytes);
    if (!numbers_.empty()) std::memcpy(numbers, numbers_.data(), numbers_.size() * sizeof(float));
    for (size_t i = 0; i < steps_.size(); i++) {
      steps_[i].w = numbers + w_[i];
      steps_[i].c = numbers + c_[i];
    }
    if (steps_bytes) std::memcpy(block.data, steps_.data(), steps_bytes);
    if (lock) block.locked = ::mlock(block.data, bytes) == 0;
    if (lock && !block.locked)
      fail(ErrorKind::Runtime, "[", kWho, "] the system refuses to lock ", bytes,
           " bytes in memory; raise the limit (ulimit -l), or leave lock_memory off");
  }
  static Steps in(const Block& block, const List& list) {
    if (list.first == list.last) return {};
    const auto* steps = reinterpret_cast<const Step*>(block.data);
    return {steps + list.first, steps + list.last, list.scratch, list.answer};
  }

 private:
  List list(const Places& places, size_t count, bool tile) {
    const int32_t out = p_.instructions[count - 1].out;
    const size_t first = steps_.size();
    answer_ = tile ? kNone : out;
    tile_ = tile;
    places_ = &places;
    for (size_t i = 0; i < count; i++) {
      next_ = quantized_at_once(i, count) ? &p_.instructions[i + 1] : nullptr;
      add(p_.instructions[i], i);
      if (next_) i++;
    }
    return {first, steps_.size(), static_cast<int32_t>(places.floats), places.offset[static_cast<size_t>(out)]};
  }

  // Of terms in 32 bits each.
  static int32_t terms(Code code) { return storage_of(code) == Storage::int8 ? 4 : 2; }
  static int32_t groups(Code code, int32_t width) { return (width + terms(code) - 1) / terms(code); }

  int32_t width(int32_t value) const { return p_.width[static_cast<size_t>(value)]; }
  Base base(int32_t value) const {
    return tile_ ? kScratch : value == 0 ? kEvent : value == answer_ ? kAnswer : kScratch;
  }
  int32_t offset(int32_t value) const {
    return base(value) == kScratch ? places_->offset[static_cast<size_t>(value)] : 0;
  }
  int32_t unit() const { return tile_ ? k_.tile_events : 1; }
  // Elements of a row that a step may touch: all of its vectors, unless it is the caller's.
  int32_t extent(int32_t value, int32_t elements) const {
    return tile_ ? elements * k_.tile_events : base(value) == kScratch ? rounded_up(elements, L_) : elements;
  }

  void add(const Instruction& i, size_t index) {
    if (i.code == Code::dense) return tile_ ? dense_tile(i, index) : dense(i, index);
    if (is_dense(i.code)) return tile_ ? integer_tile(i, index) : integer_dense(i, index);
    Step s = empty(i);
    s.n = extent(i.out, width(i.out));
    s.m = extent(i.a, width(i.a));
    if (i.b != kNone && base(i.b) != kScratch) s.m = std::min(s.m, extent(i.b, width(i.b)));
    size_t constants = 0;
    switch (i.code) {
      case Code::unary: s.kernel = k_.unary[i.function]; break;
      case Code::binary: s.kernel = k_.binary[i.function]; break;
      case Code::step: s.kernel = k_.step; break;
      case Code::affine: s.kernel = tile_ ? k_.affine_tile : k_.affine; break;
      case Code::prelu: s.kernel = tile_ ? k_.prelu_tile : k_.prelu; break;
      case Code::standardize: s.kernel = tile_ ? k_.standardize_tile : k_.standardize; break;
      case Code::quantize8:
      case Code::quantize16:
        s.kernel = (tile_ ? ints_.quantize_tile : ints_.quantize)[i.code == Code::quantize16];
        s.m = width(i.a);  // what fills up a vector may be NaN
        break;
      case Code::softmax:
      case Code::log_softmax: {
        const bool log = i.code == Code::log_softmax;
        s.kernel = tile_ ? log ? k_.log_softmax_tile : k_.softmax_tile : log ? k_.log_softmax : k_.softmax;
        if (!tile_) s.m = width(i.a);
        break;
      }
      case Code::largest:
        s.kernel = tile_ ? k_.largest_tile : k_.largest;
        s.K = width(i.a) / width(i.out);
        if (!tile_) s.m = width(i.out);
        break;
      case Code::copy:
        s.kernel = k_.copy;
        s.a += i.a_offset * unit();
        s.out += i.out_offset * unit();
        s.n = extent(i.out, i.count);
        s.m = base(i.a) == kEvent ? width(i.a) - i.a_offset : s.n;
        break;
      default: break;
    }
    if (constants_of(i.code) > 0) {
      const int32_t padded = tile_ ? width(i.a) : rounded_up(width(i.a), L_);
      s.K = padded;
      constants = per_feature(i, index, padded);
    }
    push(s, constants, 0);
  }

  Step empty(const Instruction& i) const {
    Step s{};
    s.a = offset(i.a), s.a_base = base(i.a);
    if (i.b != kNone) s.b = offset(i.b), s.b_base = base(i.b);
    s.out = offset(i.out), s.out_base = base(i.out);
    s.p = i.p, s.q = i.q;
    s.relu = i.relu;
    return s;
  }
  void push(const Step& s, size_t w, size_t c) {
    steps_.push_back(s);
    w_.push_back(w);
    c_.push_back(c);
  }

  // ---- packed numbers; a list of fewer instructions shares those of the whole list
  template <class Fill>
  size_t packed(size_t index, int part, size_t count, Fill fill) {
    const auto [found, is_new] = at_.try_emplace({index, part + (tile_ ? 1 << 20 : 0)}, 0);
    if (is_new) {
      found->second = (numbers_.size() + 15) / 16 * 16;  // 64 bytes
      numbers_.resize(found->second + count, 0.0f);
      fill(numbers_.data() + found->second);
    }
    return found->second;
  }
  const float* numbers_of(const Instruction& i, int k) const {
    return i.constant[k] == kNone ? nullptr : p_.constants[static_cast<size_t>(i.constant[k])].data.data();
  }
  size_t per_feature(const Instruction& i, size_t index, int32_t padded) {
    const int count = constants_of(i.code), n = width(i.a);
    return packed(index, 0, static_cast<size_t>(count) * static_cast<size_t>(padded), [&](float* to) {
      for (int c = 0; c < count; c++) std::copy_n(numbers_of(i, c), n, to + c * padded);
    });
  }

  void dense(const Instruction& i, size_t index) {
    const int32_t K = width(i.a), N = width(i.out);
    const int chains = dense_chains(K, N);
    const float *w = numbers_of(i, 0), *bias = numbers_of(i, 1);
    const bool answer = base(i.out) == kAnswer;
    const bool half =
        p_.constants[static_cast<size_t>(i.constant[0])].storage == Storage::bfloat16 && int64_t(K) * N > kHalvesFrom;
    Step s = empty(i);
    s.K = K;
    if (N == 1 && chains == 4) {
      s.kernel = k_.dense_column;
      s.n = answer ? 1 : L_;
      const size_t at = packed(index, 0, static_cast<size_t>(K), [&](float* to) { std::copy_n(w, K, to); });
      return push(s, at, packed(index, 1, 1, [&](float* to) { *to = bias ? *bias : 0; }));
    }
    each_part(N, kMostVectors, [&](int32_t part, int32_t R, int32_t first, int32_t here) {
      const int32_t lanes = R * L_;
      Step t = s;
      t.kernel = (half ? k_.dense_bf16 : k_.dense)[log2_of(chains)][R - 1];
      t.out += first;
      t.n = answer ? here - (R - 1) * L_ : L_;
      const size_t numbers = static_cast<size_t>(K) * static_cast<size_t>(lanes);
      const size_t at = packed(index, 2 * part, half ? (numbers + 1) / 2 : numbers, [&](float* to) {
        auto* const halves = reinterpret_cast<std::byte*>(to);
        for (int32_t k = 0; k < K; k++)
          for (int32_t n = 0; n < here; n++) {
            const float weight = w[int64_t(first + n) * K + k];
            const int64_t place = int64_t(k) * lanes + n;
            if (half) {
              const auto upper = static_cast<uint16_t>(static_cast<uint32_t>(bits(weight)) >> 16);
              std::memcpy(halves + 2 * place, &upper, sizeof upper);
            } else {
              to[place] = weight;
            }
          }
      });
      const size_t start = packed(index, 2 * part + 1, static_cast<size_t>(lanes), [&](float* to) {
        if (bias) std::copy_n(bias + first, here, to);
      });
      push(t, at, start);
    });
  }
  // N outputs in parts of R vectors, at most `most`, the first output of each, and how many it has.
  template <class Part>
  void each_part(int32_t N, int32_t most, Part part) const {
    const int32_t vectors = (N + L_ - 1) / L_, parts = (vectors + most - 1) / most;
    for (int32_t p = 0, v = 0; p < parts; p++) {
      const int32_t R = (vectors - v) / (parts - p);
      part(p, R, v * L_, std::min(R * L_, N - v * L_));
      v += R;
    }
  }
  // N outputs in blocks of at most `most`: `count` of height NR from output `first`; two heights that differ by one.
  template <class Blocks>
  static void each_block(int32_t N, int32_t most, Blocks add) {
    const int32_t blocks = (N + most - 1) / most, low = N / blocks, high_blocks = N % blocks;
    if (high_blocks > 0) add(0, low + 1, 0, high_blocks);
    add(1, low, high_blocks * (low + 1), blocks - high_blocks);
  }

  void dense_tile(const Instruction& i, size_t index) {
    const int32_t K = width(i.a), N = width(i.out);
    const int log_chains = log2_of(dense_chains(K, N));
    const float *w = numbers_of(i, 0), *bias = numbers_of(i, 1);
    each_block(N, k_.tile_outputs[log_chains], [&](int32_t part, int32_t NR, int32_t first, int32_t count) {
      Step s = empty(i);
      s.K = K;
      s.m = count;
      s.kernel = k_.dense_tile[log_chains][NR - 1];
      s.out += first * k_.tile_events;
      const size_t at =
          packed(index, 2 * part, static_cast<size_t>(count) * static_cast<size_t>(K * NR), [&](float* to) {
            for (int32_t b = 0; b < count; b++)
              for (int32_t k = 0; k < K; k++)
                for (int32_t r = 0; r < NR; r++) *to++ = w[int64_t(first + b * NR + r) * K + k];
          });
      const size_t start = packed(index, 2 * part + 1, static_cast<size_t>(count * NR), [&](float* to) {
        if (bias) std::copy_n(bias + first, count * NR, to);
      });
      push(s, at, start);
    });
  }

  // ---- integers
  // A layer of integers, in one part, of a single event that the next one alone reads: its kernel quantizes its outputs.
  bool quantized_at_once(size_t index, size_t count) const {
    const Instruction& i = p_.instructions[index];
    if (tile_ || index + 1 >= count || i.code == Code::dense || !is_dense(i.code)) return false;
    const Instruction& next = p_.instructions[index + 1];
    const auto readers = std::count_if(p_.instructions.begin(), p_.instructions.end(),
                                       [&](const Instruction& r) { return r.a == i.out || r.b == i.out; });
    const int32_t N = width(i.out);
    return is_quantize(next.code) && storage_of(next.code) == storage_of(i.code) && next.a == i.out && readers == 1 &&
           N > 1 && N <= ints_.most * L_;
  }

  struct Integers {
    const float *w, *bias, *scale;
    std::vector<int32_t> start;  // -(w zero)
    int32_t K, terms;

    // The terms of group g for output n, as 32 bits.
    float group(int32_t n, int32_t g) const {
      uint32_t joined = 0;
      const uint32_t mask = terms == 4 ? 0xff : 0xffff;
      for (int32_t j = 0, k = g * terms; j < terms && k < K; j++, k++)
        joined |= (static_cast<uint32_t>(static_cast<int32_t>(w[int64_t(n) * K + k])) & mask) << (j * 32 / terms);
      return from_bits<float>(static_cast<int32_t>(joined));
    }
    // start, scale, bias of outputs first .. first + count - 1, each filled up to `room`.
    void constants(int32_t first, int32_t count, int32_t room, float* to) const {
      for (int32_t n = 0; n < count; n++) {
        to[n] = from_bits<float>(start[static_cast<size_t>(first + n)]);
        to[room + n] = scale[first + n];
        to[2 * room + n] = bias ? bias[first + n] : 0;
      }
    }
  };
  Integers integers(const Instruction& i) const {
    const int32_t K = width(i.a), N = width(i.out);
    Integers made{numbers_of(i, 0), numbers_of(i, 1), numbers_of(i, 2), {}, K, terms(i.code)};
    const float* zero = numbers_of(*maker_[static_cast<size_t>(i.a)], 1);
    for (int32_t n = 0; n < N; n++) {
      int32_t sum = 0;
      for (int32_t k = 0; k < K; k++)
        sum -= static_cast<int32_t>(made.w[int64_t(n) * K + k]) * static_cast<int32_t>(zero[k]);
      made.start.push_back(sum);
    }
    return made;
  }

  void integer_dense(const Instruction& i, size_t index) {
    const Integers numbers = integers(i);
    const int32_t N = width(i.out), G = groups(i.code, numbers.K);
    const int kind = i.code == Code::dense16;
    const bool answer = base(i.out) == kAnswer;
    Step s = empty(i);
    if (next_) {
      s.quantizes = true;
      s.p = next_->p, s.q = next_->q;
      s.out = offset(next_->out);
    }
    if (N == 1 && G >= 2 * L_) {
      const int32_t filled = rounded_up(G, L_);
      s.kernel = ints_.column[kind];
      s.K = filled / L_;
      s.n = answer ? 1 : L_;
      const size_t at = packed(index, 0, static_cast<size_t>(filled), [&](float* to) {
        for (int32_t g = 0; g < G; g++) to[g] = numbers.group(0, g);
      });
      return push(s, at, packed(index, 1, 3, [&](float* to) { numbers.constants(0, 1, 1, to); }));
    }
    s.K = G;
    each_part(N, ints_.most, [&](int32_t part, int32_t R, int32_t first, int32_t here) {
      const int32_t lanes = R * L_;
      Step t = s;
      t.kernel = ints_.dense[kind][R - 1];
      t.out += first;
      t.n = answer ? here - (R - 1) * L_ : L_;
      const size_t at = packed(index, 2 * part, static_cast<size_t>(G) * static_cast<size_t>(lanes), [&](float* to) {
        for (int32_t g = 0; g < G; g++, to += lanes)
          for (int32_t n = 0; n < here; n++) to[n] = numbers.group(first + n, g);
      });
      push(t, at, packed(index, 2 * part + 1, 5 * static_cast<size_t>(lanes), [&](float* to) {
             numbers.constants(first, here, lanes, to);
             for (int k = 0; next_ && k < 2; k++) std::copy_n(numbers_of(*next_, k), here, to + (3 + k) * lanes);
           }));
    });
  }
  void integer_tile(const Instruction& i, size_t index) {
    const Integers numbers = integers(i);
    const int32_t G = groups(i.code, numbers.K);
    each_block(width(i.out), ints_.most, [&](int32_t part, int32_t NR, int32_t first, int32_t count) {
      Step s = empty(i);
      s.K = G;
      s.m = count;
      s.kernel = ints_.dense_tile[i.code == Code::dense16][NR - 1];
      s.out += first * k_.tile_events;
      const size_t at =
          packed(index, 2 * part, static_cast<size_t>(count) * static_cast<size_t>(G * NR), [&](float* to) {
            for (int32_t b = 0; b < count; b++)
              for (int32_t g = 0; g < G; g++)
                for (int32_t r = 0; r < NR; r++) *to++ = numbers.group(first + b * NR + r, g);
          });
      push(s, at, packed(index, 2 * part + 1, 3 * static_cast<size_t>(count * NR), [&](float* to) {
             for (int32_t b = 0; b < count; b++) numbers.constants(first + b * NR, NR, NR, to + 3 * b * NR);
           }));
    });
  }

  const Program& p_;
  const KernelTable& k_;
  const IntegerTable& ints_;
  const int32_t L_;
  std::vector<const Instruction*> maker_;  // the last to write each value
  const Places* places_ = nullptr;
  const Instruction* next_ = nullptr;
  int32_t answer_ = kNone;
  bool tile_ = false;
  std::vector<Step> steps_;
  std::vector<size_t> w_, c_;  // of each step: places in numbers_
  std::vector<float> numbers_;
  std::map<std::pair<size_t, int>, size_t> at_;
};

Predictor::Predictor(const Program& program, const KernelTable& kernels, const Options& options)
    : kernels_(&kernels), refuse_nan_(program.refuse_nan), flush_denormals_(options.flush_denormals) {
  validate(program, kWho);
  inputs_ = program.inputs(), outputs_ = program.outputs();
  work_ = 0;
  for (const Instruction& i : program.instructions) {
    const double n = program.width[static_cast<size_t>(i.out)];
    work_ += is_dense(i.code) ? n * program.width[static_cast<size_t>(i.a)] : 8 * n;
  }
  Packer packer(program, kernels, options.vnni);
  const size_t count = program.instructions.size();
  const Packer::List one = packer.one(count);
  Packer::List logits, tile;
  const Instruction& last = program.instructions.back();
  decides_by_logit_ = count > 1 && last.code == Code::unary && last.function == id_sigmoid &&
                      program.instructions[count - 2].out == last.a;
  if (decides_by_logit_) logits = packer.one(count - 1);
  if (options.tiles) tile = packer.tile();
  packer.finish(block_, options.lock_memory);
  one_ = Packer::in(block_, one), logits_ = Packer::in(block_, logits), tile_ = Packer::in(block_, tile);
}

Predictor::Block::~Block() {
  if (locked) ::munlock(data, bytes);
  std::free(data);
}

}  // namespace tg::realtime
