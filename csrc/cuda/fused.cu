// Runs of calls that are one net (ops/op.h, Together), in one kernel and what joins its sums.
#include <algorithm>
#include <vector>

#include "cuda/fast.h"
#include "cuda/fused_joins.h"
#include "cuda/kernels.h"
#include "math/pointwise_reads.h"

namespace tg::cuda {

// ---- where matrices lie, and what is done when

namespace {

struct Place {
  int* at;
  int size, first, last;  // the steps in which it is needed
};

// The largest first, each at the lowest place that is free while it is needed. Returns the end of the last.
int place(std::vector<Place>& all) {
  std::stable_sort(all.begin(), all.end(), [](const Place& a, const Place& b) { return a.size > b.size; });
  int end = 0;
  for (size_t k = 0; k < all.size(); k++) {
    int at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t j = 0; j < k; j++) {
        const Place& b = all[j];
        if (all[k].first > b.last || b.first > all[k].last) continue;
        if (at < *b.at + b.size && *b.at < at + all[k].size) at = *b.at + b.size, moved = true;
      }
    }
    *all[k].at = at;
    end = std::max(end, at + all[k].size);
  }
  return end;
}

}  // namespace

bool lay_out(Net& net, int rows, bool training, int most_floats) {
  const bool half = net.is_half();
  const int L = net.layers, bytes = half ? 2 : 4, pitch = rows + 16 / bytes;
  auto size = [&](int elements) { return (elements * bytes + 15) / 16 * 4; };  // in floats
  auto filled = [&](int n) { return net.fast ? in_sixteens(n) : n; };
  auto add = [&](Net::What what, int layer) {
    net.step[net.steps] = {what, uint8_t(layer)};
    return net.steps++;
  };
  // Of 16 bits the last layer's: what it makes of the product is float32.
  auto apart = [&](int l) {
    const int f = net.layer[l].activation;
    return (f >= 0 && f != id_relu) || (half && l == L - 1);
  };
  int made[kNetLayers + 1], z_made[kNetLayers];  // the steps that make the input of each layer, and its product
  int slopes[kNetLayers], backs[kNetLayers];
  net.steps = net.gradients = 0;
  made[0] = add(Net::load, 0);
  for (int l = 0; l < L; l++) {
    z_made[l] = made[l + 1] = add(Net::product, l);
    if (apart(l)) made[l + 1] = add(Net::activate, l);
  }
  const int after = net.steps;  // forward
  if (training) {
    add(Net::judge, L - 1);
    for (int l = L - 1; l >= 0; l--) {
      slopes[l] = apart(l) || (l == L - 1 && net.layer[l].activation >= 0) ? add(Net::slope, l) : -1;
      backs[l] = add(Net::back, l);
    }
  } else {
    add(Net::store, L - 1);
  }
  std::vector<Place> places;
  auto lives = [&](int* at, int features, int first, int last) {
    places.push_back({at, size(features * pitch), first, last});
  };
  lives(&net.layer[0].x, filled(net.layer[0].K + 1), made[0], training ? backs[0] : z_made[0]);
  bool keeps_z[kNetLayers];
  for (int l = 0; l < L; l++) {
    NetLayer& a = net.layer[l];
    const bool last = l == L - 1;
    const PointwiseReads reads = apart(l) && a.activation >= 0 ? kPointwiseReads[a.activation + 1] : PointwiseReads{};
    keeps_z[l] = (half && last) || (training && (reads.input || (half && reads.output)));
    if (keeps_z[l]) lives(&a.z, a.N, z_made[l], training ? slopes[l] : made[l + 1]);
    const int used = last ? after : training ? backs[l + 1] : z_made[l + 1];
    const int y_used = training ? std::max(used, slopes[l]) : used;
    lives(&a.y, half && last ? 2 * a.N : filled(a.N + 1), keeps_z[l] ? made[l + 1] : z_made[l], y_used);
    if (!training) continue;
    if (!last) lives(&a.g, filled(a.N), backs[l + 1], backs[l]);
    // The loss's gradient takes the logits' place, unless an activation follows them.
    else if (half) lives(&a.g, filled(a.N), slopes[l], backs[l]);
    else if (a.activation >= 0) lives(&a.g, a.N, after, backs[l]);
    else places.back().last = backs[l];
  }
  net.floats = place(places);
  for (int l = 0; l < L; l++) {
    NetLayer& a = net.layer[l];
    if (!keeps_z[l]) a.z = a.y;
    if (l > 0) a.x = net.layer[l - 1].y;
    if (training && l == L - 1 && a.activation < 0 && !half) a.g = a.y;
    a.gx = training && l > 0 ? net.layer[l - 1].g : -1;
    const int line = half ? 8 : 4;  // elements in 16 bytes
    a.across = (filled(a.N) + line - 1) / (2 * line) * (2 * line) + line;
    a.weights = net.floats;
    a.start = a.weights + size(filled(a.K) * a.across);
    net.floats = a.start + a.across;
    a.chains = int8_t(dense_chains(a.K, a.N));
    a.back_chains = int8_t(dense_chains(a.N, a.K));
    a.groups_n = (a.N + 3) / 4;
    a.groups_k = (a.K + 1 + 3) / 4;
    a.partial = net.gradients;
    if (training) net.gradients += net.fast ? a.N * (a.K + 1) : 16 * a.groups_n * a.groups_k;
  }
  net.total = net.floats;
  net.floats += 4;
  return net.floats <= most_floats;
}

// ---- from calls to a net

namespace {

bool is_row(const Call& c, int id) { return c.op == id; }
bool has_kernel(int activation) {
  switch (activation) {
#define TG_CASE(name) case id_##name:
    TG_NET_ACTIVATIONS(TG_CASE)
#undef TG_CASE
    return true;
    default: return false;
  }
}
bool is_half(Dtype t) { return t == Dtype::Float16 || t == Dtype::BFloat16; }
bool narrows(const Call& c) { return is_row(c, op_cast) && is_half(dtype_of(c.out[0])); }
bool widens(const Call& c) { return is_row(c, op_cast) && is_half(dtype_of(c.in[0])); }
bool is_same(const Operand& a, const Operand& b) {
  return a.kind == b.kind && (a.kind == Operand::unseen ? a.bits == b.bits : a.data && a.data == b.data);
}
template <class T = float>
T* memory(const Operand& o) {
  return o.kind == Operand::device ? static_cast<T*>(o.data) : nullptr;
}

// Reads calls in the order of Together::net and Together::training.
class CallsOfNet {
 public:
  CallsOfNet(const Call* calls, int n, Net& net) : at_(calls), end_(calls + n), net_(net) {}

  bool layers() {
    while (layer()) {}
    return net_.layers > 0 && net_.M > 0;
  }

  bool loss() {
    if (at_ == end_) return false;
    const NetLayer& last = net_.layer[net_.layers - 1];
    switch (at_->op) {
      case op_cross_entropy: {
        const Operand& target = at_->in[1];
        net_.loss = NetLoss::classes;
        if (at_->in[2].kind != Operand::absent || target.rank != 1 || net_.M >= 1 << 24) return false;
        net_.classes = memory<const int64_t>(target), net_.target_m = target.strides[0];
        net_.ignore = at_->attribute[0].i;
        const double smoothing = at_->attribute[2].value();
        net_.smoothing = smoothing > 0, net_.keep = float(1 - smoothing), net_.share = float(smoothing / last.N);
        net_.lse = memory(at_->out[1]);
        total_ = memory(at_->out[2]);
        break;
      }
      case op_bce_with_logits:
        net_.loss = NetLoss::binary;
        if (at_->in[2].kind != Operand::absent || at_->in[3].kind != Operand::absent || !numbers(at_->in[1]))
          return false;
        net_.count = float(net_.M * last.N);
        break;
      case id_sub: {
        net_.loss = NetLoss::squares;
        if (!numbers(at_->in[1]) || end_ - at_ < 3 || !is_row(at_[1], id_square)) return false;
        at_ += 2;
        if (!is_row(*at_, op_mean) && !is_row(*at_, op_sum)) return false;
        net_.count = float(net_.M * last.N);
        break;
      }
      default: return false;
    }
    const bool squares = net_.loss == NetLoss::squares;
    net_.mean = squares ? is_row(*at_, op_mean) : at_->reduction == Call::mean;
    if (!squares && at_->reduction == Call::unreduced) return false;
    loss_ = memory(at_->out[0]);
    at_++;
    if (end_ - at_ < 2 || !is_row(*at_, op_fill_)) return false;
    net_.seed = float(at_->attribute[0].value());
    at_++;
    if (is_row(*at_, id_mul_backward_a)) {  // of a loss that is scaled
      const Operand& by = at_->in[2];
      if (by.kind == Operand::number) net_.seed *= number(by);
      else net_.factor = memory(by);
      if (++at_ == end_) return false;
    }
    if (squares && net_.mean) {  // the gradient of a mean is that of the sum, divided
      if (!is_row(*at_, id_div)) return false;
      const Operand& by = at_->in[1];
      if (by.kind == Operand::number) net_.count = number(by);
      else net_.divisor = memory(by);
      at_++;
    }
    const int backward = net_.loss == NetLoss::classes  ? int(op_cross_entropy_backward)
                         : net_.loss == NetLoss::binary ? int(op_bce_with_logits_backward)
                                                        : int(id_square_backward);
    if (at_ == end_ || !is_row(*at_, backward)) return false;
    at_++;
    if (last.activation >= 0) at_++;  // its derivative
    if (net_.is_half()) at_++;        // a cast
    return at_ < end_;
  }

  // From the last layer to the first.
  bool gradients() {
    for (int l = net_.layers - 1; l >= 0; l--) {
      NetLayer& a = net_.layer[l];
      const Operand *dw = nullptr, *db = nullptr, *dx = nullptr;
      for (; at_ < end_; at_++) {
        const Operand& out = at_->out[0];
        auto casts = [&](const Operand*& o) { return o && widens(*at_) && is_same(at_->in[0], *o) && (o = &out); };
        if (is_row(*at_, op_dense_grad_weight) && !dw) dw = &out;
        else if (is_row(*at_, op_dense_grad_bias) && !db) db = &out;
        else if (is_row(*at_, op_dense_grad_input) && l > 0 && !dx) dx = &out;
        else if (!casts(dw) && !casts(db) && !casts(dx)) break;
        exact_ |= at_->op != op_cast && !cuda::is_fast(*at_);
      }
      if (!(dw || db) || !dx != (l == 0)) return false;
      if (dw) a.dw = memory<void>(*dw), a.dw_type = dtype_of(*dw);
      if (db) a.db = memory<void>(*db), a.db_type = dtype_of(*db);
      if (l > 0 && net_.layer[l - 1].activation >= 0) at_ += net_.is_half() ? 2 : 1;  // its derivative, a cast
      if (at_ > end_) return false;
    }
    return at_ == end_;
  }

  bool done() { return at_ == end_; }
  bool is_fast() const { return !exact_; }
  float *loss_ = nullptr, *total_ = nullptr;

 private:
  // Casts of its operands, in their order; dense; of 16 bits a cast to float32; an activation; and a cast back.
  bool layer() {
    const Call* casts = at_;
    const Call* dense = at_;
    while (dense < end_ && narrows(*dense)) dense++;
    if (dense == end_ || !is_row(*dense, op_dense)) return false;
    auto source = [&](const Operand& o) {
      const Call* made = std::find_if(casts, dense, [&](const Call& c) { return is_same(c.out[0], o); });
      return made == dense ? o : made->in[0];
    };
    const Operand x = source(dense->in[0]), w = source(dense->in[1]), bias = source(dense->in[2]);
    const Dtype type = dtype_of(dense->out[0]);
    if (net_.layers == kNetLayers || (net_.layers > 0 && type != net_.type)) return refuse();
    if (!is_matrix(x, type) || !is_matrix(w, type)) return refuse();
    if (w.shape[0] < 1 || w.shape[1] < 1 || w.shape[0] > kNetWidth || w.shape[1] > kNetWidth) return refuse();
    if (net_.layers == 0) {
      net_.type = type;
      net_.M = x.shape[0];
      net_.x = memory<void>(x), net_.x_type = dtype_of(x), net_.x_m = x.strides[0], net_.x_k = x.strides[1];
    }
    NetLayer& a = net_.layer[net_.layers++];
    a = {};
    a.N = int(w.shape[0]), a.K = int(w.shape[1]);
    a.w = memory<void>(w), a.w_type = dtype_of(w), a.w_n = w.strides[0], a.w_k = w.strides[1];
    a.bias = memory<void>(bias), a.bias_type = dtype_of(bias), a.bias_n = bias.strides[0];
    a.activation = int16_t(dense->activation), a.p = float(dense->p), a.q = float(dense->q);
    exact_ |= !cuda::is_fast(*dense);
    at_ = dense + 1;
    const Operand *y = &dense->out[0], *narrow = nullptr;
    const bool half = net_.is_half(), wide = half && at_ < end_ && widens(*at_);
    if (half) narrow = y, y = wide ? &at_++->out[0] : nullptr;
    if (y && at_ < end_ && at_->op < kPointwiseOps && kPointwiseInfo[at_->op].arity == 1) {
      if (a.activation >= 0) return refuse();  // what two calls read stays apart
      a.activation = int16_t(at_->op), a.p = float(at_->p), a.q = float(at_->q);
      y = &at_++->out[0];
      if (half) narrow = at_ < end_ && narrows(*at_) && is_same(at_->in[0], *y) ? &at_++->out[0] : nullptr;
    }
    if (a.activation >= 0 && !has_kernel(a.activation)) return refuse();
    net_.y = y ? memory(*y) : nullptr;
    net_.narrow = narrow ? memory<void>(*narrow) : nullptr;
    return true;
  }
  bool refuse() {
    net_.layers = 0;
    return false;
  }
  static bool is_matrix(const Operand& o, Dtype type) {
    return o.rank == 2 && (dtype_of(o) == Dtype::Float32 || is_half(dtype_of(o))) &&
           (is_half(type) || dtype_of(o) == type);
  }
  static float number(const Operand& o) {
    float f;
    __builtin_memcpy(&f, &o.bits, sizeof f);
    return f;
  }
  bool numbers(const Operand& target) {
    if (target.rank != 2 || dtype_of(target) != Dtype::Float32 || target.shape[0] != net_.M ||
        target.shape[1] != net_.layer[net_.layers - 1].N)
      return false;
    net_.numbers = memory(target), net_.target_m = target.strides[0], net_.target_n = target.strides[1];
    return true;
  }
  const Call *at_, *end_;
  Net& net_;
  bool exact_ = false;  // some call is to be
};

struct Understood {
  Net net;
  int rows = 0;  // of a tile
  float *loss = nullptr, *total = nullptr;
};

bool understood(const Call* calls, int n, bool training, Understood& u) {
  CallsOfNet reader(calls, n, u.net);
  if (!reader.layers() || (training && !(reader.loss() && reader.gradients())) || !reader.done()) return false;
  u.loss = reader.loss_;
  u.total = reader.total_;
  u.net.fast = u.net.is_half() && reader.is_fast();
  const int most = int(most_shared() / sizeof(float));
  for (const int rows : {training ? 64 : 128, 32})
    if (u.rows = rows; lay_out(u.net, rows, training, most)) return true;
  return false;
}

NetKernels kernels_of(const Net& net) {
  if (net.type == Dtype::BFloat16) return net.fast ? net_fast_bfloat16() : net_bfloat16();
  if (net.type == Dtype::Float16) return net.fast ? net_fast_float16() : net_float16();
  return net_float32();
}

// The first target that is no class is refused before anything is written; of a captured call the plan asks later.
void count_targets(const Call* calls, Net& net, Stream stream) {
  const Call& c =
      *std::find_if(calls, calls + 8 * kNetLayers, [](const Call& k) { return is_row(k, op_cross_entropy); });
  constexpr int64_t kTargets = 16 * CountTargets::threads, kMost = 64;  // of a block, and blocks
  net.counts = int(std::min((net.M + kTargets - 1) / kTargets, kMost));
  int32_t* counted = scratch<int32_t>(calls[0], net.counts);
  net.counted = counted;
  uint64_t first = kNothing;
  const CountTargets body{net.M,        net.layer[net.layers - 1].N,
                          net.ignore,   net.classes,
                          net.target_m, net.counts,
                          counted,      c.captured ? c.note : scratch<uint64_t>(calls[0], 1)};
  if (!c.captured) put(body.note, &first, sizeof first, stream);
  crews(stream, body.blocks, CountTargets::bytes, body);
  if (c.captured) return;
  device::to_host(c, &first, body.note, sizeof first);
  if (first == kNothing) return;
  Refused r{Check::of_target(body.classes, net.ignore), {}};
  r.note.place = first;
  device::to_host(c, &r.note.value, net.classes + int64_t(first) * net.target_m, sizeof r.note.value);
  throw r;
}

void forward(const Understood& u, Stream stream) {
  const NetKernels kernels = kernels_of(u.net);
  const int64_t tiles = (u.net.M + u.rows - 1) / u.rows;
  const int64_t most = kernels.at_once(false, u.rows, size_t(u.net.floats) * sizeof(float));
  kernels.start(u.net, false, u.rows, std::min(tiles, most), stream);
}

void step(const Call* calls, Understood& u, Stream stream) {
  Net& net = u.net;
  const NetKernels kernels = kernels_of(net);
  if (net.loss == NetLoss::classes) count_targets(calls, net, stream);
  const int at_once = kernels.at_once(true, u.rows, size_t(net.floats) * sizeof(float));
  const int64_t most = std::min(at_once, int(NetJoin::most_pieces));
  net.shard = net.piece = shard_rows(net.M);
  for (net.levels = 1; (net.M + net.piece - 1) / net.piece > most; net.levels++) net.piece *= 2;
  const int64_t pieces = (net.M + net.piece - 1) / net.piece;
  const int64_t losses = net.M * (net.loss == NetLoss::classes ? 1 : net.layer[net.layers - 1].N);
  net.partial = scratch<float>(calls[0], pieces * net.levels * net.gradients);
  net.losses = scratch<float>(calls[0], losses);
  kernels.start(net, true, u.rows, pieces, stream);
  NetJoin join{net, int(pieces), 1, losses, u.loss, u.total};
  while (join.per_lane * NetJoin::lanes < pieces) join.per_lane *= 2;
  crews(stream, join.blocks(), NetJoin::bytes, join);
}

}  // namespace

bool net_fits(bool training, const Call* calls, int n) {
  Understood u;
  return understood(calls, n, training, u);
}

void run_net(bool training, const Call* calls, int n, Stream stream) {
  Understood u;
  if (!understood(calls, n, training, u)) throw Refusal{ErrorKind::Runtime, "these calls are no net for one kernel"};
  if (training) step(calls, u, stream);
  else forward(u, stream);
}

}  // namespace tg::cuda
