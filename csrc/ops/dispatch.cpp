#include "ops/dispatch.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "core/float_env.h"
#include "ops/backends.h"
#include "ops/table.h"
#include "ops/update.h"

namespace tg::dispatch {
namespace {

thread_local Recorder* current_recorder = nullptr;
thread_local uint8_t precision_here = kExact;
std::atomic<uint8_t> precision_everywhere{kExact};
std::atomic<bool> inexact{false};  // has anybody allowed anything yet? Most programs ask this alone
const Backend* installed[kDevices] = {};

void check_inputs(const Op& op, std::span<const Tensor> in) {
  const auto fixed = static_cast<size_t>(op.n_tensors() - (op.variadic ? 1 : 0));
  if (op.variadic ? in.size() < fixed : in.size() != fixed)
    fail(ErrorKind::Type, "[", op.name, "] got ", in.size(), " tensors, expected ", fixed,
         op.variadic ? " or more: " : ": ", op.signature);
  const Tensor* first = nullptr;
  for (size_t i = 0; i < in.size(); i++) {
    if (!in[i].defined()) {
      if (op.input(static_cast<int>(i)).kind != Param::Kind::OptionalTensor)
        fail(ErrorKind::Type, "[", op.name, "] ", op.input(static_cast<int>(i)).name, " is missing: ", op.signature);
      continue;
    }
    if (in[i].number) continue;
    if (!first) first = &in[i];
    else if (in[i].place() != first->place())
      fail(ErrorKind::Runtime, "[", op.name, "] tensors are on ", name(first->place()), " and ", name(in[i].place()),
           ", expected one device; move one with .to()");
  }
}

Place place_of(std::span<const Tensor> in, Place otherwise) {
  for (const Tensor& t : in)
    if (t.defined() && !t.number) return t.place();
  return otherwise;
}

Kernel kernel_for(const Op& op, Device device) {
  const Backend* b = backend(device);
  Kernel k = b ? b->kernels[op.id] : nullptr;
  if (!k) fail(ErrorKind::NotImplemented, "[", op.name, "] has no ", b ? b->name : name(device), " kernel");
  return k;
}

void check_writable(const Op& op, const Tensor& t, const char* what) {
  if (!t.storage->writable())
    fail(ErrorKind::Runtime, "[", op.name, "] ", what,
         " is read-only (it shares the memory of a read-only array), expected a "
         "tensor that can be written; take a .clone() first");
  if (!t.contiguous() && self_overlaps(t))
    fail(ErrorKind::Runtime, "[", op.name, "] ", what, " of shape ", t.shape,
         " is an expanded view in which several elements share "
         "one memory location, expected one location each; take a .clone() first");
}

// Runs one op whose outputs and inputs are final.
void run(const Op& op, Kernel kernel, std::span<const Tensor> in, const Attrs& attrs, std::span<Tensor> out) {
  const Call call{op, in, attrs, out, 0, precision()};
  if (!current_recorder) return kernel(call);
  current_recorder->before(call);
  kernel(call);
  current_recorder->record(call);
}

struct Prepared {
  Inference plan;
  Kernel kernel;
  std::span<const Tensor> in;      // what the kernel takes: what was given,
  std::optional<Few<Tensor>> own;  // or, where some of it is replaced, this

  Prepared(const Op& op, std::span<const Tensor> in, const Attrs& attrs, Kernel kernel)
      : plan(op.name.c_str(), op.id, in, attrs), kernel(kernel), in(in) {}
  void replace(size_t i, Tensor by) {
    if (!own) {
      own.emplace().resize(in.size());
      for (size_t k = 0; k < in.size(); k++) (*own)[k] = in[k];
      in = {own->data(), in.size()};
    }
    (*own)[i] = std::move(by);
  }
};

// Everything that can be refused, before anything is written.
Prepared prepare(const Op& op, std::span<const Tensor> in, const Attrs& attrs, Place place) {
  check_inputs(op, in);
  Prepared p(op, in, attrs, kernel_for(op, place.device));
  op.infer(p.plan);
  return p;
}

void cast_inputs(const Op& op, Prepared& p, std::span<const Tensor> in) {
  static const Op& cast = tg::op(op_cast);
  const auto last = static_cast<size_t>(op.n_tensors() ? op.n_tensors() - 1 : 0);
  for (size_t i = 0; i < in.size(); i++) {
    const int want = p.plan.cast[i < last ? i : last];
    if (want == Inference::keep || !in[i].defined() || static_cast<int>(in[i].dtype) == want) continue;
    Attrs to;
    to.add(Attr::type(static_cast<Dtype>(want)));
    p.replace(i, call1(cast, {in[i]}, to));
  }
}

// What an op overwrites must be writable, and no two of its outputs may share a byte.
void check_overwritten(const Op& op, std::span<const Tensor> in, std::span<const int> writes) {
  for (size_t k = 0; k < writes.size(); k++) {
    if (writes[k] < 0) continue;
    const Tensor& t = in[writes[k]];
    check_writable(op, t, op.input(writes[k]).name.c_str());
    for (size_t j = 0; j < k; j++)
      if (writes[j] >= 0 && overlaps(t, in[writes[j]]))
        fail(ErrorKind::Runtime, "[", op.name, "] ", op.input(writes[j]).name, " and ", op.input(writes[k]).name,
             " share memory and would overwrite each other, expected separate tensors; take a .clone() of one");
  }
}

// Inputs that share bytes with what input `target` is overwritten with are read from a copy.
void read_from_copies(const Op& op, Prepared& p, int target, const Tensor& overwritten) {
  static const Op& copy = tg::op(op_copy_);
  for (size_t i = 0; i < p.in.size(); i++) {
    if (static_cast<int>(i) == target || !p.in[i].defined() || !overlaps(p.in[i], overwritten)) continue;
    if ((op.flags & kElementwise) && same_view(p.in[i], overwritten)) continue;
    p.replace(i, call1(copy, {empty(p.in[i].shape, p.in[i].dtype, overwritten.place()), p.in[i]}));
  }
}

// Runs an op that overwrites inputs, and raises their versions by written(). A kernel that refuses has written nothing; one that ran
// out of memory, or met the unforeseen, may have.
template <class Written>
void run_overwriting(const Op& op, Kernel kernel, std::span<const Tensor> in, const Attrs& attrs, std::span<Tensor> out,
                     Written written) {
  try {
    run(op, kernel, in, attrs, out);
  } catch (const Error& e) {
    if (e.kind == ErrorKind::Memory || e.kind == ErrorKind::DeviceMemory) written();
    throw;
  } catch (...) {
    written();
    throw;
  }
  written();
}

// What an update row overwrites must be writable, and share no byte with another member of its list.
void check_updated(const Op& op, std::span<const Tensor> in, const UpdateLayout& layout) {
  struct Member {
    Bytes bytes;
    bool written;
  };
  std::vector<Member> members(in.size());
  for (size_t i = 0; i < in.size(); i++) {
    members[i] = {extent(in[i]), overwrites(layout, i, in.size())};
    if (members[i].written) check_writable(op, in[i], "a member of the list");
  }
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return std::less<>()(a.bytes.first, b.bytes.first); });
  const std::byte *end = nullptr, *written_end = nullptr;  // of what the members so far touch, and overwrite
  for (const Member& m : members) {
    if (!m.bytes.first) continue;
    if (m.bytes.first < (m.written ? end : written_end))
      fail(ErrorKind::Runtime, "[", op.name, "] two members of the list share memory that is to be overwritten, ",
           "expected separate tensors; take a .clone() of one");
    end = std::max(end, m.bytes.end);
    if (m.written) written_end = std::max(written_end, m.bytes.end);
  }
}

void call_updating(const Op& op, Kernel kernel, std::span<const Tensor> in, const Attrs& attrs) {
  const UpdateLayout layout = update_layout(op, attrs);
  check_updated(op, in, layout);
  if (in.empty()) return;
  run_overwriting(op, kernel, in, attrs, {}, [&] {
    for (size_t i = 0; i < in.size(); i++)
      if (overwrites(layout, i, in.size())) in[i].storage->written();
  });
}

}  // namespace

uint8_t precision() {
  if (!inexact.load(std::memory_order_relaxed)) return kExact;
  return precision_here | precision_everywhere.load(std::memory_order_relaxed);
}
uint8_t own_precision() { return precision_here; }
void allow_everywhere(uint8_t precision) {
  precision_everywhere = precision;
  if (precision != kExact) inexact = true;
}
void allow_here(uint8_t precision) {
  precision_here = precision;
  if (precision != kExact) inexact = true;
}
WithPrecision::WithPrecision(uint8_t own) : before_(precision_here) { allow_here(own); }
WithPrecision::~WithPrecision() { precision_here = before_; }

Recorder* recorder() { return current_recorder; }
void set_recorder(Recorder* r) { current_recorder = r; }

void register_backend(const Backend* b) { installed[static_cast<int>(b->device)] = b; }
const Backend* backend(Device d) {
  const Backend* b = installed[static_cast<int>(d)];
  return b ? b : built_in_backend(d);
}

void call(const Op& op, std::span<const Tensor> in, const Attrs& attrs, std::span<Tensor> out, Place otherwise) {
  const FloatEnv env;
  const Place place = place_of(in, otherwise);
  Prepared p = prepare(op, in, attrs, place);
  if (op.flags & kUpdates) return call_updating(op, p.kernel, in, attrs);
  const std::span<const int> writes(op.writes, static_cast<size_t>(p.plan.n_outs));
  check_overwritten(op, in, writes);
  cast_inputs(op, p, in);
  for (int k = 0; k < op.n_outputs; k++) {
    if (k >= p.plan.n_outs) out[k] = Tensor{};
    else if (writes[k] < 0) out[k] = empty(p.plan.outs[k].shape, p.plan.outs[k].dtype, place);
    else read_from_copies(op, p, writes[k], out[k] = in[writes[k]]);
  }
  run_overwriting(op, p.kernel, p.in, attrs, out, [&] {
    for (size_t k = 0; k < writes.size(); k++)
      if (writes[k] >= 0) out[k].storage->written();
  });
}

Tensor call_inplace(const Op& op, std::span<const Tensor> in, const Attrs& attrs) {
  if (!(op.flags & kInplace)) fail(ErrorKind::Type, "[", op.name, "] cannot be called in place");
  const FloatEnv env;
  Prepared p = prepare(op, in, attrs, place_of(in, {}));
  Tensor target = in[0];
  const OutSpec& spec = p.plan.outs[0];
  if (!(spec.shape == target.shape))
    fail(ErrorKind::Runtime, "[", op.name, "_] the result has shape ", spec.shape,
         " but the tensor it is to overwrite has ", target.shape);
  if (!can_cast(spec.dtype, target.dtype))
    fail(ErrorKind::Runtime, "[", op.name, "_] result type ", name(spec.dtype), " can't be cast to the tensor's type ",
         name(target.dtype), "; use the out-of-place op");
  check_writable(op, target, "the tensor");
  cast_inputs(op, p, in);
  bool direct = spec.dtype == target.dtype;
  for (size_t i = 0; i < p.in.size() && direct; i++) {
    if (!p.in[i].defined() || !overlaps(p.in[i], target)) continue;
    direct = (i == 0 || (op.flags & kElementwise)) && same_view(p.in[i], target);
  }
  if (!direct) {
    Tensor out[1] = {empty(spec.shape, spec.dtype, target.place())};
    run(op, p.kernel, p.in, attrs, out);
    static const Op& copy = tg::op(op_copy_);
    return call1(copy, {target, out[0]});
  }
  Tensor out[1] = {target};
  run_overwriting(op, p.kernel, p.in, attrs, out, [&] { out[0].storage->written(); });
  return target;
}

Tensor call1(const Op& op, std::initializer_list<Tensor> in, const Attrs& attrs) {
  Tensor out;
  call(op, {in.begin(), in.size()}, attrs, {&out, 1});
  return out;
}

Tensor moved(const Tensor& t, Place place) {
  if (t.place() == place) return t;
  static const Op& copy = tg::op(op_copy_);
  const Tensor from = t.contiguous() ? t : call1(copy, {empty(t.shape, t.dtype, t.place()), t});
  const auto bytes = static_cast<size_t>(t.numel() * size_of(t.dtype));
  Tensor to = empty(t.shape, t.dtype, place);
  const Backend *giver = backend(t.device()), *taker = backend(place.device);
  if (giver == taker && giver && giver->between) {
    giver->between(place.index, to.data(), t.place().index, from.data(), bytes);
  } else if (giver && giver->to_host) {
    giver->to_host(t.place().index, to.data(), from.data(), bytes);
  } else if (taker && taker->to_device) {
    taker->to_device(place.index, to.data(), from.data(), bytes);
  } else {
    std::memcpy(to.data(), from.data(), bytes);
  }
  return to;
}

}  // namespace tg::dispatch

namespace tg {

void* Kept::scratch(size_t bytes, Place place) const {
  for (Block& b : *blocks)
    if (!b.taken && b.storage->bytes() >= bytes) {
      b.taken = true;
      return b.storage->data();
    }
  blocks->push_back({StorageRef(new Storage(bytes, place)), true});
  return blocks->back().storage->data();
}

}  // namespace tg
