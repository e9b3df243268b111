#include "cpu/rows_isa.h"
#include "math/random.h"

namespace tg::TG_ISA_NS {
namespace {
#include "cpu/random.inl"
}

TG_ROWS_KERNEL(uniform, RandomUniform)
TG_ROWS_KERNEL(normal, RandomNormal)
TG_ROWS_KERNEL(bernoulli, RandomBernoulli)
void dropout(const Dropout<float>& a) { dropout_of(a); }
void dropout(const Dropout<double>& a) { dropout_of(a); }
void dropout_mask(const DropoutMask& a) { dropout_mask_of(a); }
void random_bits(const RandomBits& a) { random_bits_of(a); }

// ---- the tables of this ISA
template <class T>
constexpr RowsTable<T> rows_table = {
    reduce_rows,     reduce_columns,
    dot_rows,        arg_rows,
    arg_columns,     add_log,
    softmax,         softmax_backward,
    cross_entropy,   cross_entropy_backward,
    bce_with_logits, bce_with_logits_backward,
    layer_norm,      layer_norm_backward,
    channel_affine,  channel_norm_backward,
    uniform,         normal,
    bernoulli,       dropout,
    dropout_mask,    random_bits,
};
extern const RowsTable<float> rows_table_f32;
extern const RowsTable<double> rows_table_f64;
const RowsTable<float> rows_table_f32 = rows_table<float>;
const RowsTable<double> rows_table_f64 = rows_table<double>;

}  // namespace tg::TG_ISA_NS
