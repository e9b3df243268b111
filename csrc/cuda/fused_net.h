// A net of dense layers that one kernel takes some rows through: what lies where in the memory that a block shares, and what
// is done in which order. Made on the host, read by the kernels of fused.h and fused_joins.h.
//
// A matrix of activations is (features, rows) there, the rows of a tile side by side; weights are (K, N), the transpose of the
// layer's. Row lengths are 4 mod 8 floats, so that neighbours of a thread reading four floats each meet in no bank.
#pragma once
#include <stdint.h>

namespace tg::cuda {

inline constexpr int kNetLayers = 8, kNetWidth = 128;

struct NetLayer {
  const float *w, *bias;  // (N, K), (N) or none
  int64_t w_n, w_k, bias_n;
  int N, K;
  int chains, back_chains;  // of a term of y and of a term of the gradient of x
  int activation;           // the pointwise op that follows, -1: none
  float p, q;
  int weights, across, start;  // in shared memory: the weights, their row length, the bias
  int x, z, y;                 // the layer's input, the product, what the activation makes of it (may be z)
  int g, gx;                   // the gradients of z and of x; none for the first layer's x
  float *dw, *db;              // (N, K), (N) or none
  int groups_n,
      groups_k;  // of outputs and inputs, in tasks of 4 by 4 of their gradients; the bias is input K, always 1
  int partial;   // where its gradients begin in those of the net
};

enum class NetLoss : int32_t { none, classes, binary, squares };

struct Net {
  int layers = 0;
  int64_t M = 0;
  const float* x = nullptr;
  int64_t x_m = 0, x_k = 0;
  float* y = nullptr;  // (M, N of the last layer), or unwritten
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
};

// Puts matrices into shared memory, each for the steps in which it is needed. False: the net is not one for this.
bool lay_out(Net& net, int rows, bool training, int most_floats);

}  // namespace tg::cuda
