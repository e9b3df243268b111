#include "plan/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/float_env.h"
#include "core/half.h"

namespace tg::plan {

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

Executor::Executor(Program program, const Backend& backend) : program_(std::move(program)), backend_(backend) {
  const size_t n = program_.buffers.size();
  bound_.resize(n);
  base_.resize(n);
  for (size_t b = 0; b < n; b++) {
    const Buffer& buffer = program_.buffers[b];
    if (buffer.role == Role::state || buffer.role == Role::constant) bound_[b] = buffer.storage;
    if ((buffer.role == Role::temporary || buffer.role == Role::output) && buffer.storage)
      starting_.push_back(static_cast<int>(b));
  }
  changes_.assign(n, false);
  for (const Instruction& i : program_.instructions) {
    attrs_.push_back(i.attrs);
    writes_.emplace_back();
    for (size_t b = 0; b < n; b++)
      if (program_.buffers[b].role != Role::temporary && i.writes(static_cast<int>(b))) {
        writes_.back().push_back(static_cast<int>(b));
        changes_[b] = true;
      }
  }
  prepare(backend_.num_threads ? backend_.num_threads() : 1);
}

// One call's operands, for all rows or those of a shard.
void Executor::add_operand(const View& v, Part part, int shard, int64_t partial, int64_t block,
                           std::vector<Moving>* moving) {
  Tensor t;
  t.shape = v.shape;
  t.strides = v.strides;
  t.dtype = v.dtype;
  if (!v.defined()) {
    operands_.push_back(std::move(t));
    return;
  }
  const auto b = static_cast<size_t>(v.buffer);
  int64_t offset = v.offset;
  if (shard >= 0 && part == Part::rows) {
    const Rows& rows = schedule_.shards[static_cast<size_t>(shard)];
    t.shape[0] = rows.end - rows.first;
    if (block) {
      t.shape[0] = std::min(block, t.shape[0]);
      moving->push_back({operands_.size(), schedule_.block[b] ? 0 : block * v.strides[0]});
    }
    if (!schedule_.apart[b]) offset += rows.first * v.strides[0];
  }
  const int64_t region = layout_.shared + layout_.shard * shard;
  if (partial >= 0) {
    t.strides = contiguous_strides(t.shape);
    t.storage = StorageRef::borrowed(arena_.get(), true);
    t.offset = (region + partial) / size_of(t.dtype);
  } else if (program_.buffers[b].role == Role::temporary) {
    t.storage = StorageRef::borrowed(arena_.get(), true);
    t.offset = ((schedule_.apart[b] ? region : 0) + layout_.place[b]) / size_of(t.dtype) + offset;
  } else {
    uses_[b].push_back({operands_.size(), offset});
  }
  operands_.push_back(std::move(t));
}

// `first_partial`: the number of the first sum of this step among those of its slot.
Executor::Step Executor::make_step(const Scheduled& s, int shard, const std::vector<int64_t>& partials,
                                   size_t first_partial, int64_t block, std::vector<Moving>* moving) {
  const Instruction& i = program_.instructions[static_cast<size_t>(s.instruction)];
  Step made{
      i.op, i.op ? backend_.kernels[i.op->id] : nullptr, operands_.size(), i.in.size(), 0, i.out.size(), s.instruction,
      {}};
  if (i.op && i.op->id == op_dropout && shard >= 0) {
    made.place = 4;
    made.first = schedule_.shards[static_cast<size_t>(shard)].first * i.in[0].strides[0];
  }
  give_attrs(made, attrs_[static_cast<size_t>(s.instruction)]);
  for (size_t k = 0; k < i.in.size(); k++)
    add_operand(i.in[k], shard < 0 ? Part::whole : s.in[k], shard, -1, block, moving);
  made.out = operands_.size();
  for (size_t k = 0; k < i.out.size(); k++) {
    const bool sum = shard >= 0 && s.out[k] == Part::sum;
    add_operand(i.out[k], shard < 0 ? Part::whole : s.out[k], shard, sum && shard > 0 ? partials[first_partial] : -1,
                block, moving);
    first_partial += sum;
  }
  return made;
}

// partial sum `to` += partial sum `from`: those of shard 0 lie where the result is to be.
Executor::Step Executor::make_join(const Scheduled& s, size_t out, Join join, int64_t partial) {
  const View& v = program_.instructions[static_cast<size_t>(s.instruction)].out[out];
  const Op& add = op(id_add);
  Step made{&add, backend_.kernels[id_add], operands_.size(), 2, 0, 1, s.instruction, {}};
  auto operand = [&](int shard) { add_operand(v, Part::sum, shard, shard > 0 ? partial : -1); };
  operand(join.to);
  operand(join.from);
  made.out = operands_.size();
  operand(join.to);
  return made;
}

void Executor::prepare(int threads) {
  threads_ = threads;
  schedule_ = make_schedule(program_, threads);
  layout_ = plan_memory(program_, schedule_);
  at_risk_ = schedule_.at_risk(program_);
  copies_.resize(at_risk_.size());
  arena_ = StorageRef(new Storage(arena_bytes()));
  operands_.clear();
  uses_.assign(program_.buffers.size(), {});
  runs_.assign(schedule_.slots.size(), {});
  for (size_t k = 0; k < schedule_.slots.size(); k++) {
    const Slot& slot = schedule_.slots[k];
    Run& run = runs_[k];
    run.by.resize(slot.sharded ? schedule_.shards.size() : 1);
    run.moving.resize(run.by.size());
    for (size_t shard = 0; shard < run.by.size(); shard++) {
      size_t partial = 0;
      for (const Scheduled& s : slot.steps) {
        run.by[shard].push_back(make_step(s, slot.sharded ? static_cast<int>(shard) : -1, layout_.partial[k], partial,
                                          slot.block, &run.moving[shard]));
        for (const Part part : s.out) partial += part == Part::sum;
      }
    }
    size_t partial = 0;
    for (const Scheduled& s : slot.steps)
      for (size_t out = 0; out < s.out.size(); out++) {
        if (s.out[out] != Part::sum) continue;
        for (const Join& join : schedule_.joins)
          run.joins.push_back(make_join(s, out, join, layout_.partial[k][partial]));
        partial++;
      }
  }
  steps_of_.assign(program_.instructions.size(), {});
  for (Run& run : runs_)
    for (std::vector<Step>& steps : run.by)
      for (Step& s : steps) steps_of_[static_cast<size_t>(s.instruction)].push_back(&s);
  for (size_t b = 0; b < bound_.size(); b++) {
    if (program_.buffers[b].role == Role::temporary) bound_[b] = arena_;
    else if (bound_[b]) bind(static_cast<int>(b), bound_[b], base_[b]);
  }
}

void Executor::bind(int buffer, const StorageRef& storage, int64_t base) {
  const auto at = static_cast<size_t>(buffer);
  base_[at] = base;
  for (const Use& use : uses_[at]) {
    Tensor& t = operands_[use.operand];
    t.storage = StorageRef::borrowed(storage.get(), changes_[at]);
    t.offset = base / size_of(t.dtype) + use.offset;
  }
  if (!(bound_[at] == storage)) bound_[at] = storage;
}

void Executor::give_attrs(Step& s, const Attrs& attrs) {
  s.attrs = attrs;
  if (s.place >= 0) s.attrs.values[s.place] = Attr::integer(attrs.integer(s.place) + s.first);
}

void Executor::set_attrs(size_t instruction, const Attrs& attrs) {
  attrs_[instruction] = attrs;
  for (Step* s : steps_of_[instruction]) give_attrs(*s, attrs);
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
    const auto at = static_cast<size_t>(b);
    const Buffer& buffer = program_.buffers[at];
    const int64_t first = buffer.role == Role::temporary ? layout_.place[at] : base_[at];
    std::memcpy(bound_[at]->data() + first, buffer.storage->data(), buffer.bytes);
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
}

void Executor::written() {
  for (const std::vector<int>& buffers : writes_)
    for (const int b : buffers) bound_[static_cast<size_t>(b)]->written();
}

template <class Each>
void Executor::guarded_run(Each each) {
  const FloatEnv env;
  for (size_t k = 0; k < at_risk_.size(); k++) {
    const StorageRef& storage = bound_[static_cast<size_t>(at_risk_[k])];
    copies_[k].assign(storage->data(), storage->data() + storage->bytes());
  }
  start();
  try {
    for (size_t k = 0; k < runs_.size(); k++) {
      each(k);
      for (const Step& s : runs_[k].joins) execute(s);
    }
  } catch (...) {
    for (size_t k = 0; k < at_risk_.size(); k++) {
      const StorageRef& storage = bound_[static_cast<size_t>(at_risk_[k])];
      std::memcpy(storage->data(), copies_[k].data(), copies_[k].size());
    }
    written();
    throw;
  }
  written();
}

template <class Each>
void Executor::run_steps(size_t slot, size_t shard, Each each) {
  Run& run = runs_[slot];
  const int64_t block = schedule_.slots[slot].block;
  if (!block) {
    for (const Step& s : run.by[shard]) each(s);
    return;
  }
  const Rows& part = schedule_.shards[shard];
  const int64_t rows = part.end - part.first;
  // Operands stand at the first block before and after, however this ends.
  auto stand = [&](int64_t number, int64_t moved_from) {
    const int64_t n = std::min(block, rows - number * block);
    for (const Moving& m : run.moving[shard]) {
      Tensor& t = operands_[m.operand];
      t.offset += (number - moved_from) * m.step;
      t.shape[0] = n;
    }
    for (Step& s : run.by[shard])
      if (s.place >= 0) s.attrs.values[s.place].i += (number - moved_from) * block * operands_[s.in].strides[0];
  };
  int64_t now = 0;
  try {
    for (int64_t number = 0; number * block < rows; number++) {
      if (number) stand(number, now);
      now = number;
      for (const Step& s : run.by[shard]) each(s);
    }
  } catch (...) {
    stand(0, now);
    throw;
  }
  stand(0, now);
}

void Executor::run() {
  if (const int threads = backend_.num_threads ? backend_.num_threads() : 1; threads != threads_) prepare(threads);
  guarded_run([this](size_t slot) {
    struct Work {
      Executor* executor;
      size_t slot;
      void shard(size_t k) const {
        executor->run_steps(slot, k, [this](const Step& s) { executor->execute(s); });
      }
    } work{this, slot};
    if (runs_[slot].by.size() == 1) return work.shard(0);
    backend_.parallel(
        static_cast<int64_t>(runs_[slot].by.size()),
        [](void* ctx, int64_t shard) { static_cast<const Work*>(ctx)->shard(static_cast<size_t>(shard)); }, &work);
  });
}

void Executor::run_timed(std::vector<double>& nanoseconds) {
  using Clock = std::chrono::steady_clock;
  nanoseconds.assign(program_.instructions.size(), 0);
  guarded_run([&](size_t slot) {
    for (size_t shard = 0; shard < runs_[slot].by.size(); shard++)
      run_steps(slot, shard, [&](const Step& s) {
        const auto start = Clock::now();
        execute(s);
        nanoseconds[static_cast<size_t>(s.instruction)] +=
            std::chrono::duration<double, std::nano>(Clock::now() - start).count();
      });
  });
}

}  // namespace tg::plan
