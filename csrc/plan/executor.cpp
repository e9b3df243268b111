#include "plan/executor.h"

#include <chrono>
#include <cstring>

#include "core/float_env.h"
#include "core/half.h"

namespace tg::plan {
namespace {

double number(const Tensor& t) {
  switch (t.dtype) {
    case Dtype::Float32: return static_cast<double>(*t.data<float>());
    case Dtype::Float64: return *t.data<double>();
    case Dtype::Int64: return static_cast<double>(*t.data<int64_t>());
    case Dtype::Int32: return static_cast<double>(*t.data<int32_t>());
    case Dtype::Int16: return static_cast<double>(*t.data<int16_t>());
    case Dtype::Int8: return static_cast<double>(*t.data<int8_t>());
    case Dtype::UInt32: return static_cast<double>(*t.data<uint32_t>());
    case Dtype::UInt16: return static_cast<double>(*t.data<uint16_t>());
    case Dtype::Float16: return static_cast<double>(half_to_float(*t.data<uint16_t>()));
    case Dtype::BFloat16: return static_cast<double>(bfloat_to_float(*t.data<uint16_t>()));
    case Dtype::UInt8:
    case Dtype::Bool: break;
  }
  return static_cast<double>(*t.data<uint8_t>());
}

}  // namespace

Executor::Executor(Program program, const Backend& backend) : program_(std::move(program)) {
  const size_t n = program_.buffers.size();
  uses_.resize(n);
  bound_.resize(n);
  base_.resize(n);
  if (program_.arena_bytes) arena_ = StorageRef(new Storage(program_.arena_bytes));
  if (arena_) arena_->share_outside();  // its bytes change without the door: kernels keep nothing derived from them
  for (const Instruction& i : program_.instructions) {
    Step s{i.op,
           i.op ? backend.kernels[i.op->id] : nullptr,
           operands_.size(),
           i.in.size(),
           0,
           i.out.size(),
           written_.size(),
           0,
           i.attrs};
    auto add = [&](const View& v) {
      Tensor t;
      t.shape = v.shape;
      t.strides = v.strides;
      t.dtype = v.dtype;
      if (v.defined()) uses_[static_cast<size_t>(v.buffer)].push_back({operands_.size(), v.offset});
      operands_.push_back(std::move(t));
    };
    for (const View& v : i.in) add(v);
    s.out = operands_.size();
    for (const View& v : i.out) add(v);
    for (size_t b = 0; b < n; b++)
      if (program_.buffers[b].role != Role::temporary && i.writes(static_cast<int>(b))) {
        written_.push_back(static_cast<int>(b));
        s.n_written++;
      }
    steps_.push_back(std::move(s));
  }
  for (size_t b = 0; b < n; b++) {
    const Buffer& buffer = program_.buffers[b];
    const int at = static_cast<int>(b);
    if (buffer.role == Role::state || buffer.role == Role::constant) bind(at, buffer.storage, 0);
    else if (buffer.role == Role::temporary && buffer.place >= 0) bind(at, arena_, buffer.place);
    if ((buffer.role == Role::temporary || buffer.role == Role::output) && buffer.storage) starting_.push_back(at);
  }
  at_risk_ = program_.at_risk();
  copies_.resize(at_risk_.size());
}

void Executor::bind(int buffer, const StorageRef& storage, int64_t base) {
  const auto at = static_cast<size_t>(buffer);
  bound_[at] = storage;
  base_[at] = base;
  for (const Use& use : uses_[at]) {
    Tensor& t = operands_[use.operand];
    if (!(t.storage == storage)) t.storage = storage;
    t.offset = base / size_of(t.dtype) + use.offset;
  }
}

Tensor Executor::tensor(const View& v) const {
  Tensor t;
  t.storage = bound_[static_cast<size_t>(v.buffer)];
  t.offset = base_[static_cast<size_t>(v.buffer)] / size_of(v.dtype) + v.offset;
  t.shape = v.shape;
  t.strides = v.strides;
  t.dtype = v.dtype;
  return t;
}

void Executor::start() {
  for (const int b : starting_) {
    const Buffer& buffer = program_.buffers[static_cast<size_t>(b)];
    std::byte* to = bound_[static_cast<size_t>(b)]->data() + (buffer.role == Role::temporary ? buffer.place : 0);
    std::memcpy(to, buffer.storage->data(), buffer.bytes);
  }
}

void Executor::execute(const Step& s) {
  const std::span<const Tensor> in(operands_.data() + s.in, s.n_in);
  if (!s.op) {
    const double value = number(in[0]);
    if (!(value >= s.attrs.real(0) && value <= s.attrs.real(1)))
      throw Unexpected{static_cast<int>(s.attrs.integer(2)), in[0]};
    return;
  }
  s.kernel({*s.op, in, s.attrs, {operands_.data() + s.out, s.n_out}});
  for (size_t k = 0; k < s.n_written; k++) bound_[static_cast<size_t>(written_[s.written + k])]->written();
}

template <class Each>
void Executor::run_all(Each each) {
  const FloatEnv env;
  for (size_t k = 0; k < at_risk_.size(); k++) {
    const StorageRef& storage = bound_[static_cast<size_t>(at_risk_[k])];
    copies_[k].assign(storage->data(), storage->data() + storage->bytes());
  }
  start();
  try {
    for (size_t i = 0; i < steps_.size(); i++) each(i);
  } catch (...) {
    for (size_t k = 0; k < at_risk_.size(); k++) {
      const StorageRef& storage = bound_[static_cast<size_t>(at_risk_[k])];
      std::memcpy(storage->data(), copies_[k].data(), copies_[k].size());
      storage->written();
    }
    throw;
  }
}

void Executor::run() {
  run_all([this](size_t i) { execute(steps_[i]); });
}

void Executor::run_timed(std::vector<double>& nanoseconds) {
  using Clock = std::chrono::steady_clock;
  nanoseconds.assign(steps_.size(), 0);
  run_all([&](size_t i) {
    const auto start = Clock::now();
    execute(steps_[i]);
    nanoseconds[i] = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  });
}

}  // namespace tg::plan
