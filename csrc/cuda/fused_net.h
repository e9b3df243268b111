// A net of dense layers that one kernel takes some rows through: what lies where in the memory that a block shares, and what
// is done in which order. Made on the host, read by the kernels of fused.h and fused_joins.h.
//
// A matrix of activations is (features, rows) there, the rows of a tile side by side; weights are (K, N), the transpose of the
// layer's. Row lengths are an odd number of 16 bytes, so that neighbours of a thread reading as many each meet in no bank.
//
// A net in 16 bits holds weights and activations in them: each product is rounded, widened, goes through its activation in float32,
// and is rounded for the next layer; gradients on their way back likewise. What a loss looks at, and its gradient, are float32.
#pragma once
#include <stdint.h>

#include "core/dtype.h"
#include "cuda/launch.h"

namespace tg::cuda {

// The activations that a net may have; relu is part of the products, but for those of a last layer in 16 bits.
// clang-format off
#define TG_NET_ACTIVATIONS(ROW) \
  ROW(tanh) ROW(sigmoid) ROW(relu) ROW(leaky_relu) ROW(elu) ROW(selu) ROW(silu) ROW(gelu) ROW(gelu_tanh) \
  ROW(mish) ROW(celu) ROW(softsign) ROW(logsigmoid) ROW(hardtanh) ROW(hardsigmoid) ROW(hardswish) \
  ROW(threshold) ROW(hardshrink) ROW(softshrink) ROW(softplus)
// clang-format on

inline constexpr int kNetLayers = 8, kNetWidth = 128;

struct NetLayer {
  const void *w, *bias;  // (N, K), (N) or none
  int64_t w_n, w_k, bias_n;
  int N, K;
  Dtype w_type, bias_type, dw_type, db_type;
  int8_t chains, back_chains;  // of a term of y and of a term of the gradient of x
  int16_t activation;          // the pointwise op that follows, -1: none
  float p, q;
  // In shared memory, in units of 4 bytes:
  int weights, start;  // the weights, the bias
  int x, z, y;         // the layer's input, the product, what the activation makes of it (may be z)
  int g, gx;           // the gradients of z and of x; none for the first layer's x
  int across;          // the length of a row of weights, in elements
  void *dw, *db;       // (N, K), (N) or none
  int groups_n,
      groups_k;  // of outputs and inputs, in tasks of 4 by 4 of their gradients; the bias is input K, always 1
  int partial;   // where its gradients begin in those of the net
};
static_assert(sizeof(NetLayer) == 128);  // or the kernels take a register more than they have

enum class NetLoss : int32_t { none, classes, binary, squares };

struct Net {
  Dtype type = Dtype::Float32;  // of weights and activations on the chip
  bool fast = false;            // products by tensor cores
  int layers = 0;
  int64_t M = 0;
  const void* x = nullptr;
  Dtype x_type = Dtype::Float32;
  int64_t x_m = 0, x_k = 0;
  float* y = nullptr;      // (M, N of the last layer), or unwritten
  void* narrow = nullptr;  // the same rounded to the net's type, or unwritten
  NetLayer layer[kNetLayers];

  NetLoss loss = NetLoss::none;
  bool mean = false;
  const int64_t* classes = nullptr;  // targets: classes (M) or numbers (M, N)
  const float* numbers = nullptr;
  int64_t target_m = 0, target_n = 0;
  int64_t ignore = 0;
  bool smoothing = false;
  float keep = 1, share = 0;
  float seed = 1;                    // the gradient of the loss
  const float* factor = nullptr;     // that it is to be multiplied by, if any
  const float* divisor = nullptr;    // of a mean, where it is not the total of the classes' weights
  float count = 1;                   // the divisor where that is null
  const int32_t* counted = nullptr;  // targets that count, in parts, and how many parts
  int counts = 0;
  int total = 0;                            // in shared memory: the number of targets that count
  float *losses = nullptr, *lse = nullptr;  // of each row or element; lse may be unwritten

  int64_t shard = 0, piece = 0;  // rows of a chain of the gradients' sums, and of a block: 2^i shards
  float* partial = nullptr;      // (block, level of the tree, gradients)
  int levels = 0, gradients = 0;

  // What is done with a tile of rows, one after the other.
  enum What : uint8_t { load, product, activate, store, judge, slope, back };
  struct Step {
    uint8_t what, layer;
  };
  Step step[4 * kNetLayers + 4];
  int steps = 0;
  int floats = 0;  // of shared memory

  bool is_half() const { return type != Dtype::Float32; }
};

// The kernels of a type and a way to make products (fused_<type>.cu): how many blocks the device holds at a time, and so many
// started. `rows` of a tile.
struct NetKernels {
  int (*at_once)(bool training, int rows, size_t bytes);
  void (*start)(const Net& net, bool training, int rows, int64_t blocks, Stream stream);
};
NetKernels net_float32(), net_bfloat16(), net_float16(), net_fast_bfloat16(), net_fast_float16();

// The tensor cores take features, as terms of a sum, by sixteens.
TG_BODY constexpr int in_sixteens(int n) { return (n + 15) / 16 * 16; }

// Puts matrices into shared memory, each for the steps in which it is needed. False: the net is not one for this.
bool lay_out(Net& net, int rows, bool training, int most_floats);

}  // namespace tg::cuda
