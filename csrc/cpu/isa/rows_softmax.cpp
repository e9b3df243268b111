#include "cpu/rows_isa.h"
#include "math/norm.h"

namespace tg::TG_ISA_NS {
namespace {
#include "cpu/softmax.inl"

#include "cpu/loss.inl"
#include "cpu/layer_norm.inl"
#include "cpu/norm.inl"
}  // namespace

TG_ROWS_KERNEL(softmax, Softmax)
TG_ROWS_KERNEL(softmax_backward, SoftmaxBackward)
TG_ROWS_KERNEL(cross_entropy, CrossEntropy)
TG_ROWS_KERNEL(cross_entropy_backward, CrossEntropyBackward)
TG_ROWS_KERNEL(bce_with_logits, BceWithLogits)
TG_ROWS_KERNEL(bce_with_logits_backward, BceWithLogitsBackward)
TG_ROWS_KERNEL(layer_norm, LayerNorm)
TG_ROWS_KERNEL(layer_norm_backward, LayerNormBackward)
TG_ROWS_KERNEL(channel_affine, ChannelAffine)
TG_ROWS_KERNEL(channel_norm_backward, ChannelNormBackward)

}  // namespace tg::TG_ISA_NS
