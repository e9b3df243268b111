// Runs of calls that are one net (ops/op.h, Together), in one kernel and what joins its sums.
#include "cuda/fused.h"

#include <algorithm>
#include <vector>

#include "cuda/fused_joins.h"
#include "cuda/kernels.h"
#include "math/pointwise_reads.h"

namespace tg::cuda {

// ---- where matrices lie, and what is done when

namespace {

struct Matrix {
  int* at;
  int floats, first, last;  // the steps in which it is needed
};

// The largest first, each at the lowest place that is free while it is needed. Returns the end of the last.
int place(std::vector<Matrix>& all) {
  std::stable_sort(all.begin(), all.end(), [](const Matrix& a, const Matrix& b) { return a.floats > b.floats; });
  int end = 0;
  for (size_t k = 0; k < all.size(); k++) {
    int at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t j = 0; j < k; j++) {
        const Matrix& b = all[j];
        if (all[k].first > b.last || b.first > all[k].last) continue;
        if (at < *b.at + b.floats && *b.at < at + all[k].floats) at = *b.at + b.floats, moved = true;
      }
    }
    *all[k].at = at;
    end = std::max(end, at + all[k].floats);
  }
  return end;
}

// The least length of a row of n floats that is 4 mod 8.
int row_length(int n) { return (n + 3) / 8 * 8 + 4; }

}  // namespace

bool lay_out(Net& net, int rows, bool training, int most_floats) {
  const int L = net.layers, pitch = rows + 4;
  auto add = [&](Net::What what, int layer) {
    net.step[net.steps] = {what, uint8_t(layer)};
    return net.steps++;
  };
  auto apart = [&](int l) { return net.layer[l].activation >= 0 && net.layer[l].activation != id_relu; };
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
  std::vector<Matrix> matrices;
  auto lives = [&](int* at, int features, int first, int last) {
    matrices.push_back({at, features * pitch, first, last});
  };
  lives(&net.layer[0].x, net.layer[0].K + 1, made[0], training ? backs[0] : z_made[0]);
  for (int l = 0; l < L; l++) {
    NetLayer& a = net.layer[l];
    const bool keeps_z = apart(l) && training && kPointwiseReads[a.activation + 1].input;
    const int used = l + 1 == L ? after : training ? backs[l + 1] : z_made[l + 1];
    const int y_used = training ? std::max(used, slopes[l]) : used;
    if (keeps_z) lives(&a.z, a.N, z_made[l], slopes[l]);
    lives(&a.y, a.N + 1, keeps_z ? made[l + 1] : z_made[l], y_used);
    if (!training) continue;
    if (l == L - 1) {
      // The loss's gradient takes the logits' place, unless an activation follows them.
      if (a.activation >= 0) lives(&a.g, a.N, after, backs[l]);
      else matrices.back().last = backs[l];
    } else {
      lives(&a.g, a.N, backs[l + 1], backs[l]);
    }
  }
  net.floats = place(matrices);
  for (int l = 0; l < L; l++) {
    NetLayer& a = net.layer[l];
    if (!(apart(l) && training && kPointwiseReads[a.activation + 1].input)) a.z = a.y;
    if (l > 0) a.x = net.layer[l - 1].y;
    if (training && l == L - 1 && a.activation < 0) a.g = a.y;
    a.gx = training && l > 0 ? net.layer[l - 1].g : -1;
    a.across = row_length(a.N);
    a.weights = net.floats;
    a.start = a.weights + a.K * a.across;
    net.floats = a.start + a.across;
    a.chains = dense_chains(a.K, a.N);
    a.back_chains = dense_chains(a.N, a.K);
    a.groups_n = (a.N + 3) / 4;
    a.groups_k = (a.K + 1 + 3) / 4;
    a.partial = net.gradients;
    net.gradients += training ? 16 * a.groups_n * a.groups_k : 0;
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
bool is_float(const Operand& o, int rank) { return dtype_of(o) == Dtype::Float32 && o.rank == rank; }
template <class T = float>
T* memory(const Operand& o) {
  return o.kind == Operand::device ? static_cast<T*>(o.data) : nullptr;
}

// Reads calls in the order of Together::net and Together::net_step.
class CallsOfNet {
 public:
  CallsOfNet(const Call* calls, int n, Net& net) : at_(calls), end_(calls + n), net_(net) {}

  bool layers() {
    while (at_ < end_ && is_row(*at_, op_dense)) {
      const Operand &x = at_->in[0], &w = at_->in[1], &bias = at_->in[2], *y = &at_->out[0];
      if (net_.layers == kNetLayers || !is_float(x, 2) || !is_float(w, 2)) return false;
      NetLayer& a = net_.layer[net_.layers];
      a = {};
      a.N = int(w.shape[0]), a.K = int(w.shape[1]);
      if (w.shape[0] < 1 || w.shape[1] < 1 || w.shape[0] > kNetWidth || w.shape[1] > kNetWidth) return false;
      a.w = memory(w), a.w_n = w.strides[0], a.w_k = w.strides[1];
      a.bias = memory(bias), a.bias_n = bias.strides[0];
      a.activation = at_->activation, a.p = float(at_->p), a.q = float(at_->q);
      if (net_.layers == 0) {
        net_.M = x.shape[0];
        net_.x = memory(x), net_.x_m = x.strides[0], net_.x_k = x.strides[1];
      }
      at_++;
      if (at_ < end_ && at_->op < kPointwiseOps &&
          kPointwiseInfo[at_->op].arity == 1) {  // what two calls read stays apart
        if (a.activation >= 0) return false;
        a.activation = at_->op, a.p = float(at_->p), a.q = float(at_->q);
        y = &at_->out[0];
        at_++;
      }
      if (a.activation >= 0 && !has_kernel(a.activation)) return false;
      net_.y = memory(*y);
      net_.layers++;
    }
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
    if (squares && net_.mean) {  // the gradient of a mean is that of the sum, divided
      if (!is_row(*at_, id_div)) return false;
      const Operand& by = at_->in[1];
      if (by.kind == Operand::number) __builtin_memcpy(&net_.count, &by.bits, sizeof net_.count);
      else net_.divisor = memory(by);
      at_++;
    }
    const int backward = net_.loss == NetLoss::classes  ? int(op_cross_entropy_backward)
                         : net_.loss == NetLoss::binary ? int(op_bce_with_logits_backward)
                                                        : int(id_square_backward);
    if (at_ == end_ || !is_row(*at_, backward)) return false;
    at_++;
    if (last.activation >= 0) at_++;  // its derivative
    return at_ < end_;
  }

  // From the last layer to the first.
  bool gradients() {
    for (int l = net_.layers - 1; l >= 0; l--) {
      NetLayer& a = net_.layer[l];
      for (bool more = true; more && at_ < end_;) {
        more = is_row(*at_, op_dense_grad_weight) || is_row(*at_, op_dense_grad_bias);
        if (!more) break;
        (is_row(*at_, op_dense_grad_weight) ? a.dw : a.db) = memory(at_->out[0]);
        at_++;
      }
      if (l > 0 && (at_ == end_ || !is_row(*at_++, op_dense_grad_input))) return false;
      if (l > 0 && net_.layer[l - 1].activation >= 0 && at_++ == end_) return false;  // its derivative
    }
    return at_ == end_;
  }

  bool done() const { return at_ == end_; }
  float *loss_ = nullptr, *total_ = nullptr;

 private:
  bool numbers(const Operand& target) {
    if (!is_float(target, 2) || target.shape[0] != net_.M || target.shape[1] != net_.layer[net_.layers - 1].N)
      return false;
    net_.numbers = memory(target), net_.target_m = target.strides[0], net_.target_n = target.strides[1];
    return true;
  }
  const Call *at_, *end_;
  Net& net_;
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
  const int most = int(most_shared() / sizeof(float));
  for (const int rows : {training ? 64 : 128, 32})
    if (u.rows = rows; lay_out(u.net, rows, training, most)) return true;
  return false;
}

template <int rows>
void forward(Net& net, Stream stream) {
  using Body = FusedNet<false, rows>;
  const size_t bytes = size_t(net.floats) * sizeof(float);
  const int64_t tiles = (net.M + rows - 1) / rows, most = crews_at_once<Body>(bytes);
  const int64_t blocks = std::min(tiles, most);
  crews(stream, int(blocks), bytes, Body{net, blocks});
}

// The first target that is no class is refused before anything is written; of a captured call the plan asks later.
void count_targets(const Call* calls, Net& net, Stream stream) {
  const Call& c =
      *std::find_if(calls, calls + 3 * kNetLayers, [](const Call& k) { return is_row(k, op_cross_entropy); });
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

template <int rows>
void step(const Call* calls, Understood& u, Stream stream) {
  using Body = FusedNet<true, rows>;
  Net& net = u.net;
  if (net.loss == NetLoss::classes) count_targets(calls, net, stream);
  const size_t bytes = size_t(net.floats) * sizeof(float);
  const int64_t most = std::min(crews_at_once<Body>(bytes), int(NetJoin::most_pieces));
  net.shard = net.piece = shard_rows(net.M);
  for (net.levels = 1; (net.M + net.piece - 1) / net.piece > most; net.levels++) net.piece *= 2;
  const int64_t pieces = (net.M + net.piece - 1) / net.piece;
  const int64_t losses = net.M * (net.loss == NetLoss::classes ? 1 : net.layer[net.layers - 1].N);
  net.partial = scratch<float>(calls[0], pieces * net.levels * net.gradients);
  net.losses = scratch<float>(calls[0], losses);
  crews(stream, int(pieces), bytes, Body{net, pieces});
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
  if (training) u.rows == 64 ? step<64>(calls, u, stream) : step<32>(calls, u, stream);
  else u.rows == 128 ? forward<128>(u.net, stream) : forward<32>(u.net, stream);
}

}  // namespace tg::cuda
