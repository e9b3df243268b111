// The predictor's kernels of one instruction set: plain structs and function pointers.
#pragma once
#include <stdint.h>

#include "math/pointwise_ids.h"

namespace tg::realtime {

struct Step;
// Rows of floats. Between steps a row is padded to whole vectors, which are written whole.
using Kernel = void (*)(const Step& step, const float* a, const float* b, float* out) noexcept;

// What is done next: a kernel, where its rows lie and its packed constants. One cache line.
struct alignas(64) Step {
  Kernel kernel;
  const float* w;  // dense: packed weights; constants per feature: vector after vector, K apart
  const float* c;  // dense: bias
  float p, q;
  int32_t a, b, out;                 // offsets, in floats, from the bases below
  int32_t K;                         // terms of a sum; largest: pieces
  int32_t n;                         // elements written (dense: of the last vector, or all of a column)
  int32_t m;                         // elements that may be read; dense_tile: blocks of outputs
  uint8_t a_base, b_base, out_base;  // Base
  uint8_t relu;
  uint8_t quantizes;  // dense of integers: the outputs become the next one's row at once
};
static_assert(sizeof(Step) == 64);

enum Base : uint8_t { kScratch, kEvent, kAnswer };
inline constexpr int kBases = 3;

inline constexpr int kMostVectors = 12;      // of outputs that one step of a single event takes
inline constexpr int kMostTileOutputs = 12;  // that one block of a tile takes

inline constexpr int kMostIntegerVectors = 6;

struct KernelTable {
  const char* isa;
  int lanes;            // floats in a vector
  int tile_events;      // events side by side in a tile
  int tile_outputs[3];  // most outputs of a block, by log2 of the chains

  // ---- one event: outputs in the lanes
  Kernel dense[3][kMostVectors];  // [log2 of the chains][vectors - 1], null where that does not occur
  Kernel dense_bf16[3][kMostVectors];
  Kernel dense_column;  // one output, four chains: w as it is
  Kernel affine, prelu, standardize, softmax, log_softmax, largest;
  // ---- a tile: features apart by tile_events, events in the lanes
  Kernel dense_tile[3][kMostTileOutputs];  // [log2 of the chains][outputs of a block - 1]
  Kernel affine_tile, prelu_tile, standardize_tile, softmax_tile, log_softmax_tile, largest_tile;
  // ---- either: n elements
  Kernel unary[kPointwiseOps], binary[kPointwiseOps], step, copy;

  // rows(count, n), count <= tile_events, into a tile (n, tile_events), the missing events zero; and back.
  void (*turn_in)(const float* rows, int32_t n, int32_t count, float* tile) noexcept;
  void (*turn_out)(const float* tile, int32_t n, int32_t count, float* rows) noexcept;
  // n floats to memory past the caches; readable `lanes` floats beyond the end.
  void (*stream)(const float* from, int64_t n, float* to) noexcept;
};

// Dense layers of integers; [0]: bytes, [1]: int16. A row of integers begins with a vector that is NaN if any of its
// numbers was, else zero (a tile's with one such number per event); then come the integers, as many in 32 bits as fit, the
// last ones filled up. Weights lie in the same way: 32 bits of them for each output, then the next terms.
struct IntegerTable {
  int most;                                                     // vectors of outputs, and outputs of a tile's block
  Kernel quantize[2], dense[2][kMostIntegerVectors];            // [vectors - 1]
  Kernel column[2];                                             // one output: w lies as the row does, in whole vectors
  Kernel quantize_tile[2], dense_tile[2][kMostIntegerVectors];  // [outputs of a block - 1]
};

// Of the instruction set with this name, or of the machine's best for null; null where machine or build have none such.
const KernelTable* kernel_table(const char* isa);
// The one that belongs to it; by instructions for sums of integers (VNNI) where they are wanted and there.
const IntegerTable& integer_table(const KernelTable& kernels, bool vnni = true);

}  // namespace tg::realtime
