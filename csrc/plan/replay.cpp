#include "plan/replay.h"

#include <algorithm>
#include <cstring>

#include "core/float_env.h"

namespace tg::plan {
namespace {

constexpr size_t kCopied = size_t{1} << 20;  // bytes that are copied rather than waited for
constexpr uint64_t kNothing = ~uint64_t{0};  // noted

}  // namespace

Replay::Replay(Executor& executor, const Graphs& graphs)
    : e_(executor), graphs_(graphs), index_(executor.program_.place.index), own_(executor.program_.buffers.size()) {
  for (size_t k = 0; k < e_.program_.instructions.size(); k++)
    if (e_.program_.instructions[k].live >= 0) {
      nth_[k] = live_.size();
      live_.push_back(k);
    }
  row_.add(Attr::integer(0));
}

// Where everything lies that the graph does not own.
Replay::Addresses Replay::addresses() const {
  Addresses at;
  for (size_t b = 0; b < own_.size(); b++) {
    const bool theirs = e_.program_.buffers[b].role != Role::temporary && !own_[b] && e_.bound_[b];
    at.push_back(theirs ? e_.bound_[b]->data() + e_.base_[b] : nullptr);
  }
  at.push_back(e_.arena_->storage->data());
  return at;
}

// What has moved since the last run and is small gets memory of its own.
void Replay::move_in(const Addresses& now) {
  for (size_t b = 0; b < own_.size(); b++) {
    const Buffer& buffer = e_.program_.buffers[b];
    if (last_.empty() || now[b] == last_[b] || (buffer.role != Role::input && buffer.role != Role::output) ||
        buffer.bytes > kCopied)
      continue;
    own_[b] = StorageRef(new Storage(buffer.bytes, e_.program_.place));
    e_.point(static_cast<int>(b), own_[b], 0);
  }
}

bool Replay::stays() {
  if (e_.placed_ != e_.arena_->grown) e_.place_temporaries();
  Addresses now = addresses();
  const bool first = last_.empty();
  if (!first && now != last_) {
    move_in(now);
    for (size_t b = 0; b < own_.size(); b++)
      if (own_[b]) now[b] = last_[b] = nullptr;
  }
  const bool same = !first && now == last_;
  last_ = std::move(now);
  return same;
}

bool Replay::ready() {
  const bool same = stays();
  if (cannot_) return false;
  if (first_ && last_ == at_) return true;
  if (same) keep();
  return same && !cannot_;
}

template <class F>
std::unique_ptr<Replay::Graph> Replay::kept(F f) {
  graphs_.begin(index_);
  try {
    f();
  } catch (...) {
    try {
      const Graph ended(graphs_, index_);
    } catch (const Error&) {}  // the first one tells
    throw;
  }
  return std::make_unique<Graph>(graphs_, index_);
}

// What a kept call gets; `live`: which of the live instructions it is.
Kept Replay::kept_at(size_t live) {
  return {&blocks_, on_device_->data() + live * graphs_.live_bytes, watched_->data()};
}

void Replay::keep_call(const Executor::Step& s) {
  if (!s.op) {
    const Tensor& asked = e_.operands_[s.in];
    copy_bytes(watched_, 8 * static_cast<int64_t>(1 + expectations_.size()), asked.storage,
               asked.offset * size_of(asked.dtype), static_cast<size_t>(size_of(asked.dtype)));
    expectations_.push_back(&s);
    return;
  }
  for (Kept::Block& b : blocks_) b.taken = false;
  std::vector<Kept> kept(s.steps);
  std::vector<Call> calls;
  for (size_t k = 0; k < s.steps; k++) {
    const Executor::Step& step = (&s)[k];
    kept[k] = kept_at(step.live ? nth_[static_cast<size_t>(step.instruction)] : 0);
    if (!step.live) kept[k].live = nullptr;
    calls.push_back(e_.call_of(step, 0));
    calls.back().kept = &kept[k];
  }
  if (s.steps == 1) s.kernel(calls[0]);
  else s.together(calls);
}

void Replay::keep_calls(size_t from, size_t to) {
  const std::vector<Executor::Step>& steps = e_.runs_[0].by[0];
  for (size_t k = from; k < to; k += steps[k].steps) keep_call(steps[k]);
}

// Memory beside the program's.
void Replay::prepare() {
  if (watched_) return;
  const std::vector<Executor::Step>& steps = e_.runs_[0].by[0];
  const auto expected = static_cast<size_t>(std::ranges::count_if(steps, [](const auto& s) { return !s.op; }));
  watched_ = StorageRef(new Storage(8 * (1 + expected), e_.program_.place));
  graphs_.put(index_, watched_->data(), &kNothing, sizeof kNothing);
  on_device_ = StorageRef(new Storage((live_.size() + 1) * graphs_.live_bytes, e_.program_.place));
}

void Replay::keep() {
  const std::vector<Executor::Step>& steps = e_.runs_[0].by[0];
  auto each = [&](size_t from, size_t to, auto f) {
    const std::vector<Scheduled>& as_run = e_.schedule_.slots[0].steps;
    for (size_t k = from; k < to; k++) f(e_.lowered_.program.instructions[static_cast<size_t>(as_run[k].instruction)]);
  };
  size_t cut = 0;
  for (size_t k = 0; k < steps.size(); k += steps[k].steps)
    each(k, k + steps[k].steps, [&](const Instruction& i) {
      if (i.may_refuse()) cut = k + steps[k].steps;
    });
  asks_ = cut > 0;
  std::vector<int> written;  // before it is known whether something was refused, by what refuses as well
  for (size_t b = 0; b < own_.size(); b++) {
    bool is = false;
    each(0, cut, [&](const Instruction& i) { is |= i.writes(static_cast<int>(b)); });
    if (is && e_.changes_[b] && !own_[b]) written.push_back(static_cast<int>(b));
  }
  first_.reset();
  rest_.reset();
  expectations_.clear();
  try {
    prepare();
    risk_.clear();
    save(written, risk_);  // there is memory for it before anything is kept
    first_ = kept([&] {
      save(written, risk_);
      e_.start();
      keep_calls(0, cut ? cut : steps.size());
    });
    if (cut && cut < steps.size()) rest_ = kept([&] { keep_calls(cut, steps.size()); });
    at_ = last_;
  } catch (const Error&) {
    cannot_ = true;  // a call waits for the device, or there is no room for what it works in
    first_.reset();
    rest_.reset();
  }
}

// The numbers that are read anew, if they have changed.
void Replay::renew() {
  fresh_.resize((live_.size() + 1) * graphs_.live_bytes);
  for (size_t k = 0; k < live_.size(); k++) graphs_.encode(e_.attrs_[live_[k]], fresh_.data() + k * graphs_.live_bytes);
  graphs_.encode(row_, fresh_.data() + live_.size() * graphs_.live_bytes);
  if (fresh_ == numbers_) return;
  graphs_.put(index_, on_device_->data(), fresh_.data(), fresh_.size());
  numbers_ = fresh_;
}

// Was a value refused, or is one not as expected?
bool Replay::refused() {
  seen_.resize(watched_->bytes() / sizeof seen_[0]);
  e_.backend_.to_host(index_, seen_.data(), watched_->data(), watched_->bytes());
  bool bad = seen_[0] != kNothing;
  if (bad) graphs_.put(index_, watched_->data(), &kNothing, sizeof kNothing);
  for (size_t k = 0; k < expectations_.size(); k++) {
    const Executor::Step& s = *expectations_[k];
    Tensor value = empty({}, e_.operands_[s.in].dtype);
    std::memcpy(value.data(), &seen_[1 + k], static_cast<size_t>(size_of(value.dtype)));
    const double got = number(value);
    bad |= !(got >= s.attrs.real(0) && got <= s.attrs.real(1));
  }
  return bad;
}

void Replay::save(const std::vector<int>& buffers, Copies& copies) {
  for (const int b : buffers) {
    const StorageRef& storage = e_.bound_[static_cast<size_t>(b)];
    StorageRef& copy = copies[b];
    if (!copy || copy->bytes() != storage->bytes()) copy = StorageRef(new Storage(storage->bytes(), e_.program_.place));
    copy_bytes(copy, 0, storage, 0, copy->bytes());
  }
}
void Replay::restore(const Copies& copies) {
  for (const auto& [b, copy] : copies) copy_bytes(e_.bound_[static_cast<size_t>(b)], 0, copy, 0, copy->bytes());
}

void Replay::copy_in() {
  for (size_t b = 0; b < own_.size(); b++)
    if (own_[b] && e_.program_.buffers[b].role == Role::input)
      copy_bytes(own_[b], 0, e_.bound_[b], e_.base_[b], e_.program_.buffers[b].bytes);
}
void Replay::copy_out() {
  for (size_t b = 0; b < own_.size(); b++)
    if (own_[b] && (e_.changes_[b] || e_.program_.buffers[b].role == Role::output))
      copy_bytes(e_.bound_[b], e_.base_[b], own_[b], 0, e_.program_.buffers[b].bytes);
}

void Replay::used_on(StreamId stream) {
  auto mark = [&](const StorageRef& s) {
    if (s) tg::used_on(e_.program_.place, s->data(), stream);
  };
  for (const StorageRef& s : own_) mark(s);
  for (const Kept::Block& b : blocks_) mark(b.storage);
  for (const Copies* copies : {&risk_, &before_})
    for (const auto& [b, copy] : *copies) mark(copy);
  for (const StorageRef* s : {&on_device_, &watched_, &order_, &losses_}) mark(*s);
}

void Replay::run() {
  const FloatEnv env;
  const bool by_graph = ready();
  copy_in();
  if (!by_graph) {
    e_.run_calls();
  } else {
    renew();
    first_->launch();
    if (asks_ && refused()) {
      restore(risk_);
      e_.run_calls();
    } else {
      if (rest_) rest_->launch();
      launches_++;
      e_.written();
    }
  }
  copy_out();
}

// ---- many steps

// The rows of a batch, and a step with them.
void Replay::keep_epoch(const Batches& batches) {
  step_.reset();
  try {
    prepare();
    step_ = kept([&] {
      const Tensor order =
          batches.order.defined() ? Tensor{order_, 0, batches.order.shape, {1}, Dtype::Int64} : Tensor{};
      for (size_t t = 0; t < batches.tables.size(); t++) {
        const auto b = static_cast<size_t>(e_.program_.inputs[t].buffer);
        Tensor out = batches.batch[t];
        if (own_[b]) out.storage = own_[b], out.offset = 0;
        const Tensor in[] = {out, batches.tables[t], order};
        const Kept kept = kept_at(live_.size());
        e_.backend_.kernels[op_batches]({op(op_batches), in, row_, {&out, 1}, 0, kExact, &kept});
      }
      e_.start();
      keep_calls(0, e_.runs_[0].by[0].size());
    });
  } catch (const Error&) {
    cannot_ = true;
    step_.reset();
  }
}

size_t Replay::run_batches(const Batches& batches, int64_t first, const View& loss, std::span<const Draw> draws,
                           std::span<double> losses, std::chrono::nanoseconds time) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + time;
  e_.meet_stream();
  const FloatEnv env;
  auto one_by_one = [&](size_t most) {
    return run_one_by_one(e_, batches, first, loss, draws, losses.subspan(0, most), time);
  };
  const std::vector<Executor::Step>& steps = e_.runs_[0].by[0];
  bool expects = std::ranges::any_of(steps, [](const auto& s) { return !s.op; });
  for (const View& v : e_.program_.inputs) expects |= e_.changes_[static_cast<size_t>(v.buffer)];
  if (cannot_ || expects) return one_by_one(losses.size());
  if (!stays()) return one_by_one(1);

  Addresses now = last_;
  for (const Tensor& t : batches.tables) now.push_back(t.data());
  if (batches.order.defined()) {
    const auto bytes = static_cast<size_t>(batches.order.numel()) * sizeof(int64_t);
    if (!order_ || order_->bytes() < bytes) order_ = StorageRef(new Storage(bytes, e_.program_.place));
    copy_bytes(order_, 0, batches.order.storage, batches.order.offset * 8, bytes);
    now.push_back(order_->data());
  }
  if (!step_ || now != step_at_) {
    keep_epoch(batches);
    step_at_ = std::move(now);
    if (cannot_) return one_by_one(losses.size());
  }
  std::vector<int> changed;  // what a step leaves behind, and the graph does not own
  for (size_t b = 0; b < own_.size(); b++)
    if (e_.changes_[b] && !own_[b]) changed.push_back(static_cast<int>(b));
  before_.clear();
  save(changed, before_);
  const Tensor value = e_.tensor(loss);
  const auto size = static_cast<size_t>(size_of(value.dtype));
  const auto b = static_cast<size_t>(loss.buffer);
  const StorageRef& made_in = own_[b] ? own_[b] : value.storage;
  const int64_t made_at = (own_[b] ? loss.offset : value.offset) * static_cast<int64_t>(size);
  if (!losses_ || losses_->bytes() < size * losses.size())
    losses_ = StorageRef(new Storage(size * losses.size(), e_.program_.place));
  const auto begin = Clock::now();
  size_t done = 0, most = losses.size();
  while (done < most && (!done || Clock::now() < end)) {
    row_.values[0] = Attr::integer(first + static_cast<int64_t>(done) * batches.batch[0].shape[0]);
    renew();
    step_->launch();
    copy_bytes(losses_, static_cast<int64_t>(done * size), made_in, made_at, size);
    for (const Draw& d : draws) d.go_on(e_, 1);
    done++;
    // A launch takes no time, so what the steps take is seen by waiting for them: after 1, 2, 4, 8, ... of them.
    if ((done & (done - 1)) == 0 && done < losses.size()) {
      double last = 0;  // of as many bytes as a loss has, or more
      e_.backend_.to_host(index_, &last, static_cast<const std::byte*>(losses_->data()) + (done - 1) * size, size);
      const std::chrono::duration<double> took = Clock::now() - begin, given = time;
      const double fit = static_cast<double>(done) * (given / took);
      most = fit < static_cast<double>(losses.size()) ? std::max(done, static_cast<size_t>(fit)) : losses.size();
    }
  }
  if (refused()) {
    restore(before_);
    for (const Draw& d : draws) d.go_on(e_, -static_cast<int64_t>(done));
    return one_by_one(losses.size());
  }
  const Tensor found = empty({static_cast<int64_t>(done)}, value.dtype);
  e_.backend_.to_host(index_, found.data(), losses_->data(), done * size);
  for (size_t k = 0; k < done; k++) losses[k] = number(select("losses", found, 0, static_cast<int64_t>(k)));
  launches_ += done;
  e_.written();
  copy_out();
  return done;
}

}  // namespace tg::plan
