#include "plan/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "core/float_env.h"
#include "math/convert.h"
#include "plan/bundles.h"
#include "plan/nets.h"
#include "plan/replay.h"

namespace tg::plan {

void copy_bytes(const StorageRef& to, int64_t to_first, const StorageRef& from, int64_t from_first, size_t bytes) {
  if (!bytes) return;
  if (to->device() == Device::Cpu) {
    std::memcpy(to->data() + to_first, from->data() + from_first, bytes);
    return;
  }
  const auto length = static_cast<int64_t>(bytes);
  const Dtype like = to_first % 8 || from_first % 8 || length % 8 ? Dtype::UInt8 : Dtype::Int64;
  auto view = [&](const StorageRef& storage, int64_t first) {
    Tensor t;
    t.storage = storage;
    t.dtype = like;
    t.offset = first / size_of(like);
    t.shape = {length / size_of(like)};
    t.strides = {1};
    return t;
  };
  Tensor out = view(to, to_first);
  const Tensor in[] = {out, view(from, from_first)};
  dispatch::backend(to->device())->kernels[op_copy_]({op(op_copy_), in, {}, {&out, 1}});
}

double number(const Tensor& t) {
  if (const Backend* b = dispatch::backend(t.device()); b->to_host) {
    Tensor here = empty({}, t.dtype);
    b->to_host(t.place().index, here.data(), t.data(), static_cast<size_t>(size_of(t.dtype)));
    return number(here);
  }
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

Executor::Executor(Program program, const Backend& backend, std::shared_ptr<Arena> arena)
    : program_(std::move(program)), backend_(backend), arena_(std::move(arena)) {
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
  if (backend_.graphs) stream_ = current_stream[program_.place.index];
  if (backend_.graphs) replay_ = std::make_unique<Replay>(*this, *backend_.graphs);
}
Executor::~Executor() = default;

// One operand of a call, for all rows or those of a shard.
void Executor::add_operand(const View& v, Part part, int shard, std::vector<Moving>* moving) {
  Tensor t;
  t.shape = v.shape;
  t.strides = v.strides;
  t.dtype = v.dtype;
  if (v.defined()) {
    const auto b = static_cast<size_t>(v.buffer);
    int64_t offset = v.offset;
    if (shard >= 0 && part == Part::rows) {
      const Rows& rows = schedule_.shards[static_cast<size_t>(shard)];
      t.shape[0] = rows.count();
      moving->push_back({operands_.size(), v.strides[0], schedule_.block[b]});
      if (!schedule_.apart[b]) offset += rows.first * v.strides[0];
    }
    if (unseen_[b]) {  // it stays undefined
      t.offset = v.buffer;
    } else if (lowered_.program.buffers[b].role == Role::temporary) {
      const int64_t region = schedule_.apart[b] ? layout_.shared + layout_.shard * shard : 0;
      t.storage = StorageRef::borrowed(arena_->storage.get(), true);
      in_arena_.push_back(operands_.size());
      t.offset = (region + layout_.place[b]) / size_of(t.dtype) + offset;
    } else {
      uses_[b].push_back({operands_.size(), offset});
    }
  }
  origin_.push_back(t.offset);
  operands_.push_back(std::move(t));
}

// An entry of a shard's stack of sums. The lowest of shard 0 lies where the result is to be.
void Executor::add_entry(const View& v, int shard, int64_t place, int entry) {
  if (shard == 0 && entry == 0) return add_operand(v, Part::sum, shard);
  Tensor t;
  t.shape = v.shape;
  t.strides = contiguous_strides(v.shape);
  t.dtype = v.dtype;
  t.storage = StorageRef::borrowed(arena_->storage.get(), true);
  in_arena_.push_back(operands_.size());
  t.offset = (layout_.shared + layout_.shard * shard + place + entry * entry_bytes(v)) / size_of(v.dtype);
  origin_.push_back(t.offset);
  operands_.push_back(std::move(t));
}

Executor::Step Executor::make_step(const Scheduled& s, int shard, const Stack& stack) {
  const auto at = static_cast<size_t>(s.instruction);
  const Instruction& i = lowered_.program.instructions[at];
  const int origin = lowered_.origin[at];
  Step made{.op = i.op,
            .kernel = i.op ? backend_.kernels[i.op->id] : nullptr,
            .in = operands_.size(),
            .n_in = i.in.size(),
            .n_out = i.out.size(),
            .instruction = origin,
            .precision = i.precision};
  if (shard >= 0) made.batch = schedule_.rows;
  if (i.op && i.op->id == op_dropout && shard >= 0) {
    made.place = 4;
    made.drawn = i.in[0].strides[0];
    made.first = schedule_.shards[static_cast<size_t>(shard)].first * made.drawn;
  }
  made.live = i.live >= 0;
  give_attrs(made, made.live ? attrs_[static_cast<size_t>(origin)] : i.attrs);
  for (size_t k = 0; k < i.in.size(); k++) add_operand(i.in[k], shard < 0 ? Part::whole : s.in[k], shard, &made.moving);
  made.out = operands_.size();
  made.sums = std::find(s.out.begin(), s.out.end(), Part::sum) != s.out.end();
  for (int entry = 0; entry < (made.sums ? stack.entries : 1); entry++) {
    size_t sum = 0;
    for (size_t k = 0; k < i.out.size(); k++) {
      if (made.sums && s.out[k] == Part::sum) add_entry(i.out[k], shard, stack.place[sum++], entry);
      else add_operand(i.out[k], shard < 0 ? Part::whole : s.out[k], shard, &made.moving);
    }
  }
  for (int entry = 0; made.sums && entry < stack.entries; entry++) {
    made.merges.emplace_back();
    size_t sum = 0;
    for (size_t k = 0; k < i.out.size() && entry; k++)
      if (s.out[k] == Part::sum)
        made.merges.back().push_back(make_join(s, k, {shard, entry - 1, shard, entry}, stack.place[sum++]));
  }
  return made;
}

Executor::Step Executor::make_join(const Scheduled& s, size_t out, Join join, int64_t place) {
  const auto at = static_cast<size_t>(s.instruction);
  const View& v = lowered_.program.instructions[at].out[out];
  const Op& add = op(id_add);
  Step made{.op = &add,
            .kernel = backend_.kernels[id_add],
            .in = operands_.size(),
            .n_in = 2,
            .n_out = 1,
            .instruction = lowered_.origin[at]};
  add_entry(v, join.to, place, join.to_entry);
  add_entry(v, join.from, place, join.from_entry);
  made.out = operands_.size();
  add_entry(v, join.to, place, join.to_entry);
  return made;
}

void Executor::prepare_slot(size_t k) {
  const Slot& slot = schedule_.slots[k];
  Run& run = runs_[k];
  run.by.resize(slot.sharded ? schedule_.shards.size() : std::max<size_t>(slot.lists.size(), 1));
  if (!slot.sharded) {
    for (size_t list = 0; list < slot.lists.size(); list++)
      for (const Task& task : slot.lists[list]) {
        if (task.joins) make_joins(k - 1, task.step, task.out, run.by[list]);
        else run.by[list].push_back(make_step(slot.steps[task.step], -1, {}));
      }
    for (size_t step = 0; step < slot.steps.size() && slot.lists.empty(); step++)
      run.by[0].push_back(make_step(slot.steps[step], -1, {}));
    return;
  }
  for (size_t shard = 0; shard < run.by.size(); shard++) {
    Stack stack{layout_.sums[k].data(), slot.entries};
    for (const Scheduled& s : slot.steps) {
      run.by[shard].push_back(make_step(s, static_cast<int>(shard), stack));
      stack.place += std::count(s.out.begin(), s.out.end(), Part::sum);
    }
  }
  if (k + 1 < schedule_.slots.size() && !schedule_.slots[k + 1].lists.empty()) return;  // they are in the lists
  for (size_t step = 0; step < slot.steps.size(); step++)
    for (size_t out = 0; out < slot.steps[step].out.size(); out++)
      if (slot.steps[step].out[out] == Part::sum) make_joins(k, step, out, run.joins);
}

// The joins of one of the sums of a slot.
void Executor::make_joins(size_t slot_number, size_t step, size_t out, std::vector<Step>& to) {
  const Slot& slot = schedule_.slots[slot_number];
  size_t sum = 0;
  for (size_t k = 0; k <= step; k++)
    sum += static_cast<size_t>(std::count(
        slot.steps[k].out.begin(),
        k < step ? slot.steps[k].out.end() : slot.steps[k].out.begin() + static_cast<std::ptrdiff_t>(out), Part::sum));
  for (const Join& join : slot.joins)
    to.push_back(make_join(slot.steps[step], out, join, layout_.sums[slot_number][sum]));
}

void Executor::prepare(int threads) {
  threads_ = threads;
  if (!backend_.graphs) {
    lowered_ = lowered(program_, batch_rows(program_), threads);
    schedule_ = make_schedule(lowered_.program, threads);
  }
  if (schedule_.shards.empty()) {  // all rows at once: nothing needs to be in parts
    lowered_ = {program_, std::vector<int>(program_.instructions.size())};
    std::iota(lowered_.origin.begin(), lowered_.origin.end(), 0);
    schedule_ = in_order(program_);
    if (backend_.fits)
      find_nets(lowered_.program,
                [this](Together how, std::span<const Instruction> calls) { return fits(how, calls); });
  }
  unseen_ = unseen(lowered_.program);
  layout_ = plan_memory(lowered_.program, schedule_);
  at_risk_ = schedule_.at_risk(lowered_.program);
  copies_.resize(at_risk_.size());
  arena_->hold(arena_bytes());
  placed_ = arena_->grown;
  in_arena_.clear();
  operands_.clear();
  origin_.clear();
  const size_t buffers = lowered_.program.buffers.size();
  uses_.assign(buffers, {});
  bound_.resize(buffers);
  base_.resize(buffers);
  runs_.assign(schedule_.slots.size(), {});
  for (size_t k = 0; k < schedule_.slots.size(); k++) {
    prepare_slot(k);
    const Slot& slot = schedule_.slots[k];
    for (size_t at = 0; at < slot.steps.size(); at++) {
      const Instruction& i = lowered_.program.instructions[static_cast<size_t>(slot.steps[at].instruction)];
      const TogetherKernel together = backend_.together[static_cast<size_t>(i.together)];
      const size_t steps = together ? bundled(lowered_.program, slot, at) : 1;
      for (std::vector<Step>& list : runs_[k].by)
        if (steps > 1) list[at].together = together, list[at].steps = steps;
    }
  }
  steps_of_.assign(program_.instructions.size(), {});
  for (Run& run : runs_)
    for (std::vector<Step>& steps : run.by)
      for (Step& s : steps)
        if (s.live) steps_of_[static_cast<size_t>(s.instruction)].push_back(&s);
  for (size_t b = 0; b < buffers; b++) {
    if (lowered_.program.buffers[b].role == Role::temporary)
      bound_[b] = StorageRef::borrowed(arena_->storage.get(), true);
    else if (bound_[b]) bind(static_cast<int>(b), bound_[b], base_[b]);
  }
}

// The arena has grown for another program.
void Executor::place_temporaries() {
  const StorageRef now = StorageRef::borrowed(arena_->storage.get(), true);
  for (const size_t k : in_arena_) operands_[k].storage = now;
  for (size_t b = 0; b < bound_.size(); b++)
    if (lowered_.program.buffers[b].role == Role::temporary) bound_[b] = now;
  placed_ = arena_->grown;
}

void Executor::bind(int buffer, const StorageRef& storage, int64_t base) {
  const auto at = static_cast<size_t>(buffer);
  base_[at] = base;
  if (!(bound_[at] == storage)) bound_[at] = storage;
  if (!replay_ || !replay_->owns(buffer)) point(buffer, storage, base);
}

void Executor::point(int buffer, const StorageRef& storage, int64_t base) {
  const auto at = static_cast<size_t>(buffer);
  for (const Use& use : uses_[at]) {
    Tensor& t = operands_[use.operand];
    t.storage = StorageRef::borrowed(storage.get(), changes_[at]);
    t.offset = origin_[use.operand] = base / size_of(t.dtype) + use.offset;
  }
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
    const bool own = replay_ && replay_->owns(b);
    const int64_t first = buffer.role == Role::temporary ? layout_.place[at] : own ? 0 : base_[at];
    copy_bytes(own ? replay_->own(b) : bound_[at], first, buffer.storage, 0, buffer.bytes);
  }
}

// What a run that throws might have overwritten.
void Executor::save() {
  for (size_t k = 0; k < at_risk_.size(); k++) {
    if (replay_ && replay_->owns(at_risk_[k])) continue;
    const StorageRef& storage = bound_[static_cast<size_t>(at_risk_[k])];
    if (!copies_[k] || copies_[k]->bytes() != storage->bytes())
      copies_[k] = StorageRef(new Storage(storage->bytes(), storage->place()));
    copy_bytes(copies_[k], 0, storage, 0, storage->bytes());
  }
}
void Executor::restore() {
  for (size_t k = 0; k < at_risk_.size(); k++)
    if (!replay_ || !replay_->owns(at_risk_[k]))
      copy_bytes(bound_[static_cast<size_t>(at_risk_[k])], 0, copies_[k], 0, copies_[k]->bytes());
  written();
}

Call Executor::call_of(const Step& s, int entry) {
  const size_t out = s.out + s.n_out * static_cast<size_t>(entry);
  return {*s.op, {operands_.data() + s.in, s.n_in}, s.attrs, {operands_.data() + out, s.n_out}, s.batch, s.precision};
}

void Executor::execute(const Step& s, int entry) {
  if (!s.op) {
    const Tensor& asked = operands_[s.in];
    const double value = number(asked);
    if (!(value >= s.attrs.real(0) && value <= s.attrs.real(1)))
      throw Unexpected{static_cast<int>(s.attrs.integer(2)), asked};
    return;
  }
  if (s.steps == 1) return s.kernel(call_of(s, entry));
  if (s.steps == 2) {
    const Call calls[] = {call_of(s, entry), call_of((&s)[1], entry)};
    return s.together(std::span<const Call>(calls));
  }
  std::vector<Call> calls;
  for (size_t k = 0; k < s.steps; k++) calls.push_back(call_of((&s)[k], entry));
  s.together(calls);
}

// Calls as they will be, on no memory yet.
bool Executor::fits(Together how, std::span<const Instruction> instructions) const {
  std::vector<std::vector<Tensor>> operands;
  std::vector<Call> calls;
  for (const Instruction& i : instructions) {
    std::vector<Tensor>& in = operands.emplace_back();
    for (const std::vector<View>* views : {&i.in, &i.out})
      for (const View& v : *views) {
        Tensor& t = in.emplace_back();
        t.shape = v.shape, t.strides = v.strides, t.dtype = v.dtype, t.offset = v.buffer;
      }
    const std::span<Tensor> all(in);
    calls.push_back({*i.op, all.first(i.in.size()), i.attrs, all.subspan(i.in.size()), 0, i.precision});
  }
  return backend_.fits(program_.place.index, how, calls);
}

void Executor::written() {
  for (const std::vector<int>& buffers : writes_)
    for (const int b : buffers) bound_[static_cast<size_t>(b)]->written();
}

template <class Each>
void Executor::guarded_run(Each each) {
  const FloatEnv env;
  if (placed_ != arena_->grown) place_temporaries();
  save();
  start();
  try {
    for (size_t k = 0; k < runs_.size(); k++) {
      each(k);
      for (const Step& s : runs_[k].joins) execute(s);
    }
  } catch (...) {
    restore();
    throw;
  }
  written();
}

// Puts the operands at some rows of a unit.
void Executor::stand(Step& s, Rows rows, Rows unit, Rows shard) {
  for (const Moving& m : s.moving) {
    Tensor& t = operands_[m.operand];
    t.offset = origin_[m.operand] + (rows.first - (m.unit ? unit : shard).first) * m.stride;
    t.shape[0] = rows.count();
  }
  if (s.place < 0) return;
  s.attrs.values[s.place].i += rows.first * s.drawn - s.first;
  s.first = rows.first * s.drawn;
}

template <class Each>
void Executor::run_steps(size_t slot, size_t shard, Each each) {
  std::vector<Step>& steps = runs_[slot].by[shard];
  const Slot& planned = schedule_.slots[slot];
  if (!planned.sharded || (planned.units[shard].size() == 1 && planned.units[shard][0].pieces.size() < 2)) {
    for (size_t at = 0; at < steps.size(); at += steps[at].steps) each(steps[at], 0);
    return;
  }
  const Rows all = schedule_.shards[shard];
  for (const Unit& unit : planned.units[shard])
    for (size_t at = 0; at < steps.size(); at += steps[at].steps) {
      const std::span<Step> together(&steps[at], steps[at].steps);
      if (!together[0].sums) {
        for (Step& s : together) stand(s, unit.rows, unit.rows, all);
        each(together[0], 0);
        continue;
      }
      for (const Piece& piece : unit.pieces) {
        for (Step& s : together) stand(s, piece.rows, unit.rows, all);
        each(together[0], piece.entry);
        for (int k = 0; k < piece.merges; k++)
          for (const Step& s : together)
            for (const Step& merge : s.merges[static_cast<size_t>(piece.entry - k)]) each(merge, 0);
      }
    }
}

// What plans work in is theirs, on whatever stream they run: a run on another one comes after the run before, and that memory is
// handed on when both are done with it.
void Executor::meet_stream() {
  if (!backend_.graphs) return;
  const Place place = program_.place;
  const StreamId now = current_stream[place.index];
  if (now != arena_->stream) {
    backend_.graphs->follow(place.index, arena_->stream);
    used_on(place, arena_->storage->data(), now);
    arena_->stream = now;
  }
  if (now == stream_) return;
  stream_ = now;
  for (const StorageRef& s : copies_)
    if (s) used_on(place, s->data(), now);
  if (replay_) replay_->used_on(now);
}

void Executor::run() {
  meet_stream();
  if (replay_) return replay_->run();
  run_calls();
}

void Executor::run_calls() {
  if (const int threads = backend_.num_threads ? backend_.num_threads() : 1; threads != threads_) prepare(threads);
  guarded_run([this](size_t slot) {
    struct Work {
      Executor* executor;
      size_t slot;
      void shard(size_t k) const {
        executor->run_steps(slot, k, [this](const Step& s, int entry) { executor->execute(s, entry); });
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
  meet_stream();
  nanoseconds.assign(program_.instructions.size(), 0);
  guarded_run([&](size_t slot) {
    for (size_t shard = 0; shard < runs_[slot].by.size(); shard++)
      run_steps(slot, shard, [&](const Step& s, int entry) {
        if (backend_.graphs) backend_.graphs->wait(program_.place.index);
        const auto start = Clock::now();
        execute(s, entry);
        if (backend_.graphs) backend_.graphs->wait(program_.place.index);
        const double all = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
        const std::span<const Step> together(&s, s.steps);
        auto flops = [&](const Step& step) {  // what is done in one go is told by these
          return program_.flops(program_.instructions[static_cast<size_t>(step.instruction)]);
        };
        double sum = 0;
        for (const Step& step : together) sum += flops(step);
        for (const Step& step : together)
          nanoseconds[static_cast<size_t>(step.instruction)] +=
              together.size() > 1 && sum > 0 ? all * flops(step) / sum : all;
      });
  });
}

}  // namespace tg::plan
