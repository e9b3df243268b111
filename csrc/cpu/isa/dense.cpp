#include "cpu/simd.h"

#include "cpu/dense.h"
#include "cpu/pool.h"
#include "math/order.h"

namespace tg::TG_ISA_NS {

#include "cpu/dense.inl"

extern const DenseTable<float> dense_table_f32;
extern const DenseTable<double> dense_table_f64;
const DenseTable<float> dense_table_f32 = dense_table<vf>;
const DenseTable<double> dense_table_f64 = dense_table<vd>;

}  // namespace tg::TG_ISA_NS
