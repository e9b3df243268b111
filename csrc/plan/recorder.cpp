#include "plan/recorder.h"

#include <cstring>

#include "core/memory.h"
#include "plan/executor.h"

namespace tg::plan {
namespace {

constexpr size_t kLarge = size_t{4} << 20;  // bytes: worth the faults of pages that come anew

// Of memory that the host reads.
bool is_zero(const Storage& s) {
  const std::byte* data = s.data();
  return s.device() == Device::Cpu &&
         (!s.bytes() || (data[0] == std::byte{0} && !std::memcmp(data, data + 1, s.bytes() - 1)));
}

StorageRef copy_of(const StorageRef& s) {
  StorageRef copy(new Storage(s->bytes(), s->place()));
  copy_bytes(copy, 0, s, 0, s->bytes());
  return copy;
}

}  // namespace

Recording::Recording(std::vector<Tensor> arguments, uint64_t first_birth) : first_birth_(first_birth) {
  for (const Tensor& t : arguments) {
    if (place_ && t.place() != *place_)
      fail(ErrorKind::Runtime, "[compile] arguments are on ", name(*place_), " and ", name(t.place()),
           ", expected one device; move them with .to() before the call");
    place_ = t.place();
    const int b = static_cast<int>(program_.buffers.size());
    program_.buffers.push_back({Role::input, static_cast<size_t>(t.numel() * size_of(t.dtype)), {}});
    births_.emplace_back();
    written_.push_back(false);
    input_base_.push_back(t.offset * size_of(t.dtype));
    input_storage_.push_back(t.storage);
    external_.emplace(t.storage.get(), b);
    program_.inputs.push_back({b, 0, t.shape, t.strides, t.dtype});
  }
}

bool Recording::made_here(const Tensor& t) const {
  const Birth& birth = t.storage->birth();
  return birth && *birth >= first_birth_ && (*birth >> 32) == (first_birth_ >> 32);
}

int Recording::buffer_of(const Tensor& t, bool about_to_read) {
  Storage* storage = t.storage.get();
  const bool born = made_here(t);
  if (born) {
    const auto known = born_.find(*storage->birth());
    if (known != born_.end()) return known->second;
  } else if (const auto known = external_.find(storage); known != external_.end()) {
    return known->second;
  }
  const int b = static_cast<int>(program_.buffers.size());
  Buffer buffer;
  buffer.bytes = storage->bytes();
  if (!born) {
    buffer.role = Role::state;
    buffer.storage = t.storage;
    external_.emplace(storage, b);
  } else {
    born_.emplace(*storage->birth(), b);
    if (about_to_read) {
      buffer.role = Role::constant;
      buffer.storage = copy_of(t.storage);
    }
  }
  program_.buffers.push_back(std::move(buffer));
  births_.push_back(born ? storage->birth() : Birth{});
  written_.push_back(false);
  input_base_.push_back(0);
  input_storage_.emplace_back();
  return b;
}

View Recording::view_of(const Tensor& t, bool about_to_read) {
  if (!t.defined()) return {};
  View v;
  v.buffer = buffer_of(t, about_to_read);
  const int64_t base = input_base_[static_cast<size_t>(v.buffer)];
  v.offset = t.offset - base / size_of(t.dtype);
  v.shape = t.shape;
  v.strides = t.strides;
  v.dtype = t.dtype;
  return v;
}

void Recording::about_to_write(int buffer) {
  const auto at = static_cast<size_t>(buffer);
  if (written_[at]) return;
  written_[at] = true;
  const Buffer& b = program_.buffers[at];
  const StorageRef storage = b.role == Role::input   ? input_storage_[at]
                             : b.role == Role::state ? b.storage
                                                     : StorageRef{};
  if (!storage) return;
  storage->set_derived(0, storage->version(), nullptr);  // replays keep nothing derived from what they write
  if (is_zero(*storage.get())) saved_.push_back({storage, {}});
  else {
    if (storage->bytes() > kLarge)
      empty_cache(storage->place());  // what the step has left behind makes room for the copies
    saved_.push_back({storage, copy_of(storage)});
  }
}

bool Recording::constant(const Tensor& t) const {
  if (!made_here(t)) return false;
  const auto known = born_.find(*t.storage->birth());
  if (known == born_.end()) return true;
  const auto b = static_cast<size_t>(known->second);
  return program_.buffers[b].role == Role::constant && !written_[b];
}

// Is the call at another place than the recording? Then it may only make constants of constants, and is no instruction.
bool Recording::elsewhere(const Call& call) {
  std::optional<Place> place;  // of a tensor, or else of a number, which the host has
  bool constants = !(call.op.flags & kRandom);
  for (const std::span<const Tensor> all : {call.in, std::span<const Tensor>(call.out)})
    for (const Tensor& t : all) {
      if (!t.defined()) continue;
      constants &= constant(t);
      if (!place || place->device == Device::Cpu) place = t.place();
    }
  if (!place || (place_ && *place == *place_)) return false;
  if (constants) return true;
  if (!place_) place_ = place;
  if (!(*place == *place_))
    fail(ErrorKind::Runtime, "[", call.op.name, "] works on ", name(*place), " in a step that began on ", name(*place_),
         ", expected one device; move what it takes with .to() before the call");
  return false;
}

void Recording::before(const Call& call) {
  if (elsewhere(call)) return;
  for (size_t i = 0; i < call.in.size(); i++) {
    if (!call.in[i].defined()) continue;
    const bool written = overwrites(call, i);
    const int b = buffer_of(call.in[i], !written || reads_overwritten(call.op));
    if (written) about_to_write(b);
  }
  for (const Tensor& t : call.out)
    if (t.defined()) about_to_write(buffer_of(t, false));
}

void Recording::record(const Call& call) {
  if (elsewhere(call)) return;
  Instruction i;
  i.op = &call.op;
  i.attrs = call.attrs;
  i.precision = call.precision;
  for (size_t k = 0; k < call.in.size(); k++) {
    i.in.push_back(view_of(call.in[k]));
    i.overwrites.push_back(call.in[k].defined() && overwrites(call, k));
  }
  for (const Tensor& t : call.out) i.out.push_back(view_of(t, false));
  if (call.op.flags & kUpdates) {
    i.live = next_live_;
    next_live_ = -1;
  } else if (call.op.flags & kRandom) {
    int64_t seed = 0, step = 0;
    for (int k = 0; k < call.attrs.n; k++) {
      if (call.op.attribute(k).name == "seed") seed = call.attrs.integer(k);
      if (call.op.attribute(k).name == "step") step = call.attrs.integer(k);
    }
    for (const Draw& d : draws_)
      if (d.seed == seed && d.step == step) i.live = d.live;
  }
  program_.instructions.push_back(std::move(i));
}

void Recording::expect(const Tensor& value, double low, double high, int id) {
  Instruction i;
  i.in.push_back(view_of(value));
  i.overwrites.push_back(false);
  i.attrs.add(Attr::real(low));
  i.attrs.add(Attr::real(high));
  i.attrs.add(Attr::integer(id));
  program_.instructions.push_back(std::move(i));
}

std::vector<View> Recording::kept(const std::vector<Tensor>& known) const {
  std::vector<bool> expected(program_.buffers.size(), false);
  for (const Tensor& t : known)
    if (t.defined() && made_here(t)) {
      const auto at = born_.find(*t.storage->birth());
      if (at != born_.end()) expected[static_cast<size_t>(at->second)] = true;
    }
  std::vector<View> found;
  std::vector<bool> listed(program_.buffers.size(), false);
  for (const Instruction& i : program_.instructions)
    for (const View& v : i.out) {
      if (!v.defined()) continue;
      const auto b = static_cast<size_t>(v.buffer);
      if (listed[b] || expected[b] || births_[b].expired()) continue;
      listed[b] = true;
      found.push_back(v);
    }
  return found;
}

Program Recording::finish(const std::vector<Tensor>& outputs) {
  program_.place = place_.value_or(Place{});
  for (const Tensor& t : outputs) program_.outputs.push_back(view_of(t));
  for (const View& v : program_.outputs)
    if (v.defined() && program_.buffers[static_cast<size_t>(v.buffer)].role == Role::temporary)
      program_.buffers[static_cast<size_t>(v.buffer)].role = Role::output;
  // A constant that is overwritten, or handed out, starts as a copy in each run.
  for (size_t b = 0; b < program_.buffers.size(); b++) {
    Buffer& buffer = program_.buffers[b];
    if (buffer.role != Role::constant) continue;
    if (written_[b]) buffer.role = Role::temporary;
    for (const View& v : program_.outputs)
      if (v.buffer == static_cast<int>(b)) buffer.role = Role::output;
  }
  return std::move(program_);
}

void Recording::undo() noexcept {
  for (const Saved& s : saved_) {
    if (s.copy) copy_bytes(s.storage, 0, s.copy, 0, s.copy->bytes());
    else std::memset(s.storage->data(), 0, s.storage->bytes());
    s.storage->written();
  }
}

}  // namespace tg::plan
