// Loads the CUDA module and puts calls into the words of cuda/abi.h.
#include "cuda/backend.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "cuda/loaded.h"
#include "cuda/streams.h"
#include "ops/backends.h"
#include "ops/parameters.h"
#include "ops/update.h"

namespace tg::cuda {
namespace {

// ---- the module

struct Loaded {
  const Module* module = nullptr;  // null: CUDA is absent
  const Module* file = nullptr;    // it may be there without a GPU
  int devices = 0;
  std::string absence;
};

// Beside the library or program that this function is in, unless the environment names a file.
std::string module_path() {
  if (const char* given = std::getenv("TRIGRAD_CUDA_MODULE")) return given;
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(module_path), &self) || !self.dli_fname) return {};
  std::string path = self.dli_fname;
  const auto slash = path.rfind('/');
  return (slash == std::string::npos ? "." : path.substr(0, slash)) + "/_cuda.so";
}

Loaded load() {
  Loaded l;
  const std::string path = module_path();
  // Never closed: its memory lives in tensors.
  void* library = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    const bool there = why && !std::strstr(why, "No such file");
    l.absence = there ? "not usable: its module does not load: " + std::string(why)
                      : "not in this build: its kernels are for the CPU; install again where nvcc is, by pip "
                        "install . -Ccmake.define.TRIGRAD_CUDA=ON";
    return l;
  }
  const auto entry = reinterpret_cast<Entry>(dlsym(library, kEntry));
  const Module* m = entry ? entry() : nullptr;
  if (!m || m->abi != kAbi || m->rows != kAllOps || std::strcmp(m->version, TRIGRAD_VERSION) != 0) {
    l.absence = "not usable: " + path + " was built from another version; install trigrad again";
    return l;
  }
  l.file = m;
  Failure failure;
  const int found = m->devices(&failure);
  if (found <= 0) {
    l.absence = std::string("not usable: ") + (found < 0 ? failure.text : "the driver finds no GPU");
    return l;
  }
  l.module = m;
  l.devices = found < kMaxDevices ? found : kMaxDevices;
  return l;
}

constinit thread_local int current = 0;

// ---- calls

struct Scratch {
  Place place;
  const Kept* kept = nullptr;
  std::vector<StorageRef> blocks;
};
void* scratch(void* context, size_t bytes) {
  auto& s = *static_cast<Scratch*>(context);
  try {
    if (s.kept) return s.kept->scratch(bytes, s.place);
    s.blocks.emplace_back(new Storage(bytes, s.place));
    return s.blocks.back()->data();
  } catch (const std::exception&) {
    return nullptr;
  }
}

Operand operand(const Op& op, const Tensor& t) {
  Operand o;
  if (!t.defined() && t.rank() == 0) return o;
  o.dtype = static_cast<int32_t>(t.dtype);
  o.rank = t.rank();
  for (int i = 0; i < t.rank(); i++) o.shape[i] = t.shape[i], o.strides[i] = t.strides[i];
  if (!t.defined()) {
    o.kind = Operand::unseen;
    o.bits = static_cast<uint64_t>(t.offset);  // which it is (plan/nets.h)
  } else if (t.device() == Device::Cuda) {
    o.kind = Operand::device;
    o.data = t.data();
  } else {
    if (t.numel() != 1)
      fail(ErrorKind::Runtime, "[", op.name, "] got a tensor ", t.shape, " on cpu beside one on a GPU");
    o.kind = Operand::number;
    std::memcpy(&o.bits, t.data(), static_cast<size_t>(size_of(t.dtype)));
  }
  return o;
}

Attribute attribute(const Attr& a) {
  switch (a.kind) {
    case Attr::Kind::Float: return {Attribute::real, 0, a.f, nullptr};
    case Attr::Kind::Int:
    case Attr::Kind::Bool:
    case Attr::Kind::Type: return {Attribute::integer, a.i, 0, nullptr};
    case Attr::Kind::Text: return {Attribute::word, 0, 0, a.text};
    default: return {};
  }
}

// The axes that a reduction runs over, one bit each.
uint32_t axes_of(const tg::Call& c) {
  bool given = false;
  for (int k = 0; k < c.attrs.n; k++) given |= c.attrs.values[k].kind == Attr::Kind::List;
  const int rank = c.in.empty() || !c.in[0].defined() ? 0 : c.in[0].rank();
  if (!given || (c.attrs.list.empty() && !no_axes_means_none(c.op.id))) return (1u << rank) - 1;
  uint32_t axes = 0;
  for (int64_t d : c.attrs.list)
    if (d >= -rank && d < rank) axes |= 1u << (d < 0 ? d + rank : d);  // a shape may be longer than the operand's
  return axes;
}

// Of a loss.
int32_t reduction_of(const tg::Call& c) {
  for (int k = 0; k < c.attrs.n; k++)
    if (c.attrs.values[k].kind == Attr::Kind::Text) {
      if (!std::strcmp(c.attrs.text(k), "mean")) return Call::mean;
      if (!std::strcmp(c.attrs.text(k), "sum")) return Call::sum;
    }
  return Call::unreduced;
}

// A call in the module's words, which point into this.
struct Worded {
  Few<Operand> in;
  Operand out[kMaxOutputs];
  Attribute attributes[kMaxAttrs];
  Call call;

  Worded(const tg::Call& c, Scratch& kept) {
    in.resize(c.in.size());
    for (size_t i = 0; i < c.in.size(); i++) in[i] = operand(c.op, c.in[i]);
    for (size_t k = 0; k < c.out.size() && k < kMaxOutputs; k++) out[k] = operand(c.op, c.out[k]);
    for (std::span<const Tensor> some : {std::span<const Tensor>(c.out), c.in})
      for (const Tensor& t : some)
        if (t.defined() && t.device() == Device::Cuda) kept.place = t.place();
    for (int k = 0; k < c.attrs.n; k++) attributes[k] = attribute(c.attrs.values[k]);
    call.op = c.op.id;
    call.inputs = static_cast<int32_t>(in.size());
    call.outputs = static_cast<int32_t>(c.out.size());
    call.attributes = c.attrs.n;
    call.in = in.data();
    call.out = out;
    call.attribute = attributes;
    call.listed = c.attrs.list.size();
    call.list = c.attrs.list.begin();
    call.axes = axes_of(c);
    call.reduction = reduction_of(c);
    if (c.op.id < kPointwiseOps) {
      call.p = pointwise_parameter(c, 0);
      call.q = pointwise_parameter(c, 1);
    } else if (c.op.id == op_dense) {
      const Activation a = activation_of(c);
      call.activation = a.op ? a.op->id : -1;
      call.p = a.p;
      call.q = a.q;
    } else if (c.op.flags & kUpdates) {
      const UpdateLayout layout = update_layout(c.op, c.attrs);
      call.states = layout.states;
      call.scalars = layout.scalars;
    }
    call.batch = c.batch;
    call.precision = c.precision;
    call.scratch = scratch;
    call.context = &kept;
    if (c.kept) {
      kept.kept = c.kept;
      call.captured = true;
      call.live = static_cast<const Attribute*>(c.kept->live);
      call.note = static_cast<uint64_t*>(c.kept->note);
    }
  }
  Worded(const Worded&) = delete;
};

void run(const tg::Call& c) {
  Scratch kept;
  Worded worded(c, kept);
  worded.call.index = kept.place.index;
  worded.call.stream = current_handle(kept.place.index);
  Failure failure;
  bool done = false;
  auto begin = [&] { done = module().run(&worded.call, &failure); };
  if ((c.op.flags & kRefuses) && !c.kept) wait_by(begin);  // until it has looked at the values
  else begin();
  if (done) return;
  if (failure.kind == kRefused) refuse(c.op, failure.check, failure.note);
  raise(failure, c.op.name.c_str());
}

// f(calls, how many); `index`: of the device, where no operand tells it.
template <class F>
bool with_calls(std::span<const tg::Call> calls, F f, int index = 0) {
  Scratch kept;
  kept.place = {Device::Cuda, index};
  std::deque<Worded> worded;
  for (const tg::Call& c : calls) worded.emplace_back(c, kept);
  std::vector<Call> all;
  for (const Worded& w : worded) all.push_back(w.call);
  for (Call& c : all) {
    c.index = kept.place.index;
    c.stream = current_handle(c.index);
  }
  return f(all.data(), static_cast<int32_t>(all.size()));
}
bool fits(int index, Together how, std::span<const tg::Call> calls) {
  const auto ask = [&](const Call* all, int32_t n) { return module().fits(how == Together::training, all, n); };
  return with_calls(calls, ask, index);
}
template <bool training>
void run_net(std::span<const tg::Call> calls) {
  Failure failure;
  const auto run = [&](const Call* all, int32_t n) { return module().run_net(training, all, n, &failure); };
  if (with_calls(calls, run)) return;
  if (failure.kind == kRefused) refuse(op(op_cross_entropy), failure.check, failure.note);
  raise(failure, calls[0].op.name.c_str());
}
template <bool input>
void run_pair(std::span<const tg::Call> calls) {
  Failure failure;
  const auto run = [&](const Call* all, int32_t) { return module().run_pair(input, all, &failure); };
  if (!with_calls(calls, run)) raise(failure, calls[0].op.name.c_str());
}

// ---- graphs

template <class F>
void done(F f) {
  Failure failure;
  if (!f(&failure)) raise(failure);
}

constexpr Graphs graphs = {
    [](int index) { done([&](Failure* f) { return module().begin_capture(index, f); }); },
    [](int index) {
      void* graph = nullptr;
      done([&](Failure* f) { return (graph = module().end_capture(index, f)) != nullptr; });
      return graph;
    },
    [](int index, void* graph) {
      done([&](Failure* f) { return module().launch(index, graph, current_handle(index), f); });
    },
    [](int index, void* graph) { module().drop(index, graph); },
    [](int index, void* to, const void* from, size_t bytes) {
      done([&](Failure* f) { return module().put(index, to, from, bytes, current_handle(index), f); });
    },
    [](int index) { done([&](Failure* f) { return module().synchronize(index, f); }); },
    [](int index, StreamId before) { await_theirs(index, handle_of(index, before)); },
    [](const Attrs& attrs, void* to) {
      Attribute encoded[kMaxAttrs];
      for (int k = 0; k < attrs.n; k++) encoded[k] = attribute(attrs.values[k]);
      std::memcpy(to, encoded, sizeof encoded);
    },
    sizeof(Attribute) * kMaxAttrs,
};

// ---- what the extension installs

struct Installed {
  Loaded loaded;
  Backend backend{"cuda", Device::Cuda, {}};

  Installed() : loaded(load()) {
    const Module* m = loaded.module;
    if (!m) return;
    for (int i = 0; i < kAllOps; i++)
      if (m->has(i)) backend.kernels[i] = run;
    backend.together[static_cast<int>(Together::parameter_gradients)] = run_pair<false>;
    backend.together[static_cast<int>(Together::input_gradient)] = run_pair<true>;
    backend.fits = fits;
    backend.together[static_cast<int>(Together::net)] = run_net<false>;
    backend.together[static_cast<int>(Together::training)] = run_net<true>;
    backend.to_device = [](int index, void* to, const void* from, size_t bytes) {
      copy({Device::Cuda, index}, to, {}, from, bytes, true);
    };
    backend.to_host = [](int index, void* to, const void* from, size_t bytes) {
      copy({}, to, {Device::Cuda, index}, from, bytes, true);
    };
    backend.between = [](int to_index, void* to, int from_index, const void* from, size_t bytes) {
      copy({Device::Cuda, to_index}, to, {Device::Cuda, from_index}, from, bytes, false);
    };
    backend.graphs = &graphs;
    install_device_memory();
  }
};

std::atomic<const Installed*> installed{nullptr};

const Installed& installation() {
  static const Installed* made = [] {
    auto* i = new Installed;  // never destroyed: storages may outlive static destructors
    installed.store(i, std::memory_order_release);
    return i;
  }();
  return *made;
}
}  // namespace

Waiter waiter = [](void (*wait)(void*), void* context) { wait(context); };
void set_waiter(Waiter w) { waiter = w; }

void raise(const Failure& f, const char* op) {
  auto kind = static_cast<ErrorKind>(f.kind - 1);
  if (kind == ErrorKind::Memory) kind = ErrorKind::DeviceMemory;
  if (op) fail(kind, "[", op, "] ", f.text);
  fail(kind, f.text);
}

const Module& module() {
  if (forked_from_devices())
    fail(ErrorKind::Runtime,
         "[cuda] this process was forked from one that used CUDA, which is lost to it; start processes ",
         "with multiprocessing's 'spawn' method, or use CUDA after the fork only");
  const Installed* i = installed.load(std::memory_order_acquire);
  if (!i || !i->loaded.module) fail(ErrorKind::Runtime, "[cuda] CUDA is ", absence(), "; or use 'cpu'");
  return *i->loaded.module;
}

int current_device() { return current; }
void set_current_device(int index) { current = index; }

const std::string& absence() { return installation().loaded.absence; }

void require(const char* op, int64_t index) {
  const Loaded& l = installation().loaded;
  if (!l.module)
    fail(ErrorKind::Runtime, "[", op, "] device is 'cuda:", index, "', but CUDA is ", l.absence, "; or use 'cpu'");
  if (index < 0 || index >= l.devices)
    fail(ErrorKind::Runtime, "[", op, "] device is 'cuda:", index, "', expected cuda:0 to cuda:", l.devices - 1);
}

std::vector<Description> devices() {
  std::vector<Description> all;
  const Loaded& l = installation().loaded;
  for (int i = 0; i < l.devices; i++) {
    Properties p;
    Failure failure;
    if (!l.module->properties(i, &p, &failure)) raise(failure);
    all.push_back({p.name, p.major, p.minor, p.multiprocessors, p.memory});
  }
  return all;
}

void synchronize(int index) {
  require("synchronize", index);
  ask<&Module::synchronize>(index);
}

Build build() {
  Versions v;
  if (const Module* m = installation().loaded.file) m->versions(&v);
  return {v.driver, v.runtime, v.architectures};
}

Room room(int index) {
  Room r{};
  ask<&Module::memory>(index, &r.free, &r.total);
  return r;
}

}  // namespace tg::cuda

namespace tg {

const Backend* cuda_backend() {
  const cuda::Installed* i = cuda::installed.load(std::memory_order_acquire);
  return i && i->loaded.module ? &i->backend : nullptr;
}

}  // namespace tg
