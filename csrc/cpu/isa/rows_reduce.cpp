#include "cpu/rows_isa.h"

namespace tg::TG_ISA_NS {
namespace {
#include "cpu/reduce.inl"
}

TG_ROWS_KERNEL(reduce_rows, ReduceRows)
TG_ROWS_KERNEL(reduce_columns, ReduceColumns)
TG_ROWS_KERNEL(dot_rows, DotRows)
TG_ROWS_KERNEL(arg_rows, ArgRows)
TG_ROWS_KERNEL(arg_columns, ArgColumns)
void add_log(int64_t n, const float* sum, float* inout) { add_log_of<vf>(n, sum, inout); }
void add_log(int64_t n, const double* sum, double* inout) { add_log_of<vd>(n, sum, inout); }

}  // namespace tg::TG_ISA_NS
