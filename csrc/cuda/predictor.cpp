#include "cuda/predictor.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "cuda/abi.h"
#include "cuda/backend.h"
#include "cuda/loaded.h"
#include "math/order.h"

namespace tg::cuda {
namespace {

using realtime::Code, realtime::Instruction, realtime::kNone, realtime::Program;

constexpr const char* kWho = "Predictor";
constexpr double kSoon = 100e-6;  // seconds: longer than events take

// From a program to the steps of a net. Each value has a place of its own.
class Packer {
 public:
  explicit Packer(const Program& p)
      : p_(p), place_(p.width.size()), reads_(p.width.size()), maker_(p.width.size(), -1) {
    for (const Instruction& i : p.instructions) {
      reads_[index(i.a)]++;
      if (i.b != kNone) reads_[index(i.b)]++;
    }
    place_[0] = 0;
    values_ = p.inputs();
    for (const Instruction& i : p.instructions) add(i);
  }

  std::vector<EventStep> steps;
  std::vector<float> numbers;

  EventNet net() const {
    EventNet n;
    n.steps = steps.data(), n.count = static_cast<int32_t>(steps.size());
    n.numbers = numbers.data(), n.floats = static_cast<int32_t>(numbers.size());
    n.values = values_;
    n.inputs = p_.inputs(), n.outputs = p_.outputs();
    n.answer = place_[index(p_.instructions.back().out)];
    return n;
  }

 private:
  static size_t index(int32_t value) { return static_cast<size_t>(value); }
  int32_t width(int32_t value) const { return p_.width[index(value)]; }

  int32_t room(int32_t floats) {
    const int32_t at = values_;
    values_ += floats;
    return at;
  }
  EventStep& push(EventStep::Code code, int32_t n, int32_t a, int32_t out) {
    EventStep s;
    s.code = code, s.n = n, s.a = a, s.out = out;
    steps.push_back(s);
    return steps.back();
  }
  // The step that makes the whole of a value.
  EventStep& make(EventStep::Code code, const Instruction& i) {
    place_[index(i.out)] = room(width(i.out));
    maker_[index(i.out)] = static_cast<int>(steps.size());
    EventStep& s = push(code, width(i.out), place_[index(i.a)], place_[index(i.out)]);
    if (i.b != kNone) s.b = place_[index(i.b)];
    if (realtime::constants_of(i.code) > 0 && i.code != Code::dense) s.w = constants(i);
    return s;
  }
  int32_t constants(const Instruction& i) {
    const auto at = static_cast<int32_t>(numbers.size());
    for (int k = 0; k < realtime::constants_of(i.code); k++) {
      const auto& data = p_.constants[index(i.constant[k])].data;
      numbers.insert(numbers.end(), data.begin(), data.end());
    }
    return at;
  }

  void add(const Instruction& i) {
    switch (i.code) {
      case Code::dense: return dense(i);
      case Code::unary: return unary(i);
      case Code::binary: {
        const int32_t f = i.function;
        make(f == id_add   ? EventStep::add
             : f == id_sub ? EventStep::sub
             : f == id_mul ? EventStep::mul
                           : EventStep::maximum,
             i);
        return;
      }
      case Code::affine: make(EventStep::affine, i); return;
      case Code::prelu: make(EventStep::prelu, i); return;
      case Code::standardize: make(EventStep::standardize, i); return;
      case Code::step: make(EventStep::step, i); return;
      case Code::largest: make(EventStep::largest, i).K = width(i.a) / width(i.out); return;
      case Code::softmax:
      case Code::log_softmax: return softmax(i);
      case Code::copy:
        if (i.out_offset == 0) place_[index(i.out)] = room(width(i.out));
        push(EventStep::copy, i.count, place_[index(i.a)] + i.a_offset, place_[index(i.out)] + i.out_offset);
        return;
      default:
        fail(ErrorKind::Value, "[", kWho, "] precision is '", realtime::name(realtime::precision(p_)),
             "' on cuda, expected 'float32' or 'bfloat16'; or use device='cpu'");
    }
  }
  void dense(const Instruction& i) {
    EventStep& s = make(EventStep::dense, i);
    const int32_t K = width(i.a), N = width(i.out);
    const auto& w = p_.constants[index(i.constant[0])].data;
    s.K = K;
    s.chains = dense_chains(K, N);
    s.w = static_cast<int32_t>(numbers.size());
    for (int32_t k = 0; k < K; k++)
      for (int32_t n = 0; n < N; n++) numbers.push_back(w[index(n) * index(K) + index(k)]);
    if (i.constant[1] != kNone) {
      s.c = static_cast<int32_t>(numbers.size());
      const auto& bias = p_.constants[index(i.constant[1])].data;
      numbers.insert(numbers.end(), bias.begin(), bias.end());
    }
    if (i.relu) s.function = id_relu;
  }
  // A function of what nothing else reads is done where it is made.
  void unary(const Instruction& i) {
    const int maker = maker_[index(i.a)];
    EventStep* s = maker >= 0 && reads_[index(i.a)] == 1 ? &steps[static_cast<size_t>(maker)] : nullptr;
    if (s && s->function < 0) {
      place_[index(i.out)] = s->out;
      maker_[index(i.out)] = maker;
    } else {
      s = &make(EventStep::copy, i);
    }
    if (!event_function(i.function))
      fail(ErrorKind::Value, "[", kWho, "] the model has the function ", kPointwiseInfo[i.function].name,
           ", which has no place in a net on cuda; or use device='cpu'");
    s->function = i.function, s->p = i.p, s->q = i.q;
  }
  // The row order: 16 lanes, folded by halves. A lane of more than 64 numbers would be cut into pieces.
  void softmax(const Instruction& i) {
    const int32_t n = width(i.a), a = place_[index(i.a)];
    constexpr int32_t most = row_lanes * row_shard;
    if (n > most)
      fail(ErrorKind::Value, "[", kWho, "] ", realtime::name(i.code), " is of ", n,
           " numbers on cuda, expected at most ", most, "; or use device='cpu'");
    const int32_t greatest = room(row_lanes), sums = room(row_lanes), terms = room(n);
    push(EventStep::lane_max, row_lanes, a, greatest).K = n;
    push(EventStep::exp_less, n, a, terms).b = greatest;
    push(EventStep::lane_sum, row_lanes, terms, sums).K = n;
    const bool log = i.code == Code::log_softmax;
    EventStep& last = make(log ? EventStep::log_share : EventStep::share, i);
    last.a = log ? a : terms;
    last.b = log ? greatest : sums;
    last.w = log ? sums : 0;
  }

  const Program& p_;
  std::vector<int32_t> place_, reads_;
  std::vector<int> maker_;  // the step that makes a value at once, or -1
  int32_t values_ = 0;
};

std::mutex mutex;  // of the list
std::vector<Predictor*>& open_predictors() {
  static auto* all = new std::vector<Predictor*>;  // outlives static destructors
  return *all;
}

}  // namespace

Predictor::Predictor(const Program& program, int index, const Options& options)
    : index_(index), options_(options), process_(getpid()) {
  require(kWho, index);
  realtime::validate(program, kWho);
  const Packer packed(program);
  const EventNet net = packed.net();
  Failure failure;
  handle_ = module().predictors.open(index, &net, options.persistent ? PredictorMode::persistent : PredictorMode::graph,
                                     options.idle, &failure);
  if (!handle_) raise(failure, kWho);
  const std::lock_guard lock(mutex);
  open_predictors().push_back(this);
}

Predictor::~Predictor() {
  try {
    close();
  } catch (const Error&) {}  // what it holds is left to the end of the process
}

bool Predictor::answered(const float* x, float* y, double seconds) {
  if (!handle_) fail(ErrorKind::Runtime, "[", kWho, "] it is closed; make another");
  if (process_ != getpid())
    fail(ErrorKind::Runtime, "[", kWho,
         "] it was made before the process forked, and GPUs do not follow; make it here");
  Failure failure;
  const int32_t found = module().predictors.run(handle_, x, y, seconds, &failure);
  if (found < 0) raise(failure, kWho);
  return found > 0;
}

bool Predictor::Turn::run(const float* x, float* y) { return p_.answered(x, y, kSoon); }
void Predictor::Turn::wait(float* y) {
  const std::unique_lock<std::mutex> turn(std::move(lock_));
  if (p_.answered(nullptr, y, p_.options_.timeout)) return;
  module().predictors.give_up(p_.handle_);
  fail(ErrorKind::Runtime, "[", kWho, "] cuda:", p_.index_, " did not answer within ", p_.options_.timeout,
       " s: it is busy with other work, or a call before has failed; close the predictor and make it anew");
}
void Predictor::run(const float* x, float* y) {
  Turn turn(*this);
  if (!turn.run(x, y)) turn.wait(y);
}

void Predictor::close() {
  const std::lock_guard turn(mutex_);
  void* handle = std::exchange(handle_, nullptr);
  if (!handle) return;
  {
    const std::lock_guard lock(mutex);
    std::erase(open_predictors(), this);
  }
  if (process_ != getpid()) return;  // the process that made it closes it
  Failure failure;
  if (!module().predictors.close(handle, &failure)) raise(failure, kWho);
}

void close_predictors() {
  for (;;) {
    Predictor* last = nullptr;
    {
      const std::lock_guard lock(mutex);
      if (open_predictors().empty()) return;
      last = open_predictors().back();
      open_predictors().pop_back();
    }
    try {
      last->close();
    } catch (const Error&) {}
  }
}

}  // namespace tg::cuda
